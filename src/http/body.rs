//! Request bodies, read against a limit of bytes and a limit of time, whatever their framing. What is in them is not looked at
//! here.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use warp::{
    Filter, Rejection,
    http::{HeaderMap, HeaderValue, header},
};

use super::{
    error::ApiError,
    settings::{BodyLimits, CurrentSettings},
};

/// A request's body, which must say that it is of this media type.
pub(super) fn bytes(
    media_type: &'static str,
    settings: &CurrentSettings,
) -> impl Filter<Extract = (Result<Bytes, ApiError>,), Error = Rejection> + Clone + use<> {
    let settings = settings.clone();
    warp::any()
        .map(move || (media_type, settings.get().body))
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
    // They can be as large as the body.
    drop(headers);
    let collected = tokio::time::timeout(limits.time, collect(body, limits.size)).await;
    collected.map_err(|_| ApiError::BodyTooSlow)?
}

/// Checks what the headers say of the body, before a byte of it is read.
fn check_headers(headers: &HeaderMap, media_type: &'static str, limits: BodyLimits) -> Result<(), ApiError> {
    let wanted = ApiError::UnsupportedMediaType {
        wanted: Some(media_type),
    };
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
        // The connection broke, or the chunks are badly framed.
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
