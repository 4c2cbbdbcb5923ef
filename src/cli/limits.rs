//! From the words of limits to what a request has of them.

use super::args::limits::{LimitFlags, ResourceFlags};
use crate::base::error::{Fault, Kind, fault};
use crate::container::limits::{
    Cgroups, Limits, Resources, parse_bytes, parse_conf, parse_cpus, parse_pids, parse_rate, parse_ulimit, parse_weight,
};
use anyhow::Result;

/// The limits of `run` and `create`.
pub fn limits(flags: LimitFlags) -> Result<Limits> {
    if flags.oom_kill_disable {
        let text = "`--oom-kill-disable` cannot be honoured: cgroup v2 has no way to hold the kernel's killer back";
        return Err(Fault::new(Kind::Usage, text).hint("leave it out, or give more --memory").into());
    }
    let mut resources = resources(flags.resources)?;
    resources.unified = flags.cgroup_conf.iter().map(|text| parse_conf(text)).collect::<Result<_>>()?;
    let (host, ulimits): (Vec<_>, Vec<_>) = flags.ulimit.into_iter().partition(|text| text == "host");
    let shm_size = |text: String| {
        let size = parse_bytes("--shm-size", &text)?;
        Ok::<_, anyhow::Error>(u64::try_from(size).unwrap_or(0))
    };
    Ok(Limits {
        resources,
        cgroups: match flags.cgroups.as_deref() {
            Some("disabled") => Cgroups::Disabled,
            Some("no-conmon") => Cgroups::NoConmon,
            Some("split") => Cgroups::Split,
            _ => Cgroups::Enabled,
        },
        host_cgroupns: flags.cgroupns.as_deref() == Some("host"),
        parent: flags.cgroup_parent,
        oom_score_adj: flags.oom_score_adj,
        ulimits: ulimits.iter().map(|text| parse_ulimit(text)).collect::<Result<_>>()?,
        host_ulimits: !host.is_empty(),
        shm_size: flags.shm_size.map(shm_size).transpose()?,
    })
}

/// What `update` changes too.
pub fn resources(flags: ResourceFlags) -> Result<Resources> {
    if flags.memory_swappiness.is_some_and(|value| value != "-1") {
        let text = "`--memory-swappiness` cannot be honoured: cgroup v2 has no swappiness of a container's own";
        return Err(Fault::new(Kind::Usage, text).hint("for no swap: --memory-swap the same as --memory").into());
    }
    if flags.blkio_weight.is_some_and(|weight| weight != 0 && !(10..=1000).contains(&weight)) {
        return Err(fault(Kind::Usage, "`--blkio-weight` takes a number from 10 to 1000"));
    }
    for (flag, list) in [("--cpuset-cpus", &flags.cpuset_cpus), ("--cpuset-mems", &flags.cpuset_mems)] {
        if let Some(text) = list.as_ref().filter(|text| !is_list(text)) {
            let text = format!("`{flag} {}` is not a list of numbers", text.escape_debug());
            return Err(Fault::new(Kind::Usage, text).hint(format!("{flag} 0-3,7")).into());
        }
    }
    let bytes = |flag: &str, text: &Option<String>| text.as_ref().map(|text| parse_bytes(flag, text)).transpose();
    let rates = |flag: &str, list: &[String]| list.iter().map(|text| parse_rate(flag, text)).collect::<Result<_>>();
    let (cpu_quota, cpu_period) = match &flags.cpus {
        Some(text) => parse_cpus(text).map(|(quota, period)| (Some(quota), Some(period)))?,
        None => (flags.cpu_quota, flags.cpu_period),
    };
    Ok(Resources {
        memory: bytes("--memory", &flags.memory)?,
        memory_swap: bytes("--memory-swap", &flags.memory_swap)?,
        memory_reservation: bytes("--memory-reservation", &flags.memory_reservation)?,
        cpu_quota,
        cpu_period,
        cpu_shares: flags.cpu_shares,
        cpuset_cpus: flags.cpuset_cpus,
        cpuset_mems: flags.cpuset_mems,
        pids: flags.pids_limit.as_deref().map(parse_pids).transpose()?,
        blkio_weight: flags.blkio_weight.filter(|weight| *weight != 0),
        blkio_weight_device: flags
            .blkio_weight_device
            .iter()
            .map(|text| parse_weight("--blkio-weight-device", text))
            .collect::<Result<_>>()?,
        device_read_bps: rates("--device-read-bps", &flags.device_read_bps)?,
        device_write_bps: rates("--device-write-bps", &flags.device_write_bps)?,
        device_read_iops: rates("--device-read-iops", &flags.device_read_iops)?,
        device_write_iops: rates("--device-write-iops", &flags.device_write_iops)?,
        unified: Default::default(),
    })
}

/// `0-3,7`.
fn is_list(text: &str) -> bool {
    text.split(',').all(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) => first <= last,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        for text in ["0", "0-3", "0-3,7", "1,2"] {
            assert!(is_list(text), "{text}");
        }
        for text in ["", "a", "0-", "-3", "3-0", "0,,1", "0 1"] {
            assert!(!is_list(text), "{text}");
        }
    }
}
