//! A container's life: request, config, spec, record, then one verb a file.

mod again;
mod attending;
mod clone;
mod collect;
mod commit;
pub mod config;
mod copy;
mod create;
mod emulation;
pub mod environment;
mod exec;
mod foreign;
mod fuse;
pub mod filter;
mod happened;
pub mod health;
mod host;
mod images;
mod inspect;
pub mod life;
pub mod limits;
mod list;
pub mod logs;
mod migrate;
mod mount;
pub mod mounts;
mod names;
mod network;
mod network_inspect;
mod network_live;
mod networks;
mod owners;
mod passed;
mod prune;
mod publish;
mod pause;
pub mod quota;
pub mod record;
mod remove;
mod rename;
mod requires;
pub mod request;
mod reset;
mod restart;
pub mod rights;
mod root;
pub mod sdnotify;
mod shift;
mod size;
pub mod secrets;
pub mod spec;
mod start;
pub mod stats;
mod stop;
pub mod top;
mod usage;
mod update;
mod view;
mod volume_files;
mod wait;

pub use clone::{CloneRequest, clone};
pub use collect::{collect, collect_behind};
pub use commit::{CommitRequest, commit, export, parse_config};
pub use copy::{CopyOptions, Side, copy, extract, split_path};
pub use create::{create, rehearse};
pub use exec::{ExecRequest, exec};
pub use images::{advise, check, import, load, pull, remove_image};
pub use inspect::inspect;
pub use list::{Summary, layers_in_use, list, list_alive, used_by};
pub use logs::logs;
pub use migrate::migrate;
pub use mount::{Mountable, mount_container, mount_image, mounted, unmount};
pub use names::check as check_name;
pub use network_inspect::inspect_network;
pub use networks::{
    attachments, connect_network, disconnect_network, leases, reload_network, remove_network, users_of,
};
pub use pause::{pause, unpause};
pub use prune::{PruneOptions, Pruned, prune};
pub use record::{Container, Status};
pub use remove::{RemoveOptions, Removing, prepare_removal, remove};
pub use rename::rename;
pub use requires::dependents;
pub use reset::reset;
pub use restart::restart;
pub use size::{Size, size};
pub use start::{Mode, Started, Terminal, attach, init, start};
pub use stop::{StopOptions, Stopping, ask, kill, stop, stopped};
pub use update::{Changes, update};
pub use usage::{ContainerUsage, ImageUsage, Usage, usage};
pub use view::{PLACES, diff, diff_images};
pub use volume_files::{export_volume, import_volume};
pub use wait::{Condition, WaitOptions, wait, wait_any};

use crate::base::error::Fault;
use crate::base::temp::{self, Haste};
use crate::base::timing;
use crate::engine::{Engine, EngineOptions};
use crate::image::Progress;
use anyhow::Result;
use request::Request;
use std::path::PathBuf;

/// Create a container and start it at once: `run`. Returns it with how the start went.
pub fn run(
    engine: &Engine,
    request: Request,
    progress: &dyn Progress,
    mode: Mode,
    terminal: Terminal<'_>,
) -> Result<(Container, Started)> {
    if !request.life.requires.is_empty() {
        let container = create(engine, request, progress)?;
        let started = start(engine, &container, mode, terminal);
        if started.is_err() && container.config.remove && container.dir.exists() {
            remove(engine, &container, RemoveOptions { force: true, ..Default::default() })?;
        }
        return Ok((container, started?));
    }
    let (container, lock) = create::prepare(engine, request, progress)?;
    let result = start::launch(engine, &container, lock, mode, terminal, &["create", "start"]);
    if result.is_err() && container.dir.exists() {
        happened::tell(&engine.dirs, &container, &["create"]);
    }
    let started = result?;
    Ok((container, started))
}

/// The container of a name, id or id prefix.
pub fn find(engine: &Engine, text: &str) -> Result<Container> {
    record::find(&engine.dirs, text)
}

/// All containers, newest first.
pub fn all(engine: &Engine) -> Vec<Container> {
    let mut all = record::all(&engine.dirs);
    all.sort_by_key(|container| std::cmp::Reverse(container.config.created));
    all
}

/// Open the engine and put right what killed processes left. Each command begins with it.
///
/// `warn` is told what the user should know although all goes on.
pub fn open(root: Option<PathBuf>, storage_driver: Option<String>, warn: fn(&Fault)) -> Result<Engine> {
    let options = EngineOptions { root, storage_driver, residents: record::monitors, warn };
    let engine = Engine::open(options)?;
    let become_root = &mut || engine.enter().map(drop);
    if !temp::reap(&engine.dirs, Haste::Soon, become_root)? {
        reap_behind(&engine);
    }
    record::heal(&engine.dirs, become_root)?;
    timing::phase("heal");
    Ok(engine)
}

/// Remove what dead owners left in a process of its own. Should that be killed, the next command begins anew.
fn reap_behind(engine: &Engine) {
    let _ = crate::monitor::fork(|_| {
        let _ = rustix::process::nice(collect::NICE);
        i32::from(temp::reap(&engine.dirs, Haste::AllOfIt, &mut || engine.enter().map(drop)).is_err())
    });
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
