//! Networks as address and prefix length, RFC 4632 and RFC 4291. Pure.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: its first address, and how many leading bits all of its addresses share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    /// The first address.
    pub address: IpAddr,
    /// The bits in common.
    pub length: u8,
}

impl Prefix {
    /// The network that an address is in.
    pub fn of(address: IpAddr, length: u8) -> Self {
        let length = length.min(width(address));
        Self { address: from_number(address, number(address) & mask(address, length)), length }
    }

    /// `10.1.0.0/24`. Errors: no such thing; an address inside the network in place of its first.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a network such as 10.1.0.0/24", text.escape_debug());
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let digits = (1..=3).contains(&length.len()) && length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u8 = length.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
        if length > width(address) {
            return Err(wrong());
        }
        let network = Self::of(address, length);
        match network.address == address {
            true => Ok(network),
            false => Err(format!("`{text}` is an address inside the network {network}")),
        }
    }

    /// Whether an address is of this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self::of(address, self.length).address == self.address
    }

    /// Whether two networks share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        from_number(self.address, number(self.address) | !mask(self.address, self.length) & all(self.address))
    }

    /// The address that many places after the first; `None` beyond the end.
    pub fn at(&self, offset: u128) -> Option<IpAddr> {
        let number = number(self.address).checked_add(offset)?;
        let address = from_number(self.address, number);
        (number <= all(self.address) && self.contains(address)).then_some(address)
    }

    /// The first and the last address that a host may have: not the network's own, nor IPv4's broadcast address.
    pub fn hosts(&self) -> Option<(IpAddr, IpAddr)> {
        let first = self.at(1)?;
        let last = match self.address {
            IpAddr::V4(_) => from_number(self.address, number(self.last()).checked_sub(1)?),
            IpAddr::V6(_) => self.last(),
        };
        (number(first) <= number(last)).then_some((first, last))
    }

    /// IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }
}

/// An address as a number.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => address.into(),
    }
}

/// The number as an address of the same family.
pub(super) fn from_number(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn all(address: IpAddr) -> u128 {
    if address.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX }
}

fn mask(address: IpAddr, length: u8) -> u128 {
    let free = u32::from(width(address) - length);
    all(address).checked_shr(free).map_or(0, |ones| ones << free)
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_shown() {
        for text in ["10.0.0.0/8", "10.89.1.0/24", "0.0.0.0/0", "1.2.3.4/32", "fd00::/64", "::/0", "fd::1/128"] {
            assert_eq!(Prefix::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "10.0.0.0", "10.0.0.1/24", "10.0.0.0/33", "10.0.0.0/+8", "fd00::1/64", "x/8", "10.0.0.0/", "::/129"]
        {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_in_it() {
        let net = |text| Prefix::parse(text).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let a = net("10.89.1.0/24");
        assert!(a.contains(ip("10.89.1.255")) && !a.contains(ip("10.89.2.0")) && !a.contains(ip("::1")));
        assert!(a.overlaps(&net("10.0.0.0/8")) && net("10.0.0.0/8").overlaps(&a) && !a.overlaps(&net("10.89.2.0/24")));
        assert_eq!((a.last(), a.at(7), a.at(256)), (ip("10.89.1.255"), Some(ip("10.89.1.7")), None));
        assert_eq!(a.hosts(), Some((ip("10.89.1.1"), ip("10.89.1.254"))));
        assert_eq!(net("10.0.0.0/31").hosts(), None);
        assert_eq!(net("1.2.3.4/32").hosts(), None);
        assert_eq!(net("fd00::/126").hosts(), Some((ip("fd00::1"), ip("fd00::3"))));
    }
}
