//! `import`: an image of one layer from the archive of a root file system, packed or not.

use super::archive::Inflating;
use super::compose::{ManifestFormat, compose, sniff};
use super::fetch::{FilePieces, NewLayer, Pieces, new_layer, new_plain_layer};
use super::inflate::{PIECE, is_only_read};
use super::{ImageLayer, Progress, incoming, room};
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::base::time;
use crate::oci::change;
use crate::oci::image::Platform;
use crate::oci::reference::Reference;
use crate::registry;
use crate::store::Store;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

/// What to import and how.
#[derive(Debug, Default)]
pub struct ImportOptions<'a> {
    /// A file, a URL, or `-` for standard input.
    pub source: &'a str,
    /// The name.
    pub name: Option<Reference>,
    /// Instructions, see `oci::change`.
    pub changes: &'a [String],
    /// A remark for the history.
    pub message: Option<&'a str>,
    /// What it is made for.
    pub platform: Platform,
}

/// Make an image; returns its id.
///
/// The caller is single-threaded and has entered the user's namespace. Errors: `BadData` for what is no archive;
/// `Usage` for a change that is none. Nothing is named then.
pub fn import(store: &Store, options: &ImportOptions<'_>, progress: &dyn Progress) -> Result<Digest> {
    let shown = if options.source == "-" { "standard input" } else { options.source };
    let deed = || format!("cannot import `{}`", shown.escape_debug());
    let mut config = config(options);
    // Before anything is read.
    for instruction in options.changes {
        change::apply(&mut config, instruction)?;
    }
    let _lease = store.lease()?;
    let size = std::fs::metadata(options.source).ok().filter(|meta| meta.is_file()).map(|meta| meta.len());
    read(store, options.source, progress)
        .and_then(|layer| {
            compose(store, config, &[layer], ManifestFormat::Oci, &BTreeMap::new(), options.name.as_ref())
        })
        .map_err(|error| room::told(error, store.folder(), size))
        .with_context(deed)
}

fn read(store: &Store, source: &str, progress: &dyn Progress) -> Result<ImageLayer> {
    let pieces: Box<dyn Pieces + Send> = if source == "-" {
        Box::new(FilePieces(File::from(rustix::io::dup(std::io::stdin())?)))
    } else if registry::is_url(source) {
        progress.message(&format!("Downloading {source}"));
        Box::new(incoming::from_url(source)?)
    } else {
        Box::new(FilePieces(File::open(source)?))
    };
    let layer = keep(store, pieces)?;
    let media_type = sniff(store, &layer.digest)?.to_string();
    Ok(ImageLayer { diff_id: layer.diff_id, digest: layer.digest, size: layer.size, media_type })
}

/// Keep the archive as a layer, as it came; or unpacked, if it is packed as no registry would take it.
fn keep(store: &Store, mut pieces: Box<dyn Pieces + Send>) -> Result<NewLayer> {
    let name = "of the archive";
    let mut start = Vec::new();
    while start.len() < 4
        && let Some(piece) = pieces.next()?
    {
        start.extend(piece);
    }
    let is_unpacked = is_only_read(&start);
    let whole = Rejoined { start, rest: pieces };
    match is_unpacked {
        true => new_plain_layer(store, name, Box::new(Unpacked(Inflating::new(whole)))),
        false => new_layer(store, name, Box::new(whole), &|_| {}),
    }
}

/// Pieces of which the first was looked at.
struct Rejoined {
    start: Vec<u8>,
    rest: Box<dyn Pieces + Send>,
}

impl Pieces for Rejoined {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if self.start.is_empty() { self.rest.next() } else { Ok(Some(std::mem::take(&mut self.start))) }
    }
}

impl Read for Rejoined {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start.is_empty() {
            self.start = self.rest.next().map_err(|error| io::Error::other(format!("{error:#}")))?.unwrap_or_default();
        }
        let count = self.start.as_slice().read(out)?;
        self.start.drain(..count);
        Ok(count)
    }
}

/// Unpacked pieces of what is read.
struct Unpacked(Inflating<Rejoined>);

impl Pieces for Unpacked {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut piece = Vec::with_capacity(PIECE);
        (&mut self.0)
            .take(PIECE as u64)
            .read_to_end(&mut piece)
            .map_err(|error| fault(Kind::BadData, error.to_string()))?;
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

fn config(options: &ImportOptions<'_>) -> Map<String, Value> {
    let now = time::rfc3339(&chrono::Utc::now());
    let mut step = json!({ "created": now, "created_by": format!("import {}", options.source) });
    if let (Some(message), Some(step)) = (options.message, step.as_object_mut()) {
        step.insert("comment".into(), message.into());
    }
    let mut config = Map::from_iter([
        ("created".to_owned(), now.into()),
        ("architecture".to_owned(), options.platform.arch.as_str().into()),
        ("os".to_owned(), options.platform.os.as_str().into()),
    ]);
    config.extend(options.platform.variant.as_deref().map(|variant| ("variant".to_owned(), variant.into())));
    config.insert("config".into(), json!({}));
    config.insert("history".into(), json!([step]));
    config
}
