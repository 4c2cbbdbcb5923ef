//! The marks that fuse-overlayfs leaves among a container's changes become those of the kernel's overlay, which layers
//! have. It hides what is below a folder by a file, an attribute or both, also where nothing is below
//! (<https://github.com/containers/fuse-overlayfs>, `main.c`: `set_fd_opaque`, `create_whiteout`).

use super::tree::Tree;
use crate::store::{is_opaque, names_in};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A file that hides what layers below have in its folder.
const HIDES: &[u8] = b".wh..wh..opq";
/// What is left of such a file that was removed.
const HIDDEN: &[u8] = b".wh..opq";
/// What the names of files begin with that hide one name.
const WHITEOUT: &[u8] = b".wh.";
/// The kernel's attribute for a folder that hides what is below, and fuse-overlayfs's own.
const ATTRIBUTES: [&str; 2] = ["user.overlay.opaque", "user.fuseoverlayfs.opaque"];

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Translate all marks in the folder `upper` of changes above `base`.
pub fn translate(upper: &Path, base: &Tree) -> Result<()> {
    let deed = || format!("cannot look through `{}`", upper.display());
    let top = rustix::fs::openat(CWD, upper, FOLDER, Mode::empty()).with_context(deed)?;
    walk(&top, Path::new("/"), base).with_context(deed)
}

fn walk(folder: &OwnedFd, path: &Path, base: &Tree) -> Result<()> {
    let mut hides = is_opaque(folder);
    for name in names_in(folder)? {
        let name = name.as_slice();
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match name.strip_prefix(WHITEOUT) {
            Some(hidden) => {
                rustix::fs::unlinkat(folder, name, AtFlags::empty())?;
                hides |= name == HIDES;
                if name != HIDES && name != HIDDEN {
                    rustix::fs::mknodat(folder, hidden, FileType::CharacterDevice, Mode::empty(), 0)?;
                }
            }
            None if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let below = rustix::fs::openat(folder, name, FOLDER, Mode::empty())?;
                walk(&below, &path.join(OsStr::from_bytes(name)), base)?;
            }
            None => {}
        }
    }
    for name in ATTRIBUTES {
        match rustix::fs::fremovexattr(folder, name) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Where nothing is below there is nothing to hide.
    if hides && base.root.open_at(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).is_ok() {
        rustix::fs::fsetxattr(folder, ATTRIBUTES[0], b"y", XattrFlags::empty())?;
    }
    Ok(())
}
