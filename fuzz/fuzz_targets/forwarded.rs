//! `X-Forwarded-For` and `Forwarded`: no content of these headers lets a client pass for another one.
//!
//! The lowest bit of the first byte chooses the header, the next one whether the proxy writes on a line of its own. The rest is
//! what the client writes, in which a line feed begins another line of the same name.
//!
//! Bytes that no header can have stand for what a fuzzer seldom guesses:
//!
//! | byte | stands for |
//! |---|---|
//! | `01` `02` | a trusted proxy and another client, as `X-Forwarded-For` has them |
//! | `03` `04` | the same in IPv6 |
//! | `05` `06` `07` | an element of `Forwarded` for a trusted proxy, for another client, and for a proxy in IPv6 |
//!
//! Two judges share no code with the server: a second parser of the grammar, and an element whose meaning is known, because the
//! target makes it.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use jwt_server::{config::ForwardedHeader, server::Proxies};
use libfuzzer_sys::{Corpus, fuzz_target};
use warp::http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

const PROXY: &str = "10.0.0.1:1234";
const STRANGER: &str = "203.0.113.9:1234";
const CLIENT: &str = "192.0.2.1";
const TRUSTED: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((choice, value)) = input.split_first() else {
        return Corpus::Reject;
    };
    let (name, read, other) = if choice & 1 == 0 {
        (X_FORWARDED_FOR, ForwardedHeader::XForwardedFor, FORWARDED)
    } else {
        (FORWARDED, ForwardedHeader::Forwarded, X_FORWARDED_FOR)
    };
    let trusted: Vec<IpNet> = TRUSTED
        .iter()
        .map(|net| net.parse().expect("a network"))
        .collect();
    let proxies = Proxies::new(&trusted, read);
    let client = |peer: &str, headers: &HeaderMap| -> IpAddr {
        let peer: SocketAddr = peer.parse().expect("an address");
        proxies
            .client(peer.into(), headers)
            .expect("a peer with an address")
            .ip()
    };
    let own = |peer: &str| peer.parse::<SocketAddr>().expect("an address").ip();

    let value = fill(value);
    let lines: Vec<&[u8]> = value.split(|byte| *byte == b'\n').collect();
    let Some(mut headers) = header(&name, &lines) else {
        return Corpus::Reject;
    };
    assert_eq!(
        client(STRANGER, &headers),
        own(STRANGER),
        "a stranger was believed"
    );

    // The second parser.
    let hops = if name == FORWARDED {
        lines.iter().rev().flat_map(|line| elements(line)).collect()
    } else {
        plain(&lines)
    };
    let mut expected = own(PROXY);
    for hop in hops {
        let Some(address) = hop else { break };
        expected = address.to_canonical();
        let is_trusted = match expected {
            IpAddr::V4(address) => address.octets()[0] == 10,
            IpAddr::V6(address) => address.octets()[0] == 0xfd,
        };
        if !is_trusted {
            break;
        }
    }
    assert_eq!(
        client(PROXY, &headers),
        expected,
        "the second parser reads another client"
    );

    // What the proxy writes behind that, with some of the client's bytes in a quoted string.
    let written = if name == FORWARDED {
        let host = value.iter().filter(|byte| **byte != b'\n').flat_map(|byte| {
            [b'\\', *byte]
                .into_iter()
                .skip(usize::from(!b"\"\\".contains(byte)))
        });
        [
            format!("for={CLIENT};host=\"").as_bytes(),
            &host.collect::<Vec<_>>(),
            b"\"",
        ]
        .concat()
    } else {
        CLIENT.as_bytes().to_vec()
    };
    let mut after: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
    match after.last_mut().filter(|_| choice & 2 == 0) {
        Some(last) => {
            last.push(b',');
            last.extend(written);
        }
        None => after.push(written),
    }
    let after: Vec<&[u8]> = after.iter().map(Vec::as_slice).collect();
    let behind = header(&name, &after).expect("bytes that a header may have");
    assert_eq!(
        client(PROXY, &behind).to_string(),
        CLIENT,
        "what a client wrote was believed"
    );

    // The proxy passes the other header on as the client sent it, with or without one of its own.
    let alone = header(&other, &lines).expect("bytes that a header may have");
    assert_eq!(client(PROXY, &alone), own(PROXY), "the other header was read");
    for forged in ["6.6.6.6", "for=6.6.6.6"] {
        headers.append(&other, HeaderValue::from_static(forged));
    }
    assert_eq!(client(PROXY, &headers), expected, "the other header was read");
    Corpus::Keep
});

fn fill(template: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    for byte in template {
        let known = match byte {
            0x01 => "10.0.0.2",
            0x02 => "192.0.2.7",
            0x03 => "fd00::2",
            0x04 => "2001:db8::7",
            0x05 => "for=10.0.0.2",
            0x06 => "for=192.0.2.7",
            0x07 => "for=\"[fd00::2]\"",
            other => {
                value.push(*other);
                continue;
            }
        };
        value.extend(known.as_bytes());
    }
    value
}

fn header(name: &HeaderName, lines: &[&[u8]]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_bytes(line).ok()?);
    }
    Some(headers)
}

/// The hops of `X-Forwarded-For`, the last one first.
fn plain(lines: &[&[u8]]) -> Vec<Option<IpAddr>> {
    let line = lines.join(&b',');
    let line = String::from_utf8_lossy(&line).into_owned();
    let address = |text: &str| {
        let text = text.trim_matches([' ', '\t']);
        let inner = text.trim_start_matches('[').trim_end_matches(']');
        let bare: Option<IpAddr> = inner.parse().ok();
        let bracketed = format!("[{inner}]");
        let socket = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
        bare.filter(|_| text == inner || text == bracketed)
            .or_else(socket)
    };
    line.rsplit(',').map(address).collect()
}

/// The hops of a line of `Forwarded`, the last one first: each time the shortest rest of the line that is an element. Nothing
/// before a rest that is none can be told.
fn elements(mut line: &[u8]) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    loop {
        let behind_commas = (0..line.len()).filter(|at| line[*at] == b',').map(|at| at + 1);
        let mut starts: Vec<usize> = [0].into_iter().chain(behind_commas).collect();
        starts.reverse();
        let found = starts
            .into_iter()
            .find_map(|start| Some((start, pairs(&line[start..])?)));
        let Some((start, pairs)) = found else {
            hops.push(None);
            return hops;
        };
        let nodes: Vec<_> = pairs.iter().filter(|(name, _)| name == "for").collect();
        hops.push(match nodes[..] {
            [(_, value)] => node(value),
            _ => None,
        });
        if start == 0 {
            return hops;
        }
        line = &line[..start - 1];
    }
}

/// The names in lower case, and the values, of one element of `Forwarded`: one byte after the other.
fn pairs(element: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    enum State {
        Before,
        Name,
        Equals,
        Token,
        Quoted,
        Escaped,
        After,
    }
    let is_token = |byte: u8| byte > b' ' && byte < 127 && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
    let (mut state, mut pairs) = (State::Before, Vec::new());
    let (mut name, mut value) = (String::new(), Vec::new());
    for byte in element.iter().copied().chain([b';']) {
        state = match (state, byte) {
            (State::Before, b' ' | b'\t' | b';') => State::Before,
            (State::Before | State::Name, byte) if is_token(byte) => {
                name.push(char::from(byte.to_ascii_lowercase()));
                State::Name
            }
            (State::Name, b'=') => State::Equals,
            (State::Equals, b'"') => State::Quoted,
            (State::Equals | State::Token, byte) if is_token(byte) => {
                value.push(byte);
                State::Token
            }
            (State::Quoted, b'\\') => State::Escaped,
            (State::Quoted, b'"') | (State::Token | State::After, b' ' | b'\t') => State::After,
            (State::Quoted | State::Escaped, byte) => {
                value.push(byte);
                State::Quoted
            }
            (State::Token | State::After, b';') => {
                pairs.push((std::mem::take(&mut name), std::mem::take(&mut value)));
                State::Before
            }
            _ => return None,
        };
    }
    matches!(state, State::Before).then_some(pairs)
}

fn node(value: &[u8]) -> Option<IpAddr> {
    let value = String::from_utf8(value.to_vec()).ok()?;
    let is_port = |port: &str| {
        let name = port.strip_prefix('_').filter(|name| !name.is_empty());
        let is_number = (1..=5).contains(&port.len()) && port.chars().all(|c| c.is_ascii_digit());
        is_number
            || name.is_some_and(|name| {
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            })
    };
    let without_port = value.rsplit_once(':').filter(|(_, port)| is_port(port));
    [Some(value.as_str()), without_port.map(|(host, _)| host)]
        .into_iter()
        .flatten()
        .find_map(|host| {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            match inner {
                Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::from),
                None => host.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            }
        })
}
