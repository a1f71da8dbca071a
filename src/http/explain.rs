//! What a client is told when a request fails, in one match from failure to status, without a `_` arm. No answer carries the
//! text of a parser, a type's name or a path.

use std::time::Duration;

use secrecy::SecretString;
use warp::http::StatusCode;

use super::{
    error::ApiError,
    field::{FieldError, NotInvited},
    problem::Problem,
};
use crate::{
    auth::{AuthError, Axis, ImportReport, LineReport, RotationError},
    domain::{MAX_INVITATIONS, Role},
};

impl From<&ApiError> for Problem {
    fn from(error: &ApiError) -> Self {
        match error {
            ApiError::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "Not found",
                "There is nothing at this path.",
            ),
            ApiError::MethodNotAllowed { allow } => Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                allow.map_or("This path does not answer this method.".into(), |allow| {
                    format!("This path answers {allow}.")
                }),
            )
            .allow(*allow),
            ApiError::UnsupportedMediaType { wanted } => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
                wanted.map_or("This path does not take a body of this type.".into(), |wanted| {
                    format!("Send the body uncompressed, with the header Content-Type: {wanted}.")
                }),
            ),
            ApiError::HeaderTooLarge { limit } => Self::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "header_too_large",
                "Header too large",
                format!("The header of a request has at most {limit} bytes and 64 lines."),
            ),
            ApiError::LengthRequired => Self::new(
                StatusCode::LENGTH_REQUIRED,
                "length_required",
                "Length required",
                "Send the header Content-Length.",
            ),
            ApiError::ForbiddenOrigin => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden_origin",
                "Origin not allowed",
                "Pages of this origin may not call this server.",
            ),
            ApiError::BodyTooLarge { limit } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "Body too large",
                limit.map_or("The body is too long.".into(), |limit| {
                    format!("A body has at most {limit} bytes.")
                }),
            ),
            ApiError::BodyTooSlow => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                "Body too slow",
                "The body did not arrive in time.",
            ),
            ApiError::MalformedJson { detail } => Self::new(
                StatusCode::BAD_REQUEST,
                "malformed_json",
                "Malformed JSON",
                detail.as_str(),
            ),
            ApiError::InvalidFields(errors) => Self::invalid_fields(errors.clone()),
            ApiError::NoCredentials => Self::new(
                StatusCode::UNAUTHORIZED,
                "missing_token",
                "Token required",
                "Send an access token, with the header Authorization: Bearer <token>.",
            )
            .challenge(""),
            ApiError::MalformedAuthorization => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Malformed credentials",
                "Send one Authorization header, of the form Bearer <token>.",
            )
            .challenge(", error=\"invalid_request\""),
            ApiError::HttpVersion => Self::http_version(),
            ApiError::BadRequest => Self::new(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "Bad request",
                "The request could not be read.",
            ),
            ApiError::BadParameters { detail } => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "Invalid request",
                detail.as_str(),
            ),
            ApiError::NoMetadata => Self::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "Not found",
                "There is no metadata, because the issuer is no URL. The operator of this server can make it one: token.issuer.",
            ),
            ApiError::Refused(error) => Self::from(error),
            ApiError::Internal => Self::internal(),
        }
    }
}

impl From<&AuthError> for Problem {
    fn from(error: &AuthError) -> Self {
        match error {
            AuthError::SignupClosed => Self::new(
                StatusCode::FORBIDDEN,
                "signup_closed",
                "Sign-up is closed",
                "Ask the operator of this server for an account.",
            ),
            AuthError::InvitationRefused => Self::invalid_invitation(),
            AuthError::NotInvited => Self::invalid_fields(vec![FieldError::new("username", &NotInvited)]),
            AuthError::ResetCodeRefused => Self::invalid_reset_token(),
            AuthError::UsernameTaken => Self::new(
                StatusCode::CONFLICT,
                "username_taken",
                "Username taken",
                "This username is taken. Choose another one.",
            ),
            AuthError::PasswordRejected(why) => Self::invalid_fields(vec![FieldError::new("password", why)]),
            AuthError::AttributeRejected(why) => Self::invalid_fields(vec![FieldError::new("value", why)]),
            AuthError::InvalidCredentials(_) => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "Wrong username or password",
                "There is no user with this username and password.",
            )
            .challenge(""),
            AuthError::WrongPassword(_) => Self::new(
                StatusCode::FORBIDDEN,
                "wrong_password",
                "Wrong password",
                "This is not your current password.",
            ),
            AuthError::AccountDisabled(_) => Self::new(
                StatusCode::FORBIDDEN,
                "account_disabled",
                "Account disabled",
                "This account has been disabled. Ask the operator of this server.",
            ),
            AuthError::PasswordChangeRequired { code, expires_in, .. } => {
                Self::password_change_required(code, *expires_in)
            }
            AuthError::UserDisabled(_) => Self::user_disabled(),
            AuthError::ConfirmationRequired(_) => Self::confirmation_required(),
            AuthError::Busy { retry_after, .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Busy",
                "Too many sign-ups and sign-ins are waiting. Try again later.",
            )
            .retry_after(*retry_after),
            AuthError::TooManyAttempts {
                axis, retry_after, ..
            } => Self::too_many(*axis, *retry_after),
            AuthError::SessionRequired(_) => Self::new(
                StatusCode::FORBIDDEN,
                "session_required",
                "Sign-in required",
                "An API token may not do this. Sign in, and send the access token that you get.",
            )
            .challenge(", error=\"insufficient_scope\""),
            AuthError::ApiTokenRejected(why) => {
                Self::invalid_fields(why.iter().map(FieldError::from).collect())
            }
            AuthError::TooManyApiTokens { at_most } => Self::too_many_api_tokens(*at_most),
            AuthError::TooManyInvitations => Self::too_many_invitations(),
            // What is wrong with the token would help an attacker to forge one.
            AuthError::TokenRefused(_) | AuthError::AccountGone => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "Token not valid",
                "The token is not valid. Sign in again.",
            )
            .challenge(", error=\"invalid_token\""),
            AuthError::LastAdministrator => Self::new(
                StatusCode::CONFLICT,
                "last_administrator",
                "Last administrator",
                "No administrator would be left. Give another user the role ADMIN first.",
            ),
            AuthError::Rotation(why) => Self::rotation(why),
            AuthError::ImportRefused(report) => Self::import_refused(report),
            AuthError::ImportUnreadable(why) => Self::import_unreadable(why),
            AuthError::ImportInProgress => Self::import_in_progress(),
            AuthError::ImportUnfinished(_) => Self::import_unfinished(),
            AuthError::MissingRole(roles) => Self::missing_role(roles),
            AuthError::MissingScope(_) => Self::new(
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                "Scope required",
                "This API token was made without the scope admin. Make one with it, or sign in.",
            )
            .challenge(", error=\"insufficient_scope\", scope=\"admin\""),
            AuthError::Store(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "storage_unavailable",
                "Storage unavailable",
                "The server cannot reach its database at the moment. Try again later.",
            )
            .retry_after(Duration::from_secs(30)),
            AuthError::Internal(_) => Self::internal(),
        }
    }
}

impl Problem {
    fn too_many(axis: Axis, retry_after: Duration) -> Self {
        let when = humantime::format_duration(retry_after);
        let attempts = |what: &str| {
            Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "Too many attempts",
                format!("{what} Try again in {when}."),
            )
        };
        let requests = |what: &str| {
            Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "Too many requests",
                format!("{what} Try again in {when}."),
            )
        };
        let problem = match axis {
            Axis::Address | Axis::Account => attempts("Too many sign-ins have failed."),
            Axis::Caller(_) => attempts("Too many of these tokens were not issued by this server."),
            Axis::ForgedTokens => attempts("Too many tokens from your network were forged."),
            Axis::Changes(_) => requests("You change your account too often."),
            Axis::Refreshes => requests("This session is refreshed too often."),
            Axis::SignUps => requests("Too many sign-ups came from your network."),
        };
        problem.retry_after(retry_after)
    }

    fn rotation(why: &RotationError) -> Self {
        match why {
            RotationError::Given(_) => Self::new(
                StatusCode::CONFLICT,
                "key_from_settings",
                "Key from the settings",
                "The signing key comes from the settings, so it is changed there: put another one in its place and start the server. \
                 If the old one was stolen, run `jwt-server key rotate --revoke` before that start.",
            ),
            RotationError::NoKey => Self::new(
                StatusCode::CONFLICT,
                "no_signing_key",
                "No signing key",
                "There is no signing key yet. The server makes one when it starts.",
            ),
            RotationError::Open(_) => Self::internal(),
        }
    }

    fn missing_role(roles: &[Role]) -> Self {
        let names: Vec<_> = roles.iter().map(Role::as_str).collect();
        Self::new(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            "Role required",
            format!("This needs one of these roles: {}.", names.join(", ")),
        )
        .challenge(&format!(
            ", error=\"insufficient_scope\", scope=\"{}\"",
            names.join(" ")
        ))
    }

    fn invalid_invitation() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "invalid_invitation",
            "Invitation not valid",
            "This invitation is unknown or used, or it has expired. Ask for another one.",
        )
    }

    fn invalid_reset_token() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "invalid_reset_token",
            "Reset token not valid",
            "This token is unknown or used, or it has expired. Ask for another one, or sign in again.",
        )
    }

    fn password_change_required(code: &SecretString, lasts: Duration) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "password_change_required",
            "Password change required",
            "This password was chosen for you. Choose your own: send it with the reset_token to /password-reset.",
        )
        .reset_token(code, lasts)
    }

    fn user_disabled() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "user_disabled",
            "User disabled",
            "This user is disabled. Enable them first.",
        )
    }

    fn confirmation_required() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "confirmation_required",
            "Confirmation required",
            "This needs a password that was given within the last 15 minutes. Send yours to /me/confirm, and try again.",
        )
    }

    fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let names: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("These fields are not right: {}.", names.join(", "));
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_field",
            "Invalid field",
            detail,
        )
        .errors(errors)
    }

    fn too_many_api_tokens(at_most: usize) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "too_many_api_tokens",
            "Too many API tokens",
            format!("A user has at most {at_most} API tokens here. Revoke one that nothing needs."),
        )
    }

    fn too_many_invitations() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "too_many_invitations",
            "Too many invitations",
            format!(
                "There are at most {MAX_INVITATIONS} invitations at a time. Revoke some that are not needed."
            ),
        )
    }

    fn import_unreadable(why: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "import_unreadable",
            "No list of users",
            format!("Nothing was imported: {why}."),
        )
    }

    fn import_in_progress() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "import_in_progress",
            "Another import is going on",
            "One import at a time. Try again when the other one has ended.",
        )
    }

    fn import_unfinished() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "import_unfinished",
            "Import not finished",
            "The users are going to be imported, all of them, and some are not there yet: the database failed. The next start of the \
             server does the rest; restart it, and look at its log.",
        )
    }

    fn import_refused(report: &ImportReport) -> Self {
        let lines = report.lines.iter().map(|LineReport { line, reason }| FieldError {
            field: format!("line {line}"),
            code: "bad_line",
            detail: reason.clone(),
        });
        let more = report.bad + report.conflicts - report.lines.len() as u64;
        let more = if more > 0 {
            format!(" {more} more are not named.")
        } else {
            String::new()
        };
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "import_refused",
            "Import refused",
            format!(
                "Nothing was imported: {} lines are bad, and {} users exist already.{more}",
                report.bad, report.conflicts
            ),
        )
        .errors(lines.collect())
    }

    fn http_version() -> Self {
        Self::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "http_version_not_supported",
            "HTTP version not supported",
            "Use HTTP/1.1.",
        )
    }

    fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Internal error",
            "Something failed on the server. Its log has the cause.",
        )
    }
}
