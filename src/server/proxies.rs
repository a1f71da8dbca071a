//! Which client a request comes from: the peer of the connection, or, if the peer is a trusted proxy, the client that the proxy
//! names.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use ipnet::IpNet;
use warp::http::{HeaderMap, HeaderName, header};

use super::listener::Peer;
use crate::domain::ClientAddress;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that are trusted to name the client of a request. [`serve`](super::serve) asks them for every request; the filter
/// [`client_address`](crate::http::client_address) has the answer. Another server that serves these routes must put the address
/// into the request's extensions.
#[derive(Debug)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    /// Whether the log has been told of a proxy that seems to be missing here.
    missed_one: AtomicBool,
}

impl Proxies {
    /// The proxies in these networks.
    #[must_use]
    pub fn new(trusted: &[IpNet]) -> Self {
        Self {
            trusted: trusted.to_vec(),
            missed_one: AtomicBool::new(false),
        }
    }

    /// Whether `peer` is a trusted proxy.
    #[must_use]
    pub fn trust(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|net| net.contains(&peer))
    }

    /// As [`trust`](Self::trust), for any peer.
    pub(super) fn trust_peer(&self, peer: Peer) -> bool {
        matches!(peer, Peer::Ip(address) if self.trust(address))
    }

    /// The address of the client behind `peer`; `None` if the peer has no address. The headers that proxies write are read from
    /// right to left, from the nearest proxy outwards, as long as the address that wrote an entry is trusted. The first one that is not is
    /// the client: everything further left can be its own invention.
    #[must_use]
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<ClientAddress> {
        let Peer::Ip(mut nearest) = peer else {
            return None;
        };
        if self.trust(nearest) {
            for hop in hops(headers).into_iter().rev() {
                // A hop that hides its address ends the known part of the way.
                let Some(address) = hop else { break };
                nearest = address;
                if !self.trust(address) {
                    break;
                }
            }
        } else if seems_a_proxy(nearest, headers) && !self.missed_one.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                peer = %nearest,
                "a proxy seems to pass requests on that is not in server.trusted_proxies: all its clients count as one, and \
                 one of them that guesses passwords slows down the others"
            );
        }
        Some(ClientAddress::new(nearest))
    }
}

/// Whether `peer` is a neighbour and sends headers that only a proxy has.
fn seems_a_proxy(peer: IpAddr, headers: &HeaderMap) -> bool {
    let near = match peer.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    };
    near && (headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED))
}

/// The addresses that the proxies wrote, in their order, in `X-Forwarded-For` or in `Forwarded` (RFC 7239); `None` for an entry
/// that is no address. A proxy writes one of the two headers and passes the other one on as the client sent it, and the server
/// cannot tell which. If both are present, neither counts.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = |name: HeaderName| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let forwarded_for = values(X_FORWARDED_FOR);
    let elements = values(header::FORWARDED);
    if !forwarded_for.is_empty() && !elements.is_empty() {
        return Vec::new();
    }
    if forwarded_for.is_empty() {
        return elements
            .iter()
            .flat_map(|value| value.split(','))
            .map(forwarded)
            .collect();
    }
    forwarded_for
        .iter()
        .flat_map(|value| value.split(','))
        .map(node)
        .collect()
}

/// The `for` of one element of `Forwarded`.
fn forwarded(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| node(value.trim().trim_matches('"')))?
    })
}

/// An address, with or without a port, an IPv6 one perhaps in brackets.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bracketed.unwrap_or(text).parse::<IpAddr>().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[(HeaderName, &str)], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let peer: SocketAddr = format!("{peer}:1234").parse().unwrap();
        let client = Proxies::new(&trusted).client(peer.into(), &headers);
        client.unwrap().to_string()
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_whatever_it_writes() {
        for name in [X_FORWARDED_FOR, header::FORWARDED] {
            let lines = [(name.clone(), "192.0.2.1"), (name, "for=192.0.2.1")];
            assert_eq!(seen("203.0.113.9", &lines, &[]), "203.0.113.9");
            assert_eq!(seen("203.0.113.9", &lines, &["10.0.0.0/8"]), "203.0.113.9");
        }
    }

    #[test]
    fn the_first_from_the_right_that_is_not_trusted_is_the_client() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        for (line, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
            ("6.6.6.6,192.0.2.1 , 10.0.0.3,10.0.0.2", "192.0.2.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("192.0.2.1:5678", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:5678, fd00::7", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("192.0.2.1, , 10.0.0.2", "10.0.0.2"),
            ("", "10.0.0.1"),
            ("unknown", "10.0.0.1"),
            ("192.0.2.1\t", "192.0.2.1"),
        ] {
            assert_eq!(
                seen("10.0.0.1", &[(X_FORWARDED_FOR, line)], &trusted),
                client,
                "{line:?}"
            );
        }
        let two_lines = [
            (X_FORWARDED_FOR, "6.6.6.6"),
            (X_FORWARDED_FOR, "192.0.2.1, 10.0.0.2"),
        ];
        assert_eq!(seen("10.0.0.1", &two_lines, &trusted), "192.0.2.1");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        for (line, client) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=6.6.6.6, for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"),
            ("proto=http; for=192.0.2.1", "192.0.2.1"),
            ("for=192.0.2.1, for=_hidden", "10.0.0.1"),
            ("by=10.0.0.2", "10.0.0.1"),
        ] {
            assert_eq!(
                seen("10.0.0.1", &[(header::FORWARDED, line)], &["10.0.0.0/8"]),
                client,
                "{line:?}"
            );
        }
        let both = [(header::FORWARDED, "for=6.6.6.6"), (X_FORWARDED_FOR, "192.0.2.1")];
        assert_eq!(seen("10.0.0.1", &both, &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn a_trusted_peer_is_recognised_in_either_notation() {
        assert_eq!(
            seen(
                "[::ffff:10.0.0.1]",
                &[(X_FORWARDED_FOR, "192.0.2.1")],
                &["10.0.0.0/8"]
            ),
            "192.0.2.1"
        );
    }
}
