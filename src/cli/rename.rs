//! `rename`: gives a container another name.

use super::args::Globals;
use super::args::life::Rename;
use super::session;
use crate::container;
use anyhow::Result;

/// `box rename`.
pub fn rename(args: &Rename, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let container = container::find(&engine, &args.container)?;
    container::rename(&engine, &container, &args.name)?;
    Ok(0)
}
