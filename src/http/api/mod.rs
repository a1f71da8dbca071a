//! The server's own routes, a file for each group of them. No failure of theirs is a warp rejection, so none can be mistaken
//! for "no such route".

mod api_tokens;
mod confirm;
mod introspect;
mod jwks;
mod me;
mod metadata;
mod password;
mod password_reset;
mod revoke;
mod sessions;
mod signup;
mod token_answer;
mod tokens;
mod whoami;

use std::convert::Infallible;

use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    admin::Administration,
    endpoint::{Endpoint, first_of, only_if},
    settings::Api,
    shape::no_such_path,
};

impl Api {
    /// The server's own routes, to be mounted beside others: `/welcome`, `/me` and what is below it, `/refresh`, `/signin`,
    /// `/logout`, `/signup`, `/password-reset`, `/introspect`, `/revoke`, `/.well-known/jwks.json`, `/.well-known/oauth-authorization-server`,
    /// `/whoami` and, if the settings say so, what is below `/admin`. Any other path is rejected as not found, so that routes after `.or(…)` are tried.
    #[must_use]
    pub fn routes(&self) -> BoxedFilter<(Response,)> {
        self.endpoints().boxed()
    }

    /// The whole server, to be given to [`serve`](crate::serve) as it is: [`routes`](Self::routes), and 404 for
    /// everything else.
    #[must_use]
    pub fn app(
        &self,
    ) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + use<> {
        self.endpoints().or(no_such_path()).unify()
    }

    /// The endpoint that clients call most goes first, and is the only one that is not boxed.
    fn endpoints(&self) -> impl Endpoint + use<> {
        let others = first_of!(
            me::me_route(self),
            tokens::refresh_route(self),
            tokens::sign_in_route(self),
            tokens::log_out_route(self),
            introspect::route(self),
            sessions::all_route(self),
            sessions::one_route(self),
            password::route(self),
            password_reset::route(self),
            confirm::route(self),
            api_tokens::route(self),
            signup::route(self),
            revoke::route(self),
            jwks::route(self),
            metadata::route(self),
            whoami::route(),
        );
        let others = others.or(self.administration()).unify();
        me::welcome_route(self).or(others.boxed()).unify()
    }

    /// `/admin`, while the settings say so.
    fn administration(&self) -> impl Endpoint + use<> {
        let settings = self.current().clone();
        let endpoints = Administration::of_administrators(self).endpoints();
        only_if(move || settings.get().administration)
            .and(endpoints)
            .boxed()
    }
}
