//! Bridges, and the cables from them into containers. rtnetlink(7), veth(4); linux/if_link.h.

use super::addresses::{INET, INET6};
use super::prefix::Prefix;
use super::settings::Mac;
use crate::sys::netlink::{CREATE, Message, REPLACE, Socket, attributes};
use anyhow::{Context, Result};
use rustix::io::Errno;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWQDISC: u16 = 36;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;
const VETH_INFO_PEER: u16 = 1;
const UP: u32 = 1;

/// An `ifinfomsg`: the interface, and flags to be set.
fn link(index: u32, flags: u32) -> [u8; 16] {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&flags.to_ne_bytes());
    fixed
}

/// The number of an interface, `None` if there is none of this name.
pub(super) fn index_of(socket: &mut Socket, name: &str) -> Result<Option<u32>, Errno> {
    let wanted = [name.as_bytes(), &[0]].concat();
    let named = |body: &[u8]| attributes(body, 16).any(|(kind, value)| kind == IFLA_IFNAME && value == wanted);
    let found = socket.dump(RTM_GETLINK, &[0; 16])?.into_iter().find(|(_, body)| named(body));
    Ok(found.and_then(|(_, body)| Some(u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?))))
}

/// Make a bridge with these addresses, or bring up the one that is there; its number.
pub(super) fn make_bridge(
    socket: &mut Socket,
    name: &str,
    addresses: &[(IpAddr, u8)],
    mtu: u32,
    vlan: Option<u16>,
) -> Result<u32> {
    let deed = || format!("cannot make the bridge `{name}`");
    // All ports of it, the bridge's own too, are of this VLAN, untagged; packets of others are dropped.
    let data = |m: Message| match vlan {
        Some(vlan) => m.attr(IFLA_BR_VLAN_FILTERING, &[1]).attr(IFLA_BR_VLAN_DEFAULT_PVID, &vlan.to_ne_bytes()),
        None => m,
    };
    let kind = |m: Message| m.text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, data);
    // A bridge without a hardware address of its own takes the lowest of its ports', and another when that port goes:
    // those who know the old one would talk to nobody for seconds.
    let last: Vec<u8> = match addresses.first() {
        Some((IpAddr::V4(ip), _)) => ip.octets().to_vec(),
        Some((IpAddr::V6(ip), _)) => ip.octets().get(4..8).unwrap_or_default().to_vec(),
        None => vec![0; 4],
    };
    let mac = [&[0x02, 0x42][..], &last].concat();
    let message = Message::new(RTM_NEWLINK, CREATE, &link(0, 0)).text(IFLA_IFNAME, name).u32(IFLA_MTU, mtu);
    let message = message.attr(IFLA_ADDRESS, &mac);
    match socket.call(message.nest(IFLA_LINKINFO, kind)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error).with_context(deed),
    }
    let index = index_of(socket, name).with_context(deed)?.with_context(deed)?;
    quiet_ipv6(name, addresses.iter().any(|(address, _)| address.is_ipv6()));
    for (address, length) in addresses {
        match socket.call(address_message(index, *address, *length)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).with_context(deed),
        }
    }
    socket.call(Message::new(RTM_NEWLINK, 0, &link(index, UP))).with_context(deed)?;
    Ok(index)
}

/// Without IPv6 in a network, an interface has no IPv6 address at all, and nobody advertises routers in any
/// (CVE-2020-10749, CVE-2024-32473). In the interface's namespace.
fn quiet_ipv6(name: &str, ipv6: bool) {
    let set = |key: &str, value: &str| std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/{key}"), value);
    // A kernel without IPv6 has no such file.
    let _ = set("accept_ra", "0");
    if !ipv6 {
        let _ = set("disable_ipv6", "1");
    }
}

/// Let this namespace pass packets on between its interfaces, and keep netfilter out of the bridges.
pub(super) fn enable_forwarding() {
    for (key, value) in [
        ("ipv4/ip_forward", "1"),
        ("ipv6/conf/all/forwarding", "1"),
        ("bridge/bridge-nf-call-iptables", "0"),
        ("bridge/bridge-nf-call-ip6tables", "0"),
    ] {
        // Those that are not there belong to what the kernel lacks.
        let _ = std::fs::write(format!("/proc/sys/net/{key}"), value);
    }
}

/// An address, usable at once.
fn address_message(index: u32, address: IpAddr, length: u8) -> Message {
    const LOCAL: u16 = 2;
    const ADDRESS: u16 = 1;
    const BROADCAST: u16 = 4;
    const NODAD: u8 = 2;
    let (family, flags) = if address.is_ipv4() { (INET, 0) } else { (INET6, NODAD) };
    let mut fixed = vec![family, length, flags, 0];
    fixed.extend(index.to_ne_bytes());
    let message = Message::new(RTM_NEWADDR, CREATE, &fixed);
    match address {
        IpAddr::V4(ip) => {
            let IpAddr::V4(last) = Prefix::of(address, length).last() else { return message };
            message.attr(LOCAL, &ip.octets()).attr(ADDRESS, &ip.octets()).attr(BROADCAST, &last.octets())
        }
        IpAddr::V6(ip) => message.attr(LOCAL, &ip.octets()).attr(ADDRESS, &ip.octets()),
    }
}

/// Take an interface away, and its other end with it. One that is gone already will do.
pub(super) fn remove_link(socket: &mut Socket, name: &str) -> Result<(), Errno> {
    match socket.call(Message::new(RTM_DELLINK, 0, &link(0, 0)).text(IFLA_IFNAME, name)) {
        Err(Errno::NODEV) => Ok(()),
        result => result,
    }
}

/// A cable from a bridge into a container.
#[derive(Debug)]
pub(super) struct Cable<'a> {
    /// The end at the bridge.
    pub outer: &'a str,
    /// The bridge's number.
    pub bridge: u32,
    /// The end in the container.
    pub inner: &'a str,
    /// The latter's hardware address.
    pub mac: Mac,
    /// The largest packet.
    pub mtu: u32,
}

/// Lay a cable into another namespace. The socket is of the bridge's.
pub(super) fn lay(socket: &mut Socket, cable: &Cable<'_>, netns: BorrowedFd<'_>) -> Result<(), Errno> {
    let peer = |m: Message| {
        m.fixed(&link(0, 0))
            .text(IFLA_IFNAME, cable.inner)
            .attr(IFLA_ADDRESS, &cable.mac.0)
            .u32(IFLA_MTU, cable.mtu)
            .u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32)
    };
    let info = |m: Message| m.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |m| m.nest(VETH_INFO_PEER, peer));
    let message = Message::new(RTM_NEWLINK, CREATE, &link(0, UP))
        .text(IFLA_IFNAME, cable.outer)
        .u32(IFLA_MASTER, cable.bridge)
        .u32(IFLA_MTU, cable.mtu);
    socket.call(message.nest(IFLA_LINKINFO, info))
}

/// How an interface of a container is to be.
#[derive(Debug)]
pub(super) struct Inner<'a> {
    pub name: &'a str,
    pub addresses: &'a [(IpAddr, u8)],
    /// Destinations (`None`: all others), gateways and metrics.
    pub routes: &'a [(Option<Prefix>, IpAddr, Option<u32>)],
}

/// Bring up a container's end. In the container's namespace.
pub(super) fn bring_up(inner: &Inner<'_>) -> Result<()> {
    let deed = || format!("cannot bring up `{}` in the container", inner.name);
    let mut socket = Socket::route().with_context(deed)?;
    let index = index_of(&mut socket, inner.name).with_context(deed)?.with_context(deed)?;
    quiet_ipv6(inner.name, inner.addresses.iter().any(|(address, _)| address.is_ipv6()));
    let addresses = inner.addresses.iter().map(|(address, length)| address_message(index, *address, *length));
    let up = Message::new(RTM_NEWLINK, 0, &link(index, UP));
    // Routes want the interface up.
    let routes =
        inner.routes.iter().map(|(destination, gateway, metric)| route(index, *destination, *gateway, *metric));
    socket.batch(addresses.chain([up]).chain(routes)).with_context(deed)
}

fn route(index: u32, destination: Option<Prefix>, gateway: IpAddr, metric: Option<u32>) -> Message {
    const MAIN: u8 = 254;
    const PROTO_STATIC: u8 = 4;
    const UNICAST: u8 = 1;
    const DESTINATION: u16 = 1;
    const OIF: u16 = 4;
    const GATEWAY: u16 = 5;
    const PRIORITY: u16 = 6;
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let family = if gateway.is_ipv4() { INET } else { INET6 };
    let length = destination.map_or(0, |prefix| prefix.length);
    let fixed = [family, length, 0, 0, MAIN, PROTO_STATIC, 0, UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(RTM_NEWROUTE, CREATE, &fixed).u32(OIF, index).attr(GATEWAY, &bytes(gateway));
    if let Some(prefix) = destination {
        message = message.attr(DESTINATION, &bytes(prefix.address));
    }
    match metric {
        Some(metric) => message.u32(PRIORITY, metric),
        None => message,
    }
}

/// Let no more than this many bits a second leave an interface: a token bucket, tc-tbf(8).
pub(super) fn limit(socket: &mut Socket, name: &str, bits: u64) -> Result<()> {
    const ROOT: u32 = 0xffff_ffff;
    const TCA_KIND: u16 = 1;
    const TCA_OPTIONS: u16 = 2;
    const PARMS: u16 = 1;
    const RATE64: u16 = 4;
    const BURST: u16 = 6;
    let deed = || format!("cannot limit the bandwidth of `{name}`");
    let index = index_of(socket, name).with_context(deed)?.with_context(deed)?;
    let rate = (bits / 8).max(1);
    // Room for what arrives in 50 ms, and for the largest packet; as much again may wait for 200 ms.
    let burst = u32::try_from(rate / 20).unwrap_or(u32::MAX).clamp(128 << 10, 16 << 20);
    let limit = u32::try_from(rate / 5).unwrap_or(u32::MAX).saturating_add(burst);
    // A `tcmsg`: family, interface, handle 1:, parent.
    let mut fixed = vec![0u8; 4];
    fixed.extend(index.to_ne_bytes());
    fixed.extend(0x0001_0000u32.to_ne_bytes());
    fixed.extend(ROOT.to_ne_bytes());
    fixed.extend([0; 4]);
    // A `tc_tbf_qopt`: the rate, no peak rate, the limit, and the bucket in ticks of 64 ns.
    let ticks = u64::from(burst).saturating_mul(1_000_000_000) / rate / 64;
    let ratespec =
        [vec![0, 1, 0, 0, 0, 0, 0, 0], u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes().to_vec()].concat();
    let mut parms = ratespec;
    parms.extend([0; 12]);
    parms.extend(limit.to_ne_bytes());
    parms.extend(u32::try_from(ticks).unwrap_or(u32::MAX).to_ne_bytes());
    parms.extend([0; 4]);
    let options = |m: Message| m.attr(PARMS, &parms).attr(RATE64, &rate.to_ne_bytes()).u32(BURST, burst);
    let message = Message::new(RTM_NEWQDISC, REPLACE, &fixed).text(TCA_KIND, "tbf").nest(TCA_OPTIONS, options);
    socket.call(message).with_context(deed)
}
