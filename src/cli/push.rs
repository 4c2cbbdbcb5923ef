//! `push`: sends images away.

use super::access::access;
use super::args::Globals;
use super::args::push::{Packing, Push};
use super::progress::Shown;
use super::{session, trust};
use crate::base::error::{Kind, fault};
use crate::config::containers::Containers;
use crate::events;
use crate::image::{self, Compression, ManifestFormat, Progress, PushOptions, Pushed, Shape};
use crate::oci::platform::Platform;
use anyhow::{Context, Result};

/// `box push`: the digest goes to stderr and into `--digestfile`.
pub fn push(args: &Push, globals: &Globals) -> Result<u8> {
    let packed = args.packing.compression_format.as_deref().or(args.compress.then_some("gzip"));
    let shape = shape(args.format.as_deref(), packed, &args.packing)?;
    let platform = args.platform.as_deref().map(Platform::parse).transpose()?;
    let signer = trust::signer(&args.signing);
    let access = access(&args.access, Some(&args.retry))?;
    let engine = session::open(globals)?;
    let progress = Shown::new(args.quiet);
    let names = match args.all_tags {
        true => image::names_of(&engine.store, &args.image)?,
        false => vec![args.image.clone()],
    };
    let mut last = None;
    for image in &names {
        let destination = args.destination.as_deref();
        let options = PushOptions { image, destination, platform: platform.as_ref(), shape, signer, access: &access };
        progress.message(&format!("Pushing {}", destination.unwrap_or(image)));
        let pushed = image::push(&engine.store, &options, &progress);
        if pushed.is_err() {
            progress.make_room();
        }
        let Pushed { digest, .. } = pushed?;
        progress.message(&format!("Digest: {digest}"));
        events::tell(&engine.dirs, "image", "push", digest.digits(), image);
        last = Some(digest);
    }
    if let (Some(file), Some(digest)) = (&args.digestfile, last) {
        std::fs::write(file, digest.as_str()).with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    Ok(0)
}

/// `--format`, `--compression-format` (or what containers.conf says), `--compression-level` and `--force-compression`.
pub fn shape(format: Option<&str>, packed: Option<&str>, packing: &Packing) -> Result<Shape> {
    Ok(Shape {
        format: format.map(manifest_format).or(configured_format()?),
        compression: match packed {
            Some(packed) => Some(compression(packed, packing.compression_level)?),
            None => configured_compression()?,
        },
        force: packing.force_compression,
    })
}

fn manifest_format(text: &str) -> ManifestFormat {
    if text == "v2s2" { ManifestFormat::Docker } else { ManifestFormat::Oci }
}

/// The form of images that containers.conf asks for.
pub fn configured_format() -> Result<Option<ManifestFormat>> {
    let conf = Containers::load()?;
    let key = "engine.image_default_format";
    let (Some(format), Some(setting)) = (conf.word(key)?, conf.get(key)) else { return Ok(None) };
    match format.as_str() {
        "oci" | "v2s2" => Ok(Some(manifest_format(&format))),
        _ => {
            let wrong = fault(Kind::Host, format!("`{}`: it is one of: oci v2s2", format.escape_debug()));
            Err(wrong.context(setting.deed(key)))
        }
    }
}

/// What containers.conf says of it.
fn configured_compression() -> Result<Option<Compression>> {
    let conf = Containers::load()?;
    let key = "engine.compression_format";
    let (Some(format), Some(setting)) = (conf.word(key)?, conf.get(key)) else { return Ok(None) };
    if !["gzip", "zstd", "zstd:chunked"].contains(&format.as_str()) {
        let wrong = fault(Kind::Host, format!("`{}`: it is one of: gzip zstd zstd:chunked", format.escape_debug()));
        return Err(wrong.context(setting.deed(key)));
    }
    let key = "engine.compression_level";
    let level = conf.word(key)?.map(|text| text.parse::<i32>()).transpose();
    let level = level.map_err(|_| fault(Kind::Host, "it is no number"));
    let found = level.and_then(|level| compression(&format, level));
    found.map(Some).map_err(|error| match conf.get(key) {
        Some(setting) => error.context(setting.deed(key)),
        None => error,
    })
}

/// `--compression-format` and `--compression-level`.
pub fn compression(format: &str, level: Option<i32>) -> Result<Compression> {
    match format {
        "gzip" if level.is_some_and(|level| level > 9) => {
            Err(fault(Kind::Usage, "`--compression-level` of gzip is 1 to 9"))
        }
        "gzip" => Ok(Compression::Gzip(level)),
        "zstd" => Ok(Compression::Zstd(level)),
        _ => Ok(Compression::Chunked(level)),
    }
}
