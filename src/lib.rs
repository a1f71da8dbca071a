#![doc = include_str!("../docs/library.md")]

pub mod auth;
#[doc(hidden)]
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod event;
pub mod http;
pub mod keys;
mod passwords;
pub mod server;
pub mod store;
mod telemetry;
mod throttle;
mod tokens;
pub mod transfer;

pub use crate::{
    auth::{Auth, AuthError, Principal},
    config::Config,
    domain::{Role, Roles},
    http::{Api, ApiSettings, Guard, recover},
    server::serve,
    telemetry::{AuditLog, EventLog},
};
