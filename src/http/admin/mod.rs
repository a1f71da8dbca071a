//! The administration as routes, below `/admin`. For the operator: over the control socket, or in the process of a command that
//! has opened the store itself. And if the settings say so, where clients reach the server, for users who administer.

mod administration;
mod answers;
mod codes;
mod events;
mod keys;
mod list;
mod page;
mod sign_ins;
mod status;
mod throttle;
mod transfer;
mod user;

use std::{convert::Infallible, error::Error};

use hyper::body::Body;
use tower_service::Service;
use warp::{Filter, http::Request, reply::Response};

pub use self::administration::{Administration, Operator};
use super::{
    endpoint::{Endpoint, first_of},
    shape::no_such_path,
};

impl Administration {
    /// Answers one request, without a server. The [`Operator`] of the request is the user of this process.
    pub async fn answer<B>(&self, mut request: Request<B>) -> Response
    where
        B: Body + Send + Sync + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if let Some(operator) = self.own_operator() {
            request.extensions_mut().insert(operator);
        }
        let Ok(answer) = warp::service(self.app()).call(request).await;
        answer
    }

    /// The routes, and 404 for everything else. A request is answered only if it comes from root or from the owner of the
    /// server: by a Unix socket that [`serve`](crate::serve) serves, or with an [`Operator`] in its extensions.
    #[must_use]
    pub fn app(
        &self,
    ) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + use<> {
        // Large, and with the hashes of passwords: not for a token, which could leak.
        let transfer = first_of!(transfer::import_route(self), transfer::export_route(self));
        self.endpoints().or(transfer).unify().or(no_such_path()).unify()
    }

    /// The routes. Any other path is rejected as not found.
    pub(super) fn endpoints(&self) -> impl Endpoint + use<> {
        // In groups, because the type of a long chain is too deep for the compiler.
        let users = first_of!(
            list::route(self),
            user::route(self),
            user::password_route(self),
            user::roles_route(self),
            user::role_route(self),
            user::attribute_route(self),
        );
        let sign_ins = first_of!(
            sign_ins::sessions_route(self),
            sign_ins::session_route(self),
            sign_ins::tokens_route(self),
            sign_ins::token_route(self),
            codes::invitations_route(self),
            codes::invitation_route(self),
            codes::reset_route(self),
        );
        let server = first_of!(
            keys::route(self),
            keys::rotate_route(self),
            throttle::route(self),
            throttle::user_route(self),
            throttle::network_route(self),
            status::route(self),
            events::route(self),
        );
        first_of!(users, sign_ins, server)
    }
}
