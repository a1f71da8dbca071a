//! Which client a request comes from: the peer of the connection, or, if the peer is a trusted proxy, the client that the proxy
//! names.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use ipnet::IpNet;
use warp::http::{HeaderMap, header};

use super::{
    forwarded::{X_FORWARDED_FOR, forwarded, forwarded_for},
    listener::Peer,
};
use crate::domain::ClientAddress;

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
            // A proxy writes one of the two and passes the other one on as the client sent it. Which one can't be told.
            match (
                headers.contains_key(X_FORWARDED_FOR),
                headers.contains_key(header::FORWARDED),
            ) {
                (true, false) => nearest = self.first_untrusted(nearest, forwarded_for(headers)),
                (false, true) => nearest = self.first_untrusted(nearest, forwarded(headers)),
                (true, true) | (false, false) => {}
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

    /// The first of `hops` that is not trusted, or the last one that is known. A hop that hides its name ends what can be known.
    fn first_untrusted(&self, mut nearest: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        for hop in hops {
            let Some(address) = hop else { break };
            nearest = address;
            if !self.trust(address) {
                break;
            }
        }
        nearest
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use warp::http::HeaderName;

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
    fn a_client_can_not_outrank_the_proxy_that_it_writes_to() {
        for (line, client) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("for=6.6.6.6, for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"),
            ("for=6.6.6.6, for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
            ("proto=http; for=192.0.2.1", "192.0.2.1"),
            ("for=192.0.2.1;host=\"x,for=6.6.6.6\"", "192.0.2.1"),
            ("for=\"6.6.6.6, for=192.0.2.1;host=\"x\"", "192.0.2.1"),
            ("for=\"6.6.6.6, for=10.0.0.3", "10.0.0.3"),
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
