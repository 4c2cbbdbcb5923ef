//! Limits of a container: what was asked for, what that is in the specification, and the cgroup that holds it.

mod devices;
mod parse;
mod place;
mod show;

pub use parse::{parse_bytes, parse_conf, parse_cpus, parse_pids, parse_rate, parse_ulimit, parse_weight};
pub(super) use place::{Held, Plan, remove_leftover};
pub(super) use show::host_config;

use super::config::Config;
use crate::base::error::{Fault, Kind, fault};
use crate::runtime;
use crate::runtime::cgroup::Cgroup;
use anyhow::Result;
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources, LinuxThrottleDevice, LinuxThrottleDeviceBuilder,
    LinuxWeightDevice, LinuxWeightDeviceBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Processes that a container may have if nothing is said, where cgroups allow to limit them.
const DEFAULT_PIDS: i64 = 2048;
/// The same with `--hardened`.
const HARDENED_PIDS: i64 = 256;
/// The size of `/dev/shm` if nothing is said, bytes.
pub const DEFAULT_SHM: u64 = 64 << 20;
/// The period of processor time that `--cpus` is a part of, microseconds.
pub const CPU_PERIOD: u64 = 100_000;

/// Everything that limits a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// What `update` can change.
    pub resources: Resources,
    /// `--cgroups`.
    pub cgroups: Cgroups,
    /// `--cgroupns host`.
    pub host_cgroupns: bool,
    /// `--cgroup-parent`.
    pub parent: Option<String>,
    /// `--oom-score-adj`, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// `--ulimit`.
    pub ulimits: Vec<Ulimit>,
    /// `--ulimit host`: the caller's own are kept.
    pub host_ulimits: bool,
    /// `--shm-size`, bytes; 0: as much as there is.
    pub shm_size: Option<u64>,
}

/// Limits on a cgroup. `None`: nothing was said; -1: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together.
    pub memory_swap: Option<i64>,
    /// Bytes that are left to it when memory is short.
    pub memory_reservation: Option<i64>,
    /// Microseconds of processor time in each period.
    pub cpu_quota: Option<i64>,
    /// The period, microseconds.
    pub cpu_period: Option<u64>,
    /// The share of contended processors, 1024 being usual.
    pub cpu_shares: Option<u64>,
    /// The processors to run on, `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// The memory nodes to use.
    pub cpuset_mems: Option<String>,
    /// Processes and threads.
    pub pids: Option<i64>,
    /// The share of contended disks, 10 to 1000.
    pub blkio_weight: Option<u64>,
    /// The same of one device.
    pub blkio_weight_device: Vec<Device>,
    /// Bytes read from a device in a second.
    pub device_read_bps: Vec<Device>,
    /// Bytes written.
    pub device_write_bps: Vec<Device>,
    /// Reads from a device in a second.
    pub device_read_iops: Vec<Device>,
    /// Writes.
    pub device_write_iops: Vec<Device>,
    /// `--cgroup-conf`: the kernel's files and what to write to them.
    pub unified: BTreeMap<String, String>,
}

/// A number for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// `/dev/…`.
    pub path: PathBuf,
    /// A weight, or a rate in a second.
    pub value: u64,
    /// The device's numbers, found when the container is created.
    pub numbers: (u32, u32),
}

/// `--cgroups`: who gets a cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cgroups {
    /// The container one of its own, and the monitor beside it.
    #[default]
    Enabled,
    /// Nobody.
    Disabled,
    /// The container alone; the monitor stays with the caller.
    NoConmon,
    /// Both below the unit that box runs in.
    Split,
}

impl Cgroups {
    /// podman's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::NoConmon => "no-conmon",
            Self::Split => "split",
        }
    }
}

/// A limit of setrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `RLIMIT_…`.
    pub name: String,
    /// Where the kernel begins to refuse; the greatest number: as much as is allowed.
    pub soft: u64,
    /// How far the process may raise `soft` itself.
    pub hard: u64,
}

impl Resources {
    /// These, and where they say nothing the `older` ones.
    pub fn over(self, older: Self) -> Self {
        let devices = |new: Vec<Device>, mut old: Vec<Device>| {
            old.retain(|device| !new.iter().any(|other| other.path == device.path));
            old.into_iter().chain(new).collect()
        };
        Self {
            memory: self.memory.or(older.memory),
            memory_swap: self.memory_swap.or(older.memory_swap),
            memory_reservation: self.memory_reservation.or(older.memory_reservation),
            cpu_quota: self.cpu_quota.or(older.cpu_quota),
            cpu_period: self.cpu_period.or(older.cpu_period),
            cpu_shares: self.cpu_shares.or(older.cpu_shares),
            cpuset_cpus: self.cpuset_cpus.or(older.cpuset_cpus),
            cpuset_mems: self.cpuset_mems.or(older.cpuset_mems),
            pids: self.pids.or(older.pids),
            blkio_weight: self.blkio_weight.or(older.blkio_weight),
            blkio_weight_device: devices(self.blkio_weight_device, older.blkio_weight_device),
            device_read_bps: devices(self.device_read_bps, older.device_read_bps),
            device_write_bps: devices(self.device_write_bps, older.device_write_bps),
            device_read_iops: devices(self.device_read_iops, older.device_read_iops),
            device_write_iops: devices(self.device_write_iops, older.device_write_iops),
            unified: older.unified.into_iter().chain(self.unified).collect(),
        }
    }

    /// What contradicts itself, as docker and podman refuse it.
    pub fn check(&self) -> Result<()> {
        let unlimited = |value: i64| value < 0;
        if let Some(both) = self.memory_swap.filter(|both| !unlimited(*both)) {
            match self.memory {
                None => {
                    return Err(fault(Kind::Usage, "`--memory-swap` counts memory and swap, so it needs `--memory`"));
                }
                Some(memory) if both < memory => {
                    let text = "`--memory-swap` counts memory and swap, so it cannot be less than `--memory`";
                    return Err(Fault::new(Kind::Usage, text)
                        .hint("for no swap, set it to the same as --memory")
                        .into());
                }
                Some(_) => {}
            }
        }
        match (self.memory_reservation, self.memory) {
            (Some(reservation), Some(memory)) if !unlimited(memory) && reservation > memory => {
                Err(fault(Kind::Usage, "`--memory-reservation` cannot be more than `--memory`"))
            }
            _ => Ok(()),
        }
    }

    /// Look up the devices' numbers. Errors: one that is not there, or not a block device.
    pub fn find_devices(&mut self) -> Result<()> {
        let all = [
            &mut self.blkio_weight_device,
            &mut self.device_read_bps,
            &mut self.device_write_bps,
            &mut self.device_read_iops,
            &mut self.device_write_iops,
        ];
        for device in all.into_iter().flatten() {
            device.numbers = block_device(&device.path)?;
        }
        Ok(())
    }

    /// As the specification has it; `None` where nothing was asked.
    pub fn to_oci(&self) -> Result<Option<LinuxResources>> {
        if *self == Self::default() {
            return Ok(None);
        }
        let mut memory = LinuxMemory::default();
        memory.set_limit(self.memory).set_swap(self.memory_swap).set_reservation(self.memory_reservation);
        let mut cpu = LinuxCpu::default();
        cpu.set_shares(self.cpu_shares).set_quota(self.cpu_quota).set_period(self.cpu_period);
        cpu.set_cpus(self.cpuset_cpus.clone()).set_mems(self.cpuset_mems.clone());
        let mut io = LinuxBlockIo::default();
        io.set_weight(self.blkio_weight.map(|weight| weight as u16));
        io.set_weight_device(Some(self.blkio_weight_device.iter().map(weight).collect::<Result<_>>()?));
        io.set_throttle_read_bps_device(Some(throttle(&self.device_read_bps)?));
        io.set_throttle_write_bps_device(Some(throttle(&self.device_write_bps)?));
        io.set_throttle_read_iops_device(Some(throttle(&self.device_read_iops)?));
        io.set_throttle_write_iops_device(Some(throttle(&self.device_write_iops)?));
        let mut resources = LinuxResources::default();
        resources.set_memory(Some(memory)).set_cpu(Some(cpu)).set_pids(self.pids.map(pids)).set_block_io(Some(io));
        resources.set_unified((!self.unified.is_empty()).then(|| self.unified.clone().into_iter().collect()));
        Ok(Some(resources))
    }

    /// What holds if nothing is said, where the host can: docker's and podman's limit of processes, and as much swap as
    /// memory.
    fn defaults(&self, default_pids: i64) -> LinuxResources {
        let mut resources = LinuxResources::default();
        if self.pids.is_none() {
            resources.set_pids(Some(pids(default_pids)));
        }
        if let (Some(limit @ 1..), None) = (self.memory, self.memory_swap) {
            let mut memory = LinuxMemory::default();
            memory.set_limit(Some(limit)).set_swap(Some(limit.saturating_mul(2)));
            resources.set_memory(Some(memory));
        }
        resources
    }
}

fn pids(limit: i64) -> LinuxPids {
    let mut pids = LinuxPids::default();
    pids.set_limit(limit);
    pids
}

fn weight(device: &Device) -> Result<LinuxWeightDevice> {
    let builder = LinuxWeightDeviceBuilder::default().major(device.numbers.0).minor(device.numbers.1);
    Ok(builder.weight(device.value as u16).build()?)
}

fn throttle(devices: &[Device]) -> Result<Vec<LinuxThrottleDevice>> {
    let throttle = |device: &Device| {
        let builder = LinuxThrottleDeviceBuilder::default().major(device.numbers.0).minor(device.numbers.1);
        Ok(builder.rate(device.value).build()?)
    };
    devices.iter().map(throttle).collect()
}

fn block_device(path: &Path) -> Result<(u32, u32)> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let deed = || format!("cannot limit the use of `{}`", path.display());
    let found = std::fs::metadata(path).map_err(|error| Fault::new(Kind::Usage, deed()).because(error))?;
    if !found.file_type().is_block_device() {
        return Err(fault(Kind::Usage, "it is not a block device").context(Fault::new(Kind::Usage, deed())));
    }
    Ok((rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev())))
}

/// Set these limits on a cgroup that is in use, and the defaults where they can be.
pub(super) fn apply(cgroup: &Cgroup, resources: &Resources, default_pids: i64) -> Result<()> {
    if let Some(asked) = resources.to_oci()? {
        cgroup.set(&asked)?;
    }
    let _ = cgroup.set(&resources.defaults(default_pids));
    Ok(())
}

/// The limit of processes if nothing is said.
pub(super) fn default_pids(config: &Config) -> i64 {
    if config.rights.hardened { HARDENED_PIDS } else { DEFAULT_PIDS }
}

impl Limits {
    /// Check, and decide what depends on the host: devices, and what "unlimited" means for `ulimits`.
    ///
    /// Only real root raises hard limits; an ordinary user's are refused here and not by the kernel at each start.
    pub fn settle(mut self, is_root: bool) -> Result<Self> {
        self.resources.check()?;
        self.resources.find_devices()?;
        if let (Cgroups::Disabled, Some(what)) = (self.cgroups, place::what(&self)) {
            let text = format!("{what} means nothing with `--cgroups disabled`: the container has no cgroup");
            return Err(fault(Kind::Usage, text));
        }
        if self.host_ulimits {
            for name in parse::ULIMITS.iter().map(|(_, name)| *name) {
                if !self.ulimits.iter().any(|ulimit| ulimit.name == name) {
                    let (soft, hard) = runtime::own_limit(name)?;
                    self.ulimits.push(Ulimit { name: name.to_owned(), soft, hard });
                }
            }
            self.host_ulimits = false;
        }
        for ulimit in &mut self.ulimits {
            place::clamp(ulimit, is_root)?;
        }
        Ok(self)
    }

    /// `process.rlimits`; open files are `files` if nothing else is said.
    pub fn rlimits(&self, files: u64) -> Result<Vec<PosixRlimit>> {
        let rlimit = |typ: PosixRlimitType, soft: u64, hard: u64| {
            PosixRlimitBuilder::default().typ(typ).soft(soft).hard(hard).build()
        };
        let mut list = Vec::new();
        if !self.ulimits.iter().any(|ulimit| ulimit.name == "RLIMIT_NOFILE") {
            list.push(rlimit(PosixRlimitType::RlimitNofile, files, files)?);
        }
        for ulimit in &self.ulimits {
            list.push(rlimit(ulimit.name.parse()?, ulimit.soft, ulimit.hard)?);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::cgroup;

    fn files(resources: &Resources) -> String {
        let oci = resources.to_oci().unwrap().unwrap_or_default();
        let list = cgroup::settings(&oci).unwrap();
        list.iter().map(|s| format!("{}={}", s.file, s.value)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn flags_reach_the_kernels_files() {
        assert_eq!(files(&Resources::default()), "");
        let device = |value| vec![Device { path: "/dev/x".into(), value, numbers: (8, 16) }];
        let all = Resources {
            memory: Some(1 << 20),
            memory_swap: Some(-1),
            memory_reservation: Some(1 << 19),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            cpu_shares: Some(1024),
            cpuset_cpus: Some("0".into()),
            cpuset_mems: Some("0-1".into()),
            pids: Some(-1),
            blkio_weight: Some(500),
            blkio_weight_device: device(20),
            device_read_bps: device(1),
            device_write_bps: device(2),
            device_read_iops: device(3),
            device_write_iops: device(4),
            unified: BTreeMap::from([("memory.high".into(), "9".into())]),
        };
        let expected = "memory.max=1048576; memory.swap.max=max; memory.low=524288; cpu.weight=100; \
                        cpu.max=50000 100000; cpuset.cpus=0; cpuset.mems=0-1; pids.max=max; io.bfq.weight=500; \
                        io.bfq.weight=8:16 20; io.max=8:16 rbps=1; io.max=8:16 wbps=2; io.max=8:16 riops=3; \
                        io.max=8:16 wiops=4; memory.high=9";
        assert_eq!(files(&all), expected);
        assert_eq!(Resources::default().over(all.clone()), all);
        let changed = Resources { pids: Some(5), device_read_bps: device(7), ..Resources::default() }.over(all);
        assert_eq!((changed.pids, changed.device_read_bps), (Some(5), device(7)));
    }

    #[test]
    fn contradictions_are_refused() {
        let check = |memory, memory_swap, memory_reservation| {
            Resources { memory, memory_swap, memory_reservation, ..Resources::default() }.check().is_ok()
        };
        assert!(check(None, None, None) && check(Some(5), Some(5), Some(5)) && check(Some(5), Some(-1), None));
        assert!(check(None, Some(-1), Some(9)) && check(Some(-1), Some(5), Some(9)));
        assert!(!check(None, Some(5), None) && !check(Some(6), Some(5), None) && !check(Some(5), None, Some(6)));
    }

    #[test]
    fn defaults_yield_to_what_is_asked() {
        let files = |resources: Resources| {
            let list = cgroup::settings(&resources.defaults(2048)).unwrap();
            list.iter().map(|s| format!("{}={}", s.file, s.value)).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(files(Resources::default()), "pids.max=2048");
        assert_eq!(files(Resources { pids: Some(-1), ..Resources::default() }), "");
        let memory = Resources { memory: Some(100), pids: Some(1), ..Resources::default() };
        assert_eq!(files(memory), "memory.max=100; memory.swap.max=100");
    }

    #[test]
    fn without_cgroups_there_are_no_limits() {
        let limits = Limits { cgroups: Cgroups::Disabled, ..Limits::default() };
        assert!(limits.clone().settle(false).is_ok());
        let resources = Resources { pids: Some(5), ..Resources::default() };
        assert!(Limits { resources, ..limits }.settle(false).is_err());
    }
}
