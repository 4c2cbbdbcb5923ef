//! `network create`.

use crate::base::error::{Fault, Kind, fault};
use crate::cli::args::Globals;
use crate::cli::args::networks::Create;
use crate::cli::output::print_line;
use crate::cli::{defaults, session};
use crate::config::containers::Containers;
use crate::network::prefix::Prefix;
use crate::network::record::{self, Driver, Wanted, parse_range, parse_route};
use anyhow::Result;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// `box network create`.
pub fn create(args: Create, globals: &Globals) -> Result<u8> {
    check_ipam(&args)?;
    let driver = driver(&args)?;
    let wanted = Wanted {
        driver,
        subnets: args
            .subnet
            .iter()
            .map(|text| Prefix::parse(text).map_err(|e| fault(Kind::Usage, e)))
            .collect::<Result<_>>()?,
        gateways: args.gateway,
        ranges: args.ip_range.iter().map(|text| parse_range(text)).collect::<Result<_>>()?,
        ipv6: args.ipv6,
        no_ipv4: args.ipv4 == Some(false),
        reserved: reserved(&args.aux_address)?,
        internal: args.internal,
        no_dns: args.disable_dns,
        dns_servers: args.dns,
        labels: pairs("--label", &args.label, false)?,
        options: pairs("--opt", &args.opt, true)?,
        interface: args.interface_name,
        routes: args.route.iter().map(|text| parse_route(text)).collect::<Result<_>>()?,
        pools: if driver == Driver::Bridge { defaults::subnet_pools(&Containers::load()?)? } else { Vec::new() },
    };
    let engine = session::open(globals)?;
    let _lock = record::lock(&engine.dirs)?;
    let name = match args.name {
        Some(name) => name,
        None => {
            let others = record::all(&engine.dirs);
            let free = |name: &String| !others.iter().any(|other| other.name == *name);
            (1..).map(|number| format!("box{number}")).find(free).unwrap_or_default()
        }
    };
    match record::create(&engine.dirs, &name, wanted) {
        Err(error) if args.ignore && crate::base::error::kind(&error) == Kind::NameInUse => print_line(&name)?,
        created => print_line(&created?.name)?,
    }
    Ok(0)
}

fn driver(args: &Create) -> Result<Driver> {
    match args.driver.as_deref() {
        None | Some("bridge") => Ok(Driver::Bridge),
        Some("none" | "null") => Ok(Driver::None),
        Some(driver @ ("macvlan" | "ipvlan")) => {
            let text = format!(
                "a network of the driver {driver} needs an interface of the host, which an ordinary user does not own"
            );
            Err(Fault::new(Kind::Usage, text).hint("leave out --driver: a bridge needs nothing of the host").into())
        }
        Some(other) => {
            let text = format!("there is no network driver `{}`, only bridge and none", other.escape_debug());
            Err(fault(Kind::Usage, text))
        }
    }
}

fn check_ipam(args: &Create) -> Result<()> {
    match args.ipam_driver.as_deref() {
        None | Some("host-local" | "default") => Ok(()),
        Some(other) => {
            let text = format!("addresses are not given by `{}`, only by host-local", other.escape_debug());
            Err(fault(Kind::Usage, text))
        }
    }
}

/// `--aux-address`: addresses by whose they are.
fn reserved(words: &[String]) -> Result<BTreeMap<String, IpAddr>> {
    let parse = |(name, text): (String, String)| match text.parse() {
        Ok(address) => Ok((name, address)),
        Err(_) => {
            let text = format!("`--aux-address {name}={}`: not an IP address", text.escape_debug());
            Err(fault(Kind::Usage, text))
        }
    };
    pairs("--aux-address", words, true)?.into_iter().map(parse).collect()
}

/// `KEY=VALUE` words; an option must have a value, a label need not.
fn pairs(flag: &str, words: &[String], strict: bool) -> Result<BTreeMap<String, String>> {
    let split = |word: &String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        None if !strict && !word.is_empty() => Ok((word.clone(), String::new())),
        _ => Err(fault(Kind::Usage, format!("`{flag} {}` is not KEY=VALUE", word.escape_debug()))),
    };
    words
        .iter()
        .flat_map(|word| if strict { word.split(',').map(str::to_owned).collect() } else { vec![word.clone()] })
        .map(|word| split(&word))
        .collect()
}
