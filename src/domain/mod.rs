//! Values that exist only valid. Untrusted text becomes one of these types at the edge, or an error that a person can
//! act on; below the edge nobody checks again. Nothing here knows of HTTP, of storage or of cryptography.

mod algorithm;
mod bearer;
mod client;
mod ids;
mod key_ring;
mod password;
mod role;
mod session;
mod user;
mod username;

pub use algorithm::Algorithm;
pub use bearer::BearerToken;
pub use client::ClientAddress;
pub(crate) use ids::random;
pub use ids::{InvalidId, SessionId, TokenId, UserId};
pub use key_ring::{KeyRing, KeyState, RingKey};
pub use password::{MAX_PASSWORD_BYTES, Password, PasswordError, PasswordHash};
pub use role::{Role, RoleError, Roles};
pub use session::{MAX_ACCEPTED, Refresh, Session, TokenPolicy, TokenRecord, WhitelistEntry};
pub use user::{DisplayName, DisplayNameError, User, UserChange};
pub use username::{Username, UsernameError};
