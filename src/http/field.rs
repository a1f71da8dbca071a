//! What is wrong with one field of a body: words for people, a code for programs.

use serde::Serialize;

use crate::{
    auth::{ApiTokenRejection, PasswordRejection},
    domain::{
        AttributeError, CodeLifetimeError, MomentError, NameError, NetworkError, PasswordError, RoleError,
        UsernameError,
    },
};

/// What is wrong with one field of a body.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

/// An error of one field: its message is for people, its code for programs.
pub(crate) trait FieldProblem: std::fmt::Display {
    fn code(&self) -> &'static str;
}

impl FieldProblem for UsernameError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::BadCharacter(_) | Self::BadStart(_) => "bad_character",
        }
    }
}

impl FieldProblem for PasswordError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "too_short",
            Self::TooLong => "too_long",
            Self::ContainsNul => "bad_character",
        }
    }
}

impl FieldProblem for NameError {
    fn code(&self) -> &'static str {
        "bad_name"
    }
}

impl FieldProblem for RoleError {
    fn code(&self) -> &'static str {
        "bad_role"
    }
}

impl FieldProblem for AttributeError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadName => "bad_name",
            Self::Reserved(_) => "reserved",
            Self::BadValue(_) => "bad_value",
            Self::TooLong => "too_long",
        }
    }
}

impl FieldProblem for ApiTokenRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NoRole => "too_short",
            Self::NotTheirRole => "not_yours",
            Self::NoAdministrator => "needs_role",
            Self::Lifetime { .. } => "out_of_range",
        }
    }
}

impl FieldProblem for PasswordRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too_short",
            Self::TooWeak => "too_weak",
            Self::Unchanged => "unchanged",
        }
    }
}

/// An invitation is for another username.
#[derive(Debug, thiserror::Error)]
#[error("This invitation is for another username.")]
pub(crate) struct NotInvited;

impl FieldProblem for NotInvited {
    fn code(&self) -> &'static str {
        "not_invited"
    }
}

impl FieldProblem for CodeLifetimeError {
    fn code(&self) -> &'static str {
        "out_of_range"
    }
}

/// A parameter of a query is neither `true` nor `false`.
#[derive(Debug, thiserror::Error)]
#[error("This must be true or false.")]
pub(crate) struct NotTruth;

impl FieldProblem for NotTruth {
    fn code(&self) -> &'static str {
        "wrong_type"
    }
}

/// Whether `text`, a parameter of a query, is true.
pub(crate) fn truth(text: &str) -> Result<bool, NotTruth> {
    text.parse().map_err(|_| NotTruth)
}

impl FieldProblem for NetworkError {
    fn code(&self) -> &'static str {
        "bad_address"
    }
}

impl FieldProblem for MomentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "bad_moment",
            Self::Past => "out_of_range",
        }
    }
}

impl From<&ApiTokenRejection> for FieldError {
    fn from(problem: &ApiTokenRejection) -> Self {
        let field = match problem {
            ApiTokenRejection::NoRole | ApiTokenRejection::NotTheirRole => "roles",
            ApiTokenRejection::NoAdministrator => "scope",
            ApiTokenRejection::Lifetime { .. } => "expires_in",
        };
        Self::new(field, problem)
    }
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, problem: &impl FieldProblem) -> Self {
        Self {
            field: field.into(),
            code: problem.code(),
            detail: problem.to_string(),
        }
    }
}
