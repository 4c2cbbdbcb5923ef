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
            let query = &query;
            let follow = |(number, container)| {
                scope.spawn(move || print_log(container, query, Look::of(args, number, container)))
            };
            let threads: Vec<_> = containers.iter().enumerate().map(follow).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        }),
        false => {
            let all = containers.iter().enumerate();
            all.map(|(number, container)| print_log(container, &query, Look::of(args, number, container))).collect()
        }
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
fn print_log(container: &Container, query: &LogQuery, look: Look) -> Result<()> {
    let mut out = Prefixed::new(io::BufWriter::with_capacity(1 << 16, io::stdout()), &look);
    let mut err = Prefixed::new(io::BufWriter::new(io::stderr()), &look);
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

/// How a container's lines look: what stands before and after each.
#[derive(Debug, Default)]
struct Look {
    before: String,
    after: &'static str,
}

/// The colours in turn (ECMA-48): green, yellow, blue, magenta, cyan, red.
const COLOURS: [u8; 6] = [32, 33, 34, 35, 36, 31];

impl Look {
    fn of(args: &Logs, number: usize, container: &Container) -> Self {
        let name = match (args.names, args.color) {
            (true, _) => format!("{} ", container.config.name),
            (false, true) => format!("{} ", container.config.id.short()),
            (false, false) => String::new(),
        };
        match args.color {
            true => Self { before: format!("\x1b[{}m{name}", COLOURS[number % COLOURS.len()]), after: "\x1b[0m" },
            false => Self { before: name, after: "" },
        }
    }
}

/// A writer whose lines look so.
struct Prefixed<'a, W: Write> {
    writer: W,
    look: &'a Look,
    begins: bool,
}

impl<'a, W: Write> Prefixed<'a, W> {
    fn new(writer: W, look: &'a Look) -> Self {
        Self { writer, look, begins: true }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.look.before.is_empty() {
            return self.writer.write_all(bytes);
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.begins {
                self.writer.write_all(self.look.before.as_bytes())?;
            }
            self.begins = line.ends_with(b"\n");
            self.writer.write_all(line.strip_suffix(b"\n").unwrap_or(line))?;
            if self.begins {
                self.writer.write_all(self.look.after.as_bytes())?;
                self.writer.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_gets_its_prefix_once() {
        for (before, after, expected) in
            [("web ", "", "web ab\nweb c\nweb d"), ("<", ">", "<ab>\n<c>\n<d"), ("", "", "ab\nc\nd")]
        {
            let look = Look { before: before.to_owned(), after };
            let mut out = Prefixed::new(Vec::new(), &look);
            for part in ["a", "b\nc\n", "", "d"] {
                out.write(part.as_bytes()).unwrap();
            }
            assert_eq!(String::from_utf8(out.writer).unwrap(), expected);
        }
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
