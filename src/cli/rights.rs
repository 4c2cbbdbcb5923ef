//! From the words of the options for security and namespaces to the request's part.

use super::args::rights::RightsOptions;
use crate::container::request::Request;
use crate::container::rights::namespaces::Namespace;
use crate::container::rights::{self, Rights, devices, security, sysctl};
use anyhow::Result;

/// Fill in what these options say.
pub fn fill(options: RightsOptions, request: &mut Request) -> Result<()> {
    let namespace = |flag: &str, text: Option<String>| Namespace::parse(flag, text.as_deref().unwrap_or_default());
    options.device_cgroup_rule.iter().try_for_each(|rule| devices::check_rule(rule))?;
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
        devices: options.device.iter().map(|text| devices::parse(text)).collect::<Result<_>>()?,
        device_rules: options.device_cgroup_rule,
        annotations: rights::parse_annotations(&options.annotation)?,
        umask: options.umask.as_deref().map(rights::parse_umask).transpose()?,
    };
    Ok(())
}
