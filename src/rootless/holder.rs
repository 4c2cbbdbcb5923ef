//! Making U0 and its holder: fork, unshare, map, exec of the smallest program there is.

use super::Ids;
use super::subid::{self, Range};
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind};
use crate::base::fs::{Durability, replace};
use crate::base::program;
use crate::sys::process::{self, Fork};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Make U0 with a holder in it and publish it in the run folder. The caller holds `holder.lock`.
pub(super) fn make(dirs: &Dirs, caller: u32) -> Result<()> {
    let fifo = Fifo::new(dirs)?;
    let (mut from_child, mut to_parent) = pipe()?;
    let (mut from_parent, mut to_child) = pipe()?;
    let pid = match process::fork().context("cannot make the namespace holder")? {
        Fork::Child => {
            let made = crate::sys::namespace::unshare(rustix::thread::UnshareFlags::NEWUSER.bits() as i32);
            let errno = made.err().map_or(0, |error| error.raw_os_error().unwrap_or(Errno::PERM.raw_os_error()));
            let _ = to_parent.write_all(&errno.to_le_bytes());
            drop(to_child);
            let mut go = [0];
            if errno != 0 || from_parent.read_exact(&mut go).is_err() {
                process::exit_now(1);
            }
            let _ = crate::sys::namespace::set_ids(0, 0);
            become_holder(fifo.reading)
        }
        Fork::Parent(pid) => pid,
    };
    drop((to_parent, from_parent));
    let mut errno = [0; 4];
    from_child.read_exact(&mut errno).context("the namespace holder died")?;
    match i32::from_le_bytes(errno) {
        0 => {}
        errno => {
            let _ = process::wait(pid);
            return Err(forbidden(errno));
        }
    }
    let ids = map(pid, caller)?;
    to_child.write_all(b"g").context("the namespace holder died")?;
    // Ends when the exec closes the child's end: from then on the holder can be joined.
    let _ = from_child.read(&mut [0]);
    fifo.publish(dirs, pid, &ids)
}

/// Make a holder for the user namespace that this process is in, as 0. Returns its ids and our presence there.
pub(super) fn hold_current(dirs: &Dirs) -> Result<(Ids, OwnedFd)> {
    let map = std::fs::read_to_string("/proc/self/uid_map").context("cannot read the user namespace's map")?;
    let ids = match map.lines().count() {
        0 | 1 => Ids::Single("as when it was made".into()),
        _ => Ids::Full,
    };
    let fifo = Fifo::new(dirs)?;
    let presence = rustix::io::fcntl_dupfd_cloexec(&fifo.writing, 3).context("cannot hold the namespace")?;
    match process::fork().context("cannot make the namespace holder")? {
        Fork::Child => become_holder(fifo.reading),
        Fork::Parent(pid) => fifo.publish(dirs, pid, &ids)?,
    }
    Ok((ids, presence))
}

/// The FIFO by which the holder knows of its users, not yet under its name.
struct Fifo {
    path: PathBuf,
    reading: OwnedFd,
    /// Held until the maker has joined, so that the holder never sees a moment without users.
    writing: OwnedFd,
}

impl Fifo {
    fn new(dirs: &Dirs) -> Result<Self> {
        let path = dirs.run.join("holder.fifo.new");
        let deed = || format!("cannot make `{}`", path.display());
        let _ = std::fs::remove_file(&path);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .with_context(deed)?;
        let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let reading = rustix::fs::open(&path, flags | OFlags::RDONLY, Mode::empty()).with_context(deed)?;
        let writing = rustix::fs::open(&path, flags | OFlags::WRONLY, Mode::empty()).with_context(deed)?;
        Ok(Self { path, reading, writing })
    }

    /// Tell other commands. The pid first: whoever finds the FIFO alive reads it.
    fn publish(self, dirs: &Dirs, pid: i32, ids: &Ids) -> Result<()> {
        let text = match ids {
            Ids::Single(reason) => format!("{pid} single {reason}\n"),
            _ => format!("{pid} full\n"),
        };
        replace(&dirs.run.join("holder"), text.as_bytes(), Durability::Cached)?;
        let name = dirs.run.join("holder.fifo");
        std::fs::rename(&self.path, &name).with_context(|| format!("cannot make `{}`", name.display()))?;
        // One byte stays in the FIFO, so that the holder looks again after we have gone.
        let _ = rustix::io::write(&self.writing, b"+");
        Ok(())
    }
}

/// In the forked child: let go of everything and become the holder's program. Does not return.
fn become_holder(fifo: OwnedFd) -> ! {
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    // `fifo` must be at 3, and nothing else above it.
    if let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    let _ = process::close_on_exec_from(3);
    if let Ok(program) = memfd() {
        process::place_at(fifo.as_fd(), 3);
        process::fexecve(program.as_fd(), &[CString::from(c"box-holder")], &[]);
    }
    // Where memfds cannot be executed (vm.memfd_noexec), the fork itself waits: the same, in more memory.
    wait_as_holder(&fifo)
}

/// The holder's program in an unexecutable, sealed place of its own, high enough not to be descriptor 3.
fn memfd() -> rustix::io::Result<OwnedFd> {
    use rustix::fs::MemfdFlags;
    let file = rustix::fs::memfd_create("box-holder", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    File::from(file.try_clone().map_err(|_| Errno::MFILE)?)
        .write_all(&crate::sys::holder::program())
        .map_err(|_| Errno::IO)?;
    rustix::io::fcntl_dupfd_cloexec(&file, 10)
}

fn wait_as_holder(fifo: &OwnedFd) -> ! {
    use rustix::event::{PollFd, PollFlags, poll};
    loop {
        let mut fds = [PollFd::new(fifo, PollFlags::IN)];
        let _ = poll(&mut fds, None);
        if fds[0].revents().contains(PollFlags::IN) {
            let _ = rustix::io::read(fifo, &mut [0; 512]);
            continue;
        }
        let ten_seconds = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        let _ = poll(&mut [], Some(&ten_seconds));
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(fifo, PollFlags::IN)];
        if poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0) && !fds[0].revents().contains(PollFlags::IN) {
            process::exit_now(0);
        }
    }
}

/// Map the ids of the child's new namespace: all that the caller has, or one with the reason.
fn map(pid: i32, caller: u32) -> Result<Ids> {
    let reason = match map_full(pid, caller) {
        Ok(()) => return Ok(Ids::Full),
        Err(reason) => reason,
    };
    let group = rustix::process::getgid().as_raw();
    let write = |file: &str, text: String| {
        std::fs::write(format!("/proc/{pid}/{file}"), text).map_err(|error| match error.raw_os_error() {
            Some(errno) if file != "setgroups" => forbidden(errno),
            _ => anyhow::Error::new(error).context(format!("cannot write /proc/{pid}/{file}")),
        })
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("0 {caller} 1"))?;
    write("gid_map", format!("0 {group} 1"))?;
    Ok(Ids::Single(reason))
}

/// Run newuidmap and newgidmap side by side. Errors: why not, in a few words.
fn map_full(pid: i32, caller: u32) -> Result<(), String> {
    let name = subid::user_name(caller);
    let uids = subid::ranges(Path::new("/etc/subuid"), caller, name.as_deref());
    let gids = subid::ranges(Path::new("/etc/subgid"), caller, name.as_deref());
    if uids.is_empty() || gids.is_empty() {
        let file = if uids.is_empty() { "/etc/subuid" } else { "/etc/subgid" };
        return Err(format!("{file} has no range for `{}`", name.unwrap_or_else(|| caller.to_string())));
    }
    let group = rustix::process::getgid().as_raw();
    let first = start("newuidmap", pid, caller, &uids)?;
    let second = start("newgidmap", pid, group, &gids);
    // Both are waited for, whatever happened to either.
    let first = finish("newuidmap", first);
    let second = second.and_then(|child| finish("newgidmap", child));
    first.and(second)
}

fn start(tool: &str, pid: i32, id: u32, ranges: &[Range]) -> Result<Child, String> {
    let Some(path) = program::find(tool) else { return Err(format!("{tool} is missing")) };
    Command::new(path)
        .arg(pid.to_string())
        .args(subid::map_arguments(id, ranges))
        .env_clear()
        .env("PATH", program::search_path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{tool} cannot run: {error}"))
}

fn finish(tool: &str, child: Child) -> Result<(), String> {
    let output = child.wait_with_output().map_err(|error| format!("{tool}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    if line.contains("Operation not permitted") {
        let no_new_privs = rustix::thread::no_new_privs().unwrap_or(false);
        let why = if no_new_privs { "no_new_privs is set by the parent process" } else { "it is not setuid root" };
        return Err(format!("{tool} may not write the map: {why}"));
    }
    Err(if line.is_empty() { format!("{tool} failed") } else { line })
}

/// Why the kernel refused a user namespace, with the fix.
fn forbidden(errno: i32) -> anyhow::Error {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let fault = |text: &str| Fault::new(Kind::Host, format!("this host does not allow user namespaces ({text})"));
    let cause = std::io::Error::from_raw_os_error(errno);
    if read("/proc/sys/user/max_user_namespaces") == "0" {
        return fault("user.max_user_namespaces=0")
            .hint("sudo sysctl -w user.max_user_namespaces=28633")
            .because(cause);
    }
    if read("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        let fix = "sudo sysctl -w kernel.unprivileged_userns_clone=1";
        return fault("kernel.unprivileged_userns_clone=0").hint(fix).because(cause);
    }
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_else(|_| "box".into());
        let profile = format!(
            "printf 'abi <abi/4.0>,\\nprofile box {program} flags=(unconfined) {{ userns, }}\\n' | \
             sudo tee /etc/apparmor.d/box && sudo apparmor_parser -r /etc/apparmor.d/box"
        );
        return fault("AppArmor blocks them for programs without a profile").hint(profile).because(cause);
    }
    fault("the kernel or a container around us forbids them").because(cause)
}

/// A pipe, close-on-exec, of which the caller reads or writes one end as a file.
fn pipe() -> Result<(File, File)> {
    let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    Ok((File::from(reading), File::from(writing)))
}
