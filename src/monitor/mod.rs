//! Who stays behind: stdio, attach, logs, exit.
//!
//! One monitor a container, forked by the invocation that starts it. It holds the monitor's ends of the container's
//! streams, writes the log, lets clients attach, and waits for the end. It knows no container: its caller gives it
//! descriptors and a log file, and decides what the end means.
//!
//! ```text
//!  box run ──socketpair──┐                       ┌── stdin  ◄─ pipe ──┐ (write end lent to clients)
//!  box attach ──socket───┤   control: frames     │                    │
//!  box wait ────socket───┴──────────► monitor ◄──┼── stdout ── pipe ──┤ init
//!                                       │  │     └── stderr ── pipe ──┘ or one pty
//!                                       │  └─► ctr.log, ctr.log.1, …
//!                                       └────► a pipe a client and stream (read end passed by SCM_RIGHTS)
//!
//!  client                              monitor
//!    ◄── Started [phases] ───────────────  only to the invoking command, before all else
//!    ◄── Failed [kind, texts, hints] ────  or this, and the end
//!    ── Hello [streams, rows, cols] ────►  no streams: only wants to hear the end
//!    ◄── Streams [which] + descriptors ──  stdin: the container's own (or the pty master); stdout, stderr: pipes
//!    ── Resize [rows, cols] ────────────►
//!    ── Signal [number] ────────────────►  for init, through its pidfd
//!    ── StdinEnd ───────────────────────►  closes the container's stdin if it was opened for one client
//!    ── Ask [request] + descriptors ────►  for the attendant
//!    ◄── Done, or Failed ────────────────  its answer
//!    ◄── Exited [code, whether for want of memory]  all output is in the pipes by then
//! ```
//!
//! Bytes never pass through the control connection, so a client copies with splice(2) and a dead one is a closed pipe.

mod attach;
mod client;
pub mod confine;
mod copy;
mod detach;
mod fork;
pub mod logs;
mod serve;
mod socket;
mod start;
mod stdio;
pub mod terminal;
#[cfg(test)]
mod tests;
mod wire;

pub use attach::{AttachOptions, Outcome, Waited, ask, attach, signal, wait};
pub use detach::parse_detach_keys;
pub use fork::{fork, fork_with};
pub use logs::{Driver, LogConfig, Stream};
pub use serve::{Attendant, Finished, Session, serve};
pub use socket::{connect, is_trusted, listen};
pub use start::{await_started, report_failed, report_started};
pub use stdio::{PipesForContainer, Streams, pipes};
pub use wire::{End, MAX_FDS};
