//! A token as somebody presented it.

use std::fmt;

/// A text that may be a token: `b64token` of RFC 6750, section 2.1, and no longer than [`MAX`](Self::MAX). Whether it is
/// any good is for `auth` to say.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(Box<str>);

impl BearerToken {
    /// The longest text that is looked at, in bytes: many times what this server ever issues.
    pub const MAX: usize = 8192;

    /// The token that `text` may be; `None` if it has not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.trim_end_matches('=');
        let allowed =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        let good = !body.is_empty() && text.len() <= Self::MAX && body.bytes().all(allowed);
        good.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
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
    fn only_a_b64token_is_looked_at() {
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
}
