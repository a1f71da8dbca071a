//! The token in a request's `Authorization` header (RFC 6750, section 2.1), and in no other place.

use std::{convert::Infallible, future};

use warp::{
    Filter,
    http::{HeaderMap, HeaderValue, header},
    reject,
};

use super::{error::ApiError, trace::is_only_credential};
use crate::domain::BearerToken;

/// What a request says in `Authorization`.
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
        let token = token.trim_matches([' ', '\t']);
        if token.is_empty() {
            // A scheme alone is no credential. Some proxies make 500 of a 400.
            return Err(ApiError::NoCredentials);
        }
        BearerToken::parse(token).ok_or(ApiError::MalformedAuthorization)
    }
}

/// The credential of the request. A filter can look at the first value of a header, or at a copy of all headers. The server's
/// layers have seen whether the first value is the only one; where they have not, or it is not, all headers are copied.
pub(super) fn credential() -> impl Filter<Extract = (Credential,), Error = Infallible> + Copy {
    let only = warp::header::value(header::AUTHORIZATION.as_str()).and_then(|value| {
        future::ready(if is_only_credential(&value) {
            Ok(Credential::One(value))
        } else {
            Err(reject::not_found())
        })
    });
    let any = warp::header::headers_cloned().map(|headers: HeaderMap| Credential::of(&headers));
    only.or(any).unify()
}

/// The token of the request, or why there is none.
pub(super) fn bearer() -> impl Filter<Extract = (Result<BearerToken, ApiError>,), Error = Infallible> + Copy {
    credential().map(|credential: Credential| credential.bearer())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::RequestId,
        http::trace::{Traced, set_only_credential},
    };

    /// What the routes see of these headers: in another server, in this one, and in this one in a request that a handler made of
    /// the first value of the request that it answers.
    async fn seen(values: &[&str]) -> [String; 3] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let ask = async || {
            let mut request = warp::http::Request::new(String::new());
            *request.headers_mut() = headers.clone();
            let describe = bearer().map(|token: Result<BearerToken, ApiError>| match token {
                Ok(token) => format!("token {}", token.expose()),
                Err(error) => format!("{error:?}"),
            });
            let mut service = warp::service(describe);
            let response = tower_service::Service::call(&mut service, request).await.unwrap();
            let body = http_body_util::BodyExt::collect(response.into_body())
                .await
                .unwrap();
            String::from_utf8(body.to_bytes().to_vec()).unwrap()
        };
        let elsewhere = ask().await;
        let here = Traced::new(RequestId::new(1), || async {
            if let Credential::One(value) = Credential::of(&headers) {
                set_only_credential(value);
            }
            ask().await
        });
        let nested = Traced::new(RequestId::new(2), || async {
            set_only_credential(HeaderValue::from_static("Bearer x.y.z"));
            ask().await
        });
        [elsewhere, here.await, nested.await]
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
            assert_eq!(seen(values).await, [expected; 3], "{values:?}");
        }
    }
}
