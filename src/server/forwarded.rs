//! What proxies write of the clients before them, in `Forwarded` (RFC 7239) or `X-Forwarded-For`: the addresses, from the last
//! one written to the first. It knows no proxy and trusts none.
//!
//! A proxy appends to what it received, so only the end of a header is the nearest proxy's. Both headers are therefore read
//! backwards, and nothing further left, such as a quotation mark without its partner, changes how the end is read.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str,
};

use warp::http::{HeaderMap, HeaderName, header};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The addresses in `X-Forwarded-For`, the last one first; `None` for each entry that is no address.
pub(super) fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',').map(plain_node))
}

/// The addresses in `Forwarded`, the last one first; `None` for each element that is malformed or names no address.
///
/// A quoted string ends in its line at the latest: what a proxy adds as a line of its own is read alone.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(header::FORWARDED).iter().rev();
    lines.flat_map(|line| Elements(Some(line.as_bytes())).map(for_of))
}

/// The elements of a line, the last one first. Holds what is left of the line of which an element remains.
struct Elements<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0.take()?;
        let mut end = line.len();
        while let Some(at) = end.checked_sub(1) {
            match line[at] {
                b',' => {
                    self.0 = Some(&line[..at]);
                    return Some(&line[end..]);
                }
                b'"' => match opening(&line[..at]) {
                    Some(opening) => end = opening,
                    // What opens the string is missing: everything before belongs to an element that is malformed.
                    None => break,
                },
                _ => end = at,
            }
        }
        Some(line)
    }
}

/// Where the quoted string opens that closes right behind `before`. A quotation mark inside the string has an odd number of
/// backslashes in front of it.
fn opening(before: &[u8]) -> Option<usize> {
    let is_opening = |at: &usize| {
        let backslashes = before[..*at].iter().rev().take_while(|byte| **byte == b'\\');
        before[*at] == b'"' && backslashes.count() % 2 == 0
    };
    (0..before.len()).rev().find(is_opening)
}

/// The address in the `for` of an element. Returns `None` if the element is malformed (RFC 7239, section 4), has `for` not
/// exactly once, or names no address with it. White space around `;` is accepted, as some proxies write it.
fn for_of(element: &[u8]) -> Option<IpAddr> {
    let mut rest = element.trim_ascii();
    let mut client = None;
    while !rest.is_empty() {
        if rest[0] != b';' {
            let (name, after) = token(rest)?;
            let (value, after) = value(after.strip_prefix(b"=")?)?;
            if name.eq_ignore_ascii_case(b"for") && client.replace(value).is_some() {
                return None;
            }
            rest = after.trim_ascii_start();
            if rest.is_empty() {
                break;
            }
        }
        rest = rest.strip_prefix(b";")?.trim_ascii_start();
    }
    node(&client?)
}

/// The token (RFC 9110, section 5.6.2) at the start of `text`, and what follows it.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = text.iter().take_while(|byte| is_in_token(byte)).count();
    (length > 0).then(|| text.split_at(length))
}

/// The token or the quoted string (RFC 9110, section 5.6.4) at the start of `text`, and what follows it.
fn value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (token, after) = token(text)?;
        return Some((token.into(), after));
    };
    let mut at = 0;
    while *quoted.get(at)? != b'"' {
        at += if quoted[at] == b'\\' { 2 } else { 1 };
    }
    let (string, after) = (&quoted[..at], &quoted[at + 1..]);
    if !string.contains(&b'\\') {
        return Some((string.into(), after));
    }
    let mut bytes = string.iter();
    let mut plain = Vec::with_capacity(string.len());
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == b'\\' { *bytes.next()? } else { *byte });
    }
    Some((plain.into(), after))
}

/// The address of a node (RFC 7239, section 6): IPv4, or IPv6 in brackets, and perhaps a port.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let (address, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        (IpAddr::from(address.parse::<Ipv6Addr>().ok()?), port)
    } else {
        let (address, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (IpAddr::from(address.parse::<Ipv4Addr>().ok()?), port)
    };
    is_port(port).then_some(address)
}

/// Whether `text` is nothing, or a colon and a port, or a colon and a name that hides the port.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    let all = |text: &str, is: fn(u8) -> bool| !text.is_empty() && text.bytes().all(is);
    let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match port.strip_prefix('_') {
        Some(name) => all(name, is_in_name),
        None => port.len() <= 5 && all(port, |byte| byte.is_ascii_digit()),
    }
}

/// An address in `X-Forwarded-For`, with or without a port, an IPv6 one perhaps in brackets.
fn plain_node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim_ascii();
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bracketed.unwrap_or(text).parse::<IpAddr>().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&[u8]]) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                header::FORWARDED,
                warp::http::HeaderValue::from_bytes(line).unwrap(),
            );
        }
        forwarded(&headers)
            .map(|hop| hop.map(|address| address.to_string()))
            .collect()
    }

    fn last(line: &str) -> Option<String> {
        read(&[line.as_bytes()]).swap_remove(0)
    }

    #[test]
    fn forwarded_is_read_by_the_grammar_of_rfc_7239() {
        for (line, client) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            ("For=\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
            ("FOR=\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("for=\"192.0.2.1:80\"", Some("192.0.2.1")),
            ("for=\"192.0.2.1:_port\"", Some("192.0.2.1")),
            ("for=\"\\1\\92.0.2.1\"", Some("192.0.2.1")),
            ("for=192.0.2.1;by=\"[fd00::1]\";proto=https", Some("192.0.2.1")),
            ("host=\"a;for=6.6.6.6\";for=192.0.2.1", Some("192.0.2.1")),
            ("for=192.0.2.1;host=\"x,for=6.6.6.6\"", Some("192.0.2.1")),
            ("for=192.0.2.1;host=\"x\\\",for=6.6.6.6\"", Some("192.0.2.1")),
            ("for=192.0.2.1;host=\"x\\\\\"", Some("192.0.2.1")),
            ("proto=http ; for=192.0.2.1;", Some("192.0.2.1")),
            (";;for=192.0.2.1", Some("192.0.2.1")),
            ("for=192.0.2.1;host=\"\"", Some("192.0.2.1")),
            ("for=6.6.6.6\t,\tfor=192.0.2.1 ", Some("192.0.2.1")),
            ("for=192.0.2.1,", None),
            ("for=unknown", None),
            ("for=_hidden", None),
            ("by=10.0.0.2", None),
            ("for=192.0.2.1;for=192.0.2.1", None),
            ("host=x;for=6.6.6.6;FOR=192.0.2.1", None),
            ("for = 192.0.2.1", None),
            ("for=", None),
            ("for", None),
            ("for=192.0.2.1 proto=http", None),
            ("for=192.0.2.1:80", None),
            ("for=[2001:db8::1]", None),
            ("for=\"2001:db8::1\"", None),
            ("for=\"192.0.2.1:123456\"", None),
            ("for=\"192.0.2.1:\"", None),
            ("for=\"192.0.2.1", None),
            ("for=192.0.2.1\"", None),
            ("for=\"192.0.2.1\\\"", None),
            ("for=192.0.2.1;host=\"x\"y", None),
            ("", None),
        ] {
            assert_eq!(last(line).as_deref(), client, "{line:?}");
        }
    }

    #[test]
    fn an_open_quotation_swallows_nothing_behind_it() {
        for (line, expected) in [
            ("for=\", for=192.0.2.1", vec![Some("192.0.2.1"), None]),
            (
                "for=\"6.6.6.6, for=192.0.2.1;host=\"x\"",
                vec![Some("192.0.2.1"), None],
            ),
            (
                "for=6.6.6.6;host=\"\\, for=192.0.2.1;host=\"\\\"\"",
                vec![Some("192.0.2.1"), None],
            ),
            (
                "a=\"b, for=10.0.0.1, for=10.0.0.2",
                vec![Some("10.0.0.2"), Some("10.0.0.1"), None],
            ),
        ] {
            let hops = read(&[line.as_bytes()]);
            let hops: Vec<_> = hops.iter().map(Option::as_deref).collect();
            assert_eq!(hops, expected, "{line:?}");
        }
        let lines: [&[u8]; 2] = [b"for=\"6.6.6.6", b"for=192.0.2.1;host=\"x\""];
        assert_eq!(read(&lines), [Some("192.0.2.1".to_owned()), None]);
    }

    proptest! {
        /// The proxy's element is made here, and no parser says what it means.
        #[test]
        fn nothing_that_a_client_writes_changes_what_follows(
            client in "[for=,;\"\\\\ a.6]{0,24}",
            host in "[ -~]{0,16}",
            nearest in any::<IpAddr>(),
            before in any::<IpAddr>(),
            host_first in any::<bool>(),
            own_line in any::<bool>(),
        ) {
            let element = |address: IpAddr, host: &str| {
                let host = host.replace('\\', "\\\\").replace('"', "\\\"");
                let node = match address {
                    IpAddr::V4(address) => format!("for={address}"),
                    IpAddr::V6(address) => format!("for=\"[{address}]\""),
                };
                if host_first { format!("host=\"{host}\";{node}") } else { format!("{node};host=\"{host}\"") }
            };
            let proxies = format!("{},{}", element(before, &host), element(nearest, &host));
            let hops = if own_line {
                read(&[client.as_bytes(), proxies.as_bytes()])
            } else {
                read(&[format!("{client},{proxies}").as_bytes()])
            };
            prop_assert_eq!(&hops[..2], &[Some(nearest.to_string()), Some(before.to_string())]);
        }
    }
}
