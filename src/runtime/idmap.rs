//! Mounts whose files have other owners in the container: `idmap`, `ridmap`, `uidMappings` and `gidMappings` of a
//! mount (config.md, Mounts; mount_setattr(2), Linux 5.12).
//!
//! The maker makes them, before it clones init: changing the owners of a file system needs root where that was mounted,
//! which init is not in a user namespace of its own.

use super::ids::write;
use super::mounts;
use super::naming::Naming;
use super::options::Bind;
use crate::base::error::{Fault, Kind, fault};
use crate::sys::mount::{Depth, map_ids};
use crate::sys::process;
use anyhow::{Context, Result};
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, MountBuilder, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The mounts of the specification that are mapped, by their index.
pub(super) fn prepare(spec: &Spec, naming: Naming) -> Result<Vec<(usize, OwnedFd)>> {
    let mut trees = Vec::new();
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let has_maps = are_given(mount.uid_mappings().as_deref()) || are_given(mount.gid_mappings().as_deref());
        let says_so = mount.options().iter().flatten().any(|option| matches!(option.as_str(), "idmap" | "ridmap"));
        if has_maps || says_so {
            let made = mapped(spec, mount).with_context(|| mounts::deed(mount));
            let tree = naming.name(|| mounts::property(index), made)?;
            trees.push((index, tree));
        }
    }
    Ok(trees)
}

/// A folder as a root file system whose files have the owners that the container's own map means.
pub fn mapped_root(spec: &Spec, path: &Path) -> Result<OwnedFd> {
    let options = ["rbind", "ridmap"].map(str::to_owned).to_vec();
    let mount = MountBuilder::default().destination("/").source(path).typ("bind").options(options).build()?;
    mapped(spec, &mount).with_context(|| format!("cannot use `{}` as root file system", path.display()))
}

fn are_given(maps: Option<&[LinuxIdMapping]>) -> bool {
    maps.is_some_and(|maps| !maps.is_empty())
}

fn mapped(spec: &Spec, mount: &Mount) -> Result<OwnedFd> {
    let options = mounts::options(mount)?;
    let Some(bind) = options.bind else {
        return Err(fault(Kind::Usage, "only a bind mount can have its owners mapped"));
    };
    let namespace = namespace(spec, mount)?;
    let tree = mounts::bind_source(mount, bind)?;
    let depth = if options.id_map == Some(Bind::Recursive) { Depth::Recursive } else { Depth::Top };
    map_ids(tree.as_fd(), depth, namespace.as_fd()).map_err(|error| {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::PERM) => {
                Fault::new(Kind::Host, "the owners of its files can only be mapped by the host's root").because(error)
            }
            Some(Errno::INVAL) => {
                Fault::new(Kind::Host, "its file system or this kernel cannot map the owners of files").because(error)
            }
            _ => error.into(),
        }
    })?;
    Ok(tree)
}

/// A user namespace that maps as the mount says, or as the container's does.
fn namespace(spec: &Spec, mount: &Mount) -> Result<OwnedFd> {
    if let (Some(uids), Some(gids)) = (mount.uid_mappings().as_deref(), mount.gid_mappings().as_deref())
        && !uids.is_empty()
        && !gids.is_empty()
    {
        return with_maps(uids, gids);
    }
    if are_given(mount.uid_mappings().as_deref()) || are_given(mount.gid_mappings().as_deref()) {
        return Err(fault(Kind::Usage, "`uidMappings` and `gidMappings` of a mount are given together"));
    }
    let linux = spec.linux().as_ref();
    let of_container = linux
        .and_then(|linux| linux.namespaces().as_ref())
        .and_then(|list| list.iter().find(|namespace| namespace.typ() == LinuxNamespaceType::User));
    match (of_container.map(|namespace| namespace.path()), linux) {
        (Some(Some(path)), _) => rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("cannot open the user namespace `{}`", path.display())),
        (Some(None), Some(linux)) => with_maps(
            linux.uid_mappings().as_deref().unwrap_or_default(),
            linux.gid_mappings().as_deref().unwrap_or_default(),
        ),
        _ => {
            let text =
                "`idmap` needs `uidMappings` and `gidMappings`, as the container has no user namespace of its own";
            Err(fault(Kind::Usage, text))
        }
    }
}

/// A new user namespace with these maps, kept by the descriptor alone.
fn with_maps(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<OwnedFd> {
    // Having joined a user namespace we are not dumpable, nor would be the child, and its maps not ours to write.
    process::set_dumpable(true)?;
    // The child waits for the end of the pipe, which comes with our end, too.
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let cloned = process::clone3(LinuxNamespaceType::User as u64, None).context("cannot make a user namespace")?;
    let Some(child) = cloned else {
        drop(writer);
        let _ = rustix::io::read(&reader, &mut [0; 1]);
        process::exit_now(0)
    };
    let namespace = write(child.pid, "uid_map", uids).and_then(|()| write(child.pid, "gid_map", gids)).and_then(|()| {
        let path = format!("/proc/{}/ns/user", child.pid);
        Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    });
    drop(writer);
    let _ = process::wait(child.pid);
    namespace
}
