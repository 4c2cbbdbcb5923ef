//! TCP: accept on the host, connect in the container, splice(2) both ways until both ends have said their last word.
//!
//! A half-close is passed on as a half-close, a reset as a reset. A connection at rest has two descriptors; a pipe is
//! taken from a pool when bytes come, and kept only while the other side cannot take them.

use super::slab::Slab;
use super::target::Target;
use super::{Token, is_scarcity};
use crate::base::timing;
use crate::network::{Listener, Protocol};
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, SocketType, sockopt};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Two sockets and two pipes.
const DESCRIPTORS_A_CONNECTION: usize = 6;
const MAX_CONNECTIONS: usize = 8192;
/// Connections accepted at one go, before others have their turn.
const ACCEPT_ROUNDS: usize = 32;
/// Fillings of a pipe that one connection may move before others have their turn.
const PUMP_ROUNDS: usize = 8;
/// Of the same order as a socket's buffers; the kernel's default of 64 KiB takes three times as many calls.
const PIPE_SIZE: usize = 256 << 10;
/// Empty pipes that are kept.
const POOL_SIZE: usize = 8;
/// How long no connection is accepted when descriptors or memory have run out.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Flow {
    pipe: Option<Pipe>,
    /// Bytes in the pipe.
    held: usize,
    /// The source has said its last word, and the target knows.
    ended: bool,
}

#[derive(Debug)]
struct Side {
    socket: OwnedFd,
    /// What epoll watches for; with nothing to watch for the socket is not in epoll at all, which would otherwise
    /// report hang-ups over and over.
    watched: EventFlags,
}

#[derive(Debug)]
struct Connection {
    client: Side,
    server: Side,
    connected: bool,
    up: Flow,
    down: Flow,
}

/// All TCP connections.
#[derive(Debug)]
pub(super) struct Tcp {
    connections: Slab<Connection>,
    pool: Vec<Pipe>,
    target: Target,
    limit: usize,
    accepting: bool,
    /// Not before this time, in nanoseconds.
    resume_at: i64,
}

impl Tcp {
    pub(super) fn new(descriptors: usize, target: Target) -> Self {
        let limit = (descriptors / DESCRIPTORS_A_CONNECTION).clamp(1, MAX_CONNECTIONS);
        Self { connections: Slab::new(), pool: Vec::new(), target, limit, accepting: true, resume_at: 0 }
    }

    /// Milliseconds until accepting may go on, if that waits for time to pass.
    pub(super) fn pause(&self) -> Option<i64> {
        (!self.accepting && self.connections.len() < self.limit).then_some(PAUSE.as_millis() as i64)
    }

    /// Whether there is no connection.
    pub(super) fn is_idle(&self) -> bool {
        self.connections.len() == 0
    }

    /// New connections wait.
    pub(super) fn accept(&mut self, epoll: &OwnedFd, listeners: &[Listener], listener: &Listener) {
        for _ in 0..ACCEPT_ROUNDS {
            if self.connections.len() >= self.limit {
                return self.stop_accepting(epoll, listeners, 0);
            }
            match rustix::net::acceptfrom_with(&listener.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((client, from)) => match self.target.connect(
                    SocketType::STREAM,
                    from.and_then(|from| SocketAddr::try_from(from).ok()),
                    listener.container_port,
                ) {
                    Ok(server) => self.add(epoll, client, server),
                    Err(errno) => {
                        reset(&client);
                        if is_scarcity(errno) {
                            return self.stop_accepting(epoll, listeners, PAUSE.as_nanos() as i64);
                        }
                    }
                },
                Err(Errno::AGAIN) => return,
                Err(errno) if is_scarcity(errno) => {
                    return self.stop_accepting(epoll, listeners, PAUSE.as_nanos() as i64);
                }
                // Errors of that one connection (accept(2)).
                Err(_) => {}
            }
        }
    }

    fn stop_accepting(&mut self, epoll: &OwnedFd, listeners: &[Listener], pause: i64) {
        if self.accepting {
            for listener in listeners.iter().filter(|listener| listener.protocol == Protocol::Tcp) {
                let _ = epoll::delete(epoll, &listener.socket);
            }
        }
        self.accepting = false;
        self.resume_at = timing::now() + pause;
    }

    /// After a batch of events: free numbers, and accept again where that is possible.
    pub(super) fn settle(&mut self, epoll: &OwnedFd, listeners: &[Listener]) {
        self.connections.settle();
        if self.accepting || self.connections.len() >= self.limit || timing::now() < self.resume_at {
            return;
        }
        self.accepting = true;
        for (index, listener) in listeners.iter().enumerate() {
            if listener.protocol == Protocol::Tcp {
                let _ = epoll::add(epoll, &listener.socket, Token::Listener(index).data(), EventFlags::IN);
            }
        }
    }

    fn add(&mut self, epoll: &OwnedFd, client: OwnedFd, server: OwnedFd) {
        // Two hops must not both wait for more to send; a peer that vanished is found some day.
        let _ = sockopt::set_tcp_nodelay(&client, true);
        let _ = sockopt::set_tcp_nodelay(&server, true);
        let _ = sockopt::set_socket_keepalive(&client, true);
        let side = |socket| Side { socket, watched: EventFlags::empty() };
        let connection = Connection {
            client: side(client),
            server: side(server),
            connected: false,
            up: Flow::default(),
            down: Flow::default(),
        };
        let index = self.connections.insert(connection);
        // Often it is connected already, and the client has sent something.
        self.ready(epoll, index);
    }

    /// Something has happened to one side of a connection.
    pub(super) fn ready(&mut self, epoll: &OwnedFd, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let result = connection.advance(&mut self.pool).and_then(|()| connection.watch(epoll, index));
        let finished = connection.up.ended && connection.down.ended;
        if result.is_ok() && !finished {
            return;
        }
        if let Some(connection) = self.connections.remove(index)
            && result.is_err()
        {
            reset(&connection.client.socket);
            reset(&connection.server.socket);
        }
    }
}

/// Have the coming close send a reset: the other side was refused or has failed.
fn reset(socket: &OwnedFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

impl Connection {
    /// Move what can be moved. An error means that one side is gone.
    fn advance(&mut self, pool: &mut Vec<Pipe>) -> Result<(), Errno> {
        if !self.connected {
            sockopt::socket_error(&self.server.socket)??;
            match rustix::net::getpeername(&self.server.socket) {
                Ok(_) => self.connected = true,
                Err(Errno::NOTCONN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        self.up.pump(&self.client.socket, &self.server.socket, pool)?;
        self.down.pump(&self.server.socket, &self.client.socket, pool)
    }

    /// Watch each side for what is waited for.
    fn watch(&mut self, epoll: &OwnedFd, index: usize) -> Result<(), Errno> {
        let (client, server) = if self.connected {
            (self.up.wants_input() | self.down.wants_output(), self.down.wants_input() | self.up.wants_output())
        } else {
            (EventFlags::empty(), EventFlags::OUT)
        };
        self.client.watch(epoll, index, client)?;
        self.server.watch(epoll, index, server)
    }
}

impl Side {
    fn watch(&mut self, epoll: &OwnedFd, index: usize, wanted: EventFlags) -> Result<(), Errno> {
        if wanted == self.watched {
            return Ok(());
        }
        let data = Token::Tcp(index).data();
        if self.watched.is_empty() {
            epoll::add(epoll, &self.socket, data, wanted)?;
        } else if wanted.is_empty() {
            epoll::delete(epoll, &self.socket)?;
        } else {
            epoll::modify(epoll, &self.socket, data, wanted)?;
        }
        self.watched = wanted;
        Ok(())
    }
}

impl Flow {
    fn wants_input(&self) -> EventFlags {
        if self.ended || self.held > 0 { EventFlags::empty() } else { EventFlags::IN }
    }

    fn wants_output(&self) -> EventFlags {
        if self.held > 0 { EventFlags::OUT } else { EventFlags::empty() }
    }

    fn pump(&mut self, from: &OwnedFd, to: &OwnedFd, pool: &mut Vec<Pipe>) -> Result<(), Errno> {
        let result = self.pump_rounds(from, to, pool);
        if self.held == 0
            && let Some(pipe) = self.pipe.take()
            && pool.len() < POOL_SIZE
        {
            pool.push(pipe);
        }
        result
    }

    fn pump_rounds(&mut self, from: &OwnedFd, to: &OwnedFd, pool: &mut Vec<Pipe>) -> Result<(), Errno> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        for _ in 0..PUMP_ROUNDS {
            if self.ended {
                return Ok(());
            }
            let pipe = match &mut self.pipe {
                Some(pipe) => pipe,
                none => none.insert(match pool.pop() {
                    Some(pipe) => pipe,
                    None => new_pipe()?,
                }),
            };
            if self.held == 0 {
                match splice(from, None, &pipe.write, None, PIPE_SIZE, flags) {
                    // Told at once, whatever is left of our turn: nothing more will come that could wake us.
                    Ok(0) => return self.end(to),
                    Ok(count) => self.held = count,
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(Errno::INTR) => continue,
                    Err(errno) => return Err(errno),
                }
            }
            match splice(&pipe.read, None, to, None, self.held, flags) {
                Ok(count) => self.held = self.held.saturating_sub(count),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// The source has ended, and nothing of it is held.
    fn end(&mut self, to: &OwnedFd) -> Result<(), Errno> {
        self.ended = true;
        match rustix::net::shutdown(to, Shutdown::Write) {
            // The target is closed already, which the other direction will find.
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

fn new_pipe() -> Result<Pipe, Errno> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Refused where the user's pipes hold much already (pipe-user-pages-soft); it works with the default too.
    let _ = fcntl_setpipe_size(&write, PIPE_SIZE);
    Ok(Pipe { read, write })
}
