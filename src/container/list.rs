//! `ps`: what each container is and does, in a row.

use super::config::RootSource;
use super::record::{self, Container, Exit, Run, Status};
use crate::base::digest::Digest;
use crate::base::id::ContainerId;
use crate::engine::Engine;
use std::collections::HashSet;

/// A row.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The container.
    pub container: Container,
    /// What it is doing now.
    pub status: Status,
}

impl Summary {
    /// The run under way.
    pub fn run(&self) -> Option<&Run> {
        match &self.status {
            Status::Running(run) => Some(run),
            _ => None,
        }
    }

    /// How often the restart policy has started it.
    pub fn restarts(&self) -> u32 {
        match &self.status {
            Status::Running(run) | Status::Restarting(run) => run.restarts,
            Status::Exited(exit) => exit.restarts,
            Status::Created | Status::Starting => 0,
        }
    }

    /// How the last run ended.
    pub fn exit(&self) -> Option<&Exit> {
        match &self.status {
            Status::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

/// Who has more containers than this has them looked at by several threads.
const MANY: usize = 1000;

/// All containers, newest first, each looked at now. Steps of builds are nobody's containers.
pub fn list(engine: &Engine) -> Vec<Summary> {
    let dirs = &engine.dirs;
    let look = |id: &ContainerId| {
        let container = record::known(dirs, id).filter(|container| !container.config.is_step())?;
        Some(Summary { status: container.status(), container })
    };
    let ids: Vec<ContainerId> = record::ids(dirs).collect();
    let mut rows = if ids.len() < MANY { ids.iter().filter_map(look).collect() } else { at_once(&ids, &look) };
    rows.sort_by_key(|row| std::cmp::Reverse(row.container.config.created));
    rows
}

/// The same by as many threads as there are processors. The process has as many threads afterwards as it had before.
fn at_once<T: Send>(ids: &[ContainerId], look: &(dyn Fn(&ContainerId) -> Option<T> + Sync)) -> Vec<T> {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let before = threads();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let rows = std::thread::scope(|scope| {
        let begin = |part| {
            let work = move || -> Vec<T> { <[ContainerId]>::iter(part).filter_map(look).collect() };
            std::thread::Builder::new().spawn_scoped(scope, work).map_err(|_| part)
        };
        let parts: Vec<_> = ids.chunks(ids.len().div_ceil(processors)).map(begin).collect();
        let rows = |part| match part {
            Ok(thread) => std::thread::ScopedJoinHandle::join(thread).unwrap_or_default(),
            // No more threads for this user.
            Err(part) => <[ContainerId]>::iter(part).filter_map(look).collect(),
        };
        parts.into_iter().flat_map(rows).collect()
    });
    // A thread that was waited for may be on its way out still, and who is not alone cannot join a user namespace.
    while threads() > before {
        std::thread::yield_now();
    }
    rows
}

/// Those of [`list`] that a monitor works on: running, paused, restarting.
pub fn list_alive(engine: &Engine) -> Vec<Summary> {
    let mut alive = super::record::alive(&engine.dirs);
    alive.sort_by_key(|(container, _)| std::cmp::Reverse(container.config.created));
    let alive = alive.into_iter().filter(|(container, _)| !container.config.is_step());
    alive.map(|(container, status)| Summary { container, status }).collect()
}

/// The layers that containers stand on, which garbage collection must leave.
pub fn layers_in_use(engine: &Engine) -> HashSet<Digest> {
    super::all(engine)
        .iter()
        .flat_map(|container| container.config.layers_in_use().cloned().collect::<Vec<_>>())
        .collect()
}

/// The containers made from an image.
pub fn used_by(engine: &Engine, image: &Digest) -> Vec<Container> {
    let from = |container: &Container| matches!(&container.config.root, RootSource::Image { id, .. } if id == image);
    super::all(engine).into_iter().filter(from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_left_out_by_several_threads() {
        alone!();
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        for count in [1, 2, 3, 1001] {
            let ids: Vec<ContainerId> = (0..count).map(|_| ContainerId::random()).collect();
            let found = at_once(&ids, &|id| (id != &ids[0]).then(|| id.clone()));
            assert_eq!(found, ids[1..]);
            assert_eq!(threads(), before);
        }
    }
}
