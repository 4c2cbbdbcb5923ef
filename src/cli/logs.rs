//! `logs`: prints what containers have written.

use super::args::Globals;
use super::args::containers::Logs;
use super::{errors, session};
use crate::base::error::{Kind, fault, kind};
use crate::base::time;
use crate::container::{self, Container};
use crate::monitor::logs::{LogQuery, Stream};
use anyhow::Result;
use chrono::DateTime;
use std::io::{self, Write};

/// `box logs`.
pub fn logs(args: &Logs, globals: &Globals) -> Result<u8> {
    let query = query(args)?;
    let engine = session::open(globals)?;
    let named = session::named(&engine, &args.containers, args.latest);
    let (mut failures, mut containers) = (Vec::new(), Vec::new());
    for (_, container) in named {
        match container {
            Ok(container) => containers.push(container),
            Err(error) => {
                errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    // Several that are followed are followed at once, each by a thread; nothing forks any more.
    let results: Vec<Result<()>> = match args.follow && containers.len() > 1 {
        true => std::thread::scope(|scope| {
            let (query, names) = (&query, args.names);
            let follow = |container| scope.spawn(move || print_log(container, query, names));
            let threads: Vec<_> = containers.iter().map(follow).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        }),
        false => containers.iter().map(|container| print_log(container, &query, args.names)).collect(),
    };
    for error in results.into_iter().filter_map(Result::err) {
        errors::report(&error);
        failures.push(kind(&error));
    }
    Ok(session::code(&failures))
}

fn query(args: &Logs) -> Result<LogQuery> {
    let now = DateTime::from_timestamp_nanos(time::now());
    let moment = |text: &Option<String>| text.as_deref().map(|text| time::parse_moment(text, now)).transpose();
    let tail = match args.tail.as_deref() {
        None | Some("all" | "-1") => None,
        Some(text) => {
            let wrong = |_| fault(Kind::Usage, format!("`--tail` cannot be `{text}`: use a number, -1 or all"));
            Some(text.parse().map_err(wrong)?)
        }
    };
    Ok(LogQuery {
        tail,
        since: moment(&args.since)?,
        until: moment(&args.until)?,
        follow: args.follow,
        timestamps: args.timestamps,
    })
}

/// A container's log to our stdout and stderr.
fn print_log(container: &Container, query: &LogQuery, with_name: bool) -> Result<()> {
    let prefix = if with_name { format!("{} ", container.config.name) } else { String::new() };
    let mut out = Prefixed::new(io::BufWriter::with_capacity(1 << 16, io::stdout()), &prefix);
    let mut err = Prefixed::new(io::BufWriter::new(io::stderr()), &prefix);
    container::logs(container, query, &mut |stream, bytes| match (bytes.is_empty(), stream) {
        (true, _) => out.writer.flush().and_then(|()| err.writer.flush()),
        (false, Stream::Stdout) => out.write(bytes),
        (false, Stream::Stderr) => err.write(bytes),
    })?;
    out.writer
        .flush()
        .and_then(|()| err.writer.flush())
        .map_err(|error| fault(Kind::Other, format!("cannot write the log: {error}")))
}

/// A writer that puts the same text before each line.
struct Prefixed<'a, W: Write> {
    writer: W,
    prefix: &'a str,
    begins: bool,
}

impl<'a, W: Write> Prefixed<'a, W> {
    fn new(writer: W, prefix: &'a str) -> Self {
        Self { writer, prefix, begins: true }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.prefix.is_empty() {
            return self.writer.write_all(bytes);
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.begins {
                self.writer.write_all(self.prefix.as_bytes())?;
            }
            self.writer.write_all(line)?;
            self.begins = line.ends_with(b"\n");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_gets_its_prefix_once() {
        let mut out = Prefixed::new(Vec::new(), "web ");
        for part in ["a", "b\nc\n", "", "d"] {
            out.write(part.as_bytes()).unwrap();
        }
        assert_eq!(String::from_utf8(out.writer).unwrap(), "web ab\nweb c\nweb d");
    }

    #[test]
    fn what_to_show() {
        let asked =
            |tail: &str| query(&Logs { tail: Some(tail.to_owned()), ..Logs::default() }).map(|query| query.tail);
        assert_eq!(asked("5").unwrap(), Some(5));
        assert_eq!(asked("all").unwrap(), None);
        assert_eq!(asked("-1").unwrap(), None);
        assert_eq!(asked("0").unwrap(), Some(0));
        assert!(asked("-2").is_err() && asked("x").is_err());
    }
}
