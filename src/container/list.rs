//! `ps`: what each container is and does, in a row.

use super::config::RootSource;
use super::record::{Container, Exit, Run, Status};
use crate::base::digest::Digest;
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

/// All containers, newest first, each looked at now. Steps of builds are nobody's containers.
pub fn list(engine: &Engine) -> Vec<Summary> {
    let summary = |container: Container| Summary { status: container.status(), container };
    super::all(engine).into_iter().filter(|container| !container.config.is_step()).map(summary).collect()
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
