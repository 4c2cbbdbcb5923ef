//! A volume's files as a tar stream, out and in: how data moves from one machine to another.
//!
//! Owners are those that containers see, so that they mean the same elsewhere. Attributes and file capabilities go
//! along. No link is followed on either side.

use super::copy::restore;
use crate::base::error::{Fault, Kind};
use crate::base::lock::Share;
use crate::engine::Engine;
use crate::image::Inflating;
use crate::store::{PackOptions, pack};
use crate::volume::{Driver, Volume};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Write all files of a volume as a tar archive.
///
/// Errors: [`Kind::Usage`] for a volume that has files in containers only.
pub fn export_volume(engine: &Engine, volume: &Volume, out: &mut dyn Write) -> Result<()> {
    engine.enter()?;
    let folder = folder(volume)?;
    let deed = || format!("cannot export volume `{}`", volume.record.name);
    let _used = volume.lock(Share::Shared)?;
    let options =
        PackOptions { owner: &|uid, gid| (uid, gid), skip: &|_| false, top: true, whiteouts: false, deleted: &[] };
    pack(&folder, &options, &mut BufWriter::with_capacity(256 << 10, out)).with_context(deed)
}

/// Read a tar archive, packed or not, into a volume, over what is there. A volume that no container has used yet gets
/// all of it or nothing.
///
/// Errors: those of [`export_volume`]; [`Kind::BadData`] for what is no archive.
pub fn import_volume(engine: &Engine, volume: &Volume, from: impl Read) -> Result<()> {
    engine.enter()?;
    let folder = folder(volume)?;
    let deed = || format!("cannot import into volume `{}`", volume.record.name);
    let mut from = Some(BufReader::with_capacity(256 << 10, Inflating::new(from)));
    let mut fill = |path: &Path| match from.take() {
        Some(from) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            restore(rustix::fs::open(path, flags, Mode::empty())?, from)
        }
        None => Ok(()),
    };
    volume.first_use(&engine.dirs, &mut fill).with_context(deed)?;
    let _used = volume.lock(Share::Shared)?;
    fill(&folder).with_context(deed)?;
    let kept = std::fs::File::open(&folder).with_context(deed)?;
    rustix::fs::syncfs(&kept).with_context(deed)
}

/// Where a volume's files are, if they are somewhere without a container.
fn folder(volume: &Volume) -> Result<PathBuf> {
    let name = &volume.record.name;
    let hint = match volume.driver()? {
        Driver::Folder | Driver::Bind { .. } => return Ok(volume.mount_point()),
        Driver::Image { reference } => format!("box export $(box create {reference})"),
        Driver::Tmpfs { .. } | Driver::Kernel { .. } => format!("box run --rm -v {name}:/mnt alpine tar -c -C /mnt ."),
    };
    let text = format!("volume `{name}` has its files in containers only");
    Err(Fault::new(Kind::Usage, text).hint(hint).into())
}
