//! The gate of a container without a monitor: a socket in its folder, at which init waits to be told to go on.
//!
//! Init listens; the process that starts the container connects and says so, and hears on the same connection of what
//! init's last steps refuse, or by its end that the command was executed. As long as init has not executed the command
//! the socket takes connections, and not a moment longer: whether a container is created or runs is what the kernel
//! says ([`is_closed`]), not what somebody has written down.

use super::report::{self, Message};
use crate::base::error::{Kind, fault};
use crate::sys::{keyring, unix};
use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Connections that wait. A full queue only says that the gate is there.
const BACKLOG: i32 = 16;

fn socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | flags;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Make the gate at `path`, in a folder that only its owner can enter.
pub fn listen(path: &Path) -> Result<OwnedFd> {
    let deed = || format!("cannot listen on `{}`", path.display());
    let (address, _folder) = unix::address(path).with_context(deed)?;
    let socket = socket(SocketFlags::empty()).with_context(deed)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&address)?).with_context(deed)?;
    rustix::net::listen(&socket, BACKLOG).with_context(deed)?;
    Ok(socket)
}

fn connect(path: &Path, flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    let (address, _folder) = unix::address(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let socket = socket(flags)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(&address)?)?;
    Ok(socket)
}

/// Whether nobody waits behind the gate at `path`: the command was executed, or init has ended.
pub fn is_closed(path: &Path) -> bool {
    matches!(connect(path, SocketFlags::NONBLOCK), Err(Errno::CONNREFUSED | Errno::NOENT))
}

/// Open the gate at `path` and wait until the command was executed.
///
/// A seccomp listener that comes before that is handed to `listener`, with the connection, on which init waits.
///
/// Errors: those of [`super::Starting::start`]; [`Kind::WrongState`] where nobody waits.
pub fn open(path: &Path, listener: impl Fn(OwnedFd, BorrowedFd<'_>) -> Result<()>) -> Result<()> {
    let socket = connect(path, SocketFlags::empty()).map_err(|error| match error {
        Errno::CONNREFUSED | Errno::NOENT => fault(Kind::WrongState, "nobody waits to be started"),
        error => anyhow::Error::new(error).context(format!("cannot connect to `{}`", path.display())),
    })?;
    report::send_go(socket.as_fd(), &[])?;
    loop {
        match report::receive(socket.as_fd())? {
            Message::Listener(Some(fd)) => listener(fd, socket.as_fd())?,
            Message::End => return Ok(()),
            Message::Failed(error) => return Err(error),
            _ => return Err(fault(Kind::Other, "the container's init answered out of turn")),
        }
    }
}

/// What init does before it is left alone.
pub(super) fn prepare(keyring: Option<&CStr>) -> Result<()> {
    let Some(name) = keyring else { return Ok(()) };
    match keyring::join_session(name) {
        // A kernel without keyrings, or a container around us whose filter forbids them, has no keys to lend either.
        Err(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => Ok(()),
        result => result.context("cannot make a session keyring for the container: see `--no-new-keyring`"),
    }
}

/// Init waits until somebody says to go on: their connection. Those who only look are let go.
pub(super) fn await_opening(gate: BorrowedFd<'_>) -> Result<OwnedFd> {
    loop {
        let connection = match rustix::net::accept_with(gate, SocketFlags::CLOEXEC) {
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            connection => connection.context("cannot wait for the start of the container")?,
        };
        if let Ok(Message::Go(_)) = report::receive(connection.as_fd()) {
            return Ok(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{self, Fork};

    #[test]
    fn looking_opens_nothing_and_an_error_comes_to_who_opens() {
        alone!();
        let folder = std::env::temp_dir().join(format!("box-gate-{}", crate::base::id::ContainerId::random()));
        let folder = folder.join("x".repeat(100));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("gate");
        assert!(is_closed(&path));
        let gate = listen(&path).unwrap();
        let child = match process::fork().unwrap() {
            Fork::Child => {
                let opened = await_opening(gate.as_fd());
                drop(gate);
                if let Ok(socket) = opened {
                    report::send_failed(socket.as_fd(), &fault(Kind::CommandNotFound, "no such command"));
                }
                process::exit_now(0)
            }
            Fork::Parent(pid) => pid,
        };
        drop(gate);
        for _ in 0..40 {
            assert!(!is_closed(&path));
        }
        let error = open(&path, |_, _| Ok(())).unwrap_err();
        assert_eq!(crate::base::error::kind(&error), Kind::CommandNotFound);
        process::wait(child).unwrap();
        assert!(is_closed(&path));
        assert_eq!(crate::base::error::kind(&open(&path, |_, _| Ok(())).unwrap_err()), Kind::WrongState);
        crate::base::fs::remove_tree(folder.parent().unwrap()).unwrap();
    }
}
