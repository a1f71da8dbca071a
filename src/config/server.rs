//! `[server]`: the socket.

use std::{net::SocketAddr, time::Duration};

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::{bytes, number, span, text},
};

const POSITIVE: &str = "a time above zero, such as 10s";

const LISTEN: Setting = Setting {
    key: "server.listen",
    default: "\"127.0.0.1:8000\"",
    kind: Kind::Text,
    accepts: "an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000",
    help: "The address to listen on. Port 0 picks a free one; the address is printed at start.",
};
const MAX_BODY: Setting = Setting {
    key: "server.max_body",
    default: "\"16KiB\"",
    kind: Kind::Text,
    accepts: "a size from 1KiB to 16MiB, such as 16KiB",
    help: "The longest request body. A longer one is answered 413.",
};
const HEADER_TIMEOUT: Setting = Setting {
    key: "server.header_timeout",
    default: "\"10s\"",
    kind: Kind::Text,
    accepts: POSITIVE,
    help: "How long a client may take to send a request's header. Also how long a connection may sit idle between two requests.",
};
const BODY_TIMEOUT: Setting = Setting {
    key: "server.body_timeout",
    default: "\"10s\"",
    kind: Kind::Text,
    accepts: POSITIVE,
    help: "How long a client may take to send a request's body (a slower one is answered 408), or to read any of an answer.",
};
const SHUTDOWN_GRACE: Setting = Setting {
    key: "server.shutdown_grace",
    default: "\"10s\"",
    kind: Kind::Text,
    accepts: "a time, such as 10s; 0s cuts everything at once",
    help: "How long requests that are running when the server is told to stop may take to finish.",
};
const MAX_CONNECTIONS: Setting = Setting {
    key: "server.max_connections",
    default: "4096",
    kind: Kind::Integer,
    accepts: "a whole number from 1 to 1000000",
    help: "How many connections are open at a time. More wait to be accepted.",
};

pub(super) const SETTINGS: &[Setting] = &[
    LISTEN,
    MAX_BODY,
    HEADER_TIMEOUT,
    BODY_TIMEOUT,
    SHUTDOWN_GRACE,
    MAX_CONNECTIONS,
];

/// The socket.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The longest request body, in bytes.
    pub max_body: usize,
    /// The longest time from a connection's readiness to a request's whole header.
    pub header_timeout: Duration,
    /// The longest time from a request's header to its whole body.
    pub body_timeout: Duration,
    /// How long running requests may take when the server is told to stop.
    pub shutdown_grace: Duration,
    /// How many connections are open at a time.
    pub max_connections: usize,
}

impl ServerConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let positive = |setting| settings.read(setting, |raw| span(raw).filter(|time| !time.is_zero()));
        let body = |size: &u64| (1 << 10..=16 << 20).contains(size);
        let body = settings.read(&MAX_BODY, |raw| bytes(raw).filter(body)?.try_into().ok());
        Ok(Self {
            listen: settings.read(&LISTEN, |raw| text(raw)?.parse().ok())?,
            max_body: body?,
            header_timeout: positive(&HEADER_TIMEOUT)?,
            body_timeout: positive(&BODY_TIMEOUT)?,
            shutdown_grace: settings.read(&SHUTDOWN_GRACE, span)?,
            max_connections: settings.read(&MAX_CONNECTIONS, |raw| number(raw, 1..=1_000_000))?,
        })
    }
}
