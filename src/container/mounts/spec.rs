//! Mounts as the runtime is told them. Pure.

use super::lend::overlay_dir;
use super::{Lent, Mount, Options, Source};
use crate::base::error::{Kind, fault};
use crate::container::config::Config;
use crate::runtime::SUBPATH;
use crate::volume::Driver;
use anyhow::Result;
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder, Mount as SpecMount, MountBuilder};
use std::path::{Path, PathBuf};

/// The mounts that were asked for, and the image's volumes. `dir` is `containers/<id>`.
pub fn lent_mounts(config: &Config, lent: &Lent, dir: &Path) -> Result<Vec<SpecMount>> {
    let numbered = config.mounts.iter().enumerate();
    numbered.map(|(number, mount)| one(mount, lent, &overlay_dir(dir, number))).collect()
}

fn one(mount: &Mount, lent: &Lent, own: &Path) -> Result<SpecMount> {
    let options = &mount.options;
    match &mount.source {
        Source::Bind { source } => folder(mount, source, &[], own),
        Source::Volume { name, .. } => match lent.volumes.get(name) {
            Some((Driver::Folder, data)) => folder(mount, data, &[], own),
            Some((Driver::Bind { device, options }, _)) => folder(mount, device, options, own),
            Some((Driver::Tmpfs { options: data }, _)) => {
                filesystem(mount, "tmpfs", "tmpfs", [flags(options, true), data.clone()].concat())
            }
            Some((Driver::Kernel { kind, device, options: data }, _)) => {
                filesystem(mount, kind, device, [flags(options, true), data.clone()].concat())
            }
            Some((Driver::Image { .. }, _)) | None => {
                Err(fault(Kind::Other, format!("volume `{name}` was not made ready")))
            }
        },
        Source::Image { .. } => {
            let layers = lent.images.get(&mount.target).map(Vec::as_slice).unwrap_or_default();
            let mut words = flags(options, true);
            // An overlay without an upper folder has at least two lower ones.
            let empty = own.join("empty");
            words.extend(layers.iter().chain([&empty]).map(|layer| lower(layer)));
            if !options.read_only {
                words.extend(upper(&own.join("upper"), &own.join("work")));
            }
            filesystem(mount, "overlay", "overlay", words)
        }
        Source::Tmpfs => {
            let mut words = vec!["rw".to_owned(), "nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned()];
            words.extend((!options.no_copy).then(|| "tmpcopyup".to_owned()));
            words.extend(options.flags.iter().cloned());
            words.extend(options.read_only.then(|| "ro".to_owned()));
            words.extend(options.propagation.clone());
            words.extend(options.data.iter().cloned());
            filesystem(mount, "tmpfs", "tmpfs", words)
        }
        Source::Devpts => {
            let mut words = vec!["nosuid".to_owned(), "noexec".to_owned(), "newinstance".to_owned()];
            words.push("ptmxmode=0666".to_owned());
            words.extend(options.data.iter().cloned());
            filesystem(mount, "devpts", "devpts", words)
        }
        Source::Glob { .. } => Err(fault(Kind::Other, "a pattern was not expanded")),
    }
}

fn filesystem(mount: &Mount, kind: &str, source: &str, options: Vec<String>) -> Result<SpecMount> {
    Ok(MountBuilder::default().destination(&mount.target).typ(kind).source(source).options(options).build()?)
}

/// A folder or file: bound, or below an overlay.
fn folder(mount: &Mount, source: &Path, more: &[String], own: &Path) -> Result<SpecMount> {
    let options = &mount.options;
    let mut more = more.to_vec();
    if let Some(overlay) = &options.overlay {
        let or_own = |path: &Option<PathBuf>, name: &str| path.clone().unwrap_or_else(|| own.join(name));
        let mut words = flags(options, false);
        words.push(lower(source));
        words.extend(upper(&or_own(&overlay.upper, "upper"), &or_own(&overlay.work, "work")));
        return filesystem(mount, "overlay", "overlay", words);
    }
    if let Some(part) = &options.subpath {
        more.push(format!("{}{}", SUBPATH, part.display()));
    }
    let mut words = vec![if options.single { "bind" } else { "rbind" }.to_owned()];
    words.push(if options.read_only { "ro" } else { "rw" }.to_owned());
    words.extend(flags(options, false));
    words.extend(more);
    words.push(options.propagation.clone().unwrap_or_else(|| "rprivate".to_owned()));
    let mut built = MountBuilder::default().destination(&mount.target).typ("bind").source(source);
    if let Some(map) = &options.idmap {
        words.push("idmap".to_owned());
        let (uids, gids) = id_maps(map)?;
        if !uids.is_empty() {
            built = built.uid_mappings(uids).gid_mappings(gids);
        }
    }
    Ok(built.options(words).build()?)
}

/// `nosuid` and `nodev` unless `suid` and `dev` are asked for; then the user's words.
fn flags(options: &Options, with_read_only: bool) -> Vec<String> {
    let mut words = vec!["nosuid".to_owned(), "nodev".to_owned()];
    words.retain(|word| !options.flags.iter().any(|flag| format!("no{flag}") == *word));
    words.extend(options.flags.iter().filter(|flag| !matches!(flag.as_str(), "suid" | "dev" | "exec")).cloned());
    words.extend((with_read_only && options.read_only).then(|| "ro".to_owned()));
    words
}

/// One layer: `lowerdir+` takes a path as it is.
fn lower(path: &Path) -> String {
    format!("lowerdir+={}", path.display())
}

fn upper(upper: &Path, work: &Path) -> [String; 3] {
    [format!("upperdir={}", upper.display()), format!("workdir={}", work.display()), "userxattr".to_owned()]
}

/// podman's `uids=CONTAINER-HOST-SIZE#…;gids=…`; nothing means the container's own map.
fn id_maps(text: &str) -> Result<(Vec<LinuxIdMapping>, Vec<LinuxIdMapping>)> {
    let wrong = || fault(Kind::Usage, format!("`idmap={}` is not uids=0-1000-10;gids=0-1000-10", text.escape_debug()));
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (which, ranges) = part.split_once('=').ok_or_else(wrong)?;
        let list = match which {
            "uids" => &mut uids,
            "gids" => &mut gids,
            _ => return Err(wrong()),
        };
        for range in ranges.split('#') {
            let numbers: Vec<u32> = range.split('-').map(|n| n.parse().map_err(|_| wrong())).collect::<Result<_>>()?;
            let [container, host, size] = numbers[..] else { return Err(wrong()) };
            list.push(LinuxIdMappingBuilder::default().container_id(container).host_id(host).size(size).build()?);
        }
    }
    if uids.is_empty() != gids.is_empty() {
        return Err(wrong());
    }
    Ok((uids, gids))
}

#[cfg(test)]
mod tests {
    use super::super::{parse_mount, parse_tmpfs, parse_volume};
    use super::*;

    fn shown(mount: Mount, lent: &Lent) -> String {
        let mount = one(&mount, lent, Path::new("/own")).unwrap();
        let source = mount.source().as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        format!("{} {source} {}", mount.typ().as_deref().unwrap_or(""), mount.options().as_ref().unwrap().join(","))
    }

    #[test]
    fn what_the_runtime_is_told() {
        let mut lent = Lent::default();
        lent.volumes.insert("v".into(), (Driver::Folder, "/data".into()));
        lent.volumes
            .insert("b".into(), (Driver::Bind { device: "/dev".into(), options: vec!["ro".into()] }, "".into()));
        lent.volumes.insert("t".into(), (Driver::Tmpfs { options: vec!["size=1m".into()] }, "".into()));
        lent.images.insert("/i".into(), vec!["/l2".into(), "/l1".into()]);
        for (mount, expected) in [
            (parse_volume("/a:/b"), "bind /a rbind,rw,nosuid,nodev,rprivate"),
            (parse_volume("/a:/b:ro,bind,suid,noexec,rslave"), "bind /a bind,ro,nodev,noexec,rslave"),
            (
                parse_mount("type=volume,src=v,dst=/b,subpath=x/y"),
                "bind /data rbind,rw,nosuid,nodev,X-box.subpath=x/y,rprivate",
            ),
            (parse_volume("v:/b"), "bind /data rbind,rw,nosuid,nodev,rprivate"),
            (parse_volume("b:/b"), "bind /dev rbind,rw,nosuid,nodev,ro,rprivate"),
            (parse_volume("t:/b"), "tmpfs tmpfs nosuid,nodev,size=1m"),
            (
                parse_volume("/a:/b:O"),
                "overlay overlay nosuid,nodev,lowerdir+=/a,upperdir=/own/upper,workdir=/own/work,userxattr",
            ),
            (
                parse_mount("type=image,src=x,dst=/i"),
                "overlay overlay nosuid,nodev,ro,lowerdir+=/l2,lowerdir+=/l1,lowerdir+=/own/empty",
            ),
            (parse_tmpfs("/t:size=1m,exec"), "tmpfs tmpfs rw,nosuid,nodev,noexec,tmpcopyup,exec,size=1m"),
            (parse_tmpfs("/t:notmpcopyup"), "tmpfs tmpfs rw,nosuid,nodev,noexec"),
        ] {
            assert_eq!(shown(mount.unwrap(), &lent), expected);
        }
    }

    #[test]
    fn maps_of_ids() {
        let count = |text: &str| id_maps(text).map(|(uids, gids)| (uids.len(), gids.len())).ok();
        assert_eq!(count(""), Some((0, 0)));
        assert_eq!(count("uids=0-1-2#5-6-7;gids=0-1-2"), Some((2, 1)));
        for wrong in ["uids=0-1", "uids=0-1-2", "x=0-1-2", "uids=a-b-c;gids=0-1-2", "uids"] {
            assert_eq!(count(wrong), None, "{wrong}");
        }
    }
}
