//! What is hidden and what is read-only in every container by default: the union of docker's and podman's lists.
//!
//! Data table. Sources: moby `oci/defaults.go`, container-libs `pkg/config`; CVE-2017-16539, CVE-2018-10892,
//! GHSA-jq35-85cj-fj4p (powercap), GHSA-6fw5-f8r9-fgfm (interrupts, thermal_throttle).

use std::path::Path;

/// Read as empty and cannot be written.
pub const MASKED_PATHS: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

/// Can be read only.
pub const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// [`MASKED_PATHS`], and what depends on the host: every processor's `thermal_throttle`, if it has one.
pub fn masked_paths() -> Vec<String> {
    let mut paths: Vec<String> = MASKED_PATHS.iter().map(ToString::to_string).collect();
    for number in 0.. {
        let path = format!("/sys/devices/system/cpu/cpu{number}/thermal_throttle");
        if !Path::new(&path).exists() {
            break;
        }
        paths.push(path);
    }
    paths
}

/// [`READONLY_PATHS`] as a specification has them.
pub fn readonly_paths() -> Vec<String> {
    READONLY_PATHS.iter().map(ToString::to_string).collect()
}
