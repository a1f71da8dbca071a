//! `[admin]`: whether administrators reach the administration where clients reach the server.

use super::{accepts::Boolean, section::section};

section! {
    /// Whether administrators reach the administration where clients reach the server.
    pub struct AdminConfig in "admin" {
        /// Whether /admin is served where clients reach the server, for users with the role ADMIN and for their API tokens
        /// with the scope admin. If not, only the operator's commands and the control socket reach it.
        enabled: bool = false, Boolean;
    }
}
