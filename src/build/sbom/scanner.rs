//! A scanner that is an image: it is run with the files of what was built, which it cannot change, and writes what it
//! finds. <https://github.com/moby/buildkit/blob/master/docs/attestations/sbom-protocol.md>

use super::super::layers::own_tree;
use super::super::run::execute;
use super::LIMIT;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault, kind};
use crate::base::temp::TempDir;
use crate::container::mounts::{Mount, Source as MountSource};
use crate::container::request::{LogDriver, PullPolicy, Request, Source};
use crate::engine::Engine;
use crate::image;
use crate::oci::image::{DOCUMENT_LIMIT, ImageConfig};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// Where the scanner finds the files; the last part is what it calls them.
const FROM: &str = "/run/src/core/sbom";
/// Where it writes.
const TO: &str = "/run/out";
/// What its documents end with.
const SUFFIX: &str = ".spdx.json";

/// Run the scanner, an image that is here, over these layers: all SPDX documents that it writes. In a worker. `run` has
/// the build's network and limits.
///
/// Errors: the scanner fails or writes nothing; [`Kind::BadData`] what it writes is no SPDX.
pub fn scan(engine: &Engine, scanner: &str, layers: &[Digest], run: &Request) -> Result<Vec<Value>> {
    let store = &engine.store;
    let temp = TempDir::new(&engine.dirs)?;
    let image = image::find(store, scanner)?.ok_or_else(|| image::missing(store, scanner))?;
    let config = ImageConfig::parse(&store.read_blob(&image.id, DOCUMENT_LIMIT)?)?;
    let tree = own_tree(engine, layers, &temp)?;
    let (changes, out) = (temp.path().join("changes"), temp.path().join("out"));
    for folder in [&changes, &out] {
        std::fs::create_dir(folder).context("cannot make a folder")?;
    }
    let mut from = Mount::new(MountSource::Bind { source: tree.path.clone() }, FROM);
    from.options.read_only = true;
    let layers: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    store.unpack_kept(&layers)?;
    let mut request = Request { source: Source::Layers { layers, folder: changes }, ..run.clone() };
    request.entrypoint = Some(Vec::new());
    request.command = [config.entrypoint, config.cmd].into_iter().flatten().flatten().collect();
    request.env = config.env;
    request.env.extend([format!("BUILDKIT_SCAN_SOURCE={FROM}"), format!("BUILDKIT_SCAN_DESTINATION={TO}/")]);
    request.workdir = Some(config.working_dir).filter(|folder| !folder.is_empty());
    request.user = Some(config.user).filter(|user| !user.is_empty());
    request.mounts.extend([from, Mount::new(MountSource::Bind { source: out.clone() }, TO)]);
    (request.remove, request.quiet) = (true, true);
    (request.pull, request.log_driver) = (PullPolicy::Never, LogDriver::None);
    // The code of the scanner's own end is not the build's.
    execute(engine, request).map_err(|error| match kind(&error) {
        Kind::CommandFailed(_) => fault(Kind::Other, format!("the scanner `{scanner}` failed: {error:#}")),
        _ => error.context(format!("cannot run the scanner `{scanner}`")),
    })?;
    documents(&out)
}

/// What the scanner has written: statements, or documents without one around them.
fn documents(folder: &Path) -> Result<Vec<Value>> {
    let folder_of = std::fs::read_dir(folder).context("cannot look for the scanner's documents")?;
    let mut paths: Vec<_> = folder_of.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(SUFFIX));
    paths.sort();
    if paths.is_empty() {
        return Err(fault(Kind::BadData, format!("the scanner wrote no `*{SUFFIX}` into `{TO}`")));
    }
    let document = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bad = || fault(Kind::BadData, format!("the scanner's `{}` is no SPDX document", name.escape_debug()));
        // The scanner may have left a link to anywhere.
        let is_file = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
        let bytes = if is_file { crate::base::fs::read_limited(path, LIMIT)? } else { return Err(bad()) };
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        let predicate = value.get("predicate").filter(|_| value.get("predicateType").is_some()).cloned();
        let spdx = predicate.unwrap_or(value);
        spdx.get("spdxVersion").is_some().then_some(spdx.clone()).ok_or_else(bad)
    };
    paths.iter().map(document).collect()
}
