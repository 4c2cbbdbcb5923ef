//! A client as the monitor sees it: its control connection, its pipes, and how full they are.

use super::logs::Stream;
use super::stdio::set_nonblocking;
use super::wire::{self, End, Frame, Inbox, MAX_REQUEST, Type, Wants};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Room for a client's last output, so that the end of a container never waits for a reader: what is in the
/// container's pipe then (64 KiB), and what was in the client's.
const LAST_ROOM: usize = 256 * 1024;

/// A connected client.
#[derive(Debug)]
pub struct Client {
    /// The control connection.
    pub connection: UnixStream,
    inbox: Inbox,
    /// It has said which streams it wants.
    pub greeted: bool,
    /// It has the container's standard input.
    pub has_stdin: bool,
    /// Its pipes for standard output and standard error.
    pub pipes: [Option<ClientPipe>; 2],
    /// To be forgotten.
    pub gone: bool,
}

/// The pipe that one stream goes to a client through.
#[derive(Debug)]
pub struct ClientPipe {
    /// The write end, non-blocking.
    pub fd: OwnedFd,
    /// What did not fit. While there is any, the container's stream is not read: a slow reader slows the container
    /// down, as in a pipeline of a shell, and costs at most one buffer here.
    pending: Vec<u8>,
    full: bool,
}

impl Client {
    /// A client that has just connected.
    pub fn new(connection: UnixStream) -> io::Result<Self> {
        connection.set_nonblocking(true)?;
        Ok(Self {
            connection,
            inbox: Inbox::new(MAX_REQUEST),
            greeted: false,
            has_stdin: false,
            pipes: [None, None],
            gone: false,
        })
    }

    /// The frames that have come. Marks the client as gone when it closed or talks nonsense.
    pub fn receive(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        match self.inbox.fill(self.connection.as_fd()) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(false) | Err(_) => self.gone = true,
        }
        loop {
            match self.inbox.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => {
                    // They belong to what is asked, and to nothing else.
                    if self.inbox.is_empty() && frames.iter().all(|frame| frame.kind != Type::Ask) {
                        drop(self.inbox.take_fds());
                    }
                    return frames;
                }
                Err(_) => {
                    self.gone = true;
                    return frames;
                }
            }
        }
    }

    /// The descriptors beside what it asks.
    pub fn take_fds(&mut self) -> Vec<OwnedFd> {
        self.inbox.take_fds()
    }

    /// Say whether what it asked is done.
    pub fn reply(&self, result: &anyhow::Result<()>) {
        let _ = match result {
            Ok(()) => wire::send(&self.connection, Type::Done, &[], &[]),
            Err(error) => wire::send(&self.connection, Type::Failed, &crate::base::error::encode(error), &[]),
        };
    }

    /// Answer its greeting: make its pipes for the streams that are open and lend it the way in.
    pub fn welcome(&mut self, wants: Wants, stdin: Option<BorrowedFd<'_>>, open: [bool; 2]) -> io::Result<()> {
        let mut granted = Wants::default();
        let mut theirs: Vec<OwnedFd> = Vec::new();
        for (index, wanted) in [wants.stdout, wants.stderr].into_iter().enumerate() {
            if wanted && open[index] {
                let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
                set_nonblocking(&write)?;
                set_nonblocking(&read)?;
                self.pipes[index] = Some(ClientPipe { fd: write, pending: Vec::new(), full: false });
                theirs.push(read);
                if index == 0 { granted.stdout = true } else { granted.stderr = true }
            }
        }
        let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
        if let Some(stdin) = stdin.filter(|_| wants.stdin) {
            granted.stdin = true;
            self.has_stdin = true;
            fds.push(stdin);
        }
        fds.extend(theirs.iter().map(|fd| fd.as_fd()));
        self.greeted = true;
        wire::send(&self.connection, Type::Streams, &[granted.bits()], &fds)
    }

    /// Its pipe for a stream.
    pub fn pipe(&mut self, stream: Stream) -> Option<&mut ClientPipe> {
        self.pipes.get_mut(stream as usize)?.as_mut()
    }

    /// Its reader of this stream has gone.
    pub fn drop_pipe(&mut self, stream: Stream) {
        if let Some(pipe) = self.pipes.get_mut(stream as usize) {
            *pipe = None;
        }
    }

    /// Whether this stream has to wait for this client.
    pub fn is_behind(&self, stream: Stream) -> bool {
        self.pipes.get(stream as usize).and_then(Option::as_ref).is_some_and(|pipe| pipe.is_behind())
    }

    /// Write, keeping what does not fit.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(pipe) = self.pipe(stream) {
            pipe.pending.extend_from_slice(bytes);
            self.write_pending(stream);
        }
    }

    /// Its pipe has room again: write what waits.
    pub fn write_pending(&mut self, stream: Stream) {
        let Some(pipe) = self.pipe(stream) else { return };
        pipe.full = false;
        let mut written = 0;
        while let Some(rest) = pipe.pending.get(written..)
            && !rest.is_empty()
        {
            match rustix::io::write(&pipe.fd, rest) {
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return self.drop_pipe(stream),
            }
        }
        pipe.pending.drain(..written);
        if pipe.pending.is_empty() {
            pipe.pending = Vec::new();
        }
    }

    /// Make room for all that can still come, as the container has ended.
    pub fn make_last_room(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(pipe) = self.pipe(stream) {
                let _ = rustix::pipe::fcntl_setpipe_size(&pipe.fd, LAST_ROOM);
            }
            self.write_pending(stream);
        }
    }

    /// Say that the container has ended. A client that does not listen is left alone.
    pub fn announce(&self, end: End) {
        let _ = wire::send(&self.connection, Type::Exited, &end.to_bytes(), &[]);
    }
}

impl ClientPipe {
    /// There is no room: wait until there is.
    pub fn set_full(&mut self) {
        self.full = true;
    }

    fn is_behind(&self) -> bool {
        self.full || !self.pending.is_empty()
    }
}
