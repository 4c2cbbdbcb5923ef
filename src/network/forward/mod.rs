//! Published ports: a small process that carries bytes between the host's sockets and the container's.
//!
//! It listens on sockets of the host's network namespace, which it inherits, and lives in the container's, where it
//! connects to the container's own address, *from the client's*: the sockets are transparent, and rules of the
//! container's routing lead the answers back (`addresses`). So a server in the container sees who its client is. A
//! client of the host's loopback appears as the container itself, never as 127.0.0.1 (CVE-2021-20199), and a server
//! that listens on the container's loopback alone is not published. One thread, one epoll; a stream goes by
//! splice(2) and is never copied; descriptors and memory are bounded. It keeps the two capabilities that another's address takes,
//! and ends with the monitor.
//!
//! Where the ports change, another forwarder takes the listeners over and this one retires: it goes on with the
//! connections that it has, and ends with the last of them.

mod slab;
mod target;
mod tcp;
mod udp;

use super::addresses::{Targets, lead_back};
use super::{Listener, Protocol};
use crate::base::error::{Kind, fault};
use crate::base::signal::{SIGKILL, SIGTERM};
use crate::sys::descriptors::close_all_but;
use crate::sys::process;
use crate::sys::signals::{self, Caught};
use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use target::Target;
use tcp::Tcp;
use udp::Udp;

/// Descriptors that are not connections: epoll, standard streams, room to spare.
const RESERVED_DESCRIPTORS: u64 = 32;
/// More descriptors than this are never asked for.
const MAX_DESCRIPTORS: u64 = 65536;
/// Events taken from the kernel at once.
const BATCH: usize = 64;
/// A forwarder that retires lets go of its ports within a batch of events; one that does not is stuck.
const RETIRING: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// A running forwarder, a child of the caller. It outlives this value; it ends by [`Forwarder::stop`] or with the
/// caller.
#[derive(Debug)]
pub struct Forwarder {
    /// Its process.
    pub pid: i32,
    pidfd: OwnedFd,
    /// Its other end is closed when it has let go of the ports.
    holds_ports: OwnedFd,
}

impl Forwarder {
    /// End it at once and wait for its end.
    pub fn stop(self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        let _ = process::wait(self.pid);
    }

    /// Have it let go of its ports, and end when its last connection does. Returns when the ports are let go of.
    pub fn retire(&self) {
        if signals::send(self.pidfd.as_fd(), SIGTERM).is_ok() {
            let _ = poll(&mut [PollFd::new(&self.holds_ports, PollFlags::IN)], Some(&RETIRING));
        }
    }
}

/// Fork the process that serves `listeners` into the network namespace `netns`.
///
/// The caller is single-threaded and root in the user namespace that owns `netns` (or the real root). It may keep the
/// listeners, to fork another forwarder should this one die: connections wait meanwhile. A copy that nobody accepts
/// from keeps the port taken, so drop them where that is not wanted.
/// `neighbours`: others share the container's own network (a bridge), and reach its ports without us.
pub fn forward(listeners: &[Listener], netns: BorrowedFd<'_>, neighbours: bool) -> Result<Forwarder> {
    let deed = "cannot forward the published ports";
    let (ready, ready_theirs) = pipe_with(PipeFlags::CLOEXEC).context(deed)?;
    match process::clone3(0, None).context(deed)? {
        None => {
            let served = Server::settle(listeners, netns, neighbours, &ready_theirs).and_then(|mut server| {
                rustix::io::write(&ready_theirs, b"\n")?;
                server.holds_ports = Some(ready_theirs.try_clone()?);
                // The last descriptor that is not part of the work; never dropped twice, as we do not return.
                close_all_but(&server.descriptors())?;
                server.run()
            });
            if let Err(error) = &served {
                let _ = rustix::io::write(&ready_theirs, format!("{error:#}").as_bytes());
            }
            process::exit_now(i32::from(served.is_err()))
        }
        Some(child) => {
            drop(ready_theirs);
            let mut answer = [0; 512];
            let length = rustix::io::retry_on_intr(|| rustix::io::read(&ready, &mut answer)).unwrap_or(0);
            let answer = answer.get(..length).unwrap_or_default();
            if answer == b"\n" {
                return Ok(Forwarder { pid: child.pid, pidfd: child.pidfd, holds_ports: ready });
            }
            let _ = process::wait(child.pid);
            let reason = String::from_utf8_lossy(answer);
            Err(fault(Kind::Host, if reason.is_empty() { "the forwarder died" } else { &*reason })).context(deed)
        }
    }
}

/// What an event is about, as epoll's 64 bits of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Listener(usize),
    Tcp(usize, End),
    Udp(usize),
    /// The signal to retire.
    Retire,
}

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

impl Token {
    const SHIFT: u32 = 61;

    fn data(self) -> epoll::EventData {
        let (kind, index) = match self {
            Self::Listener(index) => (0, index),
            Self::Tcp(index, End::Client) => (1, index),
            Self::Tcp(index, End::Server) => (2, index),
            Self::Udp(index) => (3, index),
            Self::Retire => (4, 0),
        };
        epoll::EventData::new_u64(kind << Self::SHIFT | index as u64)
    }

    fn of(data: epoll::EventData) -> Self {
        let index = (data.u64() & !(7 << Self::SHIFT)) as usize;
        match data.u64() >> Self::SHIFT {
            0 => Self::Listener(index),
            1 => Self::Tcp(index, End::Client),
            2 => Self::Tcp(index, End::Server),
            3 => Self::Udp(index),
            _ => Self::Retire,
        }
    }
}

/// Whether the machine or the process has run out of something, rather than one connection having failed.
fn is_scarcity(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}

struct Server {
    epoll: OwnedFd,
    listeners: Vec<Listener>,
    retire: Caught,
    /// Closed when we retire; absent from then on.
    holds_ports: Option<OwnedFd>,
    tcp: Tcp,
    udp: Udp,
}

impl Server {
    /// In the child: become a process that can do nothing but forward.
    fn settle(listeners: &[Listener], netns: BorrowedFd<'_>, neighbours: bool, ready: &OwnedFd) -> Result<Self> {
        rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
            .context("cannot join the container's network namespace")?;
        let mut keep: Vec<i32> = listeners.iter().map(|listener| listener.socket.as_raw_fd()).collect();
        keep.push(ready.as_raw_fd());
        // Locks, sockets and pipes of the monitor would be held on to by a copy.
        close_all_but(&keep).context("cannot close descriptors")?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        drop(null);
        let _ = rustix::process::chdir("/");
        let _ = rustix::thread::set_name(c"box-ports");
        // splice(2) to a socket whose other end has gone raises SIGPIPE, and has no flag against it.
        let blocked: nix::sys::signal::SigSet = [nix::sys::signal::Signal::SIGPIPE].into_iter().collect();
        blocked.thread_set_mask().context("cannot set the signals")?;
        let retire = Caught::these(&[nix::sys::signal::Signal::SIGTERM]).context("cannot catch signals")?;
        // Our own, to be closed one day.
        let listeners = listeners.iter().map(Listener::try_clone).collect::<Result<Vec<_>, _>>()?;
        let targets = Targets::of_this_namespace().context("cannot read the container's addresses")?;
        let ports: Vec<(Protocol, u16)> =
            listeners.iter().map(|listener| (listener.protocol, listener.container_port)).collect();
        // A kernel without policy routing: clients appear as the container itself.
        let transparent = lead_back(targets, &ports, neighbours).is_ok();
        rustix::thread::set_no_new_privs(true)?;
        let none = CapabilitySet::empty();
        let kept = if transparent { CapabilitySet::NET_RAW | CapabilitySet::NET_BIND_SERVICE } else { none };
        rustix::thread::set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: none })
            .context("cannot drop capabilities")?;
        // After the change of credentials, which may clear it.
        process::set_parent_death_signal(SIGKILL)?;
        let descriptors = raise_descriptor_limit();
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let target = Target { addresses: targets, transparent };
        let tcp = Tcp::new(descriptors, target);
        let udp = Udp::new(target, listeners.iter().any(|listener| listener.protocol == Protocol::Udp));
        epoll::add(&epoll, &retire, Token::Retire.data(), epoll::EventFlags::IN)?;
        let mut server = Self { epoll, listeners, retire, holds_ports: None, tcp, udp };
        server.watch_listeners()?;
        Ok(server)
    }

    fn descriptors(&self) -> Vec<i32> {
        let listeners = self.listeners.iter().map(|listener| listener.socket.as_raw_fd());
        let own = [self.epoll.as_raw_fd(), self.retire.as_fd().as_raw_fd()];
        listeners.chain(own).chain(self.holds_ports.iter().map(AsRawFd::as_raw_fd)).collect()
    }

    fn watch_listeners(&mut self) -> Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            if listener.protocol == Protocol::Udp {
                crate::sys::net::enable_packet_info(listener.socket.as_fd(), listener.ipv6)?;
            }
            epoll::add(&self.epoll, &listener.socket, Token::Listener(index).data(), epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    /// Forward until killed, or until the last connection after retiring.
    fn run(&mut self) -> Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(BATCH);
        loop {
            events.clear();
            let timeout = self.tcp.pause().or(self.udp.sweep_interval());
            let timeout = timeout.map(|ms: i64| Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 });
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for events"),
            }
            for event in &events {
                match Token::of(event.data) {
                    Token::Listener(index) => self.listener_ready(index),
                    Token::Tcp(index, end) => self.tcp.ready(&self.epoll, index, end, event.flags),
                    Token::Udp(index) => self.udp.answer(&self.listeners, index),
                    Token::Retire => self.let_go_of_ports(),
                }
            }
            self.udp.sweep();
            self.tcp.settle(&self.epoll, &self.listeners);
            if self.holds_ports.is_none() && self.tcp.is_idle() {
                return Ok(());
            }
        }
    }

    /// Whoever takes over hears the next datagram of each UDP client, whose answers must not come here any more.
    fn let_go_of_ports(&mut self) {
        self.udp.forget_all();
        self.listeners.clear();
        self.holds_ports = None;
    }

    fn listener_ready(&mut self, index: usize) {
        let Some(listener) = self.listeners.get(index) else { return };
        match listener.protocol {
            Protocol::Tcp => self.tcp.accept(&self.epoll, &self.listeners, listener),
            Protocol::Udp => self.udp.ask(&self.epoll, index, listener),
        }
    }
}

/// As many descriptors as the hard limit gives, within reason; how many of them connections may use.
fn raise_descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS);
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    let usable = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => limit.current.unwrap_or(wanted),
    };
    usable.saturating_sub(RESERVED_DESCRIPTORS + udp::MAX_SESSIONS as u64).max(16) as usize
}

#[cfg(test)]
mod tests;
