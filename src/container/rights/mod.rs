//! What a container may do and what it shares: the options of `run` and `create` for security and namespaces.
//!
//! Each file knows the words of its options. Here they come together: [`Rights`] is what was asked and is kept,
//! [`decide`] checks it when a container is created, [`facts`] looks at the host when it starts, and [`apply`] puts it
//! into the specification. A container that asks for nothing of this passes by quickly.

pub mod accounts;
pub mod allot;
pub mod cdi;
pub mod devices;
pub mod idmap;
pub mod namespaces;
pub mod security;
pub mod sysctl;
pub mod systemd;
pub mod time;
pub mod userns;

use super::config::Config;
use super::record::Container;
use super::request::Request;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use crate::engine::Engine;
use crate::network::NetworkMode;
use crate::oci::seccomp::{self, Target};
use crate::runtime::{self, Filter, Tree, capabilities, user};
use crate::sys::proc;
use anyhow::{Context, Result};
use devices::{Device, Node};
use idmap::Maps;
use namespaces::Namespace;
use oci_spec::runtime::{Capability, LinuxNamespaceType, LinuxSeccomp, MountBuilder, Spec};
use security::{Seccomp, Security};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use systemd::Systemd;
use time::Clocks;
use userns::Userns;

/// A seccomp profile is never larger than this.
const PROFILE_LIMIT: u64 = 4 << 20;
/// All annotations together, as in Kubernetes.
const ANNOTATIONS_LIMIT: usize = 256 << 10;
/// `--group-add keep-groups`.
const KEEP_GROUPS: &str = "keep-groups";

/// The options for security and namespaces that have no older place of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// `--device` by a CDI name, and `--gpus`.
    pub device_names: Vec<String>,
    /// `--device-cgroup-rule`, checked.
    pub device_rules: Vec<String>,
    /// `--annotation`.
    pub annotations: BTreeMap<String, String>,
    /// `--umask`.
    pub umask: Option<u32>,
    /// `--passwd` and its kin.
    pub accounts: accounts::Wishes,
    /// `--time`.
    pub clocks: Clocks,
    /// `--hardened`.
    pub hardened: bool,
    /// `--read-only-tmpfs`.
    pub read_only_tmpfs: bool,
    /// `--personality`: LINUX or LINUX32.
    pub personality: Option<String>,
    /// `--systemd`, decided at creation: always or never.
    pub systemd: Systemd,
    /// `--shm-size-systemd`: bytes of each of the file systems in memory that systemd gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd_size: Option<u64>,
    /// `--chrootdirs`: folders in which `/etc` has box's files, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chroot_dirs: Vec<String>,
    /// `--uidmap` and its kin.
    pub id_words: allot::Words,
    /// The maps of the user namespace, where they were decided at creation.
    pub maps: Option<Maps>,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            security: Security::default(),
            sysctls: BTreeMap::new(),
            groups: Vec::new(),
            devices: Vec::new(),
            device_names: Vec::new(),
            device_rules: Vec::new(),
            annotations: BTreeMap::new(),
            umask: None,
            accounts: accounts::Wishes::default(),
            clocks: Clocks::default(),
            hardened: false,
            read_only_tmpfs: true,
            personality: None,
            systemd: Systemd::IfCommand,
            systemd_size: None,
            chroot_dirs: Vec::new(),
            id_words: allot::Words::default(),
            maps: None,
        }
    }
}

/// What a start needs to know of the host for it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    seccomp: Option<LinuxSeccomp>,
    devices: Vec<Node>,
    /// What devices by name need.
    edits: Vec<cdi::Edits>,
    /// The maps of a user namespace of its own.
    pub maps: Option<Maps>,
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
pub fn decide(engine: &Engine, request: &Request, args: &[String], capabilities: &[String]) -> Result<Rights> {
    let mut rights = request.rights.clone();
    let systemd = rights.systemd.applies(args);
    rights.systemd = Systemd::IfCommand;
    if systemd {
        rights.systemd = Systemd::Always;
    }
    if rights == Rights::default() {
        return Ok(rights);
    }
    if rights.systemd_size.is_some() && !systemd {
        let fault = Fault::new(Kind::Usage, "`--shm-size-systemd` is for a container that is made ready for systemd");
        return Err(fault.hint("add --systemd always").into());
    }
    if let Some(bad) = rights.chroot_dirs.iter().find(|dir| !dir.starts_with('/')) {
        return Err(fault(Kind::Usage, format!("`--chrootdirs {}` is not an absolute path", bad.escape_debug())));
    }
    if let Seccomp::File(path) = &mut rights.security.seccomp {
        *path = std::path::absolute(&*path)?;
        // Found out now and not at each start.
        profile(path, capabilities)?;
    }
    check_security(&rights.security, request)?;
    rights.clocks.namespace = decide_namespace(engine, "--time", &rights.clocks.namespace)?;
    accounts::decide(&mut rights.accounts)?;
    if rights.hardened {
        harden(&mut rights, request, capabilities)?;
    }
    let own_network = request.network != Some(NetworkMode::Host);
    sysctl::check(&rights.sysctls, own_network, &request.ipc)?;
    devices::nodes(&rights.devices)?;
    cdi::find(&rights.device_names, &cdi::folders())?;
    if rights.groups.iter().any(|group| group == KEEP_GROUPS) && rights.groups.len() > 1 {
        let text = "`--group-add keep-groups` and other groups do not go together: an ordinary user keeps all or none";
        return Err(fault(Kind::Usage, text));
    }
    if let Some(bad) = rights.groups.iter().find(|group| !user::is_group(group)) {
        return Err(fault(Kind::Usage, format!("`--group-add {}` is no group", bad.escape_debug())));
    }
    Ok(rights)
}

/// `--hardened`, and what would undo it.
fn harden(rights: &mut Rights, request: &Request, capabilities: &[String]) -> Result<()> {
    let undoes = match () {
        () if request.privileged => "--privileged",
        () if rights.security.seccomp != Seccomp::Default => "--security-opt seccomp",
        // With it the profile lets namespaces be made, of users too.
        () if capabilities.iter().any(|name| name == "CAP_SYS_ADMIN") => "--cap-add SYS_ADMIN",
        () if rights
            .security
            .words
            .iter()
            .any(|word| word.contains("privileges") && !rights.security.no_new_privileges) =>
        {
            "--security-opt no-new-privileges=false"
        }
        () => {
            rights.security.no_new_privileges = true;
            return Ok(());
        }
    };
    Err(fault(Kind::Usage, format!("`--hardened` and `{undoes}` do not go together")))
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
    match &config.rights.clocks.namespace {
        Namespace::Container(id) => facts.namespaces.push((LinuxNamespaceType::Time, file_of(engine, id, "time")?)),
        Namespace::Path(path) => facts.namespaces.push((LinuxNamespaceType::Time, path.clone())),
        _ => {}
    }
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
    match &config.userns {
        Userns::Container(id) => {
            let file = file_of(engine, id, "user")?;
            // One that has none of its own has the user's, in which we are.
            if std::fs::read_link(&file).ok() != std::fs::read_link("/proc/self/ns/user").ok() {
                facts.namespaces.push((LinuxNamespaceType::User, file));
            }
        }
        Userns::Path(path) => facts.namespaces.push((LinuxNamespaceType::User, path.clone())),
        _ => facts.maps = id_maps(engine, config)?,
    }
    let rights = &config.rights;
    facts.devices = devices::nodes(&rights.devices)?;
    facts.edits = cdi::find(&rights.device_names, &cdi::folders())?;
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

/// The maps that a container's ids go through; `None` if they are the user's own, or not known.
pub fn id_maps(engine: &Engine, config: &Config) -> Result<Option<Maps>> {
    match &config.userns {
        Userns::Host | Userns::Path(_) => Ok(None),
        Userns::Container(id) => id_maps(engine, &super::find(engine, id)?.config),
        mode => idmap::maps(mode, config.rights.maps.as_ref(), super::host::ids(engine)?),
    }
}

/// Whether a container's files have other owners than those of its image.
pub fn is_mapped(config: &Config) -> bool {
    !matches!(config.userns, Userns::Host | Userns::Path(_))
}

/// Give the container's root what box has written for it.
pub fn give_files(engine: &Engine, container: &Container) -> Result<()> {
    match id_maps(engine, &container.config)? {
        Some(maps) => super::shift::give(&container.dir, &["hosts", "resolv.conf", "hostname"], &maps),
        None => Ok(()),
    }
}

/// A config as a process that joins the running container needs it: what it shares, it shares through that process.
pub fn as_running(config: &mut Config, pid: i32) {
    let file = |name: &str| PathBuf::from(format!("/proc/{pid}/ns/{name}"));
    for (name, namespace) in [("pid", &mut config.pid), ("ipc", &mut config.ipc), ("uts", &mut config.uts)] {
        if matches!(namespace, Namespace::Container(_)) {
            *namespace = Namespace::Path(file(name));
        }
    }
    if matches!(config.rights.clocks.namespace, Namespace::Container(_)) {
        config.rights.clocks.namespace = Namespace::Path(file("time"));
    }
    if matches!(config.userns, Userns::Container(_)) {
        let same = std::fs::read_link(file("user")).ok() == std::fs::read_link("/proc/self/ns/user").ok();
        config.userns = if same { Userns::Host } else { Userns::Path(file("user")) };
    }
    // They are there already.
    config.mounts.clear();
    config.rights.devices.clear();
    config.rights.device_names.clear();
    config.mounts.clear();
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
    for edits in &facts.edits {
        apply_edits(edits, spec)?;
    }
    let linux = spec.linux_mut().as_mut().context("the specification has no Linux part")?;
    if rights.clocks.namespace.is_own() {
        let mut own = oci_spec::runtime::LinuxNamespace::default();
        own.set_typ(LinuxNamespaceType::Time);
        linux.namespaces_mut().get_or_insert_default().push(own);
        let offset = |seconds: i64| serde_json::json!({ "secs": seconds, "nanosecs": 0 });
        let (monotonic, boottime) = (offset(rights.clocks.monotonic), offset(rights.clocks.boottime));
        let offsets = serde_json::json!({ "monotonic": monotonic, "boottime": boottime });
        linux.set_time_offsets(Some(serde_json::from_value(offsets)?));
    }
    if let Some(name) = &rights.personality {
        linux.set_personality(Some(serde_json::from_value(serde_json::json!({ "domain": name }))?));
    }
    if config.read_only && !rights.read_only_tmpfs {
        linux.readonly_paths_mut().get_or_insert_default().push("/dev".to_owned());
    }
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
    if rights.systemd == Systemd::Always {
        process.env_mut().get_or_insert_default().push(systemd::uuid(&config.id));
        systemd::prepare(spec.mounts_mut().get_or_insert_default(), rights.systemd_size)?;
    }
    spec.set_annotations((!annotations.is_empty()).then_some(annotations));
    for (host, target) in &facts.devices {
        spec.mounts_mut().get_or_insert_default().push(device(host, target)?);
    }
    // A mount below another comes after it, whoever asked for it.
    spec.mounts_mut().get_or_insert_default().sort_by_key(|mount| mount.destination().components().count());
    Ok(())
}

/// A device of the host's, bound.
fn device(host: &Path, target: &Path) -> Result<oci_spec::runtime::Mount> {
    let options = ["bind", "nosuid", "noexec"].map(str::to_owned).to_vec();
    Ok(MountBuilder::default().destination(target).typ("bind").source(host).options(options).build()?)
}

/// What a device by name needs.
fn apply_edits(edits: &cdi::Edits, spec: &mut Spec) -> Result<()> {
    let process = spec.process_mut().as_mut().context("the specification has no process")?;
    let env = process.env_mut().get_or_insert_default();
    let key = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    env.retain(|entry| edits.env.iter().all(|new| key(new) != key(entry)));
    env.extend(edits.env.iter().cloned());
    let user = process.user_mut();
    let mut groups = user.additional_gids().clone().unwrap_or_default();
    groups.extend(&edits.additional_gids);
    user.set_additional_gids((!groups.is_empty()).then_some(groups));
    let mounts = spec.mounts_mut().get_or_insert_default();
    for node in &edits.device_nodes {
        mounts.push(device(node.host_path.as_ref().unwrap_or(&node.path), &node.path)?);
    }
    for mount in &edits.mounts {
        let kind = mount.kind.as_deref().unwrap_or("bind");
        let builder = MountBuilder::default().destination(&mount.container_path).typ(kind).source(&mount.host_path);
        mounts.push(builder.options(mount.options.clone()).build()?);
    }
    for hook in &edits.hooks {
        let value = serde_json::json!({
            "path": hook.path, "args": hook.args, "env": hook.env, "timeout": hook.timeout,
        });
        let mut all = serde_json::to_value(spec.hooks().clone().unwrap_or_default())?;
        match all.get_mut(&hook.hook_name).and_then(serde_json::Value::as_array_mut) {
            Some(list) => list.push(value),
            None => all[&hook.hook_name] = serde_json::Value::Array(vec![value]),
        }
        spec.set_hooks(Some(serde_json::from_value(all).context("a device's hook is not understood")?));
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
