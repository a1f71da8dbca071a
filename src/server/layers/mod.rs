//! What surrounds the routes, whatever they are: a layer a file, each with one job. A layer is a service around another one.
//! All of them are always ready, so none is asked whether it is.

mod check;
mod client;
mod credential;
mod headers;
mod held_seconds;
mod hold;
mod log;
mod name;
mod panics;
mod request_ids;
mod shared;
mod stack;

pub(super) use self::{
    check::{MAX_HEADER, MAX_HEADER_LINES},
    held_seconds::HeldSeconds,
    name::X_REQUEST_ID,
    request_ids::RequestIds,
    shared::Shared,
    stack::{OneConnection, inner, outer},
};
