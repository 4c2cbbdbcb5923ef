//! Results of steps that go from machine to machine: `--cache-to` and `--cache-from`.
//!
//! An artifact in a registry or a layout, or a field of an image's config (`type=inline`), in the form of BuildKit's
//! (<https://github.com/moby/buildkit/blob/master/cache/remotecache/v1/spec.go>): `layers` and `records`, each of which
//! is a key and the layer that it leads to. What box knows more of a result is beside it, as `box`; the keys are box's
//! own, so that each of the two passes over the other's records.
//!
//! Nothing but the artifact's config is read when a build begins. A layer comes when something reads its files, or when
//! it is a part of the image.

use super::plan::Plan;
use super::pool::Pool;
use super::progress::Pulling;
use super::request::{BuildRequest, CachePlace};
use super::site::Site;
use super::step::{Base, StepId};
use super::worker::Reporter;
use super::{Event, cache_mounts, layers};
use crate::base::base64;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::image::{self, Part, Place};
use crate::oci::image::ImageConfig;
use crate::oci::reference::Reference;
use crate::store::StepResult;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The media type of an artifact's config.
const KIND: &str = "application/vnd.buildkit.cacheconfig.v0";
/// The field of an image's config.
pub const INLINE: &str = "moby.buildkit.cache.v0";

/// What others know, as far as this build was told of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Shared {
    places: Vec<String>,
    results: HashMap<Digest, StepResult>,
    /// By diff id: the place that has it, by its number, and as what.
    layers: HashMap<Digest, (usize, Part)>,
    /// What cache mounts begin with: a layer by the id.
    mounts: HashMap<String, Digest>,
}

/// A result that this build has used or made.
#[derive(Debug)]
pub struct Used {
    /// By which it is found.
    pub key: Digest,
    /// What it is.
    pub result: StepResult,
    /// It is a part of the image, not of a stage that the image has copied from.
    pub in_image: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Config {
    #[serde(default)]
    layers: Vec<Layer>,
    #[serde(default)]
    records: Vec<Record>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Layer {
    blob: Digest,
    /// -1: it stands on no other.
    #[serde(default)]
    parent: i64,
    annotations: Annotations,
}

#[derive(Debug, Serialize, Deserialize)]
struct Annotations {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    #[serde(rename = "diffID")]
    diff_id: Digest,
    #[serde(default)]
    size: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    digest: Digest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<At>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "box")]
    own: Option<Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct At {
    layer: usize,
}

impl Shared {
    /// The result of a key, if others know it.
    pub fn result(&self, key: &Digest) -> Option<&StepResult> {
        self.results.get(key)
    }

    /// Whether others have a layer.
    pub fn has_layer(&self, layer: &Digest) -> bool {
        self.layers.contains_key(layer)
    }

    /// The layer that a cache mount begins with, if others have it.
    pub fn mount(&self, id: &str) -> Option<&Digest> {
        self.mounts.get(id)
    }

    /// Take in what one place says.
    fn add(&mut self, config: &[u8], layers: impl Iterator<Item = (Digest, Part)>) -> Result<()> {
        let config: Config =
            serde_json::from_slice(config).map_err(|_| fault(Kind::BadData, "its list of results is damaged"))?;
        let listed = config.layers.into_iter().map(|layer| {
            let Annotations { media_type, diff_id, size } = layer.annotations;
            (diff_id, Part { media_type, digest: layer.blob, size })
        });
        // An image's own list says better how its layers are packed there.
        for (diff_id, part) in layers.chain(listed) {
            self.layers.entry(diff_id).or_insert((0, part));
        }
        for record in config.records {
            let Some(result) = record.own.and_then(StepResult::of_others) else { continue };
            self.results.entry(record.digest).or_insert(result);
        }
        Ok(())
    }
}

/// Where a place is that an option names.
fn place(named: &CachePlace) -> Result<Option<Place>> {
    Ok(match named {
        CachePlace::Registry { reference, .. } => Some(Place::Registry(Reference::parse(reference)?)),
        CachePlace::Local { path, .. } => Some(Place::Layout(path.clone())),
        CachePlace::Inline => None,
    })
}

/// The repositories that the options about caches name.
pub fn repositories(request: &BuildRequest) -> Result<Vec<String>> {
    let mounts = request.cache_mounts_from.iter().chain(&request.cache_mounts_to).map(|mounts| &mounts.place);
    let places = request.cache_from.iter().chain(&request.cache_to).chain(mounts).map(place);
    let repository = |place: Place| match place {
        Place::Registry(reference) => Some(reference.repository()),
        Place::Layout(_) => None,
    };
    Ok(places.collect::<Result<Vec<_>>>()?.into_iter().flatten().filter_map(repository).collect())
}

/// Read what `--cache-from` and `--cache-mount-from` name. A place that cannot be read is told of, and the build goes on
/// without it.
pub fn read(request: &BuildRequest, pool: &mut Pool<'_>) -> Result<Shared> {
    let mut shared = Shared::default();
    for named in &request.cache_from {
        import(&mut shared, request, named, pool, &|artifact| {
            let mut one = Shared::default();
            match inline(artifact)? {
                Some((config, layers)) => one.add(&config, layers.into_iter())?,
                None if artifact.kind == KIND => one.add(&artifact.config, std::iter::empty())?,
                None => return Err(fault(Kind::BadData, "it holds no results of builds")),
            }
            Ok(one)
        })?;
    }
    for mounts in &request.cache_mounts_from {
        import(&mut shared, request, &mounts.place, pool, &|artifact| {
            let mut one = Shared::default();
            for (id, diff_id, part) in cache_mounts::listed(artifact, &mounts.ids)? {
                one.layers.insert(diff_id.clone(), (0, part));
                one.mounts.insert(id, diff_id);
            }
            Ok(one)
        })?;
    }
    Ok(shared)
}

/// Read what one place has to say.
fn import(
    shared: &mut Shared,
    request: &BuildRequest,
    named: &CachePlace,
    pool: &mut Pool<'_>,
    take: &dyn Fn(&image::Artifact) -> Result<Shared>,
) -> Result<()> {
    let Some(place) = place(named)? else { return Ok(()) };
    let name = place.to_string();
    let value = pool.alone(&format!("importing cache manifest from {name}"), |_| {
        let read = image::read_artifact(&place, &request.access).and_then(|artifact| take(&artifact));
        Ok(serde_json::to_value(read.map_err(|error| format!("{error:#}")))?)
    })?;
    match serde_json::from_value::<Result<Shared, String>>(value).context("the import gave no answer")? {
        Ok(one) => shared.join(one, named),
        Err(error) => {
            let text = format!("cannot use the cache `{}`: {error}", name.escape_debug());
            pool.tell(Event::Warning { text: &text, excerpt: None });
        }
    }
    Ok(())
}

impl Shared {
    /// Take in what another place knows; what came first stays.
    fn join(&mut self, one: Self, named: &CachePlace) {
        let number = self.places.len();
        self.places.push(match named {
            CachePlace::Registry { reference, .. } => format!("docker://{reference}"),
            CachePlace::Local { path, .. } => path.display().to_string(),
            CachePlace::Inline => String::new(),
        });
        for (key, result) in one.results {
            self.results.entry(key).or_insert(result);
        }
        for (diff_id, (_, part)) in one.layers {
            self.layers.entry(diff_id).or_insert((number, part));
        }
        for (id, diff_id) in one.mounts {
            self.mounts.entry(id).or_insert(diff_id);
        }
    }
}

/// A list of results, and how the layers of the image that it is in are packed.
type Inline = (Vec<u8>, Vec<(Digest, Part)>);

/// What an image's config holds, if it does.
fn inline(artifact: &image::Artifact) -> Result<Option<Inline>> {
    let document: Value = serde_json::from_slice(&artifact.config).unwrap_or_default();
    let Some(text) = document.get(INLINE).and_then(Value::as_str) else { return Ok(None) };
    let config = base64::decode(text).ok_or_else(|| fault(Kind::BadData, "its list of results is damaged"))?;
    let layers = ImageConfig::parse(&artifact.config)?.diff_ids.into_iter().zip(artifact.layers.iter().cloned());
    Ok(Some((config, layers.collect())))
}

/// The steps that the image stands on.
pub fn steps_of_image(plan: &Plan) -> HashSet<StepId> {
    let mut found = HashSet::new();
    let mut base = &plan.base;
    while let Base::Step(id) = base {
        found.insert(*id);
        let Some(step) = plan.steps.get(id.0) else { break };
        base = &step.base;
    }
    found
}

/// The field for an image's config, if `--cache-to type=inline` asks for it.
pub fn inline_field(site: &Site<'_>, layers: &[Digest]) -> Result<Option<String>> {
    if !site.request.cache_to.contains(&CachePlace::Inline) {
        return Ok(None);
    }
    let in_it = |used: &&Used| used.in_image && used.result.layer.as_ref().is_none_or(|layer| layers.contains(layer));
    let used: Vec<&Used> = site.used.iter().filter(in_it).collect();
    let parts: Vec<(Digest, Part)> = layers_of(&used)
        .into_iter()
        .map(|layer| (layer.clone(), Part { media_type: String::new(), digest: layer, size: 0 }))
        .collect();
    Ok(Some(base64::encode(&serde_json::to_vec(&config(&used, &parts)?)?)))
}

/// The layers of results, each once.
fn layers_of(used: &[&Used]) -> Vec<Digest> {
    let mut seen = HashSet::new();
    used.iter().filter_map(|used| used.result.layer.clone()).filter(|layer| seen.insert(layer.clone())).collect()
}

fn config(used: &[&Used], layers: &[(Digest, Part)]) -> Result<Config> {
    let record = |used: &&Used| {
        let at = layers.iter().position(|(layer, _)| Some(layer) == used.result.layer.as_ref());
        let own = Some(serde_json::to_value(&used.result)?);
        Ok(Record { digest: used.key.clone(), layers: at.map(|layer| At { layer }).into_iter().collect(), own })
    };
    let layer = |(diff_id, part): &(Digest, Part)| Layer {
        blob: part.digest.clone(),
        parent: -1,
        annotations: Annotations { media_type: part.media_type.clone(), diff_id: diff_id.clone(), size: part.size },
    };
    Ok(Config { layers: layers.iter().map(layer).collect(), records: used.iter().map(record).collect::<Result<_>>()? })
}

/// Write what `--cache-to` names.
pub fn write(site: &Site<'_>, pool: &mut Pool<'_>) -> Result<()> {
    let (store, access) = (&site.engine.store, &site.request.access);
    for named in &site.request.cache_to {
        let max = match named {
            CachePlace::Registry { max, .. } | CachePlace::Local { max, .. } => *max,
            CachePlace::Inline => continue,
        };
        let used: Vec<&Used> = site.used.iter().filter(|used| max || used.in_image).collect();
        let diff_ids = layers_of(&used);
        export(named, "cache", pool, &|place, reporter| {
            bring(site, &diff_ids, reporter)?;
            diff_ids.iter().try_for_each(|layer| layers::pack_up(store, layer).map(drop))?;
            let make = |parts: &[Part]| {
                let layers: Vec<_> = diff_ids.iter().cloned().zip(parts.iter().cloned()).collect();
                Ok(serde_json::to_vec(&config(&used, &layers)?)?)
            };
            image::write_artifact(store, place, &diff_ids, KIND, &make, access, &Pulling::new(reporter))
        })?;
    }
    Ok(())
}

/// Write something to a place, in a worker. One that cannot be written is an error, or told of, as its option says.
pub fn export(
    named: &CachePlace,
    what: &str,
    pool: &mut Pool<'_>,
    write: &dyn Fn(&Place, &Reporter) -> Result<()>,
) -> Result<()> {
    let ignore_error = match named {
        CachePlace::Registry { ignore_error, .. } | CachePlace::Local { ignore_error, .. } => *ignore_error,
        CachePlace::Inline => false,
    };
    let Some(place) = place(named)? else { return Ok(()) };
    let value = pool.alone(&format!("exporting {what} to {place}"), |reporter| match write(&place, reporter) {
        Err(error) if ignore_error => Ok(Value::from(format!("{error:#}"))),
        written => written.map(|()| Value::Null).with_context(|| format!("cannot write the {what} `{place}`")),
    })?;
    if let Some(error) = value.as_str() {
        let text = format!("cannot write the {what} `{place}`: {error}");
        pool.tell(Event::Warning { text: &text, excerpt: None });
    }
    Ok(())
}

/// Bring layers here that others have and this store has not. In a worker.
pub fn bring(site: &Site<'_>, wanted: &[Digest], reporter: &Reporter) -> Result<()> {
    let store = &site.engine.store;
    let lacks = |layer: &&Digest| !store.has_layer(layer) && !store.has_blob(layer, None);
    let mut missing: Vec<&Digest> = wanted.iter().filter(|layer| site.shared.has_layer(layer)).filter(lacks).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // In one order, so that two who want the same do not wait for each other.
    missing.sort();
    missing.dedup();
    let _locks = missing.iter().map(|layer| store.lock_layer(layer)).collect::<Result<Vec<_>>>()?;
    for (number, place) in site.shared.places.iter().enumerate() {
        let part = |layer: &&Digest| {
            let (from, part) = site.shared.layers.get(*layer)?;
            (*from == number).then(|| ((*layer).clone(), part.clone()))
        };
        let wanted: Vec<(Digest, Part)> =
            missing.iter().copied().filter(lacks).filter_map(|layer| part(&layer)).collect();
        if wanted.is_empty() {
            continue;
        }
        let from = match place.strip_prefix("docker://") {
            Some(reference) => Place::Registry(Reference::parse(reference)?),
            None => Place::Layout(place.into()),
        };
        image::bring_layers(store, &from, &wanted, &site.request.access, &Pulling::new(reporter))
            .with_context(|| format!("cannot fetch results from `{from}`"))?;
    }
    Ok(())
}

/// Keep the results of others that this build has used, where their layers came here.
pub fn keep(site: &Site<'_>) -> Result<()> {
    let store = &site.engine.store;
    let came = |used: &&Used| {
        let layer = used.result.layer.as_ref();
        site.shared.result(&used.key).is_some()
            && store.result(&used.key).is_none()
            && layer.is_none_or(|layer| store.has_layer(layer) || store.has_blob(layer, None))
    };
    site.used.iter().filter(came).try_for_each(|used| store.keep_result(&used.key, &used.result))
}
