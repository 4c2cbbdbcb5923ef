//! Connecting to the container, in its own network namespace, in the name of a client outside.

use super::is_scarcity;
use crate::network::addresses::Targets;
use crate::sys::net::set_transparent;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// Where connections go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) addresses: Targets,
    /// Clients' addresses can be taken: answers to them are led back.
    pub(super) transparent: bool,
}

impl Target {
    /// A socket to a port of the container, and whether it is connected already: from the client's address and port if
    /// possible, else its address alone, else from the container's own.
    ///
    /// A client of one family reaches a server of the other, but under the container's own address.
    pub(super) fn connect(
        &self,
        kind: SocketType,
        client: Option<SocketAddr>,
        port: u16,
    ) -> Result<(OwnedFd, bool), Errno> {
        let (v4, v6) = (self.addresses.v4.map(IpAddr::V4), self.addresses.v6.map(IpAddr::V6));
        let is_v6 = client.is_some_and(|client| client.is_ipv6());
        let (same, other) = if is_v6 { (v6, v4) } else { (v4, v6) };
        let mut result = Err(Errno::ADDRNOTAVAIL);
        if let Some(target) = same {
            result = match client.filter(|client| self.transparent && can_be_taken(client.ip())) {
                Some(client) => connect_as(kind, client, SocketAddr::new(target, port)),
                None => connect_plain(kind, SocketAddr::new(target, port)),
            };
        }
        match (&result, other) {
            (Err(errno), Some(target)) if !is_scarcity(*errno) => connect_plain(kind, SocketAddr::new(target, port)),
            _ => result,
        }
    }
}

/// Nobody is to seem local who is not, and link-local addresses mean another link inside.
fn can_be_taken(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && !link_local
}

fn socket(kind: SocketType, target: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if target.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    rustix::net::socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

fn connect_as(kind: SocketType, client: SocketAddr, target: SocketAddr) -> Result<(OwnedFd, bool), Errno> {
    // The same client may come by two ports of the host to one of the container: then its own port is taken.
    for from in [client, SocketAddr::new(client.ip(), 0)] {
        let socket = socket(kind, target)?;
        let bound = set_transparent(socket.as_fd(), target.is_ipv6())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .and_then(|()| sockopt::set_socket_reuseaddr(&socket, true))
            .and_then(|()| rustix::net::bind(&socket, &from));
        if bound.is_ok() {
            match connect_socket(socket, target) {
                Err(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => {}
                result => return result,
            }
        }
    }
    connect_plain(kind, target)
}

/// The kernel takes the target as the source, since it is an address of this very namespace.
fn connect_plain(kind: SocketType, target: SocketAddr) -> Result<(OwnedFd, bool), Errno> {
    connect_socket(socket(kind, target)?, target)
}

fn connect_socket(socket: OwnedFd, target: SocketAddr) -> Result<(OwnedFd, bool), Errno> {
    match rustix::net::connect(&socket, &target) {
        Ok(()) => Ok((socket, true)),
        // Between sockets of one namespace it is done, or refused, at once, unless too many wait for the server.
        Err(Errno::INPROGRESS) => match rustix::net::getpeername(&socket) {
            Ok(_) => Ok((socket, true)),
            Err(_) => sockopt::socket_error(&socket)?.map(|()| (socket, false)),
        },
        Err(errno) => Err(errno),
    }
}
