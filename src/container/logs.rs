//! `logs`: what a container has printed.

use super::config::{Config, RootSource};
use super::record::{Container, Status};
use super::request::{LogDriver, Request};
use crate::base::error::{Fault, Kind, fault};
use crate::base::id::ContainerId;
use crate::monitor::LogConfig;
use crate::monitor::logs::{Driver, LogQuery, Stream, journal, read};
use anyhow::Result;
use std::path::Path;

/// The most bytes of a log file, and the most files, unless `--log-opt` says otherwise.
pub const DEFAULT_SIZE: (u64, u32) = (10 << 20, 3);

/// Where and how the monitor keeps the log.
pub fn config(container: &Container) -> LogConfig {
    let options = &container.config.life.log;
    let (driver, path, fields) = match container.config.log_driver {
        LogDriver::K8sFile => (Driver::K8sFile, container.log(), Vec::new()),
        LogDriver::JsonFile => (Driver::JsonFile, container.log(), attributes(&container.config)),
        LogDriver::Journald => (Driver::Journald, journal::SOCKET.into(), fields(&container.config)),
        LogDriver::None | LogDriver::Passthrough | LogDriver::PassthroughTty => {
            (Driver::None, container.log(), Vec::new())
        }
    };
    LogConfig {
        driver,
        path: options.path.clone().unwrap_or(path),
        max_size: options.max_size.unwrap_or(DEFAULT_SIZE.0),
        max_files: options.max_files.unwrap_or(DEFAULT_SIZE.1),
        fields,
    }
}

/// What a tag may have between `{{.` and `}}`.
pub const TAG_WORDS: [&str; 5] = ["Name", "ID", "FullID", "ImageName", "ImageID"];

/// Whether all of a tag's words are known.
pub fn is_tag(text: &str) -> bool {
    fill(text, |_| String::new()).is_some()
}

/// A tag with each `{{.WORD}}` replaced; `None` where one is not known.
fn fill(text: &str, value: impl Fn(&str) -> String) -> Option<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let (word, left) = after.split_once("}}")?;
        let word = word.trim().strip_prefix('.').filter(|word| TAG_WORDS.contains(word))?;
        out.push_str(before);
        out.push_str(&value(word));
        rest = left;
    }
    Some(out + rest)
}

fn tag(config: &Config, text: &str) -> String {
    let value = |word: &str| match (word, &config.root) {
        ("Name", _) => config.name.clone(),
        ("ID", _) => config.id.short().to_owned(),
        ("FullID", _) => config.id.to_string(),
        ("ImageID", RootSource::Image { id, .. }) => id.digits().to_owned(),
        ("ImageName", _) => config.image_name(),
        _ => String::new(),
    };
    fill(text, value).unwrap_or_default()
}

/// What docker's json-file has in each record: the tag, and the labels and variables that were asked for.
fn attributes(config: &Config) -> Vec<(String, String)> {
    let options = &config.life.log;
    let mut list: Vec<(String, String)> = Vec::new();
    list.extend(options.tag.iter().map(|text| ("tag".to_owned(), tag(config, text))));
    list.extend(options.labels.iter().filter_map(|key| Some((key.clone(), config.labels.get(key)?.clone()))));
    let variable = |name: &String| {
        let entry = config.env.iter().filter_map(|entry| entry.split_once('=')).find(|(key, _)| key == name)?;
        Some((name.clone(), entry.1.to_owned()))
    };
    list.extend(options.env.iter().filter_map(variable));
    list
}

/// What podman has in each record of the journal, and docker's fields for the rest: in capitals, as the journal wants.
fn fields(config: &Config) -> Vec<(String, String)> {
    let tag = tag(config, config.life.log.tag.as_deref().unwrap_or("{{.ID}}"));
    let own = [
        ("CONTAINER_ID", config.id.short().to_owned()),
        (journal::ID, config.id.to_string()),
        ("CONTAINER_NAME", config.name.clone()),
        ("CONTAINER_TAG", tag.clone()),
        ("IMAGE_NAME", config.image_name()),
        ("SYSLOG_IDENTIFIER", tag),
    ];
    let valid = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let named = |(key, value): (String, String)| {
        let key: String = key.chars().map(valid).collect();
        // Names that begin with an underscore are the journal's own.
        (key.trim_start_matches('_').to_owned(), value)
    };
    let own = own.map(|(key, value)| (key.to_owned(), value)).into_iter();
    own.chain(attributes(config).into_iter().filter(|(key, _)| key != "tag").map(named)).collect()
}

/// Where the log is of a container whose logs are kept in a folder of the host's, as podman has it.
pub(super) fn place(request: &mut Request, id: &ContainerId) {
    if let Some(folder) = &request.defaults.log_folder
        && matches!(request.log_driver, LogDriver::K8sFile | LogDriver::JsonFile)
    {
        request.life.log.path.get_or_insert_with(|| folder.join(id.as_str()).join("ctr.log"));
    }
}

/// Refuse a start whose output nobody could keep.
pub(super) fn check(container: &Container) -> Result<()> {
    let config = config(container);
    // Of `log_path`, whose folder is there: that of one container is not.
    let own = container.config.life.log.path.as_deref().and_then(Path::parent);
    if let Some(folder) = own.filter(|folder| folder.ends_with(container.config.id.as_str()) && !folder.exists()) {
        let deed = || Fault::new(Kind::Host, format!("cannot make `{}` for the log", folder.display()));
        std::fs::create_dir(folder).map_err(|error| deed().because(error))?;
    }
    if config.driver == Driver::Journald && !journal::listens(&config.path) {
        let text = format!("cannot log to the journal: nobody listens at `{}`", config.path.display());
        return Err(Fault::new(Kind::Host, text).hint("--log-driver k8s-file").into());
    }
    Ok(())
}

/// Hand the log's records to `sink`, as asked; with `follow` until the container has ended.
pub fn logs(
    container: &Container,
    query: &LogQuery,
    sink: &mut dyn FnMut(Stream, &[u8]) -> std::io::Result<()>,
) -> Result<()> {
    let config = config(container);
    let alive = || matches!(container.status(), Status::Running(_) | Status::Starting | Status::Restarting(_));
    match config.driver {
        Driver::None => {
            let (name, driver) = (&container.config.name, container.config.log_driver.word());
            let text = format!("container `{name}` keeps no log: it was made with `--log-driver {driver}`");
            Err(fault(Kind::WrongState, text))
        }
        Driver::Journald => journal::read(container.config.id.as_str(), query, &alive, sink),
        _ => read(&config, query, &alive, sink),
    }
}
