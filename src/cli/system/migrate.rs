//! `system migrate`: the next command begins with the host as it is now.

use crate::cli::args::Globals;
use crate::cli::output::print;
use crate::cli::session;
use crate::container;
use anyhow::Result;

/// `box system migrate`: a line for each container that was stopped.
pub fn migrate(globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let stopped = container::migrate(&engine)?;
    print(&stopped.iter().map(|name| format!("stopped {name}\n")).collect::<String>())?;
    Ok(0)
}
