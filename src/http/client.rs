//! Who sends a request, as far as it says so and can be seen.

use std::convert::Infallible;

use warp::{
    Filter,
    http::{HeaderMap, header},
};

use crate::domain::{Client, ClientAddress, Device};

/// The client of the request.
pub(super) fn client() -> impl Filter<Extract = (Client,), Error = Infallible> + Clone {
    warp::ext::optional::<ClientAddress>()
        .and(warp::header::headers_cloned())
        .map(|address, headers: HeaderMap| {
            let agent = headers
                .get(header::USER_AGENT)
                .and_then(|value| value.to_str().ok());
            Client {
                address,
                device: agent.and_then(Device::of_user_agent),
            }
        })
}
