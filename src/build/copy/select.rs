//! Which files a copy takes, and where each goes: BuildKit's rules (`solver/llbsolver/file`, tonistiigi/fsutil `copy`).
//!
//! A folder's content is copied rather than the folder; a file goes into a destination that is a folder or ends with a
//! slash; links that the instruction names are followed, those further down are copied.

use super::picture::{Content, Item, ItemKind, Picture, is_folder, look, meta_of};
use super::source::{Owners, Place, Source};
use crate::base::error::{Fault, Kind};
use crate::dockerfile::glob::{Glob, has_wildcards};
use crate::store::names_in;
use anyhow::{Context, Result};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Something to copy.
#[derive(Debug)]
pub struct Found {
    /// Its path, as it was named.
    pub named: PathBuf,
    /// With `--parents`: the folder below which folders are copied, too.
    pivot: Option<PathBuf>,
}

/// What a path or pattern means.
///
/// Errors: a path leads nowhere. A pattern may.
pub fn find(source: &Source<'_>, pattern: &str, parents: bool) -> Result<Vec<Found>> {
    // `a/./b` with --parents: what is left of the point is not kept.
    let (pivot, pattern) = match pattern.split_once("/./").filter(|_| parents) {
        Some((left, right)) => (Path::new("/").join(left.trim_start_matches('/')), right),
        None => (PathBuf::from("/"), pattern),
    };
    let wanted: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let mut found = Vec::new();
    if has_wildcards(pattern) {
        expand(source, &pivot, &wanted, &mut found)?;
    } else {
        let named = wanted.iter().fold(pivot.clone(), |path, part| path.join(part));
        // `..` at the top goes nowhere.
        let real = source.tree.real_path(&named);
        let place = source.begin(&real);
        let hidden = source.hides(&place) && !source.may_show_below(&place, &real, Path::new(""));
        // One that is a link still leads nowhere.
        if hidden || source.stat(&real).is_ok_and(|stat| is_link(&stat)) || !source.has(&real) {
            return Err(missing(source, pattern, &real));
        }
        found.push(named);
    }
    Ok(found.into_iter().map(|named| Found { named, pivot: parents.then(|| pivot.clone()) }).collect())
}

fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// Copies sources into a picture.
pub struct Selection<'a, 'b> {
    /// Where to.
    pub picture: &'a mut Picture<'b>,
    /// The destination, all links followed; absolute.
    pub dest: PathBuf,
    /// Whether it is a folder because it was written so.
    pub into_folder: bool,
    /// The owner that everything gets.
    pub owner: Option<(u32, u32)>,
    /// The mode that everything gets: of a mode, and whether it is a folder's.
    pub mode: &'a dyn Fn(u32, bool) -> u32,
    /// Entries with several names, by device and inode.
    pub linked: HashMap<(u64, u64), Vec<u8>>,
}

impl Selection<'_, '_> {
    /// Copy something that was found.
    pub fn add(&mut self, source: &Source<'_>, found: &Found) -> Result<()> {
        let real = source.tree.real_path(&found.named);
        match &found.pivot {
            Some(pivot) => self.add_with_parents(source, pivot, &found.named, &real),
            None => {
                let dest = self.dest.clone();
                self.add_one(source, &real, found.named.file_name(), &dest)
            }
        }
    }

    /// Copy all of a tree into the destination.
    pub fn add_all(&mut self, source: &Source<'_>) -> Result<()> {
        let dest = self.dest.clone();
        self.add_one(source, Path::new("/"), None, &dest)
    }

    /// Copy a file, or a folder's content.
    fn add_one(&mut self, source: &Source<'_>, real: &Path, name: Option<&OsStr>, dest: &Path) -> Result<()> {
        let stat = source.stat(real)?;
        let dest = match name {
            Some(name) if !is_folder(&stat) && (self.into_folder || self.picture.has_folder(dest)) => dest.join(name),
            _ => dest.to_owned(),
        };
        let owner = self.owner.unwrap_or_default();
        if is_folder(&stat) {
            if !self.picture.has_folder(&dest) {
                self.picture.make_folders(dest.parent().unwrap_or(Path::new("/")), owner)?;
                if dest != Path::new("/") {
                    let folder = source.open_folder(real)?;
                    let item = self.folder(source, &folder, &stat)?;
                    self.picture.put(&dest, item)?;
                }
            } else {
                self.picture.make_folders(&dest, owner)?;
            }
            let folder = source.open_folder(real)?;
            let at = At { real, below: Path::new(""), dest: &dest, place: source.begin(real) };
            return self.walk(source, &folder, &at, &mut Vec::new());
        }
        self.picture.make_folders(dest.parent().unwrap_or(Path::new("/")), owner)?;
        let parent = source.open_folder(real.parent().unwrap_or(Path::new("/")))?;
        let item = self.leaf(source, &parent, real, &stat, &dest)?;
        self.put(&dest, item)
    }

    /// Copy with the folders that lead to it.
    fn add_with_parents(&mut self, source: &Source<'_>, pivot: &Path, named: &Path, real: &Path) -> Result<()> {
        let below = named.strip_prefix(pivot).unwrap_or(named).to_owned();
        let (mut from, mut to) = (pivot.to_owned(), self.dest.clone());
        self.picture.make_folders(&to, self.owner.unwrap_or_default())?;
        for part in below.parent().into_iter().flat_map(Path::components) {
            from.push(part);
            to.push(part);
            let folder = source.open_folder(&source.tree.real_path(&from))?;
            let item = self.folder(source, &folder, &rustix::fs::fstat(&folder)?)?;
            self.picture.put(&to, item)?;
        }
        let dest = named.file_name().map_or(to.clone(), |name| to.join(name));
        // The destination is the file's own path here, even if a folder is there.
        let into_folder = std::mem::replace(&mut self.into_folder, false);
        let result = self.add_one(source, real, named.file_name(), &dest);
        self.into_folder = into_folder;
        result
    }

    /// Copy all below a folder. `waiting` are folders that are left out, and copied only if something in them is not.
    fn walk(
        &mut self,
        source: &Source<'_>,
        folder: &OwnedFd,
        at: &At<'_>,
        waiting: &mut Vec<(PathBuf, Item)>,
    ) -> Result<()> {
        for name in names_in(folder)? {
            let name = OsStr::from_bytes(&name);
            let (path, below, dest) = (at.real.join(name), at.below.join(name), at.dest.join(name));
            let place = source.go(&at.place, &path, &below);
            let hidden = source.hides(&place);
            if hidden && !source.may_show_below(&place, &path, &below) {
                continue;
            }
            let Ok(stat) = look(folder, name) else { continue };
            if is_folder(&stat) {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let child = rustix::fs::openat(folder, name, flags, Mode::empty())
                    .with_context(|| format!("cannot open `{}`", path.display()))?;
                let item = self.folder(source, &child, &stat)?;
                let length = waiting.len();
                waiting.push((dest.clone(), item));
                if !hidden {
                    self.arrive(waiting)?;
                }
                self.walk(source, &child, &At { real: &path, below: &below, dest: &dest, place }, waiting)?;
                waiting.truncate(length);
            } else if !hidden {
                self.arrive(waiting)?;
                let item = self.leaf(source, folder, &path, &stat, &dest)?;
                self.put(&dest, item)?;
            }
        }
        Ok(())
    }

    fn arrive(&mut self, waiting: &mut Vec<(PathBuf, Item)>) -> Result<()> {
        waiting.drain(..).try_for_each(|(dest, item)| self.picture.put(&dest, item))
    }

    fn put(&mut self, dest: &Path, item: Option<Item>) -> Result<()> {
        item.map_or(Ok(()), |item| self.picture.put(dest, item))
    }

    fn folder(&self, source: &Source<'_>, folder: &OwnedFd, stat: &Stat) -> Result<Item> {
        let records = if source.owners == Owners::Kept { crate::store::records_of(folder)? } else { Vec::new() };
        Ok(Item { kind: ItemKind::Folder, meta: self.meta(source, meta_of(stat, records), true) })
    }

    /// What is no folder; sockets are nothing.
    fn leaf(
        &mut self,
        source: &Source<'_>,
        parent: &OwnedFd,
        path: &Path,
        stat: &Stat,
        dest: &Path,
    ) -> Result<Option<Item>> {
        let name = path.file_name().unwrap_or_default();
        if stat.st_nlink > 1 {
            let place = (stat.st_dev, stat.st_ino);
            let own = dest.strip_prefix("/").unwrap_or(dest).as_os_str().as_bytes().to_vec();
            match self.linked.get(&place) {
                Some(first) if *first != own && self.picture.items.contains_key(first) => {
                    let kind = ItemKind::Link(first.clone());
                    return Ok(Some(Item { kind, meta: self.meta(source, meta_of(stat, Vec::new()), false) }));
                }
                _ => drop(self.linked.insert(place, own)),
            }
        }
        let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let seen = [
                    stat.st_dev as i64,
                    stat.st_ino as i64,
                    stat.st_size,
                    stat.st_mtime,
                    stat.st_mtime_nsec as i64,
                    stat.st_ctime,
                    stat.st_ctime_nsec as i64,
                ];
                let ours = source.owners == Owners::Kept;
                let from = Content::Tree { tree: source.number, path: path.to_owned(), seen, ours, kept: None };
                ItemKind::File { from, size: u64::try_from(stat.st_size).unwrap_or(0), digest: None }
            }
            FileType::Symlink => {
                ItemKind::Symlink(rustix::fs::readlinkat(parent, name, Vec::new())?.to_bytes().to_vec())
            }
            FileType::CharacterDevice => ItemKind::Device(false, device.0, device.1),
            FileType::BlockDevice => ItemKind::Device(true, device.0, device.1),
            FileType::Fifo => ItemKind::Fifo,
            _ => return Ok(None),
        };
        let mut meta = self.meta(source, meta_of(stat, Vec::new()), false);
        if matches!(kind, ItemKind::Symlink(_)) {
            meta.mode = 0o777;
        }
        Ok(Some(Item { kind, meta }))
    }

    fn meta(&self, source: &Source<'_>, mut meta: crate::store::EntryMeta, folder: bool) -> crate::store::EntryMeta {
        (meta.uid, meta.gid) = match (self.owner, source.owners) {
            (Some(owner), _) => owner,
            (None, Owners::Kept) => (meta.uid, meta.gid),
            (None, Owners::Root) => (0, 0),
        };
        meta.mode = (self.mode)(meta.mode, folder) & 0o7777;
        meta
    }
}

/// Where a walk stands.
struct At<'a> {
    /// In the source.
    real: &'a Path,
    /// From what was named.
    below: &'a Path,
    /// Where it is copied to.
    dest: &'a Path,
    /// What patterns say of it.
    place: Place,
}

/// All paths that a pattern means, sorted; `**` is any number of folders.
fn expand(source: &Source<'_>, path: &Path, pattern: &[&str], found: &mut Vec<PathBuf>) -> Result<()> {
    let Some((first, rest)) = pattern.split_first() else {
        let real = source.tree.real_path(path);
        // A hidden folder may hold something that is not; the walk over it decides.
        let place = source.begin(&real);
        if source.has(&real) && (!source.hides(&place) || source.may_show_below(&place, &real, Path::new(""))) {
            found.push(path.to_owned());
        }
        return Ok(());
    };
    if *first == "**" {
        expand(source, path, rest, found)?;
    }
    let Ok(folder) = source.open_folder(&source.tree.real_path(path)) else { return Ok(()) };
    let glob = Glob::parse(first)?;
    for name in names_in(&folder)? {
        let name = OsStr::from_bytes(&name);
        let next = path.join(name);
        if *first == "**" {
            if look(&folder, name).is_ok_and(|stat| is_folder(&stat)) {
                expand(source, &next, pattern, found)?;
            }
        } else if name.to_str().is_some_and(|name| glob.fits(name)) {
            expand(source, &next, rest, found)?;
        }
    }
    Ok(())
}

/// The error for a path that leads nowhere: what is nearest, and whether an ignore file hides it.
fn missing(source: &Source<'_>, pattern: &str, path: &Path) -> anyhow::Error {
    let fault = Fault::new(Kind::Usage, format!("`{pattern}` is not in {}", source.name));
    if source.is_hidden(path) && source.has(path) {
        let text = format!("{} hides it: add `!{}` to it", source.ignore_file, pattern.trim_start_matches('/'));
        return fault.hint(text).into();
    }
    let near = source.open_folder(&source.tree.real_path(path.parent().unwrap_or(Path::new("/"))));
    let near = near.ok().and_then(|folder| names_in(&folder).ok()).unwrap_or_default();
    let near: Vec<String> = near.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match crate::base::nearest::nearest_of(&name, near.iter().map(String::as_str)) {
        Some(nearest) => {
            let meant = path.with_file_name(nearest);
            let meant = meant.strip_prefix("/").unwrap_or(&meant);
            fault.hint(format!("did you mean `{}`?", meant.display())).into()
        }
        None => fault.into(),
    }
}
