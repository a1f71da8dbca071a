//! Ids. Those of users, sessions and API tokens are `UUIDv7` (RFC 9562): they sort by age, which keeps the database compact.
//! The id of an access token is 16 random bytes, because one token must not reveal another.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::clock::Timestamp;

/// The text is not an id of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct InvalidId;

macro_rules! uuid_v7 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new, unique id, made at `now`.
            #[must_use]
            pub fn generate(now: Timestamp) -> Self {
                let millis = now.as_secs().saturating_mul(1000);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random()).into_uuid())
            }

            /// The id with this text, which has hyphens, and letters of either case (RFC 9562, section 4).
            ///
            /// # Errors
            /// [`InvalidId`] for any other text.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let is_hyphenated = text.len() == uuid::fmt::Hyphenated::LENGTH;
                let id = Uuid::try_parse(text).ok().filter(|_| is_hyphenated);
                id.map(Self).ok_or(InvalidId)
            }

            /// The id whose canonical text (lower case, hyphens) is `text`, as in a token: a token has one spelling.
            ///
            /// # Errors
            /// [`InvalidId`] for any other text.
            pub fn parse_canonical(text: &str) -> Result<Self, InvalidId> {
                let Self(id) = Self::parse(text)?;
                let mut canonical = Uuid::encode_buffer();
                let canonical: &str = id.as_hyphenated().encode_lower(&mut canonical);
                if canonical == text { Ok(Self(id)) } else { Err(InvalidId) }
            }

            /// Its 16 bytes, which sort by age.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id with these bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

uuid_v7! {
    /// Names a user, and never changes: the `sub` of a token (RFC 7519, section 4.1.2).
    UserId
}
uuid_v7! {
    /// Names one session, which is one sign-in and every token issued from it: the `sid` of a token.
    SessionId
}
uuid_v7! {
    /// Names one API token. It is no secret: the token's text is independent of it.
    ApiTokenId
}

uuid_v7! {
    /// Names one invitation. It is no secret: the text of the invitation is independent of it.
    InvitationId
}

/// Names one access token: its `jti` (RFC 7519, section 4.1.7). 16 random bytes, written as 22 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenId([u8; 16]);

impl TokenId {
    /// A new id that can't be guessed.
    #[must_use]
    pub fn generate() -> Self {
        Self(random())
    }

    /// The id with this text.
    ///
    /// # Errors
    /// [`InvalidId`] unless `text` is exactly what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(Self(bytes)),
            _ => Err(InvalidId),
        }
    }

    /// Its 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Bytes from the operating system's random source.
#[expect(
    clippy::expect_used,
    reason = "no id can be made without randomness, and Linux provides it from boot on"
)]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random source answers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_writes_and_nothing_else() {
        let id = UserId::generate(Timestamp::from_secs(1_795_290_812));
        assert_eq!(UserId::parse(&id.to_string()), Ok(id));
        let upper = id.to_string().to_uppercase();
        assert_eq!(UserId::parse(&upper), Ok(id));
        assert_eq!(UserId::parse_canonical(&id.to_string()), Ok(id));
        assert_eq!(UserId::parse_canonical(&upper), Err(InvalidId));
        for other in [
            id.to_string().replace('-', ""),
            format!("{{{id}}}"),
            format!("urn:uuid:{id}"),
            format!(" {id}"),
            String::new(),
        ] {
            assert_eq!(UserId::parse(&other), Err(InvalidId), "{other:?}");
        }

        let id = TokenId::generate();
        let text = id.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(TokenId::parse(&text), Ok(id));
        for bad in [
            String::new(),
            format!("{text}="),
            format!("{text}A"),
            text[..21].to_owned(),
        ] {
            assert_eq!(TokenId::parse(&bad), Err(InvalidId), "{bad}");
        }
    }

    #[test]
    fn user_and_session_ids_sort_by_age() {
        let [early, late] = [10, 11].map(|secs| SessionId::generate(Timestamp::from_secs(secs)));
        assert!(early < late);
        assert_eq!(Uuid::from_bytes(*early.as_bytes()).get_version_num(), 7);
    }
}
