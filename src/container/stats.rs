//! `stats`: what containers use, from the kernel's counters of their cgroups, else from those of their processes.

use super::record::{Container, Run, Status};
use super::top;
use crate::base::timing;
use crate::engine::Engine;
use crate::network::NetworkMode;
use crate::runtime::cgroup::Stats;
use std::collections::HashMap;

/// What a container has used by now. `None`: it cannot be known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// When this was read, nanoseconds on the clock of `timing::now`; 0: it does not run.
    pub at: i64,
    /// Since when it runs, nanoseconds before `at`.
    pub up: i64,
    /// Processor time, memory, disks, processes.
    pub counters: Stats,
    /// Bytes received and sent over its own network.
    pub network: Option<(u64, u64)>,
}

/// Look at a container now. One that does not run uses nothing.
pub fn usage(engine: &Engine, container: &Container) -> Usage {
    let Status::Running(run) = container.status() else { return Usage::default() };
    let own = run.cgroup.as_ref().map(|cgroup| cgroup.stats()).unwrap_or_default();
    // Some controllers may not be delegated, or there is no cgroup.
    let is_whole = run.cgroup.is_some() && own.memory.is_some() && own.pids.is_some() && own.block.is_some();
    let counters = if is_whole { own } else { complete(own, run.cgroup.is_some(), engine, container) };
    Usage {
        at: timing::now(),
        up: super::now().saturating_sub(run.started).max(1),
        counters,
        network: network(container, &run),
    }
}

/// The processor time used between two looks, in percent of one processor. Without an earlier one: since it started.
pub fn cpu_percent(earlier: Option<&Usage>, now: &Usage) -> f64 {
    // One that has been started anew has used less than before.
    let earlier = earlier.filter(|old| old.at > 0 && now.counters.cpu_usec >= old.counters.cpu_usec && now.at > old.at);
    let (used, time) = match earlier {
        Some(old) => (now.counters.cpu_usec - old.counters.cpu_usec, now.at - old.at),
        None => (now.counters.cpu_usec, now.up),
    };
    if time <= 0 { 0.0 } else { used as f64 * 1000.0 / time as f64 * 100.0 }
}

/// Fill in what the cgroup does not count from the container's processes.
fn complete(own: Stats, has_cgroup: bool, engine: &Engine, container: &Container) -> Stats {
    let Ok(pids) = top::processes(engine, container) else { return own };
    let all: Vec<Process> = pids.into_iter().filter_map(Process::read).collect();
    let sum = |part: fn(&Process) -> u64| all.iter().map(part).fold(0, u64::saturating_add);
    let optional = |part: fn(&Process) -> Option<u64>| {
        let parts: Option<Vec<u64>> = all.iter().map(part).collect();
        parts.map(|parts| parts.into_iter().fold(0, u64::saturating_add))
    };
    let block = || Some((optional(|process| process.read)?, optional(|process| process.written)?));
    Stats {
        cpu_usec: if has_cgroup { own.cpu_usec } else { sum(|process| process.cpu_usec) },
        cpu_system_usec: if has_cgroup { own.cpu_system_usec } else { sum(|process| process.system_usec) },
        memory: own.memory.or_else(|| optional(|process| process.memory)),
        memory_limit: own.memory_limit,
        block: own.block.or_else(block),
        pids: own.pids.or_else(|| Some(sum(|process| process.threads))),
    }
}

/// What one process has used, children that it has waited for included.
struct Process {
    cpu_usec: u64,
    system_usec: u64,
    threads: u64,
    /// Its part of the memory that it shares with others, and all of its own (proc_pid_smaps(5), `Pss`).
    memory: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let text = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        // The fields after the name, the first being the state (proc_pid_stat(5)).
        let stat = text("stat").ok()?;
        let fields: Vec<u64> =
            stat.rsplit_once(") ")?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or(0);
        let usec = |ticks: u64| ticks.saturating_mul(1_000_000) / rustix::param::clock_ticks_per_second().max(1);
        let (user, system) = (field(11) + field(13), field(12) + field(14));
        let io = text("io").ok();
        let counter = |key: &str| numbers(io.as_deref()?).get(key).copied();
        let memory = text("smaps_rollup").ok().and_then(|text| numbers(&text).get("Pss").map(|kib| kib * 1024));
        Some(Self {
            cpu_usec: usec(user + system),
            system_usec: usec(system),
            threads: field(17),
            memory: memory.or_else(|| resident(&text("statm").ok()?)),
            read: counter("read_bytes"),
            written: counter("write_bytes"),
        })
    }
}

/// Resident bytes, from `/proc/PID/statm`; a process that is ending has none.
fn resident(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Lines of `KEY: NUMBER …`.
fn numbers(text: &str) -> HashMap<&str, u64> {
    text.lines()
        .filter_map(|line| {
            let (key, rest) = line.split_once(':')?;
            Some((key, rest.split_whitespace().next()?.parse().ok()?))
        })
        .collect()
}

/// All interfaces of its own but the loopback. With the host's network nobody counts what is the container's.
fn network(container: &Container, run: &Run) -> Option<(u64, u64)> {
    if container.config.network == NetworkMode::Host {
        return None;
    }
    Some(traffic(&std::fs::read_to_string(format!("/proc/{}/net/dev", run.pid)).ok()?))
}

/// The bytes received and sent of `/proc/PID/net/dev`.
fn traffic(text: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for (name, rest) in text.lines().filter_map(|line| line.split_once(':')) {
        let fields: Vec<u64> = rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        if name.trim() != "lo"
            && let (Some(received), Some(sent)) = (fields.first(), fields.get(8))
        {
            sum = (sum.0 + received, sum.1 + sent);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_of_one_processor() {
        let usage = |at, cpu_usec| Usage {
            at,
            up: 10_000_000_000,
            counters: Stats { cpu_usec, ..Stats::default() },
            network: None,
        };
        let first = usage(1_000_000_000, 1_000_000);
        assert_eq!(cpu_percent(None, &first), 10.0);
        assert_eq!(cpu_percent(Some(&first), &usage(3_000_000_000, 4_000_000)), 150.0);
        // Started anew in between.
        assert_eq!(cpu_percent(Some(&first), &usage(3_000_000_000, 500_000)), 5.0);
        assert_eq!(cpu_percent(None, &Usage::default()), 0.0);
    }

    #[test]
    fn interfaces_are_summed_but_the_loopback() {
        let text = "Inter-|   Receive    |  Transmit\n face |bytes    packets errs\n    lo:  99  1 0 0 0 0 0 0  99 1 0 0 0 0 0 0\n  \
                    tap0:  10  1 0 0 0 0 0 0  20 1 0 0 0 0 0 0\neth1: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";
        assert_eq!(traffic(text), (11, 22));
    }

    #[test]
    fn a_process_is_measured() {
        let own = Process::read(std::process::id() as i32).unwrap();
        assert!(own.threads > 0 && own.memory.unwrap() > 100_000);
        assert!(Process::read(-1).is_none());
    }
}
