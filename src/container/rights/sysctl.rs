//! `--sysctl`: settings of the kernel that belong to a container's own namespaces. Parsing is pure.

use super::namespaces::Namespace;
use crate::base::error::{Fault, Kind, fault};
use crate::runtime::sysctl::namespace_of;
use anyhow::Result;
use oci_spec::runtime::LinuxNamespaceType;
use std::collections::BTreeMap;

/// Parse all `KEY=VALUE`; a slash in a key is a dot, as sysctl(8) has it.
pub fn parse(words: &[String]) -> Result<BTreeMap<String, String>> {
    words.iter().map(|word| one(word)).collect()
}

fn one(word: &str) -> Result<(String, String)> {
    let shown = word.escape_debug();
    let example = "--sysctl net.ipv4.ip_forward=1";
    let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        return Err(Fault::new(Kind::Usage, format!("`--sysctl {shown}` is not KEY=VALUE")).hint(example).into());
    };
    // `1+kernel.core_pattern=…` is not a value (CVE-2022-0811).
    if value.contains('=') || value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(fault(Kind::Usage, format!("`--sysctl {shown}`: that is not a value")));
    }
    let key = key.replace('/', ".");
    let well_formed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !key.bytes().all(well_formed) || key.contains("..") || of(&key).is_none() {
        let text = format!("`--sysctl {shown}` does not belong to a container's namespaces");
        return Err(Fault::new(Kind::Usage, text)
            .hint("these do: net.* fs.mqueue.* kernel.msg* kernel.sem kernel.shm*")
            .into());
    }
    Ok((key, value.to_owned()))
}

/// Which namespace a setting belongs to: its flag. Names have options of their own.
fn of(key: &str) -> Option<&'static str> {
    match namespace_of(key)? {
        LinuxNamespaceType::Network => Some("--network"),
        LinuxNamespaceType::Ipc => Some("--ipc"),
        _ => None,
    }
}

/// Refuse settings that would be the host's or another container's.
pub fn check(settings: &BTreeMap<String, String>, own_network: bool, ipc: &Namespace) -> Result<()> {
    for key in settings.keys() {
        let (own, flag) = match of(key) {
            Some("--network") => (own_network, "--network"),
            _ => (ipc.is_own(), "--ipc"),
        };
        if !own {
            let text =
                format!("`--sysctl {key}` and `{flag}` do not go together: the namespace is not the container's");
            return Err(fault(Kind::Usage, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_namespaced() {
        let parsed = |word: &str| parse(&[word.to_owned()]);
        for word in ["net.ipv4.ip_forward=1", "net/core/somaxconn=5", "kernel.sem=1 2 3 4", "fs.mqueue.msg_max=9"] {
            assert!(parsed(word).is_ok(), "{word}");
        }
        assert_eq!(parsed("net/core/somaxconn=5").unwrap().keys().next().unwrap(), "net.core.somaxconn");
        for word in [
            "kernel.shm_rmid_forced=1+kernel.core_pattern=|/x",
            "kernel.core_pattern=x",
            "vm.swappiness=1",
            "kernel.hostname=x",
            "net..x=1",
            "net.x\n=1",
            "net.x=1\nkernel.core_pattern",
            "=1",
            "net.x",
            "user.max_user_namespaces=0",
        ] {
            assert!(parsed(word).is_err(), "{word}");
        }
        let ipc = parsed("kernel.sem=1").unwrap();
        assert!(check(&ipc, false, &Namespace::Private).is_ok());
        assert!(check(&ipc, true, &Namespace::Host).is_err());
        assert!(check(&parsed("net.x=1").unwrap(), false, &Namespace::Private).is_err());
    }
}
