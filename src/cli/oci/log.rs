//! The file of `--log`: one line an event, as text or as JSON, in the form that runc's callers read.

use crate::base::error::Fault;
use crate::base::time;
use crate::cli::args::oci::OciVerb;
use crate::cli::errors::{self, escape};
use chrono::{DateTime, Utc};
use std::io::Write;
use std::path::PathBuf;

/// Where to log, and how.
pub struct Log {
    path: Option<PathBuf>,
    json: bool,
    debug: bool,
}

impl Log {
    /// From the flags.
    pub fn new(path: Option<PathBuf>, format: Option<&str>, debug: bool) -> Self {
        Self { path, json: format == Some("json"), debug }
    }

    /// An error.
    pub fn error(&self, error: &anyhow::Error) {
        self.write("error", &format!("{error:#}"));
    }

    /// What the user should know although all goes on; also on stderr.
    pub fn warn(&self, fault: &Fault) {
        self.write("warning", &fault.text);
        errors::warn(fault);
    }

    /// A command that begins, if that is wanted.
    pub fn debug(&self, verb: &OciVerb) {
        if self.debug {
            self.write("debug", &format!("begin: {verb:?}"));
        }
    }

    /// Nobody could be told that this fails: who wants to read it will find nothing.
    fn write(&self, level: &str, text: &str) {
        let Some(path) = &self.path else { return };
        let at = time::rfc3339(&DateTime::<Utc>::from_timestamp_nanos(time::now()));
        let line = match self.json {
            true => serde_json::json!({ "level": level, "msg": text, "time": at }).to_string(),
            false => format!("time=\"{at}\" level={level} msg=\"{}\"", escape(text).replace('"', "\\\"")),
        };
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    }
}
