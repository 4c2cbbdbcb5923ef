//! `system reset`: removes everything.

use crate::cli::args::Globals;
use crate::cli::args::system::Reset;
use crate::cli::session;
use crate::container;
use anyhow::Result;

const WARNING: &str = "WARNING! This command removes:
\t- all containers, those that run, too
\t- all images
\t- all volumes and secrets
\t- all networks

Are you sure you want to continue?";

/// `box system reset`.
pub fn reset(args: &Reset, globals: &Globals) -> Result<u8> {
    if !args.force && !session::confirm(WARNING)? {
        return Ok(0);
    }
    container::reset(&session::open(globals)?)?;
    Ok(0)
}
