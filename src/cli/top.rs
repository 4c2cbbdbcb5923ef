//! `top`: lists the processes of a container, on a terminal again and again.

use super::args::Globals;
use super::args::life::Top;
use super::live::{self, Live};
use super::output::{print, table};
use super::session;
use crate::base::error::{Fault, Kind, fault, kind};
use crate::base::program;
use crate::container::{self, Container, top};
use crate::engine::Engine;
use crate::sys::proc;
use anyhow::{Context, Result};
use std::os::fd::AsFd;

/// Seconds between two looks.
const INTERVAL: u32 = 2;

/// `box top`.
pub fn top(args: &Top, globals: &Globals) -> Result<u8> {
    let mut words = args.words.clone();
    let engine = session::open(globals)?;
    let container = match args.latest {
        true => session::latest(&engine)?,
        false => container::find(&engine, &words.remove(0))?,
    };
    let shown = Shown::of(&words)?;
    if args.no_stream || !live::is_terminal() {
        print(&shown.table(&engine, &container)?)?;
        return Ok(0);
    }
    let run = container.running()?;
    let live = Live::begin(true)?;
    let process = proc::open(run.pid, run.pid_started);
    let mut table = shown.table(&engine, &container)?;
    loop {
        live.show(&table)?;
        if !live.goes_on(args.interval.unwrap_or(INTERVAL), process.as_ref().map(AsFd::as_fd)) {
            return Ok(0);
        }
        table = match shown.table(&engine, &container) {
            Err(error) if kind(&error) == Kind::WrongState => return Ok(0),
            table => table?,
        };
    }
}

/// What is shown of each process.
enum Shown {
    Columns(Vec<top::Column>),
    /// As ps(1) has it, with these words.
    Ps(Vec<String>),
}

impl Shown {
    fn of(words: &[String]) -> Result<Self> {
        if let Some(columns) = top::columns(words) {
            return Ok(Self::Columns(columns));
        }
        if let Some(word) = words.iter().find(|word| word.chars().all(|c| c.is_ascii_alphabetic()) && word.len() > 4) {
            let text = format!("`{word}` is neither a column nor an option of ps(1)");
            return Err(Fault::new(Kind::Usage, text).hint("box top --help").into());
        }
        Ok(Self::Ps(words.to_vec()))
    }

    fn table(&self, engine: &Engine, container: &Container) -> Result<String> {
        match self {
            Self::Columns(columns) => {
                let heading = columns.iter().map(|column| column.heading.to_owned()).collect();
                let rows = top::table(engine, container, columns)?;
                Ok(table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()))
            }
            Self::Ps(words) => {
                let pids = top::processes(engine, container)?;
                let lines = top::own_lines(&ps(words)?, &pids)?;
                Ok(lines.iter().map(|line| format!("{}\n", super::errors::escape(line))).collect())
            }
        }
    }
}

/// What the host's ps(1) prints of all processes.
fn ps(words: &[String]) -> Result<String> {
    let program = program::find("ps").ok_or_else(|| {
        Fault::new(Kind::Host, "ps(1) is missing on this host").hint(program::how_to_install("procps", &[]))
    })?;
    let output = std::process::Command::new(program).args(words).output().context("cannot run ps(1)")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned();
        return Err(fault(Kind::Usage, format!("ps(1) refuses `{}`: {first}", words.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
