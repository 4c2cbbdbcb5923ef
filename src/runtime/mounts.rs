//! The mounts of the specification, one after the other, each attached to a descriptor that the confined resolver
//! found: what the image has in place of a mount point never leads out of the root.

use super::create::Namespaces;
use super::naming::Naming;
use super::options::{self, Bind, Options};
use crate::base::error::{Fault, Kind, fault};
use crate::sys::mount::{Depth, set_attributes};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags as Attr, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// What later steps need of the mounts: the file systems themselves, whatever is mounted over them.
#[derive(Debug, Default)]
pub(super) struct Mounted {
    /// The container's procfs.
    pub proc: Option<OwnedFd>,
    /// The container's devpts.
    pub devpts: Option<OwnedFd>,
}

/// Cut our copy of the host's mounts off: nothing that we mount may reach the host. What a volume's options want to
/// come in from there still does.
pub(super) fn stop_propagation(spec: &Spec) -> Result<()> {
    let of_root = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().clone());
    let listens = options::follows_host(of_root.as_slice())
        || spec.mounts().iter().flatten().any(|mount| options::follows_host(options_of(mount)));
    let kind = if listens { MountPropagationFlags::DOWNSTREAM } else { MountPropagationFlags::PRIVATE };
    rustix::mount::mount_change("/", kind | MountPropagationFlags::REC)
        .context("cannot separate the container's mounts from the host's")
}

/// Mount everything in the specification's order.
///
/// `mapped` are those that the maker has made already, by their index ([`super::idmap`]).
pub(super) fn mount_all(
    spec: &Spec,
    root: &Root,
    namespaces: &Namespaces,
    mapped: &mut Vec<(usize, OwnedFd)>,
    naming: Naming,
) -> Result<Mounted> {
    let mut mounted = Mounted::default();
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let kind = kind_of(mount);
        let tree = mapped.iter().position(|tree| tree.0 == index).map(|at| mapped.swap_remove(at).1);
        let made = mount_one(mount, kind, root, namespaces, &mut mounted, tree);
        let made = made.map_err(|error| explain(error, mount, root)).with_context(|| deed(mount));
        naming.name(|| property(index), made)?;
    }
    Ok(mounted)
}

/// A folder on a file, or a file on a folder, in words: ENOTDIR, or EINVAL of move_mount(2).
fn explain(error: anyhow::Error, mount: &Mount, root: &Root) -> anyhow::Error {
    let is_file = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|meta| !meta.is_dir());
    let is_folder = |path| root.open_at(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).is_ok();
    match error.downcast_ref::<Errno>() {
        Some(&Errno::NOTDIR) => {}
        Some(&Errno::INVAL) if mount.source().as_ref().is_some_and(is_file) && is_folder(mount.destination()) => {}
        _ => return error,
    }
    fault(Kind::Usage, "one is a folder, and the other, or one above it, is a file")
}

fn kind_of(mount: &Mount) -> &str {
    mount.typ().as_deref().unwrap_or("none")
}

/// A mount's place in config.json.
pub(super) fn property(index: usize) -> String {
    format!("mounts[{index}]")
}

/// What cannot be done, for an error.
pub(super) fn deed(mount: &Mount) -> String {
    format!("cannot mount {} on `{}`", describe(mount, kind_of(mount)), mount.destination().display())
}

/// Mount only what is bound into the root, as far as it holds files of the user's: nothing below the system's folders.
pub(super) fn mount_files(spec: &Spec, root: &Root, namespaces: &Namespaces) -> Result<()> {
    let system = ["/dev", "/proc", "/sys"].map(Path::new);
    for mount in spec.mounts().iter().flatten() {
        let kind = kind_of(mount);
        let bound = matches!(kind, "bind" | "rbind" | "none");
        if bound && !system.iter().any(|folder| mount.destination().starts_with(folder)) {
            let mut mounted = Mounted::default();
            mount_one(mount, kind, root, namespaces, &mut mounted, None).with_context(|| deed(mount))?;
        }
    }
    Ok(())
}

fn options_of(mount: &Mount) -> &[String] {
    mount.options().as_deref().unwrap_or_default()
}

fn describe(mount: &Mount, kind: &str) -> String {
    match (kind, mount.source()) {
        ("bind" | "none", Some(source)) => format!("`{}`", source.display()),
        ("overlay", _) => "an overlay".to_owned(),
        _ => format!("a {kind}"),
    }
}

/// The options of a mount, its type counted in.
pub(super) fn options(mount: &Mount) -> Result<Options> {
    let mut options = Options::parse(options_of(mount))?;
    let kind = kind_of(mount);
    if matches!(kind, "bind" | "rbind") && options.bind.is_none() {
        options.bind = Some(if kind == "bind" { Bind::Single } else { Bind::Recursive });
    }
    Ok(options)
}

fn mount_one(
    mount: &Mount,
    kind: &str,
    root: &Root,
    namespaces: &Namespaces,
    mounted: &mut Mounted,
    mapped: Option<OwnedFd>,
) -> Result<()> {
    let options = options(mount)?;
    let destination = mount.destination().as_path();
    refuse_inside_proc(destination)?;
    if let Some(depth) = options.bind {
        let tree = mapped.map_or_else(|| bind_source(mount, depth), Ok)?;
        return finish_bind(tree, depth, &options, root, destination);
    }
    let tree = match kind {
        "proc" => {
            with_host_copy(new_filesystem("proc", &options), "/proc", !namespaces.is_new(LinuxNamespaceType::Pid))
        }
        // A new sysfs needs the network namespace to be ours, and no mount over the host's /sys hiding a part of it.
        "sysfs" => with_host_copy(new_filesystem("sysfs", &options), "/sys", true),
        "mqueue" => with_host_copy(
            new_filesystem("mqueue", &options),
            "/dev/mqueue",
            !namespaces.is_new(LinuxNamespaceType::Ipc),
        ),
        "devpts" => new_devpts(&options),
        "cgroup" | "cgroup2" => match cgroup(&options) {
            // cgroup v1 or hybrid: nothing there that a container without privileges could use.
            Ok(None) => return Ok(()),
            Ok(Some(tree)) => Ok(tree),
            Err(error) => Err(error),
        },
        "overlay" => super::rootfs::overlay_of(&options).map(Tree::Fresh),
        _ => new_filesystem(kind, &options).map(Tree::Fresh),
    }?;
    let target = match kind {
        // These are set up from outside by names below them; a link would lead that astray (CVE-2019-19921).
        "proc" | "sysfs" | "devpts" | "cgroup" | "cgroup2" => folder_without_links(root, destination)?,
        _ if destination == Path::new("/dev") => folder_without_links(root, destination)?,
        _ => root.make_dir_all(destination, Mode::from_raw_mode(0o755))?,
    };
    let tree = match tree {
        Tree::Fresh(tree) => tree,
        // The host's own, in place of one that the kernel does not let us make; the options hold for all of it.
        Tree::HostCopy(tree) => {
            set_attributes(tree.as_fd(), Depth::Recursive, options.fresh(), 0, 0)?;
            tree
        }
    };
    if options.copy_up {
        super::copy_up::copy_up(root, destination, tree.as_fd())?;
    }
    attach(tree.as_fd(), target.as_fd())?;
    match kind {
        // `subset=pid` hides what sysctls are, and `ro` keeps them from being set: another instance shows all.
        "proc" if options.fresh() & 1 != 0 || options.data.iter().any(|(key, _)| key == "subset") => {
            mounted.proc = Some(new_filesystem("proc", &Options::default())?);
        }
        "proc" => mounted.proc = Some(tree),
        "devpts" => mounted.devpts = Some(tree),
        _ => {}
    }
    Ok(())
}

/// A mount inside `/proc` could answer for the kernel (CVE-2025-52881). As in runc, these may: lxcfs provides them.
fn refuse_inside_proc(destination: &Path) -> Result<()> {
    const ALLOWED: [&str; 8] = ["cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime"];
    if destination.components().any(|part| part == Component::ParentDir) || !destination.is_absolute() {
        return Err(fault(Kind::Usage, "the destination of a mount is an absolute path without `..`"));
    }
    match destination.strip_prefix("/proc") {
        Ok(inside) if inside.as_os_str().is_empty() || ALLOWED.iter().any(|name| inside == Path::new(name)) => Ok(()),
        Ok(_) => Err(fault(Kind::Usage, "nothing can be mounted inside `/proc`")),
        Err(_) => Ok(()),
    }
}

/// A mount that is not attached yet.
enum Tree {
    /// A new file system, with its attributes.
    Fresh(OwnedFd),
    /// A copy of the host's mount.
    HostCopy(OwnedFd),
}

/// Attach a mount to an open mount point.
pub(super) fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags)
}

/// The folder `path` below the root, which no link may stand in for; made if missing.
fn folder_without_links(root: &Root, path: &Path) -> Result<OwnedFd> {
    match root.open_without_links(path, OFlags::PATH | OFlags::DIRECTORY) {
        Ok(folder) => Ok(folder),
        Err(Errno::LOOP) => Err(fault(Kind::BadData, format!("`{}` in the image is a symbolic link", path.display()))),
        Err(Errno::NOTDIR) => Err(fault(Kind::BadData, format!("`{}` in the image is not a folder", path.display()))),
        Err(Errno::NOENT) => {
            root.make_dir_all(path, Mode::from_raw_mode(0o755))?;
            Ok(root.open_without_links(path, OFlags::PATH | OFlags::DIRECTORY)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// A copy of what a bind shows, not attached yet.
pub(super) fn bind_source(mount: &Mount, depth: Bind) -> Result<OwnedFd> {
    let source = mount.source().as_deref().ok_or_else(|| fault(Kind::Usage, "the mount has no source"))?;
    match options(mount)?.subpath {
        None => clone_tree(CWD, source, depth),
        // Resolved below the source and used at once, as a descriptor: what another container puts in its way meanwhile
        // leads nowhere else (CVE-2017-1002101, CVE-2021-25741).
        Some(part) => {
            let part_of = || format!("cannot open `{}` in `{}`", part.display(), source.display());
            let root = Root::open(source).with_context(part_of)?;
            let found = root.open_at(&part, OFlags::PATH, Mode::empty()).with_context(part_of)?;
            clone_tree(found.as_fd(), Path::new(""), depth)
        }
    }
}

fn clone_tree(from: BorrowedFd<'_>, source: &Path, depth: Bind) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if source.as_os_str().is_empty() {
        flags |= OpenTreeFlags::from_bits_retain(0x1000); // AT_EMPTY_PATH
    }
    if depth == Bind::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(rustix::mount::open_tree(from, source, flags)?)
}

fn finish_bind(tree: OwnedFd, depth: Bind, options: &Options, root: &Root, destination: &Path) -> Result<()> {
    let is_folder = FileType::from_raw_mode(rustix::fs::fstat(&tree)?.st_mode) == FileType::Directory;
    let target = if is_folder {
        root.make_dir_all(destination, Mode::from_raw_mode(0o755))?
    } else {
        root.make_file(destination, Mode::from_raw_mode(0o644))?
    };
    let (whole, here) = (options.below, options.here);
    let (kind, is_recursive) = options.propagation.unwrap_or((MountPropagationFlags::PRIVATE.bits().into(), true));
    let reach = if depth == Bind::Recursive { Depth::Recursive } else { Depth::Top };
    let first = if is_recursive { kind } else { 0 };
    if (whole.set, whole.clear, first) != (0, 0, 0) {
        set_attributes(tree.as_fd(), reach, whole.set, whole.clear, first)?;
    }
    // What is said of the mount itself comes last and so counts.
    if (here.set, here.clear) != (0, 0) || !is_recursive {
        set_attributes(tree.as_fd(), Depth::Top, here.set, here.clear, kind)?;
    }
    attach(tree.as_fd(), target.as_fd()).map_err(|error| match error {
        Errno::NOTDIR if is_folder => fault(Kind::BadData, "the mount point in the image is not a folder"),
        Errno::NOTDIR => fault(Kind::BadData, "the mount point in the image is a folder, the source is not"),
        error => error.into(),
    })
}

/// A new file system with the options' data and attributes.
fn new_filesystem(kind: &str, options: &Options) -> Result<OwnedFd> {
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| match error {
        Errno::NODEV => fault(Kind::Host, format!("this kernel has no file system `{}`", kind.escape_debug())),
        error => error.into(),
    })?;
    // What mount(8) and df(1) show as the device.
    rustix::mount::fsconfig_set_string(&fs, "source", kind)?;
    for (key, value) in &options.data {
        let result = match value {
            Some(value) => rustix::mount::fsconfig_set_string(&fs, key.as_str(), value.as_str()),
            None => rustix::mount::fsconfig_set_flag(&fs, key.as_str()),
        };
        result.with_context(|| format!("the file system refuses option `{}`", key.escape_debug()))?;
    }
    rustix::mount::fsconfig_create(&fs)?;
    let attributes = Attr::from_bits_retain(options.fresh() as u32);
    Ok(rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// The new file system, or where the kernel refuses it to us (EPERM), a copy of the host's if that shows the same.
fn with_host_copy(made: Result<OwnedFd>, host: &str, same: bool) -> Result<Tree> {
    match made {
        Err(error) if same && is_errno(&error, Errno::PERM) => {
            Ok(Tree::HostCopy(clone_tree(CWD, Path::new(host), Bind::Recursive)?))
        }
        Err(error) if is_errno(&error, Errno::PERM) => Err(Fault::new(
            Kind::Host,
            "the kernel refuses it: parts of the host's own are covered, as inside another container",
        )
        .because(error)),
        result => Ok(Tree::Fresh(result?)),
    }
}

fn is_errno(error: &anyhow::Error, errno: Errno) -> bool {
    error.downcast_ref::<Errno>() == Some(&errno)
}

/// A devpts; without the option `gid` where that group is not mapped (single-id mode).
fn new_devpts(options: &Options) -> Result<Tree> {
    match new_filesystem("devpts", options) {
        Err(_) if options.data.iter().any(|(key, _)| key == "gid") => {
            let mut options = options.clone();
            options.data.retain(|(key, _)| key != "gid");
            new_filesystem("devpts", &options).map(Tree::Fresh)
        }
        result => result.map(Tree::Fresh),
    }
}

/// The container's cgroup tree, if the host has cgroup v2 where it belongs.
fn cgroup(options: &Options) -> Result<Option<Tree>> {
    const CGROUP2_MAGIC: i64 = 0x6367_7270;
    if rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|found| found.f_type != CGROUP2_MAGIC) {
        return Ok(None);
    }
    // The specification's options are v1's; v2 takes none of them.
    let options = Options { data: Vec::new(), ..options.clone() };
    with_host_copy(new_filesystem("cgroup2", &options), "/sys/fs/cgroup", true).map(Some)
}
