//! `oci ps`: the container's processes, as numbers or as ps(1) shows them.

use crate::base::error::{Kind, fault};
use crate::base::program;
use crate::cli::args::oci::Ps;
use crate::cli::errors::escape;
use crate::cli::output::{print, print_line};
use crate::runtime::lifecycle::{self, Home};
use anyhow::{Context, Result};
use std::process::Command;

/// `box oci ps`.
pub fn ps(home: &Home, args: &Ps) -> Result<()> {
    let (id, flags) = args.words.split_first().context("there is no id")?;
    let pids = lifecycle::processes(&home.find(id)?)
        .with_context(|| format!("cannot list the processes of container `{}`", escape(id)))?;
    if args.format.as_deref() == Some("json") {
        return print_line(&serde_json::to_string(&pids)?);
    }
    let program = program::find("ps").context("ps is missing")?;
    let flags = if flags.is_empty() { vec!["-ef".to_owned()] } else { flags.to_vec() };
    let output = Command::new(program).args(&flags).output().context("cannot run ps")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(fault(Kind::Usage, format!("ps: {}", why.lines().next().unwrap_or("failed"))));
    }
    let header = text.lines().next().unwrap_or_default();
    let column = header.split_whitespace().position(|name| name == "PID");
    let column = column.ok_or_else(|| fault(Kind::Usage, "ps shows no column `PID` with these flags"))?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let lines = std::iter::once(header).chain(text.lines().skip(1).filter(ours));
    print(&lines.map(|line| format!("{}\n", escape(line))).collect::<String>())
}
