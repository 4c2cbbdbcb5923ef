//! `search`: images of registries, and the tags of a repository.

use super::access::access;
use super::args::search::Search;
use super::errors;
use super::output::{print, print_line, table};
use super::session;
use super::template::Format;
use crate::base::error::{Fault, Kind, kind};
use crate::config::registries::Registries;
use crate::oci::reference::Reference;
use crate::registry::{self, Access, Found, SearchOptions};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Descriptions are cut to this many characters.
const DESCRIPTION: usize = 44;

/// `box search`.
pub fn search(args: &Search) -> Result<u8> {
    let filters = args.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let access = access(&args.access, None)?;
    if args.list_tags {
        return list_tags(args, &access, format.as_ref());
    }
    let (registries, term) = where_and_what(&args.term)?;
    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for registry in &registries {
        let options = SearchOptions { term: &term, limit: args.limit };
        match registry::search(&access, registry, options)
            .with_context(|| format!("cannot search `{registry}` for `{}`", term.escape_debug()))
        {
            Ok(found) => rows.extend(
                found
                    .into_iter()
                    .filter(|found| filters.iter().all(|filter| filter.fits(found)))
                    .map(|found| row(registry, &found, args.no_trunc)),
            ),
            Err(error) => {
                errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    // A table without a row would say that there is nothing.
    if failures.len() < registries.len() {
        show(&rows, args, format.as_ref())?;
    }
    Ok(session::code(&failures))
}

/// The registries to ask, and the word: a host in front of it, or those for short names.
fn where_and_what(term: &str) -> Result<(Vec<String>, String)> {
    if let Some((host, word)) = term.split_once('/')
        && (host.contains(['.', ':']) || host == "localhost")
    {
        registry::check_name(host).with_context(|| format!("`{}` is no registry", host.escape_debug()))?;
        return Ok((vec![host.to_owned()], word.to_owned()));
    }
    Ok((Registries::load()?.search_registries(), term.to_owned()))
}

fn row(registry: &str, found: &Found, whole: bool) -> Value {
    let description: String = found.description.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = !whole && description.chars().count() > DESCRIPTION;
    let description = match cut {
        true => description.chars().take(DESCRIPTION - 3).chain("...".chars()).collect(),
        false => description,
    };
    let mark = |is: bool| if is { "[OK]" } else { "" };
    json!({
        "Index": registry,
        "Name": format!("{registry}/{}", found.name),
        "Description": description,
        "Stars": found.star_count,
        "Official": mark(found.is_official),
        "Automated": mark(found.is_automated),
        "Tag": "",
    })
}

fn heading(field: &str) -> String {
    field.to_ascii_uppercase()
}

fn show(rows: &[Value], args: &Search, format: Option<&Format>) -> Result<()> {
    if let Some(format) = format {
        return print(&format.render(rows, &heading)?);
    }
    let columns: &[&str] = match args.compatible {
        true => &["Name", "Description", "Stars", "Official", "Automated"],
        false => &["Name", "Description"],
    };
    let mut lines = vec![columns.iter().map(|column| heading(column)).collect::<Vec<_>>()];
    let cell = |row: &Value, column: &str| match row.get(column) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    print(&table(&lines))
}

/// `--list-tags`: the tags of one repository.
fn list_tags(args: &Search, access: &Access, format: Option<&Format>) -> Result<u8> {
    if !args.filter.is_empty() {
        return Err(Fault::new(Kind::Usage, "`--list-tags` and `--filter` do not go together").into());
    }
    let reference = Reference::parse(args.term.strip_prefix("docker://").unwrap_or(&args.term))?;
    if reference.tag.is_some() || reference.digest.is_some() {
        let text = format!("`{}` has a tag, and all are asked for", args.term.escape_debug());
        return Err(Fault::new(Kind::Usage, text).into());
    }
    let repository = reference.repository();
    let mut tags = registry::tags(access, &repository)
        .with_context(|| format!("cannot list the tags of `{}`", args.term.escape_debug()))?;
    tags.truncate(args.limit);
    if format.is_some_and(Format::is_json) {
        // podman's form for tags.
        let value = json!([{ "Name": repository, "Tags": tags }]);
        super::output::print_json(&value)?;
        return Ok(0);
    }
    if let Some(format) = format {
        let rows: Vec<Value> = tags.iter().map(|tag| json!({ "Name": repository, "Tag": tag })).collect();
        return print(&format.render(&rows, &heading)?).map(|()| 0);
    }
    if tags.is_empty() {
        print_line("NAME        TAG")?;
        return Ok(0);
    }
    let mut lines = vec![vec!["NAME".to_owned(), "TAG".to_owned()]];
    lines.extend(tags.into_iter().map(|tag| vec![repository.clone(), tag]));
    print(&table(&lines))?;
    Ok(0)
}

/// `--filter`.
enum Filter {
    Stars(u64),
    Official(bool),
    Automated(bool),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').unwrap_or((text, "true"));
        let found = match (key, value) {
            ("stars", number) => number.parse().ok().map(Self::Stars),
            ("is-official", "true" | "false") => Some(Self::Official(value == "true")),
            ("is-automated", "true" | "false") => Some(Self::Automated(value == "true")),
            _ => None,
        };
        found.ok_or_else(|| {
            let fault = Fault::new(Kind::Usage, format!("`--filter` cannot be `{}`", text.escape_debug()));
            fault.hint("stars=NUMBER, is-official or is-automated").into()
        })
    }

    fn fits(&self, found: &Found) -> bool {
        match self {
            Self::Stars(least) => found.star_count >= *least,
            Self::Official(wanted) => found.is_official == *wanted,
            Self::Automated(wanted) => found.is_automated == *wanted,
        }
    }
}
