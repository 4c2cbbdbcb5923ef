//! Who gets which address: free networks for those that are made, free addresses for those that join. Pure.

use super::prefix::{Prefix, from_number, number};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first free network of the pools (a network and how long the prefixes of its parts are); without pools podman's
/// 10.89.0.0/24 and its successors, then those of 172.16 and 192.168.
pub fn free_ipv4(taken: &[Prefix], pools: &[(Prefix, u8)]) -> Option<Prefix> {
    let is_free = |candidate: &Prefix| !taken.iter().any(|other| other.overlaps(candidate));
    if !pools.is_empty() {
        let parts = |(base, length): &(Prefix, u8)| {
            let (base, length, step) = (base.address, *length, 1 << (32 - u32::from(*length)));
            let all = (number(base)..).step_by(step).map(move |number| from_number(base, number));
            all.map(move |address| Prefix { address, length })
        };
        let inside = |pool: &(Prefix, u8)| {
            let whole = pool.0;
            parts(pool).take_while(move |part| whole.contains(part.address)).find(is_free)
        };
        return pools.iter().find_map(inside);
    }
    let tens = (89..=255u8).flat_map(|second| (0..=255u8).map(move |third| Ipv4Addr::new(10, second, third, 0)));
    let others = (0..=255u8).map(|third| Ipv4Addr::new(172, 30, third, 0));
    let last = (150..=250u8).map(|third| Ipv4Addr::new(192, 168, third, 0));
    let all = tens.chain(others).chain(last).map(|address| Prefix { address: address.into(), length: 24 });
    all.into_iter().find(is_free)
}

/// A network of private IPv6 addresses (RFC 4193) from random bytes.
pub fn private_ipv6(random: [u8; 7]) -> Prefix {
    let [a, b, c, d, e, f, g] = random;
    let pair = |high, low| u16::from_be_bytes([high, low]);
    let address = Ipv6Addr::new(pair(0xfd, a), pair(b, c), pair(d, e), pair(f, g), 0, 0, 0, 0);
    Prefix { address: address.into(), length: 64 }
}

/// Why there is no address.
#[derive(Debug, PartialEq, Eq)]
pub enum NoAddress {
    /// The one that was asked for is another's.
    Taken,
    /// The one that was asked for is not of the network, or nobody's to have.
    Outside,
    /// All are taken.
    Exhausted,
}

/// An address of `range` (or, without one, of all of `subnet`) that is not in `used`: the wanted one, or the first
/// free one after `last`, so that an address that has just become free is not another's at once.
pub fn address(
    subnet: &Prefix,
    range: Option<(IpAddr, IpAddr)>,
    used: &HashSet<IpAddr>,
    wanted: Option<IpAddr>,
    last: Option<IpAddr>,
) -> Result<IpAddr, NoAddress> {
    let (first_host, last_host) = subnet.hosts().ok_or(NoAddress::Exhausted)?;
    if let Some(wanted) = wanted {
        let inside = subnet.contains(wanted) && (number(first_host)..=number(last_host)).contains(&number(wanted));
        return match (inside, used.contains(&wanted)) {
            (false, _) => Err(NoAddress::Outside),
            (true, true) => Err(NoAddress::Taken),
            (true, false) => Ok(wanted),
        };
    }
    let (first, end) = range.unwrap_or((first_host, last_host));
    let (first, end) = (number(first).max(number(first_host)), number(end).min(number(last_host)));
    let start = last.map(number).filter(|last| (first..end).contains(last)).map_or(first, |last| last + 1);
    // One more than there are taken is enough to find a free one.
    let limit = used.len() + 2;
    let free = |number: &u128| !used.contains(&from_number(subnet.address, *number));
    let found = (start..=end).take(limit).find(free).or_else(|| (first..start).take(limit).find(free));
    found.map(|number| from_number(subnet.address, number)).ok_or(NoAddress::Exhausted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_do_not_collide() {
        assert_eq!(free_ipv4(&[], &[]), Some(net("10.89.0.0/24")));
        assert_eq!(free_ipv4(&[net("10.89.0.0/24"), net("10.89.1.128/25")], &[]), Some(net("10.89.2.0/24")));
        assert_eq!(free_ipv4(&[net("10.0.0.0/8")], &[]), Some(net("172.30.0.0/24")));
        assert_eq!(free_ipv4(&[net("0.0.0.0/0")], &[]), None);
        let pools = [(net("10.5.0.0/23"), 24), (net("192.168.7.0/24"), 26)];
        for (taken, expected) in [
            (&[][..], Some("10.5.0.0/24")),
            (&["10.5.0.128/25"], Some("10.5.1.0/24")),
            (&["10.5.0.0/16"], Some("192.168.7.0/26")),
            (&["10.0.0.0/8", "192.168.7.0/25"], Some("192.168.7.128/26")),
            (&["10.0.0.0/8", "192.168.0.0/16"], None),
        ] {
            let taken: Vec<Prefix> = taken.iter().map(|text| net(text)).collect();
            assert_eq!(free_ipv4(&taken, &pools), expected.map(net), "{taken:?}");
        }
        assert_eq!(private_ipv6([1, 2, 3, 4, 5, 6, 7]), net("fd01:203:405:607::/64"));
    }

    #[test]
    fn addresses_go_round() {
        let subnet = net("10.89.0.0/29");
        let used: HashSet<IpAddr> = ["10.89.0.1", "10.89.0.3"].map(ip).into();
        for (wanted, last, result) in [
            (None, None, Ok(ip("10.89.0.2"))),
            (None, Some("10.89.0.2"), Ok(ip("10.89.0.4"))),
            (None, Some("10.89.0.6"), Ok(ip("10.89.0.2"))),
            (Some("10.89.0.5"), None, Ok(ip("10.89.0.5"))),
            (Some("10.89.0.3"), None, Err(NoAddress::Taken)),
            (Some("10.89.0.7"), None, Err(NoAddress::Outside)),
            (Some("10.89.0.0"), None, Err(NoAddress::Outside)),
            (Some("10.90.0.1"), None, Err(NoAddress::Outside)),
            (Some("fd::1"), None, Err(NoAddress::Outside)),
        ] {
            assert_eq!(address(&subnet, None, &used, wanted.map(ip), last.map(ip)), result, "{wanted:?} {last:?}");
        }
        let range = Some((ip("10.89.0.2"), ip("10.89.0.3")));
        assert_eq!(address(&subnet, range, &used, None, None), Ok(ip("10.89.0.2")));
        let used: HashSet<IpAddr> = (1..=6).map(|n| IpAddr::V4(Ipv4Addr::new(10, 89, 0, n))).collect();
        assert_eq!(address(&subnet, None, &used, None, None), Err(NoAddress::Exhausted));
        assert_eq!(address(&net("fd00::/64"), None, &HashSet::new(), None, None), Ok(ip("fd00::1")));
    }
}
