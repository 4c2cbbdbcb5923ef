//! The hub: one process a user that keeps the namespace of the bridges, answers names there, and has the way out.
//!
//! ```text
//!  monitor ──┐  $RUN/net   ┌──► bridges, cables, rules: netlink sockets of the hub's namespace
//!  monitor ──┼───────────► hub ─► dns: a door on each bridge
//!  box network connect ─┘  └──► slirp4netns (or pasta), the way out of all bridges
//! ```
//!
//! A container is in its networks for as long as its monitor's connection lasts: addresses and cables are freed with
//! it, whatever kills the monitor, and the hub ends soon after the last one. Nothing is kept on disk. A monitor holds
//! the hub's namespace open, too: if the hub dies, the first monitor to notice makes another in the same namespace,
//! and each tells it what its container has. Messages are lines of JSON; a namespace's descriptor goes beside the
//! first one.

mod names;
mod place;
mod serve;
mod wire;

use super::record::Record;
use super::settings::{Attachment, Mac};
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind, fault};
use crate::base::lock::{Lock, Share};
use crate::base::timing;
use crate::monitor::{connect as connect_socket, listen};
use crate::sys::process::{self, Fork};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The name server of the way out, for networks without names of their own.
pub const OUTER_NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

/// What a container has in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The network.
    pub record: Record,
    /// What was asked for.
    pub attachment: Attachment,
    /// The interface in the container.
    pub interface: String,
    /// Its other end, at the bridge.
    pub outer: String,
    /// The hardware address.
    pub mac: Mac,
    /// The addresses, with their gateways.
    pub addresses: Vec<Address>,
}

/// An address of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// The prefix's length.
    pub length: u8,
    /// The bridge's own address.
    pub gateway: IpAddr,
    /// Whether all else goes by it.
    pub is_default: bool,
}

/// A container that joins, or that was there before the hub.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// What it is called on every network; its own name first.
    pub names: Vec<String>,
    /// `--dns`: whom to ask for other names.
    pub dns: Vec<IpAddr>,
    /// Domains in which its resolver looks for short names.
    pub search: Vec<String>,
    /// What it wants.
    pub wanted: Vec<(Attachment, Record)>,
    /// What it has already.
    pub leases: Vec<Lease>,
}

/// From a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Request {
    Join(Box<Member>),
    Connect { id: String, attachment: Box<Attachment>, record: Box<Record> },
    Disconnect { id: String, network: String },
    Reload { id: Option<String> },
    Rename { id: String, name: String },
    Update { network: String, servers: Vec<IpAddr> },
}

/// To a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Reply {
    /// What the container has now: to its monitor, after each change.
    Leases(Vec<Lease>),
    /// It was done.
    Done,
    /// It was not: an encoded error.
    Failed(Vec<u8>),
}

/// A monitor's connection to the hub.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// The hub's namespace, which this keeps.
    netns: OwnedFd,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Bring a container into its networks; the hub is made if there is none. Returns what the container has now.
///
/// `netns` is the container's; `hub` the namespace that a hub was in that has died. The caller is single-threaded and
/// root in the user namespace, in the host's network namespace.
///
/// Errors: addresses that are taken, interfaces that exist, a kernel without bridges or nf_tables.
pub fn join(
    dirs: &Dirs,
    hub: Option<BorrowedFd<'_>>,
    netns: BorrowedFd<'_>,
    member: Member,
) -> Result<(Connection, Vec<Lease>)> {
    let stream = reach(dirs, hub)?;
    wire::send(&stream, &Request::Join(Box::new(member)), Some(netns)).context("cannot ask for a network")?;
    let mut buffer = Vec::new();
    let (reply, namespace) = wire::receive(&stream, &mut buffer).context("the hub of the networks died")?;
    let netns = namespace.context("the hub of the networks has no namespace");
    match reply {
        Reply::Leases(leases) => Ok((Connection { stream, buffer, netns: netns? }, leases)),
        Reply::Failed(error) => Err(crate::base::error::decode(&error)),
        Reply::Done => Err(fault(Kind::Other, "the hub of the networks answers another question")),
    }
}

impl Connection {
    /// What the container has now, after a change. Call it when the connection can be read. Errors: the hub has died.
    pub fn changed(&mut self) -> Result<Vec<Lease>> {
        match wire::receive(&self.stream, &mut self.buffer)?.0 {
            Reply::Leases(leases) => Ok(leases),
            _ => Err(fault(Kind::Other, "the hub of the networks makes no sense")),
        }
    }

    /// Go back to the namespace of a hub that has died, with what the container has.
    pub fn rejoin(&self, dirs: &Dirs, netns: BorrowedFd<'_>, member: Member) -> Result<(Self, Vec<Lease>)> {
        join(dirs, Some(self.netns.as_fd()), netns, member)
    }
}

/// Bring a running container into one more network.
pub fn connect(run: &Path, id: &str, attachment: Attachment, record: Record) -> Result<()> {
    ask(run, &Request::Connect { id: id.to_owned(), attachment: Box::new(attachment), record: Box::new(record) })
}

/// Take a running container out of a network.
pub fn disconnect(run: &Path, id: &str, network: &str) -> Result<()> {
    ask(run, &Request::Disconnect { id: id.to_owned(), network: network.to_owned() })
}

/// A running container is called this from now on.
pub fn rename(run: &Path, id: &str, name: &str) -> Result<()> {
    ask(run, &Request::Rename { id: id.to_owned(), name: name.to_owned() })
}

/// A network asks these servers for other names from now on. If nobody is in it, there is nothing to do.
pub fn update(run: &Path, record: &Record) -> Result<()> {
    match connect_socket(&run.join(SOCKET)) {
        Ok(_) => ask(run, &Request::Update { network: record.id.clone(), servers: record.dns_servers.clone() }),
        Err(_) => Ok(()),
    }
}

/// Write the rules anew, and lay the cables of a container (or of all) that are missing.
pub fn reload(run: &Path, id: Option<&str>) -> Result<()> {
    ask(run, &Request::Reload { id: id.map(str::to_owned) })
}

fn ask(run: &Path, request: &Request) -> Result<()> {
    let stream = connect_socket(&run.join(SOCKET)).context("no container of yours is in a network")?;
    wire::send(&stream, request, None).context("cannot ask the hub of the networks")?;
    match wire::receive(&stream, &mut Vec::new()).context("the hub of the networks died")?.0 {
        Reply::Failed(error) => Err(crate::base::error::decode(&error)),
        _ => Ok(()),
    }
}

/// Nanoseconds that somebody who wants to join waits for a hub that begins or ends.
const PATIENCE: i64 = 10_000_000_000;
const SOCKET: &str = "net";
const LOCK: &str = "net.lock";

fn pause_a_moment() {
    let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
    let _ = rustix::event::poll(&mut [], Some(&moment));
}

/// A connection to the hub, which is made if there is none.
fn reach(dirs: &Dirs, hub: Option<BorrowedFd<'_>>) -> Result<UnixStream> {
    let run = &dirs.run;
    let path = run.join(LOCK);
    let begun = timing::now();
    let lock = loop {
        if let Ok(stream) = connect_socket(&run.join(SOCKET)) {
            return Ok(stream);
        }
        // The hub holds it for as long as it lives: one that is just ending is waited for. So is one that another makes
        // at this moment, and that one will be there to be connected to, not give the lock back; hence no waiting for it.
        match Lock::try_acquire(&path, Share::Exclusive)? {
            Some(lock) if lock.is_at(&path) => match connect_socket(&run.join(SOCKET)) {
                Ok(stream) => return Ok(stream),
                Err(_) => break lock,
            },
            Some(_) => {}
            None if timing::now() - begun > PATIENCE => {
                return Err(fault(Kind::Other, "the hub of the networks is there and answers nobody"));
            }
            None => pause_a_moment(),
        }
    };
    let listener = listen(&run.join(SOCKET))?;
    let hub = hub.map(|hub| hub.try_clone_to_owned()).transpose()?;
    match process::fork().context("cannot start the hub of the networks")? {
        Fork::Child => {
            let code =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve::run(dirs, listener, &lock, hub)));
            process::exit_now(code.unwrap_or(1))
        }
        Fork::Parent(_) => {
            drop((lock, listener));
            connect_socket(&run.join(SOCKET)).context("the hub of the networks died")
        }
    }
}

/// A kernel that lacks something, with the mode that works.
fn lacking(what: &str, error: anyhow::Error) -> anyhow::Error {
    use rustix::io::Errno;
    match error.downcast_ref::<Errno>() {
        Some(&(Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::NOENT)) => {
            Fault::new(Kind::Host, format!("this kernel has no {what}, which the network needs"))
                .hint("use the default, which needs none: `--network slirp4netns`")
                .because(error)
        }
        _ => error,
    }
}
