//! `box network …`.

use super::{EXIT_STATUS, GoBool, switches};
use crate::cli::complete;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const REMOVE_STATUS: &str = "\
Exit status:
  0    All were removed.
  1    One did not exist.
  2    One is used by a container; -f removes that too.
  125  Another failure.";

/// `box network …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum NetworkVerb {
    /// Make a network in which containers find each other by name
    Create(Create),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Print all that is known of networks, as JSON
    Inspect(Inspect),
    /// Remove networks
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Remove the networks that no container is in
    Prune(Prune),
    /// Bring a container into one more network
    Connect(Connect),
    /// Take a container out of a network
    Disconnect(Disconnect),
    /// Write the rules of all networks anew, and lay cables that are missing
    Reload(Reload),
    /// Change whom a network asks for names
    Update(Update),
    /// Exit with 0 if the network is there, with 1 if not
    Exists(Exists),
}

const CREATE_EXAMPLES: &str = "\
Examples:
  box network create back
  box network create --ipv6 --label app=shop shop
  box network create --subnet 10.90.0.0/24 --gateway 10.90.0.254 --ip-range 10.90.0.64/26 lab
  box network create --internal vault
  box run -d --network back --name db IMAGE && box run --rm --network back alpine ping db";

const CREATE_DETAILS: &str = "\
Options of --opt:
  mtu=BYTES              the largest packet [default: 65520]
  isolate=false          containers of other networks that say so too are in reach
  no_default_route=true  nothing else leads out by this network
  metric=NUMBER          the metric of the default route";

/// Make a network
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box network create [OPTIONS] [NAME]",
    after_help = CREATE_EXAMPLES,
    after_long_help = format!("{CREATE_EXAMPLES}\n\n{CREATE_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Makes a network and prints its name. Containers join it with --network NAME, find each other there by \
                  name, and reach the world through it. Containers of other networks are out of reach."
)]
pub struct Create {
    /// Its addresses, such as 10.90.0.0/24; one of IPv4 and one of IPv6 [default: a free one]
    #[arg(long, value_name = "NETWORK")]
    pub subnet: Vec<String>,
    /// The bridge's own address, for each --subnet [default: the first]
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Vec<IpAddr>,
    /// Which addresses containers get, for each --subnet: a network inside it or FIRST-LAST
    #[arg(long, value_name = "RANGE")]
    pub ip_range: Vec<String>,
    /// Give it IPv6 addresses as well
    #[arg(long)]
    pub ipv6: bool,
    /// Give it IPv4 addresses [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true)]
    pub ipv4: Option<bool>,
    /// An address that no container gets, and whose it is
    #[arg(long, value_name = "NAME=ADDRESS")]
    pub aux_address: Vec<String>,
    /// Nothing leads out of it
    #[arg(long)]
    pub internal: bool,
    /// Answer no names
    #[arg(long)]
    pub disable_dns: bool,
    /// Ask this server for other names [default: the host's]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub dns: Vec<IpAddr>,
    /// Attach a label: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Set an option: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub opt: Vec<String>,
    /// bridge, or none: containers have nothing but their loopback there [default: bridge]
    #[arg(short, long, value_name = "DRIVER")]
    pub driver: Option<String>,
    /// Who gives the addresses: host-local [default: host-local]
    #[arg(long, value_name = "DRIVER")]
    pub ipam_driver: Option<String>,
    /// The bridge's name [default: box0 and so on]
    #[arg(long, value_name = "NAME")]
    pub interface_name: Option<String>,
    /// A route of its containers: DESTINATION,GATEWAY[,METRIC]
    #[arg(long, value_name = "ROUTE")]
    pub route: Vec<String>,
    /// Leave one that exists alone
    #[arg(long)]
    pub ignore: bool,
    /// The network's name [default: one is made up]
    pub name: Option<String>,
}

/// List networks
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = EXIT_STATUS)]
pub struct Ls {
    /// Only those that fit: KEY=VALUE with name, id, label, label!, driver, dangling, until or since
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Print no heading
    #[arg(short, long)]
    pub noheading: bool,
    /// Print whole ids
    #[arg(long)]
    pub no_trunc: bool,
    /// Print names only
    #[arg(short, long)]
    pub quiet: bool,
}

/// Print all that is known of networks, as JSON
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = EXIT_STATUS)]
pub struct Inspect {
    /// json, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Networks by name or id
    #[arg(required = true, value_name = "NETWORK", add = ArgValueCandidates::new(complete::networks))]
    pub names: Vec<String>,
}

/// Remove networks
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = REMOVE_STATUS)]
pub struct Rm {
    /// Remove the containers that are in them, too; a network that is not there is no failure
    #[arg(short, long)]
    pub force: bool,
    /// Seconds before such a container is killed
    #[arg(short, long, value_name = "SECONDS")]
    pub time: Option<i64>,
    /// Networks by name or id
    #[arg(required = true, value_name = "NETWORK", add = ArgValueCandidates::new(complete::networks))]
    pub names: Vec<String>,
}

/// Remove the networks that no container is in
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = EXIT_STATUS)]
pub struct Prune {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only those that fit, as for `network ls`
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
}

/// Bring a container into one more network
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_long_help = EXIT_STATUS,
    long_about = "Brings a container into one more network: at once if it runs, else when it starts. The container must \
                  have been made with --network NAME."
)]
pub struct Connect {
    /// Another name that it is found by there
    #[arg(long, value_name = "NAME")]
    pub alias: Vec<String>,
    /// Its IPv4 address there
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<Ipv4Addr>,
    /// Its IPv6 address there
    #[arg(long, value_name = "ADDRESS")]
    pub ip6: Option<Ipv6Addr>,
    /// Its hardware address there
    #[arg(long, value_name = "ADDRESS")]
    pub mac_address: Option<String>,
    /// The network
    #[arg(value_name = "NETWORK", add = ArgValueCandidates::new(complete::networks))]
    pub network: String,
    /// The container
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub container: String,
}

/// Take a container out of a network
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = EXIT_STATUS)]
pub struct Disconnect {
    /// A container or network that is not there is no failure
    #[arg(short, long)]
    pub force: bool,
    /// The network
    #[arg(value_name = "NETWORK", add = ArgValueCandidates::new(complete::networks))]
    pub network: String,
    /// The container
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub container: String,
}

/// Write the rules of all networks anew, and lay cables that are missing
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = EXIT_STATUS)]
pub struct Reload {
    /// Of all containers
    #[arg(short, long)]
    pub all: bool,
    /// Of the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Containers
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub names: Vec<String>,
}

/// Change whom a network asks for names
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_long_help = EXIT_STATUS,
    long_about = "Changes the servers that a network asks for names that are no container's, for containers that run as \
                  well."
)]
pub struct Update {
    /// Ask this server, too
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub dns_add: Vec<IpAddr>,
    /// Ask this server no more
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub dns_drop: Vec<IpAddr>,
    /// The network
    #[arg(value_name = "NETWORK", add = ArgValueCandidates::new(complete::networks))]
    pub network: String,
}

/// Exit with 0 if the network is there, with 1 if not
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches)]
pub struct Exists {
    /// The network
    #[arg(value_name = "NETWORK", add = ArgValueCandidates::new(complete::networks))]
    pub name: String,
}
