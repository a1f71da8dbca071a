//! The hashes under which a store keeps the tokens that it must not be able to give away.

use std::fmt;

macro_rules! token_hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Its bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The hash with these bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

token_hash! {
    /// The SHA-256 of an API token's text. The text has 256 random bits, so it can't be guessed from its hash at any speed. Slow
    /// hashes are for passwords, which people choose.
    ApiTokenHash
}
token_hash! {
    /// The SHA-256 of a device token's text, which has 256 random bits too.
    DeviceTokenHash
}
token_hash! {
    /// The SHA-256 of an invitation's text, which has 256 random bits too.
    InvitationHash
}
token_hash! {
    /// The SHA-256 of a reset code's text, which has 256 random bits too.
    ResetCodeHash
}
