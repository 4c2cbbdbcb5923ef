//! A question that is asked above: by UDP, and by TCP where the answer was cut and the client can take it whole.

use super::packet::{self, HEADER, Query};
use super::{Asker, TCP_LIMIT, UDP_LIMIT};
use crate::base::timing;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Nanoseconds until the next server is asked.
const PATIENCE: i64 = 1_000_000_000;
/// How often servers are asked in all.
const ATTEMPTS: usize = 4;

/// A question under way.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) asker: Asker,
    /// The asker's address.
    pub(super) from: IpAddr,
    pub(super) deadline: i64,
    query: Query,
    bytes: Vec<u8>,
    servers: Vec<IpAddr>,
    asked: usize,
    socket: OwnedFd,
    over_tcp: bool,
    /// What is still to be sent, and what came, over TCP.
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Relay {
    /// Ask the first server that can be asked.
    pub(super) fn new(asker: Asker, from: IpAddr, query: Query, bytes: Vec<u8>, servers: Vec<IpAddr>) -> Option<Self> {
        let (first, socket) =
            servers.iter().enumerate().find_map(|(index, server)| Some((index, ask(*server, &bytes).ok()?)))?;
        Some(Self {
            asker,
            from,
            deadline: timing::now() + PATIENCE,
            query,
            bytes,
            servers,
            asked: first + 1,
            socket,
            over_tcp: false,
            outgoing: Vec::new(),
            incoming: Vec::new(),
        })
    }

    /// Ask the next server, round and round; false after enough attempts.
    pub(super) fn next_server(&mut self) -> bool {
        while self.asked < ATTEMPTS.max(self.servers.len()) {
            let server = self.servers.get(self.asked % self.servers.len().max(1));
            self.asked += 1;
            if let Some(socket) = server.and_then(|server| ask(*server, &self.bytes).ok()) {
                self.socket = socket;
                self.over_tcp = false;
                self.deadline = timing::now() + PATIENCE;
                return true;
            }
        }
        false
    }

    pub(super) fn failure(&self) -> Vec<u8> {
        self.query.answer(packet::SERVER_FAILURE, &[], UDP_LIMIT)
    }

    pub(super) fn wanted(&self) -> PollFlags {
        if self.outgoing.is_empty() { PollFlags::IN } else { PollFlags::OUT }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Something has come: the answer, once it is there. A server that fails is followed by the next.
    pub(super) fn ready(&mut self) -> Option<Vec<u8>> {
        let result = if self.over_tcp { self.ready_tcp() } else { self.ready_udp() };
        match result {
            Ok(answer) => answer,
            Err(_) => (!self.next_server()).then(|| self.failure()),
        }
    }

    fn ready_udp(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        let mut buffer = [0; 4096];
        let length = match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let answer = buffer.get(..length).unwrap_or_default();
        if !self.query.is_answered_by(answer) {
            return Ok(None);
        }
        let is_cut = answer.get(2).is_some_and(|flags| flags & 2 != 0);
        if is_cut && matches!(self.asker, Asker::Tcp(_)) {
            self.start_tcp()?;
            return Ok(None);
        }
        Ok(Some(answer.to_vec()))
    }

    fn start_tcp(&mut self) -> Result<(), Errno> {
        let server = self.servers.get((self.asked.max(1) - 1) % self.servers.len().max(1)).ok_or(Errno::INVAL)?;
        let socket = open(*server, SocketType::STREAM)?;
        match rustix::net::connect(&socket, &SocketAddr::new(*server, 53)) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        self.socket = socket;
        self.over_tcp = true;
        self.outgoing = super::tcp::framed(&self.bytes);
        self.incoming.clear();
        self.deadline = timing::now() + 2 * PATIENCE;
        Ok(())
    }

    fn ready_tcp(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        if !self.outgoing.is_empty() {
            match rustix::net::send(&self.socket, &self.outgoing, SendFlags::NOSIGNAL) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            return Ok(None);
        }
        let mut buffer = [0; 4096];
        match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => return Err(Errno::CONNRESET),
            Ok((length, _)) => self.incoming.extend(buffer.get(..length).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(errno) => return Err(errno),
        }
        let whole = super::tcp::take_frame(&mut self.incoming);
        Ok(whole
            .filter(|answer| answer.len() >= HEADER && answer.len() <= TCP_LIMIT && self.query.is_answered_by(answer)))
    }
}

fn open(server: IpAddr, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// Send a question by a socket of its own. Connected: nobody else's answers are heard, and refusals are.
fn ask(server: IpAddr, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let socket = open(server, SocketType::DGRAM)?;
    rustix::net::connect(&socket, &SocketAddr::new(server, 53))?;
    rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL)?;
    Ok(socket)
}
