//! `wait`: waits until containers end, or are as wanted, and prints their codes.

use super::args::Globals;
use super::args::containers::Wait;
use super::output::print_line;
use super::{errors, session};
use crate::base::error::{Fault, Kind, kind};
use crate::base::time::parse_duration;
use crate::container::{self, Condition, WaitOptions};
use anyhow::Result;

/// `box wait`.
pub fn wait(args: &Wait, globals: &Globals) -> Result<u8> {
    let conditions = args.condition.iter().map(|word| Condition::parse(word)).collect::<Result<_>>()?;
    let options = WaitOptions { conditions, interval: args.interval.as_deref().map(interval).transpose()? };
    let engine = session::open(globals)?;
    let named = session::named(&engine, &args.containers, args.latest);
    if args.exit_first_match {
        let containers = named.into_iter().filter_map(|(_, container)| match container {
            Err(error) if args.ignore && kind(&error) == Kind::NotFound => None,
            container => Some(container),
        });
        let code = container::wait_any(&engine, &containers.collect::<Result<Vec<_>>>()?, &options)?;
        print_line(&code.to_string())?;
        return Ok(0);
    }
    let mut failures = Vec::new();
    for (_, container) in named {
        match container.and_then(|container| container::wait(&container, &options)) {
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

/// A duration, or milliseconds, as podman takes them.
fn interval(text: &str) -> Result<i64> {
    let nanos = text.parse::<i64>().ok().and_then(|ms| ms.checked_mul(1_000_000)).or_else(|| parse_duration(text));
    nanos.filter(|nanos| *nanos > 0).map(|nanos| nanos / 1_000_000).ok_or_else(|| {
        let text = format!("`--interval {}` is not a duration", text.escape_debug());
        Fault::new(Kind::Usage, text).hint("--interval 250ms").into()
    })
}
