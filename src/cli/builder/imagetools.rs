//! `buildx imagetools`: images where registries have them.

use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::base::id::ContainerId;
use crate::cli::access::access;
use crate::cli::args::Globals;
use crate::cli::args::builder::{ImagetoolsCreate, ImagetoolsInspect};
use crate::cli::errors::escape;
use crate::cli::output::{print, print_json, print_line};
use crate::cli::progress::Shown;
use crate::cli::session;
use crate::cli::template::Format;
use crate::image::{self, Marks, Progress as _, PushOptions, Shape};
use crate::oci::image::Document;
use crate::oci::json;
use crate::oci::reference::Reference;
use crate::registry::{self, Access};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// `box buildx imagetools inspect`.
pub fn inspect(args: &ImagetoolsInspect) -> Result<u8> {
    let reference = Reference::parse(&args.name)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let access = access(&args.access, None)?;
    let bytes = registry::manifest(&access, &reference.repository(), reference.version())
        .with_context(|| format!("cannot inspect `{}`", args.name.escape_debug()))?;
    if args.raw {
        print(&String::from_utf8_lossy(&bytes))?;
        return Ok(0);
    }
    let mut document = json::object(&bytes)?;
    let digest = Digest::of(&bytes);
    if let Some(format) = format {
        document.insert("digest".into(), digest.as_str().into());
        document.insert("size".into(), bytes.len().into());
        let object = json!({ "Name": reference.to_string(), "Manifest": document });
        print_line(format.render_one(&object)?.trim_end_matches('\n'))?;
        return Ok(0);
    }
    print(&described(&reference, &bytes, &digest)?)?;
    Ok(0)
}

/// As buildx shows it.
fn described(reference: &Reference, bytes: &[u8], digest: &Digest) -> Result<String> {
    let mut out = String::new();
    let head =
        |media_type: &str| format!("Name:      {reference}\nMediaType: {}\nDigest:    {digest}\n", escape(media_type));
    match Document::parse(bytes, None)? {
        Document::Manifest(manifest) => out.push_str(&head(&manifest.media_type)),
        Document::Index(index) => {
            out.push_str(&head(&index.media_type));
            out.push_str("\nManifests:\n");
            for entry in &index.manifests {
                let _ = writeln!(out, "  Name:        {}@{}", reference.repository(), entry.digest);
                let _ = writeln!(out, "  MediaType:   {}", escape(&entry.media_type));
                if let Some(platform) = &entry.platform {
                    let _ = writeln!(out, "  Platform:    {}", escape(&platform.to_string()));
                }
                for (number, (key, value)) in entry.annotations.iter().enumerate() {
                    let label = if number == 0 { "Annotations:" } else { "" };
                    let _ = writeln!(out, "  {label:12} {}: {}", escape(key), escape(value));
                }
                out.push('\n');
            }
        }
    }
    Ok(out)
}

/// `box buildx imagetools create`: a list is made in the store under a name of its own, sent, and taken away again.
pub fn create(args: &ImagetoolsCreate, globals: &Globals) -> Result<u8> {
    let tags: Vec<Reference> = args.tag.iter().map(|text| Reference::parse(text)).collect::<Result<_>>()?;
    let annotations = args.annotation.iter().map(|text| annotation(text)).collect::<Result<BTreeMap<_, _>>>()?;
    let mut sources = sources(args)?;
    if let (true, Some(first)) = (args.append, tags.first()) {
        sources.insert(0, first.to_string());
    }
    let access = access(&args.access, Some(&args.retry))?;
    let engine = session::open(globals)?;
    let list = format!("localhost/imagetools-{}", ContainerId::random().short());
    image::create_list(&engine.store, &list, false, &annotations)?;
    let sent = fill_and_send(&engine.store, &list, &sources, &tags, &access, args);
    let removed = image::remove_list(&engine.store, &list);
    crate::container::collect_behind(&engine);
    sent?;
    removed?;
    Ok(0)
}

fn fill_and_send(
    store: &crate::store::Store,
    list: &str,
    sources: &[String],
    tags: &[Reference],
    access: &Access,
    args: &ImagetoolsCreate,
) -> Result<()> {
    let progress = Shown::new(args.quiet);
    for source in sources {
        let source = format!("docker://{source}");
        let added = image::add_to_list(store, list, &source, true, &Marks::default(), access, &progress);
        added.inspect_err(|_| progress.make_room())?;
    }
    if args.dry_run {
        return print_json(&serde_json::from_slice::<Value>(&image::list_bytes(store, list)?)?);
    }
    for tag in tags {
        progress.message(&format!("Pushing {tag}"));
        let destination = format!("docker://{tag}");
        let options = PushOptions {
            image: list,
            destination: Some(&destination),
            platform: None,
            shape: Shape::default(),
            signer: None,
            access,
        };
        let pushed = image::push_manifest_list(store, &options, &[], true, &progress);
        let pushed = pushed.inspect_err(|_| progress.make_room())?;
        progress.message(&format!("Digest: {}", pushed.digest));
    }
    Ok(())
}

fn sources(args: &ImagetoolsCreate) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for path in &args.file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        all.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    all.extend(args.sources.iter().cloned());
    if all.is_empty() && !args.append {
        return Err(fault(Kind::Usage, "there is no image to make a list of"));
    }
    all.iter().map(|text| Reference::parse(text).map(|reference| reference.to_string())).collect()
}

/// `[index:]KEY=VALUE`.
fn annotation(text: &str) -> Result<(String, String)> {
    let bare = text.strip_prefix("index:").unwrap_or(text);
    match bare.split_once('=').filter(|(key, _)| !key.is_empty() && !key.contains(':')) {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => {
            let fault = Fault::new(Kind::Usage, format!("`--annotation {}` is not KEY=VALUE", text.escape_debug()));
            Err(fault.hint("--annotation org.opencontainers.image.title=app").into())
        }
    }
}
