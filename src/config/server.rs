//! `[server]`: the socket.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hyper::{Uri, http::HeaderValue};
use ipnet::IpNet;

use super::{
    accepts::{Choice, List, Size, Text, Time, Whole},
    section::section,
};

section! {
    /// The socket. Sizes are in bytes.
    pub struct ServerConfig in "server" {
        /// The address to listen on. With port 0 the system chooses a free one; the server prints the address at start.
        listen: SocketAddr = "127.0.0.1:8000", Text {
            what: "an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000",
            parse: |text| text.parse().ok(),
            valid: |_| true,
        };
        /// The proxies that are believed to name their clients. GET /whoami shows the resulting client address.
        trusted_proxies: Vec<IpNet> = [], List {
            least: 0,
            what: "networks or addresses, such as 10.0.0.0/8 or ::1",
            parse: network,
            valid: |_| true,
        };
        /// The header in which trusted proxies name their clients, read from right to left. The other one is ignored.
        forwarded_header: ForwardedHeader = "X-Forwarded-For", Choice(&[
            ("X-Forwarded-For", ForwardedHeader::XForwardedFor),
            ("Forwarded", ForwardedHeader::Forwarded),
        ]);
        /// The origins whose pages may call this server from a browser.
        cors_origins: Vec<HeaderValue> = [], List {
            least: 0,
            what: "exact origins, such as https://app.example.org",
            parse: origin,
            valid: |value| value.to_str().is_ok_and(|text| origin(text).is_some()),
        };
        /// The longest request body. A longer one is answered 413.
        max_body: usize = "16KiB", Size(1 << 10..=16 << 20);
        /// How long a client may take to send a request's header. Also how long a connection may stay idle between two
        /// requests.
        header_timeout: Duration = "10s", Time::AboveZero;
        /// How long a client may take to send a request's body (a slower one is answered 408), or to read any part of an
        /// answer.
        body_timeout: Duration = "10s", Time::AboveZero;
        /// How long running requests may take to finish after the server is told to stop. With 0s it cuts all of them at
        /// once.
        shutdown_grace: Duration = "10s", Time::Any;
        /// How many connections are open at a time. More wait to be accepted.
        max_connections: usize = 4096, Whole(1..=1_000_000);
        /// How many connections one address (IPv6: one /64) may have open. One more is closed at once. Trusted proxies may
        /// have any number.
        max_connections_per_address: usize = 1024, Whole(1..=1_000_000);
    }
}

/// The header in which trusted proxies name their clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: a list of addresses.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// A network in CIDR notation, or a single address.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// An origin exactly as a browser sends it (RFC 6454, section 6.1): the scheme, the host in lower case, the port unless it
/// is the scheme's default, and nothing after that.
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
