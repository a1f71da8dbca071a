//! Where a request comes from.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use super::Device;

/// The address of whoever sent a request, as far as this server can tell: behind a proxy that it trusts, the one that the
/// proxy saw. An IPv4 address that came as an IPv6 one is IPv4 again.
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

/// Who sends a request, as far as it says so and can be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Where it is, if that is known.
    pub address: Option<ClientAddress>,
    /// What it says that it is.
    pub device: Option<Device>,
}

/// What one household, one office or one machine usually has: an IPv4 address, or the /64 of an IPv6 one, in which a client
/// can take a new address for every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network that `address` is in. An IPv4 address that came as an IPv6 one is in that of the IPv4 address.
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

    /// Its first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// The bytes that tell it from every other: 4 of an IPv4 address, 8 of an IPv6 prefix.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        let address = address.parse().unwrap();
        let network = Network::of(address);
        assert_eq!(ClientAddress::new(address).network(), network);
        network
    }

    #[test]
    fn an_ipv6_client_counts_as_its_slash_64_and_an_ipv4_one_as_itself() {
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
