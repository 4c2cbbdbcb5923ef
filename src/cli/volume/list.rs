//! `volume ls` and `volume inspect`.

use super::filter::{Filter, count, fitting};
use crate::base::time;
use crate::cli::args::Globals;
use crate::cli::args::volumes::{Inspect, Ls};
use crate::cli::inspect::show;
use crate::cli::output::{print, table};
use crate::cli::session;
use crate::cli::template::Format;
use crate::container::{self, Container};
use crate::volume::{self, Volume};
use anyhow::Result;
use serde_json::{Value, json};

/// `box volume ls`.
pub fn ls(args: &Ls, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let filters = Filter::parse_all(&engine, &args.filter)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let (volumes, users) = fitting(&engine, &filters);
    let text = match format {
        _ if args.quiet => volumes.iter().map(|volume| format!("{}\n", volume.record.name)).collect(),
        Some(format) => {
            let rows: Vec<Value> = volumes.iter().map(|volume| keys(volume, &users)).collect();
            format.render(&rows, &heading)?
        }
        None => {
            let headings = ["DRIVER", "VOLUME NAME"].map(str::to_owned).to_vec();
            let row = |volume: &Volume| vec![volume.record.driver.clone(), volume.record.name.clone()];
            let first = (!args.noheading).then_some(headings);
            table(&first.into_iter().chain(volumes.iter().map(row)).collect::<Vec<_>>())
        }
    };
    print(&text)?;
    Ok(0)
}

fn heading(field: &str) -> String {
    match field {
        "Name" => "VOLUME NAME".to_owned(),
        "CreatedAt" => "CREATED".to_owned(),
        other => other.to_uppercase(),
    }
}

/// `box volume inspect`.
pub fn inspect(args: &Inspect, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let names = match args.all {
        true => volume::all(&engine.dirs).into_iter().map(|volume| volume.record.name).collect(),
        false => args.names.clone(),
    };
    let users = container::all(&engine);
    show(args.format.as_deref(), &names, |name| Ok(keys(&volume::find(&engine.dirs, name)?, &users)))
}

/// The volume of a name, as `box inspect` shows it.
pub fn inspect_one(engine: &crate::engine::Engine, name: &str) -> Result<Value> {
    Ok(keys(&volume::find(&engine.dirs, name)?, &container::all(engine)))
}

/// A volume with podman's keys.
fn keys(volume: &Volume, users: &[Container]) -> Value {
    let record = &volume.record;
    let mut keys = json!({
        "Name": record.name,
        "Driver": record.driver,
        "Mountpoint": volume.mount_point().display().to_string(),
        "CreatedAt": time::rfc3339(&chrono::DateTime::from_timestamp_nanos(record.created)),
        "Labels": record.labels,
        "Scope": "local",
        "Options": record.options,
        "MountCount": count(volume, users),
        "NeedsCopyUp": volume.is_fresh(),
        "Anonymous": record.anonymous,
    });
    for (key, id) in [("UID", record.owner.0), ("GID", record.owner.1)] {
        if let Some(id) = id {
            keys[key] = json!(id);
        }
    }
    keys
}
