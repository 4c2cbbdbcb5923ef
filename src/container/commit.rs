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
    /// `--config`: settings that win over the container's.
    pub config: Map<String, Value>,
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
        settings: {
            let mut settings = settings(&container.config, base.as_ref(), request.include_volumes);
            settings.extend(request.config.clone());
            settings
        },
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

/// Read the file of `--config`: docker's `Config` of a container, as `inspect` shows it. What of it is no image's is left
/// out. <https://github.com/moby/docker-image-spec>
///
/// Errors: [`Kind::Usage`] for what is no JSON object, an unknown key, or a value of another kind.
pub fn parse_config(text: &str) -> Result<Map<String, Value>> {
    const OF_CONTAINERS: [&str; 15] = [
        "ArgsEscaped",
        "AttachStderr",
        "AttachStdin",
        "AttachStdout",
        "Domainname",
        "Hostname",
        "Image",
        "MacAddress",
        "NetworkDisabled",
        "OpenStdin",
        "PublishService",
        "StdinOnce",
        "StopTimeout",
        "Tty",
        "Umask",
    ];
    let wrong = |what: String| {
        Fault::new(Kind::Usage, format!("`--config`: {what}")).hint(r#"such as {"Cmd": ["sh"], "Env": ["A=B"]}"#)
    };
    let mut config: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| wrong("it is no JSON object".to_owned()).because(error))?;
    config.retain(|key, value| !OF_CONTAINERS.contains(&key.as_str()) && !value.is_null());
    for (key, value) in &config {
        let fits = match key.as_str() {
            "User" | "WorkingDir" | "StopSignal" => value.is_string(),
            "Entrypoint" | "Cmd" | "Env" | "OnBuild" | "Shell" => {
                value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
            }
            "ExposedPorts" | "Volumes" | "Healthcheck" => value.is_object(),
            "Labels" => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
            _ => return Err(wrong(format!("there is no setting `{}`", key.escape_debug())).into()),
        };
        if !fits {
            return Err(wrong(format!("`{key}` cannot be {value}")).into());
        }
    }
    Ok(config)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_of_files() {
        let keys = |text: &str| parse_config(text).map(|map| map.keys().cloned().collect::<Vec<_>>().join(" ")).ok();
        assert_eq!(keys(r#"{"Cmd": ["a"], "Hostname": "x", "Env": null, "User": "1"}"#).as_deref(), Some("Cmd User"));
        assert_eq!(keys("{}").as_deref(), Some(""));
        for text in ["", "[]", "x", r#"{"Cmd": "a"}"#, r#"{"Cmd": [1]}"#, r#"{"Labels": {"a": 1}}"#, r#"{"Nope": 1}"#] {
            assert_eq!(keys(text), None, "{text}");
        }
    }
}
