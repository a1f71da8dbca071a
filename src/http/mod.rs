//! HTTP: requests are parsed into the domain's types, handed to `auth`, and its answers become responses. Each file is
//! one group of endpoints; no failure of theirs is a warp rejection, so none can be mistaken for "no such route".

mod account;
mod api_tokens;
mod body;
mod cached;
mod client;
mod error;
mod field;
mod form;
mod guard;
mod introspect;
mod jwks;
mod me;
mod metadata;
mod method;
mod problem;
mod revoke;
mod sessions;
mod settings;
mod signup;
mod tokens;
mod trace;
mod whoami;

use std::convert::Infallible;

use warp::{Filter, Reply, filters::BoxedFilter, reply::Response};

pub(crate) use self::{
    error::ApiError,
    trace::{Answering, Trace},
};
pub use self::{
    guard::{Guard, recover},
    settings::{Api, ApiSettings, BodyLimits},
};
use crate::auth::Auth;

impl Api {
    /// The server's own routes, to be mounted beside others: `/welcome`, `/me` and what is below it, `/refresh`, `/signin`,
    /// `/logout`, `/signup`, `/introspect`, `/revoke`, `/.well-known/jwks.json`, `/.well-known/oauth-authorization-server` and
    /// `/whoami`. Any other path is rejected as not found, so that what comes after `.or(…)` gets its turn.
    #[must_use]
    pub fn routes(&self) -> BoxedFilter<(Response,)> {
        let others = tokens::routes(self)
            .or(introspect::routes(self))
            .unify()
            .or(sessions::routes(self))
            .unify()
            .or(account::routes(self))
            .unify()
            .or(api_tokens::routes(self))
            .unify()
            .or(signup::routes(self))
            .unify()
            .or(revoke::routes(self))
            .unify()
            .or(jwks::routes(self))
            .unify()
            .or(metadata::routes(self))
            .unify()
            .or(whoami::routes())
            .unify();
        // The most asked goes first, and takes no room along for what the others would need.
        me::routes(self).or(others.boxed()).unify().boxed()
    }

    /// The whole server, to be given to [`serve`](crate::serve) as it is: [`routes`](Self::routes), and 404 for
    /// everything else.
    #[must_use]
    pub fn app(
        &self,
    ) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + use<> {
        let not_found = warp::any().map(|| ApiError::NotFound.into_response());
        self.routes().or(not_found).unify()
    }
}

/// Hands `auth` to a handler.
fn with(api: &Api) -> impl Filter<Extract = (Auth,), Error = Infallible> + Clone + use<> {
    let auth = api.auth().clone();
    warp::any().map(move || auth.clone())
}
