//! What a container finds in `/etc/hosts` and `/etc/resolv.conf`. Text in, text out; only the `host_…` functions
//! look at the machine. resolv.conf(5), hosts(5).

use super::{CONTAINER_ADDRESS, GATEWAY, NAME_SERVER, NetworkMode};
use crate::base::fs::read_limited;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

/// More than any honest hosts or resolv.conf file.
const LIMIT: u64 = 1 << 20;
/// What the resolver reads at most (MAXNS).
const MAX_NAME_SERVERS: usize = 3;

/// One of the host's small text files; empty if it is missing, too large or not a file.
pub fn host_file(path: &Path) -> String {
    read_limited(path, LIMIT).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The address that the host itself is reached by, as seen from outside: that of its default route.
///
/// Sends nothing: connecting a UDP socket only asks the routing table. `None` without a route.
pub fn host_address() -> Option<Ipv4Addr> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    // TEST-NET-1 (RFC 5737), which nobody is.
    rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match SocketAddr::try_from(rustix::net::getsockname(&socket).ok()?).ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_unspecified() && !ip.is_loopback() => Some(ip),
        _ => None,
    }
}

/// The container's `/etc/hosts`. `names` are the container's own (hostname, then name); `host_hosts` is the host's
/// file, used where the container shares the host's network; `host` is [`host_address`].
///
/// `host.containers.internal` gets the host's outward address where there is one: the gateway leads nowhere, since
/// slirp4netns runs without access to the host's loopback.
pub fn hosts(mode: &NetworkMode, host_hosts: &str, names: &[&str], host: Option<Ipv4Addr>) -> String {
    let names = own_names(names);
    let mut text = String::with_capacity(256);
    let (own, host) = match mode {
        NetworkMode::Slirp4netns => (CONTAINER_ADDRESS, Some(host.unwrap_or(GATEWAY))),
        NetworkMode::None => (Ipv4Addr::LOCALHOST, None),
        NetworkMode::Host => (Ipv4Addr::LOCALHOST, Some(Ipv4Addr::LOCALHOST)),
    };
    if *mode == NetworkMode::Host && !host_hosts.trim().is_empty() {
        text.push_str(host_hosts);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    } else {
        text.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    }
    if !names.is_empty() {
        let _ = writeln!(text, "{own}\t{names}");
    }
    if let Some(host) = host {
        let _ = writeln!(text, "{host}\thost.containers.internal host.docker.internal");
    }
    text
}

/// The names, each once, without those that would begin another field, line or comment.
fn own_names(names: &[&str]) -> String {
    let mut list: Vec<&str> = Vec::new();
    for name in names {
        let sound = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#');
        if sound && !list.contains(name) {
            list.push(name);
        }
    }
    list.join(" ")
}

/// The container's `/etc/resolv.conf`, from the host's.
///
/// Behind slirp4netns its name server comes first, which asks the host's and so reaches resolvers on the host's
/// loopback too (systemd-resolved's 127.0.0.53); then those of the host's that the container can reach itself.
/// Search domains and options are kept. Without a network there is nothing to ask; the host's network has its file.
pub fn resolv_conf(host: &str, mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Host => return host.to_owned(),
        NetworkMode::None => return String::new(),
        NetworkMode::Slirp4netns => {}
    }
    let mut text = String::with_capacity(128);
    let mut servers = vec![NAME_SERVER];
    for line in host.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => match words.next().and_then(|word| word.parse().ok()) {
                // slirp4netns gives no IPv6, so those cannot be reached.
                Some(IpAddr::V4(ip)) if !ip.is_loopback() && !ip.is_unspecified() && !servers.contains(&ip) => {
                    servers.push(ip);
                }
                _ => {}
            },
            Some("search" | "domain" | "options" | "sortlist") => {
                text.push_str(line.trim());
                text.push('\n');
            }
            _ => {}
        }
    }
    for server in servers.into_iter().take(MAX_NAME_SERVERS) {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use NetworkMode::{Host, None as NoNetwork, Slirp4netns};

    #[test]
    fn resolvers() {
        for (host, mode, wanted) in [
            ("nameserver 127.0.0.53\n", Slirp4netns, "nameserver 10.0.2.3\n"),
            ("", Slirp4netns, "nameserver 10.0.2.3\n"),
            (
                "# made\nnameserver 1.2.3.4\nnameserver ::1\nnameserver fe80::1%eth0\nsearch a.example b\noptions edns0\n",
                Slirp4netns,
                "search a.example b\noptions edns0\nnameserver 10.0.2.3\nnameserver 1.2.3.4\n",
            ),
            (
                "nameserver 1.1.1.1\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3",
                Slirp4netns,
                "nameserver 10.0.2.3\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n",
            ),
            ("nameserver\nnameserver x\nsearch", Slirp4netns, "search\nnameserver 10.0.2.3\n"),
            ("nameserver 127.0.0.53\n", Host, "nameserver 127.0.0.53\n"),
            ("nameserver 1.1.1.1\n", NoNetwork, ""),
        ] {
            assert_eq!(resolv_conf(host, &mode), wanted, "{host:?} {mode:?}");
        }
    }

    #[test]
    fn hosts_files() {
        let base = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
        let outward = Some(Ipv4Addr::new(192, 168, 7, 5));
        for (mode, host_hosts, names, host, wanted) in [
            (
                Slirp4netns,
                "1.1.1.1 x\n",
                &["0123456789ab", "web"][..],
                outward,
                format!(
                    "{base}10.0.2.100\t0123456789ab web\n192.168.7.5\thost.containers.internal host.docker.internal\n"
                ),
            ),
            (
                Slirp4netns,
                "",
                &["web", "web", "", "a b", "c\n6.6.6.6 bank", "#x"],
                None,
                format!("{base}10.0.2.100\tweb\n10.0.2.2\thost.containers.internal host.docker.internal\n"),
            ),
            (NoNetwork, "", &["h"], outward, format!("{base}127.0.0.1\th\n")),
            (
                Host,
                "127.0.0.1 localhost box",
                &["box"],
                outward,
                "127.0.0.1 localhost box\n127.0.0.1\tbox\n127.0.0.1\thost.containers.internal host.docker.internal\n"
                    .to_owned(),
            ),
        ] {
            assert_eq!(hosts(&mode, host_hosts, names, host), wanted, "{mode:?} {names:?}");
        }
    }

    #[test]
    fn a_missing_file_of_the_host_is_empty() {
        assert_eq!(host_file(Path::new("/nonexistent/resolv.conf")), "");
        assert_eq!(host_file(Path::new("/etc")), "");
    }
}
