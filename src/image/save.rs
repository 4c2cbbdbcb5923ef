//! `save`: stored images into an archive or a folder.

use super::compose::ManifestFormat;
use super::find::{find_entry, missing, of_platform, open};
use super::outgoing::{Compression, Shape, prepare};
use super::writer::{Archive, Named, write_folder, write_layout};
use super::{Progress, find::By, room};
use crate::base::error::{Fault, Kind, fault};
use crate::oci::platform::Platform;
use crate::store::Store;
use anyhow::{Context, Result};
use std::fs::File;
use std::path::Path;

/// The form of what is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveFormat {
    /// An archive for `docker load`, which is an OCI layout, too.
    DockerArchive,
    /// An archive of an OCI layout.
    OciArchive,
    /// A folder with an OCI layout.
    OciFolder,
    /// A folder with one image in docker's form.
    DockerFolder,
}

/// What to save, and where.
#[derive(Debug)]
pub struct SaveOptions<'a> {
    /// Names or ids.
    pub images: &'a [String],
    /// The form.
    pub format: SaveFormat,
    /// Of images for several platforms, the one for this one; `None`: for this machine.
    pub platform: Option<&'a Platform>,
    /// How layers are packed there; `None`: as they are stored.
    pub compression: Option<Compression>,
}

/// Save images into a file or folder; `None`: into `stream`. Of a manifest list, the image for this machine.
///
/// Errors: [`Kind::NotFound`], [`Kind::Usage`] for a form that cannot be had there; any I/O error. Needs no namespace.
pub fn save(
    store: &Store,
    options: &SaveOptions<'_>,
    output: Option<&Path>,
    stream: File,
    progress: &dyn Progress,
) -> Result<()> {
    let _lease = store.lease()?;
    let entries = store.entries()?;
    let force = options.compression == Some(Compression::None);
    let shape = Shape { format: None, compression: options.compression, force };
    let shape = match options.format {
        SaveFormat::DockerFolder => Shape { format: Some(ManifestFormat::Docker), ..shape },
        SaveFormat::OciArchive | SaveFormat::OciFolder => Shape { format: Some(ManifestFormat::Oci), ..shape },
        SaveFormat::DockerArchive => shape,
    };
    let mut images: Vec<Named> = Vec::new();
    for text in options.images {
        let (entry, by) = find_entry(store, &entries, text)?.ok_or_else(|| missing(store, text))?;
        let image = match options.platform {
            Some(platform) => of_platform(store, text, platform)?,
            None => open(store, entry)?,
        };
        let outgoing = prepare(store, &image.manifest.digest, shape, progress)
            .with_context(|| format!("cannot save `{}`", text.escape_debug()))?;
        // A name with a digest is no tag: nobody could load it as one.
        let name = match by {
            By::Name(name) if !name.contains('@') => Some(name),
            _ => None,
        };
        match images.iter_mut().find(|other| other.image.digest() == outgoing.digest()) {
            Some(other) => other.names.extend(name),
            None => images.push(Named { image: outgoing, names: name.into_iter().collect() }),
        }
    }
    let size = images.iter().flat_map(|named| named.image.pieces()).map(|piece| piece.size).sum();
    let place = output.map_or(Path::new("."), |path| path.parent().unwrap_or(path));
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    write(options, &images, output, stream, progress).map_err(|error| room::told(error, place, Some(size)))
}

fn write(
    options: &SaveOptions<'_>,
    images: &[Named],
    output: Option<&Path>,
    stream: File,
    progress: &dyn Progress,
) -> Result<()> {
    match (options.format, output) {
        (SaveFormat::DockerArchive | SaveFormat::OciArchive, path) => {
            let archive = path.map_or_else(|| Ok(Archive::stream(stream)), Archive::create)?;
            archive.write(images, options.format == SaveFormat::DockerArchive, progress)
        }
        (_, None) => {
            let fault = Fault::new(Kind::Usage, "a folder cannot be written to stdout");
            Err(fault.hint("add -o FOLDER").into())
        }
        (SaveFormat::OciFolder, Some(path)) => write_layout(path, images, progress),
        (SaveFormat::DockerFolder, Some(path)) => match images {
            [one] => write_folder(path, &one.image, progress),
            _ => Err(fault(Kind::Usage, "a folder in docker's form holds one image")),
        },
    }
}
