//! `GET /whoami`: the address that the server sees, so that a person can check their proxy.

use serde::Serialize;
use warp::{Filter, Reply, filters::BoxedFilter, reply::Response};

use super::{method::GET, trace::note};
use crate::domain::ClientAddress;

pub(super) fn routes() -> BoxedFilter<(Response,)> {
    let route = GET
        .pass()
        .and(warp::ext::optional::<ClientAddress>())
        .map(|client| warp::reply::json(&whoami(client)).into_response());
    warp::path!("whoami")
        .and(route.or(GET.refuse_others()).unify())
        .map(|response| note(response, |trace| trace.route = Some("/whoami")))
        .boxed()
}

#[derive(Serialize)]
struct WhoAmI {
    address: Option<String>,
}

fn whoami(client: Option<ClientAddress>) -> WhoAmI {
    WhoAmI {
        address: client.map(|client| client.to_string()),
    }
}
