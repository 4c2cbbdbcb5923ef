//! `images`: lists images: filters, the table, templates and podman's JSON.

use super::args::Globals;
use super::args::images::Images;
use super::image::{Selection, platforms};
use super::output::{print, table};
use super::session::{self, created};
use super::template::Format;
use crate::base::digest::Digest;
use crate::base::{time, units};
use crate::container;
use crate::container::config::RootSource;
use crate::engine::Engine;
use crate::image::{self, Image};
use crate::store::Store;
use anyhow::Result;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;

/// How many digits of a size podman shows.
const DIGITS: usize = 3;

/// `box images`.
pub fn images(args: &Images, globals: &Globals) -> Result<u8> {
    let mut selection = Selection::parse(&args.filter, args.name.as_deref())?;
    let engine = session::open(globals)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    selection.look(&engine)?;
    if args.tree {
        return platforms(&engine, &selection, args.noheading);
    }
    let mut all = image::list(&engine.store)?;
    all.retain(|image| selection.fits(image));
    all.iter_mut().for_each(|image| selection.narrow(image));
    let sizes = Sizes { store: &engine.store, layers: RefCell::default() };
    sort(&sizes, &mut all, args.sort.as_deref());
    print(&show(&engine, &sizes, &all, args, format.as_ref())?)?;
    Ok(0)
}

/// The sizes of images, each of whose layers is looked at once.
struct Sizes<'a> {
    store: &'a Store,
    layers: RefCell<HashMap<Digest, u64>>,
}

impl Sizes<'_> {
    fn of(&self, image: &Image) -> u64 {
        let mut known = self.layers.borrow_mut();
        let mut size = |layer: &Digest| match known.get(layer) {
            Some(size) => *size,
            None => *known.entry(layer.clone()).or_insert(self.store.layer_size(layer).unwrap_or(0)),
        };
        image.layers.iter().map(|layer| size(&layer.diff_id)).sum()
    }
}

/// By a key; without one those made last come first.
fn sort(sizes: &Sizes<'_>, all: &mut [Image], key: Option<&str>) {
    // Sorting is stable: what is equal stays newest first.
    all.sort_by_key(|image| std::cmp::Reverse(created(image)));
    match key {
        Some("id") => all.sort_by(|a, b| a.id.cmp(&b.id)),
        Some("size") => all.sort_by_key(|image| sizes.of(image)),
        _ => {}
    }
}

/// A line for each name, in the order of the images, or by names.
fn lines<'a>(all: &'a [Image], key: Option<&str>) -> Vec<(&'a Image, (String, String))> {
    let mut lines: Vec<_> =
        all.iter().flat_map(|image| names(image).into_iter().map(move |name| (image, name))).collect();
    match key {
        Some("repository") => lines.sort_by(|a, b| a.1.cmp(&b.1)),
        Some("tag") => lines.sort_by(|a, b| a.1.1.cmp(&b.1.1)),
        _ => {}
    }
    lines
}

fn show(engine: &Engine, sizes: &Sizes<'_>, all: &[Image], args: &Images, format: Option<&Format>) -> Result<String> {
    let now = time::now();
    if args.quiet {
        return Ok(all.iter().map(|image| format!("{}\n", shown_id(image, args.no_trunc))).collect());
    }
    if let Some(format) = format {
        let users = container::all(engine);
        let count = |image: &Image| {
            let uses = |root: &RootSource| matches!(root, RootSource::Image { id, .. } if *id == image.id);
            users.iter().filter(|container| uses(&container.config.root)).count()
        };
        let rows: Vec<Value> = match format.is_json() {
            true => all.iter().map(|image| as_json(sizes, image, count(image))).collect(),
            false => lines(all, args.sort.as_deref())
                .into_iter()
                .map(|(image, name)| fields(sizes, image, name, args.no_trunc, count(image), now))
                .collect(),
        };
        return format.render(&rows, &heading);
    }
    let mut columns = vec!["REPOSITORY", "TAG"];
    columns.extend(args.digests.then_some("DIGEST"));
    columns.extend(["IMAGE ID", "CREATED", "SIZE"]);
    columns.extend(args.history.then_some("HISTORY"));
    let some_read_only = all.iter().any(|image| image.read_only);
    columns.extend(some_read_only.then_some("R/O"));
    let mut rows: Vec<Vec<String>> = Vec::new();
    if !args.noheading {
        rows.push(columns.into_iter().map(str::to_owned).collect());
    }
    for (image, (repository, tag)) in lines(all, args.sort.as_deref()) {
        let mut row = vec![repository, tag];
        row.extend(args.digests.then(|| image.manifest.digest.to_string()));
        let size = units::spaced_size(sizes.of(image), DIGITS);
        row.extend([shown_id(image, args.no_trunc), time::ago(created(image), now), size]);
        row.extend(args.history.then(|| image.all_names().join(", ")));
        row.extend(some_read_only.then(|| image.read_only.to_string()));
        rows.push(row);
    }
    Ok(table(&rows))
}

fn shown_id(image: &Image, full: bool) -> String {
    let digits = image.id.digits();
    if full { format!("sha256:{digits}") } else { digits.get(..12).unwrap_or(digits).to_owned() }
}

/// Repository and tag of each name; `<none>` where there is none.
pub fn names(image: &Image) -> Vec<(String, String)> {
    let split = |name: &String| match name.split_once('@') {
        Some((repository, _)) => (repository.to_owned(), "<none>".to_owned()),
        None => match name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((repository, tag)) => (repository.to_owned(), tag.to_owned()),
            None => (name.clone(), "<none>".to_owned()),
        },
    };
    let mut names: Vec<_> = image.names.iter().map(split).collect();
    if names.is_empty() {
        names.push(("<none>".to_owned(), "<none>".to_owned()));
    }
    names
}

fn heading(field: &str) -> String {
    match field {
        "ID" | "Id" => "IMAGE ID".to_owned(),
        "CreatedSince" | "CreatedAt" => "CREATED".to_owned(),
        other => other.to_uppercase(),
    }
}

/// An image as podman's `--format json` has it.
fn as_json(sizes: &Sizes<'_>, image: &Image, containers: usize) -> Value {
    let size = sizes.of(image);
    json!({
        "Id": image.id.digits(),
        "ParentId": "",
        "RepoTags": image.repo_tags(),
        "RepoDigests": image.repo_digests(),
        "Size": size,
        "SharedSize": 0,
        "VirtualSize": size,
        "Labels": image.config.labels,
        "Containers": containers,
        "Names": image.names,
        "Digest": image.manifest.digest.as_str(),
        "History": image.all_names(),
        "Created": created(image) / 1_000_000_000,
        "CreatedAt": image.config.created.clone().unwrap_or_default(),
        "Dangling": image.names.is_empty(),
        "Arch": image.config.architecture,
        "Os": image.config.os,
        "ReadOnly": image.read_only,
        "IsManifestList": false,
    })
}

/// A line as templates see it.
fn fields(
    sizes: &Sizes<'_>,
    image: &Image,
    (repository, tag): (String, String),
    full: bool,
    containers: usize,
    now: i64,
) -> Value {
    let size = units::spaced_size(sizes.of(image), DIGITS);
    let made = created(image);
    json!({
        "ID": shown_id(image, full), "Id": image.id.digits(),
        "Repository": repository, "Tag": tag, "Digest": image.manifest.digest.as_str(),
        "Created": time::ago(made, now), "CreatedSince": time::ago(made, now), "CreatedAt": time::go_text(made),
        "CreatedTime": time::go_text(made),
        "Size": size, "VirtualSize": size, "Labels": image.config.labels, "Names": image.names,
        "RepoTags": image.repo_tags(), "RepoDigests": image.repo_digests(), "Containers": containers,
        "Dangling": image.names.is_empty(), "Arch": image.config.architecture, "Os": image.config.os,
        "ParentId": "", "History": image.all_names().join(", "), "ReadOnly": image.read_only,
    })
}
