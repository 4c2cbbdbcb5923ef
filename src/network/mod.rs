//! Giving a namespace an address: slirp4netns, pasta, published ports, `/etc/hosts` and `/etc/resolv.conf`.
//!
//! Knows no container: it gets a network namespace's descriptor and wishes. The life of a network, in order:
//! [`bind_ports`] (in the host's network namespace, best before the user namespace is joined, so that the holder of
//! a taken port can be named) → [`start_slirp`] or [`start_pasta`] beside the container's init →
//! [`Program::wait_ready`] → [`forward`]. All helpers die with the process that started them.

mod addresses;
mod firewall;
pub mod dns;
pub mod files;
mod forward;
mod holder;
pub mod hub;
pub mod ipam;
mod listen;
mod pasta;
mod ports;
pub mod prefix;
mod program;
pub mod record;
mod routes;
pub mod settings;
mod slirp;
mod trusted;
mod wiring;

pub use files::{Names, host_address, host_file, hosts, resolv_conf};
pub use forward::{Forwarder, forward};
pub use listen::{Listener, bind_ports};
pub use pasta::{PASTA_NAME_SERVER, start_pasta};
pub use ports::parse_ports;
pub use program::{Deaths, Program};
pub use settings::{Attachment, Mac, Settings, SlirpOptions};
pub use slirp::{SlirpAddresses, start_slirp};
pub use trusted::check_slirp;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

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
    /// A namespace whose way out is pasta.
    Pasta,
    /// A namespace in user networks, `Settings::attachments`.
    Bridge,
    /// That of another container: its id.
    Container(String),
    /// One that exists: the path of its file.
    Namespace(PathBuf),
}

impl NetworkMode {
    /// Whether the container gets a network namespace of its own.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Slirp4netns | Self::None | Self::Pasta | Self::Bridge)
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slirp4netns => f.write_str("slirp4netns"),
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Pasta => f.write_str("pasta"),
            Self::Bridge => f.write_str("bridge"),
            Self::Container(id) => write!(f, "container:{id}"),
            Self::Namespace(path) => write!(f, "ns:{}", path.display()),
        }
    }
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
