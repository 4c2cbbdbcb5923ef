//! Which of the kernel's settings belong to a container's namespaces. All others are the host's, whoever sets them.

use crate::base::error::{Kind, fault};
use anyhow::Result;
use oci_spec::runtime::{Linux, LinuxNamespaceType};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Settings of the ipc namespace (ipc_namespaces(7)).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// The kind of namespace that a setting, written with dots, belongs to; `None` for one of the host's.
pub fn namespace_of(key: &str) -> Option<LinuxNamespaceType> {
    match key {
        _ if key.starts_with("net.") => Some(LinuxNamespaceType::Network),
        _ if key.starts_with("fs.mqueue.") || IPC.contains(&key) => Some(LinuxNamespaceType::Ipc),
        "kernel.hostname" | "kernel.domainname" => Some(LinuxNamespaceType::Uts),
        _ => None,
    }
}

/// Refuse `linux.sysctl` where it would be the host's, as real root could set it (CVE-2022-0811).
pub(super) fn check(linux: &Linux) -> Result<()> {
    for key in linux.sysctl().iter().flat_map(|settings| settings.keys()) {
        let refused = |why: String| fault(Kind::BadData, format!("`linux.sysctl[\"{}\"]` {why}", key.escape_debug()));
        let Some(kind) = namespace_of(&key.replace('/', ".")) else {
            return Err(refused("does not belong to a container's namespaces: it is the host's".to_owned()));
        };
        let namespace = linux.namespaces().iter().flatten().find(|namespace| namespace.typ() == kind);
        if namespace.is_none_or(|namespace| namespace.path().as_deref().is_some_and(|path| is_ours(path, kind))) {
            let text = format!("needs a namespace of type `{kind}` in `linux.namespaces` that is not the host's");
            return Err(refused(text));
        }
    }
    Ok(())
}

/// Whether a namespace is the one that we are in.
fn is_ours(path: &Path, kind: LinuxNamespaceType) -> bool {
    let inode = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    inode(path).is_some_and(|found| Some(found) == inode(Path::new(&format!("/proc/self/ns/{kind}"))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_hosts_settings_are_not_a_containers() {
        let check = |key: &str, namespaces: serde_json::Value| {
            let linux = json!({ "sysctl": { key: "1" }, "namespaces": namespaces });
            super::check(&serde_json::from_value(linux).unwrap()).map_err(|error| error.to_string())
        };
        let all = || json!([{ "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }]);
        for key in ["net.ipv4.ip_forward", "net/ipv4/ip_forward", "kernel.sem", "fs.mqueue.msg_max", "kernel.hostname"]
        {
            check(key, all()).unwrap();
            assert!(
                check(key, json!([{ "type": "mount" }])).unwrap_err().contains("needs a namespace of type"),
                "{key}"
            );
        }
        for key in ["kernel.core_pattern", "kernel/core_pattern", "vm.swappiness", "user.max_user_namespaces", "net"] {
            assert!(check(key, all()).unwrap_err().contains("it is the host's"), "{key}");
        }
        let ours = json!([{ "type": "network", "path": "/proc/self/ns/net" }]);
        assert!(check("net.core.somaxconn", ours).unwrap_err().contains("not the host's"));
    }
}
