//! Which client a request comes from: the peer of the connection, or, if the peer is a trusted proxy, the client that the proxy
//! names.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use ipnet::{IpNet, Ipv4Net};
use warp::http::{HeaderMap, header};

use super::{
    forwarded::{X_FORWARDED_FOR, forwarded, forwarded_for},
    listener::Peer,
};
use crate::{config::ForwardedHeader, domain::ClientAddress};

/// Of so many proxies the log says that they do not name their clients.
const NAMED_IN_LOG: usize = 16;

/// The proxies that are trusted to name the client of a request. [`serve`](super::serve) asks them for every request; the filter
/// [`client_address`](crate::http::client_address) has the answer. Another server that serves these routes must put the address
/// into the request's extensions.
#[derive(Debug)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: ForwardedHeader,
    /// Whether the log has been told of a proxy that seems to be missing here.
    missed_one: AtomicBool,
    /// Whether the log has been told of the header that is not read.
    other_came: AtomicBool,
    /// The proxies of which the log has been told that they do not name their clients.
    silent: [OnceLock<Peer>; NAMED_IN_LOG],
}

impl Proxies {
    /// The proxies in these networks, which name their clients in `header`.
    #[must_use]
    pub fn new(trusted: &[IpNet], header: ForwardedHeader) -> Self {
        Self {
            trusted: trusted.iter().map(canonical).collect(),
            header,
            missed_one: AtomicBool::new(false),
            other_came: AtomicBool::new(false),
            silent: Default::default(),
        }
    }

    /// Whether `peer` is a trusted proxy.
    #[must_use]
    pub fn trust(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|net| net.contains(&peer))
    }

    /// As [`trust`](Self::trust), for any peer. The mode of a Unix socket says who may open it, so its peers are trusted.
    pub(super) fn trust_peer(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(address) => self.trust(address),
            Peer::Unix { .. } => true,
        }
    }

    /// The address of the client behind `peer`, or of the peer if it names none; a peer on a Unix socket then has the address
    /// `127.0.0.1`, so that no limit by network leaves it out. `None` if that is unknown, which is never so yet. The header that proxies write is read from
    /// right to left, from the nearest proxy outwards, as long as the address that wrote an entry is trusted. The first one that is not is
    /// the client: everything further left can be its own invention. Only one header is read, because a proxy that writes one
    /// passes the other one on as the client sent it.
    #[must_use]
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<ClientAddress> {
        let nearest = match peer {
            Peer::Ip(address) => address,
            Peer::Unix { .. } => Ipv4Addr::LOCALHOST.into(),
        };
        if !self.trust_peer(peer) {
            self.warn_of_a_missed_proxy(nearest, headers);
            return Some(ClientAddress::new(nearest));
        }
        self.warn_of_headers(peer, headers);
        let client = match self.header {
            ForwardedHeader::XForwardedFor => self.first_untrusted(nearest, forwarded_for(headers)),
            ForwardedHeader::Forwarded => self.first_untrusted(nearest, forwarded(headers)),
        };
        Some(ClientAddress::new(client))
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

    /// Warns, once, of a peer that names clients although it is not trusted.
    fn warn_of_a_missed_proxy(&self, peer: IpAddr, headers: &HeaderMap) {
        if seems_a_proxy(peer, headers) && !self.missed_one.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "a proxy seems to pass requests on that is not in server.trusted_proxies: all its clients count as one, and \
                 one of them that guesses passwords slows down the others"
            );
        }
    }

    /// Warns of each trusted proxy whose request lacks the header that is read, and, once, of the other header.
    fn warn_of_headers(&self, peer: Peer, headers: &HeaderMap) {
        let (read, ignored) = match self.header {
            ForwardedHeader::XForwardedFor => (X_FORWARDED_FOR, header::FORWARDED),
            ForwardedHeader::Forwarded => (header::FORWARDED, X_FORWARDED_FOR),
        };
        if headers.contains_key(&ignored) && !self.other_came.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "a trusted proxy passes on the header {ignored}, which is ignored: server.forwarded_header is {read}. If the \
                 proxy writes {ignored}, change that setting; if a client does, let the proxy remove it"
            );
        }
        if !headers.contains_key(&read) && self.is_first_silence(peer) {
            tracing::warn!(
                %peer,
                "a request from a trusted proxy has no header {read} (server.forwarded_header): it counts as the proxy's own. If \
                 the proxy adds none, all its clients count as one, and one of them that guesses passwords slows down the others"
            );
        }
    }

    /// Whether this is the first request of `peer` that names no client.
    fn is_first_silence(&self, peer: Peer) -> bool {
        for place in &self.silent {
            if place.set(peer).is_ok() {
                return true;
            }
            if place.get() == Some(&peer) {
                return false;
            }
        }
        false
    }
}

/// The network of the peers in `net`, whose addresses are canonical: one of IPv4 addresses in IPv6 notation is one of IPv4.
fn canonical(net: &IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else { return *net };
    let address = mapped.addr().to_ipv4_mapped();
    let length = mapped.prefix_len().checked_sub(96);
    let ipv4 = address
        .zip(length)
        .map(|(address, length)| Ipv4Net::new(address, length));
    ipv4.and_then(Result::ok).map_or(*net, IpNet::V4)
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
        let header = if lines.iter().any(|(name, _)| *name == X_FORWARDED_FOR) {
            ForwardedHeader::XForwardedFor
        } else {
            ForwardedHeader::Forwarded
        };
        let client = Proxies::new(&trusted, header).client(peer.into(), &headers);
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
    }

    #[test]
    fn only_the_header_of_the_setting_is_read() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.append(header::FORWARDED, "for=192.0.2.1".parse().unwrap());
        headers.append(X_FORWARDED_FOR, "192.0.2.2".parse().unwrap());
        for (header, read, client) in [
            (ForwardedHeader::Forwarded, header::FORWARDED, "192.0.2.1"),
            (ForwardedHeader::XForwardedFor, X_FORWARDED_FOR, "192.0.2.2"),
        ] {
            let proxies = Proxies::new(&trusted, header);
            let seen = |headers: &HeaderMap| {
                let peer = Peer::Ip("10.0.0.1".parse().unwrap());
                proxies.client(peer, headers).unwrap().to_string()
            };
            assert_eq!(seen(&headers), client);
            let mut other_only = headers.clone();
            other_only.remove(read);
            assert_eq!(seen(&other_only), "10.0.0.1");
        }
    }

    #[test]
    fn a_peer_on_a_unix_socket_is_a_proxy_on_this_machine() {
        let proxies = Proxies::new(&["10.0.0.0/8".parse().unwrap()], ForwardedHeader::XForwardedFor);
        let peer = Peer::Unix { uid: Some(33) };
        for (line, client) in [
            (Some("6.6.6.6, 192.0.2.1"), "192.0.2.1"),
            (Some("192.0.2.1, 10.0.0.2"), "192.0.2.1"),
            (Some("unknown"), "127.0.0.1"),
            (None, "127.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(line) = line {
                headers.append(X_FORWARDED_FOR, line.parse().unwrap());
            }
            let seen = proxies.client(peer, &headers).unwrap().to_string();
            assert_eq!(seen, client, "{line:?}");
        }
    }

    #[test]
    fn each_proxy_without_the_header_is_noticed_once() {
        let proxies = Proxies::new(&[], ForwardedHeader::XForwardedFor);
        let peer = |last: usize| Peer::Ip(format!("10.0.0.{last}").parse().unwrap());
        for last in 0..NAMED_IN_LOG {
            assert!(proxies.is_first_silence(peer(last)));
            assert!(!proxies.is_first_silence(peer(last)));
            assert!(!proxies.is_first_silence(peer(0)));
        }
        assert!(
            !proxies.is_first_silence(peer(NAMED_IN_LOG)),
            "the log is bounded"
        );
    }

    #[test]
    fn a_trusted_peer_is_recognised_in_either_notation() {
        for peer in ["10.0.0.1", "[::ffff:10.0.0.1]"] {
            for trusted in [
                "10.0.0.0/8",
                "::ffff:10.0.0.0/104",
                "::ffff:10.0.0.1/128",
                "::ffff:0:0/96",
            ] {
                let client = seen(peer, &[(X_FORWARDED_FOR, "192.0.2.1")], &[trusted]);
                assert_eq!(client, "192.0.2.1", "{peer} in {trusted}");
            }
            for trusted in ["::ffff:11.0.0.0/104", "::ffff:10.0.0.2/128", "fd00::/8"] {
                let client = seen(peer, &[(X_FORWARDED_FOR, "192.0.2.1")], &[trusted]);
                assert_eq!(client, "10.0.0.1", "{peer} in {trusted}");
            }
        }
    }
}
