//! `start`: starts containers that are there, or attaches to one.

use super::args::Globals;
use super::args::containers::Start;
use super::defaults::detach_keys;
use super::session;
use crate::base::error::{Kind, fault};
use crate::config::containers::Containers;
use crate::container::{self, Mode, Started, Status};
use crate::monitor::AttachOptions;
use anyhow::Result;

/// `box start`.
pub fn start(args: &Start, globals: &Globals) -> Result<u8> {
    let detach_keys = detach_keys(args.detach_keys.as_deref(), &Containers::load()?)?;
    let engine = session::open(globals)?;
    let mut named = match args.all || !args.filter.is_empty() {
        true => {
            session::filtered(&engine, &args.filter, |status| matches!(status, Status::Created | Status::Exited(_)))?
        }
        false => session::named(&engine, &args.names, args.latest),
    };
    // As with docker, stdin alone is reason enough to be attached.
    if !args.attach && !args.interactive {
        let failures = session::each(named, |container| {
            session::with_terminal(|terminal| container::start(&engine, container, Mode::Detached, terminal)).map(drop)
        });
        return Ok(session::code(&failures?));
    }
    let (Some((_, container)), true) = (named.pop(), named.is_empty()) else {
        return Err(fault(Kind::Usage, "`-a` attaches to one container only"));
    };
    let container = container?;
    let mode = Mode::Attached(AttachOptions {
        stdin: args.interactive && container.config.interactive && !container.config.log_driver.passes(),
        stdout: true,
        stderr: true,
        tty: container.config.tty,
        detach_keys,
        sig_proxy: args.sig_proxy,
    });
    let result = session::with_terminal(|terminal| container::start(&engine, &container, mode, terminal));
    Ok(match result? {
        Started::Ended(end) => session::ended(&container, end),
        Started::Running => 0,
    })
}
