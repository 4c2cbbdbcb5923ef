//! The config of an image: what its maker wants to run and how it was made.
//!
//! Every text in it is tainted: it is checked by whoever gives it a meaning. Fields that the specification does not
//! have but docker does (Healthcheck, OnBuild, Shell, StopTimeout) are kept.
//! <https://github.com/opencontainers/image-spec/blob/main/config.md>

pub use super::json::DOCUMENT_LIMIT;
pub use super::manifest::{Descriptor, Document, Index, Manifest, Packing};
pub use super::platform::Platform;

use super::json;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use anyhow::Result;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A parsed image config.
#[derive(Debug, Clone, Default)]
pub struct ImageConfig {
    /// `NAME=value`, as written.
    pub env: Vec<String>,
    /// The command's first words.
    pub entrypoint: Option<Vec<String>>,
    /// The command's further words, or the command.
    pub cmd: Option<Vec<String>>,
    /// `user[:group]`, names or numbers; empty is root.
    pub user: String,
    /// Where the command starts; empty is `/`.
    pub working_dir: String,
    /// `80/tcp`, `53/udp`, sorted.
    pub exposed_ports: Vec<String>,
    /// Paths that get a volume, sorted.
    pub volumes: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// A signal's name or number.
    pub stop_signal: Option<String>,
    /// Seconds before it is killed.
    pub stop_timeout: Option<u64>,
    /// When it was made, RFC 3339, as written.
    pub created: Option<String>,
    /// By whom.
    pub author: Option<String>,
    /// The processor, in Go's words.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// The processor's variant.
    pub variant: Option<String>,
    /// The digests of the layers' tar archives, lowest first.
    pub diff_ids: Vec<Digest>,
    /// How each layer was made.
    pub history: Vec<History>,
    /// docker's health check, as written.
    pub healthcheck: Option<Value>,
    /// Commands for builds on top of this image.
    pub on_build: Vec<String>,
    /// The shell of commands that are texts.
    pub shell: Option<Vec<String>>,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// When, RFC 3339, as written.
    pub created: Option<String>,
    /// The command.
    pub created_by: Option<String>,
    /// A remark.
    pub comment: Option<String>,
    /// By whom.
    pub author: Option<String>,
    /// Whether it made no layer.
    pub empty_layer: bool,
}

impl ImageConfig {
    /// Parse a config blob. Errors ([`Kind::BadData`]): damaged documents, fields of another type.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let map = json::object(bytes)?;
        json::exact_case(&map, &["architecture", "os", "rootfs", "config", "history"])?;
        let none = Map::new();
        let config = json::map(&map, "config")?.unwrap_or(&none);
        let rootfs = json::map(&map, "rootfs")?.ok_or_else(|| fault(Kind::BadData, "it has no `rootfs`"))?;
        json::exact_case(rootfs, &["type", "diff_ids"])?;
        let diff_ids = json::texts(rootfs, "diff_ids")?.unwrap_or_default();
        Ok(Self {
            env: json::texts(config, "Env")?.unwrap_or_default(),
            entrypoint: words(config, "Entrypoint")?,
            cmd: words(config, "Cmd")?,
            user: json::text(config, "User")?.unwrap_or_default(),
            working_dir: json::text(config, "WorkingDir")?.unwrap_or_default(),
            exposed_ports: keys(config, "ExposedPorts")?,
            volumes: keys(config, "Volumes")?,
            labels: labels(config)?,
            stop_signal: json::text(config, "StopSignal")?.filter(|signal| !signal.is_empty()),
            stop_timeout: json::number(config, "StopTimeout")?,
            created: json::text(&map, "created")?,
            author: json::text(&map, "author")?,
            architecture: json::text(&map, "architecture")?.unwrap_or_default(),
            os: json::text(&map, "os")?.unwrap_or_default(),
            variant: json::text(&map, "variant")?.filter(|variant| !variant.is_empty()),
            diff_ids: diff_ids.iter().map(|text| json::parse_digest(text)).collect::<Result<_>>()?,
            history: history(&map)?,
            healthcheck: config.get("Healthcheck").filter(|value| value.is_object()).cloned(),
            on_build: json::texts(config, "OnBuild")?.unwrap_or_default(),
            shell: words(config, "Shell")?,
        })
    }

    /// The platform that it says it is for.
    pub fn platform(&self) -> Platform {
        Platform { os: self.os.clone(), arch: self.architecture.clone(), variant: self.variant.clone() }
    }

    /// Seconds since 1970 of `created`, if it is a time.
    pub fn created_unix(&self) -> Option<i64> {
        chrono::DateTime::parse_from_rfc3339(self.created.as_deref()?).ok().map(|time| time.timestamp())
    }
}

/// A command as a list; old images have one text.
fn words(map: &Map<String, Value>, key: &str) -> Result<Option<Vec<String>>> {
    match map.get(key) {
        Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
        _ => Ok(json::texts(map, key)?.filter(|words| !words.is_empty())),
    }
}

/// The keys of an object whose values say nothing, sorted.
fn keys(map: &Map<String, Value>, key: &str) -> Result<Vec<String>> {
    let mut keys: Vec<String> = json::map(map, key)?.map(|map| map.keys().cloned().collect()).unwrap_or_default();
    keys.sort();
    Ok(keys)
}

fn labels(map: &Map<String, Value>) -> Result<BTreeMap<String, String>> {
    let Some(map) = json::map(map, "Labels")? else { return Ok(BTreeMap::new()) };
    let pairs = map.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    pairs.collect::<Option<_>>().ok_or_else(|| fault(Kind::BadData, "a label is not text"))
}

fn history(map: &Map<String, Value>) -> Result<Vec<History>> {
    let steps = json::list(map, "history")?.unwrap_or_default();
    steps
        .iter()
        .map(|step| {
            let step =
                step.as_object().ok_or_else(|| fault(Kind::BadData, "a step of its history is not an object"))?;
            Ok(History {
                created: json::text(step, "created")?,
                created_by: json::text(step, "created_by")?,
                comment: json::text(step, "comment")?,
                author: json::text(step, "author")?,
                empty_layer: step.get("empty_layer").and_then(Value::as_bool).unwrap_or(false),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_of_docker() {
        let config = ImageConfig::parse(
            br#"{"architecture":"amd64","os":"linux","created":"2024-09-06T22:20:07Z","container_config":{"Env":null},
            "config":{"Hostname":"","Env":["PATH=/bin","A=b=c"],"Cmd":["sh"],"Entrypoint":null,"Volumes":{"/b":{},"/a":{}},
            "ExposedPorts":{"80/tcp":{}},"Labels":{"a":"1","A":"2"},"OnBuild":null,"StopSignal":"SIGQUIT","StopTimeout":3,
            "Healthcheck":{"Test":["CMD","true"]},"Shell":["/bin/bash","-c"],"User":"1:2","WorkingDir":"/x"},
            "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
            "history":[{"created_by":"/bin/sh","empty_layer":true},{}]}"#,
        )
        .unwrap();
        assert_eq!(config.env, ["PATH=/bin", "A=b=c"]);
        assert_eq!((config.entrypoint.clone(), config.cmd.clone()), (None, Some(vec!["sh".to_owned()])));
        assert_eq!(config.volumes, ["/a", "/b"]);
        assert_eq!(config.labels.len(), 2);
        assert_eq!(config.stop_timeout, Some(3));
        assert_eq!(config.created_unix(), Some(1_725_661_207));
        assert!(config.healthcheck.is_some() && config.shell.is_some());
        assert!(config.history[0].empty_layer && config.history.len() == 2);
        assert_eq!(config.platform().to_string(), "linux/amd64");
    }

    #[test]
    fn damaged_configs() {
        for text in [
            "{}",
            r#"{"rootfs":{"diff_ids":["sha256:x"]}}"#,
            r#"{"rootfs":{"diff_ids":[1]}}"#,
            r#"{"rootfs":{"diff_ids":[]},"config":{"Env":[1]}}"#,
            r#"{"rootfs":{"diff_ids":[]},"config":{"Env":"x"}}"#,
            r#"{"rootfs":{"diff_ids":[]},"config":{"StopTimeout":-1}}"#,
            r#"{"rootfs":{"diff_ids":[]},"config":{"Labels":{"a":1}}}"#,
            r#"{"rootfs":{"diff_ids":[]},"config":[]}"#,
            r#"{"rootfs":{"diff_ids":[]},"history":[1]}"#,
            r#"{"rootfs":{"diff_ids":[]},"Rootfs":{"diff_ids":[]}}"#,
        ] {
            assert!(ImageConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(ImageConfig::parse(br#"{"rootfs":{"diff_ids":null},"config":null}"#).is_ok());
    }
}
