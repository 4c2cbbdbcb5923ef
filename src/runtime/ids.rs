//! The id maps of a container's own user namespace, written from outside (user_namespaces(7)).
//!
//! Root, in the host's or in any other namespace, writes them; an ordinary user maps the own id alone, and all else by
//! newuidmap(1) and newgidmap(1), which look it up in `/etc/subuid` and `/etc/subgid`.

use super::naming::Naming;
use crate::base::error::{Fault, Kind, fault};
use crate::base::program;
use crate::rootless::{self, Range};
use anyhow::{Context, Result};
use oci_spec::runtime::{Linux, LinuxBuilder, LinuxIdMapping, LinuxIdMappingBuilder};
use std::fmt::Write;
use std::process::{Child, Command, Stdio};

/// Write both maps of the process `pid`, the first of its namespace.
pub(super) fn write_maps(pid: i32, linux: &Linux, naming: Naming) -> Result<()> {
    let (uids, gids) = (linux.uid_mappings().as_deref(), linux.gid_mappings().as_deref());
    let (uids, gids) = (uids.unwrap_or_default(), gids.unwrap_or_default());
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    // As crun, whose `spec --rootless` leaves them out.
    if uids.is_empty() && gids.is_empty() && !uid.is_root() {
        let (users, groups) = rootless::own_ranges((uid.as_raw(), gid.as_raw()));
        let linux = LinuxBuilder::default().uid_mappings(one_by_one(&users)?).gid_mappings(one_by_one(&groups)?);
        return write_maps(pid, &linux.build()?, naming);
    }
    for (property, maps) in [("linux.uidMappings", uids), ("linux.gidMappings", gids)] {
        if maps.is_empty() {
            return Err(fault(Kind::BadData, format!("`{property}` is missing: the new user namespace maps nobody")));
        }
    }
    if uid.is_root() {
        naming.name(|| "linux.uidMappings".to_owned(), write(pid, "uid_map", uids))?;
        return naming.name(|| "linux.gidMappings".to_owned(), write(pid, "gid_map", gids));
    }
    // The programs run side by side, and both are waited for, whatever happens to either.
    let by_program = |tool, maps, own| if is_only(maps, own) { Ok(None) } else { start(tool, pid, maps).map(Some) };
    let users = by_program("newuidmap", uids, uid.as_raw())?;
    let groups = by_program("newgidmap", gids, gid.as_raw());
    let users = users.map_or_else(|| write(pid, "uid_map", uids), |child| finish("newuidmap", child));
    let groups =
        groups.and_then(|child| child.map_or_else(|| write_own_group(pid, gids), |it| finish("newgidmap", it)));
    naming.name(|| "linux.uidMappings".to_owned(), users)?;
    naming.name(|| "linux.gidMappings".to_owned(), groups)
}

fn write_own_group(pid: i32, gids: &[LinuxIdMapping]) -> Result<()> {
    // Else one could get rid of a group that denies something (CVE-2014-8989).
    std::fs::write(format!("/proc/{pid}/setgroups"), "deny").context("cannot write the container's setgroups")?;
    write(pid, "gid_map", gids)
}

/// These ids of the host from 0 on.
fn one_by_one(ranges: &[Range]) -> Result<Vec<LinuxIdMapping>> {
    let mut next = 0;
    let mut maps = Vec::with_capacity(ranges.len());
    for range in ranges {
        let map = LinuxIdMappingBuilder::default().container_id(next).host_id(range.start).size(range.count);
        maps.push(map.build()?);
        next += range.count;
    }
    Ok(maps)
}

fn is_only(maps: &[LinuxIdMapping], id: u32) -> bool {
    matches!(maps, [map] if map.host_id() == id && map.size() == 1)
}

/// Write one of the two files, as root of the namespace around it.
pub(super) fn write(pid: i32, file: &str, maps: &[LinuxIdMapping]) -> Result<()> {
    let mut text = String::new();
    for map in maps {
        let _ = writeln!(text, "{} {} {}", map.container_id(), map.host_id(), map.size());
    }
    let path = format!("/proc/{pid}/{file}");
    // One write(2): the kernel takes a map at once or not at all.
    std::fs::write(&path, text).with_context(|| format!("cannot map the container's ids in `{path}`"))
}

const DEED: &str = "cannot map the container's ids";

fn start(tool: &str, pid: i32, maps: &[LinuxIdMapping]) -> Result<Child> {
    let path = program::find(tool).ok_or_else(|| {
        let text = format!("{DEED}: {tool} is missing");
        Fault::new(Kind::Host, text).hint(program::how_to_install("uidmap", &[("dnf", "shadow-utils")]))
    })?;
    Command::new(path)
        .arg(pid.to_string())
        .args(maps.iter().flat_map(|map| [map.container_id(), map.host_id(), map.size()]).map(|id| id.to_string()))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{DEED}: {tool} cannot run"))
}

fn finish(tool: &str, child: Child) -> Result<()> {
    let output = child.wait_with_output().with_context(|| format!("{DEED}: {tool} was lost"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(fault(Kind::Host, format!("{DEED}: {}", text.lines().next().unwrap_or(tool).trim())))
}
