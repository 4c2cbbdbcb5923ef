//! A worker: a process that does one thing for the build, and what comes from it.

use super::event::Stream;
use crate::base::error::{self, Kind, fault};
use crate::base::signal::SIGKILL;
use crate::sys::process::{self, Ended, Fork};
use crate::sys::signals;
use anyhow::{Context, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::time::Instant;

/// What a worker says, a line each.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// How far it is: of what, bytes done, bytes in all.
    Progress(String, u64, Option<u64>),
    /// What it was to do is known.
    Cached,
    /// What it has done.
    Answer(Value),
    /// It could not.
    Error(Vec<u8>),
}

/// How a worker tells its leader something. Shared by its threads.
pub struct Reporter(Mutex<File>);

impl Reporter {
    /// Tell how far something is.
    pub fn progress(&self, what: &str, done: u64, total: Option<u64>) {
        self.send(&Message::Progress(what.to_owned(), done, total));
    }

    /// Tell that the result is known.
    pub fn cached(&self) {
        self.send(&Message::Cached);
    }

    fn send(&self, message: &Message) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A leader that is gone takes its workers with it.
        let _ = file.write_all(&line);
    }
}

/// What has come from a worker.
#[derive(Debug)]
pub enum Heard {
    /// Its command has written.
    Output(Stream, Vec<u8>),
    /// It has said something.
    Said(Message),
}

/// A process that works for this one.
pub struct Worker {
    pid: i32,
    /// When it began.
    pub began: Instant,
    /// Its standard output, its standard error, and what it says; `None` at their end.
    pipes: [Option<File>; 3],
    said: Vec<u8>,
}

impl Worker {
    /// Fork a worker that does `work`. Its standard output and error come here, its standard input is empty. It dies
    /// with this process, which must be single-threaded.
    pub fn fork(work: impl FnOnce(&Reporter) -> Result<Value>) -> Result<Self> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe");
        let (out, err, said) = (pipe()?, pipe()?, pipe()?);
        let leader = rustix::process::getpid();
        let pid = match process::fork().context("cannot fork")? {
            Fork::Parent(pid) => pid,
            Fork::Child => {
                let _ = process::set_parent_death_signal(SIGKILL);
                if rustix::process::getppid() != Some(leader) {
                    process::exit_now(1);
                }
                let reporter = Reporter(Mutex::new(File::from(said.1)));
                let result = begin(&out.1, &err.1).and_then(|()| {
                    // The reading ends are the leader's.
                    drop((out, err, said.0));
                    work(&reporter)
                });
                reporter.send(&match result {
                    Ok(value) => Message::Answer(value),
                    Err(error) => Message::Error(error::encode(&error)),
                });
                process::exit_now(0)
            }
        };
        drop((out.1, err.1, said.1));
        let pipes = [out.0, err.0, said.0].map(|fd| Some(File::from(fd)));
        for pipe in pipes.iter().flatten() {
            rustix::io::ioctl_fionbio(pipe, true).context("cannot make a pipe non-blocking")?;
        }
        Ok(Self { pid, began: Instant::now(), pipes, said: Vec::new() })
    }

    /// What to wait for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().flatten().map(AsFd::as_fd)
    }

    /// Take what has come. All is heard when [`Worker::is_over`].
    pub fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut piece = vec![0; 64 << 10];
        for (number, slot) in self.pipes.iter_mut().enumerate() {
            while let Some(pipe) = slot {
                let count = match pipe.read(&mut piece) {
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => 0,
                };
                let bytes = piece.get(..count).unwrap_or_default();
                match (bytes, number) {
                    ([], _) => *slot = None,
                    (bytes, 0) => heard.push(Heard::Output(Stream::Out, bytes.to_vec())),
                    (bytes, 1) => heard.push(Heard::Output(Stream::Err, bytes.to_vec())),
                    (bytes, _) => self.said.extend_from_slice(bytes),
                }
            }
        }
        while let Some(end) = self.said.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.said.drain(..=end).collect();
            heard.extend(serde_json::from_slice(&line).ok().map(Heard::Said));
        }
        heard
    }

    /// Whether all its pipes have ended: nothing more will come.
    pub fn is_over(&self) -> bool {
        self.pipes.iter().all(Option::is_none)
    }

    /// Wait for the process; the error is for one that has given no answer.
    pub fn end(self) -> anyhow::Error {
        match process::wait(self.pid) {
            Ok(Ended::Signaled(signal)) => fault(Kind::Interrupted(signal), "it was killed"),
            _ => fault(Kind::Other, "it ended without an answer"),
        }
    }

    /// End it, and wait: what it leaves is removed by whoever comes after it.
    pub fn kill(self) {
        let _ = signals::kill(self.pid, SIGKILL);
        let _ = process::wait(self.pid);
    }
}

/// The first things that a worker does.
fn begin(out: &OwnedFd, err: &OwnedFd) -> Result<()> {
    signals::reset().context("cannot reset signals")?;
    let null = File::open("/dev/null").context("cannot open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("cannot set standard input")?;
    rustix::stdio::dup2_stdout(out).context("cannot set standard output")?;
    rustix::stdio::dup2_stderr(err).context("cannot set standard error")
}
