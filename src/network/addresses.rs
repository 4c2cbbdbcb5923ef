//! The addresses of a network namespace, and the way back for connections that bear their client's address.
//! rtnetlink(7), ip-rule(8); `IP_TRANSPARENT` in ip(7).

use super::Protocol;
use crate::sys::netlink::{CREATE, Message, REPLACE, Socket, attributes};
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `AF_INET`.
pub(super) const INET: u8 = 2;
/// `AF_INET6`.
pub(super) const INET6: u8 = 10;
/// The interface `lo`, the first in every namespace.
const LOOPBACK: u32 = 1;
/// The routing table that leads everything back to the forwarder.
const TABLE: u8 = 100;
/// Our rules come behind the local table's (0) and before the main table's (32766).
const NEIGHBOURS_FIRST: u32 = 99;
const BACK: u32 = 100;

/// The address that a namespace is reached by, of each family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Targets {
    /// IPv4.
    pub v4: Option<Ipv4Addr>,
    /// IPv6, no link-local one.
    pub v6: Option<Ipv6Addr>,
}

impl Targets {
    /// Those of the calling thread's network namespace: of the first interface that has one.
    pub fn of_this_namespace() -> Result<Self, Errno> {
        const RTM_GETADDR: u16 = 22;
        let mut targets = Self::default();
        for (_, body) in Socket::route()?.dump(RTM_GETADDR, &[0; 8])? {
            match parse_address(&body) {
                Some(IpAddr::V4(ip)) => targets.v4 = targets.v4.or(Some(ip)),
                Some(IpAddr::V6(ip)) => targets.v6 = targets.v6.or(Some(ip)),
                None => {}
            }
        }
        Ok(targets)
    }
}

/// An `ifaddrmsg` and its attributes, if it is an address that others can reach.
fn parse_address(body: &[u8]) -> Option<IpAddr> {
    const UNIVERSE: u8 = 0;
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let (family, scope) = (*body.first()?, *body.get(3)?);
    if scope != UNIVERSE {
        return None;
    }
    let find = |wanted| attributes(body, 8).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let value = find(LOCAL).or_else(|| find(ADDRESS))?;
    match family {
        INET => Some(IpAddr::V4(<[u8; 4]>::try_from(value).ok()?.into())),
        INET6 => Some(IpAddr::V6(<[u8; 16]>::try_from(value).ok()?.into())),
        _ => None,
    }
}

/// Lead what is sent from these ports back into the calling thread's network namespace, so that the forwarder, which
/// has taken its client's address there, hears the answers.
///
/// `neighbours`: there are others on the container's own network, whose answers go to them. What is there already is
/// left. Errors: the kernel has no policy routing.
pub(super) fn lead_back(targets: Targets, ports: &[(Protocol, u16)], neighbours: bool) -> Result<(), Errno> {
    let mut socket = Socket::route()?;
    let sources =
        [(INET, targets.v4.map(|ip| ip.octets().to_vec())), (INET6, targets.v6.map(|ip| ip.octets().to_vec()))];
    for (family, source) in sources {
        let Some(source) = source else { continue };
        there(socket.call(back_route(family, &source)))?;
        if neighbours {
            there(socket.call(rule(family, NEIGHBOURS_FIRST, MAIN).u32(FRA_SUPPRESS_PREFIXLEN, 0)))?;
        }
        for (protocol, port) in ports {
            let number = match protocol {
                Protocol::Tcp => 6u8,
                Protocol::Udp => 17,
            };
            let range = [port.to_ne_bytes(), port.to_ne_bytes()].concat();
            let rule = rule(family, BACK, TABLE).attr(FRA_IP_PROTO, &[number]).attr(FRA_SPORT_RANGE, &range);
            there(socket.call(rule))?;
        }
    }
    Ok(())
}

/// What is there already will do.
fn there(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

const MAIN: u8 = 254;
const FRA_PRIORITY: u16 = 6;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;

/// A `fib_rule_hdr`: look this table up.
fn rule(family: u8, priority: u32, table: u8) -> Message {
    const RTM_NEWRULE: u16 = 32;
    const FR_ACT_TO_TBL: u8 = 1;
    let fixed = [family, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0];
    Message::new(RTM_NEWRULE, CREATE, &fixed).u32(FRA_PRIORITY, priority)
}

/// `local default dev lo table 100 src SOURCE`: an answer that chooses its address now takes the container's.
fn back_route(family: u8, source: &[u8]) -> Message {
    const RTM_NEWROUTE: u16 = 24;
    const PROTO_STATIC: u8 = 4;
    const SCOPE_HOST: u8 = 254;
    const TYPE_LOCAL: u8 = 2;
    const OIF: u16 = 4;
    const PREFSRC: u16 = 7;
    let fixed = [family, 0, 0, 0, TABLE, PROTO_STATIC, SCOPE_HOST, TYPE_LOCAL, 0, 0, 0, 0];
    Message::new(RTM_NEWROUTE, REPLACE, &fixed).u32(OIF, LOOPBACK).attr(PREFSRC, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_others_reach_count() {
        let message = |family: u8, scope: u8, kind: u16, value: &[u8]| {
            let mut body = vec![family, 24, 0, scope, 2, 0, 0, 0];
            body.extend(((value.len() + 4) as u16).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(value);
            body
        };
        assert_eq!(parse_address(&message(INET, 0, 2, &[10, 0, 2, 100])), Some([10, 0, 2, 100].into()));
        assert_eq!(parse_address(&message(INET, 254, 2, &[127, 0, 0, 1])), None);
        assert_eq!(parse_address(&message(INET6, 253, 1, &[0xfe; 16])), None);
        assert_eq!(parse_address(&message(INET, 0, 2, &[10, 0, 2])), None);
        assert_eq!(parse_address(&[]), None);
    }
}
