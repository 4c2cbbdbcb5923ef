//! `wait`: until a container has ended, or is as one wants it.

use super::record::{Container, Status};
use crate::base::error::{Kind, fault, kind};
use crate::engine::Engine;
use crate::monitor::{self, Waited};
use anyhow::Result;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Its end: `stopped` or `exited`; also `configured` and `created` are told by the state alone.
    #[default]
    Stopped,
    /// It was made and never started: `configured`, `created`.
    Created,
    /// Its monitor works on it: `initialized`.
    Initialized,
    /// That it runs.
    Running,
    /// That it is paused.
    Paused,
    /// That it is being stopped, or taken away: states that box does not stay in.
    Passing,
    /// A good result of its health check.
    Healthy,
    /// Too many bad ones.
    Unhealthy,
}

/// What to wait for, and how.
#[derive(Debug, Clone, Default)]
pub struct WaitOptions {
    /// Any of these; none: the end.
    pub conditions: Vec<Condition>,
    /// Milliseconds between two looks, where there is nothing to wait on.
    pub interval: Option<i64>,
}

impl Condition {
    /// podman's words.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "stopped" | "exited" => Self::Stopped,
            "configured" | "created" => Self::Created,
            "initialized" => Self::Initialized,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "stopping" | "removing" => Self::Passing,
            "healthy" => Self::Healthy,
            "unhealthy" => Self::Unhealthy,
            _ => return Err(fault(Kind::Usage, format!("`{}` is not the state of a container", text.escape_debug()))),
        })
    }

    /// The code, if it is so now.
    fn met(self, container: &Container, status: &Status) -> Option<i32> {
        let health = |word: &str| {
            container.config.life.health.is_some()
                && matches!(status, Status::Running(_))
                && super::health::status(container) == word
        };
        match (self, status) {
            (Self::Stopped, Status::Exited(exit)) => return Some(exit.code),
            // As podman does: one that was never started has not exited, and its code is 0.
            (Self::Stopped, Status::Created) => return Some(0),
            _ => {}
        }
        let met = match self {
            Self::Stopped | Self::Passing => false,
            Self::Created => matches!(status, Status::Created),
            Self::Initialized => matches!(status, Status::Starting),
            Self::Running => matches!(status, Status::Running(_)),
            Self::Paused => status.word() == "paused",
            Self::Healthy => health("healthy"),
            Self::Unhealthy => health("unhealthy"),
        };
        met.then_some(-1)
    }
}

/// Wait; the exit code, or -1 for another condition than the end.
///
/// Errors: [`Kind::WrongState`] for health without a check; [`Kind::NotFound`] if it was removed meanwhile and its end
/// was not what was waited for.
pub fn wait(container: &Container, options: &WaitOptions) -> Result<i32> {
    let conditions = if options.conditions.is_empty() { &[Condition::Stopped][..] } else { &options.conditions };
    let health = |condition: &Condition| matches!(condition, Condition::Healthy | Condition::Unhealthy);
    if container.config.life.health.is_none() && conditions.iter().any(health) {
        let text = format!("container `{}` has no health check, so it will never be so", container.config.name);
        return Err(fault(Kind::WrongState, text));
    }
    loop {
        let status = container.status();
        if let Some(code) = conditions.iter().find_map(|condition| condition.met(container, &status)) {
            return Ok(code);
        }
        if !container.dir.exists() {
            return match conditions.contains(&Condition::Stopped) {
                true => Ok(0),
                false => Err(fault(Kind::NotFound, format!("container `{}` was removed", container.config.name))),
            };
        }
        match (&status, conditions) {
            // Its monitor tells, without a look ever so often.
            (Status::Running(_), [Condition::Stopped]) => {
                if let Ok(connection) = monitor::connect(&container.socket())
                    && let Waited::Exited(code) = monitor::wait(&connection, None)?
                {
                    return Ok(code);
                }
                super::stop::settle(container)?;
            }
            _ => pause(options.interval),
        }
    }
}

/// Wait until one of several is as wanted; its code.
///
/// Errors: those of [`wait`].
pub fn wait_any(engine: &Engine, containers: &[Container], options: &WaitOptions) -> Result<i32> {
    let conditions = if options.conditions.is_empty() { &[Condition::Stopped][..] } else { &options.conditions };
    loop {
        for container in containers {
            let status = container.status();
            if let Some(code) = conditions.iter().find_map(|condition| condition.met(container, &status)) {
                return Ok(code);
            }
            if let Err(error) = super::find(engine, container.config.id.as_str())
                && kind(&error) == Kind::NotFound
                && conditions.contains(&Condition::Stopped)
            {
                return Ok(0);
            }
        }
        pause(options.interval);
    }
}

/// The pause between two looks where there is nothing to wait on: podman's 250 ms are too long for scripts.
pub(super) fn pause(milliseconds: Option<i64>) {
    let nanos = milliseconds.unwrap_or(20).clamp(1, 3_600_000) * 1_000_000;
    let timeout = rustix::event::Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
    let _ = rustix::event::poll(&mut [], Some(&timeout));
}
