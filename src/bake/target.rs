//! A target of bake: what one build is asked for.

use super::eval::text_of;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A target; what is not set is as for `build` without the option. Serialized, it is what `bake --print` shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Target {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// `--build-context`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, String>,
    /// `-f`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The Dockerfile's text itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    /// `--build-arg`; `None` takes a default away.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, Option<String>>,
    /// `--label`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Option<String>>,
    /// `-t`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `--cache-from`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<String>,
    /// `--cache-to`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_to: Vec<String>,
    /// `--target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `--secret`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<String>,
    /// `--ssh`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<String>,
    /// `--platform`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// `--output`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
    /// `--pull`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<bool>,
    /// `--no-cache`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_cache: Option<bool>,
    /// `--no-cache-filter`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_cache_filter: Vec<String>,
    /// `--network`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// `--shm-size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
    /// `--ulimit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<String>,
    /// `--add-host`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_hosts: BTreeMap<String, String>,
    /// `--annotation`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<String>,
    /// `--attest`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attest: Vec<String>,
    /// `--allow`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    /// `--call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

/// The attributes that a target has.
pub(super) const KEYS: &[&str] = &[
    "annotations",
    "args",
    "attest",
    "cache-from",
    "cache-to",
    "call",
    "context",
    "contexts",
    "description",
    "dockerfile",
    "dockerfile-inline",
    "entitlements",
    "extra-hosts",
    "labels",
    "network",
    "no-cache",
    "no-cache-filter",
    "output",
    "platforms",
    "pull",
    "secret",
    "shm-size",
    "ssh",
    "tags",
    "target",
    "ulimits",
];

impl Target {
    /// Put an attribute's value over what is there: maps and what adds up are joined, all else is replaced.
    pub(super) fn set(&mut self, key: &str, value: &Value) -> Result<()> {
        let one = || (!value.is_null()).then(|| text_of(value)).transpose();
        match key {
            "description" => self.description = one()?,
            "context" => self.context = one()?,
            "dockerfile" => self.dockerfile = one()?,
            "dockerfile-inline" => self.dockerfile_inline = one()?,
            "target" => self.target = one()?,
            "network" => self.network = one()?,
            "shm-size" => self.shm_size = one()?,
            "call" => self.call = one()?,
            "pull" => self.pull = bool_or_null(value)?,
            "no-cache" => self.no_cache = bool_or_null(value)?,
            "args" => self.args.extend(map(value)?),
            "labels" => self.labels.extend(map(value)?),
            "contexts" => self.contexts.extend(map(value)?.into_iter().filter_map(|(key, value)| Some((key, value?)))),
            "extra-hosts" => {
                self.extra_hosts.extend(map(value)?.into_iter().filter_map(|(key, value)| Some((key, value?))));
            }
            "tags" => self.tags = list(value)?,
            "platforms" => self.platforms = list(value)?,
            "output" => self.output = list(value)?,
            "cache-to" => self.cache_to = list(value)?,
            "no-cache-filter" => self.no_cache_filter = list(value)?,
            "cache-from" => join(&mut self.cache_from, list(value)?),
            "secret" => join(&mut self.secret, list(value)?),
            "ssh" => join(&mut self.ssh, list(value)?),
            "annotations" => join(&mut self.annotations, list(value)?),
            "attest" => join(&mut self.attest, list(value)?),
            "entitlements" => join(&mut self.entitlements, list(value)?),
            "ulimits" => join(&mut self.ulimits, list(value)?),
            _ => bail!("a target has no attribute `{key}`"),
        }
        Ok(())
    }

    /// `--set`: a key below the target, and its value. A list is replaced by the first and grows with the next.
    pub(super) fn override_with(&mut self, key: &str, value: &str, first: bool, append: bool) -> Result<()> {
        let (key, name) = key.split_once('.').map_or((key, None), |(key, name)| (key, Some(name)));
        let text = Value::from(value);
        let key = match key {
            "platform" => "platforms",
            "secrets" => "secret",
            "outputs" => "output",
            "annotation" => "annotations",
            "extra-host" => "extra-hosts",
            key => key,
        };
        if ["args", "labels", "contexts", "extra-hosts"].contains(&key) {
            let name = name.with_context(|| format!("`{key}` needs a name: {key}.NAME=VALUE"))?;
            return self.set(key, &serde_json::json!({ name: text }));
        }
        if let Some(name) = name {
            bail!("`{key}` has no `{name}` in it");
        }
        match key {
            "push" | "load" => {
                if super::eval::bool_of(&text)? {
                    self.output = vec![if key == "push" { "type=registry" } else { "type=docker" }.to_owned()];
                }
                Ok(())
            }
            "pull" | "no-cache" => self.set(key, &text),
            _ => match self.list_mut(key) {
                Some(list) => {
                    if first && !append {
                        list.clear();
                    }
                    list.push(value.to_owned());
                    Ok(())
                }
                None => self.set(key, &text),
            },
        }
    }

    fn list_mut(&mut self, key: &str) -> Option<&mut Vec<String>> {
        Some(match key {
            "tags" => &mut self.tags,
            "platforms" => &mut self.platforms,
            "output" => &mut self.output,
            "cache-to" => &mut self.cache_to,
            "cache-from" => &mut self.cache_from,
            "no-cache-filter" => &mut self.no_cache_filter,
            "secret" => &mut self.secret,
            "ssh" => &mut self.ssh,
            "annotations" => &mut self.annotations,
            "attest" => &mut self.attest,
            "entitlements" => &mut self.entitlements,
            "ulimits" => &mut self.ulimits,
            _ => return None,
        })
    }
}

fn join(own: &mut Vec<String>, more: Vec<String>) {
    for item in more {
        if !own.contains(&item) {
            own.push(item);
        }
    }
}

fn bool_or_null(value: &Value) -> Result<Option<bool>> {
    (!value.is_null()).then(|| super::eval::bool_of(value)).transpose()
}

/// Texts; an object among them is as its fields, `key=value,…`, and null is nothing.
fn list(value: &Value) -> Result<Vec<String>> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let item = |item: &Value| match item {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok(format!("{key}={}", text_of(value)?)));
            let fields = fields.collect::<Result<Vec<String>>>()?;
            Ok(crate::dockerfile::csv::line(fields.iter().map(String::as_str)))
        }
        other => text_of(other),
    };
    items.iter().filter(|item| !item.is_null()).map(item).collect()
}

/// Names with values; null is a name without one.
fn map(value: &Value) -> Result<BTreeMap<String, Option<String>>> {
    let pair =
        |(key, value): (&String, &Value)| Ok((key.clone(), (!value.is_null()).then(|| text_of(value)).transpose()?));
    match value {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(fields) => fields.iter().map(pair).collect(),
        other => bail!("`{other}` is no map"),
    }
}

impl Target {
    /// Put another target's attributes over this one's, as an heir does with its parents in their order.
    pub(super) fn inherit(&mut self, parent: Self) {
        let Value::Object(attributes) = serde_json::to_value(parent).unwrap_or_default() else { return };
        for (key, value) in &attributes {
            // What a target holds is what `set` has made: it takes it again.
            let _ = self.set(key, value);
        }
    }
}
