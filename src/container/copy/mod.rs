//! `cp`: files into, out of and between containers, running or stopped, and as a tar stream.
//!
//! Each end is a process of its own that sees files as its side does: in a running container's mount namespace, in a
//! private one where a stopped container's root is mounted, or on the host. Between them goes a tar stream through a
//! pipe. All paths are resolved by the kernel below the side's root, and below the folder that is copied to no link is
//! followed at all, so that whoever changes links meanwhile wins nothing.
//!
//! ```text
//!   source: pack ──tar──► pipe ──► unpack: destination          each with its errors to the caller
//! ```

mod pack;
mod plan;
mod unpack;
mod view;

pub use plan::split as split_path;
pub use unpack::{extract, restore};

use super::record::Container;
use crate::base::error::{self, Kind, fault};
use crate::engine::Engine;
use crate::sys::process::{self, Fork};
use anyhow::{Context, Result};
use plan::{End, Plan};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use unpack::Owner;
use view::View;

/// How `cp` copies.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// `-a`: what comes into a container belongs to the container's user; without it, to whom it belonged.
    pub archive: bool,
    /// `-L`: a link named as source is followed.
    pub follow: bool,
    /// `--overwrite`: a folder may take the place of a file, and a file that of a folder.
    pub overwrite: bool,
}

/// One side.
#[derive(Debug, Clone)]
pub enum Side {
    /// A path of the host's, absolute.
    Host(String),
    /// A path in a container.
    Container(Box<Container>, String),
    /// `-`: a tar stream, from stdin or to stdout.
    Stream,
}

/// Copy.
///
/// Errors: [`Kind::NotFound`] for a source that is not there; [`Kind::Usage`] for what docker's rules forbid.
pub fn copy(
    engine: &Engine,
    from: &Side,
    to: &Side,
    options: CopyOptions,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
) -> Result<()> {
    engine.enter()?;
    let source = End::of(engine, from, options.follow)?;
    let destination = End::of(engine, to, true)?;
    let plan = plan::plan(&source, &destination, options.overwrite)?;
    match (from, to) {
        (Side::Stream, _) => unpack_side(engine, to, &plan, options, stdin),
        (_, Side::Stream) => pack_side(engine, from, &plan, stdout),
        _ => both(engine, from, to, &plan, options),
    }
}

/// The two sides at once, with a pipe between.
fn both(engine: &Engine, from: &Side, to: &Side, plan: &Plan, options: CopyOptions) -> Result<()> {
    let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    let packer = in_child(|| {
        // Or the pipe would never end.
        pack_side(engine, from, plan, writing.as_fd())
    })?;
    drop(writing);
    let unpacked = unpack_side(engine, to, plan, options, reading.as_fd());
    drop(reading);
    let packed = packer.finish();
    // What went wrong at the source is why the stream is short, and not the other way round.
    match (packed, unpacked) {
        (Err(error), _) if !error.to_string().is_empty() && !is_broken_pipe(&error) => Err(error),
        (_, Err(error)) => Err(error),
        (packed, Ok(())) => packed,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("os error 32")
}

fn pack_side(engine: &Engine, side: &Side, plan: &Plan, to: BorrowedFd<'_>) -> Result<()> {
    let to = to.try_clone_to_owned()?;
    in_view(engine, side, move |view| pack::pack(&view.root, &plan.source, &plan.name, plan.contents, File::from(to)))
}

fn unpack_side(engine: &Engine, side: &Side, plan: &Plan, options: CopyOptions, from: BorrowedFd<'_>) -> Result<()> {
    let from = from.try_clone_to_owned()?;
    in_view(engine, side, move |view| {
        let owner = match side {
            Side::Container(container, _) if options.archive => {
                let user = crate::runtime::user::resolve(&view.root, &container.config.user)?;
                Owner::This(user.uid, user.gid)
            }
            Side::Container(..) => Owner::AsItWas,
            _ => Owner::Ours,
        };
        unpack::unpack(&view.root, &plan.destination, File::from(from), owner, options.overwrite)
    })
}

/// Do something in a side's view of files, in a process of its own.
fn in_view(engine: &Engine, side: &Side, work: impl FnOnce(&View) -> Result<()>) -> Result<()> {
    in_child(|| work(&View::open(engine, side)?))?.finish()
}

/// A process that works and says how it went.
struct Child {
    pid: i32,
    answer: OwnedFd,
}

fn in_child(work: impl FnOnce() -> Result<()>) -> Result<Child> {
    let (answer, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    match process::fork().context("cannot fork")? {
        Fork::Child => {
            drop(answer);
            let _ = process::set_parent_death_signal(crate::base::signal::SIGKILL);
            let error = work().err().map(|error| error::encode(&error)).unwrap_or_default();
            let _ = std::io::Write::write_all(&mut File::from(writing), &error);
            process::exit_now(0)
        }
        Fork::Parent(pid) => Ok(Child { pid, answer }),
    }
}

impl Child {
    /// Wait for its end: its error, if it has one.
    fn finish(self) -> Result<()> {
        let mut bytes = Vec::new();
        File::from(self.answer).read_to_end(&mut bytes).context("cannot hear of the copy")?;
        match process::wait(self.pid).context("cannot wait for the copy")? {
            process::Ended::Exited(0) if bytes.is_empty() => Ok(()),
            process::Ended::Exited(0) => Err(error::decode(&bytes)),
            _ => Err(fault(Kind::Other, "a process that copied was killed")),
        }
    }
}
