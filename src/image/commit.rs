//! `commit`: an image of what a writer puts into an archive, on top of another or by itself.

use super::Image;
use super::compose::{ManifestFormat, compose};
use super::layer::{Keep, write_layer};
use super::room;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::base::time;
use crate::oci::change;
use crate::oci::image::{DOCUMENT_LIMIT, Platform};
use crate::oci::reference::Reference;
use crate::store::Store;
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;

/// What to make and how.
#[derive(Default)]
pub struct CommitOptions<'a> {
    /// The image that it stands on.
    pub base: Option<&'a Image>,
    /// One layer of everything, instead of one more.
    pub squash: bool,
    /// The name.
    pub name: Option<Reference>,
    /// The `config` part: what the container was run with. Keys of the base that are not in it stay.
    pub settings: Map<String, Value>,
    /// Instructions, see `oci::change`.
    pub changes: &'a [String],
    /// By whom.
    pub author: Option<&'a str>,
    /// A remark for the history.
    pub message: Option<&'a str>,
    /// What the history says was done.
    pub created_by: String,
    /// The manifest's form.
    pub format: ManifestFormat,
    /// How much is about to be written at least; asked on a full disk.
    pub size: Option<&'a dyn Fn() -> u64>,
}

/// Make an image with a layer that `write` writes, in a thread of its own. Returns its id.
///
/// The caller has entered the user's namespace. Errors: those of `write`; nothing is named then.
pub fn commit(
    store: &Store,
    options: &CommitOptions<'_>,
    write: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
) -> Result<Digest> {
    let mut config = config(store, options)?;
    // Before anything is written.
    for instruction in options.changes {
        change::apply(&mut config, instruction)?;
    }
    let _lease = store.lease()?;
    let layer = write_layer(store, "of the container", Keep::Unpacked, write);
    let made = layer.and_then(|layer| {
        let mut layers = match options.base {
            Some(base) if !options.squash => base.layers.clone(),
            _ => Vec::new(),
        };
        layers.push(layer);
        compose(store, config, &layers, options.format, &BTreeMap::new(), options.name.as_ref())
    });
    made.map_err(|error| room::told(error, store.folder(), options.size.map(|size| size())))
}

/// The base's config with the container's settings and one more step of history.
fn config(store: &Store, options: &CommitOptions<'_>) -> Result<Map<String, Value>> {
    let mut config: Map<String, Value> = match options.base {
        Some(base) => serde_json::from_slice(&store.read_blob(&base.id, DOCUMENT_LIMIT)?)
            .map_err(|error| fault(Kind::BadData, format!("config {} is damaged: {error}", base.id)))?,
        None => {
            let host = Platform::host();
            Map::from_iter([("architecture".to_owned(), host.arch.into()), ("os".to_owned(), host.os.into())])
        }
    };
    let now = time::rfc3339(&chrono::Utc::now());
    let mut step = Map::from_iter([
        ("created".to_owned(), now.as_str().into()),
        ("created_by".to_owned(), options.created_by.as_str().into()),
    ]);
    for (key, value) in [("author", options.author), ("comment", options.message)] {
        if let Some(value) = value {
            step.insert(key.to_owned(), value.into());
        }
    }
    let steps = config.entry("history").or_insert_with(|| json!([]));
    if !steps.is_array() || options.squash {
        *steps = json!([]);
    }
    if let Some(steps) = steps.as_array_mut() {
        steps.push(step.into());
    }
    config.insert("created".into(), now.into());
    if let Some(author) = options.author {
        config.insert("author".into(), author.into());
    }
    // docker's remarks about the container that the base was made in: not true of this image.
    for stale in ["container", "container_config", "docker_version", "id", "parent", "moby.buildkit.buildinfo.v1"] {
        config.shift_remove(stale);
    }
    let settings = config.entry("config").or_insert_with(|| json!({}));
    if !settings.is_object() {
        *settings = json!({});
    }
    if let Some(settings) = settings.as_object_mut() {
        for (key, value) in &options.settings {
            match value {
                Value::Null => drop(settings.shift_remove(key)),
                value => drop(settings.insert(key.clone(), value.clone())),
            }
        }
    }
    Ok(config)
}
