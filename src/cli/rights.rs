//! From the words of the options for security and namespaces to the request's part.

use super::args::rights::RightsOptions;
use crate::base::env;
use crate::base::error::{Kind, fault};
use crate::container::environment::Changes;
use crate::container::limits::parse_bytes;
use crate::container::request::Request;
use crate::container::rights::allot::Words;
use crate::container::rights::namespaces::Namespace;
use crate::container::rights::systemd::Systemd;
use crate::container::rights::userns::Userns;
use crate::container::rights::{self, Rights, accounts, cdi, devices, security, sysctl, time};
use anyhow::Result;

/// Fill in what these options say.
pub fn fill(options: RightsOptions, request: &mut Request) -> Result<()> {
    let namespace = |flag: &str, text: Option<String>| Namespace::parse(flag, text.as_deref().unwrap_or_default());
    options.device_cgroup_rule.iter().try_for_each(|rule| devices::check_rule(rule))?;
    let words = Words {
        uids: options.uidmap,
        gids: options.gidmap,
        users_of: options.subuidname,
        groups_of: options.subgidname,
    };
    let (mut names, paths): (Vec<String>, Vec<String>) =
        options.device.into_iter().partition(|text| cdi::is_name(text));
    for text in &options.gpus {
        names.extend(cdi::gpus(text)?);
    }
    request.env_changes = Changes {
        merge: options.env_merge,
        unset: options.unsetenv,
        unset_all: options.unsetenv_all,
        ..Changes::default()
    };
    request.userns = userns(options.userns.as_deref(), &words)?;
    request.runtime = options.runtime;
    request.privileged = options.privileged;
    request.cap_add = options.cap_add;
    request.cap_drop = options.cap_drop;
    request.pid = namespace("--pid", options.pid)?;
    request.ipc = namespace("--ipc", options.ipc)?;
    request.uts = namespace("--uts", options.uts)?;
    request.rights = Rights {
        security: security::parse(&options.security_opt)?,
        sysctls: sysctl::parse(&options.sysctl)?,
        groups: options.group_add,
        devices: paths.iter().map(|text| devices::parse(text)).collect::<Result<_>>()?,
        device_names: names,
        accounts: accounts::Wishes {
            passwd: options.passwd.unwrap_or(true),
            user_line: options.passwd_entry,
            group_line: options.group_entry,
            host_users: options.hostuser,
            name: None,
        },
        clocks: time::parse(options.time.as_deref().unwrap_or_default())?,
        hardened: options.hardened,
        read_only_tmpfs: options.read_only_tmpfs.unwrap_or(true),
        personality: options.personality.map(|name| name.to_ascii_uppercase()),
        systemd: match options.systemd.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("always") => Systemd::Always,
            Some("false") => Systemd::Never,
            _ => Systemd::IfCommand,
        },
        systemd_size: options.shm_size_systemd.as_deref().map(systemd_size).transpose()?,
        chroot_dirs: options.chrootdirs,
        device_rules: options.device_cgroup_rule,
        annotations: rights::parse_annotations(&options.annotation)?,
        id_words: words,
        maps: None,
        umask: options.umask.as_deref().map(rights::parse_umask).transpose()?,
    };
    Ok(())
}

/// `--shm-size-systemd`.
fn systemd_size(text: &str) -> Result<u64> {
    Ok(u64::try_from(parse_bytes("--shm-size-systemd", text)?).unwrap_or(0))
}

/// `--userns`, or what the maps mean, else what the environment says.
fn userns(text: Option<&str>, words: &Words) -> Result<Userns> {
    let maps = [
        ("--uidmap", !words.uids.is_empty()),
        ("--gidmap", !words.gids.is_empty()),
        ("--subuidname", words.users_of.is_some()),
        ("--subgidname", words.groups_of.is_some()),
    ];
    match (text, maps.iter().find(|(_, given)| *given)) {
        (None, None) => Userns::parse(env::userns().as_deref().unwrap_or_default()),
        (None | Some("private"), Some(_)) => Ok(Userns::Private),
        (Some(text), None) => Userns::parse(text),
        (Some(_), Some((flag, _))) => Err(fault(Kind::Usage, format!("`--userns` and `{flag}` do not go together"))),
    }
}
