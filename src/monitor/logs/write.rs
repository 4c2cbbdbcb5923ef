//! Writing a log: records in batches of whole blocks, rotation between records.

use super::journal::Journal;
use super::record::{self, Clock, Frame, MAX_TEXT};
use super::{Driver, LogConfig, Stream, rotated};
use crate::sys::memchr;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// Records are written when so many bytes of them have come together, or all that was read at once.
const BATCH: usize = 128 * 1024;
/// What is written ends where a block of the file ends, until there is no more for now: the page cache takes whole
/// blocks in larger folios. Still larger ones take longer to be found than they save.
const BLOCK: u64 = 16 * 1024;

/// An open log.
///
/// Nothing here fails after opening: a container goes on when the disk is full. Records that cannot be written are
/// lost, and never leave half a record in the file.
#[derive(Debug)]
pub struct Writer<'a> {
    config: &'a LogConfig,
    file: Option<File>,
    journal: Option<Journal>,
    /// json-file's `,"attrs":{…}`, or nothing.
    attributes: Vec<u8>,
    /// Bytes in the file.
    size: u64,
    /// Bytes of whole records in the file.
    whole: u64,
    /// What is not written yet.
    out: Vec<u8>,
    clock: Clock,
    /// The beginnings of characters that json-file cannot write yet, for either stream.
    begun: [Vec<u8>; 2],
}

impl<'a> Writer<'a> {
    /// Open the log for appending.
    pub fn open(config: &'a LogConfig) -> Result<Self> {
        let journal = (config.driver == Driver::Journald).then(|| Journal::open(config)).transpose()?;
        let (file, size) = match config.driver {
            Driver::None | Driver::Journald => (None, 0),
            _ => {
                let (file, size) =
                    open(config).with_context(|| format!("cannot open log `{}`", config.path.display()))?;
                (Some(file), size)
            }
        };
        let attributes =
            if config.driver == Driver::JsonFile { record::attributes(&config.fields) } else { Vec::new() };
        let begun = [Vec::new(), Vec::new()];
        Ok(Self { config, file, journal, attributes, size, whole: size, out: Vec::new(), clock: Clock::new(), begun })
    }

    /// Whether anything is kept at all.
    pub fn is_on(&self) -> bool {
        self.file.is_some() || self.journal.is_some()
    }

    /// Append what the container wrote; all of it is in the file after [`Writer::flush`].
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if !self.is_on() || bytes.is_empty() {
            return;
        }
        let begun = self.begun.get_mut(stream as usize).map(std::mem::take).unwrap_or_default();
        if begun.is_empty() {
            self.records(stream, bytes);
        } else {
            self.records(stream, &[&begun, bytes].concat());
        }
        self.put_blocks();
    }

    /// Nothing more comes for now: write what is held.
    pub fn flush(&mut self) {
        self.put(self.out.len());
    }

    /// The container has ended: what was held back is written.
    pub fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let begun = self.begun.get_mut(stream as usize).map(std::mem::take).unwrap_or_default();
            if !begun.is_empty() && self.is_on() {
                let frame = self.frame(stream);
                self.record(&frame, stream, &begun, false);
            }
        }
        self.flush();
    }

    /// Give the buffer's memory back until the next write.
    pub fn rest(&mut self) {
        self.out = Vec::new();
    }

    fn frame(&mut self, stream: Stream) -> Frame {
        Frame::new(self.config.driver, &self.clock.now(), stream, &self.attributes)
    }

    fn records(&mut self, stream: Stream, mut bytes: &[u8]) {
        let frame = self.frame(stream);
        while !bytes.is_empty() {
            let window = bytes.get(..MAX_TEXT).unwrap_or(bytes);
            let end = match memchr::find(b'\n', window) {
                Some(end) => {
                    self.record(&frame, stream, &window[..end], true);
                    end + 1
                }
                None => {
                    let kept = if self.config.driver == Driver::JsonFile { record::incomplete_tail(window) } else { 0 };
                    let end = window.len() - kept;
                    if end > 0 {
                        self.record(&frame, stream, &window[..end], false);
                    }
                    if window.len() == bytes.len() {
                        if let Some(begun) = self.begun.get_mut(stream as usize) {
                            begun.extend_from_slice(&window[end..]);
                        }
                        return;
                    }
                    end
                }
            };
            bytes = &bytes[end..];
        }
    }

    fn record(&mut self, frame: &Frame, stream: Stream, text: &[u8], whole: bool) {
        if let Some(journal) = &self.journal {
            return journal.send(stream, text, whole);
        }
        let before = self.out.len();
        frame.append(&mut self.out, text, whole);
        let max = self.config.max_size;
        if max > 0 && self.size + self.out.len() as u64 > max && self.size + before as u64 > 0 {
            self.put(before);
            self.rotate();
        }
        if self.out.len() >= BATCH {
            self.put_blocks();
        }
    }

    /// Write what fills blocks.
    fn put_blocks(&mut self) {
        let end = (self.size + self.out.len() as u64) / BLOCK * BLOCK;
        self.put(end.saturating_sub(self.size) as usize);
    }

    /// Write the first `count` bytes of what is held.
    fn put(&mut self, count: usize) {
        let Some(bytes) = self.out.get(..count).filter(|bytes| !bytes.is_empty()) else { return };
        let Some(file) = &mut self.file else { return };
        if file.write_all(bytes).is_ok() {
            // A record has one newline, its last byte.
            if let Some(last) = memchr::find_last(b'\n', bytes) {
                self.whole = self.size + last as u64 + 1;
            }
            self.size += count as u64;
            self.out.drain(..count);
        } else {
            // A part may be there: cut it off, so that the next record begins on a line of its own.
            let _ = file.set_len(self.whole);
            self.size = self.whole;
            let rest = if bytes.ends_with(b"\n") { None } else { memchr::find(b'\n', &self.out[count..]) };
            self.out.drain(..count + rest.map_or(0, |newline| newline + 1));
        }
    }

    /// `ctr.log` becomes `ctr.log.1` and so on; the oldest goes. Readers that have it open read it to its end.
    fn rotate(&mut self) {
        let path = &self.config.path;
        let keep = self.config.max_files.max(1);
        if keep == 1 {
            // Not truncated but replaced, for a reader's sake.
            let _ = std::fs::remove_file(path);
        } else {
            // Removed, not replaced by its successor: ext4 writes a file to the disk that is renamed over another
            // (auto_da_alloc), and that is a third of the time of a container that writes without end.
            let _ = std::fs::remove_file(rotated(path, keep - 1));
            for number in (1..keep - 1).rev() {
                let _ = std::fs::rename(rotated(path, number), rotated(path, number + 1));
            }
            let _ = std::fs::rename(path, rotated(path, 1));
        }
        match open(self.config) {
            Ok((file, _)) => self.file = Some(file),
            // Without a new file the old one grows on: lines are worth more than a limit.
            Err(_) => drop(std::fs::rename(rotated(path, 1), path)),
        }
        self.size = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
        self.whole = self.size;
    }
}

/// Open for appending, past the last whole record.
fn open(config: &LogConfig) -> std::io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    // The folder is ours, and so must be the file: no link is followed out of it.
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    let mut file = options.open(&config.path)?;
    let size = file.metadata()?.len();
    let mut last = [b'\n'];
    if size > 0 {
        file.read_exact_at(&mut last, size - 1)?;
    }
    if last == [b'\n'] {
        return Ok((file, size));
    }
    // A power loss cut the last record; the next one must not be read as its rest.
    file.write_all(b"\n")?;
    Ok((file, size + 1))
}

#[cfg(test)]
mod tests {
    use super::super::{LogQuery, read};
    use super::*;
    use crate::base::id::ContainerId;
    use std::path::Path;

    /// A log in a folder of its own.
    pub fn config(driver: Driver, max_size: u64, max_files: u32) -> LogConfig {
        let folder = std::env::temp_dir().join(format!("box-log-{}", ContainerId::random()));
        std::fs::create_dir(&folder).unwrap();
        LogConfig { max_size, max_files, ..LogConfig::new(driver, &folder.join("ctr.log")) }
    }

    fn remove(config: &LogConfig) {
        std::fs::remove_dir_all(config.path.parent().unwrap()).unwrap();
    }

    fn read_back(config: &LogConfig) -> (Vec<u8>, Vec<u8>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        read(config, &LogQuery::default(), &|| false, &mut |stream, bytes| {
            match stream {
                Stream::Stdout => out.extend_from_slice(bytes),
                Stream::Stderr => err.extend_from_slice(bytes),
            }
            Ok(())
        })
        .unwrap();
        (out, err)
    }

    #[test]
    fn what_is_written_is_read() {
        let forged = b"2026-11-21T09:00:00.1+00:00 stdout F fake\n{\"log\":\"x\"}\n\0\0\n".repeat(50);
        let long = vec![b'x'; 1_000_000];
        for driver in [Driver::K8sFile, Driver::JsonFile] {
            let config = config(driver, 0, 3);
            let mut log = Writer::open(&config).unwrap();
            log.write(Stream::Stdout, &forged);
            log.write(Stream::Stdout, &long);
            log.write(Stream::Stderr, b"no newline");
            log.write(Stream::Stdout, "\nh\u{e9}".as_bytes());
            log.finish();
            let (out, err) = read_back(&config);
            assert_eq!(out, [forged.as_slice(), &long, "\nh\u{e9}".as_bytes()].concat(), "{driver:?}");
            assert_eq!(err, b"no newline");
            remove(&config);
        }
    }

    #[test]
    fn characters_cut_by_a_read_stay_whole_and_bad_ones_are_replaced() {
        let config = config(Driver::JsonFile, 0, 3);
        let mut log = Writer::open(&config).unwrap();
        for byte in "aé€😀".as_bytes() {
            log.write(Stream::Stdout, &[*byte]);
        }
        log.write(Stream::Stdout, b"\xff");
        log.write(Stream::Stdout, b"\xe2\x82");
        log.finish();
        assert_eq!(String::from_utf8(read_back(&config).0).unwrap(), "aé€😀\u{fffd}\u{fffd}");
        remove(&config);
    }

    #[test]
    fn rotation_loses_nothing_that_it_keeps() {
        for (driver, files) in [(Driver::K8sFile, 3), (Driver::JsonFile, 2), (Driver::K8sFile, 1)] {
            let config = config(driver, 4096, files);
            let mut log = Writer::open(&config).unwrap();
            let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
            lines.chunks(7).for_each(|chunk| log.write(Stream::Stdout, chunk.concat().as_bytes()));
            log.flush();
            let (out, _) = read_back(&config);
            let out = String::from_utf8(out).unwrap();
            assert!(lines.concat().ends_with(&out), "the end is there, without a gap");
            assert!(!out.is_empty());
            let sizes: Vec<u64> = std::fs::read_dir(config.path.parent().unwrap())
                .unwrap()
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .collect();
            assert_eq!(sizes.len(), files as usize);
            assert!(sizes.iter().all(|size| *size <= 4096 && *size > 0), "{sizes:?}");
            remove(&config);
        }
    }

    #[test]
    fn a_cut_record_does_not_swallow_the_next() {
        let config = config(Driver::K8sFile, 0, 3);
        std::fs::write(&config.path, "2026-11-21T09:00:00.1+00:00 stdout F a\n2026-11-21T09:0").unwrap();
        let mut log = Writer::open(&config).unwrap();
        log.write(Stream::Stdout, b"b\n");
        log.flush();
        assert_eq!(read_back(&config).0, b"a\nb\n");
        remove(&config);
    }

    #[test]
    fn a_full_disk_is_survived() {
        let config = LogConfig::new(Driver::K8sFile, Path::new("/dev/full"));
        let mut log = Writer::open(&config).unwrap();
        log.write(Stream::Stdout, b"lost\n");
        log.write(Stream::Stdout, &[b'x'; 100_000]);
        log.flush();
    }

    #[test]
    fn batches_end_between_blocks_and_what_fails_leaves_no_half_record() {
        let config = config(Driver::K8sFile, 0, 3);
        let mut log = Writer::open(&config).unwrap();
        let lines: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
        log.write(Stream::Stdout, lines.as_bytes());
        let length = || std::fs::metadata(&config.path).unwrap().len();
        assert!(length() > 0 && length() % BLOCK == 0, "{}", length());
        // Not open for writing: all writes fail from here on.
        let file = log.file.replace(File::open(&config.path).unwrap());
        log.write(Stream::Stdout, b"lost\n");
        log.flush();
        log.file = file;
        OpenOptions::new().write(true).open(&config.path).unwrap().set_len(log.whole).unwrap();
        log.write(Stream::Stdout, b"next\n");
        log.flush();
        let out = String::from_utf8(read_back(&config).0).unwrap();
        let kept = out.strip_suffix("next\n").unwrap();
        assert!(lines.starts_with(kept) && kept.ends_with('\n'), "{:?}", kept.lines().last());
        remove(&config);
    }
}
