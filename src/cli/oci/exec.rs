//! `oci exec`.

use super::ids;
use super::run::{accompany, pass_listeners};
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use crate::cli::args::oci::Exec;
use crate::runtime::capabilities;
use crate::runtime::lifecycle::{self, Container, ExecOptions, Home};
use anyhow::{Context, Result};
use oci_spec::runtime::{Capabilities, LinuxCapabilities, Process};
use std::os::fd::AsFd;
use std::path::Path;

/// A process file is never larger than this.
const LIMIT: u64 = 16 << 20;

/// `box oci exec`: the command's own exit code, or 0 with --detach.
pub fn exec(home: &Home, args: Exec, preserve_fds: u32) -> Result<u8> {
    let container = home.find(args.words.first().map_or("", String::as_str))?;
    let mut process = process(&container, &args)?;
    pass_listeners(process.env_mut());
    let options = ExecOptions {
        console_socket: args.ends.console_socket,
        pid_file: args.ends.pid_file,
        preserve_fds,
        foreground: !args.detach,
    };
    let child = lifecycle::exec(&container, &process, &options)?;
    if args.detach {
        return Ok(0);
    }
    accompany(child.pid, child.pidfd.as_fd(), child.master)
}

/// The process of the file, or the container's with this command; and what the flags change of it.
fn process(container: &Container, args: &Exec) -> Result<Process> {
    let command = args.words.get(1..).unwrap_or_default();
    let mut process = match &args.process {
        Some(path) if command.is_empty() => read(path)?,
        Some(_) => return Err(fault(Kind::Usage, "--process and a command do not go together")),
        None if command.is_empty() => {
            return Err(Fault::new(Kind::Usage, "`box oci exec` needs a command after the container")
                .hint(format!("box oci exec {} sh", container.id))
                .into());
        }
        None => {
            let mut process = lifecycle::process_of_container(container)?;
            process.set_args(Some(command.to_vec())).set_terminal(Some(false));
            process
        }
    };
    if args.tty {
        process.set_terminal(Some(true));
    }
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.clone());
    }
    if !args.env.is_empty() {
        process.env_mut().get_or_insert_default().extend(args.env.iter().cloned());
    }
    if let Some(user) = &args.user {
        let (uid, gid) = ids(user)?;
        process.user_mut().set_uid(uid);
        if let Some(gid) = gid {
            process.user_mut().set_gid(gid);
        }
    }
    if !args.additional_gids.is_empty() {
        process.user_mut().additional_gids_mut().get_or_insert_default().extend(&args.additional_gids);
    }
    if !args.cap.is_empty() {
        add_capabilities(&mut process, &args.cap)?;
    }
    if let Some(profile) = &args.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if let Some(label) = &args.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    if args.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    Ok(process)
}

fn read(path: &Path) -> Result<Process> {
    let bytes = read_limited(path, LIMIT)?;
    let read = crate::oci::bundle::parse_process(&bytes);
    Ok(read.with_context(|| format!("`{}` is not a process", path.display()))?.value)
}

/// Into all sets from which the command has something.
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<()> {
    let more: Vec<_> = names.iter().map(|name| capabilities::parse(name)).collect::<Result<_>>().context("--cap")?;
    let mut sets = process.capabilities().clone().unwrap_or_else(none);
    let with = |set: &Option<Capabilities>| {
        let mut set = set.clone().unwrap_or_default();
        set.extend(&more);
        Some(set)
    };
    let (bounding, permitted, effective) = (with(sets.bounding()), with(sets.permitted()), with(sets.effective()));
    sets.set_bounding(bounding).set_permitted(permitted).set_effective(effective);
    process.set_capabilities(Some(sets));
    Ok(())
}

fn none() -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(None).set_permitted(None).set_effective(None).set_inheritable(None).set_ambient(None);
    sets
}
