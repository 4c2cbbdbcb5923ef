//! Listening on the host's side of published ports.
//!
//! The sockets are made here, in the host's network namespace, and served by [`super::forward`], wherever that is:
//! a socket stays in the namespace that it was made in.

use super::holder::{self, Holder};
use super::{PortMapping, Protocol};
use crate::base::error::{Fault, Kind};
use anyhow::Result;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// How many ports are tried where one that is free on IPv4 must be free on IPv6 too.
const RANDOM_ATTEMPTS: usize = 32;
/// How far above a taken port a free one is looked for, to be offered.
const OFFER_SPAN: u16 = 200;

/// A socket of the host that listens for a published port.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: OwnedFd,
    pub(super) protocol: Protocol,
    pub(super) ipv6: bool,
    pub(super) container_port: u16,
    /// The host's address and port, as the mapping has them.
    host: (Option<IpAddr>, u16),
}

impl Listener {
    /// One that somebody else has made by [`bind_ports`] for this mapping.
    pub fn received(socket: OwnedFd, mapping: &PortMapping, ipv6: bool) -> Self {
        let host = (mapping.host_ip, mapping.host_port);
        Self { socket, protocol: mapping.protocol, ipv6, container_port: mapping.container_port, host }
    }

    /// Whether it listens for this mapping.
    pub fn is_of(&self, mapping: &PortMapping) -> bool {
        self.host == (mapping.host_ip, mapping.host_port)
            && (self.container_port, self.protocol) == (mapping.container_port, mapping.protocol)
    }

    /// Whether it listens for IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.ipv6
    }

    /// The same socket once more.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, ..*self })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Listen on all published ports, or on none. Ports that were left open are decided and written to `ports`.
///
/// A mapping without an address listens on `0.0.0.0` and, where the host has IPv6, on `[::]`. `owner` names what a
/// process belongs to (a container), for the error about a taken port. Call this before the user namespace is joined:
/// from inside, other programs' descriptors cannot be looked at, and the error cannot name who holds the port.
pub fn bind_ports(ports: &mut [PortMapping], owner: &dyn Fn(i32) -> Option<String>) -> Result<Vec<Listener>> {
    let mut listeners = Vec::with_capacity(ports.len() * 2);
    for index in 0..ports.len() {
        let (before, rest) = ports.split_at_mut(index);
        let Some(mapping) = rest.first_mut() else { break };
        match bind_mapping(mapping) {
            Ok((port, sockets)) => {
                listeners.extend(sockets);
                mapping.host_port = port;
                mapping.host_port_last = None;
            }
            Err(errno) => return Err(refusal(mapping, before, errno, owner)),
        }
    }
    Ok(listeners)
}

fn bind_mapping(mapping: &PortMapping) -> Result<(u16, Vec<Listener>), Errno> {
    if mapping.host_port == 0 {
        for _ in 0..RANDOM_ATTEMPTS {
            match bind_port(mapping, 0) {
                Err(Errno::ADDRINUSE) => {}
                other => return other,
            }
        }
        return Err(Errno::ADDRINUSE);
    }
    let mut result = Err(Errno::ADDRINUSE);
    for port in mapping.host_port..=mapping.host_port_last.unwrap_or(mapping.host_port) {
        result = bind_port(mapping, port);
        if !matches!(result, Err(Errno::ADDRINUSE)) {
            break;
        }
    }
    result
}

/// Listen on one port, on every address that the mapping means. Port 0: any.
fn bind_port(mapping: &PortMapping, port: u16) -> Result<(u16, Vec<Listener>), Errno> {
    let (protocol, container_port) = (mapping.protocol, mapping.container_port);
    let listener = |socket, ipv6, port| {
        let host = (mapping.host_ip, port);
        Listener { socket, protocol, ipv6, container_port, host }
    };
    let ip = mapping.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let socket = bind_socket(mapping.protocol, SocketAddr::new(ip, port))?;
    let port = match port {
        0 => SocketAddr::try_from(rustix::net::getsockname(&socket)?).map_err(|_| Errno::AFNOSUPPORT)?.port(),
        port => port,
    };
    let mut listeners = vec![listener(socket, ip.is_ipv6(), port)];
    if mapping.host_ip.is_none() {
        match bind_socket(mapping.protocol, SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)) {
            Ok(socket) => listeners.push(listener(socket, true, port)),
            // The host has no IPv6, or has it disabled.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok((port, listeners))
}

fn bind_socket(protocol: Protocol, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of the last run in TIME_WAIT are no reason to wait; a living listener still is.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        // Connections have these of their listener (tcp(7)): what the forwarder passes on has waited once already, and
        // a client that vanished is found some day.
        sockopt::set_tcp_nodelay(&socket, true)?;
        sockopt::set_socket_keepalive(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if protocol == Protocol::Tcp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

fn refusal(
    mapping: &PortMapping,
    before: &[PortMapping],
    errno: Errno,
    owner: &dyn Fn(i32) -> Option<String>,
) -> anyhow::Error {
    let port = mapping.host_port;
    let shown = match mapping.protocol {
        Protocol::Tcp => format!("port {port}"),
        Protocol::Udp => format!("port {port}/udp"),
    };
    match errno {
        Errno::ADDRINUSE => {
            let twice = |other: &PortMapping| other.host_port == port && other.protocol == mapping.protocol;
            if port != 0 && before.iter().any(twice) {
                return Fault::new(Kind::Usage, format!("{shown} is published twice")).into();
            }
            taken(mapping, &shown, owner)
        }
        Errno::ACCESS => Fault::new(Kind::Host, format!("{shown} is reserved for root on this machine"))
            .hint(format!("sudo sysctl net.ipv4.ip_unprivileged_port_start={port}"))
            .hint(format!("or choose another: {}", publish(mapping, port.saturating_add(8000))))
            .because(errno),
        Errno::ADDRNOTAVAIL => {
            let ip = mapping.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
            Fault::new(Kind::Usage, format!("cannot listen on `{ip}`: it is not an address of this machine"))
                .hint("see which it has: ip -brief address")
                .because(errno)
        }
        errno => Fault::new(Kind::Host, format!("cannot listen on {shown}")).because(errno),
    }
}

/// The error about a port that somebody holds.
fn taken(mapping: &PortMapping, shown: &str, owner: &dyn Fn(i32) -> Option<String>) -> anyhow::Error {
    if mapping.host_port == 0 {
        return Fault::new(Kind::InUse, "no port of this machine is free").into();
    }
    if let Some(last) = mapping.host_port_last {
        return Fault::new(Kind::InUse, format!("all ports from {} to {last} are in use", mapping.host_port)).into();
    }
    let offer = next_free(mapping).map(|port| format!("choose another with `{}`", publish(mapping, port)));
    let or_stop = |command: String| match &offer {
        Some(offer) => format!("{offer}, or stop it: `{command}`"),
        None => format!("stop it: `{command}`"),
    };
    let (by, hint) = match holder::find(mapping.host_port, mapping.protocol) {
        Some(Holder::Process { pid, parent, program }) => match owner(pid).or_else(|| owner(parent)) {
            Some(container) => (format!(" by container `{container}`"), Some(or_stop(format!("box stop {container}")))),
            None => (format!(" by `{}` (pid {pid})", program.escape_debug()), Some(or_stop(format!("kill {pid}")))),
        },
        Some(Holder::User(uid)) => (format!(" by a program of user id {uid}"), offer),
        None => (String::new(), offer),
    };
    let mut fault = Fault::new(Kind::InUse, format!("{shown} is already in use{by}"));
    fault.hints.extend(hint);
    fault.into()
}

/// The mapping as its user would type it, with another port of the host.
fn publish(mapping: &PortMapping, port: u16) -> String {
    let ip = match mapping.host_ip {
        Some(IpAddr::V4(ip)) => format!("{ip}:"),
        Some(IpAddr::V6(ip)) => format!("[{ip}]:"),
        None => String::new(),
    };
    let protocol = if mapping.protocol == Protocol::Udp { "/udp" } else { "" };
    format!("-p {ip}{port}:{}{protocol}", mapping.container_port)
}

fn next_free(mapping: &PortMapping) -> Option<u16> {
    let first = mapping.host_port.checked_add(1)?;
    (first..=first.saturating_add(OFFER_SPAN)).find(|port| bind_port(mapping, *port).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::kind;
    use crate::network::parse_ports;
    use std::net::TcpListener;

    fn bind(text: &str) -> (Result<Vec<Listener>>, Vec<PortMapping>) {
        let mut ports = parse_ports(text).unwrap();
        (bind_ports(&mut ports, &|_| None), ports)
    }

    #[test]
    fn a_random_port_is_written_back() {
        let (listeners, ports) = bind("127.0.0.1::80,127.0.0.1::53/udp");
        assert_eq!(listeners.unwrap().len(), 2);
        assert!(ports.iter().all(|mapping| mapping.host_port != 0));
    }

    #[test]
    fn without_an_address_both_families_listen() {
        let (listeners, ports) = bind("80");
        let listeners = listeners.unwrap();
        assert!(!listeners.is_empty() && listeners.len() <= 2, "one a family");
        assert!(TcpListener::bind(("0.0.0.0", ports[0].host_port)).is_err());
    }

    #[test]
    fn a_taken_port_names_its_holder_and_offers_another() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let text = format!("127.0.0.1:{port}:80");
        let error = bind(&text).0.unwrap_err();
        assert_eq!(kind(&error), Kind::InUse);
        let me = std::process::id();
        let said = error.to_string();
        assert!(said.starts_with(&format!("port {port} is already in use by `")), "{said}");
        assert!(said.ends_with(&format!("` (pid {me})")), "{said}");
        let hints = &error.downcast_ref::<Fault>().unwrap().hints;
        assert!(hints[0].contains("choose another with `-p 127.0.0.1:"), "{hints:?}");
        assert!(hints[0].contains(&format!("`kill {me}`")), "{hints:?}");

        let mut ports = parse_ports(&text).unwrap();
        let error = bind_ports(&mut ports, &|pid| (pid == me as i32).then(|| "web".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), format!("port {port} is already in use by container `web`"));
        assert!(error.downcast_ref::<Fault>().unwrap().hints[0].contains("`box stop web`"));
    }

    #[test]
    fn of_a_range_one_free_port_is_taken() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let last = port.saturating_add(20);
        let (listeners, ports) = bind(&format!("127.0.0.1:{port}-{last}:80"));
        assert_eq!(listeners.unwrap().len(), 1);
        assert!(ports[0].host_port > port && ports[0].host_port <= last && ports[0].host_port_last.is_none());
    }

    #[test]
    fn the_same_port_twice_is_the_users_mistake() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = bind(&format!("127.0.0.1:{free}:80,127.0.0.1:{free}:81")).0.unwrap_err();
        assert_eq!(error.to_string(), format!("port {free} is published twice"));
        bind(&format!("127.0.0.1:{free}:80,127.0.0.1:{free}:81/udp")).0.unwrap();
    }

    #[test]
    fn refusals_name_their_fix() {
        let mapping = &parse_ports("80:8080").unwrap()[0];
        for (errno, text, hint) in [
            (Errno::ACCESS, "port 80 is reserved for root", "sudo sysctl net.ipv4.ip_unprivileged_port_start=80"),
            (Errno::ADDRNOTAVAIL, "not an address of this machine", "ip -brief address"),
        ] {
            let error = refusal(mapping, &[], errno, &|_| None);
            assert!(error.to_string().contains(text), "{error}");
            assert!(error.downcast_ref::<Fault>().unwrap().hints[0].contains(hint));
        }
        assert_eq!(publish(&parse_ports("[::1]:80:53/udp").unwrap()[0], 81), "-p [::1]:81:53/udp");
    }
}
