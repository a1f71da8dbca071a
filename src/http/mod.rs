//! HTTP: requests are parsed into the domain's types, handed to `auth`, and its answers become responses. The endpoints are in
//! `api`, the check for routes of a library user in `guard`. It knows no socket and no store.

mod admin;
mod api;
mod body;
mod cached;
mod context;
mod credential;
mod endpoint;
mod error;
mod explain;
mod field;
mod fields;
mod form;
mod guard;
mod method;
mod pairs;
mod problem;
mod settings;
mod shape;
mod sign_ins;
mod trace;

pub use self::{
    admin::{Administration, Operator},
    context::client_address,
    guard::{Guard, recover},
    settings::{Api, ApiSettings, BodyLimits},
};
pub(crate) use self::{
    credential::Credential,
    error::ApiError,
    trace::{
        Noted, Traced, client, has_credential, set_client, set_only_credential, set_peer_uid, take_noted,
    },
};
