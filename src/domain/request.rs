//! What is known of a request besides its content: which client sent it, and its id.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Client;

/// Names a request in the log, in `X-Request-Id` and in a problem's `request_id`: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The id with the digits of `number`.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let mut text = [0; 16];
        for (digits, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
            digits.copy_from_slice(&[hexadecimal(byte >> 4), hexadecimal(byte & 0xf)]);
        }
        Self(text)
    }

    /// The id with this text. Returns `None` unless `text` is 16 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(text.as_bytes().try_into().ok()?);
        let is_digit = |digit: &u8| digit.is_ascii_digit() || matches!(digit, b'a'..=b'f');
        id.0.iter().all(is_digit).then_some(id)
    }

    /// Its 16 digits, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The digit of `value`, which is less than 16.
const fn hexadecimal(value: u8) -> u8 {
    b"0123456789abcdef"[(value & 0xf) as usize]
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The request that a verb answers. The default is an unknown client and no id: a command, a timer or a test has no request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestContext {
    /// The client that sent the request.
    pub client: Client,
    /// The id under which the log has the request; `None` if the server gave it none.
    pub request_id: Option<RequestId>,
}

impl RequestContext {
    /// The context of a request that `client` sent, without an id.
    #[must_use]
    pub const fn of_client(client: Client) -> Self {
        Self {
            client,
            request_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_16_digits_whatever_it_spells() {
        for number in [0, 1, 0x9a, 0x0123_4567_89ab_cdef, u64::MAX] {
            let id = RequestId::new(number);
            assert_eq!(id.as_str(), format!("{number:016x}"));
            assert_eq!(id.to_string(), id.as_str());
            assert_eq!(RequestId::parse(id.as_str()), Some(id));
        }
        for bad in [
            "",
            "7",
            "000000000000000A",
            "000000000000000g",
            "0000000000000000a",
        ] {
            assert_eq!(RequestId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_id_is_a_string_in_json() {
        let json = serde_json::to_string(&RequestId::new(0x9a)).unwrap();
        assert_eq!(json, "\"000000000000009a\"");
    }

    #[test]
    fn a_context_is_of_an_unknown_client_by_default() {
        let unknown = RequestContext::default();
        assert_eq!(unknown.client.address, None);
        assert_eq!(unknown.request_id, None);
        assert_eq!(RequestContext::of_client(Client::default()), unknown);
    }
}
