//! Request bodies: read against a limit and a clock whatever their framing; and those in JSON taken apart field by field, so
//! that a client hears of everything that is wrong with one at once.

use std::{fmt, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;
use warp::{
    Filter, Rejection,
    http::{HeaderMap, HeaderValue, header},
};

use super::{
    error::ApiError,
    field::{FieldError, FieldProblem},
    settings::{Api, BodyLimits},
};

/// The most fields that a body may have: more than any request asks for, and few enough to compare each with each.
pub(super) const MAX_FIELDS: usize = 16;

/// The fields of a JSON object that came as a request's body.
pub(super) fn fields(
    api: &Api,
) -> impl Filter<Extract = (Result<Fields, ApiError>,), Error = Rejection> + Clone + use<> {
    bytes("application/json", api).map(|body: Result<Bytes, ApiError>| Fields::parse(&body?))
}

/// A request's body, which must say that it is of this media type.
pub(super) fn bytes(
    media_type: &'static str,
    api: &Api,
) -> impl Filter<Extract = (Result<Bytes, ApiError>,), Error = Rejection> + Clone + use<> {
    let api = api.clone();
    warp::any()
        .map(move || (media_type, api.settings().body))
        .untuple_one()
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(read)
}

async fn read<S, B>(
    media_type: &'static str,
    limits: BodyLimits,
    headers: HeaderMap,
    body: S,
) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    check_headers(&headers, media_type, limits)?;
    let collected = tokio::time::timeout(limits.time, collect(body, limits.size)).await;
    collected.map_err(|_| ApiError::BodyTooSlow)?
}

/// What can be told before a byte of the body has been read.
fn check_headers(headers: &HeaderMap, media_type: &'static str, limits: BodyLimits) -> Result<(), ApiError> {
    let wanted = ApiError::UnsupportedMediaType { wanted: media_type };
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_wanted = |value: &str| {
        value
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .eq_ignore_ascii_case(media_type)
    };
    let one_type = types.next().filter(|_| types.next().is_none());
    if !one_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(is_wanted)
    {
        return Err(wanted);
    }
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Err(wanted);
    }
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.size as u64) {
        return Err(ApiError::BodyTooLarge {
            limit: Some(limits.size),
        });
    }
    Ok(())
}

async fn collect<S, B>(body: S, limit: usize) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let mut body = std::pin::pin!(body);
    let mut collected = BytesMut::new();
    while let Some(chunk) = body.next().await {
        // The connection broke, or the chunks are not framed as they should be.
        let mut chunk = chunk.map_err(|_| ApiError::BadRequest)?;
        if collected.len() + chunk.remaining() > limit {
            return Err(ApiError::BodyTooLarge { limit: Some(limit) });
        }
        while chunk.has_remaining() {
            let part = chunk.chunk();
            collected.extend_from_slice(part);
            let length = part.len();
            chunk.advance(length);
        }
    }
    Ok(collected.freeze())
}

/// The fields that have not been taken yet, and what was wrong with those that have.
#[derive(Debug)]
pub(super) struct Fields {
    left: Vec<(String, Value)>,
    errors: Vec<FieldError>,
}

impl Fields {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let malformed = |detail: String| ApiError::MalformedJson { detail };
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(malformed(
                "The body must be a JSON object, such as {\"username\": …}.".to_owned(),
            ));
        }
        let Object { members, fault } = serde_json::from_slice(body).map_err(|error| {
            malformed(format!(
                "The body is not valid JSON: line {}, column {}.",
                error.line(),
                error.column()
            ))
        })?;
        if let Some(fault) = fault {
            return Err(malformed(fault.to_owned()));
        }
        Ok(Self {
            left: members,
            errors: Vec::new(),
        })
    }

    /// The value of the field `name`, which must be a string that `parse` accepts; otherwise `None`, and
    /// [`finish`](Self::finish) will say so.
    pub(super) fn take<T, E: FieldProblem>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.take_text(name)?;
        parse(text)
            .map_err(|problem| self.errors.push(FieldError::new(name, &problem)))
            .ok()
    }

    /// Whether there is a field `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(field, _)| field == name)
    }

    /// The value of the field `name`, which must be a string.
    pub(super) fn take_text(&mut self, name: &'static str) -> Option<String> {
        self.take_value(name, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// As [`take`](Self::take), of a list of strings.
    pub(super) fn take_list<T, E: FieldProblem>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(Vec<String>) -> Result<T, E>,
    ) -> Option<T> {
        let texts = self.take_value(name, "a list of strings", |value| {
            serde_json::from_value(value).ok()
        })?;
        parse(texts)
            .map_err(|problem| self.errors.push(FieldError::new(name, &problem)))
            .ok()
    }

    /// The value of the field `name`, which must be a whole number of seconds.
    pub(super) fn take_seconds(&mut self, name: &'static str) -> Option<Duration> {
        let seconds = self.take_value(name, "a whole number of seconds", |value| value.as_u64());
        seconds.map(Duration::from_secs)
    }

    /// The value of the field `name`, which must be `true` or `false` if it is there.
    pub(super) fn take_flag(&mut self, name: &'static str) -> Option<bool> {
        if !self.has(name) {
            return Some(false);
        }
        self.take_value(name, "true or false", |value| value.as_bool())
    }

    /// The value of the field `name`, of which `read` must make something: it is to be `what`.
    fn take_value<T>(
        &mut self,
        name: &'static str,
        what: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        let place = self.left.iter().position(|(field, _)| field == name);
        let value = place.map(|place| self.left.swap_remove(place).1);
        let (code, detail) = match value.map(read) {
            Some(Some(value)) => return Some(value),
            Some(None) => ("wrong_type", format!("This field must be {what}.")),
            None => ("required", "This field is required.".to_owned()),
        };
        self.errors.push(FieldError {
            field: name.to_owned(),
            code,
            detail,
        });
        None
    }

    /// `taken`, unless something was wrong with a field or one is left that nobody took.
    pub(super) fn finish<T>(self, taken: Option<T>) -> Result<T, ApiError> {
        let mut errors = self.errors;
        let unknown = |(field, _)| FieldError {
            field,
            code: "unknown",
            detail: "This request has no such field.".to_owned(),
        };
        errors.extend(self.left.into_iter().map(unknown));
        taken
            .filter(|_| errors.is_empty())
            .ok_or(ApiError::InvalidFields(errors))
    }
}

/// The members of an object in order, and what is wrong with them: of a name that stands twice, a reader that keeps the
/// first and one that keeps the last would not agree on what was asked.
struct Object {
    members: Vec<(String, Value)>,
    fault: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                let mut fault = None;
                while let Some(name) = map.next_key::<String>()? {
                    if fault.is_some() {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if members.len() == MAX_FIELDS {
                        fault = Some("The body has too many fields.");
                    } else if members.iter().any(|(known, _)| *known == name) {
                        fault = Some("The body has a name twice.");
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Object { members, fault })
            }
        }
        deserializer.deserialize_map(Members)
    }
}
