//! The token in a request's `Authorization` header (RFC 6750, section 2.1), and in no other place.

use std::convert::Infallible;

use warp::{
    Filter,
    http::{HeaderMap, HeaderValue, header},
};

use super::error::ApiError;
use crate::domain::BearerToken;

/// What a request says in `Authorization`. The server's layers leave it in the request's extensions.
#[derive(Clone)]
pub(crate) enum Credential {
    /// There is no such header.
    Absent,
    /// The value of the only one.
    One(HeaderValue),
    /// There are several.
    Repeated,
}

impl Credential {
    /// That of a request with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value.clone()),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }

    /// The text that stands for a token, if the header is written as most clients write it.
    pub(super) fn presented(&self) -> Option<&[u8]> {
        match self {
            Self::One(value) => value.as_bytes().strip_prefix(b"Bearer "),
            Self::Absent | Self::Repeated => None,
        }
    }

    /// The token, or why there is none.
    pub(super) fn bearer(&self) -> Result<BearerToken, ApiError> {
        let value = match self {
            Self::Absent => return Err(ApiError::NoCredentials),
            Self::One(value) => value,
            Self::Repeated => return Err(ApiError::MalformedAuthorization),
        };
        let value = value.to_str().map_err(|_| ApiError::MalformedAuthorization)?;
        let (scheme, token) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            // The server reads no other scheme, so it answers with the challenge that names this one.
            return Err(if scheme.is_empty() {
                ApiError::MalformedAuthorization
            } else {
                ApiError::NoCredentials
            });
        }
        BearerToken::parse(token.trim_matches(' ')).ok_or(ApiError::MalformedAuthorization)
    }
}

/// The credential of the request, found by the server's layers; where the routes are served by other means, in the headers.
pub(super) fn credential() -> impl Filter<Extract = (Credential,), Error = Infallible> + Copy {
    let found = warp::ext::get::<Credential>();
    let read = warp::header::headers_cloned().map(|headers: HeaderMap| Credential::of(&headers));
    found.or(read).unify()
}

/// The token of the request, or why there is none.
pub(super) fn bearer() -> impl Filter<Extract = (Result<BearerToken, ApiError>,), Error = Infallible> + Copy {
    credential().map(|credential: Credential| credential.bearer())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the routes of another server see of these headers, and those of this one.
    async fn seen(values: &[&str]) -> [Option<String>; 2] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let mut request = warp::http::Request::new(String::new());
        *request.headers_mut() = headers.clone();
        let mut seen = Vec::new();
        for ours in [false, true] {
            let mut request = request.clone();
            if ours {
                request.extensions_mut().insert(Credential::of(&headers));
                // The routes do not look at the headers again.
                request.headers_mut().clear();
            }
            let describe = bearer().map(|token: Result<BearerToken, ApiError>| match token {
                Ok(token) => format!("token {}", token.expose()),
                Err(error) => format!("{error:?}"),
            });
            let mut service = warp::service(describe);
            let response = tower_service::Service::call(&mut service, request).await.unwrap();
            let body = http_body_util::BodyExt::collect(response.into_body())
                .await
                .unwrap();
            seen.push(String::from_utf8(body.to_bytes().to_vec()).ok());
        }
        seen.try_into().unwrap()
    }

    #[tokio::test]
    async fn a_repeated_header_is_refused_wherever_the_routes_are_served() {
        for (values, expected) in [
            (&[] as &[&str], "NoCredentials"),
            (&["Bearer a.b.c"], "token a.b.c"),
            (&["bearer  a.b.c"], "token a.b.c"),
            (&["Basic YTpi"], "NoCredentials"),
            (&["Bearer a.b.c", "Bearer a.b.c"], "MalformedAuthorization"),
            (&["Bearer a.b.c", ""], "MalformedAuthorization"),
            (&["", "Bearer a.b.c"], "MalformedAuthorization"),
        ] {
            let expected = Some(expected.to_owned());
            assert_eq!(seen(values).await, [expected.clone(), expected], "{values:?}");
        }
    }
}
