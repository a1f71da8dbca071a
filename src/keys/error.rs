//! Why a text holds no key that the server can sign with, and how long an RSA key may be.

use crate::domain::Algorithm;

/// The length of the shortest RSA key, in bits (RFC 7518, section 3.3), and of those that the server generates. A longer key
/// signs several times slower and makes each token longer. It would protect only against an attacker who can break a key of
/// this length before its tokens expire.
pub(super) const MIN_RSA_BITS: usize = 2048;
/// The length of the longest RSA key, in bits: a longer one takes as long to sign as a password takes to hash.
pub(super) const MAX_RSA_BITS: usize = 8192;

/// Why a key can't be used. It holds nothing of the key itself.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no PEM file with a private key.
    #[error("it is no PEM file with a private key (such a file begins with -----BEGIN PRIVATE KEY-----)")]
    NotPem,
    /// The text has only a public key.
    #[error("it holds a public key; to sign, the server needs the private key")]
    Public,
    /// A passphrase encrypts the key.
    #[error("its key is encrypted; write it without a passphrase: openssl pkey -in KEY.pem -out PLAIN.pem")]
    Encrypted,
    /// The text holds something in a form that is not read.
    #[error(
        "it holds something that is not supported: PKCS #8, PKCS #1 and SEC 1 are, an OpenSSH key is not; make a key with openssl genpkey"
    )]
    UnknownForm,
    /// The text holds several private keys, and does not say which of them signs.
    #[error("it holds several private keys; leave one in it")]
    Several,
    /// The key is valid, but for another algorithm.
    #[error("it holds {found}, and {wanted} takes {}", takes(*wanted))]
    WrongKind {
        /// What the text holds.
        found: &'static str,
        /// The algorithm that a key is needed for.
        wanted: Algorithm,
    },
    /// The RSA key has this many bits, which is too weak or too slow.
    #[error("it holds an RSA key of {0} bits; from {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")]
    BadSize(usize),
    /// The numbers of the key form no valid key.
    #[error("its key is damaged")]
    Damaged,
    /// The cryptographic library failed to generate a key.
    #[error("the key could not be generated")]
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
