//! UDP: a socket in the container for each client, so that answers find their way; idle ones go after a while.

use super::slab::Slab;
use super::target::Target;
use super::{Token, is_scarcity};
use crate::base::timing;
use crate::network::Listener;
use crate::sys::net::{self, Local};
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// Clients at one time; the one that was silent the longest makes room.
pub(super) const MAX_SESSIONS: usize = 1024;
/// A client that was silent for so long is forgotten, as docker does.
const IDLE: i64 = 90 * 1_000_000_000;
/// How often idle ones are looked for, in milliseconds.
const SWEEP_INTERVAL: i64 = 10_000;
/// The largest datagram.
const BUFFER_SIZE: usize = 65536;
/// Datagrams taken from one socket before others have their turn.
const ROUNDS: usize = 64;

#[derive(Debug)]
struct Session {
    socket: OwnedFd,
    /// Which listener, and who sent to it.
    key: (usize, SocketAddr),
    /// The host's address that was sent to.
    local: Option<Local>,
    used: i64,
}

/// All UDP clients.
#[derive(Debug)]
pub(super) struct Udp {
    sessions: Slab<Session>,
    by_client: HashMap<(usize, SocketAddr), usize>,
    target: Target,
    buffer: Vec<u8>,
    swept: i64,
}

impl Udp {
    /// `needed`: whether any port is UDP; without, no memory is taken.
    pub(super) fn new(target: Target, needed: bool) -> Self {
        let buffer = if needed { vec![0; BUFFER_SIZE] } else { Vec::new() };
        Self { sessions: Slab::new(), by_client: HashMap::new(), target, buffer, swept: timing::now() }
    }

    /// How long to wait at most before [`Udp::sweep`] has work, in milliseconds.
    pub(super) fn sweep_interval(&self) -> Option<i64> {
        (self.sessions.len() > 0).then_some(SWEEP_INTERVAL)
    }

    /// Datagrams from outside.
    pub(super) fn ask(&mut self, epoll: &OwnedFd, index: usize, listener: &Listener) {
        let now = timing::now();
        for _ in 0..ROUNDS {
            let (length, client, local) = match net::receive(listener.socket.as_fd(), &mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // An ICMP error about an earlier answer.
                Err(_) => continue,
            };
            let key = (index, client);
            let session = match self.by_client.get(&key) {
                Some(session) => *session,
                None => match self.add(epoll, key, listener.container_port) {
                    Ok(session) => session,
                    Err(errno) if is_scarcity(errno) => return,
                    // The container has no network at the moment: lost, as datagrams may be.
                    Err(_) => continue,
                },
            };
            if let (Some(session), Some(bytes)) = (self.sessions.get_mut(session), self.buffer.get(..length)) {
                session.used = now;
                session.local = local;
                let _ = rustix::net::send(&session.socket, bytes, SendFlags::NOSIGNAL);
            }
        }
    }

    fn add(&mut self, epoll: &OwnedFd, key: (usize, SocketAddr), port: u16) -> Result<usize, Errno> {
        if self.sessions.len() >= MAX_SESSIONS {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(index, _)| index);
            if let Some(oldest) = oldest {
                self.remove(oldest);
            }
        }
        let (socket, _) = self.target.connect(SocketType::DGRAM, Some(key.1), port)?;
        let index = self.sessions.insert(Session { socket, key, local: None, used: 0 });
        if let Some(session) = self.sessions.get_mut(index)
            && let Err(errno) = epoll::add(epoll, &session.socket, Token::Udp(index).data(), EventFlags::IN)
        {
            self.sessions.remove(index);
            return Err(errno);
        }
        self.by_client.insert(key, index);
        Ok(index)
    }

    /// Answers from the container.
    pub(super) fn answer(&mut self, listeners: &[Listener], index: usize) {
        let now = timing::now();
        for _ in 0..ROUNDS {
            let Some(session) = self.sessions.get_mut(index) else { return };
            match rustix::net::recv(&session.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    session.used = now;
                    let (listener, client) = session.key;
                    if let (Some(listener), Some(bytes)) = (listeners.get(listener), self.buffer.get(..length)) {
                        let _ = net::send(listener.socket.as_fd(), bytes, client, session.local);
                    }
                }
                Err(Errno::AGAIN) => return,
                // Nobody listens in the container; reading the error has cleared it.
                Err(Errno::CONNREFUSED | Errno::INTR) => {}
                Err(_) => return self.remove(index),
            }
        }
    }

    /// Forget who was silent for long. Costs a reading of the clock, most of the time.
    pub(super) fn sweep(&mut self) {
        self.sessions.settle();
        if self.sessions.len() == 0 {
            return;
        }
        let now = timing::now();
        if now - self.swept < SWEEP_INTERVAL * 1_000_000 {
            return;
        }
        self.swept = now;
        let idle: Vec<usize> =
            self.sessions.iter().filter(|(_, session)| now - session.used > IDLE).map(|(index, _)| index).collect();
        for index in idle {
            self.remove(index);
        }
    }

    /// Forget all clients.
    pub(super) fn forget_all(&mut self) {
        let all: Vec<usize> = self.sessions.iter().map(|(index, _)| index).collect();
        all.into_iter().for_each(|index| self.remove(index));
    }

    fn remove(&mut self, index: usize) {
        if let Some(session) = self.sessions.remove(index) {
            self.by_client.remove(&session.key);
        }
    }
}
