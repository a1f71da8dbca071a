//! The check in front of a route: filters that yield a [`Principal`] or refuse. The server's own routes and those of a
//! library user use the same one.

use std::convert::Infallible;

use futures_util::future::Either;
use warp::{
    Filter, Rejection, Reply,
    filters::BoxedFilter,
    reject::{self, Reject},
    reply::Response,
};

use super::{
    credential::{Credential, credential},
    error::ApiError,
};
use crate::{
    auth::{Auth, Principal},
    domain::Role,
};

impl Auth {
    /// A filter that yields the [`Principal`] of the request's access token, read from `Authorization: Bearer …`
    /// (RFC 6750, section 2.1) and from nowhere else.
    ///
    /// A request without a good token is rejected; end your routes in [`.recover(jwt_server::recover)`](recover), and the
    /// client gets the same `application/problem+json` as from this server's own routes.
    #[must_use]
    pub fn guard(&self) -> BoxedFilter<(Principal,)> {
        principal(self)
            .and_then(async |checked: Result<Principal, ApiError>| checked.map_err(refuse))
            .boxed()
    }
}

/// Further conditions for a [guard](Auth::guard).
pub trait Guard {
    /// Passes a user that has at least one of `roles` at the time of the request. Rejects others with 403.
    #[must_use]
    fn any_role(self, roles: impl IntoIterator<Item = Role>) -> BoxedFilter<(Principal,)>;
}

impl Guard for BoxedFilter<(Principal,)> {
    fn any_role(self, roles: impl IntoIterator<Item = Role>) -> BoxedFilter<(Principal,)> {
        let roles: Vec<Role> = roles.into_iter().collect();
        self.and_then(move |principal: Principal| {
            let checked = require_any(&principal, &roles).map_err(refuse);
            async move { checked.map(|()| principal) }
        })
        .boxed()
    }
}

/// Turns every rejection into `application/problem+json`: the guard's refusals, and what warp itself says of a request
/// that fits no route. The one line that a library user's routes need at their end; routes with rejections of their own
/// handle those before it.
///
/// # Errors
/// Never.
pub async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    // Rejections come combined: beside a refusal there may be "method not allowed" of a route that did not fit.
    let error = match rejection.find::<Refused>() {
        Some(Refused(error)) => return Ok(error.response()),
        None => of_warp(&rejection),
    };
    Ok(error.into_response())
}

/// The error for one of warp's own rejections.
fn of_warp(rejection: &Rejection) -> ApiError {
    if rejection.is_not_found() {
        ApiError::NotFound
    } else if rejection.find::<reject::MethodNotAllowed>().is_some() {
        ApiError::MethodNotAllowed { allow: None }
    } else if rejection.find::<reject::PayloadTooLarge>().is_some() {
        ApiError::BodyTooLarge { limit: None }
    } else if rejection.find::<reject::UnsupportedMediaType>().is_some() {
        ApiError::UnsupportedMediaType {
            wanted: "application/json",
        }
    } else if rejection.find::<reject::LengthRequired>().is_some() {
        ApiError::LengthRequired
    } else if rejection.find::<warp::filters::cors::CorsForbidden>().is_some() {
        ApiError::ForbiddenOrigin
    } else if rejection
        .find::<warp::filters::body::BodyDeserializeError>()
        .is_some()
        || rejection.find::<reject::InvalidHeader>().is_some()
        || rejection.find::<reject::InvalidQuery>().is_some()
        || rejection.find::<reject::MissingCookie>().is_some()
        || rejection.find::<reject::MissingHeader>().is_some()
    {
        ApiError::BadRequest
    } else {
        tracing::error!(?rejection, "a rejection that no route handles");
        ApiError::Internal
    }
}

/// The request's principal, or why there is none.
pub(super) fn principal(
    auth: &Auth,
) -> impl Filter<Extract = (Result<Principal, ApiError>,), Error = Rejection> + Clone + use<> {
    let auth = auth.clone();
    credential().and_then(move |credential: Credential| {
        // A known token is the common case: it needs no parsing, and nothing is waited for.
        let known = credential.presented().and_then(|text| auth.recognise(text));
        let checked = match known {
            Some(known) => Either::Left(known),
            // In a box, because this future is much larger than the one for a known token.
            None => Either::Right(credential.bearer().map(|token| {
                let auth = auth.clone();
                Box::pin(async move { auth.authenticate_anew(&token).await })
            })),
        };
        async move {
            let principal = match checked {
                Either::Left(known) => known.map_err(ApiError::from),
                Either::Right(Ok(anew)) => anew.await.map_err(ApiError::from),
                Either::Right(Err(error)) => Err(error),
            };
            Ok::<_, Rejection>(principal)
        }
    })
}

pub(super) fn require_any(principal: &Principal, roles: &[Role]) -> Result<(), ApiError> {
    Ok(principal.require_any(roles)?)
}

/// A refusal on its way to [`recover`].
#[derive(Debug)]
struct Refused(ApiError);

impl Reject for Refused {}

fn refuse(error: ApiError) -> Rejection {
    reject::custom(Refused(error))
}
