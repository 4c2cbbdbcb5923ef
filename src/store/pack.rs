//! Trees as tar archives: the changes of a container as a layer, or a whole root file system.
//!
//! In the form that other programs write layers in: sorted names, whole seconds, pax headers where a name or an
//! attribute asks for one, whiteouts as `.wh.` files (OCI image specification, layer.md).
//!
//! A container may be at work on the tree meanwhile: every folder is opened below its parent without following links,
//! and a file is written with the size that it had when it was opened.

use super::archive::{ArchiveWriter, EntryKind, EntryMeta, Record};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Attribute names and values are at most 64 KiB, which is the kernel's limit.
const MAX_XATTR: usize = 1 << 16;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Attributes by which overlays mark a folder that hides what lies below it.
pub(super) const OPAQUE: [&str; 2] = ["user.overlay.opaque", "user.fuseoverlayfs.opaque"];

/// What to pack of a tree and how.
pub struct PackOptions<'a> {
    /// The owner inside the container of a file with this uid and gid.
    pub owner: &'a dyn Fn(u32, u32) -> (u32, u32),
    /// Paths, without a slash in front, that are left out with all below them.
    pub skip: &'a dyn Fn(&[u8]) -> bool,
    /// Whether the top folder gets an entry, which has its owner, mode and attributes.
    pub top: bool,
    /// Whether devices 0:0 and marks of overlay are whiteouts.
    pub whiteouts: bool,
    /// Paths, without a slash in front, for which whiteouts are added.
    pub deleted: &'a [Vec<u8>],
}

impl Default for PackOptions<'_> {
    /// All of a tree, as it is.
    fn default() -> Self {
        Self { owner: &|uid, gid| (uid, gid), skip: &|_| false, top: false, whiteouts: false, deleted: &[] }
    }
}

/// Write all below `root` as a tar archive, to its end.
///
/// The caller is root in its namespace. Errors: an I/O error of either side.
pub fn pack(root: &Path, options: &PackOptions<'_>, out: &mut dyn Write) -> Result<()> {
    let top =
        rustix::fs::open(root, FOLDER, Mode::empty()).with_context(|| format!("cannot open `{}`", root.display()))?;
    pack_folder(top, options, out)
}

/// The same of a folder that is open.
pub fn pack_folder(top: OwnedFd, options: &PackOptions<'_>, out: &mut dyn Write) -> Result<()> {
    let mut packer = Packer::new(options, out);
    if options.top {
        let stat = rustix::fs::fstat(&top)?;
        packer.folder(&top, b"./", &stat)?;
    }
    packer.below(top, Vec::new())?;
    packer.finish()
}

/// Write what is called `name` in an open folder as a tar archive, with all below it, under the name `called`.
///
/// Errors: `ENOENT`, if it is not there; else as [`pack`].
pub fn pack_entry(
    parent: &OwnedFd,
    name: &[u8],
    called: &[u8],
    options: &PackOptions<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mut packer = Packer::new(options, out);
    if let Some(folder) = packer.entry(parent, name, called)? {
        packer.below(folder, [called, b"/"].concat())?;
    }
    packer.finish()
}

/// A folder on the way down.
struct Level {
    folder: OwnedFd,
    /// What is left of it, the first one last.
    names: Vec<Vec<u8>>,
    /// With a slash behind it; empty for the top.
    path: Vec<u8>,
}

/// The names in a folder, sorted.
pub fn names_in(folder: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The same, the first one last.
fn names(folder: &OwnedFd) -> Result<Vec<Vec<u8>>> {
    let mut names = names_in(folder)?;
    names.reverse();
    Ok(names)
}

struct Packer<'a> {
    options: &'a PackOptions<'a>,
    out: ArchiveWriter<'a>,
    /// Where files with several names went, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl<'a> Packer<'a> {
    fn new(options: &'a PackOptions<'a>, out: &'a mut dyn Write) -> Self {
        Self { options, out: ArchiveWriter::new(out), linked: HashMap::new() }
    }

    /// Write what is in a folder, whose path ends in a slash, and all below it.
    fn below(&mut self, folder: OwnedFd, path: Vec<u8>) -> Result<()> {
        let mut levels = vec![Level { names: names(&folder)?, folder, path }];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.pop() else {
                levels.pop();
                continue;
            };
            let path = [level.path.as_slice(), &name].concat();
            if (self.options.skip)(&path) {
                continue;
            }
            let next = self.entry(&level.folder, &name, &path);
            if let Some(folder) = next.with_context(|| format!("cannot pack `{}`", path.escape_ascii()))? {
                let path = [&path, b"/".as_slice()].concat();
                levels.push(Level { names: names(&folder)?, folder, path });
            }
        }
        Ok(())
    }

    /// The whiteouts that are asked for, and the end of the archive.
    fn finish(mut self) -> Result<()> {
        for path in self.options.deleted {
            self.whiteout(path)?;
        }
        self.out.finish()
    }

    /// Write an entry; a folder comes back, to go down into.
    fn entry(&mut self, parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Gone since the folder was read.
            Err(Errno::NOENT) => return Ok(None),
            stat => stat?,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        // First of all: overlay makes its whiteouts as names of one device (Linux 5.8).
        if kind == FileType::CharacterDevice && self.options.whiteouts && stat.st_rdev == 0 {
            self.whiteout(path)?;
            return Ok(None);
        }
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino)).cloned() {
                self.head(path, EntryKind::Link(&first), &stat, Vec::new())?;
                return Ok(None);
            }
            self.linked.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
        let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        match kind {
            FileType::Directory => {
                let folder = rustix::fs::openat(parent, name, FOLDER, Mode::empty())?;
                self.folder(&folder, &[path, b"/"].concat(), &stat)?;
                return Ok(Some(folder));
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(parent, name, flags, Mode::empty())?;
                let stat = rustix::fs::fstat(&file)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                    self.file(file, path, &stat)?;
                }
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
                self.head(path, EntryKind::Symlink(target.to_bytes()), &stat, Vec::new())?;
            }
            FileType::CharacterDevice => self.head(path, EntryKind::Char(device.0, device.1), &stat, Vec::new())?,
            FileType::BlockDevice => self.head(path, EntryKind::Block(device.0, device.1), &stat, Vec::new())?,
            FileType::Fifo => self.head(path, EntryKind::Fifo, &stat, Vec::new())?,
            // A socket means something to the process that made it only, and tar has no word for it.
            FileType::Socket | FileType::Unknown => {}
        }
        Ok(None)
    }

    fn folder(&mut self, folder: &OwnedFd, path: &[u8], stat: &Stat) -> Result<()> {
        let (attributes, marks) = attributes(folder)?;
        self.head(path, EntryKind::Folder, &marks.owned(stat), attributes)?;
        if self.options.whiteouts && marks.opaque {
            let mut hider = *stat;
            hider.st_mode = 0o600;
            self.head(&[path, b".wh..wh..opq"].concat(), EntryKind::File(0), &hider, Vec::new())?;
        }
        Ok(())
    }

    fn file(&mut self, file: OwnedFd, path: &[u8], stat: &Stat) -> Result<()> {
        let (attributes, marks) = attributes(&file)?;
        let size = stat.st_size as u64;
        self.head(path, EntryKind::File(size), &marks.owned(stat), attributes)?;
        // It may have become longer meanwhile, or shorter.
        self.out.content(&mut File::from(file), size)
    }

    /// `.wh.NAME` beside where NAME was.
    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        let slash = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = path.split_at(slash);
        let meta = EntryMeta { mode: 0o600, ..EntryMeta::default() };
        self.out.entry(&[parent, b".wh.", name].concat(), EntryKind::File(0), &meta)
    }

    fn head(&mut self, path: &[u8], kind: EntryKind<'_>, stat: &Stat, records: Vec<Record>) -> Result<()> {
        let (uid, gid) = (self.options.owner)(stat.st_uid, stat.st_gid);
        self.out.entry(path, kind, &EntryMeta { mode: stat.st_mode, uid, gid, mtime: stat.st_mtime, records })
    }
}

/// What attributes say that are not part of the file.
#[derive(Default)]
struct Marks {
    /// What lies below in other layers is hidden.
    opaque: bool,
    /// The owner that could not be set.
    owner: Option<(u32, u32)>,
}

impl Marks {
    fn owned(&self, stat: &Stat) -> Stat {
        let mut stat = *stat;
        if let Some((uid, gid)) = self.owner {
            (stat.st_uid, stat.st_gid) = (uid, gid);
        }
        stat
    }
}

/// Take away what an overlay has noted on a file of its upper folder and that means nothing in a layer.
pub fn drop_overlay_marks(file: &OwnedFd) -> Result<()> {
    for name in attribute_names(file)? {
        let text = String::from_utf8_lossy(&name);
        if text.starts_with("user.overlay.") && !OPAQUE.contains(&text.as_ref()) {
            rustix::fs::fremovexattr(file, name.as_slice())?;
        }
    }
    Ok(())
}

/// Whether a folder of a layer hides what lies below it in others.
pub fn is_opaque(folder: &OwnedFd) -> bool {
    OPAQUE.iter().any(|name| {
        let mut value = [0; 1];
        rustix::fs::fgetxattr(folder, *name, &mut value) == Ok(1) && value == *b"y"
    })
}

/// The extended attributes of a file that belong into an archive, as pax records.
pub fn records_of(file: &OwnedFd) -> Result<Vec<Record>> {
    attributes(file).map(|(records, _)| records)
}

/// The extended attributes that belong into an archive, as pax records, and those that mean something here.
fn attributes(file: &OwnedFd) -> Result<(Vec<Record>, Marks)> {
    let (mut records, mut marks) = (Vec::new(), Marks::default());
    for name in attribute_names(file)? {
        let name = name.as_slice();
        let Ok(text) = std::str::from_utf8(name) else { continue };
        let mut value = vec![0; MAX_XATTR];
        let length = rustix::fs::fgetxattr(file.as_fd(), name, &mut value)?;
        value.truncate(length);
        match text {
            _ if OPAQUE.contains(&text) => marks.opaque |= value == b"y",
            super::unpack::OWNER => {
                let text = String::from_utf8_lossy(&value);
                marks.owner = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
            }
            _ if text.starts_with("user.overlay.") || text.starts_with("user.fuseoverlayfs.") => {}
            _ if text.starts_with("user.") || text == "security.capability" => {
                records.push((format!("SCHILY.xattr.{text}"), value));
            }
            _ => {}
        }
    }
    Ok((records, marks))
}

/// The names of a file's extended attributes.
fn attribute_names(file: &OwnedFd) -> Result<Vec<Vec<u8>>> {
    // Mostly there are none, and a file system without them has none.
    if matches!(rustix::fs::flistxattr(file.as_fd(), &mut [0; 64]), Ok(0) | Err(Errno::OPNOTSUPP)) {
        return Ok(Vec::new());
    }
    let mut names = vec![0; MAX_XATTR];
    let length = rustix::fs::flistxattr(file.as_fd(), &mut names)?;
    let names = names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;
    use crate::store::tests::{Scratch, in_namespaces};
    use std::os::unix::fs::symlink;

    fn packed(root: &Path, whiteouts: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let options = PackOptions {
            owner: &|uid, gid| (uid, gid),
            skip: &|path| path == b"skipped",
            top: whiteouts,
            whiteouts,
            deleted: &[],
        };
        pack(root, &options, &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        alone!();
        let scratch = Scratch::new();
        let store = scratch.store.clone();
        let root = scratch.dirs.data.join("tree");
        in_namespaces(move || {
            std::fs::create_dir_all(root.join("a/b")).unwrap();
            std::fs::create_dir(root.join("skipped")).unwrap();
            std::fs::write(root.join("a/file"), vec![7; 700_001]).unwrap();
            std::fs::hard_link(root.join("a/file"), root.join("a/z")).unwrap();
            let long = root.join("a/b").join("n".repeat(200));
            std::fs::write(&long, "long").unwrap();
            symlink("t".repeat(150), root.join("link")).unwrap();
            rustix::fs::setxattr(&long, "user.x", b"y\n=", rustix::fs::XattrFlags::empty()).unwrap();
            let fifo = FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), fifo, Mode::from_raw_mode(0o640), 0).unwrap();
            let tar = packed(&root, false);
            let diff_id = Digest::of(&tar);
            store.unpack_layer(&diff_id, &mut tar.as_slice()).unwrap();
            std::fs::remove_dir(root.join("skipped")).unwrap();
            assert_eq!(crate::store::compare::difference(&store.layer_path(&diff_id), &root).unwrap(), None);
            let names: Vec<String> = tar::Archive::new(tar.as_slice())
                .entries()
                .unwrap()
                .map(|entry| entry.unwrap().path().unwrap().display().to_string())
                .collect();
            assert_eq!(names[..2], ["a/".to_owned(), "a/b/".into()]);
            assert!(names.contains(&format!("a/b/{}", "n".repeat(200))) && names.iter().is_sorted());
        });
    }

    #[test]
    fn changes_are_whiteouts() {
        alone!();
        let scratch = Scratch::new();
        let store = scratch.store.clone();
        let root = scratch.dirs.data.join("tree");
        in_namespaces(move || {
            std::fs::create_dir_all(root.join("hides")).unwrap();
            let device = FileType::CharacterDevice;
            rustix::fs::mknodat(rustix::fs::CWD, root.join("gone"), device, Mode::empty(), 0).unwrap();
            std::fs::hard_link(root.join("gone"), root.join("hides/too")).unwrap();
            rustix::fs::setxattr(root.join("hides"), OPAQUE[0], b"y", rustix::fs::XattrFlags::empty()).unwrap();
            let tar = packed(&root, true);
            let entries = |tar: &[u8]| -> Vec<String> {
                let mut archive = tar::Archive::new(tar);
                let entries = archive.entries().unwrap();
                entries.map(|entry| String::from_utf8_lossy(&entry.unwrap().path_bytes()).into_owned()).collect()
            };
            assert_eq!(entries(&tar), ["./", ".wh.gone", "hides/", "hides/.wh..wh..opq", "hides/.wh.too"]);
            let diff_id = Digest::of(&tar);
            store.unpack_layer(&diff_id, &mut tar.as_slice()).unwrap();
            assert_eq!(packed(&store.layer_path(&diff_id), true), tar, "and back again");
        });
    }
}
