//! Cache mounts that go from machine to machine: `--cache-mount-to` and `--cache-mount-from`.
//!
//! An artifact in a registry or a layout, with a layer a cache: its files with their owners, as they are in the folder. The
//! artifact's config says whose each is, in the order of the layers:
//!
//! ```json
//! { "version": 1, "mounts": [ { "id": "/root/.cache", "diffID": "sha256:…" } ] }
//! ```
//!
//! A cache that comes from elsewhere fills one that is not there yet, when a step first asks for it; one that is there
//! stays as it is.

use super::cache_mount;
use super::pool::Pool;
use super::progress::Pulling;
use super::shared;
use super::site::Site;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::container;
use crate::dockerfile::mount::Sharing;
use crate::image::{self, Artifact, Keep, Part, write_layer};
use crate::store::{PackOptions, pack};
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The media type of the artifact's config.
const KIND: &str = "application/vnd.box.cachemounts.v1+json";
/// The version of the config.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Config {
    version: u32,
    mounts: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    id: String,
    #[serde(rename = "diffID")]
    diff_id: Digest,
}

/// The caches that an artifact has, or those of them that have one of these ids: each with its layer.
///
/// Errors: [`Kind::BadData`] it is no such artifact.
pub fn listed(artifact: &Artifact, ids: &[String]) -> Result<Vec<(String, Digest, Part)>> {
    if artifact.kind != KIND {
        return Err(fault(Kind::BadData, "it holds no cache mounts"));
    }
    let config: Option<Config> = serde_json::from_slice(&artifact.config).ok();
    let config = config.filter(|config| config.version == VERSION && config.mounts.len() == artifact.layers.len());
    let config = config.ok_or_else(|| fault(Kind::BadData, "its list of cache mounts is damaged"))?;
    let all = config.mounts.into_iter().zip(artifact.layers.iter().cloned());
    let wanted = all.filter(|(row, _)| ids.is_empty() || ids.contains(&row.id));
    Ok(wanted.map(|(row, part)| (row.id, row.diff_id, part)).collect())
}

/// Errors: [`Kind::Usage`] no step uses a cache that `--cache-mount-to` asks for.
pub fn check(site: &Site<'_>) -> Result<()> {
    let mut wanted = site.request.cache_mounts_to.iter().flat_map(|mounts| &mounts.ids);
    let Some(id) = wanted.find(|id| !site.caches.contains(*id)) else { return Ok(()) };
    let fault = Fault::new(Kind::Usage, format!("no step of this build uses the cache `{}`", id.escape_debug()));
    let all: Vec<&str> = site.caches.iter().map(String::as_str).collect();
    Err(fault.hint(format!("the build's caches: {}", all.join(", "))).into())
}

/// Write what `--cache-mount-to` names. Each cache is read while no step writes to it.
pub fn write(site: &Site<'_>, pool: &mut Pool<'_>) -> Result<()> {
    let (engine, access) = (site.engine, &site.request.access);
    for wanted in &site.request.cache_mounts_to {
        let ids = site.caches.iter().filter(|id| wanted.ids.is_empty() || wanted.ids.contains(id));
        let ids: Vec<&String> = ids.filter(|id| cache_mount::folder(&engine.dirs, id).is_dir()).collect();
        shared::export(&wanted.place, "cache mounts", pool, &|place, reporter| {
            let mut mounts = Vec::new();
            for id in &ids {
                reporter.progress(id, 0, None);
                let (folder, _lock) = cache_mount::take(&cache_mount::folder(&engine.dirs, id), Sharing::Locked)?;
                let write = |out: &mut dyn std::io::Write| {
                    pack(&folder, &PackOptions { top: true, ..PackOptions::default() }, out)
                };
                let layer = write_layer(&engine.store, "of a cache", Keep::Packed, write)?;
                mounts.push(Row { id: (*id).clone(), diff_id: layer.diff_id });
            }
            let layers: Vec<Digest> = mounts.iter().map(|row| row.diff_id.clone()).collect();
            let config = serde_json::to_vec(&Config { version: VERSION, mounts })?;
            let make = |_: &[Part]| Ok(config.clone());
            image::write_artifact(&engine.store, place, &layers, KIND, &make, access, &Pulling::new(reporter))
        })?;
        // The layers were made to be sent, and nothing here needs them.
        engine.store.note_garbage();
        container::collect_behind(engine);
    }
    Ok(())
}
