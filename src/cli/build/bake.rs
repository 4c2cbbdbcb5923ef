//! `buildx bake`: builds that a file describes, each as `build` with the words of its target.

use super::super::args::Globals;
use super::super::args::build::Build;
use super::super::args::builder::Bake;
use super::super::output::{pretty_json, print_json, print_line};
use super::super::session;
use super::progress::{Mode, Shown};
use super::{metadata, request};
use crate::bake::{File, Resolved, Target, resolve};
use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use crate::build::{self, BuildRequest, ContextSource, FileSource};
use anyhow::{Context, Result};
use serde_json::Map;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// A larger file is none.
const MAX_FILE: u64 = 16 << 20;
/// The files that are read if none is given, as far as they are there: one of the first five, and these of bake's own.
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OWN: [&str; 4] = ["docker-bake.json", "docker-bake.hcl", "docker-bake.override.json", "docker-bake.override.hcl"];

/// `box buildx bake`: an id a target on stdout.
pub fn bake(args: &Bake, globals: &Globals) -> Result<u8> {
    let resolved = resolved(args)?;
    if args.print {
        return print_json(&serde_json::to_value(&resolved)?).map(|()| 0);
    }
    let mut requests = BTreeMap::new();
    for (name, target) in &resolved.target {
        let deed = || format!("cannot build target `{}`", name.escape_debug());
        requests.insert(name.clone(), of_target(args, target).with_context(deed)?);
    }
    let engine = session::open(globals)?;
    let mode = Mode::parse(args.progress.as_deref().unwrap_or_default())?;
    let mut done: BTreeMap<String, String> = BTreeMap::new();
    let mut all = Map::new();
    for name in order(&resolved)? {
        let Some(mut request) = requests.remove(&name) else { continue };
        for (_, context) in &mut request.contexts {
            if let ContextSource::Target(other) = context {
                let image = done.get(other).with_context(|| format!("target `{other}` has made no image"))?;
                *context = ContextSource::Image(image.clone());
            }
        }
        let mut shown = Shown::new(mode)?;
        let result = build::build(&engine, &request, &mut shown);
        shown.end(result.is_ok());
        let built = result.with_context(|| format!("cannot build target `{}`", name.escape_debug()))?;
        if let Some(image) = built.images.first() {
            print_line(image.id.digits())?;
            done.insert(name.clone(), image.id.digits().to_owned());
        }
        all.insert(name, metadata(&built));
    }
    if let Some(path) = &args.metadata_file {
        let text = pretty_json(&all.into())?;
        std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(0)
}

/// The targets that were asked for, and those that they take files from.
fn resolved(args: &Bake) -> Result<Resolved> {
    let file = read(args)?;
    let mut names = if args.targets.is_empty() { vec!["default".to_owned()] } else { args.targets.clone() };
    loop {
        let resolved = resolve(&file, &names, &args.set, &env::by_name)?;
        let sources = resolved.target.values().flat_map(|target| target.contexts.values());
        let missing = sources.filter_map(|source| source.strip_prefix("target:"));
        match missing.into_iter().find(|name| !resolved.target.contains_key(*name)).map(str::to_owned) {
            Some(name) => names.push(name),
            None => return Ok(resolved),
        }
    }
}

/// The files that were given, or those that lie here.
fn read(args: &Bake) -> Result<File> {
    let mut file = File::default();
    let here = || -> Vec<String> {
        let there = |name: &&str| Path::new(name).exists();
        COMPOSE
            .into_iter()
            .find(|name| there(name))
            .into_iter()
            .chain(OWN.into_iter().filter(there))
            .map(str::to_owned)
            .collect()
    };
    let names = if args.file.is_empty() { here() } else { args.file.clone() };
    if names.is_empty() {
        let fault = Fault::new(Kind::NotFound, "there is no docker-bake.hcl, docker-bake.json or compose file here");
        return Err(fault.hint("box buildx bake -f FILE").into());
    }
    for name in names {
        let deed = || format!("cannot read `{}`", name.escape_debug());
        let bytes = match name.as_str() {
            "-" => {
                let mut bytes = Vec::new();
                std::io::stdin().take(MAX_FILE).read_to_end(&mut bytes).with_context(deed)?;
                bytes
            }
            path => read_limited(Path::new(path), MAX_FILE).with_context(deed)?,
        };
        let text = String::from_utf8(bytes).map_err(|_| fault(Kind::Usage, "it is no text")).with_context(deed)?;
        file.read(&name, &text, &env::by_name)?;
    }
    Ok(file)
}

/// The request of a target, through the words of `build`.
fn of_target(args: &Bake, target: &Target) -> Result<BuildRequest> {
    let pair = |(key, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{key}={value}"),
        None => key.clone(),
    };
    let context = target.context.clone().unwrap_or_else(|| ".".to_owned());
    let mut build = Build {
        // A Dockerfile is named from its context.
        file: target.dockerfile.as_ref().map(|file| match Path::new(&context).is_dir() {
            true => Path::new(&context).join(file).display().to_string(),
            false => file.clone(),
        }),
        build_context: target.contexts.iter().map(|(name, source)| format!("{name}={source}")).collect(),
        build_arg: target.args.iter().map(pair).collect(),
        label: target.labels.iter().map(pair).collect(),
        tag: target.tags.clone(),
        cache_from: target.cache_from.clone(),
        cache_to: target.cache_to.clone(),
        target: target.target.clone(),
        secret: target.secret.clone(),
        ssh: target.ssh.clone(),
        platform: target.platforms.clone(),
        output: target.output.clone(),
        pull: (args.pull || target.pull == Some(true)).then(|| "true".to_owned()),
        no_cache: args.no_cache || target.no_cache == Some(true),
        no_cache_filter: target.no_cache_filter.clone(),
        annotation: target.annotations.clone(),
        attest: target.attest.clone(),
        push: args.push,
        context: Some(context),
        ..Build::default()
    };
    build.run.network = target.network.clone();
    build.run.shm_size = target.shm_size.clone();
    build.run.ulimit = target.ulimits.clone();
    build.run.add_host = target.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
    build.run.allow = target.entitlements.clone();
    let mut request = request::of_build(&build)?;
    if let Some(text) = &target.dockerfile_inline {
        request.file = FileSource::Inline(text.clone());
    }
    Ok(request)
}

/// The targets, each after those that it takes files from.
fn order(resolved: &Resolved) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let mut waiting: Vec<&String> = resolved.target.keys().collect();
    while !waiting.is_empty() {
        let needs = |name: &String| {
            let contexts = resolved.target.get(name).into_iter().flat_map(|target| target.contexts.values());
            contexts.filter_map(|source| source.strip_prefix("target:")).map(str::to_owned).collect::<Vec<_>>()
        };
        let Some(at) = waiting.iter().position(|name| needs(name).iter().all(|other| done.contains(other))) else {
            let names: Vec<&str> = waiting.iter().map(|name| name.as_str()).collect();
            let text = format!("targets wait for each other: {}", names.join(", "));
            return Err(fault(Kind::Usage, text));
        };
        done.push(waiting.remove(at).clone());
    }
    Ok(done)
}
