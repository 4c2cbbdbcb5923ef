//! The network's options of `run` and `create`.

use super::GoBool;
use crate::base::error::{Kind, fault};
use crate::network::settings::{
    HostsBase, Settings, checked_alias, checked_dns_option, checked_domain, parse_added_host, parse_exposed,
    parse_networks,
};
use crate::network::{Mac, NetworkMode, PortMapping, parse_ports};
use anyhow::Result;
use clap::{Args, ValueHint};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How the container reaches the network, and is reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkOptions {
    /// How it reaches the network: slirp4netns, pasta, bridge, none, host, container:NAME or a network's name
    ///
    /// slirp4netns (the default) takes options after a colon, cidr=, mtu=, allow_host_loopback=, enable_ipv6=,
    /// outbound_addr= and outbound_addr6=; pasta those of pasta(1), between commas. A network of `box network create`
    /// takes alias=, ip=, ip6=, mac=, interface_name=, bandwidth-in= and bandwidth-out=, and may be given several
    /// times. ns:PATH joins a namespace that exists.
    #[arg(long, alias = "net", value_name = "MODE")]
    pub network: Vec<String>,
    /// Publish a port: [IP:][HOST:]CTR[/tcp|/udp]; ranges are FIRST-LAST
    ///
    /// Without HOST, a free port is chosen; `box ps` shows which. The server in the container sees its clients' own
    /// addresses.
    #[arg(short, long, value_name = "PORTS")]
    pub publish: Vec<String>,
    /// Publish all exposed ports, each on a free port of the host
    #[arg(short = 'P', long)]
    pub publish_all: bool,
    /// Expose a port, for -P and for those who read: PORT[/tcp|/udp] or FIRST-LAST
    #[arg(long, value_name = "PORT")]
    pub expose: Vec<String>,
    /// The container's host name [default: its short id]
    #[arg(short = 'h', long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// The container's domain
    #[arg(long, value_name = "DOMAIN")]
    pub domainname: Option<String>,
    /// A line in /etc/hosts: NAME[;NAME...]:ADDRESS; the address host-gateway is the host
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// Ask this name server; none keeps the image's /etc/resolv.conf
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// Look for short names in this domain; . for in none
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// An option of resolv.conf, such as ndots:2
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// What /etc/hosts begins with: a file, image (the image's own) or none (localhost)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub hosts_file: Option<String>,
    /// Keep the image's /etc/hosts
    #[arg(long)]
    pub no_hosts: bool,
    /// Keep the image's /etc/hostname
    #[arg(long)]
    pub no_hostname: bool,
    /// Pass the host's proxy variables on (http_proxy and so on) [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true)]
    pub http_proxy: Option<bool>,
    /// The interface's hardware address
    #[arg(long, value_name = "ADDRESS")]
    pub mac_address: Option<String>,
    /// The IPv4 address, in the one network that it is in
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<Ipv4Addr>,
    /// The IPv6 address, in the one network that it is in
    #[arg(long, value_name = "ADDRESS")]
    pub ip6: Option<Ipv6Addr>,
    /// Another name in all networks that it is in
    #[arg(long, value_name = "NAME")]
    pub network_alias: Vec<String>,
}

/// The words as they are understood.
pub struct Understood {
    /// `--network`.
    pub mode: Option<NetworkMode>,
    /// `-p`.
    pub ports: Vec<PortMapping>,
    /// All else.
    pub settings: Settings,
}

impl NetworkOptions {
    /// Parse all words.
    pub fn understand(&self) -> Result<Understood> {
        let (mode, mut settings) = parse_networks(&self.network)?;
        let mut ports = Vec::new();
        for text in &self.publish {
            ports.extend(parse_ports(text)?);
        }
        for text in &self.expose {
            settings.expose.extend(parse_exposed(text)?);
        }
        for text in &self.dns {
            match text.as_str() {
                "none" => settings.keep_resolv_conf = true,
                text => settings.dns.push(text.parse().map_err(|_| wrong("--dns", text, "not an IP address"))?),
            }
        }
        settings.dns_search = self.dns_search.iter().map(|text| checked_domain(text)).collect::<Result<_>>()?;
        settings.dns_options = self.dns_option.iter().map(|text| checked_dns_option(text)).collect::<Result<_>>()?;
        settings.add_hosts = self.add_host.iter().map(|text| parse_added_host(text)).collect::<Result<_>>()?;
        settings.domainname = self.domainname.as_deref().map(checked_domain).transpose()?;
        settings.hosts_file = match self.hosts_file.as_deref() {
            None | Some("none") => HostsBase::None,
            Some("image") => HostsBase::Image,
            Some(path) => HostsBase::File(path.into()),
        };
        settings.no_hosts = self.no_hosts;
        settings.no_hostname = self.no_hostname;
        settings.publish_all = self.publish_all;
        settings.no_proxy_variables = self.http_proxy == Some(false);
        self.place(&mut settings)?;
        Ok(Understood { mode, ports, settings })
    }

    /// Addresses and names belong to the networks that the container is in.
    fn place(&self, settings: &mut Settings) -> Result<()> {
        let mac = self.mac_address.as_deref().map(Mac::parse).transpose()?;
        let aliases = self.network_alias.iter().map(|text| checked_alias(text)).collect::<Result<Vec<String>>>()?;
        if !aliases.is_empty() && settings.attachments.is_empty() {
            return Err(fault(Kind::Usage, "`--network-alias` needs a network: `--network NAME`"));
        }
        for attachment in &mut settings.attachments {
            attachment.aliases.extend(aliases.iter().cloned());
        }
        match settings.attachments.as_mut_slice() {
            [one] => {
                one.ip = self.ip.or(one.ip);
                one.ip6 = self.ip6.or(one.ip6);
                one.mac = mac.or(one.mac);
            }
            [] if self.ip.is_none() && self.ip6.is_none() => settings.mac = mac,
            [] => return Err(fault(Kind::Usage, "`--ip` and `--ip6` need a network: `--network NAME`")),
            _ if self.ip.is_none() && self.ip6.is_none() && mac.is_none() => {}
            _ => {
                let text = "with several networks, an address belongs to one of them: `--network NAME:ip=…,mac=…`";
                return Err(fault(Kind::Usage, text));
            }
        }
        Ok(())
    }
}

fn wrong(flag: &str, text: &str, what: &str) -> anyhow::Error {
    fault(Kind::Usage, format!("`{flag} {}`: {what}", text.escape_debug()))
}
