//! A client over TCP: messages with their length before them, one after the other (RFC 7766).

use super::TCP_LIMIT;
use crate::base::timing;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Nanoseconds that a client may be silent, or not take its answers.
const PATIENCE: i64 = 10_000_000_000;
/// Questions that one client may have under way, in bytes read.
const MAX_INCOMING: usize = 4096;

/// A message with its length.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = message.len().min(TCP_LIMIT) as u16;
    [&length.to_be_bytes(), message.get(..usize::from(length)).unwrap_or_default()].concat()
}

/// Take the first whole message out of what has come.
pub(super) fn take_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    let message = bytes.get(2..2 + length)?.to_vec();
    bytes.drain(..2 + length);
    Some(message)
}

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    pub(super) from: IpAddr,
    /// The network that it asks on.
    pub(super) network: String,
    pub(super) deadline: i64,
    pub(super) gone: bool,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Client {
    pub(super) fn new(socket: OwnedFd, from: IpAddr, network: String) -> Self {
        let deadline = timing::now() + PATIENCE;
        Self { socket, from, network, deadline, gone: false, incoming: Vec::new(), outgoing: Vec::new() }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn wanted(&self) -> PollFlags {
        if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::OUT }
    }

    /// Send and take what can be sent and taken: the questions that are whole.
    pub(super) fn ready(&mut self) -> Vec<Vec<u8>> {
        if !self.outgoing.is_empty() {
            self.flush();
            return Vec::new();
        }
        let mut buffer = [0; 2048];
        match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => self.gone = true,
            Ok((length, _)) => self.incoming.extend(buffer.get(..length).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.gone = true,
        }
        let mut questions = Vec::new();
        while let Some(question) = take_frame(&mut self.incoming) {
            questions.push(question);
        }
        // No question is longer, whatever its length claims.
        self.gone |= self.incoming.len() > MAX_INCOMING;
        if !questions.is_empty() {
            self.deadline = timing::now() + PATIENCE;
        }
        questions
    }

    /// Send an answer, now or as the client takes it.
    pub(super) fn answer(&mut self, message: &[u8]) {
        self.outgoing.extend(framed(message));
        self.gone |= self.outgoing.len() > 4 * TCP_LIMIT;
        self.flush();
    }

    fn flush(&mut self) {
        match rustix::net::send(&self.socket, &self.outgoing, SendFlags::NOSIGNAL) {
            Ok(length) => {
                self.outgoing.drain(..length);
                self.deadline = timing::now() + PATIENCE;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.gone = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let mut bytes = [framed(b"abc"), framed(b""), framed(b"d")].concat();
        bytes.truncate(bytes.len() - 1);
        assert_eq!(take_frame(&mut bytes), Some(b"abc".to_vec()));
        assert_eq!(take_frame(&mut bytes), Some(Vec::new()));
        assert_eq!((take_frame(&mut bytes), bytes.len()), (None, 2));
    }
}
