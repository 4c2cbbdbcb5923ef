//! `ps`: lists containers: filters, the table, templates and podman's JSON.

use super::args::Globals;
use super::args::containers::Ps;
use super::output::{print, table};
use super::session;
use super::template::Format;
use crate::base::error::{Fault, Kind, fault};
use crate::base::time;
use crate::container::config::RootSource;
use crate::container::request::Mount;
use crate::container::{self, Status, Summary};
use crate::engine::Engine;
use crate::image;
use crate::network::{NetworkMode, PortMapping};
use anyhow::Result;
use serde_json::{Value, json};

/// How much of a command the table shows.
const COMMAND_WIDTH: usize = 17;

/// `box ps`.
pub fn ps(args: &Ps, globals: &Globals) -> Result<u8> {
    let filters = args.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
    let engine = session::open(globals)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let last = if args.latest { Some(1) } else { args.last.and_then(|last| usize::try_from(last).ok()) };
    // As with docker, who asks for a state means it whatever the state.
    let any_state =
        args.all || last.is_some() || filters.iter().any(|filter| matches!(filter.key, Key::Status | Key::Exited));
    let ancestors = Ancestors::find(&engine, &filters)?;
    let mut rows = container::list(&engine);
    rows.retain(|row| {
        (any_state || matches!(row.status, Status::Running(_))) && matches_all(row, &filters, &ancestors)
    });
    rows.truncate(last.unwrap_or(usize::MAX));
    print(&show(&rows, args, format.as_ref())?)?;
    Ok(0)
}

fn show(rows: &[Summary], args: &Ps, format: Option<&Format>) -> Result<String> {
    let now = time::now();
    if args.quiet {
        let id = |row: &Summary| match args.no_trunc {
            true => format!("{}\n", row.container.config.id),
            false => format!("{}\n", row.container.config.id.short()),
        };
        return Ok(rows.iter().map(id).collect());
    }
    if let Some(format) = format {
        let value = |row| if format.is_json() { as_json(row, now) } else { fields(row, args.no_trunc, now) };
        return format.render(&rows.iter().map(value).collect::<Vec<_>>(), &heading);
    }
    let columns =
        ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"].map(str::to_owned).to_vec();
    let headings = if args.noheading { Vec::new() } else { vec![columns] };
    let line = |row: &Summary| {
        let config = &row.container.config;
        let id = if args.no_trunc { config.id.to_string() } else { config.id.short().to_owned() };
        let created = time::ago(config.created, now);
        let command = command(&config.args, args.no_trunc);
        vec![id, config.image_name(), command, created, status(&row.status, now), ports(row), config.name.clone()]
    };
    Ok(table(&headings.into_iter().chain(rows.iter().map(line)).collect::<Vec<_>>()))
}

/// The heading of a template's field.
fn heading(field: &str) -> String {
    match field {
        "ID" => "CONTAINER ID".to_owned(),
        "CreatedAt" | "CreatedHuman" | "RunningFor" => "CREATED".to_owned(),
        "ImageID" => "IMAGE ID".to_owned(),
        "ExitCode" => "EXIT CODE".to_owned(),
        "Label" => "LABELS".to_owned(),
        other => other.to_uppercase(),
    }
}

fn command(words: &[String], full: bool) -> String {
    let text = words.join(" ");
    match !full && text.chars().count() > COMMAND_WIDTH + 3 {
        true => text.chars().take(COMMAND_WIDTH).chain("...".chars()).collect(),
        false => text,
    }
}

/// `Up 2 minutes`, `Exited (0) 3 seconds ago`, `Created`.
fn status(status: &Status, now: i64) -> String {
    match status {
        Status::Created => "Created".to_owned(),
        Status::Starting => "Initialized".to_owned(),
        Status::Running(run) => format!("Up {}", time::human_duration(now.saturating_sub(run.started) / 1_000_000_000)),
        Status::Exited(exit) => format!("Exited ({}) {}", exit.code, time::ago(exit.finished, now)),
    }
}

/// The ports of the run under way, or those asked for.
fn mappings(row: &Summary) -> &[PortMapping] {
    row.run().map_or(&row.container.config.ports, |run| &run.ports)
}

/// `0.0.0.0:8080->80/tcp`; ports that follow each other are one range.
fn ports(row: &Summary) -> String {
    let mut ranges: Vec<(PortMapping, u16)> = Vec::new();
    for port in mappings(row) {
        let follows = |(first, more): &(PortMapping, u16)| {
            let next = u32::from(*more) + 1;
            (first.host_ip, first.protocol) == (port.host_ip, port.protocol)
                && first.host_port != 0
                && u32::from(first.host_port) + next == u32::from(port.host_port)
                && u32::from(first.container_port) + next == u32::from(port.container_port)
        };
        match ranges.last_mut().filter(|range| follows(range)) {
            Some((_, more)) => *more += 1,
            None => ranges.push((port.clone(), 0)),
        }
    }
    let text = |(first, more): &(PortMapping, u16)| {
        let range =
            |port: u16| if *more == 0 { port.to_string() } else { format!("{port}-{}", port.saturating_add(*more)) };
        let host = match (first.host_port, first.host_ip) {
            (0, _) => String::new(),
            (port, Some(std::net::IpAddr::V6(ip))) => format!("[{ip}]:{}->", range(port)),
            (port, Some(ip)) => format!("{ip}:{}->", range(port)),
            (port, None) => format!("0.0.0.0:{}->", range(port)),
        };
        format!("{host}{}/{}", range(first.container_port), first.protocol)
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn network(row: &Summary) -> Vec<&'static str> {
    match row.container.config.network {
        NetworkMode::Slirp4netns => vec!["slirp4netns"],
        NetworkMode::None => vec!["none"],
        NetworkMode::Host => vec!["host"],
    }
}

fn mounts(row: &Summary) -> Vec<String> {
    let target = |mount: &Mount| match mount {
        Mount::Bind { target, .. } | Mount::Tmpfs { target, .. } => target.display().to_string(),
    };
    let config = &row.container.config;
    config.mounts.iter().map(target).chain(config.volumes.iter().map(|path| path.display().to_string())).collect()
}

fn image_id(row: &Summary) -> String {
    match &row.container.config.root {
        RootSource::Image { id, .. } => id.digits().to_owned(),
        RootSource::Rootfs { .. } => String::new(),
    }
}

fn started(row: &Summary) -> i64 {
    row.run().map(|run| run.started).or(row.exit().map(|exit| exit.started)).unwrap_or(0)
}

/// Unix seconds; 0 stays 0, which is Go's zero time for "never".
fn unix(nanos: i64) -> i64 {
    if nanos == 0 { -62_135_596_800 } else { nanos / 1_000_000_000 }
}

/// A row as podman's `--format json` has it.
fn as_json(row: &Summary, now: i64) -> Value {
    let config = &row.container.config;
    let port = |port: &PortMapping| {
        json!({
            "host_ip": port.host_ip.map(|ip| ip.to_string()).unwrap_or_default(), "container_port": port.container_port,
            "host_port": port.host_port, "range": 1, "protocol": port.protocol.to_string(),
        })
    };
    json!({
        "AutoRemove": config.remove,
        "CIDFile": config.cidfile,
        "Command": config.args,
        "Created": unix(config.created),
        "CreatedAt": time::ago(config.created, now),
        "ExitCode": row.exit().map_or(0, |exit| exit.code),
        "Exited": row.exit().is_some(),
        "ExitedAt": unix(row.exit().map_or(0, |exit| exit.finished)),
        "ExposedPorts": config.exposed,
        "Id": config.id,
        "Image": config.image_name(),
        "ImageID": image_id(row),
        "IsInfra": false,
        "Labels": config.labels,
        "Mounts": mounts(row),
        "Names": [config.name],
        "Namespaces": {},
        "Networks": network(row),
        "Pid": row.run().map_or(0, |run| run.pid),
        "Pod": "",
        "PodName": "",
        "Ports": mappings(row).iter().map(port).collect::<Vec<_>>(),
        "Restarts": 0,
        "Size": null,
        "StartedAt": unix(started(row)),
        "State": row.status.word(),
        "Status": status(&row.status, now),
    })
}

/// A row as templates see it: texts as the table shows them.
fn fields(row: &Summary, full: bool, now: i64) -> Value {
    let config = &row.container.config;
    let id = if full { config.id.as_str() } else { config.id.short() };
    let image = image_id(row);
    json!({
        "ID": id, "Id": config.id,
        "Names": config.name, "Image": config.image_name(),
        "ImageID": if full { image.as_str() } else { image.get(..12).unwrap_or_default() },
        "Command": command(&config.args, full),
        "Created": time::ago(config.created, now), "CreatedHuman": time::ago(config.created, now),
        "RunningFor": time::ago(config.created, now), "CreatedAt": time::go_text(config.created),
        "State": row.status.word(), "Status": status(&row.status, now),
        "ExitCode": row.exit().map_or(0, |exit| exit.code), "Exited": row.exit().is_some(),
        "ExitedAt": unix(row.exit().map_or(0, |exit| exit.finished)), "StartedAt": unix(started(row)),
        "Ports": ports(row), "ExposedPorts": config.exposed.join(","),
        "Labels": config.labels, "Mounts": mounts(row).join(","), "Networks": network(row).join(","),
        "Pid": row.run().map_or(0, |run| run.pid), "Pod": "", "PodName": "", "IsInfra": false, "Restarts": 0, "Size": "",
        "AutoRemove": config.remove, "CIDFile": config.cidfile.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
    })
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Id,
    Name,
    Status,
    Label,
    NotLabel,
    Ancestor,
    Exited,
}

/// One `--filter`.
#[derive(Debug, Clone)]
struct Filter {
    key: Key,
    value: String,
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let keys = "id name status label label! ancestor exited";
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Fault::new(Kind::Usage, format!("`--filter {text}` is not KEY=VALUE")).hint(format!("the keys are: {keys}"))
        })?;
        let key = match key {
            "id" => Key::Id,
            "name" => Key::Name,
            "status" => Key::Status,
            "label" => Key::Label,
            "label!" => Key::NotLabel,
            "ancestor" => Key::Ancestor,
            "exited" => Key::Exited,
            other => {
                let text = format!("`--filter`: there is no filter `{other}`");
                return Err(Fault::new(Kind::Usage, text).hint(format!("the keys are: {keys}")).into());
            }
        };
        const STATES: [&str; 9] =
            ["created", "initialized", "running", "paused", "stopping", "stopped", "exited", "removing", "unknown"];
        if key == Key::Status && !STATES.contains(&value) {
            return Err(fault(Kind::Usage, format!("`{value}` is not the state of a container")));
        }
        if key == Key::Exited && value.parse::<i32>().is_err() {
            return Err(fault(Kind::Usage, format!("`{value}` is not an exit code")));
        }
        Ok(Self { key, value: value.to_owned() })
    }
}

/// The ids of the images that `ancestor` filters name.
#[derive(Debug, Default)]
struct Ancestors(Vec<(String, String)>);

impl Ancestors {
    fn find(engine: &Engine, filters: &[Filter]) -> Result<Self> {
        let mut found = Vec::new();
        for filter in filters.iter().filter(|filter| filter.key == Key::Ancestor) {
            if let Some(image) = image::find(&engine.store, &filter.value)? {
                found.push((filter.value.clone(), image.id.digits().to_owned()));
            }
        }
        Ok(Self(found))
    }
}

/// The same key twice means either, labels excepted; different keys mean both.
fn matches_all(row: &Summary, filters: &[Filter], ancestors: &Ancestors) -> bool {
    filters.iter().all(|filter| match filter.key {
        Key::Label | Key::NotLabel => matches(row, filter, ancestors),
        key => filters.iter().filter(|other| other.key == key).any(|other| matches(row, other, ancestors)),
    })
}

fn matches(row: &Summary, filter: &Filter, ancestors: &Ancestors) -> bool {
    let (config, value) = (&row.container.config, filter.value.as_str());
    match filter.key {
        Key::Id => config.id.as_str().starts_with(value),
        Key::Name => name_matches(&config.name, value),
        Key::Status => row.status.word() == if value == "stopped" { "exited" } else { value },
        Key::Label => has_label(&config.labels, value),
        Key::NotLabel => !has_label(&config.labels, value),
        Key::Ancestor => {
            let id = image_id(row);
            let named = ancestors.0.iter().any(|(name, of)| name == value && *of == id);
            named || config.image_name() == value
        }
        Key::Exited => row.exit().is_some_and(|exit| value.parse() == Ok(exit.code)),
    }
}

/// A part of the name; `^` and `$` mean its beginning and end, as in podman's regular expressions.
fn name_matches(name: &str, pattern: &str) -> bool {
    let (from_start, rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let (to_end, part) = rest.strip_suffix('$').map_or((false, rest), |part| (true, part));
    match (from_start, to_end) {
        (true, true) => name == part,
        (true, false) => name.starts_with(part),
        (false, true) => name.ends_with(part),
        (false, false) => name.contains(part),
    }
}

/// `KEY` or `KEY=VALUE`.
pub fn has_label(labels: &std::collections::BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|is| is == value),
        None => labels.contains_key(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for text in ["id=abc", "name=web", "status=running", "label=a=b", "label!=a", "ancestor=alpine", "exited=7"] {
            assert!(Filter::parse(text).is_ok(), "{text}");
        }
        for text in ["nope=1", "status=happy", "exited=x", "running", ""] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
        assert_eq!(Filter::parse("label!=a=b").unwrap().key, Key::NotLabel);
    }

    #[test]
    fn names() {
        for (pattern, fits) in [
            ("web", true),
            ("eb-1", true),
            ("^web", true),
            ("^eb", false),
            ("1$", true),
            ("^web-1$", true),
            ("^web$", false),
        ] {
            assert_eq!(name_matches("web-1", pattern), fits, "{pattern}");
        }
    }

    #[test]
    fn commands_are_cut() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(command(&words("sleep 100"), false), "sleep 100");
        assert_eq!(command(&words("sh -c echo a very long line"), false), "sh -c echo a very...");
        assert_eq!(command(&words("sh -c echo a very long line"), true), "sh -c echo a very long line");
    }
}
