//! Which client a request comes from: its address, its network, and the device that it names.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use super::Device;

/// The address of the client that sent a request, as far as the server can tell: behind a proxy that it trusts, the address
/// that the proxy saw. An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The client at `address`.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// The network that counts as one client.
    #[must_use]
    pub fn network(self) -> Network {
        Network::of(self.0)
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client that sends a request, as far as the server knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address; `None` if it is unknown.
    pub address: Option<ClientAddress>,
    /// The device that it claims to be; `None` if it names none.
    pub device: Option<Device>,
}

/// The addresses that count as one client: one IPv4 address, or one IPv6 /64. A household, an office or a machine usually has
/// one of these, and inside a /64 a client can take a new address for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network of `address`. An IPv4-mapped IPv6 address is in the network of the IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let prefix = u128::from(address) & (u128::MAX << 64);
                Self(IpAddr::V6(Ipv6Addr::from(prefix)))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }

    /// The network of the address in `text`. An IPv6 network may also be written with its length, as `2001:db8::/64`.
    ///
    /// # Errors
    /// [`NetworkError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let fits = match address {
            IpAddr::V6(_) => ["", "64"].contains(&length),
            IpAddr::V4(_) => ["", "32"].contains(&length),
        };
        if fits {
            Ok(Self::of(address))
        } else {
            Err(NetworkError)
        }
    }

    /// Its first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// The bytes that tell it from every other network: the 4 of an IPv4 address, or the 8 of an IPv6 prefix.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        }
    }
}

/// A text is no address of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("This must be an IPv4 address, or an IPv6 address, whose /64 counts as one client.")]
pub struct NetworkError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_from_any_address_in_it() {
        let parse = |text| Network::parse(text).map(|network| network.address().to_string());
        for (text, first) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::"),
            ("2001:db8:1:2::/64", "2001:db8:1:2::"),
        ] {
            assert_eq!(parse(text), Ok(first.to_owned()), "{text}");
        }
        for text in [
            "",
            "ada",
            "192.0.2.1/24",
            "2001:db8::/48",
            "192.0.2",
            "2001:db8::/64/64",
        ] {
            assert_eq!(parse(text), Err(NetworkError), "{text}");
        }
    }

    fn network(address: &str) -> Network {
        let address = address.parse().unwrap();
        let network = Network::of(address);
        assert_eq!(ClientAddress::new(address).network(), network);
        network
    }

    #[test]
    fn a_network_is_one_ipv4_address_or_one_ipv6_slash_64() {
        assert_eq!(
            network("2001:db8:1:2::3"),
            network("2001:db8:1:2:ffff:ffff:ffff:ffff")
        );
        assert_ne!(network("2001:db8:1:2::3"), network("2001:db8:1:3::3"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_eq!(network("192.0.2.1").to_bytes(), [192, 0, 2, 1]);
        assert_eq!(
            network("2001:db8::1").to_bytes(),
            [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]
        );
    }
}
