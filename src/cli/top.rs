//! `top`: lists the processes of a container.

use super::args::Globals;
use super::args::life::Top;
use super::output::{print, table};
use super::session;
use crate::base::error::{Fault, Kind, fault};
use crate::base::program;
use crate::container::{self, top};
use anyhow::{Context, Result};

/// `box top`.
pub fn top(args: &Top, globals: &Globals) -> Result<u8> {
    let mut words = args.words.clone();
    let engine = session::open(globals)?;
    let container = match args.latest {
        true => session::latest(&engine)?,
        false => container::find(&engine, &words.remove(0))?,
    };
    if let Some(columns) = top::columns(&words) {
        let heading = columns.iter().map(|column| column.heading.to_owned()).collect();
        let rows = top::table(&engine, &container, &columns)?;
        print(&table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()))?;
        return Ok(0);
    }
    if let Some(word) = words.iter().find(|word| word.chars().all(|c| c.is_ascii_alphabetic()) && word.len() > 4) {
        let text = format!("`{word}` is neither a column nor an option of ps(1)");
        return Err(Fault::new(Kind::Usage, text).hint("box top --help").into());
    }
    let pids = top::processes(&engine, &container)?;
    for line in top::own_lines(&ps(&words)?, &pids)? {
        print(&format!("{}\n", super::errors::escape(&line)))?;
    }
    Ok(0)
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
