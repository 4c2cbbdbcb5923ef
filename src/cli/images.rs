//! `images`: lists images: filters, the table, templates and podman's JSON.

use super::args::Globals;
use super::args::images::Images;
use super::output::{print, table};
use super::session;
use super::template::Format;
use crate::base::error::{Fault, Kind, fault};
use crate::base::{time, units};
use crate::container;
use crate::container::config::RootSource;
use crate::container::filter::has_label;
use crate::engine::Engine;
use crate::image::{self, Image};
use anyhow::Result;
use serde_json::{Value, json};

/// How many digits of a size podman shows.
const DIGITS: usize = 3;

/// `box images`.
pub fn images(args: &Images, globals: &Globals) -> Result<u8> {
    let mut filters = args.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
    filters.extend(args.name.clone().map(Filter::Reference));
    let engine = session::open(globals)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut all = image::list(&engine.store)?;
    all.sort_by_key(|image| std::cmp::Reverse(created(image)));
    let context = Context::find(&engine, &filters)?;
    all.retain(|image| matches_all(image, &filters, &context));
    // Of an image with several names, only those that were asked for are shown.
    let asked: Vec<&String> =
        filters.iter().filter_map(|f| if let Filter::Reference(text) = f { Some(text) } else { None }).collect();
    if !asked.is_empty() {
        for image in &mut all {
            image.names.retain(|name| asked.iter().any(|pattern| reference_matches(name, pattern)));
        }
    }
    print(&show(&engine, &all, args, format.as_ref())?)?;
    Ok(0)
}

/// Nanoseconds since 1970; 0 where the image does not say.
fn created(image: &Image) -> i64 {
    image.config.created.as_deref().and_then(time::parse_rfc3339).unwrap_or(0)
}

fn show(engine: &Engine, all: &[Image], args: &Images, format: Option<&Format>) -> Result<String> {
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
            true => all.iter().map(|image| as_json(engine, image, count(image))).collect(),
            false => all.iter().flat_map(|image| fields(engine, image, args.no_trunc, count(image), now)).collect(),
        };
        return format.render(&rows, &heading);
    }
    let mut columns = vec!["REPOSITORY", "TAG"];
    columns.extend(args.digests.then_some("DIGEST"));
    columns.extend(["IMAGE ID", "CREATED", "SIZE"]);
    let mut rows: Vec<Vec<String>> = Vec::new();
    if !args.noheading {
        rows.push(columns.into_iter().map(str::to_owned).collect());
    }
    for image in all {
        let size = units::spaced_size(image.size(&engine.store), DIGITS);
        for (repository, tag) in names(image) {
            let mut row = vec![repository, tag];
            row.extend(args.digests.then(|| image.manifest.digest.to_string()));
            row.extend([shown_id(image, args.no_trunc), time::ago(created(image), now), size.clone()]);
            rows.push(row);
        }
    }
    Ok(table(&rows))
}

fn shown_id(image: &Image, full: bool) -> String {
    let digits = image.id.digits();
    if full { format!("sha256:{digits}") } else { digits.get(..12).unwrap_or(digits).to_owned() }
}

/// Repository and tag of each name; `<none>` where there is none.
fn names(image: &Image) -> Vec<(String, String)> {
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
fn as_json(engine: &Engine, image: &Image, containers: usize) -> Value {
    let size = image.size(&engine.store);
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
        "History": image.names,
        "Created": created(image) / 1_000_000_000,
        "CreatedAt": image.config.created.clone().unwrap_or_default(),
        "Dangling": image.names.is_empty(),
        "Arch": image.config.architecture,
        "Os": image.config.os,
        "IsManifestList": false,
    })
}

/// A row for each name as templates see it.
fn fields(engine: &Engine, image: &Image, full: bool, containers: usize, now: i64) -> Vec<Value> {
    let size = units::spaced_size(image.size(&engine.store), DIGITS);
    let made = created(image);
    let row = |(repository, tag): (String, String)| {
        json!({
            "ID": shown_id(image, full), "Id": image.id.digits(),
            "Repository": repository, "Tag": tag, "Digest": image.manifest.digest.as_str(),
            "Created": time::ago(made, now), "CreatedSince": time::ago(made, now), "CreatedAt": time::go_text(made),
            "CreatedTime": time::go_text(made),
            "Size": size, "VirtualSize": size, "Labels": image.config.labels, "Names": image.names,
            "RepoTags": image.repo_tags(), "RepoDigests": image.repo_digests(), "Containers": containers,
            "Dangling": image.names.is_empty(), "Arch": image.config.architecture, "Os": image.config.os,
            "ParentId": "", "History": image.names.join(", "), "ReadOnly": false,
        })
    };
    names(image).into_iter().map(row).collect()
}

/// One `--filter`, or the argument.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    Reference(String),
    Dangling(bool),
    Id(String),
    Label(String),
    Before(String),
    Since(String),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let keys = "reference dangling id label before since";
        let wrong = |text: String| Fault::new(Kind::Usage, text).hint(format!("the keys are: {keys}"));
        let (key, value) = text.split_once('=').ok_or_else(|| wrong(format!("`--filter {text}` is not KEY=VALUE")))?;
        let value = value.to_owned();
        Ok(match key {
            "reference" => Self::Reference(value),
            "dangling" => match value.as_str() {
                "true" | "1" => Self::Dangling(true),
                "false" | "0" => Self::Dangling(false),
                _ => return Err(fault(Kind::Usage, format!("`dangling` is neither true nor false but `{value}`"))),
            },
            "id" => Self::Id(value),
            "label" => Self::Label(value),
            "before" => Self::Before(value),
            "since" | "after" => Self::Since(value),
            other => return Err(wrong(format!("`--filter`: there is no filter `{other}`")).into()),
        })
    }
}

/// What filters need to know beside the image: when the images they name were made.
struct Context(Vec<(String, i64)>);

impl Context {
    fn find(engine: &Engine, filters: &[Filter]) -> Result<Self> {
        let mut times = Vec::new();
        for filter in filters {
            if let Filter::Before(name) | Filter::Since(name) = filter {
                let missing = || Fault::new(Kind::NotFound, format!("no such image `{name}`")).hint("box images");
                times.push((name.clone(), created(&image::find(&engine.store, name)?.ok_or_else(missing)?)));
            }
        }
        Ok(Self(times))
    }

    fn made(&self, name: &str) -> i64 {
        self.0.iter().find(|(known, _)| known == name).map_or(0, |(_, made)| *made)
    }
}

/// The same key twice means either, labels excepted; different keys mean both.
fn matches_all(image: &Image, filters: &[Filter], context: &Context) -> bool {
    let same = |a: &Filter, b: &Filter| std::mem::discriminant(a) == std::mem::discriminant(b);
    filters.iter().all(|filter| match filter {
        Filter::Label(_) => matches(image, filter, context),
        filter => filters.iter().filter(|other| same(filter, other)).any(|other| matches(image, other, context)),
    })
}

fn matches(image: &Image, filter: &Filter, context: &Context) -> bool {
    match filter {
        Filter::Reference(pattern) => image.names.iter().any(|name| reference_matches(name, pattern)),
        Filter::Dangling(wanted) => image.names.is_empty() == *wanted,
        Filter::Id(prefix) => image.id.digits().starts_with(prefix.strip_prefix("sha256:").unwrap_or(prefix)),
        Filter::Label(wanted) => has_label(&image.config.labels, wanted),
        Filter::Before(name) => created(image) < context.made(name),
        Filter::Since(name) => created(image) > context.made(name),
    }
}

/// Whether a pattern with `*` and `?` fits a full name, its end after any slash, with or without its tag.
fn reference_matches(name: &str, pattern: &str) -> bool {
    let untagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(rest, _)| rest);
    let fits = |full: &str| {
        let ends = full.match_indices('/').filter_map(|(at, _)| full.get(at + 1..));
        std::iter::once(full).chain(ends).any(|end| glob(pattern.as_bytes(), end.as_bytes()))
    };
    fits(name) || fits(untagged)
}

/// `*` is anything, `?` one byte.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star, mut mark) = (0, 0, None, 0);
    while let Some(&byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some(p);
                mark = t;
                p += 1;
            }
            Some(&b) if b == b'?' || b == byte => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some(at) = star else { return false };
                p = at + 1;
                mark += 1;
                t = mark;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let name = "docker.io/library/alpine:3.20";
        for (pattern, fits) in [
            ("alpine", true),
            ("alpine:3.20", true),
            ("alpine:*", true),
            ("alp*", true),
            ("*alpine*", true),
            ("library/alpine", true),
            ("docker.io/library/alpine:3.20", true),
            ("docker.io/*/alpine", true),
            ("alpin", false),
            ("pine", false),
            ("alpine:3.2", false),
            ("alpine:3.2?", true),
            ("", false),
        ] {
            assert_eq!(reference_matches(name, pattern), fits, "{pattern}");
        }
    }

    #[test]
    fn filters() {
        assert_eq!(Filter::parse("dangling=true").unwrap(), Filter::Dangling(true));
        assert_eq!(Filter::parse("after=x").unwrap(), Filter::Since("x".into()));
        assert!(
            Filter::parse("nope=x").is_err()
                && Filter::parse("dangling").is_err()
                && Filter::parse("dangling=x").is_err()
        );
    }
}
