//! The monitor's loop: one poll(2) over init, the container's streams, the attach socket and the clients.

use super::client::Client;
use super::logs::{LogConfig, Stream, Writer};
use super::socket;
use super::stdio::{Streams, set_nonblocking};
use super::wire::{End, Frame, Type, Wants};
use crate::base::signal::SIGTERM;
use crate::base::timing;
use crate::sys::process::{self, Ended};
use crate::sys::signals::{self, Caught};
use crate::sys::{detached, tty};
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

/// Bytes read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// Rounds for one stream before the others have their turn.
const ROUNDS: usize = 16;
/// Clients at once; more are turned away.
const MAX_CLIENTS: usize = 64;
/// Bytes still read of a stream after the end, if somebody who outlives init keeps on writing.
const MAX_REST: usize = 1024 * 1024;
/// Nanoseconds that the end waits for the invoking command to say what it wants.
const PATIENCE: i64 = 10_000_000_000;
/// Idle for so long, the monitor gives its memory back.
const IDLE: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// What the monitor serves.
pub struct Session<'a> {
    /// The container's init, a child of the caller.
    pub pidfd: BorrowedFd<'a>,
    /// Its pid.
    pub pid: i32,
    /// The monitor's ends of its streams.
    pub streams: Streams,
    /// Where its output is kept.
    pub log: &'a LogConfig,
    /// Where clients connect: [`super::listen`], called before the start is reported.
    pub listener: UnixListener,
    /// The invoking command. Output waits until it has said what it wants, or has gone.
    pub first: Option<UnixStream>,
    /// The container's standard input ends with the first client that had it.
    pub stdin_once: bool,
    /// Who cares for what is beside the streams. All signals are blocked when it is called, and so in whatever it forks
    /// (std's `Command` clears the mask by itself).
    pub attendant: &'a mut dyn Attendant,
}

/// Who cares for what is beside a container's streams.
pub trait Attendant {
    /// Another child of ours than init has ended.
    fn child_ended(&mut self, pid: i32, ended: Ended);

    /// A descriptor that [`Attendant::ready`] waits for to be readable.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The descriptor can be read, or is at its end.
    fn ready(&mut self) {}

    /// A client asks for something that is not about streams. Errors: what it is told.
    fn ask(&mut self, request: &[u8], fds: Vec<OwnedFd>) -> Result<()> {
        let _ = (request, fds);
        bail!("nobody here can do that")
    }

    /// Do what is due; in how many nanoseconds to come again, if at all.
    fn tick(&mut self) -> Option<i64> {
        None
    }
}

/// The container has ended and its output is in the log and in the clients' pipes.
pub struct Finished {
    /// How init ended.
    pub ended: Ended,
    clients: Vec<Client>,
    listener: UnixListener,
}

/// Serve until init has ended and its output is drained.
///
/// Blocks all signals for as long as it runs. SIGTERM is passed on to init, so that a session that ends takes its
/// containers down in order; others are ignored. Errors: no log, no signalfd, an init that is not our child.
pub fn serve(session: Session<'_>) -> Result<Finished> {
    let caught = Caught::all().context("cannot catch signals")?;
    let log = Writer::open(session.log)?;
    let (stdin, outputs, terminal) = match session.streams {
        Streams::Pipes { stdin, stdout, stderr } => (stdin, [Some(stdout), Some(stderr)], false),
        Streams::Terminal(master) => {
            set_nonblocking(&master).context("cannot use the container's terminal")?;
            (None, [Some(master), None], true)
        }
        Streams::Passed => (None, [None, None], false),
    };
    let clients = session.first.into_iter().filter_map(|connection| Client::new(connection).ok()).collect();
    let mut monitor = Monitor {
        pidfd: session.pidfd,
        pid: session.pid,
        caught,
        log,
        stdin,
        outputs,
        terminal,
        listener: session.listener,
        accepting: true,
        awaits_first: true,
        stdin_once: session.stdin_once,
        clients,
        buffer: Vec::new(),
        ended: None,
        attendant: session.attendant,
    };
    monitor.run()?;
    let Some(ended) = monitor.ended else { bail!("the container's init was lost") };
    monitor.drain();
    Ok(Finished { ended, clients: monitor.clients, listener: monitor.listener })
}

impl Finished {
    /// Tell every client, also those that are connecting just now, and close.
    pub fn announce(self, end: End) {
        while let Ok((connection, _)) = self.listener.accept() {
            if socket::is_trusted(&connection)
                && let Ok(client) = Client::new(connection)
            {
                client.announce(end);
            }
        }
        self.clients.iter().for_each(|client| client.announce(end));
    }
}

/// What a descriptor in the poll set stands for.
#[derive(Debug, Clone, Copy)]
enum Token {
    Signals,
    Init,
    Listener,
    Attendant,
    Output(Stream),
    Client(usize),
    Pipe(usize, Stream),
}

/// What is polled, and what it stands for.
struct Set<'a> {
    tokens: Vec<Token>,
    fds: Vec<PollFd<'a>>,
}

impl<'a> Set<'a> {
    fn add(&mut self, token: Token, fd: BorrowedFd<'a>, events: PollFlags) {
        self.tokens.push(token);
        self.fds.push(PollFd::from_borrowed_fd(fd, events));
    }
}

struct Monitor<'a> {
    pidfd: BorrowedFd<'a>,
    pid: i32,
    caught: Caught,
    log: Writer<'a>,
    stdin: Option<OwnedFd>,
    /// Standard output (or the terminal's master) and standard error, until they end.
    outputs: [Option<OwnedFd>; 2],
    terminal: bool,
    listener: UnixListener,
    /// Off when there are no descriptors left, until a client goes.
    accepting: bool,
    /// The invoking command, which is the first client, may still be about to say what it wants.
    awaits_first: bool,
    stdin_once: bool,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    ended: Option<Ended>,
    attendant: &'a mut dyn Attendant,
}

impl Monitor<'_> {
    fn run(&mut self) -> Result<()> {
        // Children that ended before the signals were caught.
        self.reap();
        let mut busy = true;
        let mut deadline = None;
        loop {
            self.forget_the_gone();
            self.awaits_first = self.awaits_first && self.clients.first().is_some_and(|client| !client.greeted);
            let mut timeout = busy.then_some(IDLE);
            if self.ended.is_some() {
                let end = *deadline.get_or_insert_with(|| timing::now() + PATIENCE);
                if !self.awaits_first || timing::now() >= end {
                    return Ok(());
                }
                timeout = Some(IDLE);
            } else if let Some(left) = self.attendant.tick() {
                let left = if busy { left.min(IDLE.tv_nsec) } else { left };
                timeout = Some(Timespec { tv_sec: left / 1_000_000_000, tv_nsec: left % 1_000_000_000 });
            }
            let ready = self.wait(timeout.as_ref())?;
            if ready.is_empty() && busy && self.ended.is_none() {
                self.rest();
                busy = false;
            }
            for (token, events) in ready {
                busy |= matches!(token, Token::Output(_) | Token::Client(_));
                self.handle(token, events)?;
            }
        }
    }

    /// Poll everything that can happen now.
    fn wait(&self, timeout: Option<&Timespec>) -> Result<Vec<(Token, PollFlags)>> {
        let mut set = Set { tokens: Vec::with_capacity(8), fds: Vec::with_capacity(8) };
        set.add(Token::Signals, self.caught.as_fd(), PollFlags::IN);
        if self.ended.is_none() {
            set.add(Token::Init, self.pidfd, PollFlags::IN);
        }
        if self.accepting {
            set.add(Token::Listener, self.listener.as_fd(), PollFlags::IN);
        }
        if let Some(fd) = self.attendant.descriptor() {
            set.add(Token::Attendant, fd, PollFlags::IN);
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            let behind = self.clients.iter().any(|client| client.is_behind(stream));
            if let Some(output) = &self.outputs[stream as usize]
                && !behind
                && !self.awaits_first
            {
                set.add(Token::Output(stream), output.as_fd(), PollFlags::IN);
            }
        }
        for (index, client) in self.clients.iter().enumerate() {
            set.add(Token::Client(index), client.connection.as_fd(), PollFlags::IN);
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some(pipe) = &client.pipes[stream as usize]
                    && client.is_behind(stream)
                {
                    set.add(Token::Pipe(index, stream), pipe.fd.as_fd(), PollFlags::OUT);
                }
            }
        }
        match rustix::event::poll(&mut set.fds, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for events"),
        }
        let ready = set.tokens.into_iter().zip(set.fds.iter().map(PollFd::revents));
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn handle(&mut self, token: Token, events: PollFlags) -> Result<()> {
        match token {
            Token::Signals => {
                while let Some((number, _)) = self.caught.next() {
                    if number == SIGTERM {
                        let _ = signals::send(self.pidfd, SIGTERM);
                    }
                }
                self.reap();
            }
            Token::Init => {
                self.reap();
                if self.ended.is_none() {
                    bail!("the container's init ended, but not as our child");
                }
            }
            Token::Listener => self.accept(),
            Token::Attendant => self.attendant.ready(),
            Token::Output(stream) => {
                self.pump(stream);
                self.log.flush();
            }
            Token::Client(index) => self.hear(index),
            Token::Pipe(index, stream) => {
                if let Some(client) = self.clients.get_mut(index) {
                    if events.contains(PollFlags::ERR) {
                        client.drop_pipe(stream);
                    } else {
                        client.write_pending(stream);
                    }
                }
            }
        }
        Ok(())
    }

    fn reap(&mut self) {
        // ECHILD is the usual end of this.
        while let Ok(Some((pid, ended))) = process::reap(-1) {
            if pid == self.pid {
                self.ended = Some(ended);
            } else {
                self.attendant.child_ended(pid, ended);
            }
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((connection, _)) => {
                    if self.clients.len() < MAX_CLIENTS
                        && socket::is_trusted(&connection)
                        && let Ok(client) = Client::new(connection)
                    {
                        self.clients.push(client);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.accepting = false;
                    return;
                }
            }
        }
    }

    fn forget_the_gone(&mut self) {
        let before = self.clients.len();
        if self.clients.first().is_some_and(|client| client.gone) {
            self.awaits_first = false;
        }
        if self.stdin_once && self.clients.iter().any(|client| client.gone && client.has_stdin) {
            self.stdin = None;
        }
        self.clients.retain(|client| !client.gone);
        self.accepting |= self.clients.len() < before;
    }

    fn hear(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else { return };
        for frame in client.receive() {
            self.obey(index, &frame);
        }
    }

    fn obey(&mut self, index: usize, frame: &Frame) {
        let Some(client) = self.clients.get_mut(index) else { return };
        match frame.kind {
            Type::Hello => {
                let wants = Wants::from_bits(frame.payload.first().copied().unwrap_or(0));
                let open = if self.terminal {
                    [self.outputs[0].is_some(), false]
                } else {
                    [self.outputs[0].is_some(), self.outputs[1].is_some()]
                };
                let stdin = if self.terminal { self.outputs[0].as_ref() } else { self.stdin.as_ref() };
                if client.greeted && wants != Wants::default()
                    || client.welcome(wants, stdin.map(|fd| fd.as_fd()), open).is_err()
                {
                    client.gone = true;
                }
                self.resize(frame, 1);
            }
            Type::Resize => self.resize(frame, 0),
            Type::Signal => {
                if let Some(number) = frame.i32_at(0)
                    && self.ended.is_none()
                {
                    let _ = signals::send(self.pidfd, number);
                }
            }
            Type::StdinEnd => {
                if client.has_stdin && self.stdin_once {
                    self.stdin = None;
                }
                client.has_stdin = false;
            }
            Type::Ask => {
                let fds = client.take_fds();
                client.reply(&self.attendant.ask(&frame.payload, fds));
            }
            _ => client.gone = true,
        }
    }

    fn resize(&self, frame: &Frame, offset: usize) {
        if let (true, Some(master), Some(rows), Some(cols)) =
            (self.terminal, &self.outputs[0], frame.u16_at(offset), frame.u16_at(offset + 2))
            && rows > 0
            && cols > 0
        {
            let _ = tty::set_size(master.as_fd(), tty::Size { rows, cols });
        }
    }

    /// A stream has something to read: to the log, and to the clients.
    fn pump(&mut self, stream: Stream) {
        for round in 0..ROUNDS {
            let mut readers = self.clients.iter_mut().filter(|client| client.pipes[stream as usize].is_some());
            let only = readers.next().filter(|_| !self.terminal);
            let more = match (only, readers.next().is_some()) {
                (Some(only), false) => {
                    let Some(output) = &self.outputs[stream as usize] else { return };
                    relay(output, only, stream, &mut self.log, &mut self.buffer, round == 0)
                }
                _ => self.copy(stream),
            };
            match more {
                More::Maybe => {}
                More::NotNow => return,
                More::Never => return self.close(stream),
            }
            if self.clients.iter().any(|client| client.is_behind(stream)) {
                return;
            }
        }
    }

    /// Read once and write what was read everywhere.
    fn copy(&mut self, stream: Stream) -> More {
        let Some(output) = &self.outputs[stream as usize] else { return More::Never };
        match read(output, &mut self.buffer, CHUNK) {
            Ok(0) => More::Never,
            Ok(count) => {
                let bytes = &self.buffer[..count];
                self.log.write(stream, bytes);
                self.clients.iter_mut().for_each(|client| client.write(stream, bytes));
                More::Maybe
            }
            Err(Errno::AGAIN) => More::NotNow,
            // EIO: the last process that had the terminal has closed it.
            Err(_) => More::Never,
        }
    }

    /// The container has closed this stream, or ended: readers see its end.
    fn close(&mut self, stream: Stream) {
        self.outputs[stream as usize] = None;
        self.clients.iter_mut().for_each(|client| client.drop_pipe(stream));
    }

    /// Init has ended: what is still in the container's pipes goes to the log and to the clients.
    ///
    /// Everybody in its pid namespace is dead, so this is the rest. Somebody outside (`--pid host`) may still write;
    /// nobody waits for that.
    fn drain(&mut self) {
        self.clients.iter_mut().for_each(Client::make_last_room);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut rest = 0;
            while rest < MAX_REST && self.copy(stream) == More::Maybe {
                rest += CHUNK;
            }
            // A client whose pipe could not be enlarged gets what it takes at once.
            self.close(stream);
        }
        self.log.finish();
    }

    /// Nothing happens: give back what is not needed.
    fn rest(&mut self) {
        self.log.rest();
        self.buffer = Vec::new();
        detached::give_back_memory();
    }
}

/// Whether a stream has more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Maybe,
    NotNow,
    Never,
}

/// With one reader, its pipe gets the container's pages themselves: tee(2), then one read for the log; or splice(2)
/// when no log is kept. What does not fit stays in the container's pipe.
fn relay(
    output: &OwnedFd,
    client: &mut Client,
    stream: Stream,
    log: &mut Writer<'_>,
    buffer: &mut Vec<u8>,
    is_ready: bool,
) -> More {
    let Some(pipe) = client.pipe(stream) else { return More::NotNow };
    let moved = if log.is_on() {
        rustix::pipe::tee(output, &pipe.fd, CHUNK, SpliceFlags::NONBLOCK)
    } else {
        rustix::pipe::splice(output, None, &pipe.fd, None, CHUNK, SpliceFlags::NONBLOCK)
    };
    match moved {
        Ok(0) => More::Never,
        Ok(mut count) => {
            while log.is_on() && count > 0 {
                match read(output, buffer, count) {
                    Ok(0) => return More::Never,
                    Ok(got) => {
                        log.write(stream, &buffer[..got]);
                        count -= got;
                    }
                    Err(_) => return More::NotNow,
                }
            }
            More::Maybe
        }
        // Poll has just said that there is something to read, so it is the reader's pipe that is full.
        Err(Errno::AGAIN) => {
            if is_ready {
                pipe.set_full();
            }
            More::NotNow
        }
        Err(Errno::INTR) => More::Maybe,
        Err(_) => {
            client.drop_pipe(stream);
            More::Maybe
        }
    }
}

/// Read at most `limit` bytes (no more than [`CHUNK`]) to the beginning of the buffer, which is made on first use.
fn read(from: &OwnedFd, buffer: &mut Vec<u8>, limit: usize) -> rustix::io::Result<usize> {
    if buffer.is_empty() {
        buffer.resize(CHUNK, 0);
    }
    loop {
        match rustix::io::read(from, &mut buffer[..limit.min(CHUNK)]) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
