//! The client's side: attaching to a container, waiting for its end, sending it a signal.

use super::copy::{Input, Output, Step, buffer};
use super::wire::{self, End, Inbox, MAX_REPLY, Type, Wants};
use crate::base::error::{Kind, fault};
use crate::base::timing;
use crate::sys::signals::{self, Caught};
use crate::sys::tty::{self, RawMode};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What an attaching client wants.
#[derive(Debug, Clone)]
pub struct AttachOptions {
    /// Pass on our standard input.
    pub stdin: bool,
    /// Show the container's standard output (with a terminal: all its output).
    pub stdout: bool,
    /// Show its standard error.
    pub stderr: bool,
    /// The container has a terminal: ours goes into raw mode, its size is passed on.
    pub tty: bool,
    /// What leaves the container running when it is typed; only with a terminal. Empty: nothing does.
    pub detach_keys: Vec<u8>,
    /// Pass signals on to the container in place of dying of them; only without a terminal, where keys do that.
    pub sig_proxy: bool,
}

impl AttachOptions {
    /// Whether signals are passed on.
    pub(super) fn proxies(&self) -> bool {
        self.sig_proxy && !self.tty
    }
}

/// How an attachment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The container has ended so, and all its output is written.
    Exited(End),
    /// The user typed the detach keys, or our terminal has gone.
    Detached,
    /// The connection closed without an exit code: the monitor was killed.
    MonitorGone,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The container has ended with this code.
    Exited(i32),
    /// The time is over.
    TimedOut,
    /// The monitor closed the connection without a code: it was killed, or was just leaving.
    MonitorGone,
}

/// Copy between our stdio and the container's until one of them ends.
///
/// Returns an error of kind [`Kind::Interrupted`] when a signal that is not passed on would have killed us, or
/// (SIGPIPE) when nobody reads our output any more; the terminal has been given back by then.
pub fn attach(
    connection: UnixStream,
    options: &AttachOptions,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> Result<Outcome> {
    let terminal = Terminal::find(options, stdin, stdout);
    // Before the first byte moves, so that no signal is lost in between.
    let caught = catch(options, terminal.takes_keys)?;
    let wants = Wants { stdin: options.stdin, stdout: options.stdout, stderr: options.stderr };
    let Some(mut peer) = greet(connection, wants, terminal.size_now().unwrap_or_default())? else {
        return Ok(Outcome::MonitorGone);
    };
    if let Some(end) = peer.end {
        return Ok(Outcome::Exited(end));
    }
    let keys = options.tty.then_some(options.detach_keys.as_slice());
    let input = peer.lent.stdin.take().map(|to| Input::new(stdin, to, keys));
    let outputs = [
        peer.lent.stdout.take().map(|from| Output::new(from, stdout)),
        peer.lent.stderr.take().map(|from| Output::new(from, stderr)),
    ];
    run(Copier { input, outputs, caught, terminal, sig_proxy: options.proxies() }, Other::Monitor(peer))
}

/// Wait for the end of the container, at most `timeout`. May be called again.
pub fn wait(connection: &UnixStream, timeout: Option<Duration>) -> Result<Waited> {
    wire::send(connection, Type::Hello, &[0; 5], &[]).ok();
    let deadline = timeout.map(|timeout| timing::now().saturating_add(timeout.as_nanos().min(i64::MAX as u128) as i64));
    let mut inbox = Inbox::new(MAX_REPLY);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_sub(timing::now()).max(0));
        let timeout = left.map(|left| Timespec { tv_sec: left / 1_000_000_000, tv_nsec: left % 1_000_000_000 });
        let mut fds = [PollFd::new(connection, PollFlags::IN)];
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(Waited::TimedOut),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error).context("cannot wait for the container"),
        }
        let open = inbox.fill(connection.as_fd()).context("cannot hear from the monitor")?;
        while let Some(frame) = inbox.next().context("cannot understand the monitor")? {
            if frame.kind == Type::Exited {
                return Ok(Waited::Exited(frame.end().code));
            }
        }
        if !open {
            return Ok(Waited::MonitorGone);
        }
    }
}

/// Let the monitor send a signal to the container's init.
pub fn signal(connection: &UnixStream, signal: i32) -> Result<()> {
    wire::send(connection, Type::Signal, &signal.to_le_bytes(), &[]).context("cannot reach the container's monitor")
}

/// Ask the monitor's attendant for something, with at most [`wire::MAX_FDS`] descriptors, and wait for the answer.
///
/// Errors: the attendant's; that the container has ended.
pub fn ask(connection: &UnixStream, request: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let deed = "cannot reach the container's monitor";
    wire::send(connection, Type::Ask, request, fds).context(deed)?;
    let mut inbox = Inbox::new(MAX_REPLY);
    loop {
        let open = inbox.fill(connection.as_fd()).context(deed)?;
        while let Some(frame) = inbox.next().context("cannot understand the monitor")? {
            match frame.kind {
                Type::Done => return Ok(()),
                Type::Failed => return Err(crate::base::error::decode(&frame.payload)),
                _ => {}
            }
        }
        if !open {
            return Err(fault(Kind::WrongState, "the container has just ended"));
        }
    }
}

/// The monitor, once it has answered.
pub(super) struct Peer {
    connection: UnixStream,
    inbox: Inbox,
    lent: Lent,
    end: Option<End>,
}

/// The descriptors that it lends us.
#[derive(Default)]
struct Lent {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// Say what we want and wait for the answer; `None` if the monitor has gone.
fn greet(connection: UnixStream, wants: Wants, size: tty::Size) -> Result<Option<Peer>> {
    let mut hello = vec![wants.bits()];
    hello.extend_from_slice(&size.rows.to_le_bytes());
    hello.extend_from_slice(&size.cols.to_le_bytes());
    // A monitor that has just ended may still have left us its last word.
    let _ = wire::send(&connection, Type::Hello, &hello, &[]);
    let mut peer = Peer { connection, inbox: Inbox::new(MAX_REPLY), lent: Lent::default(), end: None };
    loop {
        let open = peer.inbox.fill(peer.connection.as_fd()).context("cannot hear from the monitor")?;
        match peer.inbox.next().context("cannot understand the monitor")? {
            Some(frame) if frame.kind == Type::Exited => {
                peer.end = Some(frame.end());
                return Ok(Some(peer));
            }
            Some(frame) => {
                let granted = Wants::from_bits(frame.payload.first().copied().unwrap_or(0));
                let mut fds = peer.inbox.take_fds().into_iter();
                let mut next = |granted: bool| if granted { fds.next() } else { None };
                peer.lent =
                    Lent { stdin: next(granted.stdin), stdout: next(granted.stdout), stderr: next(granted.stderr) };
                return Ok(Some(peer));
            }
            None if !open => return Ok(None),
            None => {}
        }
    }
}

/// Our terminal, as far as it takes part.
pub(super) struct Terminal<'a> {
    /// Where the size is read, if the container has a terminal and we do.
    sized: Option<BorrowedFd<'a>>,
    /// Our standard input, if it is a terminal whose keys go to the container's.
    keyboard: Option<BorrowedFd<'a>>,
    /// The same, as a fact.
    pub takes_keys: bool,
}

impl<'a> Terminal<'a> {
    /// Look at our stdio.
    pub fn find(options: &AttachOptions, stdin: BorrowedFd<'a>, stdout: BorrowedFd<'a>) -> Self {
        let sized = [stdout, stdin].into_iter().find(|fd| options.tty && tty::is_terminal(*fd));
        let keyboard = (options.tty && options.stdin && tty::is_terminal(stdin)).then_some(stdin);
        Self { sized, keyboard, takes_keys: keyboard.is_some() }
    }

    /// Its size, if there is one.
    pub fn size_now(&self) -> Option<tty::Size> {
        self.sized.and_then(tty::size)
    }
}

/// Signals that are never passed on: faults of our own, job control (of us, not of the container), and what stands
/// for something else here.
const OURS: [Signal; 15] = [
    Signal::SIGCHLD,
    Signal::SIGURG,
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCONT,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGABRT,
    Signal::SIGTRAP,
    Signal::SIGSYS,
];
/// Catch what we act upon. What is left to its default action kills or stops us as any program.
pub(super) fn catch(options: &AttachOptions, raw: bool) -> Result<Caught> {
    use Signal::{SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
    let caught = match (options.proxies(), raw) {
        (true, false) => return catch_all(),
        (_, true) => Caught::these(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGWINCH, SIGTSTP, SIGCONT]),
        // With a size to pass on, but no terminal of ours to give back.
        (false, false) => Caught::these(&[SIGPIPE, SIGWINCH]),
    };
    caught.context("cannot catch signals")
}

/// Catch every signal that is passed on.
pub(super) fn catch_all() -> Result<Caught> {
    Caught::all_but(&OURS).context("cannot catch signals")
}

/// Who is at the other end.
pub(super) enum Other<'a> {
    /// A container's monitor.
    Monitor(Peer),
    /// A child of ours, and the master of its terminal.
    Child(BorrowedFd<'a>, Option<OwnedFd>),
}

/// A child's own code is collected by its parent.
const CHILD_ENDED: End = End { code: 0, out_of_memory: false };

impl Other<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Monitor(peer) => peer.connection.as_fd(),
            Self::Child(pidfd, _) => *pidfd,
        }
    }

    fn resize(&self, size: tty::Size) {
        match self {
            Self::Monitor(peer) => {
                let [a, b] = size.rows.to_le_bytes();
                let [c, d] = size.cols.to_le_bytes();
                let _ = wire::send(&peer.connection, Type::Resize, &[a, b, c, d], &[]);
            }
            Self::Child(_, master) => drop(master.as_ref().map(|master| tty::set_size(master.as_fd(), size))),
        }
    }

    fn signal(&self, number: i32) {
        // Of something that has just ended: no error.
        let _ = match self {
            Self::Monitor(peer) => signal(&peer.connection, number),
            Self::Child(pidfd, _) => signals::send(*pidfd, number).map_err(Into::into),
        };
    }

    /// Something has come from there: how it ended, if it did.
    fn hear(&mut self) -> Result<Option<Outcome>> {
        let Self::Monitor(peer) = self else { return Ok(Some(Outcome::Exited(CHILD_ENDED))) };
        let open = peer.inbox.fill(peer.connection.as_fd()).context("cannot hear from the monitor")?;
        while let Some(frame) = peer.inbox.next().context("cannot understand the monitor")? {
            if frame.kind == Type::Exited {
                return Ok(Some(Outcome::Exited(frame.end())));
            }
        }
        Ok((!open).then_some(Outcome::MonitorGone))
    }
}

/// All that is copied, and what else goes on meanwhile.
pub(super) struct Copier<'a> {
    pub input: Option<Input<'a>>,
    pub outputs: [Option<Output<'a>>; 2],
    pub caught: Caught,
    pub terminal: Terminal<'a>,
    pub sig_proxy: bool,
}

/// Copy until the other end has ended and all its output is written, or the user leaves.
pub(super) fn run(mut copier: Copier<'_>, mut other: Other<'_>) -> Result<Outcome> {
    let raw = match copier.terminal.keyboard {
        Some(keyboard) => Some(RawMode::enter(keyboard).context("cannot put the terminal into raw mode")?),
        None => None,
    };
    let mut ended = None;
    let mut buffer = buffer();
    loop {
        if let Some(outcome) = ended
            && copier.outputs.iter().all(Option::is_none)
        {
            return Ok(outcome);
        }
        let ready = copier.wait(&other, ended.is_some())?;
        if ready.signals {
            copier.signals(&other, raw.as_ref())?;
        }
        if ready.other {
            ended = other.hear()?.or(ended);
            if ended.is_some() {
                // Nobody takes input now. The pipes of a monitor end by themselves; a child's may be held by others.
                copier.input = None;
                if matches!(other, Other::Child(..)) {
                    copier.outputs.iter_mut().flatten().for_each(Output::set_last);
                }
            }
        }
        for (slot, ready) in copier.outputs.iter_mut().zip(ready.outputs) {
            let Some(output) = slot.as_mut().filter(|_| ready || ended.is_some()) else { continue };
            match output.step(&mut buffer) {
                Step::More => {}
                Step::Broken if copier.terminal.takes_keys => return Ok(Outcome::Detached),
                Step::Broken => {
                    return Err(fault(Kind::Interrupted(Signal::SIGPIPE as i32), "nobody reads the output"));
                }
                Step::End | Step::Detach => *slot = None,
            }
        }
        if ready.input
            && let Some(input) = &mut copier.input
        {
            match input.step(&mut buffer) {
                Step::More => {}
                Step::Detach => return Ok(Outcome::Detached),
                // The end of a terminal is a hang-up.
                Step::End if copier.terminal.takes_keys => return Ok(Outcome::Detached),
                Step::End | Step::Broken => {
                    copier.input = None;
                    if let Other::Monitor(peer) = &other {
                        let _ = wire::send(&peer.connection, Type::StdinEnd, &[], &[]);
                    }
                }
            }
        }
    }
}

/// What poll said.
#[derive(Default)]
struct Ready {
    signals: bool,
    other: bool,
    input: bool,
    outputs: [bool; 2],
}

impl Copier<'_> {
    fn wait(&self, other: &Other<'_>, ended: bool) -> Result<Ready> {
        let mut fds = vec![PollFd::new(&self.caught, PollFlags::IN)];
        if !ended {
            fds.push(PollFd::from_borrowed_fd(other.fd(), PollFlags::IN));
        }
        fds.extend(self.outputs.iter().flatten().map(Output::interest));
        fds.extend(self.input.iter().map(Input::interest));
        match rustix::event::poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error).context("cannot wait for events"),
        }
        let mut events = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = |present: bool| present && events.next().unwrap_or(false);
        Ok(Ready {
            signals: next(true),
            other: next(!ended),
            outputs: [next(self.outputs[0].is_some()), next(self.outputs[1].is_some())],
            input: next(self.input.is_some()),
        })
    }

    fn signals(&self, other: &Other<'_>, raw: Option<&RawMode>) -> Result<()> {
        while let Some((number, _)) = self.caught.next() {
            match (Signal::try_from(number), raw) {
                (Ok(Signal::SIGWINCH), _) => self.resize(other),
                (Ok(Signal::SIGPIPE), _) => {}
                (Ok(Signal::SIGTSTP), Some(raw)) => {
                    raw.pause();
                    signals::stop_self();
                    let _ = raw.again();
                    self.resize(other);
                }
                (Ok(Signal::SIGCONT), Some(raw)) => {
                    let _ = raw.again();
                    self.resize(other);
                }
                _ if self.sig_proxy => other.signal(number),
                _ => return Err(fault(Kind::Interrupted(number), "stopped by a signal")),
            }
        }
        Ok(())
    }

    fn resize(&self, other: &Other<'_>) {
        if let Some(size) = self.terminal.size_now() {
            other.resize(size);
        }
    }
}
