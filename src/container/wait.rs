//! `wait`: until a container has ended.

use super::record::{Container, Status};
use crate::monitor::{self, Waited};
use anyhow::Result;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Its end: `stopped` or `exited`.
    #[default]
    Stopped,
    /// That it runs.
    Running,
}

/// Wait; the exit code, or -1 for another condition than the end.
pub fn wait(container: &Container, condition: Condition) -> Result<i32> {
    loop {
        match (container.status(), condition) {
            (Status::Running(_), Condition::Running) => return Ok(-1),
            (Status::Exited(exit), Condition::Stopped) => return Ok(exit.code),
            // As podman does: one that was never started has not exited, and its code is 0.
            (Status::Created, Condition::Stopped) => return Ok(0),
            (Status::Running(_), Condition::Stopped) => {
                if let Ok(connection) = monitor::connect(&container.socket())
                    && let Waited::Exited(code) = monitor::wait(&connection, None)?
                {
                    return Ok(code);
                }
                super::stop::settle(container)?;
                if !container.dir.exists() {
                    return Ok(0);
                }
            }
            _ => pause(),
        }
    }
}

/// The pause between two looks where there is nothing to wait on: podman's 250 ms are too long for scripts.
fn pause() {
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let _ = rustix::event::poll(&mut [], Some(&timeout));
}
