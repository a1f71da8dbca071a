//! How the parts of a token are written: base64url and JSON, with one spelling for each value.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// RFC 4648, section 5, with one spelling for each value: no padding, no white space, no unused bits.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(super) fn json_base64url(value: &impl Serialize) -> Option<String> {
    let json = serde_json::to_vec(value).ok()?;
    Some(URL_SAFE_NO_PAD.encode(json))
}

/// Reads a JSON object with the members of `T` and no others, each once. The first byte is checked because serde also takes an
/// array of the members' values.
pub(super) fn strict_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let text = str::from_utf8(bytes).ok()?;
    let object = text.trim_ascii_start().starts_with('{');
    object.then(|| serde_json::from_str(text).ok()).flatten()
}
