//! What `--output` asks for, done with what was built.

use super::export::{Exporter, Finished, Sent};
use super::pool::Pool;
use super::progress::Pulling;
use super::request::{BuildRequest, Output};
use super::{Built, layers};
use crate::base::error::{Fault, Kind};
use crate::base::temp::TempDir;
use crate::container;
use crate::engine::Engine;
use crate::image;
use anyhow::{Context, Result};
use std::fs::File;

/// Send the result where it is wanted. An image without a name that nobody has asked for is taken away again.
///
/// Errors: those of [`Exporter::export`].
pub fn send(
    engine: &Engine,
    request: &BuildRequest,
    built: &mut Built,
    temp: &TempDir,
    pool: &mut Pool<'_>,
) -> Result<()> {
    let finished = built.images.iter().map(|one| {
        let image =
            image::find(&engine.store, one.id.digits())?.context("the image is not there after it was written")?;
        let layers = image.layers.into_iter().map(|layer| layer.diff_id).collect();
        Ok(Finished { platform: one.platform.clone(), id: one.id.clone(), layers })
    });
    let finished: Vec<Finished> = finished.collect::<Result<_>>()?;
    for output in &request.outputs {
        let Some(name) = shown(output) else { continue };
        let stdout = File::from(rustix::io::dup(rustix::stdio::stdout()).context("stdout is closed")?);
        let value = pool.alone(name, |reporter| {
            if matches!(output, Output::Local(_) | Output::Tar(_)) {
                finished.iter().try_for_each(|one| layers::unpack(&engine.store, &one.layers))?;
            }
            let progress = Pulling::new(reporter);
            let (access, names) = (&request.access, request.tags.as_slice());
            let exporter = Exporter { engine, access, names, temp, stdout, progress: &progress };
            Ok(serde_json::to_value(exporter.export(output, &finished)?)?)
        })?;
        let sent: Vec<Sent> = serde_json::from_value(value).context("an output gave no answer")?;
        built.sent.extend(sent);
    }
    drop_unwanted(engine, request, built)
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
            container::remove_image(engine, one.id.digits(), false).map_err(|error| {
                Fault::new(Kind::Other, "cannot take the image away that nobody asked for").because(error)
            })?;
        }
    }
    container::collect_behind(engine);
    Ok(())
}
