//! A running container's network, as its monitor holds it: the programs beside it, and what becomes of them.

use super::foreign::Starting;
use super::record::Container;
use super::{network as names, networks};
use crate::base::timing;
use crate::network::hub::{self, Connection, Lease, Member};
use crate::network::{self, Deaths, Forwarder, Listener, NetworkMode, Program};
use anyhow::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What is decided before the monitor is forked.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// What `/etc/hosts` begins with.
    pub(super) hosts_base: Option<String>,
    /// What the hub of the networks is told.
    pub(super) member: Option<Member>,
}

/// The namespace and the programs beside it.
pub(super) struct Live<'a> {
    container: &'a Container,
    wanted: Wanted,
    /// Our place in user networks lasts as long as this.
    hub: Option<Connection>,
    netns: Option<OwnedFd>,
    program: Option<Program>,
    /// Kept, so that connections wait while a forwarder that died is forked anew.
    listeners: Vec<Listener>,
    forwarder: Option<Forwarder>,
    deaths: Deaths,
}

impl<'a> Live<'a> {
    /// Begin: the programs make the interface while init mounts.
    pub(super) fn begin(
        container: &'a Container,
        listeners: Vec<Listener>,
        wanted: Wanted,
        starting: &mut Starting<'_>,
    ) -> Result<Self> {
        let netns = match &container.config.network {
            NetworkMode::Slirp4netns | NetworkMode::Pasta | NetworkMode::Bridge => {
                Some(starting.network()?.context("the container has no network namespace")?)
            }
            NetworkMode::Namespace(path) if !listeners.is_empty() => Some(open_namespace(path)?),
            _ => None,
        };
        let (hub, program, forwarder, deaths) = (None, None, None, Deaths::default());
        let mut live = Self { container, wanted, hub, netns, program, listeners, forwarder, deaths };
        live.program = live.start_program()?;
        Ok(live)
    }

    fn start_program(&self) -> Result<Option<Program>> {
        let Some(netns) = &self.netns else { return Ok(None) };
        let settings = &self.container.config.networking;
        let program = match &self.container.config.network {
            NetworkMode::Slirp4netns => network::start_slirp(netns.as_fd(), &settings.slirp, settings.mac)?,
            NetworkMode::Pasta => network::start_pasta(netns.as_fd(), &settings.pasta, settings.mac)?,
            _ => return Ok(None),
        };
        timing::phase("clone network program");
        Ok(Some(program))
    }

    /// Wait until the network is there, and begin to serve the published ports.
    pub(super) fn ready(&mut self) -> Result<()> {
        if let Some(program) = &mut self.program {
            program.wait_ready()?;
            timing::phase("network ready");
        }
        if let (Some(netns), Some(member)) = (&self.netns, self.wanted.member.clone()) {
            let (connection, leases) = hub::join(self.run(), None, netns.as_fd(), member)?;
            self.hub = Some(connection);
            self.has(leases)?;
            timing::phase("network joined");
        }
        self.forward()
    }

    /// The folder of the hub's socket.
    fn run(&self) -> &'a Path {
        self.container.run_dir.parent().unwrap_or(Path::new("/"))
    }

    /// The container has this in its networks from now on: for its names, for those who ask, and for the next hub.
    fn has(&mut self, leases: Vec<Lease>) -> Result<()> {
        networks::write_leases(self.container, &leases)?;
        names::rewrite_files(self.container, self.wanted.hosts_base.clone(), &leases)?;
        if let Some(member) = &mut self.wanted.member {
            member.leases = leases;
            member.wanted.clear();
        }
        Ok(())
    }

    /// What tells of changes: [`Live::changed`].
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.hub.as_ref().map(AsFd::as_fd)
    }

    /// The hub has something to say, or has died; then we go back to its namespace, with another if need be.
    pub(super) fn changed(&mut self) {
        let Some(mut hub) = self.hub.take() else { return };
        let result = match hub.changed() {
            Ok(leases) => {
                self.hub = Some(hub);
                self.has(leases)
            }
            Err(_) if self.deaths.again() => self.rejoin(&hub),
            Err(_) => Ok(()),
        };
        // The addresses may be others.
        if result.is_ok()
            && let Some(forwarder) = self.forwarder.take()
        {
            forwarder.stop();
            let _ = self.forward();
        }
    }

    fn rejoin(&mut self, hub: &Connection) -> Result<()> {
        if let (Some(netns), Some(mut member)) = (&self.netns, self.wanted.member.clone()) {
            // The hub was told of another name; the next one hears it from us.
            if let Some(name) = member.names.first_mut() {
                *name = super::record::current(self.container).name;
            }
            let (connection, leases) = hub.rejoin(self.run(), netns.as_fd(), member)?;
            self.hub = Some(connection);
            self.has(leases)?;
        }
        Ok(())
    }

    fn forward(&mut self) -> Result<()> {
        if let (Some(netns), false) = (&self.netns, self.listeners.is_empty()) {
            let neighbours = self.container.config.network == NetworkMode::Bridge;
            self.forwarder = Some(network::forward(&self.listeners, netns.as_fd(), neighbours)?);
        }
        Ok(())
    }

    /// A child has ended: a helper that died is started anew, unless it dies at once again and again.
    pub(super) fn child_ended(&mut self, pid: i32) {
        let is_program = self.program.as_ref().is_some_and(|program| program.pid == pid);
        let is_forwarder = self.forwarder.as_ref().is_some_and(|forwarder| forwarder.pid == pid);
        if !is_program && !is_forwarder {
            return;
        }
        if is_program {
            self.program = None;
        } else {
            self.forwarder = None;
        }
        if self.deaths.again() {
            let _ = self.restart(is_program);
        } else {
            // A connection is refused rather than left to wait.
            self.listeners.clear();
        }
    }

    /// Bring back what died. With the interface went the routes of the forwarder, which lays them anew.
    fn restart(&mut self, program: bool) -> Result<()> {
        if program {
            self.program = self.start_program()?;
            if let Some(program) = &mut self.program {
                program.wait_ready()?;
            }
            if let Some(forwarder) = self.forwarder.take() {
                forwarder.stop();
            }
        }
        self.forward()
    }

    /// End with the container, whatever becomes of each.
    pub(super) fn stop(self) {
        if let Some(forwarder) = self.forwarder {
            forwarder.stop();
        }
        if let Some(program) = self.program {
            program.kill();
        }
    }
}

fn open_namespace(path: &Path) -> Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("cannot open the network namespace `{}`", path.display()))
}
