//! `wait`: waits until containers end and prints their codes.

use super::args::Globals;
use super::args::containers::Wait;
use super::output::print_line;
use super::{errors, session};
use crate::base::error::{Kind, kind};
use crate::container::{self, Condition};
use anyhow::Result;

/// `box wait`.
pub fn wait(args: &Wait, globals: &Globals) -> Result<u8> {
    let condition = match args.condition.as_deref() {
        Some("running") => Condition::Running,
        _ => Condition::Stopped,
    };
    let engine = session::open(globals)?;
    let mut failures = Vec::new();
    for (_, container) in session::named(&engine, &args.containers, args.latest) {
        match container.and_then(|container| container::wait(&container, condition)) {
            Ok(code) => print_line(&code.to_string())?,
            Err(error) if args.ignore && kind(&error) == Kind::NotFound => print_line("-1")?,
            Err(error) => {
                errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    Ok(session::code(&failures))
}
