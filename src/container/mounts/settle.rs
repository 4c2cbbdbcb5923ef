//! When a container is created: sources are looked up, volumes made, patterns expanded, so that a start needs neither
//! the working folder nor a registry.

use super::{ImageVolumes, Mount, Options, Source, VolumeWish};
use crate::base::error::{Fault, Kind, fault};
use crate::base::id::ContainerId;
use crate::base::lock::{Lock, Share};
use crate::container::record;
use crate::engine::Engine;
use crate::image::Image;
use crate::volume::{self, Driver, New, Volume};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// What was asked of mounts.
pub struct Wishes<'a> {
    /// `-v`, `--mount`, `--tmpfs`, in order.
    pub mounts: Vec<Mount>,
    /// `--volumes-from`: `CONTAINER[:ro|rw|z]`.
    pub from: &'a [String],
    /// What the image declares.
    pub image_volumes: &'a [String],
    /// What becomes of that.
    pub mode: ImageVolumes,
    /// Finds another image, by the pull policy.
    pub find_image: &'a dyn Fn(&str) -> Result<Image>,
}

/// Mounts that can be kept, and what keeps their volumes from being removed until the record names them.
#[derive(Debug)]
pub struct Settled {
    /// The mounts.
    pub mounts: Vec<Mount>,
    locks: Vec<Lock>,
}

impl Settled {
    /// The record is published, which leads to them: now the anonymous volumes are made. Whoever is killed before leaves
    /// a container whose start makes them.
    pub fn keep(self, engine: &Engine) -> Result<()> {
        self.mounts.iter().try_for_each(|mount| match &mount.source {
            Source::Volume { name, anonymous: true, make } => make_anonymous(engine, name, make).map(drop),
            _ => Ok(()),
        })
    }
}

/// Make the anonymous volume of a container's mount.
pub(super) fn make_anonymous(engine: &Engine, name: &str, make: &VolumeWish) -> Result<Volume> {
    volume::create(&engine.dirs, new_volume(Some(name.to_owned()), make, true))
}

fn new_volume(name: Option<String>, make: &VolumeWish, anonymous: bool) -> New {
    New {
        name,
        driver: make.driver.clone(),
        options: make.options.iter().cloned().collect(),
        labels: make.labels.iter().cloned().collect(),
        anonymous,
        owner: (None, None),
    }
}

/// All mounts together, with nothing made for them yet.
pub fn gather(engine: &Engine, wishes: &mut Wishes<'_>) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for mut mount in std::mem::take(&mut wishes.mounts) {
        match &mut mount.source {
            Source::Glob { pattern, into } => expand(pattern, into.as_deref(), &mount.options, &mut mounts)?,
            Source::Bind { source } => {
                *source = existing(source)?;
                mounts.push(mount);
            }
            _ => mounts.push(mount),
        }
    }
    check_targets(&mounts)?;
    for text in wishes.from {
        borrow(engine, text, &mut mounts)?;
    }
    declared(wishes.image_volumes, wishes.mode, &mut mounts);
    Ok(mounts)
}

/// Settle all mounts.
pub fn settle(engine: &Engine, mut wishes: Wishes<'_>) -> Result<Settled> {
    let mounts = gather(engine, &mut wishes)?;
    let mut settled = Settled { mounts: Vec::new(), locks: Vec::new() };
    for mount in mounts {
        let mount = settled.settle_one(engine, mount, wishes.find_image)?;
        settled.mounts.push(mount);
    }
    Ok(settled)
}

impl Settled {
    fn settle_one(&mut self, engine: &Engine, mut mount: Mount, find: &dyn Fn(&str) -> Result<Image>) -> Result<Mount> {
        check_idmap(engine, &mount)?;
        match &mut mount.source {
            Source::Image { reference, layers } => *layers = layers_of(&find(reference)?),
            Source::Volume { name, anonymous: true, make } => {
                if let Driver::Image { reference } = volume::check(&new_volume(None, make, true))? {
                    return image(mount, reference, find);
                }
                *name = ContainerId::random().to_string();
            }
            Source::Volume { name, make, .. } => {
                let make = std::mem::take(make);
                let volume = self.volume(engine, name, &make)?;
                if let Driver::Image { reference } = volume.driver()? {
                    return image(mount, reference, find);
                }
                *name = volume.record.name.clone();
                self.locks.push(volume.lock(Share::Shared)?);
            }
            _ => {}
        }
        Ok(mount)
    }

    /// The volume of a name, made if it is not there.
    fn volume(&self, engine: &Engine, name: &str, make: &VolumeWish) -> Result<Volume> {
        if let Some(found) = volume::record::load(&engine.dirs, name) {
            return Ok(found);
        }
        match volume::create(&engine.dirs, new_volume(Some(name.to_owned()), make, false)) {
            // Somebody else was quicker: it is there now.
            Err(error) if crate::base::error::kind(&error) == Kind::NameInUse => volume::find(&engine.dirs, name),
            result => result,
        }
    }
}

/// A volume that stands for an image is that image, mounted.
fn image(mut mount: Mount, reference: String, find: &dyn Fn(&str) -> Result<Image>) -> Result<Mount> {
    let layers = layers_of(&find(&reference)?);
    mount.source = Source::Image { reference, layers };
    mount.options.read_only = true;
    Ok(mount)
}

fn layers_of(image: &Image) -> Vec<crate::base::digest::Digest> {
    image.layers.iter().map(|layer| layer.diff_id.clone()).collect()
}

/// A source of the host, absolute.
fn existing(source: &Path) -> Result<PathBuf> {
    let source = std::path::absolute(source)?;
    match std::fs::metadata(&source) {
        Ok(_) => Ok(source),
        Err(error) => {
            let shown = source.display().to_string();
            let fault = Fault::new(Kind::Usage, format!("cannot mount `{}`", shown.escape_debug()));
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            Err(if missing { fault.hint(format!("mkdir -p {}", quoted(&shown))) } else { fault }.because(error))
        }
    }
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    match word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c)) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Showing files under other owners is for real root: the kernel wants to be sure of the file system, too.
fn check_idmap(engine: &Engine, mount: &Mount) -> Result<()> {
    if mount.options.idmap.is_none() || engine.caller().0 == 0 {
        return Ok(());
    }
    let text = format!("cannot mount `{}` with `idmap`: only root can (mount_setattr(2))", mount.target.display());
    Err(Fault::new(Kind::Host, text)
        .hint("--userns keep-id keeps your own ids; the option U gives the files away")
        .into())
}

/// No two mounts on one target, none on the root.
fn check_targets(mounts: &[Mount]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for mount in mounts {
        let shown = mount.target.display().to_string();
        let upwards = mount.target.components().any(|part| part == Component::ParentDir);
        if !mount.target.is_absolute() || upwards || mount.target == Path::new("/") {
            return Err(fault(
                Kind::Usage,
                format!("`{}` cannot be mounted on: give an absolute path", shown.escape_debug()),
            ));
        }
        if !seen.insert(&mount.target) {
            return Err(fault(Kind::Usage, format!("`{}` is mounted on twice", shown.escape_debug())));
        }
    }
    Ok(())
}

/// The volumes and folders of another container, on the same targets.
fn borrow(engine: &Engine, text: &str, mounts: &mut Vec<Mount>) -> Result<()> {
    let (name, words) = text.split_once(':').unwrap_or((text, ""));
    let mut options = Options::default();
    for word in words.split(',').filter(|word| !word.is_empty()) {
        if !matches!(word, "ro" | "rw" | "z") || !options.take(word) {
            let text = format!("`--volumes-from {}`: there is no option `{word}`", text.escape_debug());
            return Err(Fault::new(Kind::Usage, text).hint("the options are: ro rw z").into());
        }
    }
    let other = record::find(&engine.dirs, name).context("cannot use its volumes")?;
    for mut mount in other.config.mounts {
        let lent = matches!(mount.source, Source::Bind { .. } | Source::Volume { .. } | Source::Image { .. });
        if !lent || mounts.iter().any(|known| known.target == mount.target) {
            continue;
        }
        if let Source::Volume { anonymous, .. } = &mut mount.source {
            // It goes with the container that it was made for.
            *anonymous = false;
        }
        mount.options.read_only |= options.read_only;
        mounts.push(mount);
    }
    Ok(())
}

/// The image's volumes that nothing of the user's covers.
fn declared(volumes: &[String], mode: ImageVolumes, mounts: &mut Vec<Mount>) {
    for path in volumes.iter().map(PathBuf::from) {
        let named = path.components().filter(|part| matches!(part, Component::Normal(_))).count();
        let plain = path.is_absolute() && named > 0 && !path.components().any(|part| part == Component::ParentDir);
        let system = ["/proc", "/sys", "/dev"].iter().any(|dir| path.starts_with(dir));
        let control = path.to_string_lossy().chars().any(char::is_control);
        if !plain || system || control || mounts.iter().any(|mount| mount.target == path) {
            continue;
        }
        let source = match mode {
            ImageVolumes::Anonymous => {
                Source::Volume { name: String::new(), anonymous: true, make: VolumeWish::default() }
            }
            ImageVolumes::Tmpfs => Source::Tmpfs,
            ImageVolumes::Ignore => continue,
        };
        mounts.push(Mount::new(source, path));
    }
}

/// A bind for each path that fits a pattern, in order.
fn expand(pattern: &Path, into: Option<&Path>, options: &Options, mounts: &mut Vec<Mount>) -> Result<()> {
    let pattern = std::path::absolute(pattern)?;
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.components() {
        let Component::Normal(part) = part else { continue };
        found = found.iter().flat_map(|folder| matching(folder, part)).collect();
    }
    if found.is_empty() {
        let shown = pattern.display().to_string();
        return Err(fault(Kind::Usage, format!("cannot mount `{}`: nothing fits the pattern", shown.escape_debug())));
    }
    for source in found {
        let target = match (into, source.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => source.clone(),
        };
        mounts.push(Mount { target, source: Source::Bind { source }, options: options.clone() });
    }
    Ok(())
}

/// The entries of a folder that fit one part of a pattern, sorted; hidden ones only where the pattern says so.
fn matching(folder: &Path, part: &OsStr) -> Vec<PathBuf> {
    let text = part.to_string_lossy();
    if !text.contains(['*', '?']) {
        let path = folder.join(part);
        return if path.exists() { vec![path] } else { Vec::new() };
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.retain(|name| {
        let name = name.to_string_lossy();
        (!name.starts_with('.') || text.starts_with('.')) && crate::base::glob::fits(&text, &name)
    });
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_image_declares() {
        let volumes = ["/data", "/taken", "/proc/x", "relative", "/a/../b", "/", "/x\ny"].map(str::to_owned);
        let shown = |mode| {
            let mut mounts = vec![Mount::new(Source::Tmpfs, "/taken")];
            declared(&volumes, mode, &mut mounts);
            mounts.split_off(1).into_iter().map(|mount| (mount.target, mount.source)).collect::<Vec<_>>()
        };
        let made = Source::Volume { name: String::new(), anonymous: true, make: VolumeWish::default() };
        assert_eq!(shown(ImageVolumes::Anonymous), [("/data".into(), made)]);
        assert_eq!(shown(ImageVolumes::Tmpfs), [("/data".into(), Source::Tmpfs)]);
        assert!(shown(ImageVolumes::Ignore).is_empty());
    }

    #[test]
    fn patterns_become_binds() {
        let dir = std::env::temp_dir().join(format!("box-glob-{}", crate::base::id::ContainerId::random()));
        for name in ["a1/x.so", "a2/x.so", "a2/y.so", "a2/.x.so", "b/x.so"] {
            std::fs::create_dir_all(dir.join(name)).unwrap();
        }
        let expanded = |pattern: &str, into: Option<&str>| {
            let mut mounts = Vec::new();
            expand(&dir.join(pattern), into.map(Path::new), &Options::default(), &mut mounts)?;
            let shown = mounts.iter().map(|mount| mount.target.display().to_string());
            anyhow::Ok(shown.collect::<Vec<_>>().join(" ").replace(&*dir.to_string_lossy(), ""))
        };
        assert_eq!(expanded("a*/x*", None).unwrap(), "/a1/x.so /a2/x.so");
        assert_eq!(expanded("a2/?.so", Some("/lib")).unwrap(), "/lib/x.so /lib/y.so");
        assert!(expanded("c*/x", None).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn targets() {
        let check = |targets: &[&str]| {
            let mounts: Vec<Mount> = targets.iter().map(|target| Mount::new(Source::Tmpfs, *target)).collect();
            check_targets(&mounts).err().map(|error| error.to_string())
        };
        assert_eq!(check(&["/a", "/b"]), None);
        assert_eq!(check(&["/a", "/b", "/a"]).unwrap(), "`/a` is mounted on twice");
        assert!(check(&["/"]).is_some() && check(&["a"]).is_some() && check(&["/a/../b"]).is_some());
    }

    #[test]
    fn a_missing_source_has_advice() {
        let error = existing(Path::new("/no such")).unwrap_err();
        assert_eq!(error.downcast_ref::<Fault>().unwrap().hints, ["mkdir -p '/no such'"]);
        assert!(format!("{error:#}").starts_with("cannot mount `/no such`: No such file"));
        assert!(existing(Path::new(".")).unwrap().is_absolute());
    }
}
