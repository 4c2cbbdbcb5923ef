//! `container cleanup`: what is left to do after containers that have ended.

use super::args::Globals;
use super::args::seldom::Cleanup;
use super::{run, session};
use crate::base::error::{Fault, Kind};
use crate::container::{self, Container, RemoveOptions, Status};
use anyhow::Result;

/// `box container cleanup`. What killed processes have left was put right when the engine was opened.
pub fn cleanup(args: &Cleanup, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let has_ended = |status: &Status| matches!(status, Status::Created | Status::Exited(_));
    let named = match args.all {
        true => session::filtered(&engine, &[], has_ended)?,
        false => session::named(&engine, &args.containers, args.latest),
    };
    let tidy = |container: &Container| {
        let status = container.status();
        if !has_ended(&status) {
            let text = format!("container `{}` has not ended (it is {})", container.config.name, status.word());
            return Err(Fault::new(Kind::WrongState, text).hint(format!("box stop {}", container.config.name)).into());
        }
        if args.rm || args.rmi {
            container::remove(&engine, container, RemoveOptions::default())?;
        }
        if args.rmi {
            run::remove_image(&engine, container);
        }
        Ok(())
    };
    Ok(session::code(&session::each(named, tidy)?))
}
