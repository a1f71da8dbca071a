//! What the layers have in common.

use std::{convert::Infallible, sync::Arc};

use warp::reply::Response;

use super::{held_seconds::HeldSeconds, request_ids::RequestIds};
use crate::server::proxies::Proxies;

/// What a layer answers.
pub(super) type Answer = Result<Response, Infallible>;

/// What the layers of all connections share.
pub(in crate::server) struct Shared {
    pub(in crate::server) proxies: Proxies,
    pub(in crate::server) ids: RequestIds,
    pub(in crate::server) held_seconds: Arc<HeldSeconds>,
}
