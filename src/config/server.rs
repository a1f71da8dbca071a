//! `[server]`: the socket.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use hyper::http::{HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv6Net};

use super::{
    accepts::{Addresses, Choice, List, Mode, Size, Time, Whole},
    listen::ListenAddress,
    section::section,
};

section! {
    /// The socket. Sizes are in bytes.
    pub struct ServerConfig in "server" {
        /// The addresses to listen on. `localhost` is both loopback addresses. With port 0 the system chooses a free one;
        /// the server prints its addresses at start. A Unix socket is for proxies, which it trusts to name their clients.
        listen: Vec<ListenAddress> = ["localhost:8000"], Addresses;
        /// The mode of the Unix sockets: each process that may write to one counts as a trusted proxy. With 660, those are
        /// the processes of the server's own user and group.
        unix_mode: u32 = "660", Mode;
        /// The proxies that are believed to name their clients. GET /whoami shows the resulting client address.
        trusted_proxies: Vec<IpNet> = [], List {
            least: 0,
            what: "networks or addresses, such as 10.0.0.0/8 or ::1",
            parse: network,
            valid: |net| network(&net.to_string()).is_some(),
        };
        /// The header in which trusted proxies name their clients, read from right to left. The other one is ignored.
        forwarded_header: ForwardedHeader = "X-Forwarded-For", Choice(&[
            ("X-Forwarded-For", ForwardedHeader::XForwardedFor),
            ("Forwarded", ForwardedHeader::Forwarded),
        ]);
        /// The origins whose pages may call this server from a browser.
        cors_origins: Vec<HeaderValue> = [], List {
            least: 0,
            what: "exact origins without wildcards, such as https://app.example.org or capacitor://localhost",
            parse: origin,
            valid: |value| value.to_str().is_ok_and(|text| origin(text).is_some()),
        };
        /// The request headers that those pages may send, beside the ones that a browser always allows.
        cors_headers: Vec<HeaderName> = ["Authorization", "Content-Type", "Accept"], List {
            least: 0,
            what: "names of headers, such as Authorization",
            parse: header_name,
            valid: |name| header_name(name.as_str()).is_some(),
        };
        /// The longest request body. A longer one is answered 413.
        max_body: usize = "16KiB", Size(1 << 10..=16 << 20);
        /// How long a client may take to send a request's header, the first one also counted from the connection.
        header_timeout: Duration = "10s", Time::AboveZero;
        /// How long a connection may stay idle after a request. Set it above the time for which a proxy keeps idle
        /// connections.
        idle_timeout: Duration = "75s", Time::AboveZero;
        /// How long a client may take to send a request's body (a slower one is answered 408), or to read any part of an
        /// answer.
        body_timeout: Duration = "10s", Time::AboveZero;
        /// How long running requests may take to finish after the server is told to stop. With 0s it cuts all of them at
        /// once.
        shutdown_grace: Duration = "10s", Time::Any;
        /// How many connections are open at a time. One more closes the one that has been idle longest, or waits while none
        /// is idle.
        max_connections: usize = 4096, Whole(1..=1_000_000);
        /// How many connections one address may have open. For IPv6: one /64; a /56 may have twice as many, a /48 four times
        /// as many. One more closes the idlest of them, or is itself closed if none is idle. Trusted proxies may have any
        /// number. It is also how many refusals (429 and 503) a second one address is answered before its requests wait.
        max_connections_per_address: usize = 256, Whole(1..=1_000_000);
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

/// The schemes of HTTP, each with its default port.
const SCHEMES: [(&str, u16); 2] = [("http", 80), ("https", 443)];
/// The schemes whose pages are part of an app or of a browser extension. They have no ports.
const APP_SCHEMES: [&str; 8] = [
    "app",
    "capacitor",
    "chrome-extension",
    "electron",
    "ionic",
    "moz-extension",
    "safari-web-extension",
    "tauri",
];

/// A network in CIDR notation, or a single address. Returns `None` for one that begins with an IPv4 address in IPv6 notation
/// and has other addresses as well: no peer is ever in its IPv4 part.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(address)?;
    let is_mixed = |net: &Ipv6Net| net.prefix_len() < 96 && net.addr().to_ipv4_mapped().is_some();
    let is_meant = !matches!(&network, IpNet::V6(net) if is_mixed(net));
    is_meant.then_some(network)
}

/// An origin exactly as a browser sends it (RFC 6454, section 6.1): the scheme, the host in lower case, the port unless it
/// is the scheme's default, and nothing after that. Returns `None` for everything that no browser sends, such as a wildcard.
fn origin(text: &str) -> Option<HeaderValue> {
    let (scheme, rest) = text.split_once("://")?;
    let is_sent = match SCHEMES.iter().find(|(name, _)| *name == scheme) {
        Some((_, own_port)) => is_host_and_port(rest, *own_port),
        // A browser leaves the case of these hosts as it is.
        None => APP_SCHEMES.contains(&scheme) && is_name(&rest.to_ascii_lowercase()),
    };
    is_sent.then(|| HeaderValue::from_str(text).ok())?
}

fn is_host_and_port(text: &str, own_port: u16) -> bool {
    let end = text.rfind(']').map_or(0, |bracket| bracket + 1);
    let colon = text[end..].find(':').map_or(text.len(), |colon| end + colon);
    let (host, port) = text.split_at(colon);
    let is_port = |port: &str| {
        let number = port.parse::<u16>();
        number.is_ok_and(|number| number != own_port && number.to_string() == port)
    };
    is_host(host) && port.strip_prefix(':').is_none_or(is_port)
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address
            .parse::<Ipv6Addr>()
            .is_ok_and(|parsed| parsed.to_string() == address);
    }
    // A browser reads a host that ends in a number as an IPv4 address.
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_number =
        last.starts_with(|c: char| c.is_ascii_digit()) && last.bytes().all(|byte| byte.is_ascii_digit());
    is_name(host) && (!is_number || host.parse::<Ipv4Addr>().is_ok())
}

fn is_name(host: &str) -> bool {
    let is_in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !host.is_empty() && host.bytes().all(is_in_name)
}

/// The name of a header. `*` is none: it would not stand for `Authorization` (the Fetch standard, section 3.3.6).
fn header_name(text: &str) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    name.filter(|name| name.as_str() != "*")
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
        for text in ["::ffff:10.0.0.0/104", "::ffff:0:0/96", "::ffff:192.0.2.1", "::/0"] {
            assert!(network(text).is_some(), "{text:?}");
        }
        for text in [
            "::ffff:10.0.0.0/95",
            "",
            "10.0.0.0/33",
            "10.0.0",
            "proxy",
            "10.0.0.0/8 ",
            "*",
        ] {
            assert_eq!(network(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_origin_is_written_as_a_browser_writes_it() {
        for text in [
            "https://app.example.org",
            "http://localhost:3000",
            "https://[2001:db8::1]:8443",
            "https://[2001:db8::1]",
            "http://192.0.2.1:8080",
            "https://xn--bcher-kva.example",
            "capacitor://localhost",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "safari-web-extension://0D5A35F3-9D0B-4D11-9B0E-6A2F9C2E1B11",
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
            "https://*.example.org",
            "https://*",
            "*://app.example.org",
            "https://app.example.org:",
            "https://app.example.org:*",
            "https://app.example.org:08443",
            "https://app.example.org:99999",
            "https://[2001:DB8::1]",
            "https://[2001:db8:0:0:0:0:0:1]",
            "https://[2001:db8::1",
            "http://127.1",
            "https://b\u{fc}cher.example",
            "https://app%2eexample.org",
            "https://",
            "htps://app.example.org",
            "capacitor://",
            "capacitor://localhost/",
            "chrome-extension://*",
            "tauri://localhost:80",
        ] {
            assert_eq!(origin(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_header_that_pages_may_send_has_a_name() {
        for text in ["Authorization", "x-csrf-token", "traceparent"] {
            assert_eq!(header_name(text).unwrap().as_str(), text.to_ascii_lowercase());
        }
        for text in ["*", "", "a b", "a:"] {
            assert_eq!(header_name(text), None, "{text:?}");
        }
    }
}
