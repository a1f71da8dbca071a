//! Bodies of the type `application/x-www-form-urlencoded`, as OAuth has them (RFC 6749, section 3.2): no parameter may stand
//! twice, an empty one counts as absent, and an unknown one is ignored.
//!
//! They are decoded by the URL Standard, which never fails: bytes that are not UTF-8 become U+FFFD, and a stray `%` stays. No
//! token contains either.

use bytes::Bytes;
use warp::{Filter, Rejection};

use super::{body, error::ApiError, pairs::pairs, settings::CurrentSettings};

/// The parameters of a form.
pub(super) struct Form(Vec<(String, String)>);

/// The form that came as a request's body.
pub(super) fn form(
    settings: &CurrentSettings,
) -> impl Filter<Extract = (Result<Form, ApiError>,), Error = Rejection> + Clone + use<> {
    body::bytes("application/x-www-form-urlencoded", settings)
        .map(|body: Result<Bytes, ApiError>| Form::parse(&body?))
}

impl Form {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        pairs(body, "form").map(Self)
    }

    /// The value of the parameter `name`, which must be there.
    pub(super) fn require(self, name: &str) -> Result<String, ApiError> {
        let mut parameters = self.0.into_iter();
        let found = parameters.find(|(known, value)| known == name && !value.is_empty());
        found
            .map(|(_, value)| value)
            .ok_or_else(|| bad(format!("The form needs a parameter {name}.")))
    }
}

fn bad(detail: impl Into<String>) -> ApiError {
    ApiError::BadParameters {
        detail: detail.into(),
    }
}
