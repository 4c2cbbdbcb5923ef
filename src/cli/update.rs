//! `update`: changes limits.

use super::args::Globals;
use super::args::limits::Update;
use super::{limits, session};
use crate::base::error::{Fault, Kind};
use crate::container::{self, limits::Resources};
use anyhow::Result;

/// `box update`.
pub fn update(args: Update, globals: &Globals) -> Result<u8> {
    let changes = limits::resources(args.resources)?;
    if changes == Resources::default() {
        let fault = Fault::new(Kind::Usage, "there is nothing to change: no limit is given");
        return Err(fault.hint("box update --memory 256m CONTAINER").into());
    }
    let engine = session::open(globals)?;
    let named = session::named(&engine, &args.names, args.latest);
    let failures = session::each(named, |container| container::update(&engine, container, changes.clone()));
    Ok(session::code(&failures?))
}
