//! A file or folder as a tar stream, read by descriptors: no link is followed, whatever others do meanwhile.

use crate::base::error::{Kind, fault};
use crate::store::records_of;
use crate::sys::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// Folders in folders, at most.
const MAX_DEPTH: usize = 256;

/// Write what is at `path` below the root, under `name`; with `contents` only what is in it.
pub fn pack(root: &Root, path: &Path, name: &str, contents: bool, to: File) -> Result<()> {
    let mut packer = Packer { builder: Builder::new(BufWriter::with_capacity(1 << 16, to)), seen: HashMap::new() };
    let deed = || format!("cannot copy `{}`", path.display());
    if contents {
        let folder = root.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).with_context(deed)?;
        packer.folder(&folder, Path::new(""), 0).with_context(deed)?;
    } else {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent = root.open_at(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).with_context(deed)?;
        let last = path.file_name().ok_or(Errno::INVAL).with_context(deed)?;
        packer.entry(parent.as_fd(), last, Path::new(name), 0).with_context(deed)?;
    }
    let mut out = packer.builder.into_inner().with_context(deed)?;
    out.flush().with_context(deed)
}

struct Packer<W: Write> {
    builder: Builder<W>,
    /// Files with several names, by what they are.
    seen: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<W> {
    fn folder(&mut self, folder: &OwnedFd, name: &Path, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(fault(Kind::BadData, format!("`{}` is too deep", name.display())));
        }
        let mut names: Vec<OsString> = Vec::new();
        for entry in Dir::read_from(folder)? {
            let bytes = entry?.file_name().to_bytes().to_vec();
            if bytes != b"." && bytes != b".." {
                names.push(OsString::from_vec(bytes));
            }
        }
        names.sort();
        names.iter().try_for_each(|child| self.entry(folder.as_fd(), child, &name.join(child), depth))
    }

    /// One entry of a folder. What vanishes meanwhile is left out.
    fn entry(&mut self, folder: BorrowedFd<'_>, child: &OsStr, name: &Path, depth: usize) -> Result<()> {
        let child = CString::new(child.as_bytes())?;
        let stat = match rustix::fs::statat(folder, &child, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) if depth > 0 => return Ok(()),
            stat => stat?,
        };
        let mut header = header(&stat);
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let open = rustix::fs::openat(folder, &child, flags | OFlags::DIRECTORY, Mode::empty())?;
                header.set_entry_type(EntryType::Directory);
                self.attributes(&open)?;
                self.builder.append_data(&mut header, name, std::io::empty())?;
                self.folder(&open, name, depth + 1)
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(folder, &child, Vec::new())?;
                header.set_entry_type(EntryType::Symlink);
                Ok(self.builder.append_link(&mut header, name, OsStr::from_bytes(target.as_bytes()))?)
            }
            FileType::RegularFile => {
                let open = rustix::fs::openat(folder, &child, flags, Mode::empty())?;
                // Somebody may have put something else there.
                let stat = rustix::fs::fstat(&open)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    return Err(fault(Kind::BadData, format!("`{}` is changed meanwhile", name.display())));
                }
                self.file(&stat, open, name)
            }
            FileType::Fifo => self.node(header, EntryType::Fifo, &stat, name),
            FileType::CharacterDevice => self.node(header, EntryType::Char, &stat, name),
            FileType::BlockDevice => self.node(header, EntryType::Block, &stat, name),
            // A socket means nothing elsewhere.
            _ => Ok(()),
        }
    }

    fn file(&mut self, stat: &Stat, open: OwnedFd, name: &Path) -> Result<()> {
        let mut header = header(stat);
        if stat.st_nlink > 1 {
            if let Some(first) = self.seen.get(&(stat.st_dev, stat.st_ino)) {
                header.set_entry_type(EntryType::Link);
                return Ok(self.builder.append_link(&mut header, name, first.clone())?);
            }
            self.seen.insert((stat.st_dev, stat.st_ino), name.to_path_buf());
        }
        self.attributes(&open)?;
        let size = stat.st_size as u64;
        header.set_size(size);
        header.set_entry_type(EntryType::Regular);
        // A file that grows or shrinks meanwhile must not spoil the stream.
        let content = Exactly { file: File::from(open), left: size };
        Ok(self.builder.append_data(&mut header, name, content)?)
    }

    /// The extended attributes of what comes next.
    fn attributes(&mut self, open: &OwnedFd) -> Result<()> {
        let records = records_of(open)?;
        if records.is_empty() {
            return Ok(());
        }
        Ok(self.builder.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), value.as_slice())))?)
    }

    fn node(&mut self, mut header: Header, kind: EntryType, stat: &Stat, name: &Path) -> Result<()> {
        header.set_entry_type(kind);
        header.set_device_major(rustix::fs::major(stat.st_rdev))?;
        header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
        Ok(self.builder.append_data(&mut header, name, std::io::empty())?)
    }
}

fn header(stat: &Stat) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(stat.st_mtime.max(0) as u64);
    header.set_size(0);
    header
}

/// So many bytes of a file; zeros where it has become shorter.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let mut got = self.file.read(&mut buffer[..wanted])?;
        if got == 0 {
            buffer[..wanted].fill(0);
            got = wanted;
        }
        self.left -= got as u64;
        Ok(got)
    }
}
