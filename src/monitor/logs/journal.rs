//! The journal as a log: records sent to systemd-journald, and read back through journalctl(1).
//!
//! The native protocol: a datagram a record, a field a line; a value with a line break in it has its length before it.
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>; the fields are podman's.

use super::read::{LogQuery, nanos};
use super::{LogConfig, Stream};
use crate::base::error::{Fault, Kind};
use crate::base::program;
use crate::sys::unix;
use anyhow::{Context, Result};
use serde_json::Value;
use std::io::{self, BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// The field by which a container's records are found.
pub const ID: &str = "CONTAINER_ID_FULL";
/// syslog(3)'s priorities for the two streams.
const PRIORITIES: [&str; 2] = ["6", "3"];

/// A connection to journald.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    /// The fields that all records share, encoded.
    shared: Vec<u8>,
}

impl Journal {
    /// Connect. Errors: nobody listens there.
    pub fn open(config: &LogConfig) -> Result<Self> {
        let deed = || {
            let text = format!("cannot log to the journal: nobody listens at `{}`", config.path.display());
            Fault::new(Kind::Host, text).hint("--log-driver k8s-file")
        };
        let socket = UnixDatagram::unbound().with_context(deed)?;
        let (address, _folder) = unix::address(&config.path).with_context(deed)?;
        socket.connect(address).with_context(deed)?;
        let mut shared = Vec::new();
        config.fields.iter().for_each(|(name, value)| field(&mut shared, name, value.as_bytes()));
        Ok(Self { socket, shared })
    }

    /// Send a record. One that journald does not take is lost: the container goes on.
    pub fn send(&self, stream: Stream, text: &[u8], whole: bool) {
        let mut message = self.shared.clone();
        field(&mut message, "PRIORITY", PRIORITIES[stream as usize].as_bytes());
        if !whole {
            field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        field(&mut message, "MESSAGE", text);
        while let Err(error) = self.socket.send(&message) {
            if error.kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }
}

/// Append a field.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Hand the records of the container `id` to `sink`, as [`super::read`] does.
pub fn read(
    id: &str,
    query: &LogQuery,
    alive: &dyn Fn() -> bool,
    sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
) -> Result<()> {
    let path = program::find("journalctl").ok_or_else(|| {
        Fault::new(Kind::Host, "cannot read the journal: there is no `journalctl`")
            .hint(program::how_to_install("journalctl", &[("apt", "systemd")]))
    })?;
    let mut after = None;
    let mut begun = [false; 2];
    loop {
        // Asked before reading: what a container that has ended by now wrote is all there.
        let was_alive = query.follow && alive();
        let mut child = Command::new(&path)
            .args(words(id, query, after.as_deref()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run `{}`", path.display()))?;
        let lines = BufReader::new(child.stdout.take().context("journalctl has no output")?);
        for line in lines.split(b'\n') {
            let Ok(record) = serde_json::from_slice::<Value>(&line?) else { continue };
            after = record["__CURSOR"].as_str().map(str::to_owned).or(after);
            match hand_on(&record, query, &mut begun, sink) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                result => result?,
            }
        }
        child.wait().context("cannot wait for journalctl")?;
        if !was_alive {
            return Ok(());
        }
        sink(Stream::Stdout, &[])?;
        super::read::wait(None);
    }
}

/// journalctl's arguments.
fn words(id: &str, query: &LogQuery, after: Option<&str>) -> Vec<String> {
    let mut words = vec!["--quiet".into(), "--all".into(), "--output=json".into(), "--no-pager".into()];
    let micros = |time| format!("@{:.6}", nanos(time) as f64 / 1e9);
    match after {
        Some(cursor) => words.push(format!("--after-cursor={cursor}")),
        None => {
            words.extend(query.since.map(|time| format!("--since={}", micros(time))));
            words.extend(query.tail.map(|lines| format!("--lines={lines}")));
        }
    }
    words.extend(query.until.map(|time| format!("--until={}", micros(time))));
    words.push(format!("{ID}={id}"));
    words
}

/// A record of journalctl's JSON: text is a string, or numbers where it is not UTF-8.
fn hand_on(
    record: &Value,
    query: &LogQuery,
    begun: &mut [bool; 2],
    sink: &mut dyn FnMut(Stream, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let stream = if record["PRIORITY"] == PRIORITIES[1] { Stream::Stderr } else { Stream::Stdout };
    let whole = record["CONTAINER_PARTIAL_MESSAGE"] != "true";
    let mut text = match &record["MESSAGE"] {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(bytes) => bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect(),
        _ => Vec::new(),
    };
    if whole {
        text.push(b'\n');
    }
    let micros = record["__REALTIME_TIMESTAMP"].as_str().and_then(|text| text.parse::<i64>().ok());
    let was_begun = begun.get_mut(stream as usize).map(|begun| std::mem::replace(begun, !whole));
    if let (true, Some(false), Some(micros)) = (query.timestamps, was_begun, micros) {
        let time = chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default();
        sink(stream, format!("{} ", time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, false)).as_bytes())?;
    }
    sink(stream, &text)
}

/// Whether journald listens there.
pub fn listens(path: &Path) -> bool {
    let socket = UnixDatagram::unbound();
    let address = unix::address(path);
    socket.is_ok_and(|socket| address.is_ok_and(|(address, _folder)| socket.connect(address).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::super::{Driver, write::Writer};
    use super::*;

    #[test]
    fn a_record_is_a_datagram() {
        let folder = std::env::temp_dir().join(format!("box-journal-{}", crate::base::id::ContainerId::random()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("socket");
        let fields = vec![("CONTAINER_NAME".to_owned(), "web".to_owned()), ("A".to_owned(), "b\nc".to_owned())];
        let config = LogConfig { fields, ..LogConfig::new(Driver::Journald, &path) };
        assert!(Writer::open(&config).unwrap_err().to_string().starts_with("cannot log to the journal"));
        let journald = UnixDatagram::bind(&path).unwrap();
        let mut log = Writer::open(&config).unwrap();
        log.write(Stream::Stdout, b"one\npart");
        log.write(Stream::Stderr, b"two\n");
        log.finish();
        let shared = "CONTAINER_NAME=web\nA\n\u{3}\0\0\0\0\0\0\0b\nc\n";
        for expected in [
            "PRIORITY=6\nMESSAGE=one\n",
            "PRIORITY=6\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=part\n",
            "PRIORITY=3\nMESSAGE=two\n",
        ] {
            let mut buffer = [0; 1024];
            let count = journald.recv(&mut buffer).unwrap();
            assert_eq!(String::from_utf8_lossy(&buffer[..count]), format!("{shared}{expected}"));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn records_come_back() {
        let mut got = Vec::new();
        let query = LogQuery { timestamps: true, ..LogQuery::default() };
        let mut begun = [false; 2];
        for record in [
            r#"{"MESSAGE":"a","PRIORITY":"6","CONTAINER_PARTIAL_MESSAGE":"true","__REALTIME_TIMESTAMP":"1000001"}"#,
            r#"{"MESSAGE":[98,255],"PRIORITY":"6","__REALTIME_TIMESTAMP":"1000002"}"#,
        ] {
            hand_on(&serde_json::from_str(record).unwrap(), &query, &mut begun, &mut |_, bytes| {
                got.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(got, b"1970-01-01T00:00:01.000001000+00:00 ab\xff\n");
    }
}
