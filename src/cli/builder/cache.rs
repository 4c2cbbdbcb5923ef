//! `builder du` and `builder prune`.

use crate::base::error::{Fault, Kind};
use crate::base::time;
use crate::base::units::{human_size, parse_bytes};
use crate::build::kept::{self, Kept, PruneKept};
use crate::cli::args::Globals;
use crate::cli::args::builder::{Du, Prune};
use crate::cli::output::{print, table};
use crate::cli::session;
use crate::cli::template::Format;
use anyhow::Result;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// `box builder du`.
pub fn du(args: &Du, globals: &Globals) -> Result<u8> {
    let filters = Filters::parse(&args.filter)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let engine = session::open(globals)?;
    let mut all = kept::entries(&engine)?;
    all.retain(|kept| filters.fit(kept));
    if let Some(format) = format {
        let rows: Vec<Value> = all.iter().map(row).collect();
        print(&format.render(&rows, &|field| field.to_uppercase())?)?;
        return Ok(0);
    }
    let mut out = listing(&all, args.verbose);
    let sum = |shared: bool| all.iter().filter(|kept| kept.shared == shared).map(|kept| kept.size).sum();
    let (shared, own): (u64, u64) = (sum(true), sum(false));
    let _ = writeln!(out, "Shared:\t\t{}\nReclaimable:\t{}", human_size(shared, 4), human_size(own, 4));
    let _ = writeln!(out, "Total:\t\t{}", human_size(shared + own, 4));
    print(&out)?;
    Ok(0)
}

/// `box builder prune`.
pub fn prune(args: &Prune, globals: &Globals) -> Result<u8> {
    let filters = Filters::parse(&args.filter)?;
    let size = |text: &Option<String>| text.as_deref().map(parse_bytes).transpose();
    let (keep_bytes, free_bytes) = (size(&args.max_used_space)?, size(&args.min_free_space)?);
    let question = "WARNING! This removes what builds have left for later ones. Are you sure you want to continue?";
    if !args.force && !session::confirm(question)? {
        return Ok(0);
    }
    let engine = session::open(globals)?;
    let fits = |kept: &Kept| filters.fit(kept);
    let gone = kept::prune(&engine, &PruneKept { fits: Some(&fits), keep_bytes, free_bytes })?;
    let mut out = if gone.is_empty() { String::new() } else { listing(&gone, args.verbose) };
    let freed = gone.iter().filter(|kept| !kept.shared).map(|kept| kept.size).sum();
    let _ = writeln!(out, "Total:\t{}", human_size(freed, 4));
    print(&out)?;
    Ok(0)
}

fn listing(all: &[Kept], verbose: bool) -> String {
    let now = time::now();
    if verbose {
        let one = |kept: &Kept| {
            format!(
                "ID:\t\t{}\nCreated at:\t{}\nReclaimable:\t{}\nSize:\t\t{}\nDescription:\t{}\nLast used:\t{}\nType:\t\t{}\n\n",
                kept.id,
                time::go_text(kept.created),
                !kept.shared,
                human_size(kept.size, 4),
                crate::cli::errors::escape(&kept.description),
                time::ago(kept.used, now),
                kept.kind,
            )
        };
        return all.iter().map(one).collect();
    }
    let mut rows = vec![["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "DESCRIPTION"].map(str::to_owned).to_vec()];
    for kept in all {
        let id: String = kept.id.chars().take(12).collect();
        let size = human_size(kept.size, 4);
        rows.push(vec![id, (!kept.shared).to_string(), size, time::ago(kept.used, now), kept.description.clone()]);
    }
    table(&rows)
}

/// What `--format` has, in buildx's words.
fn row(kept: &Kept) -> Value {
    json!({
        "ID": kept.id,
        "Type": kept.kind,
        "Description": kept.description,
        "Size": human_size(kept.size, 4),
        "CreatedAt": time::go_text(kept.created),
        "LastUsedAt": time::ago(kept.used, time::now()),
        "Reclaimable": !kept.shared,
        "Shared": kept.shared,
        "InUse": false,
    })
}

/// `--filter`: all must fit.
struct Filters(Vec<Filter>);

enum Filter {
    Id(String),
    Kind(String),
    UsedBefore(i64),
    Shared(bool),
    Description(String),
}

impl Filters {
    fn parse(words: &[String]) -> Result<Self> {
        let parse = |word: &String| {
            let wrong = |what: &str| {
                let fault = Fault::new(Kind::Usage, format!("`--filter {}`: {what}", word.escape_debug()));
                fault.hint("--filter until=24h")
            };
            let (key, value) = word.split_once('=').ok_or_else(|| wrong("it is not KEY=VALUE"))?;
            Ok(match key {
                "id" => Filter::Id(value.to_owned()),
                "type" => Filter::Kind(value.to_owned()),
                "description~" | "description" => Filter::Description(value.to_owned()),
                "shared" => Filter::Shared(value.parse().map_err(|_| wrong("it is true or false"))?),
                "until" => {
                    let age = time::parse_duration(value).ok_or_else(|| wrong("it is no duration"))?;
                    Filter::UsedBefore(time::now().saturating_sub(age))
                }
                _ => return Err(wrong("there are the keys id, type, until, shared, description~").into()),
            })
        };
        words.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    fn fit(&self, kept: &Kept) -> bool {
        self.0.iter().all(|filter| match filter {
            Filter::Id(start) => kept.id.starts_with(start),
            Filter::Kind(kind) => kept.kind == *kind,
            Filter::UsedBefore(moment) => kept.used < *moment,
            Filter::Shared(shared) => kept.shared == *shared,
            Filter::Description(text) => kept.description.contains(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_fit() {
        let kept = Kept {
            id: "abc".into(),
            kind: "regular".into(),
            description: "[2/2] RUN make".into(),
            size: 1,
            created: 0,
            used: time::now() - 3_600_000_000_000,
            shared: false,
        };
        for (word, expected) in [
            ("id=ab", Some(true)),
            ("id=b", Some(false)),
            ("type=regular", Some(true)),
            ("type=exec.cachemount", Some(false)),
            ("until=30m", Some(true)),
            ("until=2h", Some(false)),
            ("shared=true", Some(false)),
            ("description~=make", Some(true)),
            ("until=x", None),
            ("x=y", None),
            ("x", None),
        ] {
            assert_eq!(Filters::parse(&[word.to_owned()]).map(|all| all.fit(&kept)).ok(), expected, "{word}");
        }
    }
}
