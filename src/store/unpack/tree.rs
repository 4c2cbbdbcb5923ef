//! Placing entries below the root, through descriptors only. A file costs open, write, utimensat and close, and what of
//! chown and chmod is not right by itself.

use super::archive::{Archive, Entry, Kind};
use super::folders::{Folders, OpenFolders};
use super::{LayerStats, Limits, bad};
use crate::base::error::{Fault, Kind as FaultKind};
use crate::store::remove::remove_tree_at;
use crate::sys::writeback::Writeback;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// The attribute that makes a folder hide what the layers below have in it.
const OPAQUE: &str = "user.overlay.opaque";
/// The attribute that records an owner which could not be set.
pub(in crate::store) const OWNER: &str = "user.box.owner";

/// The tree in the making.
pub(super) struct Tree<'a> {
    root: BorrowedFd<'a>,
    open: OpenFolders,
    folders: Folders,
    ours: Ours,
    limits: Limits,
    stats: LayerStats,
    /// Whether `.wh.NAME` hides NAME.
    whiteouts: bool,
}

/// What a new file of ours is by itself, and whether we may give files away.
struct Ours {
    uid: u32,
    gid: u32,
    umask: u32,
    /// Whether only one id is mapped here, so that there is nobody to give files to.
    single: bool,
}

impl<'a> Tree<'a> {
    pub fn new(root: BorrowedFd<'a>, limits: &Limits, ids: IdsAtHand) -> Result<Self> {
        let ours = Ours::find(root, ids);
        let (open, folders) = (OpenFolders::default(), Folders::default());
        Ok(Self { root, open, folders, ours, limits: *limits, stats: LayerStats::default(), whiteouts: true })
    }

    /// The same for an archive that is no layer.
    pub fn without_whiteouts(self) -> Self {
        Self { whiteouts: false, ..self }
    }

    /// Make what the entry says.
    pub fn place(&mut self, entry: &Entry, archive: &mut Archive<'_>) -> Result<()> {
        self.stats.entries += 1;
        if self.stats.entries > self.limits.entries {
            return Err(bad(format!("the layer has more than {} entries", self.limits.entries)));
        }
        let path = clean(&entry.path)?;
        let Some((parent, name)) = split(&path) else {
            return self.place_root(entry);
        };
        if let Some(hidden) = name.strip_prefix(b".wh.").filter(|_| self.whiteouts) {
            return self.place_whiteout(parent, hidden);
        }
        match entry.kind {
            Kind::File => self.place_file(&path, entry, archive),
            Kind::Folder => self.place_folder(&path, entry),
            Kind::HardLink => self.place_hard_link(&path, entry),
            Kind::SymbolicLink => {
                let folder = self.folder(parent)?;
                self.make(&path, &folder, |folder, name| rustix::fs::symlinkat(entry.link.as_slice(), folder, name))?;
                self.finish_node(folder.as_fd(), name, entry)
            }
            Kind::Fifo | Kind::CharacterDevice | Kind::BlockDevice => self.place_node(&path, entry),
        }
    }

    /// Give the folders their attributes, deepest first.
    pub fn finish(mut self) -> Result<LayerStats> {
        self.open.clear();
        self.folders.of(b"");
        for (path, attributes) in self.folders.take() {
            let folder = match self.resolve(&path, OFlags::empty()) {
                // Something else of the layer took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                folder => folder,
            };
            (|| -> Result<()> {
                let folder = folder?;
                self.give(folder.as_fd(), attributes.uid, attributes.gid)?;
                self.set_xattrs(folder.as_fd(), &attributes.xattrs)?;
                if attributes.opaque {
                    rustix::fs::fsetxattr(&folder, OPAQUE, b"y", XattrFlags::empty())?;
                }
                rustix::fs::fchmod(&folder, Mode::from_raw_mode(attributes.mode))?;
                if let Some(mtime) = attributes.mtime {
                    rustix::fs::futimens(&folder, &times(mtime))?;
                }
                Ok(())
            })()
            .with_context(|| format!("cannot unpack folder `{}`", path.escape_ascii()))?;
        }
        Ok(self.stats)
    }

    /// An entry for `/` itself: only a folder can be that (CVE-2021-29136).
    fn place_root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Folder {
            return Err(bad("the root of the layer is no folder"));
        }
        self.describe(b"", entry);
        Ok(())
    }

    fn place_file(&mut self, path: &[u8], entry: &Entry, archive: &mut Archive<'_>) -> Result<()> {
        self.stats.bytes = self.stats.bytes.saturating_add(entry.size);
        if self.stats.bytes > self.limits.bytes {
            let text = format!("the layer has more than the {} bytes that there is room for", self.limits.bytes);
            return Err(Fault::new(FaultKind::DiskFull, text).into());
        }
        let folder = self.parent(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Set-id bits only after the owner is right.
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let file = self.make(path, &folder, |folder, name| rustix::fs::openat(folder, name, flags, mode))?;
        match &entry.sparse {
            None => {
                let (mut writeback, mut end) = (Writeback::default(), 0);
                archive.content(entry.size, &mut |piece| {
                    write_all(file.as_fd(), piece)?;
                    end += piece.len() as u64;
                    writeback.written(&file, end);
                    Ok(())
                })?;
            }
            Some(sparse) => {
                rustix::fs::ftruncate(&file, sparse.real_size)?;
                for (offset, length) in &sparse.pieces {
                    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(*offset))?;
                    archive.content(*length, &mut |piece| write_all(file.as_fd(), piece))?;
                }
            }
        }
        // Giving a file away clears its set-id bits and capabilities, and setting either changes the times.
        let given = self.give(file.as_fd(), entry.uid, entry.gid)?;
        if given || entry.mode & (0o7000 | self.ours.umask) != 0 {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))?;
        }
        self.set_xattrs(file.as_fd(), &entry.xattrs)?;
        Ok(rustix::fs::futimens(&file, &times(entry.mtime))?)
    }

    fn place_folder(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let folder = self.parent(path)?;
        self.make_folder(path, folder.as_fd())?;
        self.describe(path, entry);
        Ok(())
    }

    /// Make a folder, closed to all but us until the end; one that is there already stays. Over a whiteout of this
    /// layer it is opaque: the folder of the layers below is hidden, and this is another.
    fn make_folder(&mut self, path: &[u8], parent: BorrowedFd<'_>) -> Result<()> {
        let name = last_name(path);
        let mut was_whiteout = false;
        for _ in 0..2 {
            match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
                Err(Errno::EXIST) => {}
                result => {
                    result?;
                    self.folders.of(path).opaque |= was_whiteout;
                    return Ok(());
                }
            }
            let found = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                self.folders.of(path);
                return Ok(());
            }
            was_whiteout = is_whiteout(&found);
            self.clear(path, parent)?;
        }
        Err(Errno::EXIST.into())
    }

    fn place_hard_link(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let target = clean(&entry.link)?;
        let Some((target_parent, target_name)) = split(&target) else {
            return Err(bad("a hard link leads to the root"));
        };
        let target_folder = self.resolve(target_parent, OFlags::empty());
        let target_folder = target_folder.with_context(|| no_target(&target))?;
        let found = rustix::fs::statat(&target_folder, target_name, AtFlags::SYMLINK_NOFOLLOW)
            .with_context(|| no_target(&target))?;
        let folder = self.parent(path)?;
        // Removing what stands at a link to itself would remove its target.
        if let Ok(there) = rustix::fs::statat(&folder, last_name(path), AtFlags::SYMLINK_NOFOLLOW)
            && (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
        {
            return Ok(());
        }
        // Without AT_SYMLINK_FOLLOW, so a link to a symbolic link is one to the link itself.
        self.make(path, &folder, |folder, name| {
            rustix::fs::linkat(&target_folder, target_name, folder, name, AtFlags::empty())
        })
    }

    /// FIFOs, and devices where we may make them: in a user namespace nobody may.
    fn place_node(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let (kind, device) = match entry.kind {
            Kind::Fifo => (FileType::Fifo, 0),
            Kind::BlockDevice => (FileType::BlockDevice, rustix::fs::makedev(entry.device.0, entry.device.1)),
            // Overlay would take it for a whiteout.
            _ if entry.device == (0, 0) => {
                self.stats.devices_skipped += 1;
                return Ok(());
            }
            _ => (FileType::CharacterDevice, rustix::fs::makedev(entry.device.0, entry.device.1)),
        };
        let folder = self.parent(path)?;
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        match self.make(path, &folder, |folder, name| rustix::fs::mknodat(folder, name, kind, mode, device)) {
            Err(error) if kind != FileType::Fifo && error.downcast_ref::<Errno>() == Some(&Errno::PERM) => {
                self.stats.devices_skipped += 1;
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => self.finish_node(folder.as_fd(), last_name(path), entry),
        }
    }

    /// Owner, mode and times of what cannot be opened; it was made by us just now, so the name is that.
    fn finish_node(&mut self, folder: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
        if (entry.uid, entry.gid) != (self.ours.uid, self.ours.gid) {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            match rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW) {
                // Attributes of the user's are for files and folders only; nothing is recorded here.
                Err(Errno::PERM | Errno::INVAL) if self.ours.single => self.stats.owners_recorded += 1,
                result => result.map_err(|errno| self.ours.cannot_give(errno, entry.uid, entry.gid))?,
            }
        }
        if entry.kind != Kind::SymbolicLink {
            rustix::fs::chmodat(folder, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
        }
        Ok(rustix::fs::utimensat(folder, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// `.wh.NAME`: hides NAME of the layers below. `.wh..wh..opq`: hides all that they have in the folder.
    fn place_whiteout(&mut self, parent: &[u8], hidden: &[u8]) -> Result<()> {
        if hidden == b".wh..opq" {
            self.folder(parent)?;
            self.folders.of(parent).opaque = true;
            return Ok(());
        }
        // AUFS's own files, as `.wh..wh.plnk`.
        if hidden.starts_with(b".wh.") {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(bad("a whiteout hides no name"));
        }
        let folder = self.folder(parent)?;
        match rustix::fs::mknodat(&folder, hidden, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // The layer has this name itself: a file hides the lower one by being there, a folder by being opaque.
        let found = rustix::fs::statat(&folder, hidden, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            self.folders.of(&join(parent, hidden)).opaque = true;
        }
        Ok(())
    }

    /// Make an entry by its last name, removing what stands in the way.
    fn make<T>(
        &mut self,
        path: &[u8],
        folder: &OwnedFd,
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let folder = folder.as_fd();
        match make(folder, last_name(path)) {
            Err(Errno::EXIST) => {
                self.clear(path, folder)?;
                Ok(make(folder, last_name(path))?)
            }
            result => Ok(result?),
        }
    }

    /// Remove what is at this path, never what a link there leads to.
    fn clear(&mut self, path: &[u8], folder: BorrowedFd<'_>) -> Result<()> {
        let name = last_name(path);
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {
                remove_tree_at(folder, name)?;
                self.folders.remove(path);
            }
            result => result?,
        }
        // A removed link or folder may have been part of the way to an open one.
        self.open.clear();
        Ok(())
    }

    fn parent(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        self.folder(split(path).map_or(b"", |(parent, _)| parent))
    }

    /// Open a folder, following the layer's links inside the root, and making what is missing of it.
    fn folder(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        if let Some(folder) = self.open.get(path) {
            return Ok(folder);
        }
        let folder = match self.resolve(path, OFlags::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => {
                let (_, folder) = self.make_way(path)?;
                folder
            }
            folder => folder?,
        };
        Ok(self.open.put(path, folder))
    }

    /// Make the missing folders of a path, one name after the other. A link to nothing gets its target, inside the
    /// root. Returns where the path has led.
    fn make_way(&mut self, path: &[u8]) -> Result<(Vec<u8>, OwnedFd)> {
        let mut done = Vec::new();
        let mut current = self.resolve(b"", OFlags::empty())?;
        let mut rest: Vec<Vec<u8>> = names(path).map(<[u8]>::to_vec).rev().collect();
        let mut links = 0;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        while let Some(name) = rest.pop() {
            let next = join(&done, &name);
            let mut opened = rustix::fs::openat2(&current, name.as_slice(), flags, Mode::empty(), resolve);
            if matches!(opened, Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) {
                if let Ok(target) = rustix::fs::readlinkat(&current, name.as_slice(), Vec::new()) {
                    links += 1;
                    if links > 40 {
                        return Err(Errno::LOOP.into());
                    }
                    // Where it leads is worked out by names, which may differ from what the kernel would find, but
                    // every step from there on is beneath the root again.
                    let target = target.as_bytes();
                    let base: &[u8] = if target.starts_with(b"/") { b"" } else { &done };
                    let way = clean_inside(&join(base, target));
                    rest.extend(names(&way).map(<[u8]>::to_vec).rev());
                    done.clear();
                    current = self.resolve(b"", OFlags::empty())?;
                    continue;
                }
                let whiteout = rustix::fs::statat(&current, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW);
                if whiteout.is_ok_and(|found| !is_whiteout(&found)) {
                    return Err(bad(format!("`{}` is no folder", next.escape_ascii())));
                }
                self.make_folder(&next, current.as_fd())?;
                opened = rustix::fs::openat2(&current, name.as_slice(), flags, Mode::empty(), resolve);
            }
            current = opened?;
            done = next;
        }
        Ok((done, current))
    }

    /// Open a folder below the root, following links inside it.
    fn resolve(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        for _ in 0..128 {
            match rustix::fs::openat2(self.root, path, flags, Mode::empty(), resolve) {
                // A rename elsewhere on the machine raced with a `..` in a link: openat2(2).
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    fn describe(&mut self, path: &[u8], entry: &Entry) {
        let attributes = self.folders.of(path);
        (attributes.mode, attributes.uid, attributes.gid) = (entry.mode, entry.uid, entry.gid);
        attributes.mtime = Some(entry.mtime);
        attributes.xattrs.clone_from(&entry.xattrs);
    }

    /// Give a file or folder to its owner; whether anything changed.
    fn give(&mut self, file: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<bool> {
        if (uid, gid) == (self.ours.uid, self.ours.gid) {
            return Ok(false);
        }
        match rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::INVAL) if self.ours.single => {
                let owner = format!("{uid}:{gid}");
                // A file system without user attributes keeps no owners at all; the file is usable all the same.
                match rustix::fs::fsetxattr(file, OWNER, owner.as_bytes(), XattrFlags::empty()) {
                    Ok(()) | Err(Errno::OPNOTSUPP) => {}
                    Err(error) => return Err(error.into()),
                }
                self.stats.owners_recorded += 1;
                Ok(false)
            }
            Err(errno) => Err(self.ours.cannot_give(errno, uid, gid)),
        }
    }

    /// Attributes that a layer may set: the user's own, but those that mean something to overlay or to us, and file
    /// capabilities where the kernel lets us.
    fn set_xattrs(&self, file: BorrowedFd<'_>, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        for (name, value) in xattrs {
            let capability = name == b"security.capability";
            let reserved = [&b"user.overlay."[..], b"user.box.", b"user.fuseoverlayfs.", b"user.containers."];
            if !capability && (!name.starts_with(b"user.") || reserved.iter().any(|start| name.starts_with(start))) {
                continue;
            }
            match rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(Errno::PERM | Errno::INVAL) if capability => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot set its attribute `{}`", name.escape_ascii()));
                }
            }
        }
        Ok(())
    }
}

impl Ours {
    /// Learn what files we make are like from one that has no name.
    fn find(root: BorrowedFd<'_>, ids: IdsAtHand) -> Self {
        let mode = Mode::from_raw_mode(0o777);
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let found = rustix::fs::openat(root, ".", flags, mode).and_then(rustix::fs::fstat);
        let single = ids == IdsAtHand::One;
        match found {
            Ok(stat) => Self { uid: stat.st_uid, gid: stat.st_gid, umask: !stat.st_mode & 0o777, single },
            // Not on this file system: as if nothing were right by itself.
            Err(_) => Self { uid: u32::MAX, gid: u32::MAX, umask: 0o777, single },
        }
    }

    fn cannot_give(&self, errno: Errno, uid: u32, gid: u32) -> anyhow::Error {
        if errno != Errno::INVAL {
            return errno.into();
        }
        // So many more that it is mapped wherever the first range ends.
        let last = 1_000_000 + u64::from(uid.max(gid));
        let command = format!("sudo usermod --add-subuids 1000000-{last} --add-subgids 1000000-{last} $USER");
        Fault::new(FaultKind::Host, format!("the image needs the ids {uid}:{gid}, which are not mapped for you"))
            .hint(format!("{command} && box system migrate"))
            .because(errno)
    }
}

/// Which owners files can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum IdsAtHand {
    /// Those of the user namespace.
    Mapped,
    /// The caller's alone.
    One,
}

impl IdsAtHand {
    /// Ask `/proc`, which a confined thread cannot.
    pub fn find() -> Self {
        let single = std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| is_single(&map));
        if single || !rustix::process::geteuid().is_root() { Self::One } else { Self::Mapped }
    }
}

/// Whether an id map has one id.
fn is_single(map: &str) -> bool {
    let count: u64 = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
    count == 1
}

fn no_target(target: &[u8]) -> String {
    format!("the hard link's target `{}` is not in the layer", target.escape_ascii())
}

fn is_whiteout(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The names of a path, without empty ones and `.`.
fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."))
}

/// A path of an archive as names below the root. One that leads above it is refused.
fn clean(path: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    for name in names(path) {
        if name != b".." {
            push(&mut out, name);
        } else if !pop(&mut out) {
            return Err(bad(format!("`{}` leads out of the layer", path.escape_ascii())));
        }
    }
    Ok(out)
}

/// As [`clean`] for the target of a link: above the root is the root.
fn clean_inside(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for name in names(path) {
        if name == b".." {
            pop(&mut out);
        } else {
            push(&mut out, name);
        }
    }
    out
}

fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

fn pop(path: &mut Vec<u8>) -> bool {
    let had = !path.is_empty();
    path.truncate(path.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
    had
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = parent.to_vec();
    push(&mut path, name);
    path
}

/// Folder and last name of a clean path; `None` for the root.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => Some((path.get(..slash)?, path.get(slash + 1..)?)),
        None if path.is_empty() => None,
        None => Some((b"", path)),
    }
}

fn last_name(path: &[u8]) -> &[u8] {
    split(path).map_or(b".", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_by_names() {
        for (path, clean_path) in [
            (&b"a//b/./c/"[..], Some(&b"a/b/c"[..])),
            (b"/a", Some(b"a")),
            (b"./", Some(b"")),
            (b"", Some(b"")),
            (b"a/../b", Some(b"b")),
            (b"a/..", Some(b"")),
            (b"..", None),
            (b"a/../../b", None),
            (b"/..", None),
        ] {
            assert_eq!(clean(path).ok().as_deref(), clean_path, "{:?}", path.escape_ascii());
        }
        assert_eq!(clean_inside(b"a/../../../b"), b"b");
    }

    #[test]
    fn maps_of_one_id() {
        assert!(is_single("         0       1000          1\n"));
        assert!(!is_single("         0          0 4294967295\n") && !is_single("0 1000 1\n1 100000 65536\n"));
    }
}
