//! What `--output` asks for, done with what was built.

use super::attest::{self, Base, Facts};
use super::context::Prepared;
use super::export::{Exporter, Finished, Sent};
use super::list::{self, Statement};
use super::pool::Pool;
use super::progress::Pulling;
use super::request::{BuildRequest, ContextSource, Output, Provenance, Sbom};
use super::{Built, BuiltImage, layers, sbom};
use crate::base::error::{Fault, Kind};
use crate::base::temp::TempDir;
use crate::base::time;
use crate::container;
use crate::dockerfile::Dockerfile;
use crate::engine::Engine;
use crate::image::{self, Marks, PullOptions};
use crate::oci::image::DOCUMENT_LIMIT;
use crate::oci::platform::Platform;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;

/// A build whose images are there.
pub struct Outcome<'a> {
    /// The store, and who we are.
    pub engine: &'a Engine,
    /// What was asked for.
    pub request: &'a BuildRequest,
    /// What was built.
    pub dockerfile: &'a Dockerfile,
    /// From what.
    pub prepared: &'a Prepared,
    /// A folder of the build's own.
    pub temp: &'a TempDir,
    /// When the build began, nanoseconds since 1970.
    pub began: i64,
}

impl Outcome<'_> {
    /// Make a list where there is more than one image, and send the result where it is wanted. An image without a name
    /// that nobody has asked for is taken away again.
    ///
    /// Errors: those of [`Exporter::export`].
    pub fn send(&self, built: &mut Built, pool: &mut Pool<'_>) -> Result<()> {
        let (engine, request, temp) = (self.engine, self.request, self.temp);
        let finished = built.images.iter().map(|one| {
            let image =
                image::find(&engine.store, one.id.digits())?.context("the image is not there after it was written")?;
            let layers = image.layers.into_iter().map(|layer| layer.diff_id).collect();
            Ok(Finished { platform: one.platform.clone(), id: one.id.clone(), layers })
        });
        let finished: Vec<Finished> = finished.collect::<Result<_>>()?;
        let statements = self.statements(built, &finished, pool)?;
        // Without a name nobody could find a list.
        if !request.tags.is_empty() && (built.images.len() > 1 || !statements.is_empty()) {
            built.list = Some(list::make(&engine.store, &built.images, &statements, &request.tags)?);
        }
        if let Some(list) = &request.manifest {
            self.add_to(&list.stored_name(), built, pool)?;
        }
        for output in &request.outputs {
            let Some(name) = shown(output) else { continue };
            let stdout = File::from(rustix::io::dup(rustix::stdio::stdout()).context("stdout is closed")?);
            let value = pool.alone(name, |reporter| {
                if matches!(output, Output::Local(_) | Output::Tar(_)) {
                    finished.iter().try_for_each(|one| engine.store.unpack_kept(&one.layers))?;
                }
                let progress = Pulling::new(reporter);
                let (access, names) = (&request.access, request.tags.as_slice());
                let exporter = Exporter { engine, access, names, temp, stdout, progress: &progress };
                Ok(serde_json::to_value(exporter.export(output, &finished)?)?)
            })?;
            let sent: Vec<Sent> = serde_json::from_value(value).context("an output gave no answer")?;
            built.sent.extend(sent);
        }
        drop_unwanted(engine, request, built)?;
        finished.iter().for_each(|one| layers::unpack_behind(engine, &one.layers));
        Ok(())
    }

    /// `--manifest`: the images become entries of a list of this name, which is made if it is not there.
    fn add_to(&self, list: &str, built: &Built, pool: &mut Pool<'_>) -> Result<()> {
        let store = &self.engine.store;
        pool.alone(&format!("adding to manifest list {list}"), |reporter| {
            image::create_list(store, list, true, &BTreeMap::new())?;
            for one in &built.images {
                let (id, marks) = (one.id.digits(), Marks::default());
                image::add_to_list(store, list, id, true, &marks, &self.request.access, &Pulling::new(reporter))?;
            }
            Ok(Value::Null)
        })?;
        // Those without a name are reached by the list.
        let mut nameless = HashSet::new();
        for one in &built.images {
            let found = image::find(store, one.id.digits())?;
            nameless.extend(found.filter(|image| image.names.is_empty()).map(|_| one.manifest.clone()));
        }
        store.forget(&nameless)?;
        Ok(())
    }

    /// What is attached to the images.
    fn statements(&self, built: &Built, finished: &[Finished], pool: &mut Pool<'_>) -> Result<Vec<Statement>> {
        let request = self.request;
        let mut all = match request.provenance {
            Some(mode) => self.provenance(mode, built)?,
            None => Vec::new(),
        };
        if let Some(sbom) = &request.sbom {
            for (image, finished) in built.images.iter().zip(finished) {
                all.extend(self.sbom(sbom, image, &built.names, finished, pool)?);
            }
        }
        Ok(all)
    }

    /// How the images were built.
    fn provenance(&self, mode: Provenance, built: &Built) -> Result<Vec<Statement>> {
        let request = self.request;
        let ids = request.secrets.iter().map(|secret| secret.id.clone());
        let secrets: Vec<String> = ids.chain(request.ssh.iter().map(|ssh| ssh.id.clone())).collect();
        let repository = match (&request.context, &self.prepared.revision) {
            (ContextSource::Git(url), Some(commit)) => Some((url.as_str(), commit.as_str())),
            _ => None,
        };
        let bases = self.bases()?;
        let state = |image: &BuiltImage| {
            let facts = Facts {
                mode,
                names: &built.names,
                manifest: &image.manifest,
                platform: &image.platform,
                host: &Platform::host(),
                dockerfile: (&self.prepared.dockerfile.name, &self.prepared.dockerfile.text),
                repository,
                target: request.target.as_deref(),
                args: &request.args,
                labels: &request.labels,
                secrets: &secrets,
                bases: &bases,
                times: (self.began, time::now()),
            };
            let document = attest::provenance(&facts);
            Statement { about: image.manifest.clone(), predicate: attest::PREDICATE, document }
        };
        Ok(built.images.iter().map(state).collect())
    }

    /// What is in an image.
    fn sbom(
        &self,
        sbom: &Sbom,
        image: &BuiltImage,
        names: &[String],
        finished: &Finished,
        pool: &mut Pool<'_>,
    ) -> Result<Vec<Statement>> {
        let (engine, request) = (self.engine, self.request);
        if let Sbom::Scanner(scanner) = sbom
            && image::find(&engine.store, scanner)?.is_none()
        {
            let options = PullOptions { reference: scanner, platform: None, access: &request.access };
            pool.alone(&format!("[internal] load {scanner}"), |reporter| {
                Ok(json!(image::pull(&engine.store, &options, &Pulling::new(reporter))?.id))
            })?;
        }
        let value = pool.alone("generating sbom", |_| match sbom {
            Sbom::Scanner(scanner) => Ok(json!(sbom::scan(engine, scanner, &finished.layers, &request.run)?)),
            Sbom::Own => {
                let config: Value = serde_json::from_slice(&engine.store.read_blob(&image.id, DOCUMENT_LIMIT)?)?;
                let created = config.get("created").and_then(Value::as_str).unwrap_or("1970-01-01T00:00:00Z");
                let name = names.first().map_or("_", String::as_str);
                let subject = sbom::Subject { name, manifest: &image.manifest, created };
                Ok(json!([sbom::document(engine, &finished.layers, &subject)?]))
            }
        })?;
        let documents: Vec<Value> = serde_json::from_value(value).context("the scan gave no answer")?;
        let subjects = attest::subjects(names, &image.platform, &image.manifest);
        Ok(documents.into_iter().map(|one| sbom::statement(&image.manifest, subjects.clone(), one)).collect())
    }

    /// The images that stages begin with; without a digest where a name depends on arguments, or several platforms would
    /// each have their own.
    fn bases(&self) -> Result<Vec<Base>> {
        let mut all: Vec<Base> = Vec::new();
        for (index, stage) in self.dockerfile.stages.iter().enumerate() {
            let own = stage.base == "scratch" || self.dockerfile.stage_named(&stage.base, index).is_some();
            if own || all.iter().any(|base| base.name == stage.base) {
                continue;
            }
            let alone = self.request.platforms.len() < 2 && stage.platform.is_none();
            let image = match alone && !stage.base.contains('$') {
                true => image::find(&self.engine.store, &stage.base)?,
                false => None,
            };
            all.push(Base {
                name: stage.base.clone(),
                digest: image.map(|image| image.list.unwrap_or(image.manifest.digest)),
            });
        }
        Ok(all)
    }
}

/// What a step of an output is called, as BuildKit calls it; `None`: there is nothing to do.
fn shown(output: &Output) -> Option<&'static str> {
    match output {
        Output::CacheOnly => None,
        Output::Image { names, push: false, .. } if names.is_empty() => None,
        Output::Image { push: false, .. } => Some("naming the image"),
        Output::Image { .. } => Some("pushing the image"),
        Output::Local(_) => Some("exporting to client directory"),
        Output::Tar(_) => Some("exporting to client tarball"),
        Output::Oci { .. } => Some("exporting to oci image format"),
        Output::Docker(_) => Some("exporting to docker image format"),
    }
}

fn drop_unwanted(engine: &Engine, request: &BuildRequest, built: &mut Built) -> Result<()> {
    let wanted = request.outputs.is_empty()
        || !request.tags.is_empty()
        || request.outputs.iter().any(|output| matches!(output, Output::Image { .. }));
    if wanted {
        return Ok(());
    }
    for one in built.images.drain(..) {
        let Some(image) = image::find(&engine.store, one.id.digits())? else { continue };
        if image.names.is_empty() && container::used_by(engine, &image.id).is_empty() {
            container::remove_image(engine, one.id.digits(), image::RemoveOptions::default()).map_err(|error| {
                Fault::new(Kind::Other, "cannot take the image away that nobody asked for").because(error)
            })?;
        }
    }
    container::collect_behind(engine);
    Ok(())
}
