//! A running container's network, as its monitor holds it: the programs beside it, and what becomes of them.

use super::foreign::Starting;
use super::record::{Container, Status};
use super::{happened, network as names, networks, publish};
use crate::base::dirs::Dirs;
use crate::base::error::{Kind, fault};
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
    dirs: &'a Dirs,
    container: &'a Container,
    wanted: Wanted,
    /// Our place in user networks lasts as long as this.
    hub: Option<Connection>,
    /// The connection to a hub that has died, which keeps its namespace.
    lost: Option<Connection>,
    netns: Option<OwnedFd>,
    program: Option<Program>,
    program_died: bool,
    /// Kept, so that connections wait while a forwarder that died is forked anew.
    listeners: Vec<Listener>,
    forwarder: Option<Forwarder>,
    /// Those that end with their last connections.
    retired: Vec<Forwarder>,
    deaths: Deaths,
    /// When what has died is started anew.
    due: Option<i64>,
}

impl<'a> Live<'a> {
    /// Begin: the programs make the interface while init mounts.
    pub(super) fn begin(
        dirs: &'a Dirs,
        container: &'a Container,
        listeners: Vec<Listener>,
        wanted: Wanted,
        starting: &mut Starting<'_>,
    ) -> Result<Self> {
        let netns = match &container.config.network {
            NetworkMode::Slirp4netns | NetworkMode::Pasta | NetworkMode::Bridge => {
                Some(starting.network()?.context("the container has no network namespace")?)
            }
            NetworkMode::Namespace(path) => Some(open_namespace(path)?),
            _ => None,
        };
        let mut live = Self {
            dirs,
            container,
            wanted,
            hub: None,
            lost: None,
            netns,
            program: None,
            program_died: false,
            listeners,
            forwarder: None,
            retired: Vec::new(),
            deaths: Deaths::default(),
            due: None,
        };
        live.program = live.start_program()?;
        Ok(live)
    }

    fn start_program(&self) -> Result<Option<Program>> {
        let Some(netns) = &self.netns else { return Ok(None) };
        let settings = &self.container.config.networking;
        let program = match &self.container.config.network {
            NetworkMode::Slirp4netns => {
                network::check_slirp(&self.dirs.run)?;
                network::start_slirp(netns.as_fd(), &settings.slirp, settings.mac)?
            }
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
            let (connection, leases) = hub::join(self.dirs, None, netns.as_fd(), member)?;
            self.hub = Some(connection);
            self.has(leases)?;
            timing::phase("network joined");
        }
        self.forward()
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
        let Some(hub) = &mut self.hub else { return };
        let before = self.wanted.member.as_ref().map(|member| member.leases.clone()).unwrap_or_default();
        let result = match hub.changed() {
            Ok(leases) => {
                // Connections to an address that is left go on.
                let stays = before.iter().all(|lease| leases.contains(lease));
                self.has(leases).and_then(|()| self.forward_anew(stays))
            }
            Err(_) => {
                self.lost = self.hub.take();
                let pause = self.deaths.died();
                self.is_due_in(pause);
                Ok(())
            }
        };
        if result.is_err() {
            let pause = self.deaths.failed();
            self.is_due_in(pause);
        }
    }

    /// Something is to be started anew, in so many nanoseconds.
    fn is_due_in(&mut self, pause: i64) {
        self.due = Some(timing::now().saturating_add(pause));
    }

    /// Start anew what is due; in how many nanoseconds to come again, if at all.
    pub(super) fn tick(&mut self) -> Option<i64> {
        let left = self.due? - timing::now();
        if left > 0 {
            return Some(left);
        }
        self.due = None;
        if self.mend().is_err() {
            let pause = self.deaths.failed();
            self.is_due_in(pause);
            return Some(pause);
        }
        None
    }

    /// Bring back whatever is missing, and say so.
    fn mend(&mut self) -> Result<()> {
        if self.lost.is_some() {
            self.rejoin()?;
            self.lost = None;
            // The addresses may be others.
            self.forward_anew(false)?;
            self.tell("networks");
        }
        if self.program_died {
            let mut program = self.start_program()?.context("there is no program")?;
            program.wait_ready()?;
            let name = program.name();
            self.program = Some(program);
            self.program_died = false;
            // With the interface went the routes of the forwarder, which lays them anew.
            self.forward_anew(false)?;
            self.tell(name);
        } else if self.forwarder.is_none() && !self.listeners.is_empty() {
            self.forward()?;
            self.tell("ports");
        }
        Ok(())
    }

    fn tell(&self, helper: &str) {
        happened::helper_restart(self.dirs, self.container, helper);
    }

    fn rejoin(&mut self) -> Result<()> {
        let Some(hub) = &self.lost else { return Ok(()) };
        if let (Some(netns), Some(mut member)) = (&self.netns, self.wanted.member.clone()) {
            // The hub was told of another name; the next one hears it from us.
            if let Some(name) = member.names.first_mut() {
                *name = super::record::current(self.container).name;
            }
            let (connection, leases) = hub.rejoin(self.dirs, netns.as_fd(), member)?;
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

    /// Serve with another forwarder; whether the old one goes on with its connections.
    fn forward_anew(&mut self, retire: bool) -> Result<()> {
        let old = self.forwarder.take();
        match old {
            Some(old) if !retire => {
                old.stop();
                self.forward()
            }
            old => {
                let result = self.forward();
                if let Some(old) = old {
                    old.retire();
                    self.retired.push(old);
                }
                result
            }
        }
    }

    /// Publish other ports: [`publish::Request`]. On failure all is as before.
    pub(super) fn ask(&mut self, request: &[u8], fds: Vec<OwnedFd>) -> Result<()> {
        let request: publish::Request = serde_json::from_slice(request).context("the request makes no sense")?;
        let Status::Running(mut run) = self.container.status() else {
            return Err(fault(Kind::WrongState, "the container is not running"));
        };
        let before = self.listeners.iter().map(Listener::try_clone).collect::<Result<Vec<_>, _>>()?;
        let (listeners, ports) = request.apply(std::mem::take(&mut self.listeners), run.ports, fds)?;
        (self.listeners, run.ports) = (listeners, ports);
        if let Err(error) = self.forward_anew(true) {
            self.listeners = before;
            let _ = self.forward();
            return Err(error);
        }
        self.container.rewrite_run(&run)
    }

    /// A child has ended: a helper that died is started anew.
    pub(super) fn child_ended(&mut self, pid: i32) {
        self.retired.retain(|forwarder| forwarder.pid != pid);
        if self.program.as_ref().is_some_and(|program| program.pid == pid) {
            (self.program, self.program_died) = (None, true);
        } else if self.forwarder.as_ref().is_some_and(|forwarder| forwarder.pid == pid) {
            self.forwarder = None;
        } else {
            return;
        }
        let pause = self.deaths.died();
        self.is_due_in(pause);
    }

    /// End with the container, whatever becomes of each.
    pub(super) fn stop(self) {
        self.forwarder.into_iter().chain(self.retired).for_each(Forwarder::stop);
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
