//! What init and its maker say to each other: one message a packet over a `SOCK_SEQPACKET` pair.
//!
//! ```text
//! maker → init    M                 the id maps are written (only for a user namespace of its own)
//!                 L                 the agent has the listener
//!                 G filter          the gate: go on, with this compiled seccomp program (may be empty)
//!                 C                 the hooks of the maker's side have run
//! init  → maker   N + fd            its network namespace, as soon as it is there (only if it is a new one)
//!                 C                 all is mounted: now the hooks before the root is entered (only if there are any)
//!                 R phases [+ fd]   ready, with timing phases and the terminal's master
//!                 L + fd            the listener of its filter, for the agent
//!                 E error           an error (`base::error::encode`), and init ends
//!                 (end of file)     the command was executed, or init died
//! ```

use crate::base::error::{self, Kind, fault};
use crate::base::timing;
use anyhow::{Context, Result};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longer texts are cut: a packet must fit.
const MAX_TEXT: usize = 4096;
/// The largest packet: a seccomp program of 4096 instructions of 8 bytes, and some.
const MAX_PACKET: usize = 40 << 10;

/// A message.
#[derive(Debug)]
pub enum Message {
    /// The id maps are written.
    Mapped,
    /// The container's environment is there, and the hooks' turn has come; or in answer, it is over.
    Created,
    /// The gate is open; the bytes of the seccomp program.
    Go(Vec<u8>),
    /// Init's network namespace.
    Network(OwnedFd),
    /// The listener of init's filter; from the maker, without it: it was delivered.
    Listener(Option<OwnedFd>),
    /// Init waits at the gate.
    Ready(Option<OwnedFd>),
    /// Init has failed.
    Failed(anyhow::Error),
    /// The other side is gone, or has executed the command.
    End,
}

/// A connected pair, close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .context("cannot make a socket pair")
}

/// Send one packet, with a descriptor if given.
fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    }
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Tell init that its id maps are written.
pub fn send_mapped(socket: BorrowedFd<'_>) -> Result<()> {
    send(socket, b"M", None).context("cannot reach the container's init")
}

/// Say that the hooks' turn has come, or is over.
pub fn send_created(socket: BorrowedFd<'_>) -> Result<()> {
    send(socket, b"C", None).context("cannot reach the other side of the container's start")
}

/// Open the gate. EPIPE is left to the receive that follows, which has the reason.
pub fn send_go(socket: BorrowedFd<'_>, filter: &[u8]) -> Result<()> {
    let mut bytes = Vec::with_capacity(1 + filter.len());
    bytes.push(b'G');
    bytes.extend_from_slice(filter);
    match send(socket, &bytes, None) {
        Err(error) if error != rustix::io::Errno::PIPE => Err(error).context("cannot reach the container's init"),
        _ => Ok(()),
    }
}

/// Say that init waits at the gate, with what it recorded of its timing.
pub fn send_ready(socket: BorrowedFd<'_>, master: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut bytes = vec![b'R'];
    if timing::enabled() {
        for (name, at) in timing::take() {
            push_text(&mut bytes, &name);
            bytes.extend_from_slice(&at.to_le_bytes());
        }
    }
    send(socket, &bytes, master).context("cannot reach the container's monitor")
}

/// Hand over the network namespace. Init is not dumpable soon, and then nobody can open it by our pid.
pub fn send_network(socket: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> Result<()> {
    send(socket, b"N", Some(namespace)).context("cannot reach the container's monitor")
}

/// Hand over the listener of our filter, or say that it was delivered.
pub fn send_listener(socket: BorrowedFd<'_>, listener: Option<BorrowedFd<'_>>) -> Result<()> {
    send(socket, b"L", listener).context("cannot reach the other side of the container's start")
}

/// Send bytes and a descriptor to somebody else: a seccomp agent.
pub fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    send(socket, bytes, Some(fd))
}

/// Report an error with its kind, its chain of causes and its hints.
pub fn send_failed(socket: BorrowedFd<'_>, error: &anyhow::Error) {
    let mut bytes = vec![b'E'];
    bytes.extend(error::encode(error));
    let _ = send(socket, &bytes, None);
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    bytes.extend_from_slice(&(end as u16).to_le_bytes());
    bytes.extend_from_slice(&text.as_bytes()[..end]);
}

/// Wait for the next message. Phases in it are recorded.
pub fn receive(socket: BorrowedFd<'_>) -> Result<Message> {
    let mut bytes = vec![0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket.as_fd(), &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received.bytes,
            Err(rustix::io::Errno::INTR) => {}
            // Init died with our last message unread: the same as its end.
            Err(rustix::io::Errno::CONNRESET) => break 0,
            Err(error) => return Err(error).context("cannot hear from the container's init"),
        }
    };
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    bytes.truncate(length);
    Ok(match bytes.split_first() {
        None => Message::End,
        Some((b'M', _)) => Message::Mapped,
        Some((b'L', _)) => Message::Listener(fd),
        Some((b'C', _)) => Message::Created,
        Some((b'G', filter)) => Message::Go(filter.to_vec()),
        Some((b'R', phases)) => {
            record_phases(phases);
            Message::Ready(fd)
        }
        Some((b'E', bytes)) => Message::Failed(error::decode(bytes)),
        Some((b'N', _)) => match fd {
            Some(fd) => Message::Network(fd),
            None => return Err(fault(Kind::Other, "the container's init sent no network namespace")),
        },
        Some(_) => return Err(fault(Kind::Other, "the container's init sent a message of an unknown kind")),
    })
}

fn record_phases(mut bytes: &[u8]) {
    while let Some((name, rest)) = take_text(bytes) {
        let Some((at, rest)) = rest.split_first_chunk::<8>() else { return };
        timing::record(&name, i64::from_le_bytes(*at));
        bytes = rest;
    }
}

fn take_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((String::from_utf8_lossy(text).into_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::{Fault, kind};

    #[test]
    fn an_error_arrives_with_its_kind_causes_and_hints() {
        let (a, b) = pair().unwrap();
        let sent = Fault::new(Kind::CommandNotFound, "cannot run `x`")
            .hint("box run … sh")
            .because(anyhow::Error::msg("no such file").context("looked in `/bin`"));
        send_failed(a.as_fd(), &sent);
        let Message::Failed(error) = receive(b.as_fd()).unwrap() else { panic!("not an error") };
        assert_eq!(kind(&error), Kind::CommandNotFound);
        assert_eq!(format!("{error:#}"), "cannot run `x`: looked in `/bin`: no such file");
        assert_eq!(error.downcast_ref::<Fault>().unwrap().hints, ["box run … sh"]);
    }

    #[test]
    fn a_descriptor_and_the_filter_arrive() {
        let (a, b) = pair().unwrap();
        send_ready(a.as_fd(), Some(a.as_fd())).unwrap();
        assert!(matches!(receive(b.as_fd()).unwrap(), Message::Ready(Some(_))));
        send_go(b.as_fd(), &[1, 2, 3]).unwrap();
        assert!(matches!(receive(a.as_fd()).unwrap(), Message::Go(bytes) if bytes == [1, 2, 3]));
        drop(a);
        assert!(matches!(receive(b.as_fd()).unwrap(), Message::End));
    }
}
