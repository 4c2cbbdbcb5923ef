//! Following the journal: inotify(7) says when it grows; what is new is read from where one was.

use super::{Event, Query, folder, journal, older};
use crate::base::dirs::Dirs;
use crate::base::time;
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::fs::File;
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;

/// Hand what is there and all that comes to `sink`, until `query.until` or for ever. `idle` is called whenever
/// everything there is was handed over.
pub fn follow(
    dirs: &Dirs,
    query: &Query,
    sink: &mut dyn FnMut(Event) -> Result<()>,
    idle: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let deed = "cannot follow the events";
    std::fs::create_dir_all(folder(dirs)).context(deed)?;
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).context(deed)?;
    let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, folder(dirs), flags).context(deed)?;
    // Without a beginning only what is new is wanted; the watch is there, so nothing between is missed.
    let now = time::now();
    let query = Query { since: query.since.or(Some(now)), ..query.clone() };
    if query.since.is_some_and(|since| since < now) {
        let old = Query { until: query.until, ..query.clone() };
        if let Ok(file) = File::open(older(dirs)) {
            Tail { file, rest: Vec::new() }.read(&old, sink)?;
        }
    }
    let mut tail: Option<Tail> = None;
    loop {
        if tail.is_none() {
            tail = File::open(journal(dirs)).ok().map(|file| Tail { file, rest: Vec::new() });
        }
        if let Some(open) = &mut tail {
            open.read(&query, sink)?;
            if open.is_old(dirs) {
                // Renamed: what came in between was read just now, and the new one is next.
                open.read(&query, sink)?;
                tail = None;
                if journal(dirs).exists() {
                    continue;
                }
            }
        }
        idle()?;
        let left = query.until.map(|until| until.saturating_sub(time::now()));
        if left.is_some_and(|left| left <= 0) {
            return Ok(());
        }
        let timeout = left.map(|ns| Timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 });
        match poll(&mut [PollFd::new(&watch, PollFlags::IN)], timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context(deed),
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&watch, &mut buffer);
        while reader.next().is_ok() {}
    }
}

/// A journal that is read as it grows.
struct Tail {
    file: File,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
}

impl Tail {
    fn read(&mut self, query: &Query, sink: &mut dyn FnMut(Event) -> Result<()>) -> Result<()> {
        let before = self.rest.len();
        self.file.read_to_end(&mut self.rest).context("cannot read the events")?;
        if self.rest.len() == before {
            return Ok(());
        }
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        for line in lines.split(|byte| *byte == b'\n') {
            if let Ok(event) = serde_json::from_slice::<Event>(line)
                && query.wants(&event)
            {
                sink(event)?;
            }
        }
        Ok(())
    }

    /// Whether the journal is another file by now, or was cut.
    fn is_old(&mut self, dirs: &Dirs) -> bool {
        let (Ok(ours), Ok(there)) = (self.file.metadata(), std::fs::metadata(journal(dirs))) else { return true };
        let at = self.file.stream_position().unwrap_or(0);
        (ours.dev(), ours.ino()) != (there.dev(), there.ino()) || there.len() < at
    }
}
