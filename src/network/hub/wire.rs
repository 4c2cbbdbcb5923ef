//! Lines of JSON over a socket, with at most one descriptor beside each.

use anyhow::{Context, Result};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The longest line.
const LIMIT: usize = 1 << 20;

/// Send a message.
pub(super) fn send(stream: &UnixStream, message: &impl Serialize, fd: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    let (mut rest, mut fds) = (bytes.as_slice(), fds.as_slice());
    while !rest.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        match rustix::net::sendmsg(stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = rest.get(sent..).unwrap_or_default();
                fds = &[];
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What one read brings: bytes into `buffer`, and a descriptor. `Ok(None)`: nothing now. Errors: the end.
pub(super) fn read(stream: &UnixStream, buffer: &mut Vec<u8>) -> Result<Option<Option<OwnedFd>>> {
    let mut bytes = vec![0; 16 << 10];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = match rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
        Ok(received) => received.bytes,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fd = fds.flatten().last();
    anyhow::ensure!(length > 0, "the other end has closed");
    buffer.extend(bytes.get(..length).unwrap_or_default());
    anyhow::ensure!(buffer.len() <= LIMIT, "a message is too long");
    Ok(Some(fd))
}

/// Take the first whole message out of a buffer.
pub(super) fn take<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> Result<Option<T>> {
    let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let message = serde_json::from_slice(buffer.get(..end).unwrap_or_default()).context("a message makes no sense");
    buffer.drain(..=end);
    message.map(Some)
}

/// Wait for the next message.
pub(super) fn receive<T: DeserializeOwned>(stream: &UnixStream, buffer: &mut Vec<u8>) -> Result<(T, Option<OwnedFd>)> {
    let mut fd = None;
    loop {
        if let Some(message) = take(buffer)? {
            return Ok((message, fd));
        }
        fd = read(stream, buffer)?.flatten().or(fd);
    }
}
