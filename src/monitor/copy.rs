//! Copying between the caller's stdio and descriptors of ours, without ever waiting in a read or a write: the one
//! loop below `attach` and `exec`.
//!
//! The caller's descriptors are shared with other processes (the shell, the rest of a pipeline), so they are never
//! made non-blocking; where it matters they are opened anew.

use super::detach::Scanner;
use crate::sys::tty;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Bytes moved by one splice: as many as there are.
const SPLICE: usize = 1024 * 1024;
/// What a blocking pipe or terminal takes at once when poll(2) says that it has room (`PIPE_BUF`).
const SAFE: usize = 4096;
/// Rounds for one stream before the others have their turn.
const ROUNDS: usize = 16;

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    More,
    /// Its source has ended, and all of it is written.
    End,
    /// Nobody reads what we write any more.
    Broken,
    /// The user typed the detach keys.
    Detach,
}

/// A stream of the container, on its way to us.
pub struct Output<'a> {
    from: OwnedFd,
    to: BorrowedFd<'a>,
    /// `to`, opened anew without blocking.
    own: Option<OwnedFd>,
    /// A write takes all or fails, but never waits.
    unlimited: bool,
    splice: bool,
    waits_for_room: bool,
    pending: Vec<u8>,
    /// The writers have ended: nothing to read means the end.
    last: bool,
}

impl<'a> Output<'a> {
    /// From a non-blocking descriptor of ours to one of the caller's.
    pub fn new(from: OwnedFd, to: BorrowedFd<'a>) -> Self {
        let kind = file_type(to);
        let own = match kind {
            FileType::Fifo | FileType::CharacterDevice => reopen(to),
            _ => None,
        };
        let unlimited = own.is_some() || kind == FileType::RegularFile;
        let splice = file_type(from.as_fd()) == FileType::Fifo && kind != FileType::CharacterDevice;
        Self { from, to, own, unlimited, splice, waits_for_room: false, pending: Vec::new(), last: false }
    }

    /// What to wait for.
    pub fn interest(&self) -> PollFd<'_> {
        if self.waits_for_room {
            PollFd::from_borrowed_fd(self.target(), PollFlags::OUT)
        } else {
            PollFd::new(&self.from, PollFlags::IN)
        }
    }

    /// The process at the other end has ended.
    pub fn set_last(&mut self) {
        self.last = true;
    }

    fn target(&self) -> BorrowedFd<'_> {
        self.own.as_ref().map_or(self.to, |own| own.as_fd())
    }

    /// Copy what can be copied now.
    pub fn step(&mut self, buffer: &mut [u8]) -> Step {
        for _ in 0..ROUNDS {
            let step = if self.splice { self.splice_once() } else { self.copy_once(buffer) };
            match step {
                Ok(()) => {}
                Err(Some(end)) => return end,
                Err(None) => return Step::More,
            }
        }
        Step::More
    }

    /// `Err(None)`: nothing to do now.
    fn splice_once(&mut self) -> Result<(), Option<Step>> {
        match rustix::pipe::splice(&self.from, None, self.target(), None, SPLICE, SpliceFlags::NONBLOCK) {
            Ok(0) => Err(Some(Step::End)),
            Ok(_) => {
                self.waits_for_room = false;
                Ok(())
            }
            Err(Errno::AGAIN) => {
                // Either side may be why.
                self.waits_for_room = is_readable(self.from.as_fd());
                Err((self.last && !self.waits_for_room).then_some(Step::End))
            }
            Err(Errno::INTR) => Ok(()),
            // A file opened for appending, a device: not for splice.
            Err(Errno::INVAL) => {
                self.splice = false;
                Ok(())
            }
            Err(_) => Err(Some(Step::Broken)),
        }
    }

    fn copy_once(&mut self, buffer: &mut [u8]) -> Result<(), Option<Step>> {
        if self.pending.is_empty() {
            match rustix::io::read(&self.from, &mut *buffer) {
                // EIO: the last process that had the terminal has closed it.
                Ok(0) | Err(Errno::IO) => return Err(Some(Step::End)),
                Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
                Err(Errno::AGAIN) => return Err(self.last.then_some(Step::End)),
                Err(Errno::INTR) => return Ok(()),
                Err(_) => return Err(Some(Step::End)),
            }
        }
        if !self.unlimited && !self.waits_for_room && !is_writable(self.to) {
            self.waits_for_room = true;
            return Err(None);
        }
        let limit = if self.unlimited { self.pending.len() } else { self.pending.len().min(SAFE) };
        match rustix::io::write(self.target(), &self.pending[..limit]) {
            Ok(count) => {
                self.pending.drain(..count);
                self.waits_for_room = !self.pending.is_empty();
                if self.waits_for_room { Err(None) } else { Ok(()) }
            }
            Err(Errno::AGAIN) => {
                self.waits_for_room = true;
                Err(None)
            }
            Err(Errno::INTR) => Ok(()),
            Err(_) => Err(Some(Step::Broken)),
        }
    }
}

/// Our standard input, on its way to the container.
pub struct Input<'a> {
    from: BorrowedFd<'a>,
    /// Non-blocking.
    to: OwnedFd,
    /// With a terminal in the container.
    scanner: Option<Scanner<'a>>,
    splice: bool,
    waits_for_room: bool,
    pending: Vec<u8>,
    ended: bool,
}

impl<'a> Input<'a> {
    /// From the caller's descriptor to a non-blocking one of ours; with `keys` to a terminal.
    pub fn new(from: BorrowedFd<'a>, to: OwnedFd, keys: Option<&'a [u8]>) -> Self {
        // Not from a terminal or a device: a splice from those may wait.
        let splice = keys.is_none()
            && matches!(file_type(from), FileType::Fifo | FileType::RegularFile | FileType::Socket)
            && file_type(to.as_fd()) == FileType::Fifo;
        Self {
            from,
            to,
            scanner: keys.map(Scanner::new),
            splice,
            waits_for_room: false,
            pending: Vec::new(),
            ended: false,
        }
    }

    /// What to wait for.
    pub fn interest(&self) -> PollFd<'_> {
        if self.waits_for_room {
            PollFd::new(&self.to, PollFlags::OUT)
        } else {
            PollFd::from_borrowed_fd(self.from, PollFlags::IN)
        }
    }

    /// Copy once, as poll said that it can be done.
    pub fn step(&mut self, buffer: &mut [u8]) -> Step {
        if self.splice {
            return self.splice_once();
        }
        if self.pending.is_empty() && !self.ended && self.read(buffer) {
            // What was typed before the keys is still the container's.
            let _ = rustix::io::write(&self.to, &self.pending);
            return Step::Detach;
        }
        if !self.pending.is_empty() {
            match rustix::io::write(&self.to, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return Step::Broken,
            }
        }
        self.waits_for_room = !self.pending.is_empty();
        if self.ended && self.pending.is_empty() { Step::End } else { Step::More }
    }

    /// Read once; `true` when the detach keys were typed.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let count = match rustix::io::read(self.from, &mut *buffer) {
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => return false,
            // EIO: a background process of an orphaned group; EBADF: not open for reading. No input, then.
            Err(_) => 0,
        };
        self.ended = count == 0;
        match &mut self.scanner {
            None => self.pending.extend_from_slice(&buffer[..count]),
            Some(scanner) if count > 0 => return scanner.feed(&buffer[..count], &mut self.pending),
            // A file or a pipe into a terminal: its end is what a user would type.
            Some(_) if !tty::is_terminal(self.from) => {
                self.pending.push(tty::end_of_file_character(self.to.as_fd()));
            }
            Some(_) => {}
        }
        false
    }

    fn splice_once(&mut self) -> Step {
        match rustix::pipe::splice(self.from, None, &self.to, None, SPLICE, SpliceFlags::NONBLOCK) {
            Ok(0) => return Step::End,
            Ok(_) | Err(Errno::INTR) => self.waits_for_room = false,
            Err(Errno::AGAIN) => self.waits_for_room = is_readable(self.from),
            Err(Errno::INVAL) => {
                self.splice = false;
                self.waits_for_room = false;
            }
            Err(Errno::PIPE) => return Step::Broken,
            Err(_) => return Step::End,
        }
        Step::More
    }
}

/// A buffer for [`Output::step`] and [`Input::step`].
pub fn buffer() -> Vec<u8> {
    vec![0; CHUNK]
}

fn file_type(fd: BorrowedFd<'_>) -> FileType {
    rustix::fs::fstat(fd).map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
}

/// The same terminal or pipe, opened anew: its own flags. Not possible for a terminal that is another user's.
fn reopen(fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    now(fd, PollFlags::IN)
}

fn is_writable(fd: BorrowedFd<'_>) -> bool {
    // An error is found out by writing.
    now(fd, PollFlags::OUT)
}

fn now(fd: BorrowedFd<'_>, events: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|_| {
        let [fd] = &fds;
        fd.revents().intersects(events | PollFlags::ERR)
    })
}
