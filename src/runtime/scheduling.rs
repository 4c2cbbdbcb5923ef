//! How the processes of a container are scheduled, and where their memory lies: `process.scheduler`, `ioPriority` and
//! `execCPUAffinity`, `linux.memoryPolicy` and `personality`. All are inherited by what the command starts.

use crate::base::error::{Fault, Kind, fault};
use crate::sys::sched::{self, Scheduling};
use anyhow::{Context, Result};
use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType,
    MemoryPolicyModeType, Process, Scheduler,
};
use rustix::thread::CpuSet;

/// Take on what a process's properties and the container's say. Before its capabilities are dropped.
pub(super) fn apply(process: &Process, linux: Option<&Linux>) -> Result<()> {
    if let Some(scheduler) = process.scheduler() {
        let refused = |error: std::io::Error| denied("cannot set `process.scheduler`", error);
        sched::set_scheduling(scheduling(scheduler)).map_err(refused)?;
    }
    if let Some(priority) = process.io_priority() {
        let class = match priority.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        let level = u16::try_from(priority.priority()).ok().filter(|level| *level < 8);
        let level = level.ok_or_else(|| fault(Kind::BadData, "`process.ioPriority.priority` is not from 0 to 7"))?;
        let refused = |error| denied("cannot set `process.ioPriority`", error);
        sched::set_io_priority(class, level).map_err(refused)?;
    }
    let Some(linux) = linux else { return Ok(()) };
    if let Some(policy) = linux.memory_policy() {
        let nodes = policy.nodes().as_deref().map(numbers).transpose().context("`linux.memoryPolicy.nodes`")?;
        let nodes = nodes.unwrap_or_default();
        let flags = policy.flags().iter().flatten().fold(0, |flags, flag| flags | memory_flag(*flag));
        sched::set_memory_policy(memory_mode(policy.mode()) | flags, &nodes)
            .map_err(|error| denied("cannot set `linux.memoryPolicy`", error))?;
    }
    if let Some(personality) = linux.personality() {
        let domain = match personality.domain() {
            LinuxPersonalityDomain::PerLinux => 0,
            LinuxPersonalityDomain::PerLinux32 => 8,
        };
        sched::set_personality(domain).context("cannot set `linux.personality`")?;
    }
    Ok(())
}

fn denied(deed: &str, error: std::io::Error) -> anyhow::Error {
    Fault::new(Kind::Host, deed).because(error)
}

/// Run this process on these processors only, as `0-3,7`. Returns those of before.
pub(super) fn set_affinity(processors: &str) -> Result<CpuSet> {
    let before = rustix::thread::sched_getaffinity(None).context("cannot read the processors we run on")?;
    let mut set = CpuSet::new();
    for number in bits(&numbers(processors)?).filter(|number| *number < CpuSet::MAX_CPU) {
        set.set(number);
    }
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| denied(&format!("cannot run on the processors `{processors}`"), error.into()))?;
    Ok(before)
}

fn scheduling(scheduler: &Scheduler) -> Scheduling {
    let policy = match scheduler.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    Scheduling {
        policy,
        flags: scheduler.flags().iter().flatten().fold(0, |flags, flag| flags | scheduling_flag(*flag)),
        nice: scheduler.nice().unwrap_or(0),
        priority: scheduler.priority().unwrap_or(0).unsigned_abs(),
        runtime: scheduler.runtime().unwrap_or(0),
        deadline: scheduler.deadline().unwrap_or(0),
        period: scheduler.period().unwrap_or(0),
        ..Scheduling::default()
    }
}

/// `SCHED_FLAG_…` of linux/sched.h.
fn scheduling_flag(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

/// `MPOL_…` of linux/mempolicy.h.
fn memory_mode(mode: MemoryPolicyModeType) -> i32 {
    match mode {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    }
}

fn memory_flag(flag: MemoryPolicyFlagType) -> i32 {
    match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
    }
}

/// Numbers and ranges, as `0-3,7`, as a mask.
fn numbers(text: &str) -> Result<Vec<u64>> {
    const MAX: usize = 4095;
    let wrong = || fault(Kind::BadData, format!("`{}` is not numbers and ranges like 0-3,7", text.escape_debug()));
    let mut mask = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().map_err(|_| wrong())?, last.parse::<usize>().map_err(|_| wrong())?);
        if first > last || last > MAX {
            return Err(wrong());
        }
        mask.resize(mask.len().max(last / 64 + 1), 0);
        (first..=last).for_each(|number| mask[number / 64] |= 1 << (number % 64));
    }
    Ok(mask)
}

fn bits(mask: &[u64]) -> impl Iterator<Item = usize> {
    (0..mask.len() * 64).filter(|number| mask[number / 64] & 1 << (number % 64) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        for (text, expected) in [("0", vec![1]), ("0-3,7", vec![0x8f]), ("64, 1", vec![2, 1])] {
            assert_eq!(numbers(text).unwrap(), expected, "{text}");
        }
        assert_eq!(bits(&numbers("3,70-71").unwrap()).collect::<Vec<_>>(), [3, 70, 71]);
        for text in ["", "a", "3-1", "1-", "-1", "5000", "0,,1"] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }
}
