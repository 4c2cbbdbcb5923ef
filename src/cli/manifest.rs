//! `manifest`: lists of images for several platforms.

use super::access::access;
use super::args::Globals;
use super::args::manifest::{Add, Annotate, Create, Exists, Inspect, ManifestVerb, MarkFlags, Push, Remove, Rm};
use super::output::{print_json, print_line};
use super::progress::Shown;
use super::{errors, push, session, trust};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, kind};
use crate::engine::Engine;
use crate::image::{self, Marks, Progress, PushOptions};
use crate::oci::reference::Reference;
use crate::registry::{self, Access};
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// `box manifest …`.
pub fn manifest(verb: &ManifestVerb, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    match verb {
        ManifestVerb::Create(args) => create(args, &engine),
        ManifestVerb::Add(args) => add(args, &engine),
        ManifestVerb::Annotate(args) => annotate(args, &engine),
        ManifestVerb::Inspect(args) => inspect(args, &engine),
        ManifestVerb::Push(args) => push_list(args, &engine),
        ManifestVerb::Rm(args) => rm(args, &engine),
        ManifestVerb::Remove(args) => remove(args, &engine),
        ManifestVerb::Exists(args) => exists(args, &engine),
    }
}

fn create(args: &Create, engine: &Engine) -> Result<u8> {
    let annotations = annotations(&args.annotation)?;
    let mut id = image::create_list(&engine.store, &args.list, args.amend, &annotations)?;
    let access = access(&args.access, None)?;
    for name in &args.images {
        let added = add_one(engine, &args.list, name, args.all, &Marks::default(), &access);
        // A list that was to hold more is not left behind.
        id = added.inspect_err(|_| {
            if !args.amend {
                let _ = image::remove_list(&engine.store, &args.list);
            }
        })?;
    }
    print_line(id.digits())?;
    Ok(0)
}

fn add(args: &Add, engine: &Engine) -> Result<u8> {
    let (marks, access) = (marks(&args.marks)?, access(&args.access, None)?);
    let mut last = None;
    for name in &args.images {
        last = Some(add_one(engine, &args.list, name, args.all, &marks, &access)?);
    }
    print_line(last.as_ref().map_or("", Digest::digits))?;
    Ok(0)
}

fn add_one(engine: &Engine, list: &str, name: &str, all: bool, marks: &Marks, access: &Access) -> Result<Digest> {
    let progress = Shown::new(false);
    let added = image::add_to_list(&engine.store, list, name, all, marks, access, &progress);
    if added.is_err() {
        progress.make_room();
    }
    added
}

fn annotate(args: &Annotate, engine: &Engine) -> Result<u8> {
    let id = image::annotate_list(&engine.store, &args.list, args.image.as_deref(), &marks(&args.marks)?)?;
    print_line(id.digits())?;
    Ok(0)
}

fn inspect(args: &Inspect, engine: &Engine) -> Result<u8> {
    let bytes = match image::list_bytes(&engine.store, &args.list) {
        Err(error) if kind(&error) == Kind::NotFound => {
            let text = args.list.strip_prefix("docker://").unwrap_or(&args.list);
            let reference = Reference::parse(text)?;
            let access = access(&args.access, None)?;
            registry::manifest(&access, &reference.repository(), reference.version())
                .with_context(|| format!("cannot inspect `{}`", args.list.escape_debug()))?
        }
        other => other?,
    };
    print_json(&serde_json::from_slice(&bytes)?)?;
    Ok(0)
}

fn push_list(args: &Push, engine: &Engine) -> Result<u8> {
    let access = access(&args.access, Some(&args.retry))?;
    let packed = args.packing.compression_format.as_deref();
    let shape = push::shape(args.format.as_deref(), packed, &args.packing)?;
    let variants = args.add_compression.iter().map(|format| push::compression(format, None));
    let variants = variants.collect::<Result<Vec<_>>>()?;
    let (destination, signer) = (args.destination.as_deref(), trust::signer(&args.signing));
    let options = PushOptions { image: &args.list, destination, platform: None, shape, signer, access: &access };
    let progress = Shown::new(args.quiet);
    let pushed = image::push_manifest_list(&engine.store, &options, &variants, args.all.unwrap_or(true), &progress);
    if pushed.is_err() {
        progress.make_room();
    }
    let pushed = pushed?;
    progress.message(&format!("Digest: {}", pushed.digest));
    if let Some(file) = &args.digestfile {
        std::fs::write(file, pushed.digest.as_str()).with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    if args.rm {
        image::remove_list(&engine.store, &args.list)?;
    }
    Ok(0)
}

fn rm(args: &Rm, engine: &Engine) -> Result<u8> {
    let mut failures = Vec::new();
    for list in &args.lists {
        match image::remove_list(&engine.store, list) {
            Ok((names, digest)) => {
                for name in names {
                    print_line(&format!("Untagged: {name}"))?;
                }
                print_line(&format!("Deleted: {}", digest.digits()))?;
            }
            Err(error) if args.ignore && kind(&error) == Kind::NotFound => {}
            Err(error) => {
                errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    Ok(session::code(&failures))
}

fn remove(args: &Remove, engine: &Engine) -> Result<u8> {
    let id = image::remove_from_list(&engine.store, &args.list, &args.digest)?;
    print_line(id.digits())?;
    Ok(0)
}

fn exists(args: &Exists, engine: &Engine) -> Result<u8> {
    Ok(u8::from(!image::list_exists(&engine.store, &args.list)?))
}

fn marks(flags: &MarkFlags) -> Result<Marks> {
    Ok(Marks {
        arch: flags.arch.clone(),
        os: flags.os.clone(),
        os_version: flags.os_version.clone(),
        os_features: flags.os_features.clone(),
        features: flags.features.clone(),
        variant: flags.variant.clone(),
        annotations: annotations(&flags.annotation)?,
    })
}

fn annotations(texts: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
        let bad =
            || Fault::new(Kind::Usage, format!("`--annotation` cannot be `{text}`")).hint("--annotation KEY=VALUE");
        pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| bad().into())
    };
    texts.iter().map(pair).collect()
}
