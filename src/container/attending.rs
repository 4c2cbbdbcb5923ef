//! What a monitor attends to beside a container's streams: its network's programs, its health, who waits to be told.

use super::health::Watch;
use super::network_live;
use super::sdnotify::Notifier;
use crate::monitor;
use crate::sys::process::Ended;
use anyhow::Result;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Who cares for the programs beside a container, and for its health.
pub(super) struct Attending<'a, 'b> {
    /// The programs of its network.
    pub(super) network: &'a mut network_live::Live<'b>,
    /// Its health checks.
    pub(super) watch: Watch<'a>,
    /// Whoever is told that it is ready.
    pub(super) notifier: Option<&'a Notifier>,
}

impl monitor::Attendant for Attending<'_, '_> {
    fn child_ended(&mut self, pid: i32, ended: Ended) {
        if !self.watch.child_ended(pid, ended.code()) {
            self.network.child_ended(pid);
        } else if let Some(notifier) = self.notifier {
            notifier.checked(self.watch.container());
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.network.descriptor()
    }

    fn ready(&mut self) {
        self.network.changed();
    }

    fn ask(&mut self, request: &[u8], fds: Vec<OwnedFd>) -> Result<()> {
        self.network.ask(request, fds)
    }

    fn tick(&mut self) -> Option<i64> {
        self.watch.tick().into_iter().chain(self.network.tick()).min()
    }
}
