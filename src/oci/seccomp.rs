//! Seccomp profiles as docker and podman have them (`seccomp.json`), made into a runtime specification's.
//!
//! They say more than a specification does: which rules hold with which capabilities, architectures and kernels. See
//! moby `profiles/seccomp` and container-libs `pkg/seccomp`. A specification's own form is taken too.

use crate::base::error::{Fault, Kind, fault};
use anyhow::{Context, Result};
use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder, LinuxSeccompFilterFlag,
    LinuxSyscall, LinuxSyscallBuilder,
};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::PathBuf;

/// What a profile's rules can depend on.
#[derive(Debug, Clone)]
pub struct Target {
    /// The container's bounding set.
    pub capabilities: HashSet<Capability>,
    /// The machine's architecture.
    pub arch: Arch,
    /// Its name in a profile's filters: `amd64`, `arm64`.
    pub arch_name: &'static str,
    /// The kernel's version and patch level.
    pub kernel: (u32, u32),
}

impl Target {
    /// This machine, with this kernel's release as uname(2) has it.
    pub fn here(capabilities: HashSet<Capability>, release: &str) -> Self {
        let (arch, arch_name) = match cfg!(target_arch = "aarch64") {
            true => (Arch::ScmpArchAarch64, "arm64"),
            false => (Arch::ScmpArchX86_64, "amd64"),
        };
        Self { capabilities, arch, arch_name, kernel: version(release).unwrap_or((0, 0)) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    default_errno: Option<String>,
    #[serde(default)]
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    arch_map: Option<Vec<Architecture>>,
    #[serde(default)]
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
    listener_path: Option<PathBuf>,
    listener_metadata: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Architecture {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    /// The form of the first profiles: one call a rule.
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Make a profile's text into a specification's filter for a container.
pub fn convert(text: &str, target: &Target) -> Result<LinuxSeccomp> {
    let profile: Profile = serde_json::from_str(text).context("it is not a seccomp profile")?;
    let mut rules = Vec::new();
    for (number, rule) in profile.syscalls.into_iter().flatten().enumerate() {
        let applies = applies(&rule, target).with_context(|| format!("cannot read `syscalls[{number}]`"))?;
        if applies {
            rules.push(syscall(rule).with_context(|| format!("cannot read `syscalls[{number}]`"))?);
        }
    }
    let mut filter = LinuxSeccompBuilder::default()
        .default_action(profile.default_action)
        .architectures(architectures(profile.architectures, profile.arch_map, target)?)
        .syscalls(rules)
        .build()?;
    filter.set_default_errno_ret(errno(profile.default_errno, profile.default_errno_ret)?);
    filter.set_flags(profile.flags);
    filter.set_listener_path(profile.listener_path);
    filter.set_listener_metadata(profile.listener_metadata);
    Ok(filter)
}

/// The architectures that hold here: those listed, or the machine's own with those that it also takes.
fn architectures(listed: Option<Vec<Arch>>, map: Option<Vec<Architecture>>, target: &Target) -> Result<Vec<Arch>> {
    match (listed, map) {
        (Some(listed), Some(map)) if !listed.is_empty() && !map.is_empty() => {
            Err(fault(Kind::Usage, "it has both `architectures` and `archMap`"))
        }
        (Some(listed), _) if !listed.is_empty() => Ok(listed),
        (_, map) => {
            let own = map.into_iter().flatten().find(|entry| entry.architecture == target.arch);
            let others = own.and_then(|entry| entry.sub_architectures).unwrap_or_default();
            Ok([target.arch].into_iter().chain(others).collect())
        }
    }
}

fn applies(rule: &Rule, target: &Target) -> Result<bool> {
    let none = Filter::default();
    let (includes, excludes) = (rule.includes.as_ref().unwrap_or(&none), rule.excludes.as_ref().unwrap_or(&none));
    // A capability that this library does not know is one that no container has.
    let has = |name: &String| {
        let upper = name.to_ascii_uppercase();
        let known: Result<Capability, _> = upper.strip_prefix("CAP_").unwrap_or(&upper).parse();
        known.is_ok_and(|capability| target.capabilities.contains(&capability))
    };
    let here = |arch: &String| arch == target.arch_name;
    let arches = |filter: &Filter| filter.arches.clone().unwrap_or_default();
    let is_included = (arches(includes).is_empty() || arches(includes).iter().any(here))
        && includes.caps.iter().flatten().all(has)
        && recent(includes, target)?.unwrap_or(true);
    let is_excluded = arches(excludes).iter().any(here)
        || excludes.caps.iter().flatten().any(has)
        || recent(excludes, target)?.unwrap_or(false);
    Ok(is_included && !is_excluded)
}

/// Whether the kernel is at least the filter's; `None` if it does not ask.
fn recent(filter: &Filter, target: &Target) -> Result<Option<bool>> {
    let Some(text) = &filter.min_kernel else { return Ok(None) };
    let wrong = || fault(Kind::Usage, format!("`minKernel` is `{}`, not as `4.8`", text.escape_debug()));
    Ok(Some(target.kernel >= version(text).ok_or_else(wrong)?))
}

/// `6.18.44-x` as (6, 18).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn syscall(rule: Rule) -> Result<LinuxSyscall> {
    let names: Vec<String> = rule.names.into_iter().flatten().chain(rule.name).collect();
    if names.is_empty() {
        return Err(fault(Kind::Usage, "it has no `names`"));
    }
    let mut syscall =
        LinuxSyscallBuilder::default().names(names).action(rule.action).args(rule.args.unwrap_or_default()).build()?;
    syscall.set_errno_ret(errno(rule.errno, rule.errno_ret)?);
    Ok(syscall)
}

/// The error's number, by its name where it has one: the number may be another on another machine.
fn errno(name: Option<String>, number: Option<u32>) -> Result<Option<u32>> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(number) };
    let known = (1..=133).find(|number| syscalls::Errno::new(*number).name() == Some(name.as_str()));
    match (known.and_then(|known| u32::try_from(known).ok()), number) {
        (Some(known), _) => Ok(Some(known)),
        (None, Some(number)) => Ok(Some(number)),
        (None, None) => Err(Fault::new(Kind::Usage, format!("`{}` is no error's name", name.escape_debug())).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(capabilities: &[Capability], kernel: (u32, u32)) -> Target {
        let capabilities = capabilities.iter().copied().collect();
        Target { capabilities, arch: Arch::ScmpArchX86_64, arch_name: "amd64", kernel }
    }

    /// What a profile with this rule says for a container without capabilities on Linux 6.1, in short.
    fn rule(text: &str) -> String {
        let text = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{text}]}}"#);
        match convert(&text, &target(&[Capability::Syslog], (6, 1))) {
            Ok(filter) => {
                let rules = filter.syscalls().iter().flatten();
                let shown = rules.map(|rule| {
                    let args = rule.args().as_ref().map_or(0, Vec::len);
                    format!("{}/{args}/{:?}", rule.names().join("+"), rule.errno_ret())
                });
                shown.collect::<Vec<_>>().join(" ")
            }
            Err(_) => "error".to_owned(),
        }
    }

    #[test]
    fn rules_hold_where_they_say() {
        for (text, expected) in [
            (r#"{"names": ["a", "b"], "action": "SCMP_ACT_ALLOW"}"#, "a+b/0/None"),
            (r#"{"name": "a", "action": "SCMP_ACT_ALLOW", "args": null, "includes": {}}"#, "a/0/None"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}"#, "a/0/Some(5)"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "errno": "EPERM"}"#, "a/0/Some(1)"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ERRNO", "errno": "ENONSENSE"}"#, "error"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYSLOG"]}}"#, "a/0/None"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}}"#, ""),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYSLOG"]}}"#, ""),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_NEWER"]}}"#, "a/0/None"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}}"#, ""),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "amd64"]}}"#, "a/0/None"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}}"#, ""),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}"#, "a/0/None"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.10"}}"#, ""),
            (r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}}"#, "error"),
            (
                r#"{"names": ["a"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 2, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]}"#,
                "a/1/None",
            ),
            (r#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#, "error"),
            (r#"{"names": ["a"], "action": "SCMP_ACT_NONSENSE"}"#, "error"),
            (r#"{"names": "a", "action": "SCMP_ACT_ALLOW"}"#, "error"),
        ] {
            assert_eq!(rule(text), expected, "{text}");
        }
    }

    #[test]
    fn architectures_and_defaults() {
        let filter = |text: &str| convert(text, &target(&[], (6, 1)));
        let found = filter(
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "archMap": [{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
                            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]}"#,
        )
        .unwrap();
        assert_eq!(found.default_errno_ret(), Some(38));
        assert_eq!(found.architectures().as_deref().unwrap(), [Arch::ScmpArchX86_64, Arch::ScmpArchX86]);
        assert_eq!(found.flags().as_ref().map(Vec::len), Some(1));
        let asked = filter(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent", "listenerMetadata": "m",
                "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}"#,
        )
        .unwrap();
        assert_eq!(asked.listener_path().as_deref(), Some(std::path::Path::new("/run/agent")));
        assert_eq!(asked.listener_metadata().as_deref(), Some("m"));
        let own = filter(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).unwrap();
        assert_eq!(own.architectures().as_deref().unwrap(), [Arch::ScmpArchX86_64]);
        for text in [
            "",
            "[]",
            "{}",
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": 5}"#,
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ARM"],
                "archMap": [{"architecture": "SCMP_ARCH_ARM"}]}"#,
        ] {
            assert!(filter(text).is_err(), "{text}");
        }
    }
}
