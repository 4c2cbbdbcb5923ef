//! Trees as tar archives: the changes of a container as a layer, or a whole root file system.
//!
//! In the form that other programs write layers in: sorted names, whole seconds, pax headers where a name or an
//! attribute asks for one, whiteouts as `.wh.` files (OCI image specification, layer.md).
//!
//! A container may be at work on the tree meanwhile: every folder is opened below its parent without following links,
//! and a file is written with the size that it had when it was opened.

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use tar::{EntryType, Header};

/// Attribute names and values are at most 64 KiB, which is the kernel's limit.
const MAX_XATTR: usize = 1 << 16;
/// Content is copied in pieces of this size.
const PIECE: usize = 256 << 10;
/// A tar archive is a number of blocks of this size.
const BLOCK: usize = 512;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Attributes by which overlays mark a folder that hides what lies below it.
pub(super) const OPAQUE: [&str; 2] = ["user.overlay.opaque", "user.fuseoverlayfs.opaque"];

/// What to pack of a tree and how.
pub struct PackOptions<'a> {
    /// The owner inside the container of a file with this uid and gid.
    pub owner: &'a dyn Fn(u32, u32) -> (u32, u32),
    /// Paths, without a slash in front, that are left out with all below them.
    pub skip: &'a dyn Fn(&[u8]) -> bool,
    /// Whether devices 0:0 and marks of overlay are whiteouts.
    pub whiteouts: bool,
    /// Paths, without a slash in front, for which whiteouts are added.
    pub deleted: &'a [Vec<u8>],
}

/// Write all below `root` as a tar archive, to its end.
///
/// The caller is root in its namespace. Errors: an I/O error of either side.
pub fn pack(root: &Path, options: &PackOptions<'_>, out: &mut dyn Write) -> Result<()> {
    let top =
        rustix::fs::open(root, FOLDER, Mode::empty()).with_context(|| format!("cannot open `{}`", root.display()))?;
    let mut packer = Packer { options, out, linked: HashMap::new(), piece: vec![0; PIECE] };
    if options.whiteouts {
        let stat = rustix::fs::fstat(&top)?;
        packer.folder(&top, b"./", &stat)?;
    }
    let mut levels = vec![Level { names: names(&top)?, folder: top, path: Vec::new() }];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.pop() else {
            levels.pop();
            continue;
        };
        let path = [level.path.as_slice(), &name].concat();
        if (options.skip)(&path) {
            continue;
        }
        let next = packer.entry(&level.folder, &name, &path);
        if let Some(folder) = next.with_context(|| format!("cannot pack `{}`", path.escape_ascii()))? {
            let path = [&path, b"/".as_slice()].concat();
            levels.push(Level { names: names(&folder)?, folder, path });
        }
    }
    for path in options.deleted {
        packer.whiteout(path)?;
    }
    packer.out.write_all(&[0; 2 * BLOCK])?;
    Ok(packer.out.flush()?)
}

/// A folder on the way down.
struct Level {
    folder: OwnedFd,
    /// What is left of it, the first one last.
    names: Vec<Vec<u8>>,
    /// With a slash behind it; empty for the top.
    path: Vec<u8>,
}

fn names(folder: &OwnedFd) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            found.push(name);
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}

/// A record of a pax header: its key and its value.
type Record = (String, Vec<u8>);

struct Packer<'a> {
    options: &'a PackOptions<'a>,
    out: &'a mut dyn Write,
    /// Where files with several names went, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
    piece: Vec<u8>,
}

impl Packer<'_> {
    /// Write an entry; a folder comes back, to go down into.
    fn entry(&mut self, parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Gone since the folder was read.
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            stat => stat?,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino)).cloned() {
                self.header(path, &stat, EntryType::Link, &first, 0, Vec::new())?;
                return Ok(None);
            }
            self.linked.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
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
                self.header(path, &stat, EntryType::Symlink, target.to_bytes(), 0, Vec::new())?;
            }
            FileType::CharacterDevice if self.options.whiteouts && stat.st_rdev == 0 => self.whiteout(path)?,
            FileType::CharacterDevice => self.header(path, &stat, EntryType::Char, b"", 0, Vec::new())?,
            FileType::BlockDevice => self.header(path, &stat, EntryType::Block, b"", 0, Vec::new())?,
            FileType::Fifo => self.header(path, &stat, EntryType::Fifo, b"", 0, Vec::new())?,
            // A socket means something to the process that made it only, and tar has no word for it.
            FileType::Socket | FileType::Unknown => {}
        }
        Ok(None)
    }

    fn folder(&mut self, folder: &OwnedFd, path: &[u8], stat: &Stat) -> Result<()> {
        let (attributes, marks) = attributes(folder)?;
        self.header(path, &marks.owned(stat), EntryType::Directory, b"", 0, attributes)?;
        if self.options.whiteouts && marks.opaque {
            let mut hider = *stat;
            hider.st_mode = 0o600;
            self.header(&[path, b".wh..wh..opq"].concat(), &hider, EntryType::Regular, b"", 0, Vec::new())?;
        }
        Ok(())
    }

    fn file(&mut self, file: OwnedFd, path: &[u8], stat: &Stat) -> Result<()> {
        let (attributes, marks) = attributes(&file)?;
        let size = stat.st_size as u64;
        self.header(path, &marks.owned(stat), EntryType::Regular, b"", size, attributes)?;
        let mut file = File::from(file).take(size);
        let mut left = size;
        while left > 0 {
            let room = self.piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let room = self.piece.get_mut(..room).unwrap_or_default();
            let count = file.read(room)?;
            if count == 0 {
                // It has become shorter meanwhile: zeros stand for what is gone.
                room.fill(0);
                self.out.write_all(room)?;
                left -= room.len() as u64;
                continue;
            }
            self.out.write_all(room.get(..count).unwrap_or_default())?;
            left -= count as u64;
        }
        let padding = (size as usize).next_multiple_of(BLOCK) - size as usize;
        Ok(self.out.write_all([0; BLOCK].get(..padding).unwrap_or_default())?)
    }

    /// `.wh.NAME` beside where NAME was.
    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        let slash = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = path.split_at(slash);
        let mut header = Header::new_ustar();
        header.set_mode(0o600);
        self.write(&[parent, b".wh.", name].concat(), b"", header, EntryType::Regular, 0, Vec::new())
    }

    fn header(
        &mut self,
        path: &[u8],
        stat: &Stat,
        kind: EntryType,
        link: &[u8],
        size: u64,
        attributes: Vec<Record>,
    ) -> Result<()> {
        let (uid, gid) = (self.options.owner)(stat.st_uid, stat.st_gid);
        let mut header = Header::new_ustar();
        header.set_mode(stat.st_mode & 0o7777);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(rustix::fs::major(stat.st_rdev))?;
            header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
        }
        self.write(path, link, header, kind, size, attributes)
    }

    fn write(
        &mut self,
        path: &[u8],
        link: &[u8],
        mut header: Header,
        kind: EntryType,
        size: u64,
        mut records: Vec<Record>,
    ) -> Result<()> {
        header.set_entry_type(kind);
        header.set_size(size);
        if let Err(short) = field(&mut header, 0, 100, path) {
            records.push(("path".into(), path.to_vec()));
            let _ = field(&mut header, 0, 100, &short);
        }
        if let Err(short) = field(&mut header, 157, 100, link) {
            records.push(("linkpath".into(), link.to_vec()));
            let _ = field(&mut header, 157, 100, &short);
        }
        if !records.is_empty() {
            self.extension(&records)?;
        }
        header.set_cksum();
        Ok(self.out.write_all(header.as_bytes())?)
    }

    /// A pax header for the entry that follows.
    fn extension(&mut self, records: &[Record]) -> Result<()> {
        let mut body = Vec::new();
        for (key, value) in records {
            // The length counts its own digits, too.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_size(body.len() as u64);
        let _ = field(&mut header, 0, 100, b"PaxHeaders/entry");
        header.set_cksum();
        body.resize(body.len().next_multiple_of(BLOCK), 0);
        self.out.write_all(header.as_bytes())?;
        Ok(self.out.write_all(&body)?)
    }
}

/// Put a text into a field of a header; an error with the part that fits if it is too long.
fn field(header: &mut Header, at: usize, length: usize, text: &[u8]) -> std::result::Result<(), Vec<u8>> {
    match header.as_mut_bytes().get_mut(at..at + text.len()).filter(|_| text.len() <= length) {
        Some(place) => {
            place.copy_from_slice(text);
            Ok(())
        }
        None => Err(text.get(..length).unwrap_or(text).to_vec()),
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

/// The extended attributes that belong into an archive, as pax records, and those that mean something here.
fn attributes(file: &OwnedFd) -> Result<(Vec<Record>, Marks)> {
    let (mut records, mut marks) = (Vec::new(), Marks::default());
    let mut names = vec![0; MAX_XATTR];
    // A file system without them has none.
    let length = rustix::fs::flistxattr(file.as_fd(), &mut names).unwrap_or(0);
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;
    use crate::store::tests::{Scratch, in_namespaces};
    use std::os::unix::fs::symlink;

    fn packed(root: &Path, whiteouts: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let options =
            PackOptions { owner: &|uid, gid| (uid, gid), skip: &|path| path == b"skipped", whiteouts, deleted: &[] };
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
            rustix::fs::setxattr(root.join("hides"), OPAQUE[0], b"y", rustix::fs::XattrFlags::empty()).unwrap();
            let tar = packed(&root, true);
            let entries = |tar: &[u8]| -> Vec<String> {
                let mut archive = tar::Archive::new(tar);
                let entries = archive.entries().unwrap();
                entries.map(|entry| String::from_utf8_lossy(&entry.unwrap().path_bytes()).into_owned()).collect()
            };
            assert_eq!(entries(&tar), ["./", ".wh.gone", "hides/", "hides/.wh..wh..opq"]);
            let diff_id = Digest::of(&tar);
            store.unpack_layer(&diff_id, &mut tar.as_slice()).unwrap();
            assert_eq!(packed(&store.layer_path(&diff_id), true), tar, "and back again");
        });
    }
}
