//! Becoming root among one's own.
//!
//! **U0** is one user namespace per user that maps the caller to 0 and the caller's subordinate ids above it. The
//! first command makes it, with `newuidmap` and `newgidmap` side by side; later ones join it by setns(2), which
//! skips two setuid programs. A holder (`sys::holder`) keeps it alive while any process of box is in it, and ten
//! seconds longer.
//!
//! ```text
//! $XDG_RUNTIME_DIR/box/
//!   holder         text: "PID full" or "PID single REASON"
//!   holder.fifo    read by the holder; held open for writing by whoever is in U0
//!   holder.lock    held while U0 is made
//! ```
//!
//! Real root needs no namespace: the same commands work, without all this.

mod holder;
mod known;
mod subid;

pub use known::changed;
pub use subid::{Range, user_name};

use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind};
use crate::base::lock::{Lock, Share};
use crate::base::program;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Which ids a process of box has at its disposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// Root of the host, or of a namespace that somebody else made: no namespace of ours.
    Root,
    /// The caller as 0 and its subordinate ids above.
    Full,
    /// The caller as 0 and nobody else, for this reason.
    Single(String),
}

/// What it takes to stay in U0: while this is open, the holder stays.
#[derive(Debug)]
pub struct Membership {
    /// Which ids there are.
    pub ids: Ids,
    /// Whether this very call has made U0; then a fallback is worth a warning.
    pub fresh: bool,
    /// The caller's uid outside.
    caller: u32,
    /// The FIFO's writing end. Forked children share it, exec closes it.
    #[expect(dead_code, reason = "held open: that is all it does")]
    presence: Option<OwnedFd>,
}

/// The ranges of the host's ids that U0 maps for a caller, in the order in which it has them: its own id as 0, then its
/// subordinate ones; users, then groups. Real root has all.
pub fn own_ranges(caller: (u32, u32)) -> (Vec<Range>, Vec<Range>) {
    if caller.0 == 0 {
        let all = vec![Range { start: 0, count: u32::MAX }];
        return (all.clone(), all);
    }
    let name = subid::user_name(caller.0);
    let with = |own: u32, file: &str| {
        let further = subid::ranges(Path::new(file), caller.0, name.as_deref());
        [Range { start: own, count: 1 }].into_iter().chain(further).collect()
    };
    (with(caller.0, "/etc/subuid"), with(caller.1, "/etc/subgid"))
}

/// The subordinate ranges of somebody by name: users, then groups.
pub fn named_ranges(users: &str, groups: &str) -> (Vec<Range>, Vec<Range>) {
    (subid::named(Path::new("/etc/subuid"), users), subid::named(Path::new("/etc/subgid"), groups))
}

/// Whether this process is root already, with all rights over its own namespace.
pub fn is_root() -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN))
}

/// Become 0 in U0. The process must be single-threaded; after this it stays there.
///
/// `residents` names processes that are in U0 if they live, such as monitors. They are asked when there is no holder:
/// one that was killed is replaced in the same namespace, so that running containers stay within reach.
///
/// Errors: user namespaces are forbidden on this host (with the fix), or the run folder cannot be written.
pub fn enter(dirs: &Dirs, residents: &dyn Fn() -> Vec<i32>) -> Result<Membership> {
    let caller = rustix::process::getuid().as_raw();
    if is_root() {
        return Ok(Membership { ids: Ids::Root, fresh: false, caller, presence: None });
    }
    if let Some(membership) = join(dirs, caller)? {
        return Ok(membership);
    }
    let _making = Lock::acquire(&dirs.run.join("holder.lock"), Share::Exclusive)?;
    if let Some(membership) = join(dirs, caller)? {
        return Ok(membership);
    }
    if let Some(namespace) = residents().into_iter().find_map(|pid| open_user_namespace(pid, caller)) {
        step_into(&namespace).context("cannot join your user namespace")?;
        let (ids, presence) = holder::hold_current(dirs)?;
        return Ok(Membership { ids, fresh: false, caller, presence: Some(presence) });
    }
    holder::make(dirs, caller)?;
    match join(dirs, caller)? {
        Some(membership) => Ok(Membership { fresh: true, ..membership }),
        None => Err(Fault::new(Kind::Host, "the namespace holder ended at once").into()),
    }
}

/// Forget U0: the next [`enter`] makes another, by the subordinate ids of that time, if nobody is in this one any more.
/// Its holder ends by itself, ten seconds after the last user.
pub fn leave(dirs: &Dirs) -> Result<()> {
    let _making = Lock::acquire(&dirs.run.join("holder.lock"), Share::Exclusive)?;
    let path = dirs.run.join("holder.fifo");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// Join U0 if its holder lives.
fn join(dirs: &Dirs, caller: u32) -> Result<Option<Membership>> {
    // Opening for writing succeeds only while somebody reads: the holder. So a dead one is never believed.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Ok(presence) = rustix::fs::open(dirs.run.join("holder.fifo"), flags, Mode::empty()) else { return Ok(None) };
    let _ = rustix::io::write(&presence, b"+");
    let Some((pid, ids)) = read_holder(dirs) else { return Ok(None) };
    let Some(namespace) = open_user_namespace(pid, caller) else { return Ok(None) };
    step_into(&namespace).context("cannot join your user namespace")?;
    Ok(Some(Membership { ids, fresh: false, caller, presence: Some(presence) }))
}

/// Who holds, and which ids it has.
fn read_holder(dirs: &Dirs) -> Option<(i32, Ids)> {
    let bytes = crate::base::fs::read_limited(&dirs.run.join("holder"), 4096).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut words = text.trim_end().splitn(3, ' ');
    let pid = words.next()?.parse().ok()?;
    match words.next()? {
        "full" => Some((pid, Ids::Full)),
        "single" => Some((pid, Ids::Single(words.next().unwrap_or_default().to_owned()))),
        _ => None,
    }
}

/// The user namespace of a process, if the caller made it: a stale pid that is another's is not believed.
fn open_user_namespace(pid: i32, caller: u32) -> Option<OwnedFd> {
    let path = format!("/proc/{pid}/ns/user");
    let namespace = rustix::fs::open(Path::new(&path), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    (crate::sys::namespace::owner_uid(&namespace).ok()? == caller).then_some(namespace)
}

/// Go into a user namespace and be its 0.
fn step_into(namespace: &OwnedFd) -> std::io::Result<()> {
    crate::sys::namespace::setns(namespace.as_fd(), rustix::thread::UnshareFlags::NEWUSER.bits() as i32)?;
    crate::sys::namespace::set_ids(0, 0)?;
    // The change of ids has made us undumpable, and our /proc files root's; nothing foreign runs in U0's host part.
    crate::sys::process::set_dumpable(true)
}

impl Membership {
    /// The line to print once when fewer ids than usual are at hand, with its fix.
    pub fn warning(&self) -> Option<Fault> {
        let Ids::Single(reason) = &self.ids else { return None };
        if !self.fresh {
            return None;
        }
        let user = subid::user_name(self.caller).unwrap_or_else(|| "$USER".into());
        let text = format!("only one user id is available ({reason}), so images that use other users may fail");
        let fault = Fault::new(Kind::Host, text);
        Some(if reason.contains("range") {
            fault.hint(format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"))
        } else if reason.contains("no_new_privs") {
            fault.hint("start box from a shell or service that does not forbid new privileges")
        } else if reason.contains("setuid") {
            fault.hint("sudo chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap")
        } else {
            let names = [("dnf", "shadow-utils"), ("pacman", "shadow"), ("zypper", "shadow"), ("apk", "shadow-uidmap")];
            fault.hint(program::how_to_install("uidmap", &names))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{self, Ended, Fork};

    /// Run `body` in a forked child, which may change its namespaces, and expect it to succeed.
    fn in_child(body: impl FnOnce() -> Result<()>) {
        match process::fork().unwrap() {
            Fork::Child => {
                let code = match body() {
                    Ok(()) => 0,
                    Err(error) => {
                        let _ = rustix::io::write(rustix::stdio::stderr(), format!("{error:#}\n").as_bytes());
                        1
                    }
                };
                process::exit_now(code)
            }
            Fork::Parent(pid) => assert_eq!(process::wait(pid).unwrap(), Ended::Exited(0)),
        }
    }

    #[test]
    fn the_second_command_joins_what_the_first_has_made() {
        alone!();
        if is_root() {
            return in_child(|| {
                let dirs = Dirs { data: "/nonexistent".into(), run: "/nonexistent".into() };
                anyhow::ensure!(enter(&dirs, &Vec::new)?.ids == Ids::Root, "root needs no namespace");
                Ok(())
            });
        }
        let run = std::env::temp_dir().join(format!("box-u0-{}", crate::base::id::ContainerId::random().short()));
        std::fs::create_dir(&run).unwrap();
        let dirs = Dirs { data: run.clone(), run: run.clone() };
        let namespace = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        let before = namespace("user");
        for fresh in [true, false] {
            in_child(|| {
                let membership = enter(&dirs, &Vec::new)?;
                anyhow::ensure!(membership.fresh == fresh, "made anew: {}", membership.fresh);
                anyhow::ensure!(rustix::process::getuid().is_root(), "not root inside");
                anyhow::ensure!(namespace("user") != before, "still outside");
                anyhow::ensure!(std::fs::metadata("/proc/self/fd/0").is_ok(), "own /proc is closed to us");
                Ok(())
            });
        }
        let pid = read_holder(&dirs).unwrap().0;
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        assert!(maps.lines().count() < 8, "the holder is more than a few pages:\n{maps}");
        // Dead, and not only doomed: until then it can be joined.
        let holder = crate::sys::proc::open(pid, crate::sys::proc::start_time(pid).unwrap()).unwrap();
        assert!(crate::sys::proc::kill_and_wait(&holder, 10_000));
        in_child(|| {
            let membership = enter(&dirs, &Vec::new)?;
            anyhow::ensure!(membership.fresh, "a killed holder was believed");
            Ok(())
        });
        let pid = read_holder(&dirs).unwrap().0;
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        crate::base::fs::remove_tree(&run).unwrap();
    }
}
