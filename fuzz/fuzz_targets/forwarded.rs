//! `X-Forwarded-For` and `Forwarded`: no content of these headers lets a client pass for another one.
//!
//! The lowest bit of the first byte chooses the header. The rest is its value, in which a line feed begins another line of the
//! same name.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use jwt_server::server::Proxies;
use libfuzzer_sys::{Corpus, fuzz_target};
use warp::http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

const PROXY: &str = "10.0.0.1:1234";
const STRANGER: &str = "203.0.113.9:1234";
const TRUSTED: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((choice, value)) = input.split_first() else {
        return Corpus::Reject;
    };
    let (name, other, forged) = if choice & 1 == 0 {
        (X_FORWARDED_FOR, FORWARDED, "6.6.6.6")
    } else {
        (FORWARDED, X_FORWARDED_FOR, "for=6.6.6.6")
    };
    let trusted: Vec<IpNet> = TRUSTED
        .iter()
        .map(|net| net.parse().expect("a network"))
        .collect();
    let proxies = Proxies::new(&trusted);
    let client = |peer: &str, headers: &HeaderMap| -> IpAddr {
        let peer: SocketAddr = peer.parse().expect("an address");
        proxies.client(peer.into(), headers).expect("a peer with an address").ip()
    };

    let mut headers = HeaderMap::new();
    for line in value.split(|byte| *byte == b'\n') {
        let Ok(line) = HeaderValue::from_bytes(line) else {
            return Corpus::Reject;
        };
        headers.append(&name, line);
    }
    let own = |peer: &str| peer.parse::<SocketAddr>().expect("an address").ip();
    assert_eq!(
        client(STRANGER, &headers),
        own(STRANGER),
        "a stranger was believed"
    );

    // The proxies write behind whatever a client writes.
    let seen = client(PROXY, &headers);
    let mut written_before = HeaderMap::new();
    written_before.append(&name, HeaderValue::from_static(forged));
    for line in headers.get_all(&name) {
        written_before.append(&name, line.clone());
    }
    if !proxies.trust(seen) {
        assert_eq!(
            client(PROXY, &written_before),
            seen,
            "what a client wrote was believed"
        );
    }
    // A proxy writes one of the two headers, and the server can't tell which.
    headers.append(&other, HeaderValue::from_static("whatever"));
    assert_eq!(client(PROXY, &headers), own(PROXY), "both headers were believed");
    Corpus::Keep
});
