//! Makes the sockets at the addresses of the settings: what an address stands for, and why one can't be had.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustix::{io::Errno, net::sockopt};
use tokio::net::{TcpListener, TcpSocket};

use super::{listener::BACKLOG, socket::Socket, unix_socket::UnixSocket};
use crate::config::ListenAddress;

/// How many ports that the system chooses are tried until one is free on both loopback addresses.
const PORT_TRIES: usize = 16;

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Why a server can't listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The system refuses an address, or a file is in the way of a Unix socket.
    #[error(
        "can't listen on {address}{} (server.listen): {source}{}",
        part_of(address, asked),
        advice(address, source)
    )]
    Refused {
        /// The address, one of the two if the setting has `localhost`.
        address: ListenAddress,
        /// The address as the setting has it.
        asked: ListenAddress,
        /// What the system said.
        source: io::Error,
    },
    /// The setting has an address twice, or one that another one includes.
    #[error(
        "can't listen on {address} (server.listen): the setting has it twice{}; leave one of the two out",
        as_part_of(address, other)
    )]
    Overlap {
        /// The address.
        address: ListenAddress,
        /// The one that includes it.
        other: ListenAddress,
    },
}

/// Listens at each of `addresses`; Unix sockets get this mode.
pub(super) fn all(addresses: &[ListenAddress], unix_mode: u32) -> Result<Vec<Socket>, ListenError> {
    if let Some((address, other)) = overlap(addresses) {
        return Err(ListenError::Overlap {
            address: address.clone(),
            other: other.clone(),
        });
    }
    let mut sockets = Vec::new();
    for asked in addresses {
        let refused = |address: &ListenAddress, source| ListenError::Refused {
            address: address.clone(),
            asked: asked.clone(),
            source,
        };
        match asked {
            ListenAddress::Ip(address) => {
                let listener = tcp(*address, leaves_ipv4(*address, addresses));
                sockets.push(Socket::Tcp(listener.map_err(|error| refused(asked, error))?));
            }
            ListenAddress::Localhost(port) => {
                let both = localhost(*port, |address| tcp(address, true))
                    .map_err(|(address, error)| refused(&address.into(), error))?;
                sockets.extend(both.into_iter().map(Socket::Tcp));
            }
            ListenAddress::Unix(path) => {
                let socket = UnixSocket::bind(path, unix_mode).map_err(|error| refused(asked, error))?;
                sockets.push(Socket::Unix(socket));
            }
        }
    }
    Ok(sockets)
}

/// Listens at an IP address. The unspecified IPv6 address takes IPv4 as well, unless `only_v6`.
fn tcp(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A server that is started anew need not wait until the old connections are forgotten.
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Systems differ in the default.
        sockopt::set_ipv6_v6only(&socket, only_v6)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Listens at both loopback addresses, with the same port, by `listen`. An address that this machine does not have is left out if
/// it has the other one.
fn localhost<L: Bound>(
    port: u16,
    listen: impl Fn(SocketAddr) -> io::Result<L>,
) -> Result<Vec<L>, (SocketAddr, io::Error)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let mut bound: Vec<L> = Vec::new();
        let mut missing = None;
        let mut is_in_use = None;
        for ip in LOOPBACK {
            let port = bound.first().map_or(Ok(port), Bound::port);
            let address = SocketAddr::new(ip, *port.as_ref().unwrap_or(&0));
            match port.and_then(|_| listen(address)) {
                Ok(listener) => bound.push(listener),
                Err(error) if is_missing(&error) => missing = Some((address, error)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => is_in_use = Some((address, error)),
                Err(error) => return Err((address, error)),
            }
        }
        match (is_in_use, missing) {
            // The system chose a port for one address that the other one has not free.
            (Some(_), _) if port == 0 && tries < PORT_TRIES => {}
            (None, None) => return Ok(bound),
            (None, Some((address, error))) if !bound.is_empty() => {
                tracing::info!(
                    %error,
                    "this machine has no address {}: localhost is the other loopback address alone",
                    address.ip()
                );
                return Ok(bound);
            }
            (Some(refused), _) | (None, Some(refused)) => return Err(refused),
        }
    }
}

/// A socket that is bound to a port.
trait Bound {
    fn port(&self) -> io::Result<u16>;
}

impl Bound for TcpListener {
    fn port(&self) -> io::Result<u16> {
        Ok(self.local_addr()?.port())
    }
}

/// Whether `error` says that the machine does not have the address, or nothing of its family.
fn is_missing(error: &io::Error) -> bool {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    is(Errno::ADDRNOTAVAIL) || is(Errno::AFNOSUPPORT) || is(Errno::PROTONOSUPPORT)
}

/// Whether `address`, the unspecified IPv6 one, must leave IPv4 to another one of `addresses`.
fn leaves_ipv4(address: SocketAddr, addresses: &[ListenAddress]) -> bool {
    let is_ipv4 = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
    addresses
        .iter()
        .any(|other| stands_for(other).iter().any(is_ipv4))
}

/// The IP addresses that `address` stands for.
fn stands_for(address: &ListenAddress) -> Vec<SocketAddr> {
    match address {
        ListenAddress::Ip(address) => vec![SocketAddr::new(address.ip().to_canonical(), address.port())],
        ListenAddress::Localhost(port) => LOOPBACK.map(|ip| SocketAddr::new(ip, *port)).to_vec(),
        _ => Vec::new(),
    }
}

/// An address that is listed twice, or that the second one includes.
fn overlap(addresses: &[ListenAddress]) -> Option<(&ListenAddress, &ListenAddress)> {
    let includes = |one: &SocketAddr, other: &SocketAddr| {
        let is_all = one.ip().is_unspecified() && one.is_ipv4() == other.is_ipv4();
        one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || is_all)
    };
    let is_overlap = |address: &ListenAddress, other: &ListenAddress| {
        let others = stands_for(other);
        let is_included = |one: &SocketAddr| others.iter().any(|other| includes(other, one));
        let is_same_path = matches!(address, ListenAddress::Unix(_)) && address == other;
        is_same_path || stands_for(address).iter().any(is_included)
    };
    addresses.iter().enumerate().find_map(|(at, one)| {
        addresses[at + 1..].iter().find_map(|other| {
            // If each includes a part of the other, the one that stands for fewer addresses is left out.
            let is_less = stands_for(one).len() <= stands_for(other).len();
            match (is_overlap(one, other), is_overlap(other, one)) {
                (true, true) if !is_less => Some((other, one)),
                (true, _) => Some((one, other)),
                (false, true) => Some((other, one)),
                (false, false) => None,
            }
        })
    })
}

fn part_of(address: &ListenAddress, asked: &ListenAddress) -> String {
    if address == asked {
        String::new()
    } else {
        format!(", a part of {asked}")
    }
}

fn as_part_of(address: &ListenAddress, other: &ListenAddress) -> String {
    if address == other {
        String::new()
    } else {
        format!(", because {other} includes it")
    }
}

/// What to do about `error`, as the end of a sentence.
fn advice(address: &ListenAddress, error: &io::Error) -> &'static str {
    let is_unix = matches!(address, ListenAddress::Unix(_));
    let is_link_local =
        matches!(address, ListenAddress::Ip(SocketAddr::V6(address)) if address.ip().is_unicast_link_local());
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; stop the process that listens there, or choose another address with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine does not have the address: choose one that it has, or 0.0.0.0 or [::] for all of them"
        }
        io::ErrorKind::PermissionDenied if is_unix => {
            "; this user must be allowed to write to its directory, and to a socket that is there already"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: choose another one with --listen, and let a proxy listen there"
        }
        io::ErrorKind::NotFound => "; its directory does not exist",
        io::ErrorKind::InvalidInput if is_unix => "; the path of a socket has at most 107 bytes",
        io::ErrorKind::InvalidInput if is_link_local => {
            "; name the interface of a link-local address by its number, such as [fe80::1%2]"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::HashSet};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<ListenAddress> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_address_overlaps_with_itself_and_with_all_of_its_family() {
        for texts in [
            ["127.0.0.1:80", "127.0.0.1:80"],
            ["127.0.0.1:80", "[::ffff:127.0.0.1]:80"],
            ["0.0.0.0:80", "127.0.0.1:80"],
            ["192.0.2.1:80", "0.0.0.0:80"],
            ["[::]:80", "[::1]:80"],
            ["localhost:80", "127.0.0.1:80"],
            ["[::1]:80", "localhost:80"],
            ["localhost:80", "LOCALHOST:80"],
            ["localhost:80", "0.0.0.0:80"],
            ["[::]:80", "localhost:80"],
            ["unix:a", "unix:a"],
        ] {
            assert!(overlap(&addresses(&texts)).is_some(), "{texts:?}");
        }
        for (texts, left_out) in [
            (["localhost:80", "[::1]:80"], "[::1]:80"),
            (["[::1]:80", "localhost:80"], "[::1]:80"),
            (["localhost:80", "0.0.0.0:80"], "localhost:80"),
            (["0.0.0.0:80", "127.0.0.1:80"], "127.0.0.1:80"),
        ] {
            let addresses = addresses(&texts);
            assert_eq!(overlap(&addresses).unwrap().0.to_string(), left_out);
        }
        for texts in [
            ["127.0.0.1:80", "127.0.0.1:81"],
            ["127.0.0.1:80", "127.0.0.2:80"],
            ["127.0.0.1:0", "127.0.0.1:0"],
            ["localhost:0", "localhost:0"],
            ["0.0.0.0:80", "[::]:80"],
            ["[::]:80", "127.0.0.1:80"],
            ["[::1]:80", "0.0.0.0:80"],
            ["unix:a", "unix:b"],
            ["unix:a", "localhost:80"],
        ] {
            assert_eq!(overlap(&addresses(&texts)), None, "{texts:?}");
        }
    }

    #[test]
    fn all_of_ipv6_leaves_ipv4_to_another_one() {
        let all = "[::]:80".parse().unwrap();
        for (others, leaves) in [
            (&["[::]:80"][..], false),
            (&["[::]:80", "0.0.0.0:80"], true),
            (&["127.0.0.1:80", "[::]:80"], true),
            (&["[::]:80", "127.0.0.1:81"], false),
            (&["[::]:80", "unix:a"], false),
        ] {
            assert_eq!(leaves_ipv4(all, &addresses(others)), leaves, "{others:?}");
        }
    }

    /// A machine with some addresses, of which some are in use.
    struct Machine {
        has: &'static [&'static str],
        in_use: HashSet<SocketAddr>,
        next_port: RefCell<u16>,
    }

    impl Bound for SocketAddr {
        fn port(&self) -> io::Result<u16> {
            Ok(SocketAddr::port(self))
        }
    }

    impl Machine {
        fn new(has: &'static [&'static str], in_use: &[&str]) -> Self {
            Self {
                has,
                in_use: in_use.iter().map(|address| address.parse().unwrap()).collect(),
                next_port: RefCell::new(5000),
            }
        }

        fn listen(&self, mut address: SocketAddr) -> io::Result<SocketAddr> {
            if !self.has.contains(&address.ip().to_string().as_str()) {
                return Err(io::Error::from_raw_os_error(Errno::ADDRNOTAVAIL.raw_os_error()));
            }
            if address.port() == 0 {
                let mut port = self.next_port.borrow_mut();
                address.set_port(*port);
                *port += 1;
            }
            if self.in_use.contains(&address) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            Ok(address)
        }

        fn localhost(&self, port: u16) -> Result<Vec<String>, String> {
            let bound = localhost(port, |address| self.listen(address));
            let bound = bound.map_err(|(address, _)| address.to_string())?;
            Ok(bound.iter().map(ToString::to_string).collect())
        }
    }

    #[test]
    fn localhost_is_both_addresses_or_the_only_one() {
        let both = &["127.0.0.1", "::1"];
        let owned = |texts: &[&str]| Ok(texts.iter().map(|text| (*text).to_owned()).collect());
        for (machine, port, expected) in [
            (Machine::new(both, &[]), 80, owned(&["127.0.0.1:80", "[::1]:80"])),
            (
                Machine::new(both, &[]),
                0,
                owned(&["127.0.0.1:5000", "[::1]:5000"]),
            ),
            (Machine::new(&["127.0.0.1"], &[]), 80, owned(&["127.0.0.1:80"])),
            (Machine::new(&["127.0.0.1"], &[]), 0, owned(&["127.0.0.1:5000"])),
            (Machine::new(&["::1"], &[]), 80, owned(&["[::1]:80"])),
            (Machine::new(&[], &[]), 80, Err("[::1]:80".to_owned())),
            (Machine::new(both, &["[::1]:80"]), 80, Err("[::1]:80".into())),
            (
                Machine::new(both, &["127.0.0.1:80"]),
                80,
                Err("127.0.0.1:80".into()),
            ),
            (
                Machine::new(&["127.0.0.1"], &["127.0.0.1:80"]),
                80,
                Err("127.0.0.1:80".into()),
            ),
            // The first port that the system chooses is in use on the other address.
            (
                Machine::new(both, &["[::1]:5000", "[::1]:5001"]),
                0,
                owned(&["127.0.0.1:5002", "[::1]:5002"]),
            ),
        ] {
            assert_eq!(machine.localhost(port), expected);
        }
    }
}
