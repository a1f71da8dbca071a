//! What the log is to know of a request, beside what the client is told. It travels with the answer, and whoever serves
//! the answer writes the line.

use serde::{Serialize, Serializer};
use tokio::task_local;
use warp::reply::Response;

use crate::domain::UserId;

/// What a handler leaves for the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The route's path, as it is documented; `None` if there is no such route.
    pub(crate) route: Option<&'static str>,
    /// Who asked, if that is known.
    pub(crate) user: Option<UserId>,
    /// Whether anything was changed by it.
    pub(crate) changed: bool,
    /// Why it was refused.
    pub(crate) why: Option<String>,
}

/// `response` with something added to its trace.
pub(super) fn note(mut response: Response, add: impl FnOnce(&mut Trace)) -> Response {
    add(response.extensions_mut().get_or_insert_default());
    response
}

/// Names a request, in the log, in `X-Request-Id` and in a problem's `request_id`: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId([u8; 16]);

impl RequestId {
    /// The name that spells `number`.
    pub(crate) fn new(number: u64) -> Self {
        let mut text = [0; 16];
        for (digits, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
            digits.copy_from_slice(&[hexadecimal(byte >> 4), hexadecimal(byte & 0xf)]);
        }
        Self(text)
    }

    /// Its digits.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The digit of `value`, which is less than 16.
const fn hexadecimal(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'a' - 10 + value
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

task_local! {
    /// The name of the request that this task is answering.
    pub(crate) static REQUEST_ID: RequestId;
}

/// The name of the request that is being answered; `None` where nobody named it.
pub(super) fn request_id() -> Option<RequestId> {
    REQUEST_ID.try_with(|id| *id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_16_digits_whatever_it_spells() {
        for number in [0, 1, 0x9a, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(RequestId::new(number).as_str(), format!("{number:016x}"));
        }
    }
}
