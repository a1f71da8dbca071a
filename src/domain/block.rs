//! The blocks of addresses that one site may have. A site with IPv6 often has a /56 or a /48, and in it hundreds or thousands of
//! the networks that count as one client. A limit by network alone does not bound such a site.

use std::net::{IpAddr, Ipv6Addr};

use super::Network;

/// The blocks of IPv6 that are counted: how many bits of the address they share, and how many shares all clients in one of
/// them have together.
const IPV6_BLOCKS: [(u8, usize); 3] = [(64, 1), (56, 2), (48, 4)];

/// A block of addresses whose clients are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// The blocks that it is in, the smallest first. With each comes how many shares all clients in that block have together,
    /// where one client has one. An IPv4 address is in no block but its own.
    pub fn blocks(self) -> impl Iterator<Item = (Block, usize)> + use<> {
        let block = move |(bits, shares): (u8, usize)| {
            let first = match self.address() {
                IpAddr::V6(address) => {
                    let prefix = u128::from(address) & (u128::MAX << (128 - u32::from(bits)));
                    IpAddr::V6(Ipv6Addr::from(prefix))
                }
                address @ IpAddr::V4(_) => address,
            };
            (Block { first, bits }, shares)
        };
        let count = if self.address().is_ipv6() { 3 } else { 1 };
        IPV6_BLOCKS.into_iter().take(count).map(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(address: &str) -> Vec<(Block, usize)> {
        Network::of(address.parse().unwrap()).blocks().collect()
    }

    #[test]
    fn a_network_of_ipv6_is_in_a_block_of_56_and_of_48_bits() {
        let here = blocks("2001:db8:1:aa11::1");
        let shares: Vec<_> = here.iter().map(|(_, shares)| *shares).collect();
        assert_eq!(shares, [1, 2, 4]);
        for (other, same) in [
            ("2001:db8:1:aa11::2", [true, true, true]),
            ("2001:db8:1:aaff::1", [false, true, true]),
            ("2001:db8:1:bb11::1", [false, false, true]),
            ("2001:db8:2:aa11::1", [false, false, false]),
        ] {
            let other = blocks(other);
            for at in 0..3 {
                assert_eq!(here[at] == other[at], same[at], "{other:?}");
            }
        }
    }

    #[test]
    fn an_ipv4_address_is_a_block_of_its_own() {
        assert_eq!(blocks("192.0.2.1").len(), 1);
        assert_eq!(blocks("192.0.2.1"), blocks("::ffff:192.0.2.1"));
        assert_ne!(blocks("192.0.2.1"), blocks("192.0.2.2"));
    }
}
