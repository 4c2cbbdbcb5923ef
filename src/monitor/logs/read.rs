//! Reading a log: from its oldest file to its newest, from a line or a time on, and on as it grows.

use super::record::{self, Record};
use super::seek::{self, Start};
use super::{Driver, LogConfig, Stream, rotated};
use crate::base::error::{Kind, fault};
use crate::sys::memchr;
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Which records to read, and how.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only the last so many lines of those that the times select.
    pub tail: Option<u64>,
    /// Only what was written at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only what was written at this time or before.
    pub until: Option<DateTime<Utc>>,
    /// Go on as the container writes, until it has ended.
    pub follow: bool,
    /// Put the time before each line.
    pub timestamps: bool,
}

/// A time as the records are compared: nanoseconds since 1970.
pub(super) fn nanos(time: DateTime<Utc>) -> i64 {
    // Out of range is before 1677 or after 2262: all or nothing either way.
    time.timestamp_nanos_opt().unwrap_or(if time.timestamp() < 0 { i64::MIN } else { i64::MAX })
}

/// How often a follower asks whether the container is alive when nothing else wakes it.
const CHECK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Read a log from its oldest file to its newest.
///
/// `sink` gets bytes as the container wrote them, and an empty slice whenever the reader is about to wait: the time to
/// flush. A closed pipe below the sink ends the reading without an error. `alive` says whether the container may still
/// write; only asked when following.
pub fn read(
    config: &LogConfig,
    query: &LogQuery,
    alive: &dyn Fn() -> bool,
    sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
) -> Result<()> {
    if config.driver == Driver::None {
        return Err(fault(Kind::WrongState, "its output is not kept: it runs with `--log-driver none`"));
    }
    let deed = || format!("cannot read log `{}`", config.path.display());
    let mut output = Output::new(config.driver, query, sink);
    let result =
        if query.follow { follow(config, query, alive, &mut output) } else { once(config, query, &mut output) };
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error).with_context(deed),
    }
}

fn once(config: &LogConfig, query: &LogQuery, output: &mut Output<'_>) -> io::Result<()> {
    let files = open_all(config)?;
    let Start { file, offset } = seek::start(config.driver, &files, query)?;
    let mut offset = offset;
    for file in files.into_iter().skip(file) {
        if Cursor::new(file, offset).drain(output)? == Flow::Enough {
            return Ok(());
        }
        offset = 0;
    }
    Ok(())
}

fn follow(config: &LogConfig, query: &LogQuery, alive: &dyn Fn() -> bool, output: &mut Output<'_>) -> io::Result<()> {
    let watch = watch(config);
    let files = open_all(config)?;
    let Start { file, offset } = seek::start(config.driver, &files, query)?;
    let mut cursors: std::collections::VecDeque<Cursor> =
        files.into_iter().skip(file).map(|f| Cursor::new(f, 0)).collect();
    if let Some(first) = cursors.front_mut() {
        first.offset = offset;
    }
    loop {
        // Asked before reading: what a container that has ended by now wrote is all there.
        let was_alive = alive();
        while let Some(cursor) = cursors.front_mut() {
            if cursor.drain(output)? == Flow::Enough {
                return Ok(());
            }
            if cursors.len() == 1 {
                match successor(config, &cursors[0].file)? {
                    None => break,
                    Some(next) => cursors.push_back(Cursor::new(next, 0)),
                }
            } else if let Some(mut done) = cursors.pop_front() {
                // Written between our last read and the rotation.
                if done.drain(output)? == Flow::Enough {
                    return Ok(());
                }
            }
        }
        if cursors.is_empty()
            && let Some(file) = open_all(config)?.into_iter().next()
        {
            cursors.push_back(Cursor::new(file, 0));
            continue;
        }
        if !was_alive || query.until.is_some_and(|until| Utc::now() > until) {
            return Ok(());
        }
        output.flush()?;
        wait(watch.as_ref());
    }
}

/// A watch on the log's folder. Without one (the user's limit is reached) the follower looks at each check.
fn watch(config: &LogConfig) -> Option<OwnedFd> {
    let inotify = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    let events = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
    rustix::fs::inotify::add_watch(&inotify, config.path.parent()?, events).ok()?;
    Some(inotify)
}

pub(super) fn wait(watch: Option<&OwnedFd>) {
    let mut fds: Vec<PollFd<'_>> = watch.iter().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
    // EINTR is as good as a wake-up.
    let _ = rustix::event::poll(&mut fds, Some(&CHECK));
    if let Some(watch) = watch {
        let mut events = [0u8; 4096];
        while rustix::io::read(watch, &mut events).is_ok_and(|count| count > 0) {}
    }
}

/// All files of the log, oldest first.
///
/// Opened from the newest on: a rotation meanwhile shows a file twice, which is noticed, and never hides one.
fn open_all(config: &LogConfig) -> io::Result<Vec<File>> {
    let mut files: Vec<(File, u64)> = Vec::new();
    for number in 0..=config.max_files.max(1) {
        let path = if number == 0 { config.path.clone() } else { rotated(&config.path, number) };
        match File::open(&path) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                if !files.iter().any(|(_, known)| *known == inode) {
                    files.push((file, inode));
                }
            }
            // Between two renames one name is free.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files.into_iter().rev().map(|(file, _)| file).collect())
}

/// The file that was begun after this one was full; `None` if this is the newest.
fn successor(config: &LogConfig, current: &File) -> io::Result<Option<File>> {
    let inode = current.metadata()?.ino();
    match std::fs::metadata(&config.path) {
        Ok(newest) if newest.ino() == inode => return Ok(None),
        // Removed with its container, or in the middle of a rotation.
        Err(_) => return Ok(None),
        Ok(_) => {}
    }
    let files = open_all(config)?;
    let mut position = None;
    for (index, file) in files.iter().enumerate() {
        if file.metadata()?.ino() == inode {
            position = Some(index);
        }
    }
    // Rotated away since: what is left begins with the oldest.
    Ok(files.into_iter().nth(position.map_or(0, |index| index + 1)))
}

/// Whether more records are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    More,
    Enough,
}

/// A file, and what of it is not read yet.
struct Cursor {
    file: File,
    offset: u64,
    /// A record whose end was not there yet.
    begun: Vec<u8>,
}

impl Cursor {
    fn new(file: File, offset: u64) -> Self {
        Self { file, offset, begun: Vec::new() }
    }

    /// All whole records up to the end of the file.
    fn drain(&mut self, output: &mut Output<'_>) -> io::Result<Flow> {
        let mut buffer = std::mem::take(&mut self.begun);
        // What of it is from the file; the rest is room.
        let mut filled = buffer.len();
        loop {
            buffer.resize(buffer.len().max(filled + CHUNK), 0);
            let count = match self.file.read_at(&mut buffer[filled..], self.offset) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            filled += count;
            self.offset += count as u64;
            if count == 0 {
                buffer.truncate(filled);
                self.begun = buffer;
                return Ok(Flow::More);
            }
            let mut rest = &buffer[..filled];
            while let Some(end) = memchr::find(b'\n', rest) {
                if output.record(&rest[..=end])? == Flow::Enough {
                    output.hand_on()?;
                    return Ok(Flow::Enough);
                }
                rest = &rest[end + 1..];
            }
            output.hand_on()?;
            let left = rest.len();
            buffer.copy_within(filled - left..filled, 0);
            // No record of ours is so long: the file is damaged there.
            filled = if left > seek::MAX_RECORD { 0 } else { left };
        }
    }
}

/// Where records go, and which.
struct Output<'a> {
    driver: Driver,
    since: Option<i64>,
    until: Option<i64>,
    timestamps: bool,
    /// All records, and only their texts.
    plain: bool,
    /// Whether the last record of a stream did not end its line.
    begun: [bool; 2],
    /// What is not handed on yet, all of this stream: a call for each of millions of records would cost as much again.
    text: Vec<u8>,
    stream: Stream,
    sink: &'a mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
}

impl<'a> Output<'a> {
    fn new(driver: Driver, query: &LogQuery, sink: &'a mut dyn FnMut(Stream, &[u8]) -> io::Result<()>) -> Self {
        Self {
            driver,
            since: query.since.map(nanos),
            until: query.until.map(nanos),
            timestamps: query.timestamps,
            plain: driver == Driver::K8sFile && query.since.or(query.until).is_none() && !query.timestamps,
            begun: [false; 2],
            text: Vec::new(),
            stream: Stream::Stdout,
            sink,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        (self.sink)(Stream::Stdout, &[])?;
        (self.sink)(Stream::Stderr, &[])
    }

    fn hand_on(&mut self) -> io::Result<()> {
        if !self.text.is_empty() {
            (self.sink)(self.stream, &self.text)?;
            self.text.clear();
        }
        Ok(())
    }

    /// What comes now is of this stream.
    fn turn_to(&mut self, stream: Stream) -> io::Result<()> {
        if stream != self.stream {
            self.hand_on()?;
            self.stream = stream;
        }
        Ok(())
    }

    #[inline]
    fn record(&mut self, line: &[u8]) -> io::Result<Flow> {
        if self.plain
            && let Some((stream, text)) = record::plain(line)
        {
            self.turn_to(stream)?;
            self.text.extend_from_slice(text);
            return Ok(Flow::More);
        }
        self.record_in_full(line)
    }

    fn record_in_full(&mut self, line: &[u8]) -> io::Result<Flow> {
        let Some(Record { stream, text, whole, time }) = self.wanted(line) else { return Ok(Flow::More) };
        if let Some(until) = self.until
            && time_of(&time).is_some_and(|time| time > until)
        {
            return Ok(Flow::Enough);
        }
        let begun = self.begun.get_mut(stream as usize).map(|begun| std::mem::replace(begun, !whole));
        self.turn_to(stream)?;
        if self.timestamps && begun == Some(false) {
            self.text.extend_from_slice(&time);
            self.text.push(b' ');
        }
        self.text.extend_from_slice(&text);
        Ok(Flow::More)
    }

    fn wanted<'b>(&self, line: &'b [u8]) -> Option<Record<'b>> {
        let record = record::parse(self.driver, line)?;
        match self.since {
            Some(since) => record.nanos().is_none_or(|time| time >= since).then_some(record),
            None => Some(record),
        }
    }
}

fn time_of(text: &[u8]) -> Option<i64> {
    DateTime::parse_from_rfc3339(std::str::from_utf8(text).ok()?).ok()?.timestamp_nanos_opt()
}
