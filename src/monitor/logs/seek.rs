//! Where in a log to begin: the last so many lines, found from the end; a time, found by bisection.

use super::read::{LogQuery, nanos};
use super::record::{self, MAX_TEXT};
use super::{Driver, Stream};
use crate::sys::memchr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The longest record: every byte of its text escaped to six, and the rest of the line.
pub const MAX_RECORD: usize = MAX_TEXT * 6 + 256;
/// Bytes read at once when going backwards.
const BLOCK: u64 = 64 * 1024;

/// A place in a list of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The index of the file.
    pub file: usize,
    /// Bytes from its beginning; a record begins here.
    pub offset: u64,
}

/// Where to begin to read the files (oldest first) so that nothing that the query selects is missed.
pub fn start(driver: Driver, files: &[File], query: &LogQuery) -> io::Result<Start> {
    match (query.tail, query.since) {
        (Some(lines), _) => tail(driver, files, lines, query.since.map(nanos), query.until.map(nanos)),
        (None, Some(since)) => at_time(driver, files, nanos(since)),
        (None, None) => Ok(Start { file: 0, offset: 0 }),
    }
}

/// The last `lines` lines between these times.
///
/// A line is what ends with a newline, and what is after the last one, for each stream by itself.
fn tail(driver: Driver, files: &[File], lines: u64, since: Option<i64>, until: Option<i64>) -> io::Result<Start> {
    let newest = files.len().saturating_sub(1);
    let end = files.last().map_or(Ok(0), length)?;
    let mut start = Start { file: newest, offset: end };
    if lines == 0 {
        return Ok(start);
    }
    let mut count = 0;
    // Whether a line of this stream is counted whose beginning is not found yet.
    let mut open = [false; 2];
    for (index, file) in files.iter().enumerate().rev() {
        let mut enough = false;
        backwards(file, &mut |offset, line| {
            let Some(record) = record::parse(driver, line) else { return true };
            let time = if since.is_some() || until.is_some() { record.nanos() } else { None };
            if since.is_some_and(|since| time.is_some_and(|time| time < since)) {
                enough = true;
                return false;
            }
            if until.is_some_and(|until| time.is_some_and(|time| time > until)) {
                return true;
            }
            let stream = usize::from(record.stream == Stream::Stderr);
            if record.whole || !open[stream] {
                if count == lines {
                    enough = true;
                    return false;
                }
                count += 1;
                open[stream] = true;
            }
            start = Start { file: index, offset };
            true
        })?;
        if enough {
            break;
        }
    }
    Ok(start)
}

/// Call `visit` for each record from the end of the file, with its offset, until it returns `false`.
fn backwards(file: &File, visit: &mut dyn FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
    // `buffer` holds the file from `start` on; what is after `end` in it has been visited.
    let mut start = length(file)?;
    let mut buffer: Vec<u8> = Vec::new();
    let mut end = 0;
    loop {
        let step = BLOCK.min(start);
        let mut block = vec![0; step as usize];
        file.read_exact_at(&mut block, start - step)?;
        buffer.truncate(end);
        block.extend_from_slice(&buffer);
        buffer = block;
        start -= step;
        end = buffer.len();
        // The newline before the last one begins the record after it.
        while let Some(last) = end.checked_sub(1) {
            let begin = match memchr::find_last(b'\n', &buffer[..last]) {
                Some(newline) => newline + 1,
                None if start == 0 => 0,
                None if end > MAX_RECORD => return Ok(()),
                None => break,
            };
            // Without a newline at its end it is being written, or was cut.
            if buffer[last] == b'\n' && !visit(start + begin as u64, &buffer[begin..end]) {
                return Ok(());
            }
            end = begin;
        }
        if start == 0 {
            return Ok(());
        }
    }
}

/// The first record of this time or later; a little before it is as good, as records are compared again when read.
fn at_time(driver: Driver, files: &[File], since: i64) -> io::Result<Start> {
    let mut file = 0;
    for (index, candidate) in files.iter().enumerate().skip(1) {
        // All of a file is older than the first record of the next.
        match record_after(driver, candidate, 0)? {
            Some((_, time)) if time < since => file = index,
            _ => break,
        }
    }
    let Some(found) = files.get(file) else { return Ok(Start { file: 0, offset: 0 }) };
    let (mut low, mut high) = (0, length(found)?);
    while high - low > BLOCK {
        let middle = low + (high - low) / 2;
        match record_after(driver, found, middle)? {
            Some((offset, time)) if time < since && offset < high => low = offset,
            _ => high = middle,
        }
    }
    Ok(Start { file, offset: low })
}

/// The first record that begins at `offset` or later, and its time.
fn record_after(driver: Driver, file: &File, offset: u64) -> io::Result<Option<(u64, i64)>> {
    let mut bytes = vec![0; 2 * MAX_RECORD];
    // From one byte before: a record may begin just here.
    let from = offset.saturating_sub(1);
    let count = file.read_at(&mut bytes, from)?;
    let bytes = bytes.get(..count).unwrap_or_default();
    let mut begin = 0;
    if offset > 0 {
        let Some(newline) = memchr::find(b'\n', bytes) else { return Ok(None) };
        begin = newline + 1;
    }
    while let Some(length) = memchr::find(b'\n', &bytes[begin..]) {
        let line = &bytes[begin..=begin + length];
        if let Some(time) = record::parse(driver, line).and_then(|record| record.nanos()) {
            return Ok(Some((from + begin as u64, time)));
        }
        begin += length + 1;
    }
    Ok(None)
}

fn length(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use super::super::{LogConfig, read, rotated};
    use super::*;
    use chrono::DateTime;

    /// A log of 3 files with a line a second, numbered from 0; each seventh in three parts, each fifth on stderr.
    fn log(lines: u32, padding: usize) -> LogConfig {
        let folder = std::env::temp_dir().join(format!("box-seek-{}", crate::base::id::ContainerId::random()));
        std::fs::create_dir(&folder).unwrap();
        let config = LogConfig::new(Driver::K8sFile, &folder.join("ctr.log"));
        let mut files = [String::new(), String::new(), String::new()];
        let padding = "x".repeat(padding);
        for number in 0..lines {
            let stream = if number % 5 == 0 { "stderr" } else { "stdout" };
            let time = DateTime::from_timestamp(1_000_000 + i64::from(number), 0).unwrap();
            let time = time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, false);
            let file = &mut files[(number * 3 / lines.max(1)) as usize];
            let parts = if number % 7 == 0 { "P a\n{} P b\n{} F " } else { "F " };
            let prefix = format!("{time} {stream}");
            file.push_str(&format!("{prefix} {}{number}{padding}\n", parts.replace("{}", &prefix)));
        }
        for (number, text) in files.iter().rev().enumerate() {
            let path = if number == 0 { config.path.clone() } else { rotated(&config.path, number as u32) };
            std::fs::write(path, text).unwrap();
        }
        config
    }

    fn numbers(config: &LogConfig, query: &LogQuery) -> Vec<String> {
        let mut text = Vec::new();
        read(config, query, &|| false, &mut |_, bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
        String::from_utf8(text).unwrap().lines().map(|line| line.trim_end_matches('x').to_owned()).collect()
    }

    fn expected(range: std::ops::Range<u32>) -> Vec<String> {
        range.map(|n| if n % 7 == 0 { format!("ab{n}") } else { n.to_string() }).collect()
    }

    #[test]
    fn tails_and_times() {
        for (lines, padding) in [(60, 0), (300, 3000), (31, 60_000)] {
            let config = log(lines, padding);
            let at = |second: u32| DateTime::from_timestamp(1_000_000 + i64::from(second), 0);
            let all = LogQuery::default();
            assert_eq!(numbers(&config, &all), expected(0..lines));
            for tail in [0, 1, 2, 7, 8, 25, lines, lines + 1] {
                let query = LogQuery { tail: Some(tail.into()), ..all.clone() };
                assert_eq!(numbers(&config, &query), expected(lines.saturating_sub(tail)..lines), "{tail} of {lines}");
            }
            for second in [0, 1, 19, 20, 21, 30, lines - 1, lines] {
                let query = LogQuery { since: at(second), ..all.clone() };
                assert_eq!(numbers(&config, &query), expected(second..lines), "since {second} of {lines}");
                let query = LogQuery { until: at(second), ..all.clone() };
                assert_eq!(numbers(&config, &query), expected(0..(second + 1).min(lines)), "until {second}");
            }
            let query = LogQuery { tail: Some(3), since: at(10), until: at(20), ..all };
            assert_eq!(numbers(&config, &query), expected(18..21));
            std::fs::remove_dir_all(config.path.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_log_that_is_empty_or_not_there_has_no_lines() {
        let config = log(0, 0);
        assert!(numbers(&config, &LogQuery { tail: Some(5), ..LogQuery::default() }).is_empty());
        std::fs::remove_dir_all(config.path.parent().unwrap()).unwrap();
        assert!(numbers(&config, &LogQuery { since: Some(DateTime::UNIX_EPOCH), ..LogQuery::default() }).is_empty());
    }
}
