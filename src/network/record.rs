//! User networks as they are kept: a file each, replaced atomically.
//!
//! ```text
//! $DATA/networks/<name>.json    a network (`Record`)
//!                lock           held while one is made or changed
//! ```

use super::ipam;
use super::prefix::Prefix;
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::{Durability, read_limited, replace};
use crate::base::lock::{Lock, Share};
use crate::events;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// The version of the file that this program writes.
const VERSION: u32 = 1;
/// More than any record.
const LIMIT: u64 = 1 << 20;
/// The network that is there without having been made: `--network bridge`.
pub const DEFAULT_NAME: &str = "bridge";

/// What a network is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge in the hub's namespace.
    #[default]
    Bridge,
    /// Nothing: its containers have their loopback, and whatever other networks they are in.
    None,
}

impl Driver {
    /// Its word for `--driver`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::None => "none",
        }
    }
}

/// A user network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// 64 digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, in nanoseconds since 1970.
    pub created: i64,
    /// What it is made of.
    #[serde(default)]
    pub driver: Driver,
    /// The bridge's name; empty without one.
    pub interface: String,
    /// At most one of each family.
    pub subnets: Vec<Subnet>,
    /// Nothing leads out.
    pub internal: bool,
    /// Names are answered.
    pub dns: bool,
    /// Who is asked for other names; none: the host's servers.
    pub dns_servers: Vec<IpAddr>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The largest packet, bytes.
    pub mtu: Option<u32>,
    /// Addresses that no container gets, by whose they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reserved: BTreeMap<String, IpAddr>,
    /// The VLAN of IEEE 802.1Q that its containers' packets are of, within the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Containers of other networks are out of reach.
    pub isolate: bool,
    /// Containers get no default route here.
    pub no_default_route: bool,
    /// The default route's metric.
    pub metric: Option<u32>,
    /// Further routes of its containers.
    pub routes: Vec<Route>,
    /// The options as given, to be shown.
    pub options: BTreeMap<String, String>,
}

/// The addresses of a network, of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// All of them.
    pub subnet: Prefix,
    /// The bridge's own.
    pub gateway: IpAddr,
    /// Those that containers get, first and last.
    pub range: Option<(IpAddr, IpAddr)>,
}

/// A route of a network's containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub destination: Prefix,
    /// By whom.
    pub gateway: IpAddr,
    /// Its metric.
    pub metric: Option<u32>,
}

/// What `network create` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `--driver`.
    pub driver: Driver,
    /// `--subnet`, in order.
    pub subnets: Vec<Prefix>,
    /// `--gateway`, in the order of the subnets.
    pub gateways: Vec<IpAddr>,
    /// `--ip-range`, in the order of the subnets: first and last address.
    pub ranges: Vec<(IpAddr, IpAddr)>,
    /// `--ipv6`.
    pub ipv6: bool,
    /// `--ipv4=false`.
    pub no_ipv4: bool,
    /// `--aux-address`.
    pub reserved: BTreeMap<String, IpAddr>,
    /// `--internal`.
    pub internal: bool,
    /// `--disable-dns`.
    pub no_dns: bool,
    /// `--dns`.
    pub dns_servers: Vec<IpAddr>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--opt`.
    pub options: BTreeMap<String, String>,
    /// `--interface-name`.
    pub interface: Option<String>,
    /// `--route`.
    pub routes: Vec<Route>,
    /// Where a free subnet is looked for, and how long its prefix is; none: among all private addresses.
    pub pools: Vec<(Prefix, u8)>,
}

/// Whether a network can have this name: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, up to 128 characters.
pub fn check_name(name: &str) -> Result<()> {
    let fits = name.len() <= 128 && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    match fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
        true => Ok(()),
        false => Err(fault(Kind::Usage, format!("`{}` cannot be a network's name", name.escape_debug()))),
    }
}

/// Names that are modes of `--network`.
const MODES: [&str; 8] = ["none", "host", "private", "default", "container", "ns", "pasta", "slirp4netns"];

fn folder(dirs: &Dirs) -> PathBuf {
    dirs.data.join("networks")
}

fn path(dirs: &Dirs, name: &str) -> PathBuf {
    folder(dirs).join(format!("{name}.json"))
}

/// Held while networks are made or changed.
pub fn lock(dirs: &Dirs) -> Result<Lock> {
    crate::base::fs::ensure_private_dir(&folder(dirs))?;
    Lock::acquire(&folder(dirs).join("lock"), Share::Exclusive)
}

/// The network of this name. The default one is made if it is not there yet.
///
/// Errors: [`Kind::NotFound`]; a record that cannot be read.
pub fn load(dirs: &Dirs, name: &str) -> Result<Record> {
    check_name(name)?;
    let file = path(dirs, name);
    if !file.exists() {
        if name == DEFAULT_NAME {
            let _lock = lock(dirs)?;
            return if file.exists() { load(dirs, name) } else { create(dirs, name, Wanted::default()) };
        }
        let text = format!("there is no network `{name}`");
        let all = all(dirs);
        return Err(Fault::new(Kind::NotFound, text)
            .meant(name, all.iter().map(|network| network.name.as_str()))
            .hint(format!("box network create {name}"))
            .hint("box network ls")
            .into());
    }
    let damaged = || {
        Fault::new(Kind::BadData, format!("the record of network `{name}` cannot be read"))
            .hint(format!("box network rm {name}"))
    };
    let record: Record =
        serde_json::from_slice(&read_limited(&file, LIMIT)?).map_err(|error| damaged().because(error))?;
    if record.version == VERSION { Ok(record) } else { Err(damaged().into()) }
}

/// The network of a name, or of an id or its beginning.
pub fn find(dirs: &Dirs, text: &str) -> Result<Record> {
    match load(dirs, text) {
        Err(error) if crate::base::error::kind(&error) == Kind::NotFound => {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let mut found = all(dirs).into_iter().filter(|record| digits && record.id.starts_with(text));
            match (found.next(), found.next()) {
                (Some(record), None) => Ok(record),
                (Some(_), Some(_)) => {
                    Err(fault(Kind::Usage, format!("`{text}` is the beginning of several network ids")))
                }
                (None, _) => Err(error),
            }
        }
        found => found,
    }
}

/// All networks, by name. Those that cannot be read are left out.
pub fn all(dirs: &Dirs) -> Vec<Record> {
    let entries = std::fs::read_dir(folder(dirs)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
    let mut all: Vec<Record> = names.filter_map(|name| load(dirs, &name).ok()).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Take a network's record away. The caller holds the [`lock`] and knows that nobody uses it.
pub fn remove(dirs: &Dirs, name: &str) -> Result<()> {
    let path = path(dirs, name);
    std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))
}

/// Write a network's record. The caller holds the [`lock`].
pub fn write(dirs: &Dirs, record: &Record) -> Result<()> {
    replace(&path(dirs, &record.name), &serde_json::to_vec_pretty(record)?, Durability::Synced)
}

/// Make a network: decide what was left open and write its record. The caller holds the [`lock`].
///
/// Errors: [`Kind::NameInUse`]; subnets that collide with another network's or the host's; options that do not exist.
pub fn create(dirs: &Dirs, name: &str, wanted: Wanted) -> Result<Record> {
    check_name(name)?;
    if MODES.contains(&name) {
        return Err(fault(Kind::Usage, format!("`{name}` is a mode of `--network`, and cannot be a network's name")));
    }
    if path(dirs, name).exists() {
        return Err(Fault::new(Kind::NameInUse, format!("there is a network `{name}` already"))
            .hint(format!("box network inspect {name}"))
            .into());
    }
    let others = all(dirs);
    let known = Options::parse(&wanted.options)?;
    let (interface, subnets) = match wanted.driver {
        Driver::None => {
            let only = Wanted { driver: Driver::None, labels: wanted.labels.clone(), ..Wanted::default() };
            if wanted != only {
                let text = "a network of the driver none has nothing but a name and labels";
                return Err(Fault::new(Kind::Usage, text).hint("leave out --driver, or the other options").into());
            }
            (String::new(), Vec::new())
        }
        Driver::Bridge => {
            (interface(&others, wanted.interface.clone().or(known.interface))?, subnets(&others, &wanted)?)
        }
    };
    if let Some(address) = wanted.reserved.values().find(|ip| !subnets.iter().any(|s| s.subnet.contains(**ip))) {
        return Err(fault(Kind::Usage, format!("`--aux-address`: {address} is not in the network")));
    }
    for route in &wanted.routes {
        if !subnets.iter().any(|subnet| subnet.subnet.contains(route.gateway)) {
            return Err(fault(Kind::Usage, format!("the route's gateway {} is not in the network", route.gateway)));
        }
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let record = Record {
        version: VERSION,
        id: crate::base::id::ContainerId::random().to_string(),
        name: name.to_owned(),
        created: now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec),
        driver: wanted.driver,
        interface,
        subnets,
        internal: wanted.internal,
        dns: !wanted.no_dns && wanted.driver == Driver::Bridge,
        dns_servers: wanted.dns_servers,
        labels: wanted.labels,
        mtu: known.mtu,
        reserved: wanted.reserved,
        vlan: known.vlan,
        isolate: known.isolate,
        no_default_route: known.no_default_route,
        metric: known.metric,
        routes: wanted.routes,
        options: wanted.options,
    };
    write(dirs, &record)?;
    events::tell(dirs, "network", "create", &record.id, &record.name);
    Ok(record)
}

/// `--opt`, understood.
struct Options {
    mtu: Option<u32>,
    vlan: Option<u16>,
    isolate: bool,
    no_default_route: bool,
    metric: Option<u32>,
    interface: Option<String>,
}

impl Options {
    fn parse(options: &BTreeMap<String, String>) -> Result<Self> {
        let mut known =
            Self { mtu: None, vlan: None, isolate: true, no_default_route: false, metric: None, interface: None };
        for (key, value) in options {
            let wrong = |what: &str| {
                fault(Kind::Usage, format!("`--opt {}={}`: {what}", key.escape_debug(), value.escape_debug()))
            };
            match key.as_str() {
                "mtu" | "com.docker.network.driver.mtu" => {
                    let mtu = value.parse().ok().filter(|mtu| (1280..=65535).contains(mtu));
                    known.mtu = Some(mtu.ok_or_else(|| wrong("not a number from 1280 to 65535"))?);
                }
                "isolate" => {
                    known.isolate = match value.as_str() {
                        "true" | "1" | "strict" => true,
                        "false" | "0" => false,
                        _ => return Err(wrong("neither true, strict nor false")),
                    }
                }
                "no_default_route" => {
                    known.no_default_route = match value.as_str() {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(wrong("neither true nor false")),
                    }
                }
                "metric" => known.metric = Some(value.parse().map_err(|_| wrong("not a number"))?),
                "com.docker.network.bridge.name" => known.interface = Some(value.clone()),
                "vlan" => {
                    let vlan = value.parse().ok().filter(|vlan| (1..=4094).contains(vlan));
                    known.vlan = Some(vlan.ok_or_else(|| wrong("not a number from 1 to 4094"))?);
                }
                "parent" | "mode" | "vrf" | "bclim" => {
                    return Err(wrong("this belongs to interfaces of the host, which an ordinary user does not own"));
                }
                _ => {
                    let text = format!("a network has no option `{}`", key.escape_debug());
                    let hint =
                        "the options are: mtu vlan isolate no_default_route metric com.docker.network.bridge.name";
                    return Err(Fault::new(Kind::Usage, text).hint(hint).into());
                }
            }
        }
        Ok(known)
    }
}

fn interface(others: &[Record], wanted: Option<String>) -> Result<String> {
    let taken = |name: &str| name == "lo" || name == "tap0" || others.iter().any(|other| other.interface == name);
    match wanted {
        Some(name) => {
            let name = super::settings::checked_interface(&name)?;
            if taken(&name) || name.starts_with("veth") {
                return Err(fault(Kind::Usage, format!("the interface name `{name}` is in use")));
            }
            Ok(name)
        }
        None => Ok((0..).map(|number| format!("box{number}")).find(|name| !taken(name)).unwrap_or_default()),
    }
}

/// What is chosen, checked, and completed where it was left open.
fn subnets(others: &[Record], wanted: &Wanted) -> Result<Vec<Subnet>> {
    let usage = |text: String| Err(fault(Kind::Usage, text));
    let Wanted { gateways, ranges, ipv6, no_ipv4, pools, .. } = wanted;
    if gateways.len() > wanted.subnets.len() || ranges.len() > wanted.subnets.len() {
        return usage("`--gateway` and `--ip-range` need a `--subnet` each".into());
    }
    let mut prefixes = wanted.subnets.clone();
    let has_ipv6 = *ipv6 || !prefixes.is_empty();
    if *no_ipv4 && (prefixes.iter().any(|prefix| !prefix.is_ipv6()) || !has_ipv6) {
        return usage("`--ipv4=false` needs `--ipv6` or a `--subnet` of IPv6, and none of IPv4".into());
    }
    let mut taken: Vec<Prefix> = others.iter().flat_map(|other| &other.subnets).map(|subnet| subnet.subnet).collect();
    for (index, prefix) in prefixes.iter().enumerate() {
        if prefix.length > if prefix.is_ipv6() { 126 } else { 30 } {
            return usage(format!("{prefix} has no room for containers"));
        }
        if prefixes.iter().take(index).any(|other| other.is_ipv6() == prefix.is_ipv6()) {
            return usage("a network has one subnet of IPv4 and one of IPv6 at most".into());
        }
        if let Some(other) = others.iter().find(|other| other.subnets.iter().any(|s| s.subnet.overlaps(prefix))) {
            let text = format!("{prefix} is in use by network `{}`", other.name);
            return Err(Fault::new(Kind::InUse, text).hint("leave out --subnet, and a free one is taken").into());
        }
        if let Some(route) = super::routes::of_host().into_iter().find(|route| route.overlaps(prefix)) {
            let text = format!("{prefix} collides with the host's network {route}");
            return Err(Fault::new(Kind::InUse, text).hint("leave out --subnet, and a free one is taken").into());
        }
    }
    if !prefixes.iter().any(|prefix| !prefix.is_ipv6()) {
        taken.extend(super::routes::of_host());
        // slirp4netns's own, the way out.
        taken.push(Prefix { address: Ipv4Addr::new(10, 0, 2, 0).into(), length: 24 });
        if prefixes.is_empty() && !no_ipv4 {
            let free = ipam::free_ipv4(&taken, pools);
            prefixes.push(free.ok_or_else(|| fault(Kind::Host, "no network of private addresses is free"))?);
        }
    }
    if *ipv6 && !prefixes.iter().any(Prefix::is_ipv6) {
        let mut random = [0; 7];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        prefixes.push(ipam::private_ipv6(random));
    }
    let mut subnets = Vec::new();
    for (index, subnet) in prefixes.into_iter().enumerate() {
        let (first, _) = subnet.hosts().ok_or_else(|| fault(Kind::Usage, format!("{subnet} has no room")))?;
        let gateway = gateways.get(index).copied().unwrap_or(first);
        let range = ranges.get(index).copied();
        let inside = |address: IpAddr| subnet.contains(address);
        if !inside(gateway) || gateway == subnet.address {
            return usage(format!("the gateway {gateway} is not in {subnet}"));
        }
        if let Some((first, last)) = range
            && !(inside(first) && inside(last))
        {
            return usage(format!("the range {first}-{last} is not in {subnet}"));
        }
        subnets.push(Subnet { subnet, gateway, range });
    }
    Ok(subnets)
}

/// `--ip-range`: a network inside the subnet, or `FIRST-LAST`.
pub fn parse_range(text: &str) -> Result<(IpAddr, IpAddr)> {
    let wrong = || {
        fault(
            Kind::Usage,
            format!("`{}` is not a range such as 10.1.0.64/26 or 10.1.0.5-10.1.0.9", text.escape_debug()),
        )
    };
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last): (IpAddr, IpAddr) =
                (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
            if first.is_ipv4() != last.is_ipv4() || first > last { Err(wrong()) } else { Ok((first, last)) }
        }
        None => Prefix::parse(text).map(|range| (range.address, range.last())).map_err(|_| wrong()),
    }
}

/// `--route`: `DESTINATION,GATEWAY[,METRIC]`.
pub fn parse_route(text: &str) -> Result<Route> {
    let wrong = || fault(Kind::Usage, format!("`{}` is not a route such as 10.2.0.0/16,10.1.0.9", text.escape_debug()));
    let parts: Vec<&str> = text.split(',').collect();
    let (destination, gateway, metric) = match parts.as_slice() {
        [destination, gateway] => (destination, gateway, None),
        [destination, gateway, metric] => (destination, gateway, Some(metric.parse().map_err(|_| wrong())?)),
        _ => return Err(wrong()),
    };
    let destination = Prefix::parse(destination).map_err(|_| wrong())?;
    let gateway: IpAddr = gateway.parse().map_err(|_| wrong())?;
    if gateway.is_ipv4() == destination.is_ipv6() { Err(wrong()) } else { Ok(Route { destination, gateway, metric }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    #[test]
    fn subnets_are_completed_and_checked() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let of = |list: &[&str]| Wanted { subnets: list.iter().map(|text| net(text)).collect(), ..Wanted::default() };
        let found = subnets(&[], &Wanted { ipv6: true, ..of(&["198.18.3.0/24"]) }).unwrap();
        assert_eq!(found[0].gateway, ip("198.18.3.1"));
        assert!(found[1].subnet.is_ipv6() && found[1].subnet.length == 64);
        assert_eq!(subnets(&[], &of(&["fd01::/64"])).unwrap().len(), 1);
        let alone = subnets(&[], &Wanted { ipv6: true, no_ipv4: true, ..of(&[]) }).unwrap();
        assert!(alone.len() == 1 && alone[0].subnet.is_ipv6());
        for (wanted, gateways, ranges, no_ipv4) in [
            (vec!["198.18.3.0/31"], vec![], vec![], false),
            (vec!["198.18.3.0/24", "198.18.4.0/24"], vec![], vec![], false),
            (vec!["198.18.3.0/24"], vec!["198.18.4.1"], vec![], false),
            (vec![], vec!["198.18.4.1"], vec![], false),
            (vec!["198.18.3.0/24"], vec![], vec![("198.18.4.1", "198.18.4.9")], false),
            (vec!["198.18.3.0/24"], vec![], vec![], true),
            (vec![], vec![], vec![], true),
        ] {
            let gateways = gateways.into_iter().map(ip).collect();
            let ranges = ranges.into_iter().map(|(a, b)| (ip(a), ip(b))).collect();
            let wanted = Wanted { gateways, ranges, no_ipv4, ..of(&wanted) };
            assert!(subnets(&[], &wanted).is_err(), "{wanted:?}");
        }
    }

    #[test]
    fn words() {
        assert!(parse_range("10.1.0.5-10.1.0.9").is_ok() && parse_range("10.1.0.64/26").is_ok());
        for text in ["", "10.1.0.9-10.1.0.5", "10.1.0.1", "fd::1-10.0.0.1"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
        assert_eq!(parse_route("10.2.0.0/16,10.1.0.9,5").unwrap().metric, Some(5));
        for text in ["", "10.2.0.0/16", "10.2.0.1/16,10.1.0.9", "10.2.0.0/16,fd::1", "10.2.0.0/16,10.1.0.9,x"] {
            assert!(parse_route(text).is_err(), "{text}");
        }
        let options = |key: &str, value: &str| Options::parse(&[(key.to_owned(), value.to_owned())].into());
        assert_eq!(options("mtu", "1400").unwrap().mtu, Some(1400));
        assert!(!options("isolate", "false").unwrap().isolate);
        assert_eq!(options("vlan", "7").unwrap().vlan, Some(7));
        for (key, value) in
            [("mtu", "9"), ("vlan", "0"), ("vlan", "x"), ("parent", "eth0"), ("x", "y"), ("isolate", "maybe")]
        {
            assert!(options(key, value).is_err(), "{key}");
        }
        for name in ["a", "a-b.c_1"] {
            assert!(check_name(name).is_ok());
        }
        for name in ["", "-a", "../a", "a/b", "a b", &"x".repeat(129)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
