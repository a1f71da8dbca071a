//! `[server]`: the socket.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hyper::{Uri, http::HeaderValue};
use ipnet::IpNet;

use super::{
    error::ConfigError,
    setting::{Kind, Setting},
    source::Settings,
    value::{bytes, list, number, span, text},
};

const POSITIVE: &str = "a time above zero, such as 10s";

const LISTEN: Setting = Setting {
    key: "server.listen",
    default: "\"127.0.0.1:8000\"",
    kind: Kind::Text,
    accepts: "an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000",
    help: "The address to listen on. Port 0 picks a free one; the address is printed at start.",
};
const TRUSTED_PROXIES: Setting = Setting {
    key: "server.trusted_proxies",
    default: "[]",
    kind: Kind::List,
    accepts: "a list of networks or addresses, such as 10.0.0.0/8 or ::1",
    help: "The proxies whose X-Forwarded-For (or Forwarded) is believed, read from right to left. GET /whoami shows what comes of it.",
};
const CORS_ORIGINS: Setting = Setting {
    key: "server.cors_origins",
    default: "[]",
    kind: Kind::List,
    accepts: "a list of exact origins, such as https://app.example.org",
    help: "The origins whose pages may call this server from a browser.",
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

const MAX_CONNECTIONS_PER_ADDRESS: Setting = Setting {
    key: "server.max_connections_per_address",
    default: "1024",
    kind: Kind::Integer,
    accepts: "a whole number from 1 to 1000000",
    help: "How many connections one address (of IPv6: one /64) may have open. One more is closed at once; trusted proxies may have any number.",
};

pub(super) const SETTINGS: &[Setting] = &[
    LISTEN,
    TRUSTED_PROXIES,
    CORS_ORIGINS,
    MAX_BODY,
    HEADER_TIMEOUT,
    BODY_TIMEOUT,
    SHUTDOWN_GRACE,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ADDRESS,
];

/// The socket.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The origins whose pages may call, as a browser sends them.
    pub cors_origins: Vec<HeaderValue>,
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
    /// How many of one address.
    pub max_connections_per_address: usize,
}

impl ServerConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let positive = |setting| settings.read(setting, |raw| span(raw).filter(|time| !time.is_zero()));
        let body = |size: &u64| (1 << 10..=16 << 20).contains(size);
        let body = settings.read(&MAX_BODY, |raw| bytes(raw).filter(body)?.try_into().ok());
        Ok(Self {
            listen: settings.read(&LISTEN, |raw| text(raw)?.parse().ok())?,
            trusted_proxies: settings.read(&TRUSTED_PROXIES, |raw| list(raw, network))?,
            cors_origins: settings.read(&CORS_ORIGINS, |raw| list(raw, origin))?,
            max_body: body?,
            header_timeout: positive(&HEADER_TIMEOUT)?,
            body_timeout: positive(&BODY_TIMEOUT)?,
            shutdown_grace: settings.read(&SHUTDOWN_GRACE, span)?,
            max_connections: settings.read(&MAX_CONNECTIONS, |raw| number(raw, 1..=1_000_000))?,
            max_connections_per_address: settings
                .read(&MAX_CONNECTIONS_PER_ADDRESS, |raw| number(raw, 1..=1_000_000))?,
        })
    }
}

/// A network in CIDR notation, or a single address.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// An origin exactly as a browser writes it (RFC 6454, section 6.1): scheme, host in lower case, a port if it is not the
/// scheme's own, and nothing behind.
fn origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let own_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let exact = format!("{scheme}://{authority}") == text && text.to_ascii_lowercase() == text;
    let plain = !text.contains('@') && authority.port_u16() != Some(own_port);
    (exact && plain).then(|| HeaderValue::from_str(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_network_or_an_address() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("192.0.2.1", "192.0.2.1/32"),
        ] {
            assert_eq!(super::network(text), network.parse().ok());
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "proxy", "10.0.0.0/8 ", "*"] {
            assert_eq!(network(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_origin_is_written_as_a_browser_writes_it() {
        for text in [
            "https://app.example.org",
            "http://localhost:3000",
            "https://[2001:db8::1]:8443",
        ] {
            assert_eq!(origin(text).unwrap(), text);
        }
        for text in [
            "*",
            "null",
            "app.example.org",
            "https://app.example.org/",
            "https://app.example.org:443",
            "HTTPS://app.example.org",
            "https://App.example.org",
            "https://app.example.org/path",
            "https://me@app.example.org",
            "file://x",
        ] {
            assert_eq!(origin(text), None, "{text:?}");
        }
    }
}
