//! A container's network: decided when it is created, and what follows from that for its specification and files.

use super::config::Config;
use super::record::{self, Container};
use super::request::Request;
use super::spec::NetworkNamespace;
use crate::base::error::{Fault, Kind, fault};
use crate::engine::Engine;
use crate::network::files::Reach;
use crate::network::hub::{Lease, OUTER_NAME_SERVER};
use crate::network::settings::{HostInternal, HostsBase};
use crate::network::{self, Names, NetworkMode, PASTA_NAME_SERVER, PortMapping, Settings, SlirpAddresses, parse_ports};
use crate::oci::image::ImageConfig;
use crate::sys::root::Root;
use anyhow::{Context, Result};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// The mode, the settings and the ports of a container that is created.
pub(super) struct Decided {
    pub(super) mode: NetworkMode,
    pub(super) settings: Settings,
    pub(super) ports: Vec<PortMapping>,
    /// The container whose network is shared.
    pub(super) other: Option<Container>,
}

/// Decide what is asked for; refuse what contradicts itself or cannot be had.
pub(super) fn decide(engine: &Engine, request: &Request, image: &ImageConfig) -> Result<Decided> {
    let mut settings = request.networking.clone();
    let mut mode = request.network.clone().unwrap_or_default();
    check(&mode, &settings, request)?;
    for attachment in &mut settings.attachments {
        // By its name from here on, should an id have been typed.
        attachment.network = network::record::find(&engine.dirs, &attachment.network)?.name;
    }
    let mut other = None;
    if let NetworkMode::Container(name) = &mode {
        let found = record::find(&engine.dirs, name).context("cannot share a container's network")?;
        mode = NetworkMode::Container(found.config.id.to_string());
        other = Some(found);
    }
    if let HostsBase::File(path) = &mut settings.hosts_file {
        *path = std::path::absolute(&path).context("cannot use the hosts file")?;
        if !path.is_file() {
            return Err(fault(Kind::Usage, format!("the hosts file `{}` is not there", path.display())));
        }
    }
    let mut ports = request.ports.clone();
    if settings.publish_all {
        for text in image.exposed_ports.iter().chain(&settings.expose) {
            let exposed = parse_ports(text).with_context(|| format!("cannot publish `{}`", text.escape_debug()))?;
            let new = |port: &PortMapping| {
                !ports.iter().any(|p| (p.container_port, p.protocol) == (port.container_port, port.protocol))
            };
            let exposed: Vec<PortMapping> = exposed.into_iter().filter(new).collect();
            ports.extend(exposed);
        }
    }
    let ips = &request.defaults.host_ips;
    if !ips.is_empty() {
        let spread = |port: PortMapping| match port.host_ip {
            Some(_) => vec![port],
            None => ips.iter().map(|ip| PortMapping { host_ip: Some(*ip), ..port.clone() }).collect(),
        };
        ports = ports.into_iter().flat_map(spread).collect();
    }
    if mode == NetworkMode::Host && !ports.is_empty() {
        let text = "published ports mean nothing with `--network host`: the container has all of the host's";
        engine.warn(&Fault::new(Kind::Usage, text));
    }
    Ok(Decided { mode, settings, ports, other })
}

/// What contradicts itself.
fn check(mode: &NetworkMode, settings: &Settings, request: &Request) -> Result<()> {
    let asks_for_names = !settings.dns.is_empty()
        || settings.keep_resolv_conf
        || !settings.dns_search.is_empty()
        || !settings.dns_options.is_empty()
        || !settings.add_hosts.is_empty()
        || settings.no_hosts
        || settings.hosts_file != HostsBase::None;
    let publishes = !request.ports.is_empty() || settings.publish_all;
    let shared = matches!(mode, NetworkMode::Container(_));
    let leads_to_host = !matches!(mode, NetworkMode::None | NetworkMode::Pasta);
    let refused = [
        (
            *mode == NetworkMode::None && publishes,
            "ports cannot be published with `--network none`: nothing leads there",
        ),
        (shared && publishes, "ports cannot be published with `--network container:…`: publish them of that container"),
        (shared && asks_for_names, "names and name servers are those of the container whose network is shared"),
        (shared && request.hostname.is_some(), "a host name cannot be set with `--network container:…`: it is shared"),
        (
            settings.mac.is_some() && !matches!(mode, NetworkMode::Slirp4netns | NetworkMode::Pasta),
            "`--mac-address` needs an interface of the container's own",
        ),
        (settings.no_hosts && !settings.add_hosts.is_empty(), "`--add-host` writes what `--no-hosts` leaves alone"),
        (
            settings.no_hosts && settings.hosts_file != HostsBase::None,
            "`--hosts-file` writes what `--no-hosts` leaves alone",
        ),
        (settings.no_hostname && shared, "`--no-hostname` cannot be had with `--network container:…`"),
        (
            !request.uts.is_own() && settings.domainname.is_some(),
            "a domain cannot be set with a shared `--uts`: it is not the container's",
        ),
        (
            settings.keep_resolv_conf
                && (!settings.dns.is_empty() || !settings.dns_search.is_empty() || !settings.dns_options.is_empty()),
            "`--dns none` leaves alone what the other `--dns` options write",
        ),
        (
            !leads_to_host && settings.add_hosts.iter().any(|host| host.address.is_none()),
            "`host-gateway` means nothing here: this network does not lead to the host",
        ),
    ];
    match refused.iter().find(|(refused, _)| *refused) {
        Some((_, text)) => Err(fault(Kind::Usage, *text)),
        None => Ok(()),
    }
}

/// The network namespace that a start needs. Errors: the container whose network is shared does not run.
pub(super) fn namespace(engine: &Engine, config: &Config) -> Result<NetworkNamespace> {
    match &config.network {
        NetworkMode::Host => Ok(NetworkNamespace::Host),
        NetworkMode::Namespace(path) => Ok(NetworkNamespace::Path(path.clone())),
        NetworkMode::Container(id) => {
            let other = record::find(&engine.dirs, id).context("the container whose network it shares is gone")?;
            if other.config.id == config.id {
                return Err(fault(Kind::Usage, "a container cannot share its own network"));
            }
            let run = other.running().context("cannot share the network")?;
            match namespace(engine, &other.config)? {
                NetworkNamespace::Own => Ok(NetworkNamespace::Path(format!("/proc/{}/ns/net", run.pid).into())),
                shared => Ok(shared),
            }
        }
        _ => Ok(NetworkNamespace::Own),
    }
}

/// The folder whose `hosts`, `resolv.conf` and `hostname` the container sees: its own, or that of the container whose
/// network it shares.
pub(super) fn files_dir(engine: &Engine, dir: &Path, config: &Config) -> PathBuf {
    match &config.network {
        NetworkMode::Container(id) => engine.dirs.container(id),
        _ => dir.to_path_buf(),
    }
}

/// Which of `hosts`, `resolv.conf` and `hostname` cover the image's.
pub(super) fn covered_files(settings: &Settings) -> impl Iterator<Item = &'static str> {
    let all = [
        ("resolv.conf", !settings.keep_resolv_conf),
        ("hosts", !settings.no_hosts),
        ("hostname", !settings.no_hostname),
    ];
    all.into_iter().filter(|(_, covered)| *covered).map(|(name, _)| name)
}

/// Write `hosts`, `resolv.conf` and `hostname`, which are bound into the container.
///
/// Returns what `hosts` begins with, for [`rewrite_files`].
pub(super) fn write_files(engine: &Engine, container: &Container) -> Result<Option<String>> {
    if matches!(container.config.network, NetworkMode::Container(_)) {
        return Ok(None);
    }
    let base = hosts_base(engine, &container.config)?;
    rewrite_files(container, base.clone(), &[])?;
    Ok(base)
}

/// Write the files anew, once it is known what the container has in its networks.
pub(super) fn rewrite_files(container: &Container, base: Option<String>, leases: &[Lease]) -> Result<()> {
    let config = &container.config;
    let named = leases.iter().any(|lease| lease.record.dns);
    let host_resolv = network::host_file(Path::new("/etc/resolv.conf"));
    let resolv = if named {
        // The networks' own servers ask those that the user has chosen.
        let gateways = leases.iter().filter(|lease| lease.record.dns).flat_map(|lease| &lease.addresses);
        let servers: Vec<IpAddr> = gateways.map(|address| address.gateway).collect();
        let settings = Settings { dns: Vec::new(), ..config.networking.clone() };
        network::resolv_conf(&host_resolv, &servers, Reach::Nothing, &settings)
    } else {
        network::resolv_conf(&host_resolv, &name_servers(config), reach(config), &config.networking)
    };
    let mut own = own_addresses(config);
    own.extend(leases.iter().flat_map(|lease| &lease.addresses).map(|address| address.address));
    let hostname = format!("{}\n", config.hostname);
    let files = [("hosts", hosts(config, base, &own)), ("resolv.conf", resolv), ("hostname", hostname)];
    for (name, text) in files {
        let path = container.dir.join(name);
        write_readable(&path, text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

fn hosts(config: &Config, base: Option<String>, own: &[IpAddr]) -> String {
    let domain = config.networking.domainname.as_ref().map(|domain| format!("{}.{domain}", config.hostname));
    let mut names: Vec<&str> = domain.iter().map(String::as_str).collect();
    names.extend([config.hostname.as_str(), config.name.as_str()]);
    let host = host(config);
    let internal = match config.networking.host_internal {
        None => host,
        Some(HostInternal::Nothing) => None,
        Some(HostInternal::Address(address)) => Some(address),
    };
    network::hosts(&Names { base, own, names: &names, host, internal, added: &config.networking.add_hosts })
}

/// What `/etc/hosts` begins with.
fn hosts_base(engine: &Engine, config: &Config) -> Result<Option<String>> {
    match &config.networking.hosts_file {
        HostsBase::File(path) => Ok(Some(network::host_file(path))),
        HostsBase::Image => image_hosts(engine, config).map(Some),
        HostsBase::None if config.network == NetworkMode::Host => {
            Ok(Some(network::host_file(Path::new("/etc/hosts"))).filter(|text| !text.trim().is_empty()))
        }
        HostsBase::None => Ok(None),
    }
}

/// The image's `/etc/hosts`, from the highest layer that has one.
fn image_hosts(engine: &Engine, config: &Config) -> Result<String> {
    for folder in config.root.lower(&engine.store) {
        let root = Root::open(&folder).with_context(|| format!("cannot open `{}`", folder.display()))?;
        // One that a layer has removed is a device there, and no file.
        match root.read(Path::new("etc/hosts")) {
            Ok(bytes) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if is_missing(&error) => {}
            Err(_) => break,
        }
    }
    Ok(String::new())
}

fn is_missing(error: &anyhow::Error) -> bool {
    let missing = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<rustix::io::Errno>() == Some(&rustix::io::Errno::NOENT)
            || cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
    };
    error.chain().any(missing)
}

/// The addresses that the container will have, as far as they are known before it starts.
fn own_addresses(config: &Config) -> Vec<IpAddr> {
    match &config.network {
        NetworkMode::Slirp4netns => vec![SlirpAddresses::of(&config.networking.slirp).container.into()],
        NetworkMode::Pasta => network::host_address().into_iter().map(IpAddr::V4).collect(),
        _ => Vec::new(),
    }
}

/// The host, as the container reaches it.
fn host(config: &Config) -> Option<IpAddr> {
    let outward = || network::host_address().map(IpAddr::V4);
    match &config.network {
        NetworkMode::Slirp4netns => {
            let options = &config.networking.slirp;
            let gateway = SlirpAddresses::of(options).gateway.into();
            Some(if options.allow_host_loopback { gateway } else { outward().unwrap_or(gateway) })
        }
        NetworkMode::Host => Some(Ipv4Addr::LOCALHOST.into()),
        // pasta gives the container the host's own address: the way to that ends inside.
        NetworkMode::None | NetworkMode::Pasta | NetworkMode::Container(_) => None,
        NetworkMode::Bridge | NetworkMode::Namespace(_) => outward(),
    }
}

/// The name servers of the container's network.
fn name_servers(config: &Config) -> Vec<IpAddr> {
    match &config.network {
        NetworkMode::Slirp4netns => vec![SlirpAddresses::of(&config.networking.slirp).name_server.into()],
        NetworkMode::Pasta => vec![PASTA_NAME_SERVER.into()],
        NetworkMode::Bridge => vec![OUTER_NAME_SERVER.into()],
        _ => Vec::new(),
    }
}

fn reach(config: &Config) -> Reach {
    match &config.network {
        NetworkMode::Host => Reach::Host,
        NetworkMode::Slirp4netns => Reach::Routed { ipv6: config.networking.slirp.enable_ipv6 },
        NetworkMode::Pasta | NetworkMode::Namespace(_) => Reach::Routed { ipv6: true },
        NetworkMode::Bridge => Reach::Routed { ipv6: false },
        _ => Reach::Nothing,
    }
}

/// Whether the container is in a network of this name, or has this mode.
pub(super) fn is_in(container: &Container, name: &str) -> bool {
    let config = &container.config;
    let attachments = super::networks::attachments(container);
    config.network.to_string() == name || attachments.iter().any(|attachment| attachment.network == name)
}

/// Every user of the container reads these files. Written in place: they are bound into it.
fn write_readable(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}
