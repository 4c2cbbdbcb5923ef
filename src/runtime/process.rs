//! From init or an exec helper to the command: working folder, user, capabilities, seccomp, in the order in which the
//! privileges for each still exist.

use super::capabilities::Sets;
use super::command::Command;
use super::labels::Labels;
use super::naming::Naming;
use super::user::{self, User};
use super::{notify, scheduling, seccomp, settings};
use crate::base::error::{Fault, Kind, fault};
use crate::sys::{self, root::Root};
use anyhow::{Context, Result};
use oci_spec::runtime::{Linux, Process};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Be root in a user namespace that was just mapped or joined.
pub(super) fn become_root() -> Result<()> {
    let deed = "cannot become root in the container's user namespace";
    set_gid(Gid::ROOT).context(deed)?;
    set_uid(Uid::ROOT).context(deed)
}

fn set_uid(uid: Uid) -> rustix::io::Result<()> {
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

fn set_gid(gid: Gid) -> rustix::io::Result<()> {
    rustix::thread::set_thread_res_gid(gid, gid, gid)
}

/// Whether a working folder that is missing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// With mode 0755, owned by root, as docker and podman do for an image's WorkingDir.
    Make,
    /// An error.
    Refuse,
}

/// Open the working folder. Magic links as `/proc/self/fd/7` are refused by the resolver (CVE-2024-21626).
pub(super) fn working_folder(root: &Root, process: &Process, missing: Missing) -> Result<OwnedFd> {
    let path = process.cwd().as_path();
    let deed = || {
        let text = format!("cannot enter the working folder `{}`", path.display().to_string().escape_debug());
        Fault::new(Kind::CommandNotExecutable, text).hint("choose another: -w /")
    };
    if !path.is_absolute() || path.as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_control) {
        return Err(deed().because(anyhow::Error::msg("it is not an absolute path of printable characters")));
    }
    let result = match missing {
        Missing::Make => root.make_dir_all(path, Mode::from_raw_mode(0o755)),
        Missing::Refuse => root.open_at(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()),
    };
    result.map_err(|error| deed().because(error))
}

/// Enter it, and make sure that it lies below our root: getcwd(2) says `(unreachable)` otherwise.
pub(super) fn enter_working_folder(folder: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(folder).context("cannot enter the working folder")?;
    let path = rustix::process::getcwd(Vec::new()).context("cannot find the working folder")?;
    if path.as_bytes().first() != Some(&b'/') {
        return Err(fault(Kind::BadData, "the working folder is outside the container"));
    }
    Ok(())
}

/// What can be found out about a process before the gate opens.
#[derive(Debug)]
pub(super) struct Prepared {
    user: User,
    command: Command,
    labels: Option<Labels>,
    naming: Naming,
}

impl Prepared {
    /// An error if the program is not there, for those who want to hear of it before the gate opens.
    pub(super) fn must_exist(&self) -> Result<()> {
        self.command.must_exist()
    }
}

/// Look up the user and put the command line together; take on what a process can without becoming the command.
pub(super) fn prepare(
    root: &Root,
    process: &Process,
    linux: Option<&Linux>,
    labels: Option<Labels>,
    naming: Naming,
) -> Result<Prepared> {
    let user = naming.name(|| "process.user".to_owned(), user_of(root, process))?;
    let command = naming.name(|| "process.args".to_owned(), Command::new(process, &user))?;
    settings::set_limits(process, naming)?;
    scheduling::apply(process, linux)?;
    Ok(Prepared { user, command, labels, naming })
}

/// Take on everything that the process is, but for its program.
///
/// `death_signal` is what comes when our parent ends, 0 for nothing; `socket` goes to the maker.
pub(super) fn become_process(
    prepared: Prepared,
    process: &Process,
    filter: &[u8],
    death_signal: i32,
    socket: BorrowedFd<'_>,
) -> Result<Command> {
    let Prepared { user, command, labels, naming } = prepared;
    own_pipes(&user);
    rustix::process::umask(Mode::from_raw_mode(process.user().umask().unwrap_or(0o022) & 0o777));
    let sets = Sets::of(process.capabilities().as_ref());
    let filter = seccomp::from_bytes(filter);
    let no_new_privileges = process.no_new_privileges() == Some(true);

    // Now that nothing else is executed first, and while a filter does not forbid it.
    if let Some(labels) = labels {
        labels.apply()?;
    }
    // Needs CAP_SETPCAP, so before the others go.
    drop_bounding(sets.bounding)?;
    naming.name(|| "process.user".to_owned(), become_user(&user))?;
    // The change of ids has cleared it (commit_creds in the kernel).
    if user.uid != 0 && death_signal != 0 {
        sys::process::set_parent_death_signal(death_signal)?;
    }
    // Without no_new_privs the kernel wants CAP_SYS_ADMIN for a filter: now, before it goes.
    if !no_new_privileges {
        load(filter.as_ref(), socket)?;
    }
    set_capabilities(sets)?;
    if no_new_privileges {
        rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")?;
        load(filter.as_ref(), socket)?;
    }
    Ok(command)
}

/// The user of a process: by name if it has one, looked up in the container's own files; else by number.
fn user_of(root: &Root, process: &Process) -> Result<User> {
    let given = process.user();
    let mut user = match given.username() {
        Some(name) => user::resolve(root, name)?,
        None => {
            let home = user::home_of(root, given.uid())?;
            User {
                uid: given.uid(),
                gid: given.gid(),
                groups: Vec::new(),
                required: Vec::new(),
                keep_groups: false,
                home,
            }
        }
    };
    // Asked for, so not to be dropped in silence.
    user.required.extend(given.additional_gids().iter().flatten());
    Ok(user)
}

/// Let the user open /dev/stdout again, where it is a pipe of ours. Never a device: /dev/null is the host's.
fn own_pipes(user: &User) {
    if user.uid == 0 {
        return;
    }
    let uid = Some(Uid::from_raw(user.uid));
    for fd in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let is_pipe = rustix::fs::fstat(fd).is_ok_and(|found| {
            let kind = FileType::from_raw_mode(found.st_mode);
            // Major numbers 136 to 143 are pseudo-terminals: the container's own.
            kind == FileType::Fifo
                || kind == FileType::CharacterDevice && (136..=143).contains(&rustix::fs::major(found.st_rdev))
        });
        if is_pipe {
            // Fails in single-id mode, where there is only one owner.
            let _ = rustix::fs::fchown(fd, uid, None);
        }
    }
}

fn become_user(user: &User) -> Result<()> {
    let mut groups: Vec<Gid> = Vec::with_capacity(1 + user.groups.len() + user.required.len());
    // The primary group too: else a file that denies it is opened by dropping it (CVE-2022-2989).
    for gid in [user.gid].iter().chain(&user.groups).chain(&user.required) {
        let gid = Gid::from_raw(*gid);
        if !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    match if user.keep_groups { Ok(()) } else { rustix::thread::set_thread_groups(&groups) } {
        // In single-id mode setgroups is denied (CVE-2014-8989) and no other group is mapped: we keep those we have.
        Err(Errno::PERM | Errno::INVAL) if user.required.is_empty() => {}
        result => {
            let first = user.required.first().copied().unwrap_or(user.gid);
            result.map_err(|error| unmapped("group", first, error))?;
        }
    }
    let (old_uid, uid) = (rustix::process::geteuid(), Uid::from_raw(user.uid));
    if rustix::process::getegid().as_raw() != user.gid {
        set_gid(Gid::from_raw(user.gid)).map_err(|error| unmapped("group", user.gid, error))?;
    }
    if old_uid != uid {
        // Keeps the permitted set through the change, for the filter and for what the specification lets it have.
        rustix::thread::set_keep_capabilities(true).context("cannot keep capabilities")?;
        set_uid(uid).map_err(|error| unmapped("user", user.uid, error))?;
        let mut sets = rustix::thread::capabilities(None).context("cannot read the capabilities")?;
        sets.effective = sets.permitted;
        rustix::thread::set_capabilities(None, sets).context("cannot regain the capabilities")?;
    }
    Ok(())
}

fn unmapped(what: &str, id: u32, error: Errno) -> anyhow::Error {
    let deed = format!("cannot become {what} {id} in the container");
    match error {
        Errno::INVAL | Errno::PERM => Fault::new(Kind::Host, format!("{deed}: it is not among your ids"))
            .hint("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER")
            .into(),
        error => anyhow::Error::new(error).context(deed),
    }
}

fn drop_bounding(keep: u64) -> Result<()> {
    for number in 0..64 {
        if keep & 1 << number != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // One more than the last that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error).context("cannot drop capabilities"),
        }
    }
    Ok(())
}

fn set_capabilities(sets: Sets) -> Result<()> {
    // What a namespace does not have cannot be given; the kernel refuses to raise it (EPERM), and so do we.
    let new = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(sets.effective),
        permitted: CapabilitySet::from_bits_retain(sets.permitted),
        inheritable: CapabilitySet::from_bits_retain(sets.inheritable),
    };
    rustix::thread::set_capabilities(None, new).context("cannot set the capabilities")?;
    for number in (0..64).filter(|number| sets.ambient & 1 << number != 0) {
        rustix::thread::configure_capability_in_ambient_set(CapabilitySet::from_bits_retain(1 << number), true)
            .context("cannot set the ambient capabilities")?;
    }
    Ok(())
}

fn load(filter: Option<&seccomp::Loadable>, socket: BorrowedFd<'_>) -> Result<()> {
    let Some(filter) = filter else { return Ok(()) };
    if filter.has_listener() {
        return notify::load(filter, socket);
    }
    sys::seccomp::load(&filter.program, filter.flags).context("cannot load the seccomp filter")?;
    Ok(())
}

/// The folder to start in, for `exec`: it has to exist.
pub(super) fn enter_existing(root: &Root, process: &Process) -> Result<()> {
    enter_working_folder(working_folder(root, process, Missing::Refuse)?.as_fd())
}
