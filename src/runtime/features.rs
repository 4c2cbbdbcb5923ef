//! What this runtime can do, for those who drive it: `box oci features`.
//!
//! The lists are those that specifications are checked and understood by, so that they say no more and no less. See
//! <https://github.com/opencontainers/runtime-spec/blob/main/features.md> and features-linux.md beside it.

use super::lifecycle::OCI_VERSION;
use super::{capabilities, labels, options, seccomp};
use crate::oci::bundle::schema;
use serde_json::{Value, json};

/// The features structure.
pub fn features() -> Value {
    let capabilities: Vec<String> = capabilities::ALL.iter().map(|capability| format!("CAP_{capability}")).collect();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": options::names(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": capabilities,
            "cgroup": { "v1": false, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
            "seccomp": {
                "enabled": true,
                "actions": schema::ACTIONS,
                "operators": schema::OPERATORS,
                "archs": seccomp::architectures(),
                "knownFlags": schema::SECCOMP_FLAGS,
                "supportedFlags": schema::SECCOMP_FLAGS,
            },
            "apparmor": { "enabled": labels::has_apparmor() },
            "selinux": { "enabled": labels::has_selinux() },
            "intelRdt": { "enabled": false, "schemata": false, "monitoring": false },
            "memoryPolicy": { "modes": schema::MEMORY_MODES, "flags": schema::MEMORY_FLAGS },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": false },
        },
        "annotations": { "box.version": env!("CARGO_PKG_VERSION") },
        "potentiallyUnsafeConfigAnnotations": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Features;

    #[test]
    fn the_structure_is_the_specifications() {
        let said = features();
        let read: Features = serde_json::from_value(said.clone()).unwrap();
        // What the specification does not know is lost on the way; the order of lists is not.
        assert_eq!(serde_json::to_value(&read).unwrap(), said);
    }
}
