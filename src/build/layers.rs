//! The layers of steps in the store: unpacked when files are wanted, packed when an image is.

use super::tree::{Tree, own_mounts};
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::base::temp::TempDir;
use crate::engine::Engine;
use crate::image::{ImageLayer, Keep, write_layer};
use crate::monitor;
use crate::store::{ChangeKind, PackOptions, Store, changes_between, pack};
use anyhow::Result;
use oci_spec::image::MediaType;
use std::collections::BTreeSet;
use std::io::Write;

/// Unpack behind the user's back what no step has read: a container that comes first does it itself.
pub fn unpack_behind(engine: &Engine, layers: &[Digest]) {
    let store = &engine.store;
    if layers.iter().all(|layer| store.has_layer(layer)) {
        return;
    }
    // The connection to it is not kept: nobody waits.
    let _ = monitor::fork(|_| {
        let unpack = || store.lease().and_then(|_lease| store.unpack_kept(layers));
        i32::from(unpack().is_err())
    });
}

/// Pack what is there only unpacked: what an image says of a layer.
pub fn pack_up(store: &Store, layer: &Digest) -> Result<ImageLayer> {
    let media_type = MediaType::ImageLayer.to_string();
    let described = |size: u64| ImageLayer { diff_id: layer.clone(), digest: layer.clone(), size, media_type };
    if let Ok(file) = store.open_blob(layer) {
        return Ok(described(file.metadata()?.len()));
    }
    let mut writer = store.blob_writer()?;
    let options = PackOptions { top: true, whiteouts: true, ..PackOptions::default() };
    pack(&store.layer_path(layer), &options, &mut std::io::BufWriter::with_capacity(256 << 10, &mut writer))?;
    writer.flush()?;
    let size = writer.size();
    writer
        .finish(layer, Some(size))
        .map_err(|error| fault(Kind::BadData, format!("layer `{layer}` is not what it was: {error:#}")))?;
    Ok(described(size))
}

/// The files of layers, to be looked at in a worker: mounted below `temp`, in a mount namespace of its own.
pub fn own_tree(engine: &Engine, layers: &[Digest], temp: &TempDir) -> Result<Tree> {
    engine.store.unpack_kept(layers)?;
    own_mounts()?;
    Tree::layers(&engine.store, layers, temp, "image")
}

/// All layers but the first `kept` as one. In a worker.
pub fn squash(engine: &Engine, layers: &[Digest], kept: usize) -> Result<ImageLayer> {
    let store = &engine.store;
    store.unpack_kept(layers)?;
    let temp = TempDir::new(&engine.dirs)?;
    own_mounts()?;
    let below = Tree::layers(store, layers.get(..kept).unwrap_or_default(), &temp, "below")?;
    let all = Tree::layers(store, layers, &temp, "all")?;
    let path = |path: Vec<u8>| path.strip_prefix(b"/").map(<[u8]>::to_vec).unwrap_or_default();
    let (gone, changed): (Vec<_>, Vec<_>) =
        changes_between(&below.path, &all.path)?.into_iter().partition(|change| change.kind == ChangeKind::Deleted);
    let gone: Vec<Vec<u8>> = gone.into_iter().map(|change| path(change.path)).collect();
    let changed: BTreeSet<Vec<u8>> = changed.into_iter().map(|change| path(change.path)).collect();
    write_layer(store, "of all steps", Keep::Unpacked, |out| {
        let skip = |path: &[u8]| !changed.contains(path);
        pack(&all.path, &PackOptions { skip: &skip, deleted: &gone, ..PackOptions::default() }, out)
    })
}
