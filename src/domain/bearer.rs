//! A token as a client presented it.

use std::fmt;

/// A text that may be a token: a `b64token` of RFC 6750, section 2.1, of at most [`MAX`](Self::MAX) bytes. Whether it is
/// accepted is decided by `auth`.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(Box<str>);

impl BearerToken {
    /// The longest text that is a token, in bytes: many times what this server issues.
    pub const MAX: usize = 8192;

    /// The token with this text. Returns `None` if the text does not have the form of a token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.trim_end_matches('=');
        if body.is_empty() || text.len() > Self::MAX {
            return None;
        }
        let good = body.bytes().fold(true, |good, b| good & is_allowed(b));
        good.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Whether a `b64token` may have this byte before its padding. The bytes of `-`, `.`, `/` and the digits are consecutive.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without an early exit the compiler can check many bytes at a time"
)]
const fn is_allowed(b: u8) -> bool {
    b.is_ascii_alphabetic() | (b'-' <= b && b <= b'9') | (b == b'_') | (b == b'~') | (b == b'+')
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_b64token_is_a_bearer_token() {
        for good in ["a", "a.b-c_d~e+f/g", "YQ==", &"x".repeat(BearerToken::MAX)] {
            assert_eq!(BearerToken::parse(good).unwrap().expose(), good);
        }
        for bad in [
            "",
            "=",
            "a=b",
            "a b",
            "a,b",
            "\"a\"",
            "é",
            "a\n",
            &"x".repeat(BearerToken::MAX + 1),
        ] {
            assert_eq!(BearerToken::parse(bad), None, "{bad:?}");
        }
    }

    /// RFC 6750: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
    #[test]
    fn a_bearer_token_allows_only_the_bytes_of_a_b64token() {
        for byte in 0..=u8::MAX {
            let right = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_allowed(byte), right, "{byte:#04x}");
            for place in [0, 1, 15, 16, 63, 200, 384, 398]
                .into_iter()
                .filter(|_| byte.is_ascii())
            {
                let mut bytes = vec![b'a'; 400];
                bytes[place] = byte;
                let text = String::from_utf8(bytes).unwrap();
                assert_eq!(
                    BearerToken::parse(&text).is_some(),
                    right,
                    "{byte:#04x} at {place}"
                );
            }
        }
    }
}
