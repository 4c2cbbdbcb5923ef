//! TCP: accept on the host, connect in the container, pass bytes on both ways until both ends have said their last word.
//!
//! What comes in small pieces (a request, its answer) is read and written, by two calls a piece; what comes without end
//! goes by splice(2) and is never copied. A half-close is passed on as a half-close, a reset as a reset. A connection at
//! rest has two descriptors; a pipe is taken from a pool when much comes, and kept only while the other side cannot take
//! it.

use super::slab::Slab;
use super::target::Target;
use super::{End, Token, is_scarcity};
use crate::base::timing;
use crate::network::{Listener, Protocol};
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};
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
/// The most that a user may have without asking (`fs.pipe-max-size`): the larger, the more seldom both ends are woken.
const PIPE_SIZE: usize = 1 << 20;
/// Empty pipes that are kept.
const POOL_SIZE: usize = 8;
/// What is read and written at once. Of a flow that fills this, more is spliced.
const PIECE: usize = 16 << 10;
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
    /// What was read and not taken by the target.
    rest: Vec<u8>,
    /// So much comes that it is spliced.
    is_stream: bool,
    /// The source has said its last word, and the target knows.
    ended: bool,
}

/// What connections have by turns.
#[derive(Debug)]
struct Shared {
    /// Empty pipes.
    pool: Vec<Pipe>,
    piece: Box<[u8]>,
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
    shared: Shared,
    target: Target,
    limit: usize,
    accepting: bool,
    /// Not before this time, in nanoseconds.
    resume_at: i64,
}

impl Tcp {
    pub(super) fn new(descriptors: usize, target: Target) -> Self {
        let limit = (descriptors / DESCRIPTORS_A_CONNECTION).clamp(1, MAX_CONNECTIONS);
        // Pages that nothing is read into are none.
        let shared = Shared { pool: Vec::new(), piece: vec![0; PIECE].into_boxed_slice() };
        Self { connections: Slab::new(), shared, target, limit, accepting: true, resume_at: 0 }
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

    fn add(&mut self, epoll: &OwnedFd, client: OwnedFd, (server, connected): (OwnedFd, bool)) {
        // Two hops must not both wait for more to send. The client's socket has this of its listener.
        let _ = sockopt::set_tcp_nodelay(&server, true);
        let side = |socket| Side { socket, watched: EventFlags::empty() };
        let (up, down) = (Flow::default(), Flow::default());
        let index =
            self.connections.insert(Connection { client: side(client), server: side(server), connected, up, down });
        // Often the client has sent something already.
        self.ready(epoll, index, End::Client, if connected { EventFlags::IN } else { EventFlags::empty() });
    }

    /// Something has happened at one end of a connection.
    pub(super) fn ready(&mut self, epoll: &OwnedFd, index: usize, end: End, events: EventFlags) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let moved = connection.advance(end, events, &mut self.shared);
        let finished = connection.up.ended && connection.down.ended;
        let result = if finished { moved } else { moved.and_then(|()| connection.watch(epoll, index)) };
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
    fn advance(&mut self, end: End, events: EventFlags, shared: &mut Shared) -> Result<(), Errno> {
        let failed = EventFlags::HUP | EventFlags::ERR;
        let (mut comes, mut goes) =
            (events.intersects(EventFlags::IN | failed), events.intersects(EventFlags::OUT | failed));
        if !self.connected && !events.is_empty() {
            sockopt::socket_error(&self.server.socket)??;
            match rustix::net::getpeername(&self.server.socket) {
                Ok(_) => self.connected = true,
                Err(Errno::NOTCONN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
            (comes, goes) = (true, true);
        }
        let (up, down) = match end {
            End::Client => (comes, goes),
            End::Server => (goes, comes),
        };
        if up {
            self.up.pump(&self.client.socket, &self.server.socket, self.down.ended, shared)?;
        }
        if down {
            self.down.pump(&self.server.socket, &self.client.socket, self.up.ended, shared)?;
        }
        Ok(())
    }

    /// Watch each side for what is waited for.
    fn watch(&mut self, epoll: &OwnedFd, index: usize) -> Result<(), Errno> {
        let (client, server) = if self.connected {
            (self.up.wants_input() | self.down.wants_output(), self.down.wants_input() | self.up.wants_output())
        } else {
            (EventFlags::empty(), EventFlags::OUT)
        };
        self.client.watch(epoll, Token::Tcp(index, End::Client), client)?;
        self.server.watch(epoll, Token::Tcp(index, End::Server), server)
    }
}

impl Side {
    fn watch(&mut self, epoll: &OwnedFd, token: Token, wanted: EventFlags) -> Result<(), Errno> {
        if wanted == self.watched {
            return Ok(());
        }
        let data = token.data();
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
    fn is_held(&self) -> bool {
        self.held > 0 || !self.rest.is_empty()
    }

    fn wants_input(&self) -> EventFlags {
        if self.ended || self.is_held() { EventFlags::empty() } else { EventFlags::IN }
    }

    fn wants_output(&self) -> EventFlags {
        if self.is_held() { EventFlags::OUT } else { EventFlags::empty() }
    }

    /// Pass on what there is. `last`: the other direction has ended.
    fn pump(&mut self, from: &OwnedFd, to: &OwnedFd, last: bool, shared: &mut Shared) -> Result<(), Errno> {
        let result = self.pump_rounds(from, to, last, shared);
        if self.held == 0
            && let Some(pipe) = self.pipe.take()
            && shared.pool.len() < POOL_SIZE
        {
            shared.pool.push(pipe);
        }
        result
    }

    fn pump_rounds(&mut self, from: &OwnedFd, to: &OwnedFd, last: bool, shared: &mut Shared) -> Result<(), Errno> {
        for _ in 0..PUMP_ROUNDS {
            if self.ended {
                return Ok(());
            }
            let moved = if self.is_stream || self.held > 0 {
                self.splice(from, to, &mut shared.pool)
            } else {
                self.copy(from, to, &mut shared.piece)
            };
            match moved {
                // Told at once, whatever is left of our turn: nothing more will come that could wake us.
                Ok(Moved::End) => return self.end(to, last),
                Ok(Moved::All) | Err(Errno::AGAIN) => return Ok(()),
                Ok(Moved::Some) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// A piece: read, then written.
    fn copy(&mut self, from: &OwnedFd, to: &OwnedFd, piece: &mut [u8]) -> Result<Moved, Errno> {
        if !self.rest.is_empty() {
            let sent = rustix::net::send(to, &self.rest, SendFlags::NOSIGNAL)?;
            self.rest = self.rest.split_off(sent.min(self.rest.len()));
            return Ok(Moved::Some);
        }
        let (count, _) = rustix::net::recv(from, &mut *piece, RecvFlags::empty())?;
        if count == 0 {
            return Ok(Moved::End);
        }
        self.is_stream = count == piece.len();
        let piece = piece.get(..count).unwrap_or_default();
        let sent = match rustix::net::send(to, piece, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR) => 0,
            result => result?,
        };
        let rest = piece.get(sent..).unwrap_or_default();
        if !rest.is_empty() {
            self.rest = rest.to_vec();
            self.is_stream = false;
            return Ok(Moved::Some);
        }
        // What was less than there was room for was all; if not, epoll will tell.
        Ok(if self.is_stream { Moved::Some } else { Moved::All })
    }

    /// As much as a pipe holds: never copied.
    fn splice(&mut self, from: &OwnedFd, to: &OwnedFd, pool: &mut Vec<Pipe>) -> Result<Moved, Errno> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let pipe = match &mut self.pipe {
            Some(pipe) => pipe,
            none => none.insert(match pool.pop() {
                Some(pipe) => pipe,
                None => new_pipe()?,
            }),
        };
        if self.held == 0 {
            match splice(from, None, &pipe.write, None, PIPE_SIZE, flags)? {
                0 => return Ok(Moved::End),
                count => self.held = count,
            }
            self.is_stream = self.held >= PIECE;
        }
        let count = splice(&pipe.read, None, to, None, self.held, flags)?;
        self.held = self.held.saturating_sub(count);
        Ok(Moved::Some)
    }

    /// The source has ended, and nothing of it is held.
    fn end(&mut self, to: &OwnedFd, last: bool) -> Result<(), Errno> {
        self.ended = true;
        if last {
            // The close that follows says it.
            return Ok(());
        }
        match rustix::net::shutdown(to, Shutdown::Write) {
            // The target is closed already, which the other direction will find.
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// What became of a try to pass something on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// There may be more.
    Some,
    /// There is no more for now.
    All,
    /// The source has ended.
    End,
}

fn new_pipe() -> Result<Pipe, Errno> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Refused where the user's pipes hold much already (pipe-user-pages-soft); it works with the default too.
    let _ = fcntl_setpipe_size(&write, PIPE_SIZE);
    Ok(Pipe { read, write })
}
