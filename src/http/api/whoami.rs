//! `GET /whoami`: the address that the server sees, so that a person can check their proxy.

use serde::Serialize;
use warp::Filter;

use crate::{
    domain::RequestContext,
    http::{
        context::context,
        endpoint::{Endpoint, endpoint, on},
        method::GET,
    },
};

pub(super) fn route() -> impl Endpoint + use<> {
    let whoami = context().map(|context| warp::reply::json(&whoami(&context)));
    endpoint("/whoami", on(GET, whoami))
}

#[derive(Serialize)]
struct WhoAmI {
    address: Option<String>,
}

fn whoami(context: &RequestContext) -> WhoAmI {
    WhoAmI {
        address: context.client.address.map(|address| address.to_string()),
    }
}
