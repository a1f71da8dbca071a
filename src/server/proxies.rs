//! Whose request it is: the peer of the connection, or, if that is a proxy that is trusted, whom the proxy names.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use ipnet::IpNet;
use warp::http::{HeaderMap, HeaderName, header};

use super::listener::Peer;
use crate::domain::ClientAddress;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word is taken for where a request comes from. [`serve`](super::serve) asks it for every request and
/// leaves the answer in the request's extensions, where the routes find it; so must whoever serves them by other means.
#[derive(Debug)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    /// Whether it was said that there seems to be one which is not trusted.
    missed_one: AtomicBool,
}

impl Proxies {
    /// Those in `trusted`.
    #[must_use]
    pub fn new(trusted: &[IpNet]) -> Self {
        Self {
            trusted: trusted.to_vec(),
            missed_one: AtomicBool::new(false),
        }
    }

    /// Whether the word of `peer` is taken.
    #[must_use]
    pub fn trust(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|net| net.contains(&peer))
    }

    /// Whether `peer` is one whose word is taken.
    pub(super) fn trust_peer(&self, peer: Peer) -> bool {
        matches!(peer, Peer::Ip(address) if self.trust(address))
    }

    /// The address of the client behind `peer`. What the proxies wrote is read from right to left, from the nearest one out,
    /// for as long as the ones who wrote it are trusted: the first who is not is the client. Whatever stands further left
    /// could have been written by that client itself.
    #[must_use]
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<ClientAddress> {
        let Peer::Ip(mut nearest) = peer else {
            return None;
        };
        if self.trust(nearest) {
            for hop in hops(headers).into_iter().rev() {
                // A hop that hides its name ends what can be known.
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

/// Whether `peer` is a neighbour who says that it speaks for somebody else.
fn seems_a_proxy(peer: IpAddr, headers: &HeaderMap) -> bool {
    let near = match peer.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    };
    near && (headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED))
}

/// The addresses that the proxies wrote, in their order; `None` for what is no address: in `X-Forwarded-For`, or in
/// `Forwarded` (RFC 7239). A proxy writes one of them and passes the other on as the client sent it, and which one can't be
/// told: if both are there, neither counts.
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
