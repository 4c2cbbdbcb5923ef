//! What a container's network is to be, and the words of `--network` and its neighbours. No I/O.

use super::NetworkMode;
use crate::base::error::{Fault, Kind, fault};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Everything about a container's network beside its mode and its ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Settings {
    /// Options of slirp4netns.
    pub slirp: SlirpOptions,
    /// Options of pasta, as pasta takes them.
    pub pasta: Vec<String>,
    /// The networks that it is in, with mode `bridge`.
    pub attachments: Vec<Attachment>,
    /// `--mac-address`, where there is no attachment to carry it.
    pub mac: Option<Mac>,
    /// `--dns`; `none` is [`Settings::keep_resolv_conf`].
    pub dns: Vec<IpAddr>,
    /// `--dns none`: the image's `/etc/resolv.conf` is left alone.
    pub keep_resolv_conf: bool,
    /// `--dns-search`; a single `.` for none at all.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_options: Vec<String>,
    /// `--no-hosts`: the image's `/etc/hosts` is left alone.
    pub no_hosts: bool,
    /// `--no-hostname`: the image's `/etc/hostname` is left alone.
    pub no_hostname: bool,
    /// `--hosts-file`: what `/etc/hosts` begins with.
    pub hosts_file: HostsBase,
    /// What `host.containers.internal` is; `None`: the address that the host is reached by.
    pub host_internal: Option<HostInternal>,
    /// `--add-host`, in order.
    pub add_hosts: Vec<AddedHost>,
    /// `--domainname`.
    pub domainname: Option<String>,
    /// `--expose`, `80/tcp`.
    pub expose: Vec<String>,
    /// `--publish-all`.
    pub publish_all: bool,
    /// `--http-proxy=false`: the host's proxy variables are not passed on.
    pub no_proxy_variables: bool,
}

/// `--network slirp4netns:…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct SlirpOptions {
    /// Its network: the first address and the prefix's length.
    pub cidr: Option<(Ipv4Addr, u8)>,
    /// The largest packet, bytes.
    pub mtu: Option<u32>,
    /// The gateway is the host, loopback and all.
    pub allow_host_loopback: bool,
    /// IPv6 as well.
    pub enable_ipv6: bool,
    /// The address or interface that connections leave the host by.
    pub outbound_addr: Option<String>,
    /// The same for IPv6.
    pub outbound_addr6: Option<String>,
}

/// Being in one user network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// Further names that it is found by there.
    pub aliases: Vec<String>,
    /// The IPv4 address, where it must be a certain one.
    pub ip: Option<Ipv4Addr>,
    /// The IPv6 address, likewise.
    pub ip6: Option<Ipv6Addr>,
    /// The hardware address, likewise.
    pub mac: Option<Mac>,
    /// The interface's name in the container.
    pub interface: Option<String>,
    /// Bits a second that reach the container at most.
    pub bandwidth_in: Option<u64>,
    /// Bits a second that leave it at most.
    pub bandwidth_out: Option<u64>,
}

/// What `/etc/hosts` begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostsBase {
    /// Nothing but localhost; with the host's network, the host's file.
    #[default]
    None,
    /// The image's file.
    Image,
    /// A file of the host.
    File(PathBuf),
}

/// What `host.containers.internal` is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostInternal {
    /// Nothing: the name is not known.
    Nothing,
    /// This address.
    Address(IpAddr),
}

impl HostInternal {
    /// `none` or an address.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |_| fault(Kind::Usage, format!("`{}` is neither an IP address nor none", text.escape_debug()));
        if text == "none" { Ok(Self::Nothing) } else { text.parse().map(Self::Address).map_err(wrong) }
    }
}

/// `--add-host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedHost {
    /// The names.
    pub names: Vec<String>,
    /// The address; `None` for `host-gateway`, the address that the host is reached by.
    pub address: Option<IpAddr>,
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl Mac {
    /// Six pairs of hexadecimal digits between colons or dashes; one that a single interface may have.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || fault(Kind::Usage, format!("`{}` is not a hardware address", text.escape_debug()));
        let parts: Vec<&str> = text.split([':', '-']).collect();
        let bytes = parts.iter().map(|part| match part.len() {
            2 if !part.starts_with('+') => u8::from_str_radix(part, 16).map_err(|_| wrong()),
            _ => Err(wrong()),
        });
        let bytes: [u8; 6] = bytes.collect::<Result<Vec<u8>>>()?.try_into().map_err(|_| wrong())?;
        match bytes {
            [first, ..] if first & 1 != 0 => {
                Err(fault(Kind::Usage, format!("`{text}` addresses groups, and cannot be an interface's own")))
            }
            bytes if bytes == [0; 6] => Err(wrong()),
            bytes => Ok(Self(bytes)),
        }
    }
}

/// What `--network` can be, for hints.
const NETWORKS: &str =
    "the modes are: slirp4netns pasta bridge none host private container:NAME ns:PATH, or a network's name";

/// The words of all `--network` flags: the mode, and what belongs to it. `None`: nothing was asked for.
///
/// `container:NAME` keeps the name as typed: whoever creates the container looks it up.
pub fn parse_networks(words: &[String]) -> Result<(Option<NetworkMode>, Settings)> {
    let mut settings = Settings::default();
    let mut mode = None;
    for word in words {
        let (name, options) = match word.split_once(':') {
            Some((name, options)) => (name, Some(options)),
            None => (word.as_str(), None),
        };
        let this = match (name, options) {
            ("slirp4netns", options) => {
                settings.slirp = slirp_options(options.unwrap_or_default())?;
                NetworkMode::Slirp4netns
            }
            ("pasta", options) => {
                settings.pasta = options.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default();
                NetworkMode::Pasta
            }
            ("private" | "default", None) => NetworkMode::Slirp4netns,
            ("none", None) => NetworkMode::None,
            ("host", None) => NetworkMode::Host,
            ("container", Some(name)) if !name.is_empty() => NetworkMode::Container(name.to_owned()),
            ("ns", Some(path)) if path.starts_with('/') => NetworkMode::Namespace(PathBuf::from(path)),
            ("container" | "ns" | "private" | "default" | "none" | "host" | "", _) => {
                let text = format!("`--network {}` makes no sense", word.escape_debug());
                return Err(Fault::new(Kind::Usage, text).hint(NETWORKS).into());
            }
            _ => {
                add_attachments(&mut settings.attachments, word)?;
                NetworkMode::Bridge
            }
        };
        if mode.as_ref().is_some_and(|other| *other != this || this != NetworkMode::Bridge) {
            let text = "several `--network` can only be user networks, each once";
            return Err(Fault::new(Kind::Usage, text).hint(NETWORKS).into());
        }
        mode = Some(this);
    }
    Ok((mode, settings))
}

/// `NAME[:alias=…,ip=…]`, docker's `name=NET,alias=…`, or several names between commas.
fn add_attachments(list: &mut Vec<Attachment>, word: &str) -> Result<()> {
    let mut add = |attachment: Attachment| {
        super::record::check_name(&attachment.network)?;
        if list.iter().any(|other| other.network == attachment.network) {
            return Err(fault(Kind::Usage, format!("network `{}` is given twice", attachment.network)));
        }
        list.push(attachment);
        Ok(())
    };
    if word.starts_with("name=") || word.contains(",name=") {
        return add(parse_attachment("", word)?);
    }
    match word.split_once(':') {
        Some((name, options)) => add(parse_attachment(name, options)?),
        None => word.split(',').try_for_each(|name| add(parse_attachment(name, "")?)),
    }
}

fn parse_attachment(name: &str, options: &str) -> Result<Attachment> {
    let mut attachment = Attachment { network: name.to_owned(), ..Attachment::default() };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let wrong = |what: &str| fault(Kind::Usage, format!("`{}` in `--network`: {what}", option.escape_debug()));
        let (key, value) = option.split_once('=').ok_or_else(|| wrong("write it as KEY=VALUE"))?;
        match key {
            "name" => attachment.network = value.to_owned(),
            "alias" => attachment.aliases.push(checked_alias(value)?),
            "ip" => attachment.ip = Some(value.parse().map_err(|_| wrong("not an IPv4 address"))?),
            "ip6" => attachment.ip6 = Some(value.parse().map_err(|_| wrong("not an IPv6 address"))?),
            "mac" | "mac-address" => attachment.mac = Some(Mac::parse(value)?),
            "interface_name" | "interface-name" => attachment.interface = Some(checked_interface(value)?),
            "bandwidth-in" => attachment.bandwidth_in = Some(bandwidth(value).ok_or_else(|| wrong(BANDWIDTH))?),
            "bandwidth-out" => attachment.bandwidth_out = Some(bandwidth(value).ok_or_else(|| wrong(BANDWIDTH))?),
            _ => {
                let keys = "the keys are: alias ip ip6 mac interface_name bandwidth-in bandwidth-out";
                let text = format!("`{}` in `--network`: there is no such option", option.escape_debug());
                return Err(Fault::new(Kind::Usage, text).hint(keys).into());
            }
        }
    }
    Ok(attachment)
}

const BANDWIDTH: &str = "give bits a second, such as 10mbit, 512kbit or 1gbit, at least 8kbit";

/// tc(8)'s rates in bits: a number with `kbit`, `mbit`, `gbit` (or `k`, `m`, `g`), powers of 1000.
fn bandwidth(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..)? {
        "" | "bit" | "bps" => 1,
        "k" | "kbit" => 1_000,
        "m" | "mbit" => 1_000_000,
        "g" | "gbit" => 1_000_000_000,
        _ => return None,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let rate = digits.parse::<u64>().ok().filter(|_| plain)?.checked_mul(factor)?;
    (8_000..=1_000_000_000_000).contains(&rate).then_some(rate)
}

/// A name that DNS can ask for: labels of letters, digits, `-` and `_` between dots.
pub fn checked_alias(text: &str) -> Result<String> {
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    match text.len() <= 253 && text.split('.').all(label) {
        true => Ok(text.to_owned()),
        false => Err(fault(Kind::Usage, format!("`{}` cannot be a name on a network", text.escape_debug()))),
    }
}

/// A name that an interface may have (`dev_valid_name` of the kernel), and no other option's beginning.
pub fn checked_interface(text: &str) -> Result<String> {
    let fits = (1..=15).contains(&text.len()) && text != "." && text != "..";
    match fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) && !text.starts_with('-') {
        true => Ok(text.to_owned()),
        false => Err(fault(Kind::Usage, format!("`{}` cannot be an interface's name", text.escape_debug()))),
    }
}

fn slirp_options(text: &str) -> Result<SlirpOptions> {
    let mut options = SlirpOptions::default();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let wrong = |what: &str| fault(Kind::Usage, format!("`slirp4netns:{}`: {what}", option.escape_debug()));
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let flag = || match value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(wrong("neither true nor false")),
        };
        let outbound = || match !value.is_empty() && !value.starts_with('-') {
            true => Ok(Some(value.to_owned())),
            false => Err(wrong("an address or an interface is missing")),
        };
        match key {
            "cidr" => {
                options.cidr = Some(slirp_network(value).ok_or_else(|| wrong("not an IPv4 network of /1 to /25"))?)
            }
            "mtu" => {
                let mtu = value.parse().ok().filter(|mtu| (68..=65521).contains(mtu));
                options.mtu = Some(mtu.ok_or_else(|| wrong("not a number from 68 to 65521"))?);
            }
            "allow_host_loopback" => options.allow_host_loopback = flag()?,
            "enable_ipv6" => options.enable_ipv6 = flag()?,
            "outbound_addr" => options.outbound_addr = outbound()?,
            "outbound_addr6" => options.outbound_addr6 = outbound()?,
            // Both mean our own forwarder, which keeps the client's address as the one and is fast as the other.
            "port_handler" if matches!(value, "rootlesskit" | "slirp4netns") => {}
            "port_handler" => return Err(wrong("the handlers are: rootlesskit slirp4netns")),
            _ => {
                let keys =
                    "the keys are: cidr mtu allow_host_loopback enable_ipv6 outbound_addr outbound_addr6 port_handler";
                return Err(Fault::new(Kind::Usage, format!("slirp4netns has no option `{}`", key.escape_debug()))
                    .hint(keys)
                    .into());
            }
        }
    }
    Ok(options)
}

/// slirp4netns wants the network's first address, and room for the hundredth.
fn slirp_network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix) = (address.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?);
    let fits = (1..=25).contains(&prefix) && u32::from(address).trailing_zeros() >= 32 - u32::from(prefix);
    fits.then_some((address, prefix))
}

/// `NAME[;NAME…]:ADDRESS`, also with `=` between, IPv6 with or without brackets, or `host-gateway`.
pub fn parse_added_host(text: &str) -> Result<AddedHost> {
    let wrong = |what: &str| {
        Fault::new(Kind::Usage, format!("`--add-host {}`: {what}", text.escape_debug()))
            .hint("write it as `--add-host db:10.0.0.7` or `--add-host db:host-gateway`")
    };
    let at = text.find([':', '=']).ok_or_else(|| wrong("there is no address"))?;
    let (names, rest) = text.split_at(at);
    let address = rest.get(1..).unwrap_or_default();
    let bare = address.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(address);
    let address = match bare {
        "host-gateway" => None,
        _ => Some(bare.parse().map_err(|_| wrong("this is not an IP address"))?),
    };
    let names = names.split(';').map(checked_alias).collect::<Result<Vec<String>>>();
    Ok(AddedHost { names: names.map_err(|_| wrong("this is not a host's name"))?, address })
}

/// `--expose`: `80`, `80-82`, `53/udp`; each port as `80/tcp`.
pub fn parse_exposed(text: &str) -> Result<Vec<String>> {
    let deed = || format!("cannot expose `{}`", text.escape_debug());
    if text.contains([':', ',']) {
        return Err(fault(Kind::Usage, format!("{}: write it as PORT[/tcp|udp], or FIRST-LAST", deed())));
    }
    let ports = super::parse_ports(text).with_context(deed)?;
    Ok(ports.iter().map(|port| format!("{}/{}", port.container_port, port.protocol)).collect())
}

/// A domain for `--dns-search` and `--domainname`: a name as DNS knows it; for the former also a single dot.
pub fn checked_domain(text: &str) -> Result<String> {
    match checked_alias(text.strip_suffix('.').unwrap_or(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) if text == "." => Ok(text.to_owned()),
        Err(_) => Err(fault(Kind::Usage, format!("`{}` cannot be a domain", text.escape_debug()))),
    }
}

/// A word of resolv.conf(5)'s `options`.
pub fn checked_dns_option(text: &str) -> Result<String> {
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:".contains(&b)) {
        true => Ok(text.to_owned()),
        false => Err(fault(Kind::Usage, format!("`{}` cannot be an option of resolv.conf", text.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<(Option<NetworkMode>, Settings)> {
        parse_networks(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn modes() {
        for (word, mode) in [
            ("slirp4netns", NetworkMode::Slirp4netns),
            ("private", NetworkMode::Slirp4netns),
            ("pasta", NetworkMode::Pasta),
            ("none", NetworkMode::None),
            ("host", NetworkMode::Host),
            ("container:web", NetworkMode::Container("web".into())),
            ("ns:/run/netns/a", NetworkMode::Namespace("/run/netns/a".into())),
            ("bridge", NetworkMode::Bridge),
            ("back", NetworkMode::Bridge),
        ] {
            assert_eq!(parse(&[word]).unwrap().0, Some(mode), "{word}");
        }
        assert_eq!(parse(&[]).unwrap().0, None);
        for word in ["", "container", "container:", "ns:relative", "none:x", "host:x", "../x", "-x", "a b"] {
            assert!(parse(&[word]).is_err(), "{word}");
        }
        for words in [&["none", "host"][..], &["a", "host"], &["a", "a"], &["slirp4netns", "slirp4netns"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn options_of_slirp4netns() {
        let slirp = |text: &str| parse(&[&format!("slirp4netns:{text}")]).map(|(_, settings)| settings.slirp);
        let options =
            slirp("cidr=10.5.0.0/16,mtu=1500,allow_host_loopback=true,enable_ipv6=1,port_handler=rootlesskit");
        let options = options.unwrap();
        assert_eq!(options.cidr, Some(([10, 5, 0, 0].into(), 16)));
        assert_eq!((options.mtu, options.allow_host_loopback, options.enable_ipv6), (Some(1500), true, true));
        assert_eq!(slirp("outbound_addr=eth0").unwrap().outbound_addr.as_deref(), Some("eth0"));
        for text in
            ["cidr=10.0.0.1/24", "cidr=10.0.0.0/26", "mtu=9", "mtu", "x=y", "port_handler=x", "outbound_addr=-x"]
        {
            assert!(slirp(text).is_err(), "{text}");
        }
    }

    #[test]
    fn attachments() {
        let all =
            parse(&["a:alias=x,alias=y,ip=10.1.2.3,mac=02:00:00:00:00:01,bandwidth-in=10mbit", "name=b,ip6=fd::7"]);
        let list = all.unwrap().1.attachments;
        assert_eq!((list.len(), list[0].aliases.len(), list[1].network.as_str()), (2, 2, "b"));
        assert_eq!((list[0].ip, list[0].bandwidth_in), (Some([10, 1, 2, 3].into()), Some(10_000_000)));
        assert_eq!(list[1].ip6, Some("fd::7".parse().unwrap()));
        assert_eq!(parse(&["a,b,c"]).unwrap().1.attachments.len(), 3);
        for word in ["a:ip=x", "a:alias", "a:alias=a b", "a:x=y", "a:bandwidth-in=1", "a:interface_name=a/b", "a:mac=1"]
        {
            assert!(parse(&[word]).is_err(), "{word}");
        }
    }

    #[test]
    fn added_hosts() {
        for (text, names, address) in [
            ("db:10.0.0.7", 1, Some("10.0.0.7")),
            ("db;store=10.0.0.7", 2, Some("10.0.0.7")),
            ("db:fd00::7", 1, Some("fd00::7")),
            ("db:[fd00::7]", 1, Some("fd00::7")),
            ("db:host-gateway", 1, None),
        ] {
            let added = parse_added_host(text).unwrap();
            assert_eq!(
                (added.names.len(), added.address),
                (names, address.map(|text| text.parse().unwrap())),
                "{text}"
            );
        }
        for text in ["db", "db:", ":10.0.0.1", "a b:10.0.0.1", "db:name", "a\nb:10.0.0.1", ""] {
            assert!(parse_added_host(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn small_words() {
        assert_eq!(parse_exposed("80-81/udp").unwrap(), ["80/udp", "81/udp"]);
        assert!(parse_exposed("8080:80").is_err() && parse_exposed("x").is_err() && parse_exposed("80,81").is_err());
        assert!(checked_domain(".").is_ok() && checked_domain("a.example.").is_ok() && checked_domain("a b").is_err());
        assert!(checked_dns_option("ndots:2").is_ok() && checked_dns_option("a\nnameserver 1.1.1.1").is_err());
        for (text, rate) in
            [("10mbit", Some(10_000_000)), ("8000", Some(8000)), ("1G", Some(1_000_000_000)), ("7", None)]
        {
            assert_eq!(bandwidth(text), rate, "{text}");
        }
        for text in ["", "mbit", "+9000", "99999999999gbit", "10mb"] {
            assert_eq!(bandwidth(text), None, "{text}");
        }
        assert_eq!(Mac::parse("02-00-00-00-00-0A").unwrap().to_string(), "02:00:00:00:00:0a");
        for text in ["01:00:00:00:00:01", "02:00:00:00:00", "", "00:00:00:00:00:00", "2:0:0:0:0:1", "+2:00:00:00:00:01"]
        {
            assert!(Mac::parse(text).is_err(), "{text}");
        }
    }
}
