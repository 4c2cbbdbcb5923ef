//! `network ls` and `network inspect`.

use crate::base::error::{Fault, Kind};
use crate::base::time;
use crate::cli::args::Globals;
use crate::cli::args::networks::{Inspect, Ls};
use crate::cli::inspect::show;
use crate::cli::output::{print, table};
use crate::cli::session;
use crate::cli::template::Format;
use crate::container::{self, filter::has_label};
use crate::engine::Engine;
use crate::network::record::{self, Record};
use anyhow::Result;
use serde_json::{Value, json};

/// `box network ls`.
pub fn ls(args: &Ls, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let networks = fitting(&engine, &args.filter)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let id = |network: &Record| if args.no_trunc { network.id.clone() } else { network.id.chars().take(12).collect() };
    let text = match format {
        _ if args.quiet => networks.iter().map(|network| format!("{}\n", network.name)).collect(),
        Some(format) => {
            let row = |network: &Record| {
                let mut keys = container::inspect_network(&engine, network);
                let labels: Vec<String> = network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                if !format.is_json()
                    && let Some(map) = keys.as_object_mut()
                {
                    for (key, value) in [
                        ("ID", id(network)),
                        ("Name", network.name.clone()),
                        ("Driver", network.driver.word().to_owned()),
                        ("Labels", labels.join(",")),
                    ] {
                        map.insert(key.into(), json!(value));
                    }
                }
                keys
            };
            let rows: Vec<Value> = networks.iter().map(row).collect();
            format.render(&rows, &heading)?
        }
        None => {
            let headings = ["NETWORK ID", "NAME", "DRIVER"].map(str::to_owned).to_vec();
            let row = |network: &Record| vec![id(network), network.name.clone(), network.driver.word().to_owned()];
            let first = (!args.noheading).then_some(headings);
            table(&first.into_iter().chain(networks.iter().map(row)).collect::<Vec<_>>())
        }
    };
    print(&text)?;
    Ok(0)
}

fn heading(field: &str) -> String {
    if field == "ID" { "NETWORK ID".to_owned() } else { field.to_uppercase() }
}

/// `box network inspect`.
pub fn inspect(args: &Inspect, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    show(args.format.as_deref(), &args.names, |name| {
        Ok(container::inspect_network(&engine, &record::find(&engine.dirs, name)?))
    })
}

/// The networks that fit all filters; the same key twice means either, labels excepted.
pub fn fitting(engine: &Engine, filters: &[String]) -> Result<Vec<Record>> {
    let parsed = filters.iter().map(|text| parse(text)).collect::<Result<Vec<(String, String)>>>()?;
    let mut found = Vec::new();
    for network in record::all(&engine.dirs) {
        let mut fits = true;
        for (key, value) in &parsed {
            let either = key != "label" && key != "label!";
            let same = parsed.iter().filter(|(other, _)| either && other == key).map(|(_, value)| value);
            let values: Vec<&String> = if either { same.collect() } else { vec![value] };
            let mut any = false;
            for value in values {
                any |= matches(engine, &network, key, value)?;
            }
            fits &= any;
        }
        if fits {
            found.push(network);
        }
    }
    Ok(found)
}

fn parse(text: &str) -> Result<(String, String)> {
    let keys = ["name", "id", "label", "label!", "driver", "dangling", "until", "since"];
    match text.split_once('=') {
        Some((key, value)) if keys.contains(&key) => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Fault::new(Kind::Usage, format!("`--filter {}` makes no sense", text.escape_debug()))
            .hint(format!("the keys are: {}", keys.join(" ")))
            .into()),
    }
}

fn matches(engine: &Engine, network: &Record, key: &str, value: &str) -> Result<bool> {
    let moment = || -> Result<i64> {
        let moment = time::parse_moment(value, chrono::Utc::now())?;
        Ok(moment.timestamp_nanos_opt().unwrap_or(i64::MAX))
    };
    Ok(match key {
        "name" => network.name.contains(value),
        "id" => network.id.starts_with(value),
        "label" => has_label(&network.labels, value),
        "label!" => !has_label(&network.labels, value),
        "driver" => value == network.driver.word(),
        "dangling" => container::users_of(engine, &network.name).is_empty() == (value == "true" || value == "1"),
        "until" => network.created < moment()?,
        _ => network.created >= moment()?,
    })
}
