//! The administration as routes, below `/admin`, for the operator: over the control socket, or in the process of a command that
//! has opened the store itself.

mod administration;
mod answers;
mod list;
mod sign_ins;
mod status;
mod user;

use std::convert::Infallible;

use tower_service::Service;
use warp::{Filter, Reply, http::Request, reply::Response};

pub use self::administration::{Administration, Operator};
use super::error::ApiError;

impl Administration {
    /// Answers one request, without a server. The [`Operator`] of the request is the user of this process.
    pub async fn answer(&self, mut request: Request<String>) -> Response {
        request.extensions_mut().insert(self.own_operator());
        let Ok(answer) = warp::service(self.app()).call(request).await;
        answer
    }

    /// The routes, and 404 for everything else. A request is answered only if it comes from root or from the owner of the
    /// server: by a Unix socket that [`serve`](crate::serve) serves, or with an [`Operator`] in its extensions.
    #[must_use]
    pub fn app(
        &self,
    ) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + use<> {
        let not_found = warp::any().map(|| ApiError::NotFound.into_response());
        list::route(self)
            .boxed()
            .or(user::route(self).boxed())
            .unify()
            .or(user::password_route(self).boxed())
            .unify()
            .or(user::roles_route(self).boxed())
            .unify()
            .or(user::role_route(self).boxed())
            .unify()
            .or(sign_ins::sessions_route(self).boxed())
            .unify()
            .or(sign_ins::session_route(self).boxed())
            .unify()
            .or(sign_ins::tokens_route(self).boxed())
            .unify()
            .or(sign_ins::token_route(self).boxed())
            .unify()
            .or(status::route(self).boxed())
            .unify()
            .or(not_found)
            .unify()
    }
}
