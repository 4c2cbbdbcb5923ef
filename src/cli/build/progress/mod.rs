//! How a build is shown, on stderr: `--progress`.

mod json;
mod lines;
mod plain;
mod report;
mod tty;

use crate::base::env;
use crate::base::error::{Fault, Kind};
use crate::build::{Event, Observer};
use crate::sys::tty as terminal;
use anyhow::Result;
use std::io::{Stderr, Write};
use std::os::fd::AsFd;
use std::time::Instant;

pub use report::marked;

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A picture on a terminal, lines elsewhere.
    Auto,
    /// Lines.
    Plain,
    /// A picture.
    Tty,
    /// JSON documents.
    RawJson,
    /// Only what failed.
    Quiet,
    /// Nothing but the error.
    None,
}

impl Mode {
    /// Parse the value of `--progress` or `$BUILDKIT_PROGRESS`.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "" | "auto" => Self::Auto,
            "plain" => Self::Plain,
            "tty" => Self::Tty,
            "rawjson" => Self::RawJson,
            "quiet" => Self::Quiet,
            "none" => Self::None,
            other => {
                let text = format!("`--progress` cannot be `{}`", other.escape_debug());
                return Err(Fault::new(Kind::Usage, text).hint("auto, plain, tty, rawjson, quiet or none").into());
            }
        })
    }
}

/// Shows a build.
pub struct Shown {
    how: How,
    report: report::Report,
    mode: Mode,
}

enum How {
    Plain(plain::Plain<Stderr>),
    Tty(tty::Tty<Stderr>),
    Json(json::Json<Stderr>),
    Nothing,
}

impl Shown {
    /// As this mode says. Errors: `tty` without a terminal.
    pub fn new(mode: Mode) -> Result<Self> {
        let stderr = std::io::stderr();
        let is_terminal = terminal::is_terminal(stderr.as_fd());
        let dumb = env::term().is_none_or(|term| term == "dumb");
        let how = match mode {
            Mode::Tty if !is_terminal => {
                let fault = Fault::new(Kind::Usage, "`--progress tty` needs a terminal on stderr");
                return Err(fault.hint("--progress plain").into());
            }
            Mode::Tty => How::Tty(tty::Tty::new(stderr, !env::no_color(), Instant::now())),
            Mode::Auto if is_terminal && !dumb => How::Tty(tty::Tty::new(stderr, !env::no_color(), Instant::now())),
            Mode::Auto | Mode::Plain => How::Plain(plain::Plain::new(stderr, is_terminal)),
            Mode::RawJson => How::Json(json::Json::new(stderr)),
            Mode::Quiet | Mode::None => How::Nothing,
        };
        Ok(Self { how, report: report::Report::default(), mode })
    }

    /// The build has ended: say what is to be said of it.
    pub fn end(&mut self, finished: bool) {
        if let How::Tty(tty) = &mut self.how {
            tty.end_picture(Instant::now(), size(), finished);
        }
        let failures = self.report.failures();
        let text = match self.mode {
            Mode::RawJson | Mode::None => String::new(),
            Mode::Quiet => failures,
            Mode::Auto | Mode::Plain | Mode::Tty => failures + &self.report.warnings(),
        };
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// The terminal's size; a usual one where it has none.
fn size() -> terminal::Size {
    terminal::size(std::io::stderr().as_fd()).unwrap_or(terminal::Size { rows: 24, cols: 80 })
}

impl Observer for Shown {
    fn tell(&mut self, event: Event<'_>) {
        let now = Instant::now();
        self.report.note(now, &event);
        match &mut self.how {
            How::Plain(plain) => plain.tell(now, &event),
            How::Tty(tty) => {
                tty.tell(now, &event);
                tty.draw(now, size());
            }
            How::Json(json) => json.tell(chrono::Utc::now(), &event),
            How::Nothing => {}
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        match &mut self.how {
            How::Plain(plain) => plain.tick(now),
            How::Tty(tty) => tty.draw(now, size()),
            How::Json(_) | How::Nothing => {}
        }
    }
}
