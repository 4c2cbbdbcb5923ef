//! What a container finds in `/etc/hosts` and `/etc/resolv.conf`. Text in, text out; only the `host_…` functions
//! look at the machine. resolv.conf(5), hosts(5).

use super::settings::{AddedHost, Settings};
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

/// What a container's `/etc/hosts` is made of.
#[derive(Debug, Default)]
pub struct Names<'a> {
    /// What the file begins with; `None`: localhost and nothing else.
    pub base: Option<String>,
    /// The container's own addresses; none: its loopback.
    pub own: &'a [IpAddr],
    /// Its own names (hostname, then name).
    pub names: &'a [&'a str],
    /// What `host-gateway` means.
    pub host: Option<IpAddr>,
    /// What `host.containers.internal` means.
    pub internal: Option<IpAddr>,
    /// `--add-host`.
    pub added: &'a [AddedHost],
}

/// The container's `/etc/hosts`.
///
/// `host.containers.internal` gets the host's outward address where there is one: the gateway leads nowhere, since
/// slirp4netns runs without access to the host's loopback.
pub fn hosts(wanted: &Names<'_>) -> String {
    let mut text = String::with_capacity(256);
    match &wanted.base {
        Some(base) => {
            text.push_str(base);
            if !base.is_empty() && !base.ends_with('\n') {
                text.push('\n');
            }
        }
        None => text.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"),
    }
    let names = own_names(wanted.names);
    if !names.is_empty() {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        for own in if wanted.own.is_empty() { &loopback } else { wanted.own } {
            let _ = writeln!(text, "{own}\t{names}");
        }
    }
    for added in wanted.added {
        if let Some(address) = added.address.or(wanted.host) {
            let _ = writeln!(text, "{address}\t{}", added.names.join(" "));
        }
    }
    if let Some(host) = wanted.internal {
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

/// Which of the host's name servers a container can reach itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It has the host's network, and the host's file.
    Host,
    /// Those that are routed: none on the host's loopback, and IPv6 only where the container has it.
    Routed {
        /// The container has IPv6.
        ipv6: bool,
    },
    /// None.
    Nothing,
}

/// The container's `/etc/resolv.conf`, from the host's.
///
/// `first` are servers of the container's network: behind slirp4netns its own comes first, which asks the host's and so
/// reaches resolvers on the host's loopback too (systemd-resolved's 127.0.0.53); then those of the host's that the
/// container can reach itself. Search domains and options are kept. What the user has asked for wins.
pub fn resolv_conf(host: &str, first: &[IpAddr], reach: Reach, settings: &Settings) -> String {
    let own = !settings.dns.is_empty() || !settings.dns_search.is_empty() || !settings.dns_options.is_empty();
    match reach {
        Reach::Host if !own => return host.to_owned(),
        Reach::Nothing if !own && first.is_empty() => return String::new(),
        _ => {}
    }
    let mut text = String::with_capacity(128);
    let mut servers = if settings.dns.is_empty() { first.to_vec() } else { settings.dns.clone() };
    let reachable = |ip: &IpAddr| match (reach, ip) {
        (Reach::Host, _) => true,
        (Reach::Routed { ipv6 }, ip) => !ip.is_loopback() && !ip.is_unspecified() && (ipv6 || ip.is_ipv4()),
        (Reach::Nothing, _) => false,
    };
    for line in host.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") if settings.dns.is_empty() => match words.next().and_then(|word| word.parse().ok()) {
                Some(ip) if reachable(&ip) && !servers.contains(&ip) => servers.push(ip),
                _ => {}
            },
            Some("search" | "domain") if !settings.dns_search.is_empty() => {}
            Some("options") if !settings.dns_options.is_empty() => {}
            Some("search" | "domain" | "options" | "sortlist") => {
                text.push_str(line.trim());
                text.push('\n');
            }
            _ => {}
        }
    }
    let domains: Vec<&str> = settings.dns_search.iter().map(String::as_str).filter(|domain| *domain != ".").collect();
    if !domains.is_empty() {
        let _ = writeln!(text, "search {}", domains.join(" "));
    }
    if !settings.dns_options.is_empty() {
        let _ = writeln!(text, "options {}", settings.dns_options.join(" "));
    }
    for server in servers.into_iter().take(MAX_NAME_SERVERS) {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLIRP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 3));

    #[test]
    fn resolvers() {
        let routed = Reach::Routed { ipv6: false };
        for (host, reach, wanted) in [
            ("nameserver 127.0.0.53\n", routed, "nameserver 10.0.2.3\n"),
            ("", routed, "nameserver 10.0.2.3\n"),
            (
                "# made\nnameserver 1.2.3.4\nnameserver ::1\nnameserver fe80::1%eth0\nsearch a.example b\noptions edns0\n",
                routed,
                "search a.example b\noptions edns0\nnameserver 10.0.2.3\nnameserver 1.2.3.4\n",
            ),
            (
                "nameserver 1.1.1.1\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3",
                routed,
                "nameserver 10.0.2.3\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n",
            ),
            ("nameserver\nnameserver x\nsearch", routed, "search\nnameserver 10.0.2.3\n"),
            ("nameserver fd00::9\n", Reach::Routed { ipv6: true }, "nameserver 10.0.2.3\nnameserver fd00::9\n"),
            ("nameserver 127.0.0.53\n", Reach::Host, "nameserver 127.0.0.53\n"),
            ("nameserver 1.1.1.1\n", Reach::Nothing, ""),
        ] {
            let first = if matches!(reach, Reach::Routed { .. }) { &[SLIRP][..] } else { &[] };
            assert_eq!(resolv_conf(host, first, reach, &Settings::default()), wanted, "{host:?} {reach:?}");
        }
    }

    #[test]
    fn what_the_user_asks_for_wins() {
        let host = "search a.example\noptions edns0\nnameserver 1.1.1.1\n";
        let dns = |dns: &[&str], search: &[&str], options: &[&str]| Settings {
            dns: dns.iter().map(|text| text.parse().unwrap()).collect(),
            dns_search: search.iter().map(ToString::to_string).collect(),
            dns_options: options.iter().map(ToString::to_string).collect(),
            ..Settings::default()
        };
        for (settings, reach, wanted) in [
            (dns(&["9.9.9.9"], &[], &[]), Reach::Host, "search a.example\noptions edns0\nnameserver 9.9.9.9\n"),
            (
                dns(&[], &["b.example", "c"], &[]),
                Reach::Host,
                "options edns0\nsearch b.example c\nnameserver 1.1.1.1\n",
            ),
            (dns(&[], &["."], &["ndots:2"]), Reach::Host, "options ndots:2\nnameserver 1.1.1.1\n"),
            (dns(&["fd::1"], &["."], &[]), Reach::Nothing, "options edns0\nnameserver fd::1\n"),
        ] {
            assert_eq!(resolv_conf(host, &[], reach, &settings), wanted, "{settings:?}");
        }
    }

    #[test]
    fn hosts_files() {
        let base = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
        let outward: Option<IpAddr> = Some([192, 168, 7, 5].into());
        let own: &[IpAddr] = &[[10, 0, 2, 100].into()];
        let added = [
            AddedHost { names: vec!["db".into(), "store".into()], address: Some([10, 9, 9, 9].into()) },
            AddedHost { names: vec!["me".into()], address: None },
        ];
        for (wanted, text) in [
            (
                Names { own, names: &["0123456789ab", "web"], host: outward, internal: outward, ..Names::default() },
                format!(
                    "{base}10.0.2.100\t0123456789ab web\n192.168.7.5\thost.containers.internal host.docker.internal\n"
                ),
            ),
            (
                Names { own, names: &["web", "web", "", "a b", "c\n6.6.6.6 bank", "#x"], ..Names::default() },
                format!("{base}10.0.2.100\tweb\n"),
            ),
            (Names { names: &["h"], ..Names::default() }, format!("{base}127.0.0.1\th\n")),
            (
                Names {
                    base: Some("127.0.0.1 localhost box".into()),
                    names: &["box"],
                    host: outward,
                    internal: outward,
                    added: &added,
                    own: &[],
                },
                "127.0.0.1 localhost box\n127.0.0.1\tbox\n10.9.9.9\tdb store\n192.168.7.5\tme\n\
                 192.168.7.5\thost.containers.internal host.docker.internal\n"
                    .to_owned(),
            ),
        ] {
            assert_eq!(hosts(&wanted), text, "{wanted:?}");
        }
    }

    #[test]
    fn a_missing_file_of_the_host_is_empty() {
        assert_eq!(host_file(Path::new("/nonexistent/resolv.conf")), "");
        assert_eq!(host_file(Path::new("/etc")), "");
    }
}
