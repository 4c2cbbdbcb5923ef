//! One record of a log: its time, its text, written and parsed.

use super::{Driver, Stream};
use crate::sys::memchr;
use serde::Deserialize;
use std::borrow::Cow;

/// The longest piece of output in one record, as docker and containerd have it.
pub const MAX_TEXT: usize = 16 * 1024;
/// `2026-11-21T09:00:00.123456789`.
const STAMP: usize = 29;
/// The same with `+00:00`: a record's time in k8s-file.
const TIME: usize = STAMP + 6;
/// Of ` stdout F `, between the time and the text.
const HEAD: usize = 10;

/// Formats the time; the date and the second are kept, as thousands of records share them.
#[derive(Debug)]
pub struct Clock {
    second: i64,
    stamp: [u8; STAMP],
}

impl Clock {
    /// A clock that has formatted nothing yet.
    pub fn new() -> Self {
        Self { second: i64::MIN, stamp: *b"0000-00-00T00:00:00.000000000" }
    }

    /// The time now, in UTC, without the zone.
    pub fn now(&mut self) -> [u8; STAMP] {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        self.at(now.tv_sec, now.tv_nsec)
    }

    fn at(&mut self, second: i64, nanos: i64) -> [u8; STAMP] {
        if second != self.second {
            self.second = second;
            let (year, month, day) = civil(second.div_euclid(86_400));
            let time = second.rem_euclid(86_400);
            digits(&mut self.stamp[0..4], year);
            digits(&mut self.stamp[5..7], month);
            digits(&mut self.stamp[8..10], day);
            digits(&mut self.stamp[11..13], time / 3600);
            digits(&mut self.stamp[14..16], time / 60 % 60);
            digits(&mut self.stamp[17..19], time % 60);
        }
        digits(&mut self.stamp[20..], nanos);
        self.stamp
    }
}

/// Fill `out` with the last digits of `value`.
fn digits(out: &mut [u8], mut value: i64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// What the records of one read share: everything but their texts.
#[derive(Debug)]
pub struct Frame {
    driver: Driver,
    /// k8s-file's beginning: `2026-11-21T09:00:00.123456789+00:00 stdout F `.
    head: [u8; TIME + HEAD],
    /// json-file's end: `","stream":"stdout","time":"2026-11-21T09:00:00.123456789Z"}` and a newline.
    tail: Vec<u8>,
}

impl Frame {
    /// Of records written now. `attributes` is json-file's alone.
    pub fn new(driver: Driver, stamp: &[u8; STAMP], stream: Stream, attributes: &[u8]) -> Self {
        let mut head = *b"0000-00-00T00:00:00.000000000+00:00 stdout F ";
        head[..STAMP].copy_from_slice(stamp);
        let name = match stream {
            Stream::Stdout => b"stdout",
            Stream::Stderr => b"stderr",
        };
        head[TIME + 1..TIME + 7].copy_from_slice(name);
        let tail = match driver {
            Driver::JsonFile => {
                [b"\",\"stream\":\"".as_slice(), name, b"\"", attributes, b",\"time\":\"", stamp, b"Z\"}\n"].concat()
            }
            _ => Vec::new(),
        };
        Self { driver, head, tail }
    }

    /// Append a record. `text` has no newline; it is escaped as docker does in json-file.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, text: &[u8], whole: bool) {
        if self.driver == Driver::JsonFile {
            return self.append_json(out, text, whole);
        }
        out.extend_from_slice(&self.head);
        if !whole {
            let letter = out.len() - 2;
            out[letter] = b'P';
        }
        out.extend_from_slice(text);
        out.push(b'\n');
    }

    fn append_json(&self, out: &mut Vec<u8>, text: &[u8], whole: bool) {
        out.extend_from_slice(b"{\"log\":\"");
        for chunk in text.utf8_chunks() {
            escape(out, chunk.valid());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice(b"\\ufffd");
            }
        }
        if whole {
            out.extend_from_slice(b"\\n");
        }
        out.extend_from_slice(&self.tail);
    }
}

/// What docker writes between a record's stream and its time: `,"attrs":{…}`; nothing if there are none.
pub fn attributes(fields: &[(String, String)]) -> Vec<u8> {
    let map: serde_json::Map<_, _> = fields.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    if map.is_empty() { Vec::new() } else { format!(",\"attrs\":{}", serde_json::Value::Object(map)).into_bytes() }
}

/// JSON string escapes as Go's encoder writes them: also `<`, `>`, `&` and the two Unicode line separators.
fn escape(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let separator = byte == 0xe2 && matches!(bytes.get(index + 1..index + 3), Some([0x80, 0xa8 | 0xa9]));
        if byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&') && !separator {
            continue;
        }
        out.extend_from_slice(bytes.get(copied..index).unwrap_or_default());
        copied = index + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0xe2 => {
                let last = bytes.get(index + 2).copied().unwrap_or(0xa8);
                out.extend_from_slice(if last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                copied = index + 3;
            }
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
}

/// How many bytes at the end begin a UTF-8 character that is not complete yet (0 to 3).
pub fn incomplete_tail(text: &[u8]) -> usize {
    for back in 1..=text.len().min(3) {
        let length = match text[text.len() - back] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if length > back { back } else { 0 };
    }
    0
}

/// A record as read.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// RFC 3339.
    pub time: Cow<'a, [u8]>,
    /// Where the container wrote it.
    pub stream: Stream,
    /// What it wrote, with its newline if it ended a line.
    pub text: Cow<'a, [u8]>,
    /// Whether it ends a line.
    pub whole: bool,
}

impl Record<'_> {
    /// Nanoseconds since 1970; `None` if the time makes no sense.
    pub fn nanos(&self) -> Option<i64> {
        let text = std::str::from_utf8(&self.time).ok()?;
        chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()
    }
}

/// Parse a record, with its final newline. `None`: it is damaged, as after a power loss.
#[inline]
pub fn parse(driver: Driver, line: &[u8]) -> Option<Record<'_>> {
    match driver {
        Driver::K8sFile => parse_k8s(line),
        Driver::JsonFile => parse_json(line),
        Driver::Journald | Driver::None => None,
    }
}

#[inline]
fn parse_k8s(line: &[u8]) -> Option<Record<'_>> {
    // Millions of them are read, and nearly all times are as long as ours.
    let end = if line.get(TIME) == Some(&b' ') { TIME } else { memchr::find(b' ', line)? };
    let (time, rest) = line.split_at_checked(end)?;
    let (head, text) = rest.split_at_checked(HEAD)?;
    let (stream, whole) = match head {
        b" stdout F " => (Stream::Stdout, true),
        b" stderr F " => (Stream::Stderr, true),
        b" stdout P " => (Stream::Stdout, false),
        b" stderr P " => (Stream::Stderr, false),
        _ => return None,
    };
    let text = if whole { text } else { text.strip_suffix(b"\n").unwrap_or(text) };
    Some(Record { time: Cow::Borrowed(time), stream, text: Cow::Borrowed(text), whole })
}

/// The stream and text of a k8s-file record that ends a line and is as we write it, without a look at its time: what
/// most of millions are.
#[inline]
pub fn plain(line: &[u8]) -> Option<(Stream, &[u8])> {
    let (head, text) = line.split_at_checked(TIME + HEAD)?;
    match head.last_chunk() {
        Some(b" stdout F ") => Some((Stream::Stdout, text)),
        Some(b" stderr F ") => Some((Stream::Stderr, text)),
        _ => None,
    }
}

fn parse_json(line: &[u8]) -> Option<Record<'_>> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        log: Cow<'a, str>,
        #[serde(borrow)]
        stream: Cow<'a, str>,
        #[serde(borrow)]
        time: Cow<'a, str>,
    }
    let fields: Fields<'_> = serde_json::from_slice(line).ok()?;
    let text = match fields.log {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let whole = text.ends_with(b"\n");
    let time = match fields.time {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    Some(Record { time, stream: stream(fields.stream.as_bytes())?, text, whole })
}

fn stream(name: &[u8]) -> Option<Stream> {
    match name {
        b"stdout" => Some(Stream::Stdout),
        b"stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let mut clock = Clock::new();
        for (second, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00.000000000"),
            (951_782_399, 1, "2000-02-28T23:59:59.000000001"),
            (951_782_400, 0, "2000-02-29T00:00:00.000000000"),
            (951_868_800, 0, "2000-03-01T00:00:00.000000000"),
            (1_795_251_600, 123_456_789, "2026-11-21T09:00:00.123456789"),
            (4_107_542_399, 999_999_999, "2100-02-28T23:59:59.999999999"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000000"),
        ] {
            assert_eq!(std::str::from_utf8(&clock.at(second, nanos)).unwrap(), text);
        }
    }

    #[test]
    fn a_record_comes_back_in_either_format() {
        let stamp = Clock::new().at(1_795_251_600, 5);
        let texts =
            ["", "plain", "2026-11-21T09:00:00.1+00:00 stdout F forged", "{\"log\":\"x\"}", "\0\x1b<&>\u{2028}\"\\\t"];
        for text in texts {
            for whole in [true, false] {
                let attributes = attributes(&[("tag".into(), "t\"".into())]);
                for (driver, attributes) in
                    [(Driver::K8sFile, b"".as_slice()), (Driver::JsonFile, b""), (Driver::JsonFile, &attributes)]
                {
                    let mut line = Vec::new();
                    Frame::new(driver, &stamp, Stream::Stderr, attributes).append(&mut line, text.as_bytes(), whole);
                    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
                    let record = parse(driver, &line).unwrap();
                    if driver == Driver::K8sFile {
                        assert_eq!(plain(&line), whole.then_some((Stream::Stderr, &*record.text)));
                    }
                    let expected = if whole { format!("{text}\n") } else { text.to_string() };
                    assert_eq!((&*record.text, record.whole), (expected.as_bytes(), whole), "{driver:?} {text:?}");
                    assert_eq!(record.stream, Stream::Stderr);
                    assert_eq!(record.nanos(), Some(1_795_251_600_000_000_005));
                }
            }
        }
    }

    #[test]
    fn formats_as_others_write_them() {
        let stamp = Clock::new().at(1_795_251_600, 123_456_789);
        let mut out = Vec::new();
        let attributes = attributes(&[("tag".into(), "t".into())]);
        for (driver, text) in [(Driver::K8sFile, b"text".as_slice()), (Driver::JsonFile, b"a<b>\xff\x01")] {
            Frame::new(driver, &stamp, Stream::Stdout, &attributes).append(&mut out, text, true);
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2026-11-21T09:00:00.123456789+00:00 stdout F text\n\
             {\"log\":\"a\\u003cb\\u003e\\ufffd\\u0001\\n\",\"stream\":\"stdout\",\
             \"attrs\":{\"tag\":\"t\"},\"time\":\"2026-11-21T09:00:00.123456789Z\"}\n"
        );
    }

    #[test]
    fn damaged_records_are_none() {
        for line in ["", "\n", "2026 stdout", "2026 stdout X y\n", "2026 stdin F y\n", "\0\0\0\0"] {
            assert_eq!(parse(Driver::K8sFile, line.as_bytes()), None, "{line:?}");
            assert_eq!(parse(Driver::JsonFile, line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn characters_that_are_not_complete() {
        for (text, tail) in [
            (b"".as_slice(), 0),
            (b"a", 0),
            ("é".as_bytes(), 0),
            (b"a\xc3", 1),
            (b"\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            ("😀".as_bytes(), 0),
            (b"\x80\x80\x80\x80", 0),
            (b"\xff", 0),
        ] {
            assert_eq!(incomplete_tail(text), tail, "{text:?}");
        }
    }
}
