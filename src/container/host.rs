//! What starting needs to know of the host: ids, limits, files that are bound into the container.

use super::config::Config;
use super::mounts::Lent;
use super::network;
use super::rights::idmap::Available;
use super::spec::Host;
use crate::engine::Engine;
use crate::rootless::Ids;
use crate::runtime::defaults;
use anyhow::Result;
use rustix::process::{Resource, getrlimit};
use std::path::{Path, PathBuf};

/// Ask this process's namespace for its ids. In U0.
pub fn ids(engine: &Engine) -> Result<Available> {
    let caller = engine.caller();
    let subordinate = match engine.ids()? {
        Ids::Single(_) => 0,
        Ids::Full => mapped("/proc/self/uid_map").saturating_sub(1),
        Ids::Root => 65536,
    };
    Ok(Available { caller, subordinate })
}

/// How many ids a map file maps.
fn mapped(file: &str) -> u32 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u32>().ok()).fold(0, u32::saturating_add)
}

/// Everything that the specification needs.
pub fn facts(engine: &Engine, dir: &Path, config: &Config, lent: Lent) -> Result<Host> {
    let ids = ids(engine)?;
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20).min(1 << 20);
    let devices = if config.privileged { super::rights::devices::all() } else { Vec::new() };
    // The files of a mapped container are named from its folder, where its start begins.
    let own = if super::rights::is_mapped(config) { PathBuf::new() } else { dir.to_path_buf() };
    Ok(Host {
        files: network::files_dir(engine, &own, config),
        dir: own,
        network: network::namespace(engine, config)?,
        masked: if config.privileged { Vec::new() } else { defaults::masked_paths() },
        mqueue: config.ipc.is_host() && Path::new("/dev/mqueue").is_dir(),
        open_files: limit,
        tty_group: ids.subordinate >= 5,
        lent,
        devices,
        rights: super::rights::facts(engine, config)?,
    })
}
