//! The words of limits: sizes, rates, parts of processors, limits of setrlimit(2).

use super::{CPU_PERIOD, Device, Ulimit};
use crate::base::error::{Fault, Kind, fault};
use crate::base::units;
use anyhow::Result;

/// The names that `--ulimit` knows, with the kernel's.
pub(super) const ULIMITS: [(&str, &str); 16] = [
    ("as", "RLIMIT_AS"),
    ("core", "RLIMIT_CORE"),
    ("cpu", "RLIMIT_CPU"),
    ("data", "RLIMIT_DATA"),
    ("fsize", "RLIMIT_FSIZE"),
    ("locks", "RLIMIT_LOCKS"),
    ("memlock", "RLIMIT_MEMLOCK"),
    ("msgqueue", "RLIMIT_MSGQUEUE"),
    ("nice", "RLIMIT_NICE"),
    ("nofile", "RLIMIT_NOFILE"),
    ("nproc", "RLIMIT_NPROC"),
    ("rss", "RLIMIT_RSS"),
    ("rtprio", "RLIMIT_RTPRIO"),
    ("rttime", "RLIMIT_RTTIME"),
    ("sigpending", "RLIMIT_SIGPENDING"),
    ("stack", "RLIMIT_STACK"),
];

fn wrong(flag: &str, text: &str, what: &str, example: &str) -> anyhow::Error {
    let text = format!("`{flag} {}` is not {what}", text.escape_debug());
    Fault::new(Kind::Usage, text).hint(format!("{flag} {example}")).into()
}

/// Bytes: a number with b, k, m, g or t, in steps of 1024; `-1` and `0` for no limit.
pub fn parse_bytes(flag: &str, text: &str) -> Result<i64> {
    match text {
        "-1" | "0" => Ok(-1),
        _ => units::parse_bytes(text)
            .ok()
            .and_then(|bytes| i64::try_from(bytes).ok())
            .ok_or_else(|| wrong(flag, text, "a size", "512m")),
    }
}

/// `--cpus`: processors, as quota and period.
pub fn parse_cpus(text: &str) -> Result<(i64, u64)> {
    let cpus = text.parse::<f64>().ok().filter(|cpus| cpus.is_finite() && (0.0..1e6).contains(cpus));
    let quota = cpus.map(|cpus| (cpus * CPU_PERIOD as f64).round() as i64);
    match quota {
        Some(0) if cpus == Some(0.0) => Ok((-1, CPU_PERIOD)),
        // Less than a millisecond is refused by the kernel.
        Some(quota) if quota >= 1000 => Ok((quota, CPU_PERIOD)),
        _ => Err(wrong("--cpus", text, "a number of processors of at least 0.01", "1.5")),
    }
}

/// `--pids-limit`; `-1` and `0` for no limit.
pub fn parse_pids(text: &str) -> Result<i64> {
    match text.parse::<i64>() {
        Ok(-1 | 0) => Ok(-1),
        Ok(limit) if limit > 0 => Ok(limit),
        _ => Err(wrong("--pids-limit", text, "a number of processes", "100")),
    }
}

/// `DEVICE:VALUE`, the value being bytes (`1mb`) or a plain number.
pub fn parse_rate(flag: &str, text: &str) -> Result<Device> {
    let is_bytes = flag.ends_with("bps");
    let parsed = text.rsplit_once(':').and_then(|(path, rate)| {
        let value = if is_bytes { units::parse_bytes(rate).ok()? } else { rate.parse().ok()? };
        (path.starts_with('/') && value > 0).then(|| Device { path: path.into(), value, numbers: (0, 0) })
    });
    let example = if is_bytes { "/dev/sda:1mb" } else { "/dev/sda:1000" };
    parsed.ok_or_else(|| wrong(flag, text, "a device and a rate", example))
}

/// `DEVICE:WEIGHT`.
pub fn parse_weight(flag: &str, text: &str) -> Result<Device> {
    let parsed = text.rsplit_once(':').and_then(|(path, weight)| {
        let value = weight.parse().ok().filter(|weight| (10..=1000).contains(weight))?;
        path.starts_with('/').then(|| Device { path: path.into(), value, numbers: (0, 0) })
    });
    parsed.ok_or_else(|| wrong(flag, text, "a device and a weight from 10 to 1000", "/dev/sda:200"))
}

/// `--cgroup-conf`: `FILE=VALUE`.
pub fn parse_conf(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((file, value)) if !file.is_empty() && !value.is_empty() => Ok((file.to_owned(), value.to_owned())),
        _ => Err(wrong("--cgroup-conf", text, "a file of a controller and its value", "memory.high=1073741824")),
    }
}

/// `--ulimit`: `NAME=SOFT[:HARD]`; -1 for as much as is allowed. `host` is the caller's business.
pub fn parse_ulimit(text: &str) -> Result<Ulimit> {
    let example = "nofile=1024:4096";
    let no = || wrong("--ulimit", text, "NAME=SOFT[:HARD]", example);
    let (word, values) = text.split_once('=').ok_or_else(no)?;
    let Some((_, name)) = ULIMITS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)) else {
        let known: Vec<&str> = ULIMITS.iter().map(|(name, _)| *name).collect();
        let text = format!("`--ulimit {}`: there is no such limit", text.escape_debug());
        return Err(Fault::new(Kind::Usage, text).hint(format!("the limits are: {}", known.join(" "))).into());
    };
    let number = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        _ => text.parse::<u64>().map_err(|_| no()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(fault(Kind::Usage, format!("`--ulimit {text}`: the soft limit cannot be above the hard one")));
    }
    Ok(Ulimit { name: (*name).to_owned(), soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_parts_of_processors() {
        for (text, bytes) in [("64m", 64 << 20), ("-1", -1), ("0", -1), ("1.5g", 3 << 29), ("7", 7)] {
            assert_eq!(parse_bytes("-m", text).unwrap(), bytes, "{text}");
        }
        for text in ["", "m", "-2", "1x", "99999999999g"] {
            assert!(parse_bytes("-m", text).is_err(), "{text}");
        }
        for (text, quota) in [("0.5", 50_000), ("2", 200_000), ("0", -1), (".01", 1000)] {
            assert_eq!(parse_cpus(text).unwrap(), (quota, 100_000), "{text}");
        }
        for text in ["", "-1", "0.001", "nan", "inf", "x"] {
            assert!(parse_cpus(text).is_err(), "{text}");
        }
        assert_eq!([parse_pids("0").unwrap(), parse_pids("-1").unwrap(), parse_pids("9").unwrap()], [-1, -1, 9]);
        assert!(parse_pids("-2").is_err() && parse_pids("x").is_err());
    }

    #[test]
    fn devices() {
        let device = |value| Device { path: "/dev/sda".into(), value, numbers: (0, 0) };
        assert_eq!(parse_rate("--device-read-bps", "/dev/sda:1mb").unwrap(), device(1 << 20));
        assert_eq!(parse_rate("--device-read-iops", "/dev/sda:10").unwrap(), device(10));
        assert_eq!(parse_weight("--blkio-weight-device", "/dev/sda:10").unwrap(), device(10));
        for text in ["/dev/sda", "sda:1", "/dev/sda:0", "/dev/sda:x", ""] {
            assert!(parse_rate("--device-read-bps", text).is_err(), "{text}");
        }
        assert!(parse_rate("--device-read-iops", "/dev/sda:1mb").is_err());
        assert!(parse_weight("--blkio-weight-device", "/dev/sda:9").is_err());
    }

    #[test]
    fn ulimits() {
        let parse = |text| parse_ulimit(text).map(|u| format!("{} {} {}", u.name, u.soft, u.hard)).ok();
        assert_eq!(parse("nofile=5").as_deref(), Some("RLIMIT_NOFILE 5 5"));
        assert_eq!(parse("NPROC=5:6").as_deref(), Some("RLIMIT_NPROC 5 6"));
        let all = format!("RLIMIT_CORE {} {}", u64::MAX, u64::MAX);
        assert_eq!(parse("core=-1"), Some(all.clone()));
        assert_eq!(parse("core=unlimited:-1"), Some(all));
        for text in ["nofile", "nofile=", "nofile=6:5", "nope=1", "nofile=-2", "core=-1:5"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn files_of_controllers() {
        assert_eq!(parse_conf("a.b=c=d").unwrap(), ("a.b".to_owned(), "c=d".to_owned()));
        assert!(parse_conf("a").is_err() && parse_conf("=b").is_err() && parse_conf("a=").is_err());
    }
}
