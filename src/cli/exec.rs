//! `exec`: runs a command in a running container.

use super::args::Globals;
use super::args::containers::Exec;
use super::defaults::detach_keys;
use super::descriptors;
use super::run::warn_without_terminal;
use super::session;
use crate::base::error::{Fault, Kind};
use crate::config::containers::Containers;
use crate::container::{self, ExecRequest};
use anyhow::Result;

/// `box exec`.
pub fn exec(args: Exec, globals: &Globals) -> Result<u8> {
    // Before anything is opened, which would be taken for one of them.
    let preserved = descriptors::preserved(&args.preserve, "exec")?;
    let detach_keys = detach_keys(args.detach_keys.as_deref(), &Containers::load()?)?;
    let mut command = args.words;
    let elsewhere = args.latest || args.cidfile.is_some();
    let name = if elsewhere { None } else { Some(command.remove(0)) };
    if command.is_empty() {
        return Err(Fault::new(Kind::Usage, "`box exec` needs a command after the container")
            .hint(format!("box exec -it {} sh", name.as_deref().unwrap_or("-l")))
            .into());
    }
    if args.tty && args.interactive && !args.detach {
        warn_without_terminal();
    }
    let request = ExecRequest {
        command,
        env: args.env,
        env_files: args.env_file,
        user: args.user,
        workdir: args.workdir,
        tty: args.tty,
        interactive: args.interactive,
        detach: args.detach,
        privileged: args.privileged,
        detach_keys,
        preserved,
    };
    let engine = session::open(globals)?;
    let container = match (&name, &args.cidfile) {
        (Some(name), _) => container::find(&engine, name)?,
        (None, Some(path)) => session::from_file(&engine, path)?,
        (None, None) => session::latest(&engine)?,
    };
    let code = session::with_terminal(|terminal| container::exec(&engine, &container, request, terminal));
    code.map(session::exit_code)
}
