//! `attach`: connects the terminal to a running container.

use super::args::Globals;
use super::args::containers::Attach;
use super::defaults::detach_keys;
use super::session;
use crate::config::containers::Containers;
use crate::container::{self, Started};
use crate::monitor::AttachOptions;
use anyhow::Result;

/// `box attach`. As with docker, the exit code is the container's.
pub fn attach(args: &Attach, globals: &Globals) -> Result<u8> {
    let detach_keys = detach_keys(args.detach_keys.as_deref(), &Containers::load()?)?;
    let engine = session::open(globals)?;
    let container = match &args.container {
        Some(name) => container::find(&engine, name)?,
        None => session::latest(&engine)?,
    };
    let options = AttachOptions {
        stdin: container.config.interactive && !args.no_stdin,
        stdout: true,
        stderr: true,
        tty: container.config.tty,
        detach_keys,
        sig_proxy: args.sig_proxy,
    };
    let started = session::with_terminal(|terminal| container::attach(&engine, &container, &options, terminal))?;
    Ok(match started {
        Started::Ended(end) => session::ended(&container, end),
        Started::Running => 0,
    })
}
