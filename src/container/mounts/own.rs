//! The option `U`: the files of a source are given to the container's user.

use super::{Mount, Source};
use crate::container::owners;
use crate::container::record::Container;
use crate::container::root;
use crate::engine::Engine;
use crate::runtime::user;
use crate::sys::root::Root;
use anyhow::Result;
use oci_spec::runtime::{LinuxIdMapping, Spec};
use std::path::{Path, PathBuf};

/// Give what is mounted with `U` to the user that the container's command runs as. In U0.
pub fn own(engine: &Engine, container: &Container, spec: &Spec) -> Result<()> {
    let mut wanted = container.config.mounts.iter().filter(|mount| mount.options.chown).peekable();
    if wanted.peek().is_none() {
        return Ok(());
    }
    let (uid, gid) = user_of(engine, container)?;
    let linux = spec.linux().as_ref();
    let uid = outside(uid, linux.and_then(|linux| linux.uid_mappings().as_deref()));
    let gid = outside(gid, linux.and_then(|linux| linux.gid_mappings().as_deref()));
    for mount in wanted {
        if let Some(source) = source(engine, mount) {
            owners::give(&source, &|_, _| (uid, gid))?;
        }
    }
    Ok(())
}

fn source(engine: &Engine, mount: &Mount) -> Option<PathBuf> {
    match &mount.source {
        Source::Bind { source } => Some(source.clone()),
        Source::Volume { name, .. } => Some(crate::volume::record::load(&engine.dirs, name)?.mount_point()),
        _ => None,
    }
}

/// An id of the container in the user's namespace, where we are.
pub fn outside(id: u32, map: Option<&[LinuxIdMapping]>) -> u32 {
    let inside = |range: &&LinuxIdMapping| id.checked_sub(range.container_id()).is_some_and(|at| at < range.size());
    let range = map.and_then(|map| map.iter().find(inside));
    range.map_or(id, |range| range.host_id() + (id - range.container_id()))
}

/// The command's user and group, by the passwd file that the container begins with.
fn user_of(engine: &Engine, container: &Container) -> Result<(u32, u32)> {
    let config = &container.config;
    let mut folders = vec![container.dir.join("upper"), container.dir.join("rootfs")];
    folders.extend(root::lower(engine, config)?);
    let has_users = |folder: &PathBuf| {
        let root = Root::open(folder).ok()?;
        root.read(Path::new("/etc/passwd")).ok().map(|_| root)
    };
    let Some(root) = folders.iter().find_map(has_users) else {
        // Only numbers can be meant.
        let found = user::resolve(&Root::open(&container.dir)?, &config.user)?;
        return Ok((found.uid, found.gid));
    };
    let found = user::resolve(&root, &config.user)?;
    Ok((found.uid, found.gid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxIdMappingBuilder;

    #[test]
    fn ids_outside() {
        let range = |container: u32, host: u32, size: u32| {
            LinuxIdMappingBuilder::default().container_id(container).host_id(host).size(size).build().unwrap()
        };
        let map = [range(0, 1, 1000), range(1000, 0, 1)];
        assert_eq!(outside(0, Some(&map)), 1);
        assert_eq!(outside(1000, Some(&map)), 0);
        assert_eq!(outside(7, None), 7);
    }
}
