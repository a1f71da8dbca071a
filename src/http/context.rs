//! What is known of a request besides its content: its client, so far as it can be seen and says so, and its id.

use std::{convert::Infallible, future};

use warp::{
    Filter, Rejection,
    http::{HeaderMap, header},
};

use super::trace;
use crate::domain::{Client, ClientAddress, Device, RequestContext};

/// The client's address, as the server's layers found it; where the routes are served by other means, as the request's
/// extensions have it.
#[must_use]
pub fn client_address() -> impl Filter<Extract = (Option<ClientAddress>,), Error = Infallible> + Copy {
    warp::ext::optional::<ClientAddress>().map(|given: Option<ClientAddress>| trace::client().or(given))
}

/// The context of the request.
pub(super) fn context() -> impl Filter<Extract = (RequestContext,), Error = Rejection> + Clone {
    client_address()
        .and(warp::header::headers_cloned())
        .and_then(|address, headers| future::ready(Ok::<_, Rejection>(of(address, &headers))))
}

/// What the server's layers found of the request that is being answered. Nothing where the routes are served by other means.
pub(super) fn found() -> RequestContext {
    RequestContext {
        client: Client {
            address: trace::client(),
            device: None,
        },
        request_id: trace::request_id(),
    }
}

fn of(address: Option<ClientAddress>, headers: &HeaderMap) -> RequestContext {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    RequestContext {
        client: Client {
            address,
            device: agent.and_then(Device::of_user_agent),
        },
        request_id: trace::request_id(),
    }
}
