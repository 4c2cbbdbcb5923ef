//! `--sdnotify`: who tells systemd that a service of `Type=notify` is up, and which process it is to watch. sd_notify(3).

use super::config::Config;
use super::health;
use super::record::Container;
use crate::base::env;
use crate::base::error::{Fault, Kind};
use anyhow::{Context, Result};
use oci_spec::runtime::{MountBuilder, Spec};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::os::fd::RawFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// Where a container finds the socket, as with podman.
const INSIDE: &str = "/run/notify/notify.sock";

/// Who says `READY=1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sdnotify {
    /// The command: it gets the socket.
    #[default]
    Container,
    /// The monitor, when the command runs.
    Conmon,
    /// The monitor, when the health check has succeeded.
    Healthy,
    /// Nobody; systemd is told nothing.
    Ignore,
}

impl Sdnotify {
    /// Of a word that the declarations have checked.
    pub fn of_word(word: &str) -> Self {
        match word {
            "conmon" => Self::Conmon,
            "healthy" => Self::Healthy,
            "ignore" => Self::Ignore,
            _ => Self::Container,
        }
    }
}

/// The way to systemd of a run: opened before the monitor gives up making connections.
#[derive(Debug)]
pub(super) struct Notifier {
    socket: UnixDatagram,
    path: PathBuf,
    who: Sdnotify,
    is_ready: Cell<bool>,
}

impl Notifier {
    /// That of our own environment; `None` if nobody wants to hear of this container.
    pub fn of(config: &Config) -> Result<Option<Self>> {
        let who = config.life.sdnotify;
        if who == Sdnotify::Ignore || config.is_step() {
            return Ok(None);
        }
        let Some(path) = env::notify_socket().map(PathBuf::from) else { return Ok(None) };
        let refused = |why: &str| {
            let text = format!("`--sdnotify`: systemd cannot be told: `NOTIFY_SOCKET={}` {why}", path.display());
            Fault::new(Kind::Host, text).hint("tell it nothing: --sdnotify ignore")
        };
        if !path.is_absolute() {
            return Err(refused("is no path").into());
        }
        let socket = UnixDatagram::unbound().context("cannot make a socket")?;
        socket.connect(&path).map_err(|error| refused("takes no messages").because(error))?;
        Ok(Some(Self { socket, path, who, is_ready: Cell::new(false) }))
    }

    /// Give the command the socket, if it is the one to speak.
    pub fn lend(&self, spec: &mut Spec) -> Result<()> {
        if self.who != Sdnotify::Container {
            return Ok(());
        }
        let options = ["bind", "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec();
        let mount =
            MountBuilder::default().destination(INSIDE).typ("bind").source(&self.path).options(options).build()?;
        spec.mounts_mut().get_or_insert_default().push(mount);
        if let Some(process) = spec.process_mut() {
            process.env_mut().get_or_insert_default().push(format!("NOTIFY_SOCKET={INSIDE}"));
        }
        Ok(())
    }

    /// The command runs. By the monitor.
    pub fn started(&self) {
        self.tell(&format!("MAINPID={}", rustix::process::getpid().as_raw_nonzero()));
        if self.who == Sdnotify::Conmon {
            self.ready();
        }
    }

    /// A health check has ended.
    pub fn checked(&self, container: &Container) {
        if self.who == Sdnotify::Healthy && !self.is_ready.get() && health::status(container) == "healthy" {
            self.ready();
        }
    }

    fn ready(&self) {
        self.is_ready.set(true);
        self.tell("READY=1");
    }

    /// A service manager that is gone is no reason for a container to end.
    fn tell(&self, text: &str) {
        let _ = self.socket.send(text.as_bytes());
    }
}

/// The command runs: let go of what was for it alone, and tell the service manager.
pub(super) fn tell_outside(preserved: &[RawFd], notifier: Option<&Notifier>) {
    if !preserved.is_empty() {
        // Whoever waits for the end of one waits for the command, not for us.
        crate::sys::detached::close_inherited(&[]);
    }
    if let Some(notifier) = notifier {
        notifier.started();
    }
}
