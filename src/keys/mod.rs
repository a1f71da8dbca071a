//! Key pairs: generated, read from a PEM file, and published as JSON Web Keys. Which of them signs when is decided by
//! [`domain::KeyRing`](crate::domain::KeyRing).

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
