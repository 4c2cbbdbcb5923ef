//! What a container may do and what it shares: the options of `run` and `create` for security and namespaces.
//!
//! Each file knows the words of its options. Here they come together: [`Rights`] is what was asked and is kept,
//! [`decide`] checks it when a container is created, [`facts`] looks at the host when it starts, and [`apply`] puts it
//! into the specification. A container that asks for nothing of this passes by quickly.

pub mod devices;
pub mod namespaces;
pub mod security;
pub mod sysctl;

use super::config::Config;
use super::request::Request;
use crate::base::error::{Kind, fault};
use crate::base::fs::read_limited;
use crate::engine::Engine;
use crate::network::NetworkMode;
use crate::oci::seccomp::{self, Target};
use crate::runtime::{self, Filter, Tree, capabilities, user};
use crate::sys::proc;
use anyhow::{Context, Result};
use devices::{Device, Node};
use namespaces::Namespace;
use oci_spec::runtime::{Capability, LinuxNamespaceType, LinuxSeccomp, MountBuilder, Spec};
use security::{Seccomp, Security};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A seccomp profile is never larger than this.
const PROFILE_LIMIT: u64 = 4 << 20;
/// All annotations together, as in Kubernetes.
const ANNOTATIONS_LIMIT: usize = 256 << 10;
/// `--group-add keep-groups`.
const KEEP_GROUPS: &str = "keep-groups";

/// The options for security and namespaces that have no older place of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rights {
    /// `--security-opt`.
    pub security: Security,
    /// `--sysctl`.
    pub sysctls: BTreeMap<String, String>,
    /// `--group-add`: names, numbers, or `keep-groups`.
    pub groups: Vec<String>,
    /// `--device`.
    pub devices: Vec<Device>,
    /// `--device-cgroup-rule`, checked.
    pub device_rules: Vec<String>,
    /// `--annotation`.
    pub annotations: BTreeMap<String, String>,
    /// `--umask`.
    pub umask: Option<u32>,
}

/// What a start needs to know of the host for it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    seccomp: Option<LinuxSeccomp>,
    devices: Vec<Node>,
    /// Files of the namespaces that are joined.
    namespaces: Vec<(LinuxNamespaceType, PathBuf)>,
}

/// Parse all `--annotation KEY=VALUE`.
pub fn parse_annotations(words: &[String]) -> Result<BTreeMap<String, String>> {
    let split = |word: &String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(fault(Kind::Usage, format!("`--annotation {}` is not KEY=VALUE", word.escape_debug()))),
    };
    if words.iter().map(String::len).sum::<usize>() > ANNOTATIONS_LIMIT {
        return Err(fault(Kind::Usage, format!("the annotations are longer than {ANNOTATIONS_LIMIT} bytes together")));
    }
    words.iter().map(split).collect()
}

/// Parse `--umask`, octal.
pub fn parse_umask(text: &str) -> Result<u32> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| fault(Kind::Usage, format!("`--umask {}` is not between 0000 and 0777", text.escape_debug())))
}

/// Check what was asked, and resolve what depends on the host.
pub fn decide(request: &Request, capabilities: &[String]) -> Result<Rights> {
    let mut rights = request.rights.clone();
    if rights == Rights::default() {
        return Ok(rights);
    }
    if let Seccomp::File(path) = &mut rights.security.seccomp {
        *path = std::path::absolute(&*path)?;
        // Found out now and not at each start.
        profile(path, capabilities)?;
    }
    check_security(&rights.security, request)?;
    let own_network = request.network != Some(NetworkMode::Host);
    sysctl::check(&rights.sysctls, own_network, &request.ipc)?;
    devices::nodes(&rights.devices)?;
    if rights.groups.iter().any(|group| group == KEEP_GROUPS) && rights.groups.len() > 1 {
        let text = "`--group-add keep-groups` and other groups do not go together: an ordinary user keeps all or none";
        return Err(fault(Kind::Usage, text));
    }
    if let Some(bad) = rights.groups.iter().find(|group| !user::is_group(group)) {
        return Err(fault(Kind::Usage, format!("`--group-add {}` is no group", bad.escape_debug())));
    }
    Ok(rights)
}

/// What contradicts, and what this host does not have.
fn check_security(security: &Security, request: &Request) -> Result<()> {
    let has = |path: &str, content: &str| std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(content));
    if request.privileged && matches!(security.seccomp, Seccomp::File(_) | Seccomp::Nested) {
        let text = "`--privileged` and a seccomp profile do not go together: it means no filter";
        return Err(fault(Kind::Usage, text));
    }
    if security.apparmor.is_some() && !has("/sys/module/apparmor/parameters/enabled", "Y") {
        return Err(fault(Kind::Host, "`--security-opt apparmor` needs AppArmor, which this host does not have"));
    }
    if security.contexts().is_some() && !Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(fault(Kind::Host, "`--security-opt label` needs SELinux, which this host does not have"));
    }
    if !security.proc_options.is_empty() && !request.pid.is_own() {
        let text = "`--security-opt proc-opts` and `--pid` do not go together: the processes are not the container's";
        return Err(fault(Kind::Usage, text));
    }
    Ok(())
}

/// A namespace whose container is known by its id; the others as they are.
pub fn decide_namespace(engine: &Engine, flag: &str, asked: &Namespace) -> Result<Namespace> {
    match asked {
        Namespace::Container(name) => {
            let other = super::find(engine, name).with_context(|| format!("cannot use `{flag} {asked}`"))?;
            Ok(Namespace::Container(other.config.id.to_string()))
        }
        Namespace::Path(path) if !path.exists() => {
            Err(fault(Kind::Usage, format!("cannot use `{flag} {asked}`: there is no such file")))
        }
        other => Ok(other.clone()),
    }
}

/// The seccomp profile of a file, for a container with these capabilities.
fn profile(path: &Path, capabilities: &[String]) -> Result<LinuxSeccomp> {
    let deed = || format!("cannot use the seccomp profile `{}`", path.display());
    let set: HashSet<Capability> =
        capabilities.iter().map(|name| capabilities::parse(name)).collect::<Result<_>>().with_context(deed)?;
    let text = String::from_utf8(read_limited(path, PROFILE_LIMIT).with_context(deed)?).with_context(deed)?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let filter = seccomp::convert(&text, &Target::here(set, &release)).with_context(deed)?;
    runtime::seccomp::compile(&filter).with_context(deed)?;
    Ok(filter)
}

/// Which system call filter the container's processes get.
pub fn filter(config: &Config) -> Filter {
    let default = config.rights.security.seccomp == Seccomp::Default && !config.privileged;
    if default { Filter::Default } else { Filter::Spec }
}

/// Look at the host, at a start.
pub fn facts(engine: &Engine, config: &Config) -> Result<Facts> {
    let mut facts = Facts::default();
    let shared = [("pid", &config.pid), ("ipc", &config.ipc), ("uts", &config.uts)].into_iter().zip([
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
    ]);
    for ((name, namespace), kind) in shared {
        match namespace {
            Namespace::Container(id) => facts.namespaces.push((kind, file_of(engine, id, name)?)),
            Namespace::Path(path) => facts.namespaces.push((kind, path.clone())),
            _ => {}
        }
    }
    let rights = &config.rights;
    facts.devices = devices::nodes(&rights.devices)?;
    facts.seccomp = match &rights.security.seccomp {
        _ if config.privileged => None,
        Seccomp::File(path) => Some(profile(path, &config.capabilities)?),
        Seccomp::Nested => {
            let set: Vec<Capability> =
                config.capabilities.iter().map(|name| capabilities::parse(name)).collect::<Result<_>>()?;
            Some(runtime::seccomp::nested_profile(&set)?)
        }
        Seccomp::Default | Seccomp::Unconfined => None,
    };
    Ok(facts)
}

/// The file of a running container's namespace.
fn file_of(engine: &Engine, id: &str, name: &str) -> Result<PathBuf> {
    let (pid, _process) = process_of(engine, id).with_context(|| format!("cannot share its {name} namespace"))?;
    Ok(PathBuf::from(format!("/proc/{pid}/ns/{name}")))
}

/// The first process of a running container.
fn process_of(engine: &Engine, id: &str) -> Result<(i32, OwnedFd)> {
    let run = super::find(engine, id)?.running()?;
    let process = proc::open(run.pid, run.pid_started);
    Ok((run.pid, process.ok_or_else(|| fault(Kind::WrongState, format!("the process of container `{id}` has ended")))?))
}

/// Mounts that come from other containers: with their ipc namespace goes their `/dev/shm`. In the user's namespace.
pub fn trees(engine: &Engine, config: &Config) -> Result<Vec<Tree>> {
    let Namespace::Container(id) = &config.ipc else { return Ok(Vec::new()) };
    let (_, process) = process_of(engine, id)?;
    let destination = PathBuf::from("/dev/shm");
    let mount = runtime::tree_of(process.as_fd(), &destination).context("cannot share its `/dev/shm`")?;
    Ok(vec![Tree { destination, mount }])
}

/// Put all of it into a specification.
pub fn apply(config: &Config, facts: &Facts, spec: &mut Spec) -> Result<()> {
    for (kind, path) in &facts.namespaces {
        let linux = spec.linux_mut().as_mut().context("the specification has no Linux part")?;
        let namespaces = linux.namespaces_mut().get_or_insert_default();
        let mut joined = oci_spec::runtime::LinuxNamespace::default();
        joined.set_typ(*kind).set_path(Some(path.clone()));
        namespaces.push(joined);
    }
    let rights = &config.rights;
    if *rights == Rights::default() {
        return Ok(());
    }
    apply_security(&rights.security, facts, spec)?;
    let linux = spec.linux_mut().as_mut().context("the specification has no Linux part")?;
    if !rights.sysctls.is_empty() {
        let sysctls = linux.sysctl_mut().get_or_insert_with(HashMap::new);
        sysctls.extend(rights.sysctls.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let process = spec.process_mut().as_mut().context("the specification has no process")?;
    let user = process.user_mut();
    user.set_umask(rights.umask);
    user.set_username(Some(user::with_groups(&config.user, &rights.groups)));
    let mut annotations: HashMap<String, String> =
        rights.annotations.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    if rights.groups.iter().any(|group| group == KEEP_GROUPS) {
        // What crun calls it.
        annotations.insert("run.oci.keep_original_groups".to_owned(), "1".to_owned());
    }
    spec.set_annotations((!annotations.is_empty()).then_some(annotations));
    for (host, target) in &facts.devices {
        let options = ["bind", "nosuid", "noexec"].map(str::to_owned).to_vec();
        let mount = MountBuilder::default().destination(target).typ("bind").source(host).options(options).build()?;
        spec.mounts_mut().get_or_insert_default().push(mount);
    }
    Ok(())
}

fn apply_security(security: &Security, facts: &Facts, spec: &mut Spec) -> Result<()> {
    let contexts = security.contexts();
    let process = spec.process_mut().as_mut().context("the specification has no process")?;
    process.set_no_new_privileges(Some(security.no_new_privileges));
    process.set_apparmor_profile(security.apparmor.clone());
    process.set_selinux_label(contexts.as_ref().map(|(process, _)| process.clone()));
    let linux = spec.linux_mut().as_mut().context("the specification has no Linux part")?;
    linux.set_mount_label(contexts.map(|(_, files)| files));
    linux.set_seccomp(facts.seccomp.clone());
    let masked = linux.masked_paths().clone().unwrap_or_default();
    let (masked, read_only) = security.covered(masked, linux.readonly_paths().clone().unwrap_or_default());
    linux.set_masked_paths(Some(masked));
    linux.set_readonly_paths(Some(read_only));
    if !security.proc_options.is_empty() {
        let proc = spec.mounts_mut().iter_mut().flatten().find(|mount| mount.destination() == Path::new("/proc"));
        if let Some(options) = proc.map(|mount| mount.options_mut().get_or_insert_default()) {
            options.extend(security.proc_options.iter().cloned());
        }
    }
    Ok(())
}
