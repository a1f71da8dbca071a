//! Which keys sign and verify tokens: those that the database keeps, brought in line with the settings. The rules are
//! [`KeyRing`](crate::domain::KeyRing)'s; here they meet the store. No key is used before the store has it.

mod go_back;
mod held;
mod keys;
mod rotation;
mod settle;
mod start;
mod tend;

pub(super) use self::keys::SigningKeys;
pub use self::{
    keys::KeySource,
    rotation::{KeyRotation, Rotated},
    start::KeyStatus,
};
