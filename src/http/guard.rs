//! The check in front of a route: filters that yield a [`Principal`] or refuse. The server's own routes and those of a
//! library user use the same one.

use std::convert::Infallible;

use futures_util::future::Either;
use warp::{
    Filter, Rejection, Reply,
    filters::{BoxedFilter, body, cors::CorsForbidden},
    reject::{self, Reject},
    reply::Response,
};

use super::{
    context::found,
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
    // A refusal comes first: what lies behind the guard is nothing to tell a client that may not pass it.
    let error = match rejection.find() {
        Some(Refused(error)) => return Ok(error.response()),
        None => of_warp(&rejection),
    };
    Ok(error.into_response())
}

/// The error for warp's own rejections. Several routes may have rejected the request: the answer is that of the route whose
/// filters it passed the furthest. A route for another method comes last.
fn of_warp(rejection: &Rejection) -> ApiError {
    let has = Has(rejection);
    if rejection.is_not_found() {
        ApiError::NotFound
    } else if has.one::<body::BodyDeserializeError>() || has.named("BodyReadError") {
        ApiError::BadRequest
    } else if has.one::<reject::PayloadTooLarge>() {
        ApiError::BodyTooLarge { limit: None }
    } else if has.one::<reject::LengthRequired>() {
        ApiError::LengthRequired
    } else if has.one::<reject::UnsupportedMediaType>() {
        ApiError::UnsupportedMediaType { wanted: None }
    } else if has.one::<reject::InvalidHeader>()
        || has.one::<reject::InvalidQuery>()
        || has.one::<reject::MissingCookie>()
        || has.one::<reject::MissingHeader>()
        || has.named("MissingConnectionUpgrade")
    {
        ApiError::BadRequest
    } else if has.one::<CorsForbidden>() {
        ApiError::ForbiddenOrigin
    } else if has.one::<reject::MethodNotAllowed>() {
        ApiError::MethodNotAllowed { allow: None }
    } else {
        tracing::error!(?rejection, "a rejection that no route handles");
        ApiError::Internal
    }
}

/// The rejections of all routes.
struct Has<'a>(&'a Rejection);

impl Has<'_> {
    /// Whether one of them is of this kind.
    fn one<T: 'static>(&self) -> bool {
        self.0.find::<T>().is_some()
    }

    /// Whether one of them has this name in its debug output. Some of warp's types are private, or belong to a feature that this
    /// crate does not need.
    fn named(&self, name: &str) -> bool {
        format!("{:?}", self.0).contains(name)
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
                Box::pin(async move {
                    let checked = auth.authenticate_anew(&token).await;
                    checked.map_err(|refused| auth.count_forged(refused, &found()))
                })
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
