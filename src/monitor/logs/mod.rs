//! The container's log: k8s-file (as CRI and podman write it) or json-file (as docker does), rotated, and its reader;
//! or the journal.
//!
//! ```text
//! ctr.log      2026-11-21T09:00:00.123456789+00:00 stdout F a whole line
//! ctr.log.1    2026-11-21T09:00:00.123456789+00:00 stderr P a part of a line, its rest is in the next record
//! ctr.log.2    {"log":"a whole line\n","stream":"stdout","time":"2026-11-21T09:00:00.123456789Z"}
//! ```
//!
//! A record holds at most 16 KiB of what the container wrote, so nothing that it writes is ever kept in memory, and
//! nothing in it can look like another record: it has no newline (k8s-file) or is escaped (json-file).

pub mod journal;
mod read;
mod record;
mod seek;
mod write;

use std::path::{Path, PathBuf};

pub use read::{LogQuery, read};
pub(super) use write::Writer;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// CRI's text format.
    K8sFile,
    /// docker's JSON lines.
    JsonFile,
    /// Records sent to journald.
    Journald,
    /// Not at all.
    None,
}

/// Where the log is and how large it gets.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The format.
    pub driver: Driver,
    /// The file; rotated ones have `.1`, `.2`, … after the name. Of the journal: journald's socket.
    pub path: PathBuf,
    /// Bytes at which a file is rotated; 0: never.
    pub max_size: u64,
    /// Files to keep, with the one that is written to.
    pub max_files: u32,
    /// What each record says besides: a journal's fields, json-file's `attrs`.
    pub fields: Vec<(String, String)>,
}

impl LogConfig {
    /// A log that is never rotated and says nothing besides.
    pub fn new(driver: Driver, path: &Path) -> Self {
        Self { driver, path: path.to_owned(), max_size: 0, max_files: 3, fields: Vec::new() }
    }
}

/// Which stream a piece of output was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The name of a rotated file.
fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".{number}"));
    name.into()
}
