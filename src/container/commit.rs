//! `commit` and `export`: an image, or an archive, of a container's files.

use super::config::{Config, RootSource};
use super::images;
use super::pause;
use super::record::{Container, Status};
use super::view::View;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind};
use crate::base::signal;
use crate::engine::Engine;
use crate::events::{self, Event};
use crate::image::{self, CommitOptions, Image, ManifestFormat};
use crate::oci::reference::Reference;
use crate::sys::signals::{self, Caught};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};
use std::fs::File;

/// How to commit.
#[derive(Debug, Default)]
pub struct CommitRequest<'a> {
    /// The name.
    pub name: Option<Reference>,
    /// Instructions, see `oci::change`.
    pub changes: &'a [String],
    /// By whom.
    pub author: Option<&'a str>,
    /// A remark for the history.
    pub message: Option<&'a str>,
    /// The manifest's form.
    pub format: ManifestFormat,
    /// One layer of everything.
    pub squash: bool,
    /// Where the container has mounts, the image declares volumes.
    pub include_volumes: bool,
    /// Its processes stand still meanwhile.
    pub pause: bool,
}

/// Make an image of a container as it is now; returns its id.
pub fn commit(engine: &Engine, container: &Container, request: &CommitRequest<'_>) -> Result<Digest> {
    let base = base(engine, container)?;
    let written = || super::size::size(engine, container).written;
    let options = CommitOptions {
        base: base.as_ref(),
        squash: request.squash || base.is_none(),
        name: request.name.clone(),
        settings: settings(&container.config, base.as_ref(), request.include_volumes),
        changes: request.changes,
        author: request.author,
        message: request.message,
        created_by: container.config.args.join(" "),
        format: request.format,
        size: Some(&written),
    };
    let work = || -> Result<String> {
        let view = View::open(engine, container)?;
        let write = |out: &mut dyn std::io::Write| match options.squash {
            true => view.pack_all(out),
            false => view.pack_changes(out),
        };
        Ok(image::commit(&engine.store, &options, write)?.to_string())
    };
    let deed = || format!("cannot commit container `{}`", container.config.name);
    let id = match request.pause {
        true => while_paused(engine, container, || {
            images::in_child(engine, || {
                signals::unblock_all().context("cannot let signals in")?;
                work()
            })
        }),
        false => images::in_child(engine, work),
    }
    .with_context(deed)?;
    let name = request.name.as_ref().map_or_else(|| id.clone(), Reference::stored_name);
    events::record(&engine.dirs, &[Event::new("container", "commit", container.config.id.as_str(), &name)]);
    Digest::parse(&id).context("the commit ended without an id")
}

/// Do it while the container stands still, if it runs and does not so already. A signal ends the work, and us when the
/// container goes on.
fn while_paused<T>(engine: &Engine, container: &Container, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !matches!(container.status(), Status::Running(run) if !run.paused) {
        return work();
    }
    let _held = Caught::these(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT])?;
    pause::pause(engine, container)?;
    let result = work();
    // It may have ended meanwhile, by SIGKILL.
    match container.running() {
        Ok(_) => pause::unpause(engine, container).and(result),
        Err(_) => result,
    }
}

/// The image that a container was made from; `None` for a folder of the host.
fn base(engine: &Engine, container: &Container) -> Result<Option<Image>> {
    let RootSource::Image { name, id, .. } = &container.config.root else { return Ok(None) };
    let missing = || {
        let text = format!("image `{name}` of container `{}` is not in the store any more", container.config.name);
        Fault::new(Kind::NotFound, text).hint(format!("box pull {name}"))
    };
    Ok(Some(image::find(&engine.store, id.digits())?.ok_or_else(missing)?))
}

/// What the container is run with, in an image's words. Null takes a key away.
fn settings(config: &Config, base: Option<&Image>, include_volumes: bool) -> Map<String, Value> {
    let (entrypoint, cmd) = config.args.split_at(config.entrypoint_len.min(config.args.len()));
    let list = |words: &[String]| if words.is_empty() { Value::Null } else { json!(words) };
    let set = |keys: &[String]| match keys.is_empty() {
        true => Value::Null,
        false => Value::Object(keys.iter().map(|key| (key.clone(), json!({}))).collect()),
    };
    // What box itself sets in every container is not the image's.
    let ours = |entry: &&String| ["HOSTNAME=", "container=", "TERM="].iter().any(|key| entry.starts_with(key));
    let known = base.map(|base| base.config.env.as_slice()).unwrap_or_default();
    let env: Vec<&String> = config.env.iter().filter(|entry| known.contains(entry) || !ours(entry)).collect();
    let mut settings = Map::from_iter([
        ("Entrypoint".to_owned(), list(entrypoint)),
        ("Cmd".to_owned(), list(cmd)),
        ("Env".to_owned(), json!(env)),
        ("User".to_owned(), if config.user.is_empty() { Value::Null } else { config.user.as_str().into() }),
        ("WorkingDir".to_owned(), config.workdir.as_str().into()),
        ("Labels".to_owned(), if config.labels.is_empty() { Value::Null } else { json!(config.labels) }),
        ("ExposedPorts".to_owned(), set(&config.exposed)),
        ("StopSignal".to_owned(), signal::name(config.stop_signal).into()),
    ]);
    if include_volumes {
        let mut paths = base.map(|base| base.config.volumes.clone()).unwrap_or_default();
        paths.extend(config.mounts.iter().map(|mount| mount.target.display().to_string()));
        paths.sort();
        paths.dedup();
        settings.insert("Volumes".to_owned(), set(&paths));
    }
    settings
}

/// Write all of a container's files as an archive, without what is mounted in it.
pub fn export(engine: &Engine, container: &Container, out: &File) -> Result<()> {
    let deed = || format!("cannot export container `{}`", container.config.name);
    let work = || -> Result<String> {
        let mut out = std::io::BufWriter::with_capacity(256 << 10, out);
        View::open(engine, container)?.pack_all(&mut out)?;
        Ok(String::new())
    };
    images::in_child(engine, work).map(drop).with_context(deed)
}
