//! A store that cannot be broken: commands are killed, refused the disk, and run at once, at every moment and for hours.
//!
//! The default run has a short form of each. All of it, some forty minutes:
//!
//! ```text
//! BOX_TEST_RELIABILITY=1 cargo test --test it -- reliability:: --test-threads 2 --nocapture
//! ```

mod deeds;
mod disk;
mod hostile;
mod inject;
mod kill;
mod many;
mod power;

use crate::env::{TestEnv, eventually};
use crate::leak;
use std::path::Path;

/// Whether everything is asked for, and not the short form.
pub fn in_full() -> bool {
    std::env::var_os("BOX_TEST_RELIABILITY").is_some()
}

/// After whatever has happened: every process belongs to a listed container, all of it can be removed, and what the
/// store says it has is there and whole.
#[track_caller]
pub fn the_truth(env: &TestEnv, moment: &str) {
    let list = || env.box_(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
    let listed = list().ok();
    for line in listed.lines() {
        let state = line.rsplit(' ').next().unwrap();
        assert!(["created", "initialized", "running", "exited", "stopped"].contains(&state), "{moment}: {line}");
    }
    env.box_(&["rm", "-f", "-a", "-v", "-t", "0"]).ok();
    eventually(&format!("the end of all ({moment})"), || env.processes_but_holder().is_empty());
    assert_eq!(list().ok(), "", "{moment}");
    let left = leak::files(&env.data(), &env.run_dir());
    assert!(left.is_empty(), "{moment}: {left:?}");
    env.box_(&["system", "check", "--quick"]).ok();
}

/// Take all images away: nothing of their content may stay.
#[track_caller]
pub fn no_image_stays(env: &TestEnv, moment: &str) {
    env.box_(&["rmi", "-f", "-a"]).ends(0);
    env.box_(&["system", "prune", "-f", "-a"]).ends(0);
    eventually(&format!("the collection of garbage ({moment})"), || env.processes_but_holder().is_empty());
    for folder in ["layers", "oci/blobs/sha256", "partial", "tmp"] {
        let left = below(&env.data().join(folder));
        assert!(left.is_empty(), "{moment}: left in {folder}: {left:?}");
    }
}

fn below(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
