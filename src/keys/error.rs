//! Why a text holds no key that this server can sign with, and how long an RSA key may be.

use crate::domain::Algorithm;

/// The shortest RSA key, in bits (RFC 7518, section 3.3), and the one that is made: what is longer signs several times
/// slower and makes every token longer, and against those who can break this one by the time that a token has run out,
/// neither helps.
pub(super) const MIN_RSA_BITS: usize = 2048;
/// The longest RSA key: beyond that a signature takes as long as a password.
pub(super) const MAX_RSA_BITS: usize = 8192;

/// Why a key can't be used. Nothing of the key itself is in it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not the text of a key.
    #[error("it is no PEM file with a private key (it would begin with -----BEGIN PRIVATE KEY-----)")]
    NotPem,
    /// It has only the half that everybody may know.
    #[error("it holds a public key; to sign, the private key is needed")]
    Public,
    /// A passphrase protects it.
    #[error("its key is encrypted; write it without a passphrase: openssl pkey -in KEY.pem -out PLAIN.pem")]
    Encrypted,
    /// It is a private key in some other form.
    #[error(
        "what it holds is not read here: PKCS #8, PKCS #1 and SEC 1 are, and an OpenSSH key is none of them; make a key with openssl genpkey"
    )]
    UnknownForm,
    /// Which of them signs can't be told.
    #[error("it holds several private keys; leave one in it")]
    Several,
    /// It is a good key for something else.
    #[error("it holds {found}, and {wanted} takes {}", takes(*wanted))]
    WrongKind {
        /// What it is.
        found: &'static str,
        /// What it should be for.
        wanted: Algorithm,
    },
    /// An RSA key is too weak, or too slow.
    #[error("it holds an RSA key of {0} bits; from {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")]
    BadSize(usize),
    /// Its numbers make no key.
    #[error("its key is damaged")]
    Damaged,
    /// The cryptographic library made none.
    #[error("no key could be made")]
    NotMade,
}

const fn takes(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 => "a secret, not a key pair",
        Algorithm::EdDsa => "an Ed25519 key",
        Algorithm::Es256 => "an EC key on P-256",
        Algorithm::Rs256 => "an RSA key",
    }
}
