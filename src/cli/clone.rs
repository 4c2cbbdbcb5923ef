//! `container clone`: a container with the configuration of another.

use super::args::Globals;
use super::args::seldom::Clone;
use super::output::print_line;
use super::progress::Shown;
use super::{limits, session};
use crate::container::{self, CloneRequest, Mode};
use anyhow::Result;

/// `box container clone`.
pub fn clone(args: Clone, globals: &Globals) -> Result<u8> {
    let request = CloneRequest {
        name: args.name.or(args.clone_name),
        image: args.image,
        resources: limits::resources(args.resources)?,
        destroy: args.destroy,
        force: args.force,
    };
    let engine = session::open(globals)?;
    let other = container::find(&engine, &args.container)?;
    let made = container::clone(&engine, &other, request, &Shown::new(false))?;
    if args.run {
        session::with_terminal(|terminal| container::start(&engine, &made, Mode::Detached, terminal))?;
    }
    print_line(made.config.id.as_str())?;
    Ok(0)
}
