//! What of the OCI specification is refused: an option that cannot be honoured is an error, never ignored.

use crate::base::error::{Kind, fault};
use anyhow::Result;
use oci_spec::runtime::{Process, Spec};

/// Refuse a specification that asks for what this runtime does not do.
pub(super) fn check(spec: &Spec) -> Result<()> {
    let linux = spec.linux().as_ref();
    let asked = [
        ("linux.intelRdt", linux.is_some_and(|linux| linux.intel_rdt().is_some())),
        ("linux.personality", linux.is_some_and(|linux| linux.personality().is_some())),
        ("linux.timeOffsets", linux.is_some_and(|linux| linux.time_offsets().is_some())),
        ("linux.mountLabel", linux.is_some_and(|linux| is_given(linux.mount_label().as_deref()))),
    ];
    refuse(&asked)?;
    spec.process().as_ref().map_or(Ok(()), check_process)
}

/// As [`check`], of one process.
pub(super) fn check_process(process: &Process) -> Result<()> {
    refuse(&[
        ("process.apparmorProfile", is_given(process.apparmor_profile().as_deref())),
        ("process.selinuxLabel", is_given(process.selinux_label().as_deref())),
        ("process.ioPriority", process.io_priority().is_some()),
        ("process.scheduler", process.scheduler().is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity().is_some()),
    ])
}

fn is_given(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn refuse(asked: &[(&str, bool)]) -> Result<()> {
    match asked.iter().find(|(_, asked)| *asked) {
        Some((name, _)) => Err(fault(Kind::Usage, format!("`{name}` of the specification is not supported"))),
        None => Ok(()),
    }
}
