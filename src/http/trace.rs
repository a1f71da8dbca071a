//! What the log is to know of a request, beside what the client is told. It travels with the answer, and whoever serves
//! the answer writes the line.

use tokio::task_local;
use warp::reply::Response;

use crate::domain::UserId;

/// What a handler leaves for the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The route's path, as it is documented; `None` if there is no such route.
    pub(crate) route: Option<&'static str>,
    /// Who asked, if that is known.
    pub(crate) user: Option<UserId>,
    /// Whether anything was changed by it.
    pub(crate) changed: bool,
    /// Why it was refused.
    pub(crate) why: Option<String>,
}

/// `response` with something added to its trace.
pub(super) fn note(mut response: Response, add: impl FnOnce(&mut Trace)) -> Response {
    add(response.extensions_mut().get_or_insert_default());
    response
}

task_local! {
    /// Names the request that this task is answering, in the log, in `X-Request-Id` and in a problem's `request_id`.
    pub(crate) static REQUEST_ID: String;
}

/// The name of the request that is being answered; `None` where nobody named it.
pub(super) fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}
