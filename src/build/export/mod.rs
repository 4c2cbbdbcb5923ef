//! What becomes of a build's result: `--output`.
//!
//! An image goes out as the store has it, by the verbs that images have (`image::save`, `image::push`). Files go out of
//! the layers, laid over each other and packed into one stream, which is the archive, or is unpacked into a folder as the
//! caller's: nothing is followed on the way that an image could have put there.

use super::request::Output;
use super::tree::{lay, own_mounts};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::base::temp::TempDir;
use crate::container::extract;
use crate::engine::Engine;
use crate::image::{self, Compression, Progress, PushOptions, SaveFormat, SaveOptions, Shape};
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::registry::Access;
use crate::store::{PackOptions, pack};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The result for one platform.
#[derive(Debug, Clone)]
pub struct Finished {
    /// For whom.
    pub platform: Platform,
    /// The image: the digest of its config.
    pub id: Digest,
    /// Its layers by diff id, lowest first, all unpacked in the store.
    pub layers: Vec<Digest>,
}

/// How results go out.
pub struct Exporter<'a> {
    /// The store, and who we are.
    pub engine: &'a Engine,
    /// How registries are talked to.
    pub access: &'a Access,
    /// The names of the result; the store has them already.
    pub names: &'a [Reference],
    /// A folder for mounts, removed by whoever outlives this process.
    pub temp: &'a TempDir,
    /// The user's own standard output.
    pub stdout: File,
    /// Who is told how it goes.
    pub progress: &'a dyn Progress,
}

/// What was sent to a registry: the name, and the digest of its manifest there.
pub type Sent = (String, Digest);

impl Exporter<'_> {
    /// Do what one `--output` says. For a worker in the user's namespace: threads are used, and mounts made.
    ///
    /// Errors: the place cannot be written, the registry; [`Kind::Usage`] for what cannot be had in that form.
    pub fn export(&self, output: &Output, finished: &[Finished]) -> Result<Vec<Sent>> {
        match output {
            Output::CacheOnly => {}
            Output::Local(folder) => self.local(folder, finished)?,
            Output::Tar(path) => self.tar(path.as_deref(), finished)?,
            Output::Oci { path, tar } => {
                let format = if *tar { SaveFormat::OciArchive } else { SaveFormat::OciFolder };
                self.save(format, path.as_deref(), finished)?;
            }
            Output::Docker(path) => self.save(SaveFormat::DockerArchive, path.as_deref(), finished)?,
            Output::Image { names, push, compression, level } => {
                let more = self.name(names, finished)?;
                if *push {
                    return self.push(&more, compression.as_deref(), *level);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Give the result the names that only this output has. All names come back.
    fn name(&self, more: &[String], finished: &[Finished]) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.names.iter().map(Reference::stored_name).collect();
        for text in more {
            let name = Reference::parse_with_default(text, "localhost")?.stored_name();
            if names.contains(&name) {
                continue;
            }
            // A list has one name already, if there is one.
            let result = match (finished, names.first()) {
                ([one], _) => one.id.digits().to_owned(),
                (_, Some(list)) => list.clone(),
                _ => return Err(fault(Kind::Usage, "a result for several platforms needs a name: `-t NAME`")),
            };
            image::tag(&self.engine.store, &result, &name)?;
            names.push(name);
        }
        Ok(names)
    }

    fn push(&self, names: &[String], compression: Option<&str>, level: Option<i32>) -> Result<Vec<Sent>> {
        if names.is_empty() {
            let fault = Fault::new(Kind::Usage, "cannot push an image without a name");
            return Err(fault.hint("-t REGISTRY/NAME:TAG").into());
        }
        let (compression, force) = match compression {
            None => (Compression::Gzip(level), false),
            Some("zstd") => (Compression::Zstd(level), true),
            Some("uncompressed") => (Compression::None, true),
            Some(_) => (Compression::Gzip(level), true),
        };
        let shape = Shape { format: None, compression: Some(compression), force };
        let push = |name: &String| {
            self.progress.message(&format!("pushing {name}"));
            let options = PushOptions {
                image: name,
                destination: None,
                platform: None,
                shape,
                signer: None,
                access: self.access,
            };
            Ok((name.clone(), image::push(&self.engine.store, &options, self.progress)?.digest))
        };
        names.iter().map(push).collect()
    }

    fn save(&self, format: SaveFormat, path: Option<&Path>, finished: &[Finished]) -> Result<()> {
        let ids = finished.iter().map(|one| one.id.digits().to_owned());
        let names: Vec<String> = self.names.iter().map(Reference::stored_name).collect();
        // By name, so that the archive has the names.
        let images = if names.is_empty() { ids.collect() } else { names };
        let options =
            SaveOptions { images: &images, platform: None, format, compression: Some(Compression::Gzip(None)) };
        image::save(&self.engine.store, &options, path, self.stdout.try_clone()?, self.progress)
    }

    /// All files of a result, in a folder that shows them: below one of its own for each platform, if they are several.
    fn files(&self, finished: &[Finished]) -> Result<PathBuf> {
        own_mounts()?;
        let top = self.temp.path().join("export");
        let make = |path: &Path| std::fs::create_dir(path).with_context(|| format!("cannot make `{}`", path.display()));
        make(&top)?;
        if let [one] = finished {
            lay(&self.engine.store, &one.layers, &top)?;
            return Ok(top);
        }
        for one in finished {
            let folder = top.join(folder_name(&one.platform));
            make(&folder)?;
            lay(&self.engine.store, &one.layers, &folder)?;
        }
        Ok(top)
    }

    fn local(&self, folder: &Path, finished: &[Finished]) -> Result<()> {
        let deed = || format!("cannot write files to `{}`", folder.display());
        std::fs::create_dir_all(folder).with_context(deed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let target = rustix::fs::open(folder, flags, Mode::empty()).with_context(deed)?;
        let files = self.files(finished)?;
        let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        std::thread::scope(|scope| {
            let packing = std::thread::Builder::new().spawn_scoped(scope, || pack_files(&files, File::from(writing)));
            let packing = packing.context("cannot start a thread")?;
            let unpacked = extract(target, File::from(reading));
            let packed = packing.join().map_err(|_| fault(Kind::Other, "the packing thread ended unexpectedly"))?;
            // Whoever reads no more is why the other could not write.
            unpacked.and(packed)
        })
        .with_context(deed)
    }

    fn tar(&self, path: Option<&Path>, finished: &[Finished]) -> Result<()> {
        let files = self.files(finished)?;
        let Some(path) = path else {
            return pack_files(&files, self.stdout.try_clone()?).context("cannot write the archive to stdout");
        };
        let deed = || format!("cannot write the archive `{}`", path.display());
        if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
            return pack_files(&files, File::options().write(true).open(path).with_context(deed)?).with_context(deed);
        }
        // Beside its place and renamed, so that a failed one never goes by the name.
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", rustix::process::getpid().as_raw_nonzero()));
        let part = path.with_file_name(name);
        let written = File::create(&part).map_err(Into::into).and_then(|out| pack_files(&files, out));
        let written = written.and_then(|()| Ok(std::fs::rename(&part, path)?));
        written.inspect_err(|_| drop(std::fs::remove_file(&part))).with_context(deed)
    }
}

fn pack_files(folder: &Path, out: File) -> Result<()> {
    let mut out = BufWriter::with_capacity(256 << 10, out);
    pack(folder, &PackOptions::default(), &mut out)?;
    Ok(out.flush()?)
}

/// `linux_amd64`, `linux_arm_v7`: as BuildKit calls them.
fn folder_name(platform: &Platform) -> String {
    let variant = platform.variant.as_deref().map(|variant| format!("_{variant}")).unwrap_or_default();
    format!("{}_{}{variant}", platform.os, platform.arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_folders() {
        let name = |text: &str| folder_name(&Platform::parse(text).unwrap());
        assert_eq!((name("linux/amd64").as_str(), name("linux/arm/v7").as_str()), ("linux_amd64", "linux_arm_v7"));
    }
}
