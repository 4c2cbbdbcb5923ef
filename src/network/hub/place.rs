//! A container's place in a network: addresses, a cable, routes, limits.

use super::{Address, Lease};
use crate::base::error::{Fault, Kind, fault};
use crate::network::ipam::{self, NoAddress};
use crate::network::record::{Record, Subnet};
use crate::network::settings::{Attachment, Mac};
use crate::network::slirp::MTU;
use crate::network::wiring::{self, Cable, Inner};
use crate::sys::namespace::inside;
use crate::sys::netlink::Socket;
use anyhow::{Context, Result};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

/// Who has which address, by network.
pub(super) struct Addresses<'a> {
    /// All that are taken in the network.
    pub used: HashSet<IpAddr>,
    /// The last one that was given, by network and family.
    pub last: &'a mut HashMap<(String, bool), IpAddr>,
}

/// Decide all of a lease. `others` are the container's leases so far.
pub(super) fn decide(
    id: &str,
    attachment: &Attachment,
    record: &Record,
    others: &[Lease],
    addresses: &mut Addresses<'_>,
) -> Result<Lease> {
    let number = (0..).find(|number| !others.iter().any(|lease| lease.outer == outer(id, *number))).unwrap_or(0u32);
    let interface = match &attachment.interface {
        Some(name) if others.iter().any(|lease| lease.interface == *name) => {
            return Err(fault(Kind::InUse, format!("the container has an interface `{name}` already")));
        }
        Some(name) => name.clone(),
        None => (0..)
            .map(|number| format!("eth{number}"))
            .find(|name| !others.iter().any(|lease| lease.interface == *name))
            .unwrap_or_default(),
    };
    for (wanted, ipv6) in [(attachment.ip.map(IpAddr::V4), false), (attachment.ip6.map(IpAddr::V6), true)] {
        if let Some(address) = wanted
            && !record.subnets.iter().any(|subnet| subnet.subnet.is_ipv6() == ipv6)
        {
            let text = format!("network `{}` has no addresses like {address}", record.name);
            return Err(fault(Kind::Usage, text));
        }
    }
    let leads_out = !record.internal && !record.no_default_route;
    let mut list = Vec::new();
    for subnet in &record.subnets {
        let ipv6 = subnet.subnet.is_ipv6();
        let has_default = others
            .iter()
            .flat_map(|lease| &lease.addresses)
            .any(|address| address.is_default && address.address.is_ipv6() == ipv6);
        list.push(Address {
            address: address(attachment, record, subnet, addresses)?,
            length: subnet.subnet.length,
            gateway: subnet.gateway,
            is_default: leads_out && !has_default,
        });
    }
    Ok(Lease {
        record: record.clone(),
        attachment: attachment.clone(),
        interface,
        outer: outer(id, number),
        mac: attachment.mac.map_or_else(random_mac, Ok)?,
        addresses: list,
    })
}

/// The end of a cable at the bridge. The kernel takes 15 characters.
fn outer(id: &str, number: u32) -> String {
    format!("veth{}{number}", id.chars().take(9).collect::<String>())
}

fn address(attachment: &Attachment, record: &Record, subnet: &Subnet, addresses: &mut Addresses<'_>) -> Result<IpAddr> {
    let ipv6 = subnet.subnet.is_ipv6();
    let wanted = if ipv6 { attachment.ip6.map(IpAddr::V6) } else { attachment.ip.map(IpAddr::V4) };
    let key = (record.id.clone(), ipv6);
    addresses.used.extend(record.reserved.values().copied().chain([subnet.gateway]));
    let last = addresses.last.get(&key).copied();
    match ipam::address(&subnet.subnet, subnet.range, &addresses.used, wanted, last) {
        Ok(address) => {
            if wanted.is_none() {
                addresses.last.insert(key, address);
            }
            Ok(address)
        }
        Err(reason) => {
            let (name, shown) = (&record.name, wanted.map(|ip| ip.to_string()).unwrap_or_default());
            Err(match reason {
                NoAddress::Taken => {
                    let text = format!("the address {shown} is taken in network `{name}`");
                    Fault::new(Kind::InUse, text).hint(format!("see who has it: box network inspect {name}"))
                }
                NoAddress::Outside => {
                    Fault::new(Kind::Usage, format!("{shown} is no address of network `{name}` ({})", subnet.subnet))
                }
                NoAddress::Exhausted => {
                    Fault::new(Kind::Host, format!("all addresses of network `{name}` ({}) are taken", subnet.subnet))
                }
            }
            .into())
        }
    }
}

/// Locally administered, of one interface.
fn random_mac() -> Result<Mac> {
    let mut bytes = [0; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let [first, rest @ ..] = bytes;
    let [a, b, c, d, e] = rest;
    Ok(Mac([first & 0xfc | 2, a, b, c, d, e]))
}

/// Lay the cable and bring the container's end up.
pub(super) fn lay(socket: &mut Socket, bridge: u32, lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    let record = &lease.record;
    let cable =
        Cable { outer: &lease.outer, bridge, inner: &lease.interface, mac: lease.mac, mtu: record.mtu.unwrap_or(MTU) };
    wiring::lay(socket, &cable, netns).map_err(|errno| match errno {
        Errno::EXIST => fault(Kind::InUse, format!("the container has an interface `{}` already", lease.interface)),
        errno => anyhow::Error::new(errno).context(format!("cannot connect to network `{}`", record.name)),
    })?;
    let laid = finish(socket, lease, netns);
    if laid.is_err() {
        let _ = wiring::remove_link(socket, &lease.outer);
    }
    laid
}

fn finish(socket: &mut Socket, lease: &Lease, netns: BorrowedFd<'_>) -> Result<()> {
    if let Some(bits) = lease.attachment.bandwidth_in {
        wiring::limit(socket, &lease.outer, bits)?;
    }
    let addresses: Vec<(IpAddr, u8)> =
        lease.addresses.iter().map(|address| (address.address, address.length)).collect();
    let defaults = lease.addresses.iter().filter(|address| address.is_default);
    let defaults = defaults.map(|address| (None, address.gateway, lease.record.metric));
    let others = lease.record.routes.iter().map(|route| (Some(route.destination), route.gateway, route.metric));
    let routes: Vec<_> = defaults.chain(others).collect();
    inside(netns, || {
        wiring::bring_up(&Inner { name: &lease.interface, addresses: &addresses, routes: &routes })?;
        match lease.attachment.bandwidth_out {
            Some(bits) => wiring::limit(&mut Socket::route()?, &lease.interface, bits),
            None => Ok(()),
        }
    })
    .context("cannot enter the container's network namespace")?
}
