//! Containers in user networks: what each is to have, what it has, and the verbs that change it.
//!
//! ```text
//! containers/<id>/networks.json    the networks, where `network connect` or `disconnect` has changed them
//! $RUN/<id>/network.json           what a running container has there (`network::hub::Lease`)
//! ```

use super::record::{Container, Status};
use super::{RemoveOptions, remove};
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::{Durability, read_if_there, replace};
use crate::engine::Engine;
use crate::events;
use crate::network::hub::{self, Lease, Member};
use crate::network::record::{self as networks, Driver};
use crate::network::{self, Attachment, NetworkMode};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// More than any of these files.
const LIMIT: u64 = 4 << 20;

/// The networks that a container is to be in.
pub fn attachments(container: &Container) -> Vec<Attachment> {
    if container.config.network != NetworkMode::Bridge {
        return Vec::new();
    }
    let changed = read_if_there(&container.dir.join("networks.json"), LIMIT);
    let changed = changed.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    changed.unwrap_or_else(|| container.config.networking.attachments.clone())
}

/// What a running container has in its networks.
pub fn leases(container: &Container) -> Vec<Lease> {
    if container.config.network != NetworkMode::Bridge {
        return Vec::new();
    }
    let bytes = read_if_there(&lease_file(container), LIMIT);
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Write what it has, for those who ask.
pub(super) fn write_leases(container: &Container, leases: &[Lease]) -> Result<()> {
    replace(&lease_file(container), &serde_json::to_vec(leases)?, Durability::Cached)
}

fn lease_file(container: &Container) -> PathBuf {
    container.run_dir.join("network.json")
}

/// What the hub is told of a container that starts. Errors: a network that is gone.
pub(super) fn member(engine: &Engine, container: &Container) -> Result<Option<Member>> {
    let config = &container.config;
    if config.network != NetworkMode::Bridge {
        return Ok(None);
    }
    let records = attachments(container).into_iter().map(|attachment| {
        let record = networks::load(&engine.dirs, &attachment.network)?;
        Ok((attachment, record))
    });
    let mut wanted = records.collect::<Result<Vec<_>>>()?;
    wanted.retain(|(_, record)| record.driver == Driver::Bridge);
    let mut names = vec![config.name.clone(), config.id.short().to_owned()];
    if config.hostname != config.id.short() && !names.contains(&config.hostname) {
        names.push(config.hostname.clone());
    }
    Ok(Some(Member {
        id: config.id.to_string(),
        names,
        dns: config.networking.dns.clone(),
        search: search_domains(&config.networking.dns_search),
        wanted,
        leases: Vec::new(),
    }))
}

/// The domains in which the container's resolver looks for short names.
fn search_domains(chosen: &[String]) -> Vec<String> {
    if !chosen.is_empty() {
        return chosen.iter().filter(|domain| *domain != ".").cloned().collect();
    }
    let text = network::host_file(Path::new("/etc/resolv.conf"));
    let mut lines = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        matches!(words.next(), Some("search" | "domain")).then(|| words.map(str::to_owned).collect())
    });
    // The last line counts, resolv.conf(5).
    lines.next_back().unwrap_or_default()
}

/// The containers that are, or are to be, in a network.
pub fn users_of(engine: &Engine, network: &str) -> Vec<Container> {
    let is_in = |container: &Container| attachments(container).iter().any(|one| one.network == network);
    super::all(engine).into_iter().filter(is_in).collect()
}

/// `network connect`: at once if the container runs, else when it starts.
pub fn connect_network(engine: &Engine, container: &Container, attachment: Attachment) -> Result<()> {
    let record = networks::find(&engine.dirs, &attachment.network)?;
    let attachment = Attachment { network: record.name.clone(), ..attachment };
    check_mode(container)?;
    let mut list = attachments(container);
    if list.iter().any(|one| one.network == record.name) {
        let text = format!("container `{}` is in network `{}` already", container.config.name, record.name);
        return Err(fault(Kind::InUse, text));
    }
    engine.enter()?;
    if record.driver == Driver::Bridge && matches!(container.status(), Status::Running(_)) {
        hub::connect(&engine.dirs.run, container.config.id.as_str(), attachment.clone(), record.clone())?;
    }
    list.push(attachment);
    write_attachments(container, &list)?;
    tell(engine, container, "connect", &record.id, &record.name);
    Ok(())
}

/// `network disconnect`: the other way round.
pub fn disconnect_network(engine: &Engine, container: &Container, network: &str) -> Result<()> {
    check_mode(container)?;
    let mut list = attachments(container);
    let Some(at) = list.iter().position(|one| one.network == network) else {
        let text = format!("container `{}` is not in network `{network}`", container.config.name);
        return Err(fault(Kind::NotFound, text));
    };
    engine.enter()?;
    let record = networks::find(&engine.dirs, network);
    let is_none = record.as_ref().is_ok_and(|record| record.driver == Driver::None);
    if !is_none && matches!(container.status(), Status::Running(_)) {
        hub::disconnect(&engine.dirs.run, container.config.id.as_str(), network)?;
    }
    list.remove(at);
    write_attachments(container, &list)?;
    let id = record.map(|record| record.id).unwrap_or_default();
    tell(engine, container, "disconnect", &id, network);
    Ok(())
}

/// A network's event that belongs to a container, too.
fn tell(engine: &Engine, container: &Container, action: &str, id: &str, name: &str) {
    let mut event = events::Event::new("network", action, id, name);
    event.attributes.insert("container".to_owned(), container.config.id.to_string());
    events::record(&engine.dirs, &[event]);
}

/// A container that runs has another name: its neighbours find it by that one from now on.
pub(super) fn renamed(engine: &Engine, container: &Container, name: &str) -> Result<()> {
    if container.config.network == NetworkMode::Bridge && matches!(container.status(), Status::Running(_)) {
        engine.enter()?;
        // Without a hub its monitor is just making the next one, and tells it the name.
        let _ = hub::rename(&engine.dirs.run, container.config.id.as_str(), name);
    }
    Ok(())
}

fn check_mode(container: &Container) -> Result<()> {
    match &container.config.network {
        NetworkMode::Bridge => Ok(()),
        mode => {
            let text = format!("container `{}` has the network `{mode}`, which no other joins", container.config.name);
            Err(Fault::new(Kind::WrongState, text).hint("make it with `--network NAME` to connect it to more").into())
        }
    }
}

fn write_attachments(container: &Container, list: &[Attachment]) -> Result<()> {
    replace(&container.dir.join("networks.json"), &serde_json::to_vec(list)?, Durability::Synced)
}

/// `network reload`: rules and cables anew.
pub fn reload_network(engine: &Engine, container: Option<&Container>) -> Result<()> {
    if let Some(container) = container {
        container.running()?;
    }
    engine.enter()?;
    hub::reload(&engine.dirs.run, container.map(|container| container.config.id.as_str()))
}

/// `network rm`. Errors: [`Kind::InUse`] with the names of those who are in it, unless `force` removes them too.
pub fn remove_network(engine: &Engine, network: &str, force: bool, time: Option<i64>) -> Result<()> {
    let record = networks::find(&engine.dirs, network)?;
    let users = users_of(engine, &record.name);
    if let (Some(first), false) = (users.first(), force) {
        let names: Vec<&str> = users.iter().map(|container| container.config.name.as_str()).collect();
        let text = format!("network `{}` is in use by: {}", record.name, names.join(" "));
        let fault = Fault::new(Kind::InUse, text);
        return Err(fault.hint(format!("box network disconnect {} {}", record.name, first.config.name)).into());
    }
    for container in users {
        remove(engine, &container, RemoveOptions { force: true, time, ..Default::default() })?;
    }
    let _lock = networks::lock(&engine.dirs)?;
    networks::remove(&engine.dirs, &record.name)?;
    events::tell(&engine.dirs, "network", "remove", &record.id, &record.name);
    Ok(())
}
