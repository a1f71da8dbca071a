//! Where a request comes from.

use std::{fmt, net::IpAddr};

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
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
