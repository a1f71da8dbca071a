//! Why a request failed, as HTTP sees it. The cause of a 5xx goes to the log, once, from here; what the client is told stands in
//! `explain`.

use warp::{Reply, reply::Response};

use super::{
    field::FieldError,
    method::Methods,
    problem::Problem,
    trace::{self, note},
};
use crate::{
    auth::{AuthError, Axis, CredentialsRefusal},
    domain::{RequestId, UserId},
};

/// Why a request failed, as HTTP sees it.
#[derive(Debug)]
pub(crate) enum ApiError {
    NotFound,
    /// `allow` has the methods that the path answers, if they are known.
    MethodNotAllowed {
        allow: Option<Methods>,
    },
    /// `limit` is the longest header, in bytes.
    HeaderTooLarge {
        limit: usize,
    },
    /// `wanted` is the media type of the bodies that the path takes, if it is known.
    UnsupportedMediaType {
        wanted: Option<&'static str>,
    },
    LengthRequired,
    /// A page of another origin sent the request, and the routes allow none to.
    ForbiddenOrigin,
    /// `limit` is the longest body in bytes, if it is known.
    BodyTooLarge {
        limit: Option<usize>,
    },
    BodyTooSlow,
    MalformedJson {
        detail: String,
    },
    InvalidFields(Vec<FieldError>),
    /// The request has no credentials that this server can read.
    NoCredentials,
    /// The `Authorization` header is malformed or repeated.
    MalformedAuthorization,
    /// The client speaks HTTP/2.
    HttpVersion,
    /// No route can read something else about the request.
    BadRequest,
    /// A parameter of a form is missing, or a form has one twice.
    BadParameters {
        detail: String,
    },
    /// The server does not know its own public URL.
    NoMetadata,
    Refused(AuthError),
    /// Something broke, and the log has it already: a handler panicked, or a route of a library user failed.
    Internal,
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::Refused(error)
    }
}

impl Reply for ApiError {
    fn into_response(self) -> Response {
        self.response()
    }
}

impl ApiError {
    /// The answer. Takes a reference, because a rejection lends its error only by reference.
    pub(crate) fn response(&self) -> Response {
        self.log();
        let response = Problem::from(self).response();
        note(response, |trace| {
            trace.why = self.why();
            trace.user = self.user();
        })
    }

    /// The user whose account the failure is about, if that is known.
    fn user(&self) -> Option<UserId> {
        match self {
            Self::Refused(
                AuthError::InvalidCredentials(CredentialsRefusal::Malformed(user))
                | AuthError::Busy { user, .. }
                | AuthError::TooManyAttempts {
                    axis: Axis::Address | Axis::Account | Axis::SignUps | Axis::ForgedTokens | Axis::Refreshes,
                    user,
                    ..
                },
            ) => *user,
            Self::Refused(
                AuthError::InvalidCredentials(
                    CredentialsRefusal::WrongPassword(user) | CredentialsRefusal::ChangedMeanwhile(user),
                )
                | AuthError::AccountDisabled(user)
                | AuthError::PasswordChangeRequired { user, .. }
                | AuthError::UserDisabled(user)
                | AuthError::ConfirmationRequired(user)
                | AuthError::WrongPassword(user)
                | AuthError::SessionRequired(user)
                | AuthError::MissingScope(user)
                | AuthError::TooManyAttempts {
                    axis: Axis::Caller(user) | Axis::Changes(user),
                    ..
                },
            ) => Some(*user),
            _ => None,
        }
    }

    /// The reason for the log. The client is told less.
    fn why(&self) -> Option<String> {
        match self {
            Self::InvalidFields(errors) => Some(fields(errors)),
            Self::Refused(AuthError::PasswordRejected(why)) => {
                Some(fields(&[FieldError::new("password", why)]))
            }
            Self::Refused(AuthError::ApiTokenRejected(why)) => {
                Some(fields(&why.iter().map(FieldError::from).collect::<Vec<_>>()))
            }
            Self::Refused(error) => Some(error.to_string()),
            // Neither quotes what the client sent.
            Self::MalformedJson { detail } | Self::BadParameters { detail } => Some(detail.clone()),
            Self::NoCredentials => Some("no credentials".to_owned()),
            _ => None,
        }
    }

    /// Logs what broke, in a line of its own.
    fn log(&self) {
        let request_id = trace::request_id();
        let request_id = request_id.as_ref().map(RequestId::as_str);
        match self {
            Self::Refused(AuthError::Store(error) | AuthError::ImportUnfinished(error))
                if !error.is_logged() =>
            {
                tracing::error!(%error, request_id, "a request failed on the database");
            }
            Self::Refused(AuthError::Internal(cause)) => {
                tracing::error!(cause, request_id, "a request failed");
            }
            _ => {}
        }
    }
}

/// Which fields are wrong, and how. A field that the request does not have has a name that the client made up, which is left
/// out.
fn fields(errors: &[FieldError]) -> String {
    let one = |error: &FieldError| match error.code {
        "unknown" => "an unknown field".to_owned(),
        code => format!("{}: {code}", error.field),
    };
    let mut said: Vec<_> = errors.iter().map(one).collect();
    said.dedup();
    said.join(", ")
}
