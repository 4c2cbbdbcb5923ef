//! slirp4netns: a TCP/IP stack in user space between a namespace's tap device and the host's sockets. slirp4netns(1).

use super::program::{self, Program, WITHOUT};
use super::settings::{Mac, SlirpOptions};
use crate::base::error::{Fault, Kind};
use crate::base::program as programs;
use crate::sys::process::Ended;
use anyhow::Result;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// The largest packet that fits a tap device's buffers as slirp4netns has them; the default of 1500 halves the speed.
pub const MTU: u32 = 65520;

/// What slirp4netns gives a namespace: the 100th address of its network, with itself as the 2nd and 3rd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlirpAddresses {
    /// The container's.
    pub container: Ipv4Addr,
    /// The gateway. It is the host only with `allow_host_loopback`.
    pub gateway: Ipv4Addr,
    /// Its name server, which asks the host's.
    pub name_server: Ipv4Addr,
    /// The length of the network's prefix.
    pub prefix: u8,
}

impl SlirpAddresses {
    /// Those of a network; 10.0.2.0/24 where none was chosen.
    pub fn of(options: &SlirpOptions) -> Self {
        let (base, prefix) = options.cidr.unwrap_or((Ipv4Addr::new(10, 0, 2, 0), 24));
        let at = |offset| Ipv4Addr::from(u32::from(base).saturating_add(offset));
        Self { container: at(100), gateway: at(2), name_server: at(3), prefix }
    }
}

/// Start slirp4netns for a network namespace. Returns at once; the network is there after [`Program::wait_ready`].
///
/// The caller is single-threaded and root in the user namespace that owns `netns` (or the real root). After its
/// death the same call brings the network back.
pub fn start_slirp(netns: BorrowedFd<'_>, options: &SlirpOptions, mac: Option<Mac>) -> Result<Program> {
    let path = programs::find("slirp4netns").ok_or_else(missing_program)?;
    let arguments = |numbers: program::Numbers| {
        let mut list = vec![
            "--configure".to_owned(),
            format!("--mtu={}", options.mtu.unwrap_or(MTU)),
            "--enable-sandbox".to_owned(),
            "--enable-seccomp".to_owned(),
            format!("--ready-fd={}", numbers.ready),
            format!("--exit-fd={}", numbers.exit),
        ];
        if !options.allow_host_loopback {
            list.push("--disable-host-loopback".into());
        }
        if options.enable_ipv6 {
            list.push("--enable-ipv6".into());
        }
        if let Some((base, prefix)) = options.cidr {
            list.push(format!("--cidr={base}/{prefix}"));
        }
        list.extend(options.outbound_addr.iter().map(|text| format!("--outbound-addr={text}")));
        list.extend(options.outbound_addr6.iter().map(|text| format!("--outbound-addr6={text}")));
        list.extend(mac.iter().map(|mac| format!("--macaddress={mac}")));
        list.extend(["--netns-type=path".into(), format!("/proc/self/fd/{}", numbers.netns), "tap0".into()]);
        list
    };
    program::start("slirp4netns", &path, arguments, netns, explain)
}

fn missing_program() -> anyhow::Error {
    Fault::new(Kind::Host, "the network needs slirp4netns, which is not installed")
        .hint(programs::how_to_install("slirp4netns", &[]))
        .hint("or use pasta, where that is installed: `--network pasta`")
        .hint(WITHOUT)
        .into()
}

fn explain(message: &str, ended: Option<Ended>) -> anyhow::Error {
    if message.contains("unrecognized option") || message.contains("invalid option") {
        return Fault::new(
            Kind::Host,
            "slirp4netns is too old for what it was asked (0.4.0 locks itself in, 1.2 has all)",
        )
        .hint("update the package slirp4netns")
        .hint(WITHOUT)
        .into();
    }
    program::failure("slirp4netns", message, ended, Path::new("/dev/net/tun"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_old_names_the_package() {
        let hints = |error: anyhow::Error| error.downcast_ref::<Fault>().unwrap().hints.join(" ");
        assert!(hints(missing_program()).contains("slirp4netns"));
        assert!(hints(explain("slirp4netns: unrecognized option '--x'", None)).contains("update the package"));
    }

    #[test]
    fn addresses_follow_the_network() {
        let addresses = |cidr| SlirpAddresses::of(&SlirpOptions { cidr, ..Default::default() });
        assert_eq!(addresses(None).container, Ipv4Addr::new(10, 0, 2, 100));
        let other = addresses(Some((Ipv4Addr::new(10, 9, 8, 0), 25)));
        assert_eq!((other.gateway, other.name_server, other.prefix), ([10, 9, 8, 2].into(), [10, 9, 8, 3].into(), 25));
    }
}
