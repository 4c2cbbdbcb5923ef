//! Health: the results of a container's check, as kept on disk.

use super::record::Container;
use crate::base::fs::read_limited;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is known of a container's health: `containers/<id>/health.json`, replaced at each check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub streak: u32,
    /// The last results, oldest first.
    pub log: Vec<Checked>,
}

/// The result of one check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When it began, in nanoseconds since 1970.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// The command's code; -1 if it could not be run or took too long.
    pub code: i32,
    /// What it printed, cut.
    pub output: String,
}

/// More than the file ever holds.
const LIMIT: u64 = 16 << 20;

impl Container {
    pub(super) fn health_path(&self) -> PathBuf {
        self.dir.join("health.json")
    }
}

/// The health of a container: `starting` before the first result.
pub fn read(container: &Container) -> Health {
    let bytes = read_limited(&container.health_path(), LIMIT).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| Health { status: "starting".to_owned(), ..Health::default() })
}

/// The word for it.
pub fn status(container: &Container) -> &'static str {
    match read(container).status.as_str() {
        "healthy" => "healthy",
        "unhealthy" => "unhealthy",
        _ => "starting",
    }
}
