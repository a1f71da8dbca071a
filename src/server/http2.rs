//! The answer to a client that speaks HTTP/2 (RFC 9113), which this server does not: a 505 in frames that such a client can read,
//! and the advice to use HTTP/1.1. Nothing that the client sends is read for it.

use std::{future::poll_fn, pin::Pin};

use hyper::body::Body;
use warp::Reply;

use crate::http::ApiError;

// The types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The stream that has no number: the connection.
const CONNECTION: u32 = 0;
/// The stream of a client's first request.
const FIRST: u32 = 1;
/// The code of an error (section 7).
const HTTP_1_1_REQUIRED: u32 = 0xd;

/// The names in the static table of HPACK (RFC 7541, appendix A), for fields that are not added to a table (section 6.2.2).
const STATUS: &[u8] = &[8];
const CONTENT_TYPE: &[u8] = &[0xf, 31 - 0xf];

/// The whole answer, after which the connection is closed.
pub(super) async fn http2_refusal() -> Vec<u8> {
    let mut response = ApiError::HttpVersion.into_response();
    let mut content = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await {
        content.extend(frame.into_data().unwrap_or_default());
    }
    let status = field(STATUS, response.status().as_str());
    let header = [status, field(CONTENT_TYPE, "application/problem+json")].concat();
    let last = [FIRST.to_be_bytes(), HTTP_1_1_REQUIRED.to_be_bytes()].concat();
    [
        frame(SETTINGS, 0, CONNECTION, &[]),
        frame(HEADERS, END_HEADERS, FIRST, &header),
        frame(DATA, END_STREAM, FIRST, &content),
        frame(GOAWAY, 0, CONNECTION, &last),
    ]
    .concat()
}

/// A field with this name and value. The value has less than 127 bytes, as its length is one byte (RFC 7541, section 5.1).
fn field(name: &[u8], value: &str) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or_default();
    [name, &[length], value.as_bytes()].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or_default().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read as RFC 9113, section 4.1, has it.
    #[tokio::test]
    async fn the_answer_to_http_2_is_four_frames() {
        let answer = http2_refusal().await;
        let mut frames = Vec::new();
        let mut rest = &answer[..];
        while let [a, b, c, kind, flags, _, _, _, stream, more @ ..] = rest {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            frames.push((*kind, *flags, *stream, &more[..length]));
            rest = &more[length..];
        }
        assert!(rest.is_empty());
        let (_, _, _, header) = frames[1];
        assert_eq!(&header[..5], b"\x08\x03505");
        assert_eq!(&header[5..], b"\x0f\x10\x18application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(frames[2].3).unwrap();
        assert_eq!(problem["status"], 505);
        let kinds: Vec<_> = frames.iter().map(|frame| (frame.0, frame.1, frame.2)).collect();
        assert_eq!(kinds, [(4, 0, 0), (1, 4, 1), (0, 1, 1), (7, 0, 0)]);
    }
}
