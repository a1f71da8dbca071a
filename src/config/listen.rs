//! An address to listen on.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// Both loopback addresses, `127.0.0.1` and `::1`, with this port.
    Localhost(u16),
    /// A Unix socket with this path. It is for proxies: each process that may open it is trusted to name its clients.
    Unix(PathBuf),
}

/// A text is no address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address to listen on is {}", ListenAddress::ACCEPTED)]
pub struct NoListenAddress;

impl ListenAddress {
    /// How one is written.
    pub(super) const ACCEPTED: &str = "an IP address or localhost with a port, such as [::]:8000, or unix: with the path of a socket, such as unix:/run/jwt-server/http.sock";

    /// Whether a text could have been this.
    pub(super) fn is_possible(&self) -> bool {
        match self {
            Self::Ip(_) | Self::Localhost(_) => true,
            Self::Unix(path) => is_path(path.as_os_str().as_encoded_bytes()),
        }
    }

    /// Whether only clients on this machine reach it, on a port that is known.
    pub(super) fn is_local_url(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback() && address.port() != 0,
            Self::Localhost(port) => *port != 0,
            Self::Unix(_) => false,
        }
    }

    /// Whether clients on other machines reach it.
    #[must_use]
    pub fn is_reachable_from_elsewhere(&self) -> bool {
        matches!(self, Self::Ip(address) if !address.ip().to_canonical().is_loopback())
    }
}

/// An IPv4 address in IPv6 notation becomes IPv4. The name `localhost` may be in capitals.
impl FromStr for ListenAddress {
    type Err = NoListenAddress;

    fn from_str(text: &str) -> Result<Self, NoListenAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            return is_path(path.as_bytes())
                .then(|| Self::Unix(path.into()))
                .ok_or(NoListenAddress);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        match text.rsplit_once(':') {
            Some((name, port))
                if name.eq_ignore_ascii_case("localhost")
                    && port.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                port.parse().map(Self::Localhost).map_err(|_| NoListenAddress)
            }
            _ => Err(NoListenAddress),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => Self::Ip((ip, address.port()).into()),
            // With the zone of a link-local address.
            IpAddr::V6(_) => Self::Ip(address),
        }
    }
}

/// As in the settings.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.to_string_lossy().escape_debug()),
        }
    }
}

fn is_path(path: &[u8]) -> bool {
    !path.is_empty() && !path.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_localhost_or_a_unix_socket() {
        for (text, shown) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("[::]:0", "[::]:0"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("localhost:8000", "localhost:8000"),
            ("LocalHost:0", "localhost:0"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
            ("unix:x", "unix:x"),
            ("unix:a:8000", "unix:a:8000"),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address));
        }
    }

    #[test]
    fn other_names_and_half_an_address_are_refused() {
        for text in [
            "",
            "8000",
            ":8000",
            "*:8000",
            "127.0.0.1",
            "::1:8000",
            "[::1]",
            "localhost",
            "localhost:",
            "localhost:+80",
            "localhost:65536",
            "localhost.:80",
            "example.org:80",
            "eth0:80",
            "[fe80::1%eth0]:80",
            "http://127.0.0.1:80",
            "unix:",
            "unix:a\0b",
            "UNIX:/run/x",
            " 127.0.0.1:80",
        ] {
            assert_eq!(text.parse::<ListenAddress>(), Err(NoListenAddress), "{text:?}");
        }
    }

    #[test]
    fn only_loopback_and_unix_sockets_are_out_of_others_reach() {
        let reached = |text: &str| {
            text.parse::<ListenAddress>()
                .unwrap()
                .is_reachable_from_elsewhere()
        };
        for here in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "localhost:1",
            "unix:x",
        ] {
            assert!(!reached(here), "{here}");
        }
        for wide in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[fe80::1%2]:1"] {
            assert!(reached(wide), "{wide}");
        }
    }
}
