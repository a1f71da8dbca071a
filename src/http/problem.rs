//! `application/problem+json` (RFC 9457), and the headers that go with a failure.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{cached::no_store, field::FieldError, method::Methods, trace};
use crate::domain::RequestId;

/// The protection space of the Bearer challenge (RFC 9110, section 11.5).
const REALM: &str = "jwt-server";

/// What a client is told.
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    challenge: Option<String>,
    allow: Option<Methods>,
    retry_after: Option<Duration>,
    reset_token: Option<(String, Duration)>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            challenge: None,
            allow: None,
            retry_after: None,
            reset_token: None,
        }
    }

    pub(super) fn errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    /// A `WWW-Authenticate` challenge as in RFC 6750, section 3. Without attributes if the request had no credentials.
    pub(super) fn challenge(self, attributes: &str) -> Self {
        let challenge = Some(format!("Bearer realm=\"{REALM}\"{attributes}"));
        Self { challenge, ..self }
    }

    pub(super) fn allow(self, allow: Option<Methods>) -> Self {
        Self { allow, ..self }
    }

    pub(super) fn retry_after(self, time: Duration) -> Self {
        Self {
            retry_after: Some(time),
            ..self
        }
    }

    /// A token with which the client can do what is missing, and how long it lasts.
    pub(super) fn reset_token(self, token: &SecretString, lifetime: Duration) -> Self {
        let token = token.expose_secret().to_owned();
        Self {
            reset_token: Some((token, lifetime)),
            ..self
        }
    }

    /// The answer, as `application/problem+json`.
    pub(super) fn response(self) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:problem-type:jwt-server:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            errors: &self.errors,
            reset_token: self.reset_token.as_ref().map(|(token, _)| token.as_str()),
            expires_in: self.reset_token.as_ref().map(|(_, lifetime)| lifetime.as_secs()),
            request_id: trace::request_id(),
        };
        let mut response = no_store(warp::reply::json(&body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        // A challenge consists of this crate's own text and names of roles, so it always fits a header.
        if let Some(challenge) = self.challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        // The names of methods always fit a header.
        if let Some(allow) = self
            .allow
            .and_then(|methods| HeaderValue::try_from(methods.to_string()).ok())
        {
            headers.insert(header::ALLOW, allow);
        }
        if let Some(time) = self.retry_after {
            headers.insert(header::RETRY_AFTER, time.as_secs().into());
        }
        response
    }
}

/// The members of RFC 9457, section 3.1, and this server's own.
#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_token: Option<&'a str>,
    /// Of the reset token, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
}
