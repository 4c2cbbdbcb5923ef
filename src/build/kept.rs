//! What builds have left for later ones: results of steps, and the folders of cache mounts. Listing it, and letting go.

use crate::base::digest::Digest;
use crate::base::fs::remove_tree;
use crate::base::lock::{Lock, Share};
use crate::container;
use crate::engine::Engine;
use crate::store::{Partials, disk_usage};
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The kind of cache mounts, as buildx calls it.
const MOUNT: &str = "exec.cachemount";

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The digits of its key.
    pub id: String,
    /// `regular`, `source.local` or `exec.cachemount`.
    pub kind: String,
    /// The step that made it, as it was shown.
    pub description: String,
    /// Bytes that it takes.
    pub size: u64,
    /// When it was made, nanoseconds since 1970.
    pub created: i64,
    /// When it was used last, nanoseconds since 1970.
    pub used: i64,
    /// An image, a container or another key has its layer, too: letting it go frees nothing.
    pub shared: bool,
}

/// What is to go.
#[derive(Default)]
pub struct PruneKept<'a> {
    /// Of those that these fit.
    pub fits: Option<&'a dyn Fn(&Kept) -> bool>,
    /// Those that were used last stay, as long as they take no more than this together.
    pub keep_bytes: Option<u64>,
    /// No more go when so many bytes are free on the disk.
    pub free_bytes: Option<u64>,
}

/// All that is kept, what was used last first. Enters the user's namespace if there are cache mounts, to see how large they
/// are.
pub fn entries(engine: &Engine) -> Result<Vec<Kept>> {
    let layers = layers_of_others(engine)?;
    let mut results = engine.store.results();
    results.sort_by_key(|kept| std::cmp::Reverse(kept.used));
    let mut seen = HashSet::new();
    let result = |kept: crate::store::KeptResult| {
        // A step may be known by several keys: its layer counts once.
        let layer = kept.result.layer.as_ref();
        let again = layer.is_some_and(|layer| !seen.insert(layer.clone()));
        Kept {
            shared: again || layer.is_some_and(|layer| layers.contains(layer)),
            id: kept.key.digits().to_owned(),
            kind: kept.result.kind,
            size: if again { 0 } else { kept.result.size },
            description: kept.result.name,
            created: kept.result.created,
            used: nanos(kept.used),
        }
    };
    let mut all: Vec<Kept> = results.into_iter().map(result).collect();
    for path in mounts(engine) {
        engine.enter()?;
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let size = disk_usage(&path).with_context(|| format!("cannot look at `{}`", path.display()))?;
        let (created, used) = (meta.created().map_or(0, nanos), meta.modified().map_or(0, nanos));
        let description = "cache mount".to_owned();
        all.push(Kept { id, kind: MOUNT.to_owned(), description, size, created, used, shared: false });
    }
    all.sort_by(|a, b| (b.used, &a.id).cmp(&(a.used, &b.id)));
    Ok(all)
}

/// Let go of what fits, what was used longest ago first; what a build works on stays. What went comes back.
pub fn prune(engine: &Engine, options: &PruneKept<'_>) -> Result<Vec<Kept>> {
    let all = entries(engine)?;
    let mut total: u64 = all.iter().map(|kept| kept.size).sum();
    let mut gone = Vec::new();
    for kept in all.into_iter().rev() {
        let enough = options.keep_bytes.is_some_and(|most| total <= most)
            || options.free_bytes.is_some_and(|least| free(engine).is_ok_and(|free| free >= least));
        if enough {
            break;
        }
        if options.fits.is_some_and(|fits| !fits(&kept)) || !forget(engine, &kept)? {
            continue;
        }
        total -= kept.size;
        gone.push(kept);
        if options.free_bytes.is_some() {
            container::collect(engine, Partials::Old)?;
        }
    }
    if !gone.is_empty() {
        // `None` while a build adds content: a later collection finds it.
        container::collect(engine, Partials::Old)?;
    }
    Ok(gone)
}

fn forget(engine: &Engine, kept: &Kept) -> Result<bool> {
    if kept.kind != MOUNT {
        let key = Digest::parse(&format!("sha256:{}", kept.id)).context("a result has no key")?;
        return engine.store.forget_result(&key);
    }
    let folder = folder(engine).join(&kept.id);
    let lock_path = PathBuf::from(match kept.id.contains(".private.") {
        true => format!("{}.lock", folder.display()),
        false => folder.with_extension("lock").display().to_string(),
    });
    let Some(_lock) = Lock::try_acquire(&lock_path, Share::Exclusive)? else { return Ok(false) };
    engine.enter()?;
    remove_tree(&folder)?;
    let _ = std::fs::remove_file(&lock_path);
    Ok(true)
}

fn folder(engine: &Engine) -> PathBuf {
    engine.dirs.data.join("caches")
}

/// The folders of cache mounts.
fn mounts(engine: &Engine) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(engine)).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// The layers that are in use but for what is kept here.
fn layers_of_others(engine: &Engine) -> Result<HashSet<Digest>> {
    let images = crate::image::list(&engine.store)?;
    let of_images = images.iter().flat_map(|image| image.layers.iter().map(|layer| layer.diff_id.clone()));
    let containers = container::all(engine);
    let of_containers = containers.iter().flat_map(|container| container.config.layers().to_vec());
    Ok(of_images.chain(of_containers).collect())
}

fn free(engine: &Engine) -> Result<u64> {
    let stat = rustix::fs::statvfs(Path::new(&engine.dirs.data))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
