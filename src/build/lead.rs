//! The leader of a build: from what was asked for to what is there.

use super::context::{self, Prepared};
use super::early::{Early, Start, Waiting};
use super::event::{Event, Observer};
use super::plan::{self, Named, Plan, Sources};
use super::pool::Pool;
use super::request::{BuildRequest, ContextSource, FileSource};
use super::shared::{self, Used};
use super::site::{ContextFolder, Known, Made, Site};
use super::step::{Base, Op, Step, StepId};
use super::worker::Reporter;
use super::{Built, BuiltImage, cache_mounts, copy, finish, lint, run};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::base::temp::TempDir;
use crate::container::request::PullPolicy;
use crate::dockerfile::ignore::Patterns;
use crate::dockerfile::{Dockerfile, parse};
use crate::engine::Engine;
use crate::image::{self, Image, PullOptions};
use crate::oci::image::DOCUMENT_LIMIT;
use crate::oci::platform::Platform;
use crate::store::StepResult;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;

/// Build. Everything that is shown goes to `observer`. The caller is single-threaded.
///
/// Errors: mistakes in the Dockerfile ([`Kind::Usage`]), a command that failed, an interruption.
pub fn build(engine: &Engine, request: &BuildRequest, observer: &mut dyn Observer) -> Result<Built> {
    let built = lead(engine, request, observer);
    if built.is_err() {
        // What workers had that were ended in the middle of something.
        let _ = crate::base::temp::reap(&engine.dirs, crate::base::temp::Haste::AllOfIt, &mut || Ok(()));
    }
    built
}

fn lead(engine: &Engine, request: &BuildRequest, observer: &mut dyn Observer) -> Result<Built> {
    let began = crate::base::time::now();
    if request.tags.is_empty() && (request.provenance.is_some() || request.sbom.is_some()) {
        let fault = Fault::new(Kind::Usage, "what is attached to an image needs one with a name");
        return Err(fault.hint("-t NAME").into());
    }
    engine.enter()?;
    let _lease = engine.store.lease()?;
    let temp = TempDir::new(&engine.dirs)?;
    let mut pool = Pool::new(observer)?;
    let prepared = prepare(request, &temp, &mut pool)?;
    let dockerfile = parse(prepared.dockerfile.text.as_bytes(), &prepared.dockerfile.name)?;
    let mut site = Site {
        engine,
        request,
        contexts: vec![own_context(&prepared, &temp)?],
        made: HashMap::new(),
        shared: shared::read(request, &mut pool)?,
        used: Vec::new(),
        in_image: HashSet::new(),
        caches: BTreeSet::new(),
        late: OnceCell::new(),
    };
    let mut named = HashMap::new();
    for (name, source) in &request.contexts {
        let found = match source {
            ContextSource::Image(image) => Named::Image(image.clone()),
            ContextSource::Layout(layout) => Named::Image(layout_image(&site, name, layout, &mut pool)?),
            other => {
                site.contexts.push(named_context(name, other, &temp, &mut pool)?);
                Named::Folder(site.contexts.len() - 1)
            }
        };
        named.insert(name.clone(), found);
    }
    let platforms = match request.platforms.as_slice() {
        [] => vec![Platform::host()],
        several => several.to_vec(),
    };
    warn(&dockerfile, request, site.contexts.first().and_then(|context| context.ignore.as_ref()), &mut pool)?;
    let mut built = Built::default();
    for platform in &platforms {
        let image = one(&mut site, &dockerfile, platform, &named, &mut pool)?;
        built.images.push(image);
    }
    built.names = request.tags.iter().map(crate::oci::reference::Reference::stored_name).collect();
    let outcome =
        super::outputs::Outcome { engine, request, dockerfile: &dockerfile, prepared: &prepared, temp: &temp, began };
    outcome.send(&mut built, &mut pool)?;
    shared::write(&site, &mut pool)?;
    cache_mounts::write(&site, &mut pool)?;
    shared::keep(&site)?;
    Ok(built)
}

/// Tell what could be better in the Dockerfile.
fn warn(dockerfile: &Dockerfile, request: &BuildRequest, ignore: Option<&Patterns>, pool: &mut Pool<'_>) -> Result<()> {
    let (warnings, is_error) = lint::lint(dockerfile, request, ignore)?;
    for warning in &warnings {
        let text = format!("{}: {}", warning.rule.name, warning.message);
        let excerpt = lint::excerpt(dockerfile, warning.span);
        pool.tell(Event::Warning { text: &text, excerpt: Some(&excerpt) });
    }
    match is_error && !warnings.is_empty() {
        true => Err(fault(Kind::Usage, "the Dockerfile could be better, and `# check=error=true` makes that an error")),
        false => Ok(()),
    }
}

/// Make the context ready.
fn prepare(request: &BuildRequest, temp: &TempDir, pool: &mut Pool<'_>) -> Result<Prepared> {
    let into = folder(temp, "context")?;
    if !context::is_remote(request) {
        let stdin = (request.file == FileSource::Stdin).then(own_stdin).transpose()?;
        return context::prepare(request, stdin, &into, &|_, _, _| {});
    }
    // A worker has no standard input of its own.
    let stdin = own_stdin()?;
    let value = pool.alone("[internal] load build context", move |reporter| {
        let progress = |what: &str, done, total| reporter.progress(what, done, total);
        Ok(serde_json::to_value(context::prepare(request, Some(stdin), &into, &progress)?)?)
    })?;
    serde_json::from_value(value).context("the context gave no answer")
}

fn own_stdin() -> Result<File> {
    Ok(File::from(rustix::io::dup(rustix::stdio::stdin()).context("cannot read stdin")?))
}

/// The build's own context, without what its ignore file hides.
fn own_context(prepared: &Prepared, temp: &TempDir) -> Result<ContextFolder> {
    let path = match &prepared.folder {
        Some(path) => path.clone(),
        None => folder(temp, "empty")?,
    };
    let ignore = prepared.ignore.as_ref().map(|file| {
        Patterns::parse(&file.text)
            .map_err(|mistake| fault(Kind::Usage, format!("cannot use `{}`: {mistake}", file.name)))
    });
    let ignore_file = prepared.ignore.as_ref().map(|file| file.name.clone()).unwrap_or_default();
    Ok(ContextFolder { path, name: "the build context".to_owned(), ignore: ignore.transpose()?, ignore_file })
}

/// A named context that is no image: all of it is to be seen.
fn named_context(name: &str, source: &ContextSource, temp: &TempDir, pool: &mut Pool<'_>) -> Result<ContextFolder> {
    let deed = || format!("cannot use the context `{}`", name.escape_debug());
    let path = match source {
        ContextSource::Folder(path) => {
            let path = std::fs::canonicalize(path).with_context(deed)?;
            if !path.is_dir() {
                return Err(fault(Kind::Usage, "it is not a folder").context(deed()));
            }
            path
        }
        ContextSource::Git(_) | ContextSource::Url(_) => {
            let into = folder(temp, &format!("context-{}", crate::base::digest::Digest::of(name.as_bytes()).digits()))?;
            let value = pool.alone(&format!("[context {name}] load"), |reporter| {
                let progress = |what: &str, done, total| reporter.progress(what, done, total);
                let fetched = context::fetch(source, &mut None, false, &into, &progress)?;
                Ok(serde_json::to_value(fetched.map(|fetched| fetched.folder))?)
            })?;
            let path: Option<PathBuf> = serde_json::from_value(value).with_context(deed)?;
            path.with_context(deed)?
        }
        _ => {
            return Err(
                fault(Kind::Usage, "it is neither a folder, a URL, a git repository nor an image").context(deed())
            );
        }
    };
    Ok(ContextFolder { path, name: format!("the context `{name}`"), ignore: None, ignore_file: String::new() })
}

/// Bring the image of an OCI layout here, as `PATH[:TAG]` names it: its id.
fn layout_image(site: &Site<'_>, name: &str, layout: &str, pool: &mut Pool<'_>) -> Result<String> {
    let deed = || format!("cannot use the context `{}`", name.escape_debug());
    if layout.contains('@') {
        let fault = Fault::new(Kind::Usage, "an image of a layout is chosen by its tag, not by a digest");
        return Err(
            anyhow::Error::from(fault.hint(format!("--build-context {name}=oci-layout://PATH:TAG"))).context(deed())
        );
    }
    let (engine, access) = (site.engine, &site.request.access);
    let reference = format!("oci:{layout}");
    let value = pool.alone(&format!("[context {name}] load oci-layout://{layout}"), |reporter| {
        let platform = site.request.platforms.first().cloned();
        let options = PullOptions { reference: &reference, platform, access };
        Ok(json!(image::pull(&engine.store, &options, &super::progress::Pulling::new(reporter))?.id.digits()))
    });
    serde_json::from_value(value.with_context(deed)?).with_context(deed)
}

fn folder(temp: &TempDir, name: &str) -> Result<PathBuf> {
    let path = temp.path().join(name);
    std::fs::create_dir(&path).with_context(|| format!("cannot make folder `{}`", path.display()))?;
    Ok(path)
}

/// Build for one platform.
fn one(
    site: &mut Site<'_>,
    dockerfile: &Dockerfile,
    platform: &Platform,
    named: &HashMap<String, Named>,
    pool: &mut Pool<'_>,
) -> Result<BuiltImage> {
    let mut pulled = Vec::new();
    let plan = loop {
        let mut sources = Found { engine: site.engine, policy: site.request.pull, named, pulled: &pulled };
        let plan = plan::plan(dockerfile, site.request, platform, &mut sources)?;
        if plan.missing.is_empty() {
            break plan;
        }
        pull(site, dockerfile, &plan.missing, pool)?;
        pulled.extend(plan.missing);
    };
    if !plan.unused_args.is_empty() {
        let text = format!("build arguments that nothing asks for: {}", plan.unused_args.join(", "));
        pool.tell(Event::Warning { text: &text, excerpt: None });
    }
    site.made.clear();
    site.in_image = shared::steps_of_image(&plan);
    site.caches.extend(plan.caches());
    cache_mounts::check(site)?;
    execute(site, dockerfile, &plan, pool)?;
    finish::image(site, &plan, platform, pool)
}

/// Where the planner finds images.
struct Found<'a> {
    engine: &'a Engine,
    policy: PullPolicy,
    named: &'a HashMap<String, Named>,
    /// What has been asked of registries by this build.
    pulled: &'a [(String, Platform)],
}

impl Sources for Found<'_> {
    fn image(&mut self, name: &str, platform: &Platform) -> Result<Option<(Image, Map<String, Value>)>> {
        let store = &self.engine.store;
        let was_pulled = self.pulled.iter().any(|(own, of)| own == name && of == platform);
        // An id means what is here.
        let is_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = image::find_for(store, name, Some(platform))?;
        let image = match (self.policy, found) {
            (PullPolicy::Always | PullPolicy::Newer, _) if !was_pulled && !is_id => return Ok(None),
            (_, Some(image)) => image,
            (PullPolicy::Never, None) => return Err(image::missing(store, name)),
            (_, None) if was_pulled || is_id => {
                let text = format!("there is no image `{}` for {platform}", name.escape_debug());
                return Err(fault(Kind::NotFound, text));
            }
            (_, None) => return Ok(None),
        };
        let document = self.engine.store.read_blob(&image.id, DOCUMENT_LIMIT)?;
        let document =
            serde_json::from_slice(&document).with_context(|| format!("the config of `{name}` is damaged"))?;
        Ok(Some((image, document)))
    }

    fn context(&self, name: &str) -> Option<Named> {
        self.named.get(name).cloned()
    }
}

/// Pull images, side by side.
fn pull(site: &Site<'_>, dockerfile: &Dockerfile, missing: &[(String, Platform)], pool: &mut Pool<'_>) -> Result<()> {
    let (engine, access) = (site.engine, &site.request.access);
    let mut names = HashMap::new();
    for (name, platform) in missing {
        let options = PullOptions { reference: name, platform: Some(platform.clone()), access };
        let step = pool.start(&format!("[internal] load {name}"), |reporter| {
            let progress = super::progress::Pulling::new(reporter);
            Ok(json!(image::pull(&engine.store, &options, &progress)?.id))
        })?;
        names.insert(step, name.as_str());
    }
    for _ in missing {
        let finished = pool.next()?;
        if let Err(error) = finished.result {
            // What there is serves where no registry answers.
            let newer = site.request.pull == PullPolicy::Newer;
            if newer && matches!(crate::base::error::kind(&error), Kind::Registry | Kind::NotFound) {
                continue;
            }
            let name = names.get(&finished.step).copied().unwrap_or_default();
            let excerpt = lint::mention(dockerfile, name).map(|span| lint::excerpt(dockerfile, span));
            pool.failed(finished.step, &error, excerpt.as_ref());
            return Err(lint::no_image(dockerfile, name, error));
        }
    }
    Ok(())
}

/// Execute the steps of a plan, as many at a time as there is work for.
fn execute(site: &mut Site<'_>, dockerfile: &Dockerfile, plan: &Plan, pool: &mut Pool<'_>) -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let most = site.request.jobs.filter(|jobs| *jobs > 0).unwrap_or(2 * processors.max(2));
    let mut waiting: Vec<usize> = (0..plan.steps.len()).collect();
    let mut running: HashMap<StepId, usize> = HashMap::new();
    let mut early = Early::default();
    // Until a command runs, all may be known, and looking ahead would be in the way.
    let mut works = false;
    while !waiting.is_empty() || !running.is_empty() {
        // Those that can begin, in the order of the file; one whose result is known may free others.
        let mut at = 0;
        while let Some(&index) = waiting.get(at) {
            let Some(step) = plan.steps.get(index) else { break };
            let ready = step.needs().all(|base| site.is_made(base));
            if !ready || running.len() >= most {
                at += 1;
                continue;
            }
            waiting.remove(at);
            match begin(site, StepId(index), step, &mut early, pool)? {
                Some(shown) => {
                    works |= matches!(step.op, Op::Run(_));
                    running.insert(shown, index);
                }
                None => at = 0,
            }
        }
        if works {
            for &index in &waiting {
                let (id, Some(step)) = (StepId(index), plan.steps.get(index)) else { break };
                if running.len() + early.len() < most && early.fits(site, id, step) {
                    let site = &*site;
                    early.begin(id, |reporter, waiting| work(site, step, None, Some(waiting), reporter))?;
                }
            }
        }
        if running.is_empty() {
            continue;
        }
        let finished = pool.next()?;
        let Some(index) = running.remove(&finished.step) else { continue };
        let Some(step) = plan.steps.get(index) else { continue };
        match finished.result.and_then(|value| Ok(serde_json::from_value::<Known>(value)?)) {
            Ok(known) => keep(site, StepId(index), step, &known)?,
            Err(error) => {
                let excerpt = lint::excerpt(dockerfile, step.span);
                pool.failed(finished.step, &error, Some(&excerpt));
                return Err(error);
            }
        }
    }
    if early.ended {
        // What it had.
        crate::base::temp::reap(&site.engine.dirs, crate::base::temp::Haste::AllOfIt, &mut || Ok(()))?;
    }
    Ok(())
}

/// Begin a step, or let it go on that has begun early; `None` if its result is known.
fn begin(
    site: &mut Site<'_>,
    id: StepId,
    step: &Step,
    early: &mut Early,
    pool: &mut Pool<'_>,
) -> Result<Option<StepId>> {
    let key = site.key(step)?;
    if let Some(key) = key.as_ref().filter(|_| !step.no_cache)
        && let Some(result) = site.result(key).filter(|result| fresh(site, result))
    {
        early.end(id);
        pool.cached(&step.name);
        keep(site, id, step, &Known { keys: vec![key.clone()], result })?;
        return Ok(None);
    }
    if let Base::Step(base) = &step.base
        && let Some(base) = site.made.get(base)
    {
        let start = Start { base: base.clone(), key: key.clone() };
        if let Some(shown) = early.go_on(id, &step.name, &start, pool)? {
            return Ok(Some(shown));
        }
    }
    let site = &*site;
    Ok(Some(pool.start(&step.name, move |reporter| work(site, step, key, None, reporter))?))
}

/// Do a step, in a worker.
fn work(
    site: &Site<'_>,
    step: &Step,
    key: Option<Digest>,
    waiting: Option<Waiting>,
    reporter: &Reporter,
) -> Result<Value> {
    let known = match &step.op {
        Op::Run(op) => run::run(site, step, op, key, reporter)?,
        Op::Copy(op) => {
            let (known, told) = copy::copy(site, step, op, waiting, reporter)?;
            remember(site, key.or(told), known)?
        }
        Op::Folder(op) => remember(site, key, copy::folder(site, step, op, reporter)?)?,
    };
    Ok(serde_json::to_value(known)?)
}

/// Keep a result under the key that is found without looking at files, too.
fn remember(site: &Site<'_>, key: Option<Digest>, mut known: Known) -> Result<Known> {
    if let Some(key) = key {
        site.engine.store.keep_result(&key, &known.result)?;
        known.keys.push(key);
    }
    Ok(known)
}

/// Whether a result is not too old for what was asked for.
fn fresh(site: &Site<'_>, result: &StepResult) -> bool {
    let Some(limit) = site.request.cache_ttl else { return true };
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    now.saturating_sub(result.created / 1_000_000_000) <= i64::try_from(limit).unwrap_or(i64::MAX)
}

fn keep(site: &mut Site<'_>, id: StepId, step: &Step, known: &Known) -> Result<()> {
    let result = &known.result;
    let in_image = site.in_image.contains(&id);
    site.used.extend(known.keys.iter().map(|key| Used { key: key.clone(), result: result.clone(), in_image }));
    let (mut layers, epoch) = site.layers(&step.base)?;
    layers.extend(result.layer.clone());
    let made = Made { layers, changed: result.layer.is_some(), epoch: epoch.max(result.epoch) };
    site.made.insert(id, made);
    Ok(())
}
