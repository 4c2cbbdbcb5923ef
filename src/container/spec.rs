//! A config as an OCI runtime specification. Pure: whatever depends on the host is handed in.
//!
//! The tables are podman's: mounts, `/dev`, masks. See <https://github.com/opencontainers/runtime-spec>.

use super::config::Config;
use super::limits::DEFAULT_SHM;
use super::mounts::{self, Lent};
use super::rights::namespaces::Namespace;
use super::rights::{self, idmap};
use crate::runtime::{capabilities, defaults};
use anyhow::Result;
use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType,
    Mount, MountBuilder, Process, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What the specification needs to know of the host and of the container's folder.
#[derive(Debug, Clone)]
pub struct Host {
    /// `containers/<id>`, which holds the files that are bound in; empty if that is where the start begins.
    pub dir: PathBuf,
    /// The folder of `hosts`, `resolv.conf` and `hostname`.
    pub files: PathBuf,
    /// Whose network namespace it has.
    pub network: NetworkNamespace,
    /// `runtime::defaults::masked_paths` of this host.
    pub masked: Vec<String>,
    /// Whether the host shows its message queues in `/dev/mqueue`.
    pub mqueue: bool,
    /// The limit of open files, soft and hard.
    pub open_files: u64,
    /// Whether group 5, that of terminals, exists in the container.
    pub tty_group: bool,
    /// What was made ready to be mounted.
    pub lent: Lent,
    /// For real root: devices that a privileged container gets, `/dev/…`.
    pub devices: Vec<PathBuf>,
    /// What the options for security and namespaces need.
    pub rights: rights::Facts,
}

/// Whose network namespace a container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkNamespace {
    /// One of its own.
    Own,
    /// The host's.
    Host,
    /// That of this file.
    Path(PathBuf),
}

/// The specification of a container.
pub fn spec(config: &Config, host: &Host) -> Result<Spec> {
    let root = RootBuilder::default().path("rootfs").readonly(config.read_only).build()?;
    let mut linux =
        LinuxBuilder::default().namespaces(namespaces(config, host)?).masked_paths(vec![]).readonly_paths(vec![]);
    if !config.privileged {
        linux = linux.masked_paths(host.masked.clone()).readonly_paths(defaults::readonly_paths());
    }
    // Only through a /proc of the container's own.
    if host.network == NetworkNamespace::Own && config.pid.is_own() {
        // ping without NET_RAW: every group of the container may open ICMP sockets (icmp(7)).
        linux =
            linux.sysctl(std::collections::HashMap::from([("net.ipv4.ping_group_range".to_owned(), "0 0".to_owned())]));
    }
    if let Some(resources) = config.limits.resources.to_oci()? {
        linux = linux.resources(resources);
    }
    if let Some(maps) = &host.rights.maps {
        linux = linux.uid_mappings(idmap::specified(&maps.uids)?).gid_mappings(idmap::specified(&maps.gids)?);
    }
    let mut builder = SpecBuilder::default().version("1.3.0").root(root).process(process(config, host)?);
    if config.uts.is_own() {
        builder = builder.hostname(config.hostname.clone());
        if let Some(domain) = &config.networking.domainname {
            builder = builder.domainname(domain.clone());
        }
    }
    let mut spec = builder.mounts(whole(all_mounts(config, host)?)).linux(linux.build()?).build()?;
    if !config.uts.is_own() {
        // The builder's default is a name of its own.
        spec.set_hostname(None);
    }
    rights::apply(config, &host.rights, &mut spec)?;
    Ok(spec)
}

/// The process that `start` runs.
pub fn process(config: &Config, host: &Host) -> Result<Process> {
    let sets: HashSet<Capability> =
        config.capabilities.iter().map(|name| capabilities::parse(name)).collect::<Result<_>>()?;
    let none = HashSet::new;
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(sets.clone())
        .permitted(sets.clone())
        .effective(sets)
        .inheritable(none())
        .ambient(none())
        .build()?;
    let user = match config.user.as_str() {
        "" => UserBuilder::default().uid(0u32).gid(0u32).username("0").build()?,
        name => UserBuilder::default().uid(0u32).gid(0u32).username(name).build()?,
    };
    let mut builder = ProcessBuilder::default();
    if let Some(score) = config.limits.oom_score_adj {
        builder = builder.oom_score_adj(score);
    }
    Ok(builder
        .terminal(config.tty)
        .user(user)
        .args(config.args.clone())
        .env(config.env.clone())
        .cwd(config.workdir.clone())
        .capabilities(capabilities)
        .rlimits(config.limits.rlimits(host.open_files)?)
        .no_new_privileges(false)
        .build()?)
}

fn namespaces(config: &Config, host: &Host) -> Result<Vec<LinuxNamespace>> {
    let mut types = vec![LinuxNamespaceType::Mount];
    if !config.limits.host_cgroupns {
        types.push(LinuxNamespaceType::Cgroup);
    }
    if host.rights.maps.is_some() {
        types.push(LinuxNamespaceType::User);
    }
    if config.pid.is_own() {
        types.push(LinuxNamespaceType::Pid);
    }
    if config.ipc.is_own() {
        types.push(LinuxNamespaceType::Ipc);
    }
    if config.uts.is_own() {
        types.push(LinuxNamespaceType::Uts);
    }
    if host.network == NetworkNamespace::Own {
        types.push(LinuxNamespaceType::Network);
    }
    let new = |typ| Ok(LinuxNamespaceBuilder::default().typ(typ).build()?);
    let mut list = types.into_iter().map(new).collect::<Result<Vec<_>>>()?;
    if let NetworkNamespace::Path(path) = &host.network {
        list.push(LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network).path(path.clone()).build()?);
    }
    Ok(list)
}

fn mount(target: impl Into<PathBuf>, kind: &str, source: impl Into<PathBuf>, options: &[&str]) -> Result<Mount> {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    Ok(MountBuilder::default().destination(target).typ(kind).source(source).options(options).build()?)
}

/// What is said of a bind with all that is below it means all of it, as users of `-v DIR:/data:ro` believe; in the
/// specification's words that is `rro`.
fn whole(mut mounts: Vec<Mount>) -> Vec<Mount> {
    for mount in &mut mounts {
        let Some(options) = mount.options_mut() else { continue };
        if options.iter().any(|option| option == "rbind") {
            for option in
                options.iter_mut().filter(|option| ["ro", "nosuid", "nodev", "noexec"].contains(&option.as_str()))
            {
                option.insert(0, 'r');
            }
        }
    }
    mounts
}

fn all_mounts(config: &Config, host: &Host) -> Result<Vec<Mount>> {
    let mut list = system_mounts(config, host)?;
    for file in super::network::covered_files(&config.networking) {
        let chroots = config.rights.chroot_dirs.iter().map(|dir| Path::new(dir).join("etc"));
        for folder in [PathBuf::from("/etc")].into_iter().chain(chroots) {
            let target = folder.join(file);
            if !is_target(config, &target) {
                list.push(mount(target, "bind", host.files.join(file), &["bind", "nosuid", "nodev", "noexec"])?);
            }
        }
    }
    if config.read_only && config.rights.read_only_tmpfs {
        for target in ["/run", "/tmp", "/var/tmp"] {
            if !is_target(config, Path::new(target)) {
                list.push(mount(target, "tmpfs", "tmpfs", &["rw", "nosuid", "nodev", "mode=1777", "tmpcopyup"])?);
            }
        }
    }
    list.extend(mounts::lent_mounts(config, &host.lent, &host.dir)?);
    // A mount below another must come after it, whatever the order on the command line.
    list.sort_by_key(|mount| mount.destination().components().count());
    Ok(list)
}

fn is_target(config: &Config, path: &Path) -> bool {
    config.mounts.iter().any(|mount| mount.target == path)
}

fn system_mounts(config: &Config, host: &Host) -> Result<Vec<Mount>> {
    let secure = ["nosuid", "noexec", "nodev"];
    let mut list = Vec::with_capacity(16);
    list.push(match config.pid.is_host() {
        // A new procfs needs a pid namespace of our own.
        true => mount("/proc", "bind", "/proc", &["rbind", "nosuid", "noexec", "nodev"])?,
        false => mount("/proc", "proc", "proc", &secure)?,
    });
    list.push(mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?);
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if host.tty_group {
        pts.push("gid=5");
    }
    list.push(mount("/dev/pts", "devpts", "devpts", &pts)?);
    if config.ipc.is_host() {
        if host.mqueue {
            list.push(mount("/dev/mqueue", "bind", "/dev/mqueue", &["rbind", "nosuid", "noexec", "nodev"])?);
        }
        list.push(mount("/dev/shm", "bind", "/dev/shm", &["rbind", "nosuid", "noexec", "nodev"])?);
    } else {
        list.push(mount("/dev/mqueue", "mqueue", "mqueue", &secure)?);
        // Another container's comes from there.
        if !matches!(config.ipc, Namespace::Container(_) | Namespace::Closed) {
            let size = format!("size={}", config.limits.shm_size.unwrap_or(DEFAULT_SHM));
            list.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size])?);
        }
    }
    let access = if config.privileged { "rw" } else { "ro" };
    list.push(match host.network {
        // A new sysfs needs a network namespace of our own.
        NetworkNamespace::Host => mount("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", access])?,
        _ => mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access])?,
    });
    if host.network != NetworkNamespace::Host {
        list.push(mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access])?);
    }
    if config.privileged {
        for device in &host.devices {
            list.push(mount(device, "bind", device, &["bind", "nosuid", "noexec"])?);
        }
    }
    Ok(list)
}
