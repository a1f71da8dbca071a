//! Key pairs: made, read from a PEM file, and shown to others as JSON Web Keys. Which of them signs when is
//! [`domain::KeyRing`](crate::domain::KeyRing)'s to say.

mod digest;
mod error;
mod jwk;
mod pair;
mod pem;

pub use self::{
    error::KeyError,
    jwk::{Jwk, PublicKey},
    pair::KeyPair,
};
