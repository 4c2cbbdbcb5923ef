//! How much a container has written, and how large what it stands on is.

use super::record::Container;
use crate::engine::Engine;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Sizes in bytes, as the files say (not as the disk allots).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// What the container has written.
    pub written: u64,
    /// What its image's layers hold.
    pub image: u64,
}

/// The sizes of a container. Its files may belong to subordinate ids, so this joins the user's namespace.
pub fn size(engine: &Engine, container: &Container) -> Size {
    let _ = engine.enter();
    let image = container.config.layers().iter().map(|layer| tree(&engine.store.layer_path(layer))).sum();
    let own = container.dir.join("rootfs");
    // The copy driver's root holds the image's files, too.
    let written = if own.exists() {
        tree(&own).saturating_sub(image)
    } else {
        tree(&super::quota::changes_from_here(container).join("upper"))
    };
    Size { written, image }
}

/// The bytes of all files below a folder; links are not followed.
fn tree(folder: &Path) -> u64 {
    let mut total = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        match metadata.is_dir() {
            true => total += tree(&entry.path()),
            false if metadata.is_file() => total += metadata.size(),
            false => {}
        }
    }
    total
}
