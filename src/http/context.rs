//! What is known of a request besides its content: its client, so far as it can be seen and says so, and its id.

use std::future;

use warp::{
    Filter, Rejection,
    http::{HeaderMap, header},
};

use super::trace;
use crate::domain::{Client, ClientAddress, Device, RequestContext};

/// The context of the request.
pub(super) fn context() -> impl Filter<Extract = (RequestContext,), Error = Rejection> + Clone {
    warp::ext::optional::<ClientAddress>()
        .and(warp::header::headers_cloned())
        .and_then(|address, headers| future::ready(Ok::<_, Rejection>(of(address, &headers))))
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
