//! Images as files: OCI layouts, archives of them that `docker load` reads too, folders of one image.
//!
//! Blobs are copied by the kernel, file to file or file to pipe, as they are stored. An archive is written beside its
//! place and renamed, so that a failed one never goes by the name; into a pipe or device it is written as it comes.

use super::outgoing::{Outgoing, Piece, reopened};
use super::{LayerState, Progress};
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::base::fs::{Durability, replace};
use crate::oci::json;
use crate::oci::reference::Reference;
use crate::registry::Payload;
use crate::store::layout::Layout;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The annotation of an index's row that holds a name.
const NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's and docker's annotation for the whole name.
const WHOLE_NAME: &str = "io.containerd.image.name";

/// An image with the names it is to have there.
pub(super) struct Named {
    pub image: Outgoing,
    pub names: Vec<String>,
}

/// A tar archive being written.
pub(super) struct Archive {
    out: File,
    /// What it is renamed from and to; none for a stream.
    names: Option<(PathBuf, PathBuf)>,
    there: HashSet<String>,
}

impl Archive {
    /// An archive in this file, or straight into what is no regular file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let deed = || format!("cannot write `{}`", path.display());
        if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
            let out = File::options().write(true).open(path).with_context(deed)?;
            return Ok(Self::stream(out));
        }
        // A link leads to where the user keeps it; the link stays.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", rustix::process::getpid().as_raw_nonzero()));
        let temporary = path.with_file_name(name);
        let out = File::create(&temporary).with_context(deed)?;
        Ok(Self { out, names: Some((temporary, path)), there: HashSet::new() })
    }

    /// An archive into a stream.
    pub(super) fn stream(out: File) -> Self {
        Self { out, names: None, there: HashSet::new() }
    }

    /// Write an OCI layout of all images; with docker's `manifest.json` beside it if that is wanted.
    pub(super) fn write(mut self, images: &[Named], docker: bool, progress: &dyn Progress) -> Result<()> {
        self.document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        // Readers that make missing folders themselves have been seen to want to give them to root.
        for folder in ["blobs/", "blobs/sha256/"] {
            self.header(folder, 0, tar::EntryType::Directory)?;
        }
        for named in images {
            for piece in named.image.pieces() {
                self.blob(piece, progress)?;
            }
            self.document(&blob_path(&named.image.digest()), &named.image.manifest)?;
        }
        let rows: Vec<Value> = images.iter().flat_map(|named| rows(named, docker)).collect();
        self.document("index.json", &index(rows)?)?;
        if docker {
            self.document("manifest.json", &serde_json::to_vec(&docker_manifest(images))?)?;
        }
        self.out.write_all(&[0; 1024]).context("cannot write the archive")?;
        if let Some((temporary, path)) = self.names.take() {
            std::fs::rename(&temporary, &path).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(())
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        if self.begin(name, bytes.len() as u64)? {
            self.out.write_all(bytes).context("cannot write the archive")?;
            self.pad(bytes.len() as u64)?;
        }
        Ok(())
    }

    fn blob(&mut self, piece: &Piece, progress: &dyn Progress) -> Result<()> {
        if !self.begin(&blob_path(&piece.digest), piece.size)? {
            return Ok(());
        }
        copy(piece, &mut self.out, progress).context("cannot write the archive")?;
        self.pad(piece.size)
    }

    /// The header of a file; false if it is there already.
    fn begin(&mut self, name: &str, size: u64) -> Result<bool> {
        if !self.there.insert(name.to_owned()) {
            return Ok(false);
        }
        self.header(name, size, tar::EntryType::Regular)?;
        Ok(true)
    }

    fn header(&mut self, name: &str, size: u64, kind: tar::EntryType) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(name)?;
        header.set_size(size);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(kind);
        header.set_cksum();
        self.out.write_all(header.as_bytes()).context("cannot write the archive")
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = vec![0; (512 - size % 512) as usize % 512];
        self.out.write_all(&padding).context("cannot write the archive")
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.names {
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Copy a blob's bytes.
fn copy(piece: &Piece, out: &mut File, progress: &dyn Progress) -> Result<()> {
    progress.layer(&piece.digest, Some(piece.size));
    progress.state(&piece.digest, LayerState::Sending);
    let copied = match &piece.payload {
        Payload::File(file) => std::io::copy(&mut reopened(file)?.take(piece.size), out)?,
        Payload::Bytes(bytes) => out.write_all(bytes).map(|()| bytes.len() as u64)?,
    };
    if copied != piece.size {
        return Err(fault(Kind::BadData, format!("blob {} ends after {copied} bytes", piece.digest)));
    }
    progress.state(&piece.digest, LayerState::Done);
    Ok(())
}

/// Add images to a folder with an OCI layout, made if it is not there. A name that is taken goes to the new image.
pub(super) fn write_layout(folder: &Path, images: &[Named], progress: &dyn Progress) -> Result<()> {
    let deed = || format!("cannot write the layout `{}`", folder.display());
    std::fs::create_dir_all(folder.join("blobs/sha256")).with_context(deed)?;
    let mut old = Vec::new();
    if folder.join("oci-layout").exists() {
        let index = json::object(&Layout::open(folder)?.index()?).with_context(deed)?;
        old = index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default();
    } else {
        let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
        std::fs::write(folder.join("oci-layout"), marker).with_context(deed)?;
    }
    for named in images {
        for piece in named.image.pieces() {
            put_file(&folder.join(blob_path(&piece.digest)), piece, progress).with_context(deed)?;
        }
        let path = folder.join(blob_path(&named.image.digest()));
        replace(&path, &named.image.manifest, Durability::Cached)?;
        make_readable(&path)?;
    }
    let new: Vec<Value> = images.iter().flat_map(|named| rows(named, false)).collect();
    let name = |row: &Value| row.get("annotations").and_then(|all| all.get(NAME)).cloned();
    let digest = |row: &Value| row.get("digest").cloned();
    // Gone: who has a name that is given anew, and a nameless row of the same image.
    old.retain(|row| match name(row) {
        Some(taken) => !new.iter().any(|row| name(row).as_ref() == Some(&taken)),
        None => !new.iter().any(|other| digest(other) == digest(row)),
    });
    old.extend(new);
    let path = folder.join("index.json");
    replace(&path, &index(old)?, Durability::Cached)?;
    make_readable(&path)
}

/// Write one image into a folder as `dir:` has it: `manifest.json`, `version`, and blobs named by their digits.
pub(super) fn write_folder(folder: &Path, image: &Outgoing, progress: &dyn Progress) -> Result<()> {
    let deed = || format!("cannot write the image into `{}`", folder.display());
    let is_ours =
        || folder.join("version").exists() || std::fs::read_dir(folder).is_ok_and(|mut all| all.next().is_none());
    if folder.exists() && !is_ours() {
        return Err(fault(Kind::Usage, "the folder holds something else")).with_context(deed);
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).with_context(deed)?;
    for piece in image.pieces() {
        put_file(&folder.join(piece.digest.digits()), piece, progress).with_context(deed)?;
    }
    for (name, bytes) in
        [("manifest.json", image.manifest.as_slice()), ("version", b"Directory Transport Version: 1.1\n")]
    {
        std::fs::write(folder.join(name), bytes).with_context(deed)?;
    }
    Ok(())
}

/// A blob as a file of its own, if it is not there.
fn put_file(path: &Path, piece: &Piece, progress: &dyn Progress) -> Result<()> {
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == piece.size) {
        progress.layer(&piece.digest, Some(piece.size));
        progress.state(&piece.digest, LayerState::AlreadyThere);
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let temporary = path.with_extension(format!("{}.part", rustix::process::getpid().as_raw_nonzero()));
    let result = File::create(&temporary).map_err(Into::into).and_then(|mut out| copy(piece, &mut out, progress));
    let result = result.and_then(|()| Ok(std::fs::rename(&temporary, path)?));
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// Files that are replaced at once are the user's alone; a layout is for others, too.
fn make_readable(path: &Path) -> Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(path, mode).with_context(|| format!("cannot write `{}`", path.display()))
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}", digest.as_str().replacen(':', "/", 1))
}

/// The rows of an index for an image: one a name, or one without.
fn rows(named: &Named, docker: bool) -> Vec<Value> {
    let row = |name: Option<&String>| {
        let mut row = json!({
            "mediaType": named.image.media_type,
            "digest": named.image.digest().as_str(),
            "size": named.image.manifest.len(),
        });
        if let (Some(name), Some(row)) = (name, row.as_object_mut()) {
            let mut annotations = Map::new();
            let tag = Reference::parse(name).ok().filter(|_| docker);
            if let Some(reference) = tag {
                annotations.insert(WHOLE_NAME.into(), name.as_str().into());
                annotations.insert(NAME.into(), reference.version().into());
            } else {
                annotations.insert(NAME.into(), name.as_str().into());
            }
            row.insert("annotations".into(), annotations.into());
        }
        row
    };
    if named.names.is_empty() { vec![row(None)] } else { named.names.iter().map(|name| row(Some(name))).collect() }
}

fn index(rows: Vec<Value>) -> Result<Vec<u8>> {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": oci_spec::image::MediaType::ImageIndex.as_ref(),
        "manifests": rows,
    });
    Ok(serde_json::to_vec(&index)?)
}

/// Docker's list of the images in an archive.
fn docker_manifest(images: &[Named]) -> Value {
    let one = |named: &Named| {
        json!({
            "Config": blob_path(&named.image.config.digest),
            "RepoTags": named.names,
            "Layers": named.image.layers.iter().map(|layer| blob_path(&layer.digest)).collect::<Vec<_>>(),
        })
    };
    images.iter().map(one).collect()
}
