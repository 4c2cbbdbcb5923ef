//! The copy driver: layers laid over each other in one folder, with shared blocks where the file system can (FICLONE).
//!
//! The same walk lays layers over each other for another map of ids, where a file's content need not be copied at all, see
//! `mapped`.
//!
//! Layers hold what hostile archives said, so nothing is followed: every folder is reached from the roots without links,
//! and every entry by its last name.

use super::overlay::OverlayPlan;
use super::remove::remove_tree_at;
use anyhow::{Context, Result};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Attribute names and values are at most 64 KiB, which is the kernel's limit.
const MAX_XATTR: usize = 1 << 16;
/// A file whose content is elsewhere, for an overlay with `userxattr`.
pub(super) const METACOPY: &str = "user.overlay.metacopy";
/// Where it is, from the root of a data-only layer.
pub(super) const REDIRECT: &str = "user.overlay.redirect";

/// Copy the layers of the plan into `target`, an empty folder: lowest first, with what their whiteouts hide removed.
///
/// The caller is root in its namespace, or the only id there. `upper` and `work` of the plan are not used.
pub fn copy_layers(plan: &OverlayPlan, target: &Path) -> Result<()> {
    lay(&plan.lower, target, &LayOptions { owner: &|uid, gid| (uid, gid), files: None })
}

/// How layers are laid over each other.
pub struct LayOptions<'a> {
    /// The uid and gid that a file of these gets.
    pub owner: &'a dyn Fn(u32, u32) -> (u32, u32),
    /// A folder that gets a link to each file with content, to which the file laid down refers instead of having the
    /// content: for an overlay with that folder as data-only layer.
    pub files: Option<&'a Path>,
}

/// Lay layers, topmost first, over each other in `target`, an empty folder.
///
/// The caller is root in its namespace, or the only id there.
pub fn lay(layers: &[PathBuf], target: &Path, options: &LayOptions<'_>) -> Result<()> {
    let to = open_root(target)?;
    let files = options.files.map(open_root).transpose()?;
    for layer in layers.iter().rev() {
        let from = open_root(layer)?;
        Layer { from: &from, to: &to, links: HashMap::new(), owner: options.owner, files: files.as_ref() }
            .copy()
            .with_context(|| format!("cannot copy layer `{}` to `{}`", layer.display(), target.display()))?;
    }
    Ok(())
}

/// One layer being laid over what is there.
struct Layer<'a> {
    from: &'a OwnedFd,
    to: &'a OwnedFd,
    /// Where files with several links went, by inode.
    links: HashMap<u64, Vec<u8>>,
    /// See [`LayOptions`].
    owner: &'a dyn Fn(u32, u32) -> (u32, u32),
    files: Option<&'a OwnedFd>,
}

impl Layer<'_> {
    fn copy(mut self) -> Result<()> {
        let mut pending: Vec<Vec<u8>> = vec![Vec::new()];
        let mut done = Vec::new();
        while let Some(path) = pending.pop() {
            let from = beneath(self.from, &path)?;
            let to = beneath(self.to, &path)?;
            self.copy_folder(&from, &to, &path, &mut pending)
                .with_context(|| format!("cannot copy folder `{}`", path.escape_ascii()))?;
            done.push(path);
        }
        // When all is in them: what goes into a folder changes its times, and it may not be open to us after this.
        for path in done.into_iter().rev() {
            let (from, to) = (beneath(self.from, &path)?, beneath(self.to, &path)?);
            copy_attributes(from.as_fd(), to.as_fd(), &self.owned(rustix::fs::fstat(&from)?))?;
        }
        Ok(())
    }

    fn copy_folder(&mut self, from: &OwnedFd, to: &OwnedFd, path: &[u8], pending: &mut Vec<Vec<u8>>) -> Result<()> {
        let mut buffer = Vec::with_capacity(1 << 15);
        let mut entries = RawDir::new(from, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let stat = self.owned(rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?);
            let path = join(path, name);
            let copied = match FileType::from_raw_mode(stat.st_mode) {
                FileType::CharacterDevice if stat.st_rdev == 0 => remove(to, name),
                FileType::Directory => make_folder(from, to, name).map(|()| pending.push(path.clone())),
                FileType::RegularFile => self.copy_file(from, to, name, &path, &stat),
                FileType::Symlink => copy_link(from, to, name, &stat),
                kind => copy_node(to, name, kind, &stat),
            };
            copied.with_context(|| format!("cannot copy `{}`", path.escape_ascii()))?;
        }
        Ok(())
    }

    /// With the owner that it gets.
    fn owned(&self, mut stat: Stat) -> Stat {
        (stat.st_uid, stat.st_gid) = (self.owner)(stat.st_uid, stat.st_gid);
        stat
    }

    fn copy_file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &[u8], path: &[u8], stat: &Stat) -> Result<()> {
        remove(to, name)?;
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&stat.st_ino) {
                let slash = first.iter().rposition(|byte| *byte == b'/');
                let (parent, first_name) = first.split_at(slash.map_or(0, |slash| slash + 1));
                let folder = beneath(self.to, parent)?;
                return Ok(rustix::fs::linkat(&folder, first_name, to, name, AtFlags::empty())?);
            }
            self.links.insert(stat.st_ino, path.to_vec());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
        let size = stat.st_size as u64;
        let is_referred = match self.files {
            Some(files) if size > 0 => refer(from, name, files, &target, stat)?,
            _ => false,
        };
        if !is_referred && size > 0 && rustix::fs::ioctl_ficlone(&target, &source).is_err() {
            copy_content(source.as_fd(), target.as_fd(), size)?;
        }
        copy_attributes(source.as_fd(), target.as_fd(), stat)
    }
}

/// Let an empty file refer to the content of a layer's, as overlayfs understands it (Documentation/filesystems/
/// overlayfs.rst, "Data-only lower layers"). Returns whether that is possible.
///
/// The link's name is the inode's number, in two parts: it is the same for all who refer to it, it cannot come to mean
/// another file while it is there, and it is short: ext4 has room for it in the inode itself.
fn refer(from: &OwnedFd, name: &[u8], files: &OwnedFd, target: &OwnedFd, stat: &Stat) -> Result<bool> {
    let (folder, rest) = (format!("{:02x}", stat.st_ino & 0xff), format!("{:x}", stat.st_ino >> 8));
    let link = format!("{folder}/{rest}");
    let make = || rustix::fs::linkat(from, name, files, &link, AtFlags::empty());
    let mut made = make();
    if made == Err(Errno::NOENT) {
        let _ = rustix::fs::mkdirat(files, &folder, Mode::RWXU);
        made = make();
    }
    match made {
        Ok(()) | Err(Errno::EXIST) => {}
        // Another file system, too many links, or a file that is not ours: a copy, then.
        Err(_) => return Ok(false),
    }
    rustix::fs::ftruncate(target, stat.st_size as u64)?;
    rustix::fs::fsetxattr(target, METACOPY, b"", XattrFlags::empty())?;
    rustix::fs::fsetxattr(target, REDIRECT, format!("/{link}").as_bytes(), XattrFlags::empty())?;
    Ok(true)
}

/// Copy what is not a hole.
fn copy_content(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> Result<()> {
    rustix::fs::ftruncate(to, size)?;
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => return Ok(()),
            Err(Errno::INVAL) => at,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        copy_range(from, to, start, end)?;
        at = end.max(start + 1);
    }
    Ok(())
}

fn copy_range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, start: u64, end: u64) -> Result<()> {
    let (mut input, mut output) = (start, start);
    while input < end {
        let left = (end - input) as usize;
        match rustix::fs::copy_file_range(from, Some(&mut input), to, Some(&mut output), left) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            // Between file systems, or one that cannot.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return copy_through_memory(from, to, input, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_through_memory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, mut at: u64, end: u64) -> Result<()> {
    let mut buffer = vec![0; 1 << 18];
    while at < end {
        let read = rustix::io::pread(from, &mut buffer, at)?.min((end - at) as usize);
        if read == 0 {
            return Ok(());
        }
        let mut rest = buffer.get(..read).unwrap_or_default();
        while !rest.is_empty() {
            let written = rustix::io::pwrite(to, rest, at)?;
            rest = rest.get(written..).unwrap_or_default();
            at += written as u64;
        }
    }
    Ok(())
}

/// Make a folder, or go on with the one that is there, unless the layer's hides it.
fn make_folder(from: &OwnedFd, to: &OwnedFd, name: &[u8]) -> Result<()> {
    let folder = beneath(from, name)?;
    let mut opaque = [0; 1];
    let is_opaque = rustix::fs::fgetxattr(&folder, "user.overlay.opaque", &mut opaque) == Ok(1) && opaque == *b"y";
    if !is_opaque && beneath(to, name).is_ok() {
        return Ok(());
    }
    remove(to, name)?;
    Ok(rustix::fs::mkdirat(to, name, Mode::RWXU)?)
}

fn copy_link(from: &OwnedFd, to: &OwnedFd, name: &[u8], stat: &Stat) -> Result<()> {
    remove(to, name)?;
    let target = rustix::fs::readlinkat(from, name, Vec::new())?;
    rustix::fs::symlinkat(target.as_c_str(), to, name)?;
    copy_node_attributes(to, name, stat)
}

fn copy_node(to: &OwnedFd, name: &[u8], kind: FileType, stat: &Stat) -> Result<()> {
    remove(to, name)?;
    match rustix::fs::mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode & 0o777), stat.st_rdev) {
        // Devices that this user may not make are left out, as when the layer was unpacked.
        Err(Errno::PERM) => Ok(()),
        result => {
            result?;
            copy_node_attributes(to, name, stat)?;
            Ok(rustix::fs::chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?)
        }
    }
}

fn copy_node_attributes(to: &OwnedFd, name: &[u8], stat: &Stat) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    may_fail_alone(rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW))?;
    Ok(rustix::fs::utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Owner, mode, attributes and times, in the order in which they do not undo each other.
fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> Result<()> {
    may_fail_alone(rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))))?;
    let mut names = vec![0; MAX_XATTR];
    let length = rustix::fs::flistxattr(from, &mut names).unwrap_or(0);
    let mut value = Vec::new();
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"user.overlay.") || !(name.starts_with(b"user.") || name == b"security.capability") {
            continue;
        }
        value.resize(MAX_XATTR, 0);
        let length = rustix::fs::fgetxattr(from, name, &mut value)?;
        match rustix::fs::fsetxattr(to, name, value.get(..length).unwrap_or_default(), XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    Ok(rustix::fs::futimens(to, &times(stat))?)
}

/// Where only one id is mapped, the layer's files are ours already and the owner is in an attribute.
fn may_fail_alone(result: rustix::io::Result<()>) -> Result<()> {
    match result {
        Err(Errno::PERM | Errno::INVAL) => Ok(()),
        result => Ok(result?),
    }
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as i64 },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as i64 },
    }
}

/// Remove what is there, if anything is.
fn remove(folder: &OwnedFd, name: &[u8]) -> Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => Ok(remove_tree_at(folder.as_fd(), name).map(drop)?),
        Err(error) => Err(error.into()),
    }
}

fn open_root(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).with_context(|| format!("cannot open `{}`", path.display()))
}

/// Open a folder below another, over folders only.
fn beneath(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?)
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn upper_layers_hide_lower_ones() {
        let scratch = Scratch::new();
        let root = scratch.dirs.data.join("copy");
        let (low, high, to) = (root.join("low"), root.join("high"), root.join("to"));
        for folder in ["low/a", "low/opaque", "low/folder", "high/a", "high/opaque", "high/was-link", "to", "canary"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in
            ["low/a/kept", "low/a/hidden", "low/opaque/hidden", "low/folder/x", "high/opaque/new", "high/folder"]
        {
            std::fs::write(root.join(file), file).unwrap();
        }
        symlink("../canary", low.join("was-link")).unwrap();
        std::fs::write(high.join("was-link/file"), b"x").unwrap();
        std::fs::hard_link(low.join("a/kept"), low.join("link")).unwrap();
        std::fs::set_permissions(low.join("a"), std::fs::Permissions::from_mode(0o1750)).unwrap();
        std::fs::set_permissions(high.join("a"), std::fs::Permissions::from_mode(0o1700)).unwrap();
        let holes = std::fs::File::create(high.join("holes")).unwrap();
        holes.set_len(10 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&holes, b"data", 5 << 20).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, high.join("a/hidden"), FileType::CharacterDevice, Mode::empty(), 0)
            .unwrap();
        rustix::fs::setxattr(high.join("opaque"), "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
        let plan = OverlayPlan { lower: vec![high, low], ..OverlayPlan::default() };
        copy_layers(&plan, &to).unwrap();
        assert_eq!(std::fs::read(to.join("a/kept")).unwrap(), b"low/a/kept");
        assert_eq!(std::fs::metadata(to.join("link")).unwrap().nlink(), 2);
        assert!(!to.join("a/hidden").exists() && !to.join("opaque/hidden").exists() && to.join("opaque/new").exists());
        assert!(to.join("folder").is_file() && to.join("was-link/file").is_file());
        assert_eq!(std::fs::metadata(to.join("a")).unwrap().mode() & 0o7777, 0o1700);
        let holes = std::fs::metadata(to.join("holes")).unwrap();
        assert!(holes.len() == 10 << 20 && holes.blocks() * 512 < 5 << 20);
        assert_eq!(std::fs::read_dir(root.join("canary")).unwrap().count(), 0);
    }
}
