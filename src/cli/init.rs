//! `init`: sees whether containers can be started.

use super::args::Globals;
use super::args::seldom::Init;
use super::session;
use crate::container::{self, Status};
use anyhow::Result;

/// `box init`.
pub fn init(args: &Init, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let named = match args.all {
        true => session::filtered(&engine, &[], |status| matches!(status, Status::Created))?,
        false => session::named(&engine, &args.containers, args.latest),
    };
    let failures = session::each(named, |container| {
        session::with_terminal(|terminal| container::init(&engine, container, terminal))
    });
    Ok(session::code(&failures?))
}
