//! `[signup]`: whether clients may sign up, and the roles of the users who did.

use super::{
    accepts::{Boolean, List},
    section::section,
};
use crate::domain::Roles;

section! {
    /// Whether clients may sign up, and the roles of the users who did.
    pub struct SignupConfig in "signup" {
        /// Whether clients may sign up. If not, users come by invitations and by `jwt-server user add`.
        enabled: bool = true, Boolean;
        /// The roles of users who sign up.
        roles: Roles = ["CLIENT"], List::of_roles(0);
    }
}
