//! Giving a namespace an address: slirp4netns, published ports, `/etc/hosts` and `/etc/resolv.conf`.
//!
//! Knows no container: it gets a network namespace's descriptor and wishes. The life of a network, in order:
//! [`bind_ports`] (in the host's network namespace, best before the user namespace is joined, so that the holder of
//! a taken port can be named) → [`start_slirp`] beside the container's init → [`Slirp::wait_ready`] → [`forward`].
//! Both helpers die with the process that started them.

pub mod files;
mod forward;
mod holder;
mod listen;
mod ports;
mod slirp;

pub use files::{host_address, host_file, hosts, resolv_conf};
pub use forward::{Forwarder, forward};
pub use listen::{Listener, bind_ports};
pub use ports::parse_ports;
pub use slirp::{Slirp, start_slirp};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// The container's address behind slirp4netns (slirp4netns(1): the first host of its default 10.0.2.0/24).
pub const CONTAINER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
/// Its gateway. Never reaches the host itself, as slirp4netns runs with `--disable-host-loopback`.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// slirp4netns's name server, which asks the host's.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

/// `--network`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// A namespace whose way out is slirp4netns.
    #[default]
    Slirp4netns,
    /// A namespace with nothing but loopback.
    None,
    /// The host's own.
    Host,
}

/// The protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// The host's address to listen on; `None`: all.
    pub host_ip: Option<IpAddr>,
    /// The host's port; 0: one that is free, decided when the container starts.
    pub host_port: u16,
    /// Any free one from `host_port` up to this will do (`-p 8080-8090:80`); decided when the container starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port_last: Option<u16>,
    /// The port in the container.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}
