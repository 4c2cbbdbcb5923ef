//! Collecting the store's garbage: now, or behind the user's back.

use super::record::Container;
use crate::base::digest::Digest;
use crate::base::id::ContainerId;
use crate::engine::Engine;
use crate::monitor;
use crate::store::Partials;
use anyhow::Result;
use std::collections::HashSet;

/// How polite a collection is that nobody waits for.
pub(super) const NICE: i32 = 10;

/// Free what no image and no container uses. Returns the bytes freed; `None` while somebody adds content, in which case
/// a later collection finds it.
pub fn collect(engine: &Engine, partials: Partials) -> Result<Option<u64>> {
    engine.enter()?;
    // The containers are looked at while nobody can make one.
    match engine.store.garbage()? {
        Some(garbage) => garbage.collect(&super::layers_in_use(engine), partials).map(Some),
        None => Ok(None),
    }
}

/// What [`collect`] of everything would free once these manifests and containers were gone.
pub fn collectable(engine: &Engine, manifests: &HashSet<Digest>, containers: &HashSet<ContainerId>) -> Result<u64> {
    engine.enter()?;
    let Some(garbage) = engine.store.garbage()? else { return Ok(0) };
    let stays = |container: &Container| !containers.contains(&container.config.id);
    let all = super::all(engine);
    let layers = all.iter().filter(|container| stays(container)).flat_map(|c| c.config.layers().to_vec()).collect();
    garbage.measure(&layers, manifests)
}

/// Collect in a process of its own, if garbage was left. Should it be killed, the next command on images begins anew.
pub fn collect_behind(engine: &Engine) {
    if engine.store.has_garbage() {
        // The connection to it is not kept: nobody waits.
        let _ = monitor::fork(|_| {
            let _ = rustix::process::nice(NICE);
            i32::from(collect(engine, Partials::Old).is_err())
        });
    }
}
