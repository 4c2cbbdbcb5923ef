//! What the kernel is told about the container: names, sysctls, limits, the out-of-memory score.

use super::naming::Naming;
use crate::base::error::{Fault, Kind, fault};
use anyhow::{Context, Result};
use oci_spec::runtime::{PosixRlimitType, Process, Spec};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// `process.oomScoreAdj`, through the host's procfs.
pub(super) fn set_oom_score(process: &Process) -> Result<()> {
    let Some(score) = process.oom_score_adj() else { return Ok(()) };
    // Joining a user namespace has made us not dumpable, and our files in /proc the host root's.
    crate::sys::process::set_dumpable(true)?;
    std::fs::write("/proc/self/oom_score_adj", score.to_string()).map_err(|error| {
        Fault::new(Kind::Host, format!("cannot set the out-of-memory score to {score}"))
            .hint("an ordinary user can only raise it")
            .because(error)
    })
}

/// `hostname` and `domainname`.
pub(super) fn set_host_names(spec: &Spec, naming: Naming) -> Result<()> {
    if let Some(name) = spec.hostname().as_deref().filter(|name| !name.is_empty()) {
        naming.name(|| "hostname".to_owned(), check_name(name))?;
        rustix::system::sethostname(name.as_bytes()).with_context(|| format!("cannot set the host name `{name}`"))?;
    }
    if let Some(name) = spec.domainname().as_deref().filter(|name| !name.is_empty()) {
        naming.name(|| "domainname".to_owned(), check_name(name))?;
        rustix::system::setdomainname(name.as_bytes())
            .with_context(|| format!("cannot set the domain name `{name}`"))?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    if name.len() > 64 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let text = format!("`{}` is not a host name of at most 64 characters", name.escape_debug());
        return Err(fault(Kind::Usage, text));
    }
    Ok(())
}

/// `linux.sysctl`, below `/proc/sys` of the container's own procfs: no link, no other mount on the way.
pub(super) fn set_sysctls(spec: &Spec, proc: Option<&OwnedFd>, naming: Naming) -> Result<()> {
    let none = HashMap::new();
    let sysctls = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref()).unwrap_or(&none);
    if sysctls.is_empty() {
        return Ok(());
    }
    let proc = proc.ok_or_else(|| fault(Kind::Usage, "cannot set sysctls: the container has no `/proc` of its own"))?;
    for (key, value) in sysctls {
        let set = set_sysctl(proc, key, value).with_context(|| format!("cannot set sysctl `{}`", key.escape_debug()));
        naming.name(|| format!("linux.sysctl[\"{}\"]", key.escape_debug()), set)?;
    }
    Ok(())
}

fn set_sysctl(proc: &OwnedFd, key: &str, value: &str) -> Result<()> {
    // `1+kernel.core_pattern=…` is not a value (CVE-2022-0811).
    if value.chars().any(|c| c.is_control() && c != '\t') || value.contains('=') {
        return Err(fault(Kind::Usage, format!("`{}` is not a value", value.escape_debug())));
    }
    if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)) || key.contains("..") {
        return Err(fault(Kind::Usage, "it is not a name of letters, digits, dots and slashes"));
    }
    let path = if key.contains('/') { format!("sys/{key}") } else { format!("sys/{}", key.replace('.', "/")) };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(proc, path, flags, Mode::empty(), resolve).map_err(|error| match error {
        Errno::NOENT => fault(Kind::Usage, "this kernel has none of that name"),
        Errno::ACCESS | Errno::PERM => {
            Fault::new(Kind::Usage, "it does not belong to the container's namespaces").because(error)
        }
        error => error.into(),
    })?;
    rustix::io::write(&file, value.as_bytes())?;
    Ok(())
}

/// `process.rlimits`.
pub(super) fn set_limits(process: &Process, naming: Naming) -> Result<()> {
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        let finite = |value: u64| (value != u64::MAX).then_some(value);
        let new = Rlimit { current: finite(limit.soft()), maximum: finite(limit.hard()) };
        let set = rustix::process::setrlimit(resource(limit.typ()), new)
            .with_context(|| format!("cannot set limit `{}` to {}:{}", limit.typ(), limit.soft(), limit.hard()));
        naming.name(|| format!("process.rlimits[{index}]"), set)?;
    }
    Ok(())
}

/// This process's own limit of a name such as `RLIMIT_NOFILE`, soft and hard; the greatest number for none.
pub fn own_limit(name: &str) -> Result<(u64, u64)> {
    let limit = rustix::process::getrlimit(resource(name.parse()?));
    Ok((limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX)))
}

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}
