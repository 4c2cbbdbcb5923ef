//! OCI layouts of other people, read with suspicion: every part of the way is a real folder or a real file.
//!
//! A layout from outside may have `blobs`, `index.json` or a blob as a link to what it wants us to read, or as a FIFO
//! that never answers. No link is followed below the layout's folder, and opening waits for nothing.

use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::error::{Kind, fault};
use crate::base::fs::read_file_limited;
use anyhow::{Context, Result};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Documents of a layout are at most 4 MiB, as registries have it.
const MAX_DOCUMENT: u64 = 4 << 20;

/// An OCI layout that somebody else wrote. Only read.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    folder: OwnedFd,
    form: Form,
}

/// How the files of a layout are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As the image specification has it.
    Oci,
    /// As `dir:` has it: one image, its blobs named by their digits.
    Folder,
}

impl Layout {
    /// Open the layout in this folder. The way to the folder itself may have links: the user typed it.
    pub fn open(path: &Path) -> Result<Self> {
        let layout = Self::at(path, Form::Oci)?;
        let marker = layout.read("oci-layout", MAX_DOCUMENT)?;
        let version = serde_json::from_slice::<serde_json::Value>(&marker).ok();
        let version = version.as_ref().and_then(|marker| marker.get("imageLayoutVersion")?.as_str());
        if version != Some("1.0.0") {
            return Err(fault(Kind::BadData, format!("`{}` is not an OCI layout of version 1.0.0", path.display())));
        }
        Ok(layout)
    }

    /// Open the folder of a `dir:` image.
    /// <https://github.com/containers/image/blob/main/docs/containers-transports.5.md>
    pub fn open_folder(path: &Path) -> Result<Self> {
        Self::at(path, Form::Folder)
    }

    fn at(path: &Path, form: Form) -> Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())
            .with_context(|| format!("cannot open `{}`", path.display()))?;
        Ok(Self { path: path.to_path_buf(), folder, form })
    }

    /// The raw bytes of the manifest of a `dir:` image.
    pub fn folder_manifest(&self) -> Result<Vec<u8>> {
        self.read("manifest.json", MAX_DOCUMENT)
    }

    /// The raw bytes of `index.json`.
    pub fn index(&self) -> Result<Vec<u8>> {
        self.read("index.json", MAX_DOCUMENT)
    }

    /// Open a blob.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let algorithm = match digest.algorithm() {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        };
        match self.form {
            Form::Oci => self.open_file(&format!("blobs/{algorithm}/{}", digest.digits())),
            // The manifests of an index have a name of their own.
            Form::Folder => self
                .open_file(digest.digits())
                .or_else(|error| self.open_file(&format!("{}.manifest.json", digest.digits())).map_err(|_| error)),
        }
    }

    /// The bytes of a document of at most `limit` bytes, verified against its digest.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let bytes = read_file_limited(self.open_blob(digest)?, limit)
            .with_context(|| format!("cannot read blob `{digest}` of `{}`", self.path.display()))?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        if hasher.finish() == *digest {
            return Ok(bytes);
        }
        Err(fault(Kind::BadData, format!("blob `{digest}` of `{}` has another content", self.path.display())))
    }

    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let deed = || format!("cannot read `{}`", self.path.join(name).display());
        read_file_limited(self.open_file(name)?, limit).with_context(deed)
    }

    fn open_file(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let path = self.path.join(name);
        // Looked at before it is opened for reading, so that opening has no effect on a device or FIFO.
        let found = rustix::fs::openat2(&self.folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
            .with_context(|| format!("cannot open `{}`", path.display()))?;
        if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::RegularFile {
            return Err(fault(Kind::BadData, format!("`{}` is not a regular file", path.display())));
        }
        rustix::fs::openat2(&self.folder, name, flags, Mode::empty(), resolve)
            .map(File::from)
            .with_context(|| format!("cannot open `{}`", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_fifos_are_refused() {
        let scratch = Scratch::new();
        let digest = scratch.store.put_blob(b"{}").unwrap();
        let real = scratch.dirs.oci();
        let blob = format!("blobs/sha256/{}", digest.digits());
        for part in ["oci-layout", "index.json", "blobs", "blobs/sha256", &blob] {
            for fifo in [false, true] {
                let copy = scratch.dirs.data.join("copy");
                std::fs::create_dir_all(copy.join("blobs/sha256")).unwrap();
                for file in ["oci-layout", "index.json", &blob] {
                    std::fs::copy(real.join(file), copy.join(file)).unwrap();
                }
                let whole = Layout::open(&copy).unwrap();
                assert_eq!((whole.index().unwrap().is_empty(), whole.read_blob(&digest, 2).unwrap().len()), (false, 2));
                let place = copy.join(part);
                if place.is_dir() {
                    std::fs::remove_dir_all(&place).unwrap();
                } else {
                    std::fs::remove_file(&place).unwrap();
                }
                if fifo {
                    rustix::fs::mknodat(rustix::fs::CWD, &place, FileType::Fifo, 0o600.into(), 0).unwrap();
                } else {
                    symlink(real.join(part), &place).unwrap();
                }
                let read = || -> Result<()> {
                    let layout = Layout::open(&copy)?;
                    layout.index()?;
                    layout.read_blob(&digest, 2).map(drop)
                };
                assert!(read().is_err(), "{part} {fifo}");
                crate::base::fs::remove_tree(&copy).unwrap();
            }
        }
    }
}
