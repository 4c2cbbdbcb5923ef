//! The image that a build ends with.

use super::BuiltImage;
use super::plan::Plan;
use super::pool::Pool;
use super::request::Squash;
use super::site::Site;
use crate::base::time;
use crate::image::{self, ImageLayer};
use crate::oci::image::History;
use crate::oci::platform::Platform;
use anyhow::{Context, Result};
use serde_json::json;

/// Write the image of a plan whose steps have ended, and give it its names.
pub fn image(site: &Site<'_>, plan: &Plan, platform: &Platform, pool: &mut Pool<'_>) -> Result<BuiltImage> {
    let (layers, epoch) = site.layers(&plan.base)?;
    let epoch = site.request.epoch.unwrap_or(epoch);
    let created = time::rfc3339(&chrono::DateTime::from_timestamp(epoch, 0).unwrap_or_default());
    let entry = |(entry, step): &(History, Option<super::StepId>)| {
        let changed = step.is_some_and(|step| site.made.get(&step).is_some_and(|made| made.changed));
        History { created: Some(created.clone()), empty_layer: !changed, ..entry.clone() }
    };
    let history: Vec<History> = plan.history.iter().map(entry).collect();
    let mut settings = plan.settings.clone();
    let request = site.request;
    for (name, value) in &request.env {
        settings.set_env(name, value)?;
    }
    request.unset_env.iter().for_each(|name| settings.unset_env(name));
    request.unset_labels.iter().for_each(|name| settings.unset_label(name));
    request.labels.iter().for_each(|(name, value)| settings.set_label(name, value));
    let mut document =
        settings.finish(&squashed(history, request.squash, &created), &created, request.squash == Squash::All);
    if let Some(field) = super::shared::inline_field(site, &layers)? {
        document.insert(super::shared::INLINE.to_owned(), field.into());
    }
    let base: Vec<ImageLayer> = plan.image.as_ref().map(|image| image.layers.clone()).unwrap_or_default();
    let store = &site.engine.store;
    let value = pool.alone("exporting to image", |reporter| {
        super::shared::bring(site, &layers, reporter)?;
        let kept = if request.squash == Squash::All { 0 } else { base.len() };
        let mut described: Vec<ImageLayer> = base.into_iter().take(kept).collect();
        match request.squash {
            Squash::No => {
                for layer in layers.iter().skip(kept) {
                    reporter.progress(layer.as_str(), 0, None);
                    described.push(super::layers::pack_up(store, layer)?);
                }
            }
            _ => described.push(super::layers::squash(site.engine, &layers, kept)?),
        }
        let first = request.tags.first();
        let annotations = request.annotations.iter().cloned().collect();
        let id = image::compose(store, document, &described, request.format, &annotations, first)?;
        for name in request.tags.iter().skip(1) {
            image::tag(store, id.digits(), &name.stored_name())?;
        }
        let found = image::find(store, id.digits())?.context("the image is not there after it was written")?;
        Ok(json!([id, found.manifest.digest, found.manifest.size]))
    })?;
    let (id, manifest, size) = serde_json::from_value(value).context("the export gave no answer")?;
    Ok(BuiltImage { platform: platform.clone(), id, manifest, size })
}

/// The history of a squashed image: its one layer is that of the last entry.
fn squashed(mut history: Vec<History>, squash: Squash, created: &str) -> Vec<History> {
    if squash != Squash::No {
        history.iter_mut().for_each(|entry| entry.empty_layer = true);
        history.push(History {
            created: Some(created.to_owned()),
            created_by: Some("squash".to_owned()),
            ..History::default()
        });
    }
    history
}
