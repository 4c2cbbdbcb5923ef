//! A file or folder of a side as a tar stream, read by descriptors: no link is followed, whatever others do meanwhile.

use crate::store::{PackOptions, pack_entry, pack_folder};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::BufWriter;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Write what is at `path` below the root, under `name`; with `contents` only what is in it.
pub fn pack(root: &Root, path: &Path, name: &str, contents: bool, to: File) -> Result<()> {
    let options =
        PackOptions { owner: &|uid, gid| (uid, gid), skip: &|_| false, top: false, whiteouts: false, deleted: &[] };
    let mut out = BufWriter::with_capacity(256 << 10, to);
    let folder = |path: &Path, flags| root.open_at(path, flags | OFlags::DIRECTORY, Mode::empty());
    let mut packed = || -> Result<()> {
        if contents {
            return pack_folder(folder(path, OFlags::RDONLY)?, &options, &mut out);
        }
        let parent = folder(path.parent().unwrap_or(Path::new("/")), OFlags::PATH)?;
        let last = path.file_name().ok_or(Errno::INVAL)?;
        pack_entry(&parent, last.as_bytes(), name.as_bytes(), &options, &mut out)
    };
    let deed = || format!("cannot copy `{}`", path.display());
    packed().with_context(deed)
}
