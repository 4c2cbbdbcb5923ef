//! What a specification says and cannot be done, found before anything is made: an option that cannot be honoured is
//! an error, never ignored. Properties are named by their path in config.json.

use super::{labels, sysctl};
use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use oci_spec::runtime::{LinuxNamespaceType, LinuxSeccomp, LinuxSeccompAction, Process, Spec};
use std::path::Path;

/// Refuse a specification that contradicts itself, or asks for what this runtime or this host does not do.
pub(super) fn check(spec: &Spec) -> Result<()> {
    check_namespaces(spec)?;
    if let Some(linux) = spec.linux() {
        if linux.intel_rdt().is_some() {
            return Err(refuse_intel_rdt());
        }
        if linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()) {
            return Err(unsupported("linux.netDevices"));
        }
        if linux.mount_label().as_deref().is_some_and(|label| !label.is_empty()) {
            return Err(labels::refuse_mount_label());
        }
        sysctl::check(linux)?;
        if let Some(seccomp) = linux.seccomp() {
            check_seccomp(seccomp)?;
        }
    }
    spec.process().as_ref().map_or(Ok(()), check_process)
}

/// As [`check`], of one process.
pub(super) fn check_process(process: &Process) -> Result<()> {
    let limits = process.rlimits().as_deref().unwrap_or_default();
    for (index, limit) in limits.iter().enumerate() {
        if limits[..index].iter().any(|earlier| earlier.typ() == limit.typ()) {
            return Err(wrong(format!("`process.rlimits[{index}]` is for {} a second time", limit.typ())));
        }
        if limit.soft() > limit.hard() {
            return Err(wrong(format!("`process.rlimits[{index}].soft` is above its `hard`")));
        }
    }
    Ok(())
}

fn check_namespaces(spec: &Spec) -> Result<()> {
    let none = Vec::new();
    let linux = spec.linux().as_ref();
    let list = linux.and_then(|linux| linux.namespaces().as_ref()).unwrap_or(&none);
    for (index, namespace) in list.iter().enumerate() {
        if list[..index].iter().any(|earlier| earlier.typ() == namespace.typ()) {
            return Err(wrong(format!("`linux.namespaces[{index}]` is of type {} again", namespace.typ())));
        }
    }
    let has = |typ| list.iter().any(|namespace| namespace.typ() == typ);
    if !has(LinuxNamespaceType::Mount) {
        let text = "`linux.namespaces` has no mount namespace: without one the container's mounts would be the host's";
        return Err(wrong(text.to_owned()));
    }
    let is_text = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    for (property, given, typ) in [
        ("hostname", is_text(spec.hostname()), LinuxNamespaceType::Uts),
        ("domainname", is_text(spec.domainname()), LinuxNamespaceType::Uts),
        ("linux.uidMappings", linux.is_some_and(|l| is_some(l.uid_mappings().as_deref())), LinuxNamespaceType::User),
        ("linux.gidMappings", linux.is_some_and(|l| is_some(l.gid_mappings().as_deref())), LinuxNamespaceType::User),
        (
            "linux.timeOffsets",
            linux.is_some_and(|l| l.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty())),
            LinuxNamespaceType::Time,
        ),
    ] {
        if given && !has(typ) {
            return Err(wrong(format!("`{property}` needs a namespace of type `{typ}` in `linux.namespaces`")));
        }
    }
    Ok(())
}

fn is_some<T>(list: Option<&[T]>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}

fn check_seccomp(seccomp: &LinuxSeccomp) -> Result<()> {
    let mut notifies = seccomp.default_action() == LinuxSeccompAction::ScmpActNotify;
    for (index, syscall) in seccomp.syscalls().iter().flatten().enumerate() {
        if syscall.names().is_empty() {
            return Err(wrong(format!("`linux.seccomp.syscalls[{index}].names` is empty")));
        }
        notifies |= syscall.action() == LinuxSeccompAction::ScmpActNotify;
    }
    let has_listener = seccomp.listener_path().is_some();
    if notifies && !has_listener {
        return Err(wrong("`linux.seccomp.listenerPath` is missing, for `SCMP_ACT_NOTIFY`".to_owned()));
    }
    if seccomp.listener_metadata().is_some() && !has_listener {
        return Err(wrong("`linux.seccomp.listenerPath` is missing, for its `listenerMetadata`".to_owned()));
    }
    Ok(())
}

/// Resource Director is a file system that its user mounts (resctrl); few processors have it.
fn refuse_intel_rdt() -> anyhow::Error {
    if Path::new("/sys/fs/resctrl/schemata").exists() {
        return unsupported("linux.intelRdt");
    }
    fault(
        Kind::Host,
        "`linux.intelRdt` needs a resctrl file system on `/sys/fs/resctrl`, which this host does not have",
    )
}

fn unsupported(property: &str) -> anyhow::Error {
    Fault::new(Kind::Usage, format!("`{property}` of the specification is not supported")).into()
}

fn wrong(text: String) -> anyhow::Error {
    fault(Kind::BadData, text)
}
