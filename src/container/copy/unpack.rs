//! A tar stream into a folder, by descriptors. Below that folder no link is followed: a stream that makes one and then
//! goes through it, or somebody who swaps a folder for one meanwhile, gets an error.

use crate::base::error::{Kind, fault};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// Whose the files are that arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Ours.
    Ours,
    /// Ours, and what only root may make is left out.
    OursWithoutDevices,
    /// This user's and group's.
    This(u32, u32),
    /// Whose they were.
    AsItWas,
}

/// Read a tar stream into the folder `path` below the root.
pub fn unpack(root: &Root, path: &Path, from: File, owner: Owner, overwrite: bool) -> Result<()> {
    let folder = root
        .open_at(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
        .with_context(|| format!("cannot copy to `{}`", path.display()))?;
    read(Unpacker { folder, owner, overwrite, whole: false, folders: Vec::new() }, from)
}

/// Read a tar stream into a folder that becomes what the stream says: its own entry and extended attributes count, and
/// what is in the way gives way.
pub fn restore(folder: OwnedFd, from: impl Read) -> Result<()> {
    read(Unpacker { folder, owner: Owner::AsItWas, overwrite: true, whole: true, folders: Vec::new() }, from)
}

/// Read a tar stream into a folder, as files of ours: what is in the way gives way, and devices are left out.
pub fn extract(folder: OwnedFd, from: impl Read) -> Result<()> {
    let owner = Owner::OursWithoutDevices;
    read(Unpacker { folder, owner, overwrite: true, whole: false, folders: Vec::new() }, from)
}

fn read(mut unpacker: Unpacker, from: impl Read) -> Result<()> {
    let mut archive = Archive::new(BufReader::with_capacity(1 << 16, from));
    let mut any = false;
    for entry in archive.entries().context("cannot read the tar stream")? {
        any = true;
        let mut entry = entry.context("cannot read the tar stream")?;
        let name = entry.path().context("cannot read the tar stream")?.into_owned();
        unpacker.place(&mut entry, &name).with_context(|| format!("cannot copy `{}`", name.display()))?;
    }
    if unpacker.whole && !any {
        return Err(fault(Kind::BadData, "there is no archive: the stream is empty"));
    }
    // Whoever writes the stream must not be stopped by a full pipe after its end.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).context("cannot read the tar stream")?;
    unpacker.finish()
}

struct Unpacker {
    folder: OwnedFd,
    owner: Owner,
    overwrite: bool,
    /// Also what the stream says of the folder itself.
    whole: bool,
    /// Folders that get their mode and time when all is in them.
    folders: Vec<(PathBuf, u32, u64)>,
}

impl Unpacker {
    fn place<R: Read>(&mut self, entry: &mut Entry<'_, R>, name: &Path) -> Result<()> {
        let path = clean(name)?;
        let header = entry.header().clone();
        let (mode, mtime) = (header.mode()? & 0o7777, header.mtime().unwrap_or(0));
        let kind = header.entry_type();
        let attributes = attributes(entry)?;
        let Some((parent, last)) = path.parent().zip(path.file_name()) else {
            // The folder that is copied to is what it is.
            return if self.whole && kind == EntryType::Directory { self.top(&header, &attributes) } else { Ok(()) };
        };
        let parent = self.parent(parent)?;
        match kind {
            EntryType::Directory => {
                self.make_folder(&parent, last)?;
                self.give(&parent, last, &header)?;
                if !attributes.is_empty() {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    set_attributes(&rustix::fs::openat(&parent, last, flags, Mode::empty())?, &attributes)?;
                }
                self.folders.push((path, mode, mtime));
                return Ok(());
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let file = self.make_file(&parent, last)?;
                let mut file = File::from(file);
                std::io::copy(entry, &mut file)?;
                let (uid, gid) = self.owner_of(&header)?;
                rustix::fs::fchown(&file, uid, gid)?;
                // After the owner, whose change takes set-id bits and capabilities away.
                set_attributes(&file, &attributes)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
                rustix::fs::futimens(&file, &times(mtime))?;
                return Ok(());
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.context("the link leads nowhere")?.into_owned();
                self.make_room(&parent, last)?;
                rustix::fs::symlinkat(target.as_path(), &parent, last)?;
            }
            EntryType::Link => {
                let target = clean(&entry.link_name()?.context("the link leads nowhere")?)?;
                let (folder, file) = target.parent().zip(target.file_name()).context("the link leads nowhere")?;
                let folder = self.parent(folder)?;
                self.make_room(&parent, last)?;
                rustix::fs::linkat(&folder, file, &parent, last, AtFlags::empty())?;
                return Ok(());
            }
            EntryType::Char | EntryType::Block if self.owner == Owner::OursWithoutDevices => return Ok(()),
            EntryType::Fifo | EntryType::Char | EntryType::Block => {
                self.make_room(&parent, last)?;
                self.make_node(&parent, last, kind, &header)?;
                rustix::fs::chmodat(&parent, last, Mode::from_raw_mode(mode), AtFlags::empty())?;
            }
            // Extended headers of the whole archive say nothing that is needed.
            _ => return Ok(()),
        }
        self.give(&parent, last, &header)?;
        rustix::fs::utimensat(&parent, last, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    /// The folder itself.
    fn top(&self, header: &tar::Header, attributes: &[Attribute]) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.folder, ".", flags, Mode::empty())?;
        let (uid, gid) = self.owner_of(header)?;
        rustix::fs::fchown(&folder, uid, gid)?;
        set_attributes(&folder, attributes)?;
        Ok(rustix::fs::fchmod(&folder, Mode::from_raw_mode(header.mode()? & 0o7777))?)
    }

    /// The folder at a path below ours, without any link on the way, made where it is missing.
    fn parent(&self, path: &Path) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let open = |path: &Path| {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            loop {
                match rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), resolve) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    result => return result,
                }
            }
        };
        match open(path) {
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP) => {
                return Err(fault(Kind::BadData, format!("`{}` leads through a link", path.display())));
            }
            result => return Ok(result?),
        }
        let mut done = PathBuf::new();
        let mut current = open(&done)?;
        for part in path.iter() {
            done.push(part);
            match rustix::fs::mkdirat(&current, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            current = open(&done)?;
        }
        Ok(current)
    }

    fn make_folder(&self, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) => {}
            result => return Ok(result?),
        }
        if kind_of(parent, name)? == Some(FileType::Directory) {
            return Ok(());
        }
        if !self.overwrite {
            return Err(fault(Kind::Usage, "a folder cannot take the place of a file without --overwrite"));
        }
        rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
        Ok(rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?)
    }

    /// A new file; or the old one, emptied, where it is mounted and so cannot be replaced.
    fn make_file(&self, parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        match self.make_room(parent, name) {
            Err(error) if error.downcast_ref::<Errno>() == Some(&Errno::BUSY) => {
                Ok(rustix::fs::openat(parent, name, flags | OFlags::TRUNC, Mode::empty())?)
            }
            Err(error) => Err(error),
            Ok(()) => {
                let mode = Mode::from_raw_mode(0o600);
                Ok(rustix::fs::openat(parent, name, flags | OFlags::CREATE | OFlags::EXCL, mode)?)
            }
        }
    }

    /// Take away what is in the way, if that is allowed.
    fn make_room(&self, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) if kind_of(parent, name)? == Some(FileType::Directory) => {
                if !self.overwrite {
                    return Err(fault(Kind::Usage, "a file cannot take the place of a folder without --overwrite"));
                }
                crate::store::remove_tree_at(parent.as_fd(), name.as_bytes()).map(drop).map_err(Into::into)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn make_node(&self, parent: &OwnedFd, name: &OsStr, kind: EntryType, header: &tar::Header) -> Result<()> {
        let device = || -> Result<u64> {
            Ok(rustix::fs::makedev(header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)))
        };
        let (kind, device) = match kind {
            EntryType::Char => (FileType::CharacterDevice, device()?),
            EntryType::Block => (FileType::BlockDevice, device()?),
            _ => (FileType::Fifo, 0),
        };
        Ok(rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)?)
    }

    fn owner_of(&self, header: &tar::Header) -> Result<(Option<Uid>, Option<Gid>)> {
        let (uid, gid) = match self.owner {
            Owner::Ours | Owner::OursWithoutDevices => return Ok((None, None)),
            Owner::This(uid, gid) => (uid, gid),
            Owner::AsItWas => (id(header.uid()?)?, id(header.gid()?)?),
        };
        Ok((Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
    }

    fn give(&self, parent: &OwnedFd, name: &OsStr, header: &tar::Header) -> Result<()> {
        let (uid, gid) = self.owner_of(header)?;
        rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).context("cannot give it to its owner")
    }

    /// Give the folders their modes and times, deepest first.
    fn finish(self) -> Result<()> {
        for (path, mode, mtime) in self.folders.iter().rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Some((parent, name)) = path.parent().zip(path.file_name()) else { continue };
            let parent = self.parent(parent)?;
            let folder = rustix::fs::openat(&parent, name, flags, Mode::empty())
                .with_context(|| format!("cannot copy `{}`", path.display()))?;
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(*mode))?;
            rustix::fs::futimens(&folder, &times(*mtime))?;
        }
        Ok(())
    }
}

/// An id of a file's owner: the largest number means none (chown(2)).
fn id(number: u64) -> Result<u32> {
    let id = u32::try_from(number).ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| fault(Kind::BadData, format!("its owner {number} cannot be")))
}

/// The name and value of an extended attribute.
type Attribute = (String, Vec<u8>);

/// The attributes that an archive may bring: those that anybody may set on a file, and file capabilities, which count
/// in the user's namespace only. Never the marks of overlays.
fn attributes<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<Attribute>> {
    let mut found = Vec::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let Some(name) = record.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr.")) else { continue };
        let foreign = ["user.overlay.", "user.fuseoverlayfs."].iter().any(|marks| name.starts_with(marks));
        if !foreign && (name.starts_with("user.") || name == "security.capability") {
            found.push((name.to_owned(), record.value_bytes().to_vec()));
        }
    }
    Ok(found)
}

fn set_attributes(file: impl AsFd, attributes: &[Attribute]) -> Result<()> {
    for (name, value) in attributes {
        match rustix::fs::fsetxattr(&file, name.as_str(), value, rustix::fs::XattrFlags::empty()) {
            // A file system without them cannot keep them.
            Err(Errno::OPNOTSUPP) => Ok(()),
            result => result,
        }
        .with_context(|| format!("cannot set its attribute `{}`", name.escape_debug()))?;
    }
    Ok(())
}

fn kind_of(parent: &OwnedFd, name: &OsStr) -> Result<Option<FileType>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn times(mtime: u64) -> Timestamps {
    let at = Timespec { tv_sec: i64::try_from(mtime).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: at, last_modification: at }
}

/// A path without `.` and a leading slash. Errors: `..`, which no archive of ours has.
fn clean(name: &Path) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(fault(Kind::BadData, format!("`{}` holds `..`", name.display())));
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below() {
        assert_eq!(clean(Path::new("/a/./b")).unwrap(), Path::new("a/b"));
        assert_eq!(clean(Path::new("./")).unwrap(), Path::new(""));
        assert!(clean(Path::new("a/../b")).is_err());
    }
}
