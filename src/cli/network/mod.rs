//! `box network`: a file a verb, or a family of verbs.

mod create;
mod list;

use super::args::Globals;
use super::args::networks::{Connect, Disconnect, Exists, NetworkVerb, Prune, Reload, Rm, Update};
use super::output::print_line;
use super::{errors, session};
use crate::base::error::{Kind, kind};
use crate::container;
use crate::network::settings::checked_alias;
use crate::network::{Attachment, Mac, hub, record};
use anyhow::Result;

/// Do what was asked; the exit code.
pub fn dispatch(verb: NetworkVerb, globals: &Globals) -> Result<u8> {
    match verb {
        NetworkVerb::Create(args) => create::create(args, globals),
        NetworkVerb::Ls(args) => list::ls(&args, globals),
        NetworkVerb::Inspect(args) => list::inspect(&args, globals),
        NetworkVerb::Rm(args) => rm(&args, globals),
        NetworkVerb::Prune(args) => prune(&args, globals),
        NetworkVerb::Connect(args) => connect(args, globals),
        NetworkVerb::Disconnect(args) => disconnect(&args, globals),
        NetworkVerb::Reload(args) => reload(&args, globals),
        NetworkVerb::Update(args) => update(&args, globals),
        NetworkVerb::Exists(args) => exists(&args, globals),
    }
}

fn rm(args: &Rm, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let mut last = 0;
    for name in &args.names {
        match container::remove_network(&engine, name, args.force, args.time) {
            Ok(()) => print_line(name)?,
            Err(error) if args.force && kind(&error) == Kind::NotFound => {}
            Err(error) => {
                errors::report(&error);
                // podman's codes: the last failure decides.
                last = match kind(&error) {
                    Kind::NotFound => 1,
                    Kind::InUse => 2,
                    _ => 125,
                };
            }
        }
    }
    Ok(last)
}

fn prune(args: &Prune, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let question = "This removes all networks that no container is in. Go on?";
    if !(args.force || session::confirm(question)?) {
        return Ok(0);
    }
    let mut failures = Vec::new();
    for record in list::fitting(&engine, &args.filter)? {
        let unused = record.name != record::DEFAULT_NAME && container::users_of(&engine, &record.name).is_empty();
        if !unused {
            continue;
        }
        match container::remove_network(&engine, &record.name, false, None) {
            Ok(()) => print_line(&record.name)?,
            // Somebody has begun to use it, or removed it.
            Err(error) if matches!(kind(&error), Kind::InUse | Kind::NotFound) => {}
            Err(error) => {
                errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    Ok(session::code(&failures))
}

fn connect(args: Connect, globals: &Globals) -> Result<u8> {
    let attachment = Attachment {
        network: args.network,
        aliases: args.alias.iter().map(|text| checked_alias(text)).collect::<Result<_>>()?,
        ip: args.ip,
        ip6: args.ip6,
        mac: args.mac_address.as_deref().map(Mac::parse).transpose()?,
        ..Attachment::default()
    };
    let engine = session::open(globals)?;
    container::connect_network(&engine, &container::find(&engine, &args.container)?, attachment)?;
    Ok(0)
}

fn disconnect(args: &Disconnect, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let result = container::find(&engine, &args.container).and_then(|container| {
        let network = record::find(&engine.dirs, &args.network)?.name;
        container::disconnect_network(&engine, &container, &network)
    });
    match result {
        Err(error) if args.force && kind(&error) == Kind::NotFound => Ok(0),
        result => result.map(|()| 0),
    }
}

fn reload(args: &Reload, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    if args.all || (args.names.is_empty() && !args.latest) {
        container::reload_network(&engine, None)?;
    }
    for (_, container) in session::named(&engine, &args.names, args.latest) {
        let container = container?;
        container::reload_network(&engine, Some(&container))?;
        print_line(container.config.id.as_str())?;
    }
    Ok(0)
}

fn update(args: &Update, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let _lock = record::lock(&engine.dirs)?;
    let mut network = record::find(&engine.dirs, &args.network)?;
    network.dns_servers.retain(|server| !args.dns_drop.contains(server));
    for server in &args.dns_add {
        if !network.dns_servers.contains(server) {
            network.dns_servers.push(*server);
        }
    }
    record::write(&engine.dirs, &network)?;
    hub::update(&engine.dirs.run, &network)?;
    Ok(0)
}

fn exists(args: &Exists, globals: &Globals) -> Result<u8> {
    match record::find(&session::open(globals)?.dirs, &args.name) {
        Ok(_) => Ok(0),
        Err(error) if kind(&error) == Kind::NotFound => Ok(1),
        Err(error) => Err(error),
    }
}
