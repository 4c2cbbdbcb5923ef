//! Limits as `inspect` shows them, with podman's keys.

use super::super::config::Config;
use super::Device;
use serde_json::{Value, json};

/// What belongs into `HostConfig`.
pub fn host_config(config: &Config) -> Value {
    let limits = &config.limits;
    let resources = &limits.resources;
    let devices = |list: &[Device], key: &str| -> Value {
        list.iter().map(|device| json!({ "Path": device.path.display().to_string(), key: device.value })).collect()
    };
    let memory = resources.memory.unwrap_or(0);
    let swap = resources.memory_swap.unwrap_or(if memory > 0 { memory.saturating_mul(2) } else { 0 });
    // Thousand-millionths of a processor.
    let nano = match (resources.cpu_quota, resources.cpu_period) {
        (Some(quota @ 1..), Some(period @ 1..)) => quota as i128 * 1_000_000_000 / i128::from(period),
        _ => 0,
    };
    let mode = if limits.host_cgroupns { "host" } else { "private" };
    json!({
        "BlkioDeviceReadBps": devices(&resources.device_read_bps, "Rate"),
        "BlkioDeviceReadIOps": devices(&resources.device_read_iops, "Rate"),
        "BlkioDeviceWriteBps": devices(&resources.device_write_bps, "Rate"),
        "BlkioDeviceWriteIOps": devices(&resources.device_write_iops, "Rate"),
        "BlkioWeight": resources.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": devices(&resources.blkio_weight_device, "Weight"),
        "CgroupConf": resources.unified,
        "CgroupMode": mode,
        "CgroupParent": limits.parent.clone().unwrap_or_default(),
        "Cgroups": limits.cgroups.word(),
        "CpuPeriod": resources.cpu_period.unwrap_or(0),
        "CpuQuota": resources.cpu_quota.unwrap_or(0),
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "CpusetCpus": resources.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": resources.cpuset_mems.clone().unwrap_or_default(),
        "Memory": memory,
        "MemoryReservation": resources.memory_reservation.unwrap_or(0),
        "MemorySwap": swap,
        "MemorySwappiness": 0,
        "NanoCpus": nano as i64,
        "OomKillDisable": false,
        "OomScoreAdj": limits.oom_score_adj.unwrap_or(0),
        "PidsLimit": resources.pids.unwrap_or(super::default_pids(config)),
        "ShmSize": limits.shm_size.unwrap_or(super::DEFAULT_SHM),
        "Ulimits": limits.ulimits.iter().map(|ulimit| {
            json!({ "Name": ulimit.name, "Soft": shown(ulimit.soft), "Hard": shown(ulimit.hard) })
        }).collect::<Value>(),
    })
}

/// -1 for no limit.
fn shown(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(-1)
}
