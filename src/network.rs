//! Addresses and networks.

use std::net::IpAddr;

/// A network, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Networks wider than these count as everywhere.
const V4_PREFIX_MIN: u8 = 8;
const V6_PREFIX_MIN: u8 = 32;

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or an address. Bits behind the prefix may be set.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            // `parse` would take a sign.
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= bits)?
            }
            Some(_) => return None,
        };
        Some(Self { address, prefix })
    }

    /// Whether the address is in it. An IPv4 address may come in IPv6's clothes.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |ours: u128, theirs: u128, bits: u8| {
            let drop = u32::from(bits.saturating_sub(self.prefix));
            ours.checked_shr(drop).unwrap_or(0) == theirs.checked_shr(drop).unwrap_or(0)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same(ours.to_bits().into(), theirs.to_bits().into(), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => same(ours.to_bits(), theirs.to_bits(), 128),
            _ => false,
        }
    }

    /// Whether it holds so many addresses that it limits nobody.
    pub fn is_everywhere(&self) -> bool {
        let least = if self.address.is_ipv4() {
            V4_PREFIX_MIN
        } else {
            V6_PREFIX_MIN
        };
        self.prefix < least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    proptest! {
        #[test]
        fn a_network_holds_what_shares_its_first_bits(ours: u32, theirs: u32, prefix in 0_u8..=32) {
            let network = Network::parse(&format!("{}/{prefix}", Ipv4Addr::from(ours))).unwrap();
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
            let inside = ours & mask == theirs & mask;
            prop_assert_eq!(network.contains(IpAddr::V4(theirs.into())), inside);
            let dressed = Ipv4Addr::from(theirs).to_ipv6_mapped();
            prop_assert_eq!(network.contains(IpAddr::V6(dressed)), inside);
        }

        #[test]
        fn so_does_one_of_ipv6(ours: u128, flip in 0_u32..128, prefix in 0_u8..=128) {
            let network = Network::parse(&format!("{}/{prefix}", Ipv6Addr::from(ours))).unwrap();
            prop_assert!(network.contains(IpAddr::V6(ours.into())));
            let other = Ipv6Addr::from(ours ^ (1 << (127 - flip)));
            prop_assume!(other.to_ipv4_mapped().is_none());
            prop_assert_eq!(network.contains(IpAddr::V6(other)), flip >= u32::from(prefix));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "123",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "a/8",
            "1.2.3.4/8/8",
            "010.0.0.1",
            "*",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
