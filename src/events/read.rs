//! Reading the journal back.

use super::{Event, Filters, journal, older};
use crate::base::dirs::Dirs;
use anyhow::Result;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// From this moment on, in nanoseconds since 1970.
    pub since: Option<i64>,
    /// Until this moment.
    pub until: Option<i64>,
    /// Only these.
    pub filters: Filters,
}

impl Query {
    /// Whether an event is wanted.
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time <= until)
            && self.filters.fit(event)
    }
}

/// Hand each event that is wanted to `sink`, oldest first. A line that is none is passed over.
pub fn read(dirs: &Dirs, query: &Query, sink: &mut dyn FnMut(Event) -> Result<()>) -> Result<()> {
    read_file(&older(dirs), query, sink)?;
    read_file(&journal(dirs), query, sink)
}

fn read_file(path: &Path, query: &Query, sink: &mut dyn FnMut(Event) -> Result<()>) -> Result<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if let Ok(event) = serde_json::from_slice::<Event>(&line)
            && query.wants(&event)
        {
            sink(event)?;
        }
    }
}
