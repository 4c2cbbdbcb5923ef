//! Console sockets: the master of a terminal goes to whoever asked for it, by `SCM_RIGHTS`, as runc sends it.
//!
//! See <https://github.com/opencontainers/runc/blob/main/docs/terminals.md>.

use crate::sys::unix;
use anyhow::{Context, Result};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Connect to the console socket `path`: before anything is made, so that a wrong one costs nothing.
pub(super) fn connect(path: &Path) -> Result<OwnedFd> {
    let deed = || format!("cannot connect to console socket `{}`", path.display());
    let (address, _folder) = unix::address(path).with_context(deed)?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let socket = socket.with_context(deed)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(&address)?).with_context(deed)?;
    Ok(socket)
}

/// Send a terminal's master.
pub(super) fn send(socket: &OwnedFd, master: OwnedFd) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let masters = [master.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&masters));
    // The name is there for people; at least one byte must be.
    rustix::net::sendmsg(socket, &[IoSlice::new(b"/dev/ptmx")], &mut ancillary, SendFlags::NOSIGNAL)
        .map(drop)
        .context("cannot send the terminal over the console socket")
}
