//! `oci events`: what a container uses, in runc's words.

use crate::base::error::{Kind, fault};
use crate::base::time;
use crate::cli::args::oci::Events;
use crate::cli::output::print_line;
use crate::runtime::cgroup::Cgroup;
use crate::runtime::lifecycle::{self, Container, Home};
use crate::sys::proc;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// `box oci events`.
pub fn events(home: &Home, args: &Events) -> Result<()> {
    let container = home.find(&args.id)?;
    let deed = || format!("cannot measure container `{}`", container.id);
    let interval = args.interval.as_deref().map_or(Ok(5_000), milliseconds)?;
    let cgroup = lifecycle::cgroup(&container).with_context(deed)?;
    let state = container.state.as_ref().context("it is not complete")?;
    let stopped = || fault(Kind::WrongState, "container not running (it is stopped)").context(deed());
    let pidfd = state.open().filter(|pidfd| !proc::wait_gone(pidfd, Some(0))).ok_or_else(stopped)?;
    loop {
        print_line(&stats(&container, cgroup).to_string())?;
        if args.stats || proc::wait_gone(&pidfd, Some(interval)) {
            return Ok(());
        }
    }
}

fn milliseconds(text: &str) -> Result<i64> {
    let nanos = text.parse::<u32>().ok().map(|seconds| i64::from(seconds) * 1_000_000_000);
    let nanos = nanos.or_else(|| time::parse_duration(text)).filter(|nanos| *nanos > 0);
    let wrong = || fault(Kind::Usage, format!("`{}` is not an interval, as 5 or 500ms", text.escape_debug()));
    nanos.map(|nanos| nanos / 1_000_000).ok_or_else(wrong)
}

/// One line.
fn stats(container: &Container, cgroup: &Cgroup) -> Value {
    let stats = cgroup.stats();
    let nanos = |micros: u64| micros.saturating_mul(1000);
    let mut data = json!({
        "cpu": { "usage": {
            "total": nanos(stats.cpu_usec),
            "kernel": nanos(stats.cpu_system_usec),
            "user": nanos(stats.cpu_usec.saturating_sub(stats.cpu_system_usec)),
        } },
    });
    if let Some(pids) = stats.pids {
        data["pids"] = json!({ "current": pids });
    }
    if let Some(used) = stats.memory {
        // No limit is the largest number, as the kernel of cgroup v1 had it.
        let limit = stats.memory_limit.unwrap_or(u64::MAX);
        data["memory"] = json!({ "usage": { "usage": used, "limit": limit } });
    }
    if let Some((read, written)) = stats.block {
        data["blkio"] = json!({ "ioServiceBytesRecursive": [
            { "op": "Read", "value": read }, { "op": "Write", "value": written },
        ] });
    }
    json!({ "type": "stats", "id": container.id, "data": data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        for (text, expected) in [("5", 5000), ("500ms", 500), ("1m", 60_000)] {
            assert_eq!(milliseconds(text).unwrap(), expected);
        }
        for text in ["", "0", "-1s", "soon"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }
}
