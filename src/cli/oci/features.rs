//! `oci features`: what this runtime can do, for those who drive it.
//!
//! See <https://github.com/opencontainers/runtime-spec/blob/main/features.md>.

use crate::cli::output::pretty_json;
use crate::runtime::capabilities;
use crate::runtime::lifecycle::OCI_VERSION;
use anyhow::Result;
use serde_json::json;

/// As JSON.
pub fn features() -> Result<String> {
    let capabilities: Vec<String> = capabilities::ALL.iter().map(|capability| format!("CAP_{capability}")).collect();
    pretty_json(&json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
            "capabilities": capabilities,
            "seccomp": { "enabled": true },
        },
        "annotations": { "box.version": env!("CARGO_PKG_VERSION") },
    }))
}
