//! The networks that the host has routes to, which a network of ours must not cover. rtnetlink(7).

use super::prefix::Prefix;
use crate::sys::netlink::{Socket, attributes};
use std::net::IpAddr;

/// All destinations in the calling thread's network namespace but default routes, loopback, link-local and multicast.
pub(super) fn of_host() -> Vec<Prefix> {
    const RTM_GETROUTE: u16 = 26;
    let dump = Socket::route().and_then(|mut socket| socket.dump(RTM_GETROUTE, &[0; 12]));
    dump.unwrap_or_default().iter().filter_map(|(_, body)| parse(body)).collect()
}

/// An `rtmsg` and its attributes.
fn parse(body: &[u8]) -> Option<Prefix> {
    const UNICAST: u8 = 1;
    const DESTINATION: u16 = 1;
    let (length, kind) = (*body.get(1)?, *body.get(7)?);
    let value = attributes(body, 12).find(|(kind, _)| *kind == DESTINATION)?.1;
    let address: IpAddr = match value.len() {
        4 => <[u8; 4]>::try_from(value).ok()?.into(),
        _ => <[u8; 16]>::try_from(value).ok()?.into(),
    };
    let link_local = match address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let counts = kind == UNICAST && length > 0 && !address.is_loopback() && !address.is_multicast() && !link_local;
    counts.then(|| Prefix::of(address, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_destinations_count() {
        let message = |length: u8, kind: u8, address: &[u8]| {
            let mut body = vec![0, length, 0, 0, 254, 0, 0, kind, 0, 0, 0, 0];
            body.extend(((address.len() + 4) as u16).to_ne_bytes());
            body.extend(1u16.to_ne_bytes());
            body.extend(address);
            body
        };
        assert_eq!(parse(&message(24, 1, &[10, 1, 2, 0])), Some(Prefix::parse("10.1.2.0/24").unwrap()));
        for body in [message(0, 1, &[0; 4]), message(8, 1, &[127, 0, 0, 0]), message(32, 2, &[10, 0, 0, 1]), vec![0; 5]]
        {
            assert_eq!(parse(&body), None);
        }
    }
}
