//! `linux.resources` of a specification as files of cgroup v2: which file gets which text. No I/O.
//!
//! Sources: <https://docs.kernel.org/admin-guide/cgroup-v2.html>, the specification's config-linux.md. What only cgroup
//! v1 knows is refused: an option that cannot be honoured is an error. Devices are not files; see `devices`.

use crate::base::error::{Kind, fault};
use anyhow::Result;
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxNetwork, LinuxRdma, LinuxResources,
    LinuxThrottleDevice,
};
use std::collections::HashMap;

/// The period of processor time that the kernel assumes, microseconds.
const PERIOD: u64 = 100_000;

/// One file and what is written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The file's name in the cgroup's folder.
    pub file: String,
    /// The text.
    pub value: String,
    /// What to write instead where this kernel has no such file.
    pub otherwise: Option<(String, String)>,
}

/// The settings of these resources, in the order in which they are to be written.
///
/// Errors, of kind `Usage`, name the property.
pub fn settings(resources: &LinuxResources) -> Result<Vec<Setting>> {
    let mut list = List::default();
    if let Some(memory) = resources.memory() {
        list.memory(memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        list.cpu(cpu)?;
    }
    if let Some(pids) = resources.pids() {
        list.add("pids.max", if pids.limit() > 0 { pids.limit().to_string() } else { "max".into() });
    }
    if let Some(io) = resources.block_io() {
        list.block_io(io)?;
    }
    list.huge_pages(resources.hugepage_limits().as_deref().unwrap_or_default())?;
    if let Some(network) = resources.network() {
        refuse_network(network)?;
    }
    list.rdma(resources.rdma().as_ref());
    list.unified(resources.unified().as_ref())?;
    Ok(list.0)
}

/// What cgroup v1 had and v2 has not.
fn refuse(property: &str, why: &str) -> Result<()> {
    Err(fault(Kind::Usage, format!("`linux.resources.{property}` cannot be set: {why}")))
}

/// `max` for -1.
fn limit(value: i64) -> String {
    if value < 0 { "max".into() } else { value.to_string() }
}

#[derive(Default)]
struct List(Vec<Setting>);

impl List {
    fn add(&mut self, file: impl Into<String>, value: impl Into<String>) {
        self.0.push(Setting { file: file.into(), value: value.into(), otherwise: None });
    }

    fn memory(&mut self, memory: &LinuxMemory) -> Result<()> {
        if memory.swappiness().is_some() {
            refuse("memory.swappiness", "cgroup v2 has no swappiness of a container's own")?;
        }
        if memory.disable_oom_killer() == Some(true) {
            refuse("memory.disableOOMKiller", "cgroup v2 has no way to hold the out-of-memory killer back")?;
        }
        if memory.kernel().is_some_and(|limit| limit > 0) || memory.kernel_tcp().is_some_and(|limit| limit > 0) {
            refuse("memory.kernel", "cgroup v2 counts the kernel's memory within `memory.limit`")?;
        }
        // 0 is what other engines write for "not given".
        let given = |value: Option<i64>| value.filter(|value| *value != 0);
        let (max, both) = (given(memory.limit()), given(memory.swap()));
        if let Some(max) = max {
            self.add("memory.max", limit(max));
        }
        let swap = match (max, both) {
            // Unlimited memory means unlimited swap, if nothing else is said.
            (Some(..=-1), None) => Some(-1),
            (_, None) => None,
            (_, Some(..=-1)) => Some(-1),
            (Some(..=-1), Some(both)) => Some(both),
            (None, Some(_)) => return refuse("memory.swap", "it counts memory and swap, so it needs `memory.limit`"),
            (Some(max), Some(both)) if both < max => {
                return refuse("memory.swap", "it counts memory and swap, so it cannot be less than `memory.limit`");
            }
            (Some(max), Some(both)) => Some(both - max),
        };
        if let Some(swap) = swap {
            self.add("memory.swap.max", limit(swap));
        }
        if let Some(low) = given(memory.reservation()) {
            self.add("memory.low", limit(low));
        }
        Ok(())
    }

    fn cpu(&mut self, cpu: &LinuxCpu) -> Result<()> {
        if cpu.realtime_runtime().is_some_and(|time| time != 0)
            || cpu.realtime_period().is_some_and(|period| period != 0)
        {
            refuse("cpu.realtimeRuntime", "cgroup v2 does not divide the time of real-time processes")?;
        }
        let idle = cpu.idle();
        if idle == Some(0) {
            // Before the weight, which an idle cgroup does not take.
            self.add("cpu.idle", "0");
        }
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            self.add("cpu.weight", weight_of_shares(shares).to_string());
        }
        let period = cpu.period().filter(|period| *period != 0);
        let quota = cpu.quota().filter(|quota| *quota != 0);
        if period.is_some() || quota.is_some() {
            self.add("cpu.max", format!("{} {}", limit(quota.unwrap_or(-1)), period.unwrap_or(PERIOD)));
        }
        if let Some(burst) = cpu.burst() {
            self.add("cpu.max.burst", burst.to_string());
        }
        if let Some(idle) = idle.filter(|idle| *idle != 0) {
            self.add("cpu.idle", idle.to_string());
        }
        for (file, text) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
            if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                self.add(file, text.clone());
            }
        }
        Ok(())
    }

    fn block_io(&mut self, io: &LinuxBlockIo) -> Result<()> {
        let devices = io.weight_device().as_deref().unwrap_or_default();
        let leaf = io.leaf_weight().is_some_and(|weight| weight != 0)
            || devices.iter().any(|device| device.leaf_weight().is_some_and(|weight| weight != 0));
        if leaf {
            refuse("blockIO.leafWeight", "cgroup v2 has no weight for a cgroup's own processes")?;
        }
        let mut weigh = |prefix: &str, weight: u16| -> Result<()> {
            if !(10..=1000).contains(&weight) {
                refuse("blockIO.weight", &format!("{weight} is not from 10 to 1000"))?;
            }
            // The scheduler bfq has files of its own with the scale of cgroup v1; iocost takes from 1 to 10000.
            let scaled = 1 + (u32::from(weight) - 10) * 9999 / 990;
            self.0.push(Setting {
                file: "io.bfq.weight".into(),
                value: format!("{prefix}{weight}"),
                otherwise: Some(("io.weight".into(), format!("{prefix}{scaled}"))),
            });
            Ok(())
        };
        if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
            weigh("", weight)?;
        }
        for device in devices {
            if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
                weigh(&format!("{}:{} ", device.major(), device.minor()), weight)?;
            }
        }
        let mut throttle = |key: &str, list: &Option<Vec<LinuxThrottleDevice>>| {
            for device in list.iter().flatten() {
                let rate = if device.rate() == 0 { "max".into() } else { device.rate().to_string() };
                self.add("io.max", format!("{}:{} {key}={rate}", device.major(), device.minor()));
            }
        };
        throttle("rbps", io.throttle_read_bps_device());
        throttle("wbps", io.throttle_write_bps_device());
        throttle("riops", io.throttle_read_iops_device());
        throttle("wiops", io.throttle_write_iops_device());
        Ok(())
    }

    fn huge_pages(&mut self, list: &[LinuxHugepageLimit]) -> Result<()> {
        for page in list {
            let size = page.page_size();
            let (number, unit) = size.split_at(size.len().saturating_sub(2));
            if !matches!(unit, "KB" | "MB" | "GB") || number.parse::<u64>().is_err() {
                refuse("hugepageLimits.pageSize", &format!("`{}` is not a size such as 2MB", size.escape_debug()))?;
            }
            self.add(format!("hugetlb.{size}.max"), limit(page.limit()));
        }
        Ok(())
    }

    fn rdma(&mut self, devices: Option<&HashMap<String, LinuxRdma>>) {
        let mut devices: Vec<_> = devices.into_iter().flatten().collect();
        devices.sort_by_key(|(name, _)| name.as_str());
        for (name, device) in devices {
            let mut value = name.clone();
            if let Some(handles) = device.hca_handles() {
                value.push_str(&format!(" hca_handle={handles}"));
            }
            if let Some(objects) = device.hca_objects() {
                value.push_str(&format!(" hca_object={objects}"));
            }
            self.add("rdma.max", value);
        }
    }

    fn unified(&mut self, entries: Option<&HashMap<String, String>>) -> Result<()> {
        let mut entries: Vec<_> = entries.into_iter().flatten().collect();
        entries.sort();
        for (file, value) in entries {
            // `cgroup.procs` and its like are no resources, and a path could lead to another's cgroup.
            let plain = file.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
            if !plain || file.starts_with("cgroup.") || !file.contains('.') {
                refuse("unified", &format!("`{}` is not a controller's file", file.escape_debug()))?;
            }
            for line in value.lines() {
                self.add(file.clone(), line);
            }
        }
        Ok(())
    }
}

fn refuse_network(network: &LinuxNetwork) -> Result<()> {
    let asked = network.class_id().is_some_and(|id| id != 0)
        || network.priorities().as_ref().is_some_and(|priorities| !priorities.is_empty());
    if asked { refuse("network", "cgroup v2 does not mark packets") } else { Ok(()) }
}

/// cgroup v1's shares (2 to 262144, 1024 by default) as v2's weight (1 to 10000, 100 by default).
///
/// A curve through the three points (2, 1), (1024, 100) and (262144, 10000), as runc and crun have it since 2025: the
/// straight line that they had before makes 39 of the default.
pub fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144) as f64;
    let l = shares.log2();
    let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        let resources: LinuxResources = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        match settings(&resources) {
            Ok(list) => list.iter().map(|s| format!("{}={}", s.file, s.value)).collect::<Vec<_>>().join("; "),
            Err(error) => format!("{error:#}").split('`').nth(1).unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn each_resource_has_its_file() {
        for (json, expected) in [
            ("{}", ""),
            (r#"{"memory":{"limit":1000}}"#, "memory.max=1000"),
            (r#"{"memory":{"limit":-1}}"#, "memory.max=max; memory.swap.max=max"),
            (r#"{"memory":{"limit":0,"swap":0}}"#, ""),
            (r#"{"memory":{"limit":1000,"swap":1000}}"#, "memory.max=1000; memory.swap.max=0"),
            (r#"{"memory":{"limit":1000,"swap":3000}}"#, "memory.max=1000; memory.swap.max=2000"),
            (r#"{"memory":{"limit":1000,"swap":-1}}"#, "memory.max=1000; memory.swap.max=max"),
            (r#"{"memory":{"limit":-1,"swap":5}}"#, "memory.max=max; memory.swap.max=5"),
            (r#"{"memory":{"swap":-1}}"#, "memory.swap.max=max"),
            (r#"{"memory":{"reservation":7}}"#, "memory.low=7"),
            (r#"{"memory":{"swap":1000}}"#, "linux.resources.memory.swap"),
            (r#"{"memory":{"limit":1000,"swap":999}}"#, "linux.resources.memory.swap"),
            (r#"{"memory":{"swappiness":0}}"#, "linux.resources.memory.swappiness"),
            (r#"{"memory":{"disableOOMKiller":true}}"#, "linux.resources.memory.disableOOMKiller"),
            (r#"{"memory":{"disableOOMKiller":false}}"#, ""),
            (r#"{"memory":{"kernelTCP":1}}"#, "linux.resources.memory.kernel"),
            (r#"{"cpu":{"shares":1024}}"#, "cpu.weight=100"),
            (r#"{"cpu":{"quota":50000}}"#, "cpu.max=50000 100000"),
            (r#"{"cpu":{"quota":50000,"period":200000,"burst":9}}"#, "cpu.max=50000 200000; cpu.max.burst=9"),
            (r#"{"cpu":{"quota":-1}}"#, "cpu.max=max 100000"),
            (r#"{"cpu":{"period":5000}}"#, "cpu.max=max 5000"),
            (r#"{"cpu":{"idle":1,"shares":2}}"#, "cpu.weight=1; cpu.idle=1"),
            (r#"{"cpu":{"idle":0,"shares":2}}"#, "cpu.idle=0; cpu.weight=1"),
            (r#"{"cpu":{"cpus":"0-1","mems":"0"}}"#, "cpuset.cpus=0-1; cpuset.mems=0"),
            (r#"{"cpu":{"realtimeRuntime":1}}"#, "linux.resources.cpu.realtimeRuntime"),
            (r#"{"pids":{"limit":5}}"#, "pids.max=5"),
            (r#"{"pids":{"limit":-1}}"#, "pids.max=max"),
            (r#"{"blockIO":{"weight":10}}"#, "io.bfq.weight=10"),
            (r#"{"blockIO":{"weight":9}}"#, "linux.resources.blockIO.weight"),
            (r#"{"blockIO":{"leafWeight":10}}"#, "linux.resources.blockIO.leafWeight"),
            (r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":500}]}}"#, "io.bfq.weight=8:0 500"),
            (
                r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":9}],
                    "throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":0}]}}"#,
                "io.max=8:0 rbps=9; io.max=8:0 wiops=max",
            ),
            (r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4096}]}"#, "hugetlb.2MB.max=4096"),
            (r#"{"hugepageLimits":[{"pageSize":"../x","limit":4096}]}"#, "linux.resources.hugepageLimits.pageSize"),
            (r#"{"network":{"classID":1}}"#, "linux.resources.network"),
            (r#"{"network":{}}"#, ""),
            (r#"{"rdma":{"mlx":{"hcaHandles":3,"hcaObjects":4}}}"#, "rdma.max=mlx hca_handle=3 hca_object=4"),
            (r#"{"unified":{"memory.high":"5","a.b":"c\nd"}}"#, "a.b=c; a.b=d; memory.high=5"),
            (r#"{"unified":{"../memory.max":"5"}}"#, "linux.resources.unified"),
            (r#"{"unified":{"cgroup.procs":"5"}}"#, "linux.resources.unified"),
            (r#"{"unified":{"memory":"5"}}"#, "linux.resources.unified"),
        ] {
            assert_eq!(text(json), expected, "{json}");
        }
    }

    #[test]
    fn shares_become_weights() {
        for (shares, weight) in
            [(0, 1), (2, 1), (1024, 100), (512, 59), (2048, 174), (262_144, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn a_weight_falls_back_to_the_other_scheduler() {
        let json = r#"{"blockIO":{"weight":1000,"weightDevice":[{"major":8,"minor":0,"weight":10}]}}"#;
        let list = settings(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(list[0].otherwise, Some(("io.weight".into(), "10000".into())));
        assert_eq!(list[1].otherwise, Some(("io.weight".into(), "8:0 1".into())));
    }
}
