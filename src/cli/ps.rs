//! `ps`: lists containers: filters, the table, templates and podman's JSON.

use super::args::Globals;
use super::args::containers::Ps;
use super::live::Live;
use super::output::{fit, print, table, terminal_width};
use super::session;
use super::template::Format;
use crate::base::time;
use crate::base::units::human_size;
use crate::container::filter::Filters;
use crate::container::{self, Size, Status, Summary};
use crate::engine::Engine;
use crate::network::{NetworkMode, PortMapping};
use anyhow::Result;
use serde_json::{Value, json};

/// The kernel's names of namespaces, in the order of podman's columns.
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// What a terminal that is too narrow for all columns does not show, first to last.
const EXPENDABLE: [&str; 4] = ["CREATED", "COMMAND", "IMAGE", "PORTS"];

/// How much of a command the table shows.
const COMMAND_WIDTH: usize = 17;

/// `box ps`.
pub fn ps(args: &Ps, globals: &Globals) -> Result<u8> {
    let filters = Filters::parse(&args.filter)?;
    let engine = session::open(globals)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let filters = filters.resolve(&engine)?;
    let live = args.watch.is_some().then(|| Live::begin(true)).transpose()?;
    loop {
        let shown = show(&engine, &rows(&engine, args, &filters), args, format.as_ref())?;
        let (Some(seconds), Some(live)) = (args.watch, &live) else {
            print(&shown)?;
            return Ok(0);
        };
        live.show(&shown)?;
        if !live.goes_on(u32::try_from(seconds.clamp(1, 86_400)).unwrap_or(1), None) {
            return Ok(0);
        }
    }
}

/// The containers that are asked for, in the order asked for.
fn rows(engine: &Engine, args: &Ps, filters: &Filters) -> Vec<Summary> {
    let last = if args.latest { Some(1) } else { args.last.and_then(|last| usize::try_from(last).ok()) };
    // As with docker, who asks for a state means it whatever the state.
    let any_state = args.all || last.is_some() || filters.asks_for_state();
    let mut rows = if any_state { container::list(engine) } else { container::list_alive(engine) };
    rows.retain(|row| {
        let active = matches!(row.status, Status::Running(_) | Status::Restarting(_));
        (any_state || active) && filters.fit(row)
    });
    rows.truncate(last.unwrap_or(usize::MAX));
    let config = |row: &Summary| row.container.config.clone();
    match args.sort.as_deref() {
        Some("command") => rows.sort_by_key(|row| config(row).args),
        Some("id") => rows.sort_by_key(|row| config(row).id.to_string()),
        Some("image") => rows.sort_by_key(|row| config(row).image_name()),
        Some("names") => rows.sort_by_key(|row| config(row).name),
        Some("status") => rows.sort_by_key(|row| row.status.word()),
        Some("size") => rows.sort_by_cached_key(|row| container::size(engine, &row.container).written),
        _ => {}
    }
    rows
}

fn show(engine: &Engine, rows: &[Summary], args: &Ps, format: Option<&Format>) -> Result<String> {
    let now = time::now();
    if args.quiet {
        let id = |row: &Summary| match args.no_trunc {
            true => format!("{}\n", row.container.config.id),
            false => format!("{}\n", row.container.config.id.short()),
        };
        return Ok(rows.iter().map(id).collect());
    }
    let sized = args.size || args.format.as_ref().is_some_and(|text| text.contains(".Size"));
    let sizes: Vec<Option<Size>> =
        rows.iter().map(|row| sized.then(|| container::size(engine, &row.container))).collect();
    if let Some(format) = format {
        let value = |(row, size): (&Summary, &Option<Size>)| match format.is_json() {
            true => as_json(row, size.as_ref(), now),
            false => fields(row, size.as_ref(), args.no_trunc, now),
        };
        return format.render(&rows.iter().zip(&sizes).map(value).collect::<Vec<_>>(), &heading);
    }
    let mut columns = match args.ns {
        true => vec!["CONTAINER ID", "NAMES", "PID", "CGROUPNS", "IPC", "MNT", "NET", "PIDNS", "USERNS", "UTS"],
        false => vec!["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"],
    };
    if args.size {
        columns.push("SIZE");
    }
    let headings = if args.noheading { Vec::new() } else { vec![columns.into_iter().map(str::to_owned).collect()] };
    let line = |(row, size): (&Summary, &Option<Size>)| {
        let config = &row.container.config;
        let id = if args.no_trunc { config.id.to_string() } else { config.id.short().to_owned() };
        if args.ns {
            let pid = row.run().map_or(0, |run| run.pid);
            let names = [vec![id, config.name.clone(), pid.to_string()], namespaces(row)];
            return names.concat();
        }
        let created = time::ago(config.created, now);
        let command = command(&config.args, args.no_trunc);
        let mut cells =
            vec![id, config.image_name(), command, created, status(row, now), ports(row), config.name.clone()];
        cells.extend(size.as_ref().map(size_text));
        cells
    };
    let mut lines: Vec<Vec<String>> = headings.into_iter().chain(rows.iter().zip(&sizes).map(line)).collect();
    if let Some(width) = terminal_width().filter(|_| !args.no_trunc) {
        fit(&mut lines, width, &EXPENDABLE);
    }
    Ok(table(&lines))
}

/// `12.3kB (virtual 8.2MB)`.
fn size_text(size: &Size) -> String {
    format!("{} (virtual {})", human_size(size.written, 3), human_size(size.written + size.image, 3))
}

/// The numbers of the container's namespaces, in the order of their columns; empty where it does not run.
fn namespaces(row: &Summary) -> Vec<String> {
    let number = |name: &str| {
        let run = row.run()?;
        let link = std::fs::read_link(format!("/proc/{}/ns/{name}", run.pid)).ok()?;
        Some(link.to_str()?.split_once('[')?.1.trim_end_matches(']').to_owned())
    };
    NAMESPACES.iter().map(|name| number(name).unwrap_or_default()).collect()
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

/// `Up 2 minutes (healthy)`, `Exited (0) 3 seconds ago`, `Created`.
pub fn status(row: &Summary, now: i64) -> String {
    match &row.status {
        Status::Created => "Created".to_owned(),
        Status::Starting => "Initialized".to_owned(),
        Status::Running(run) => {
            let up = time::human_duration(now.saturating_sub(run.started) / 1_000_000_000);
            match row.health() {
                _ if run.paused => format!("Up {up} (Paused)"),
                "none" => format!("Up {up}"),
                health => format!("Up {up} ({health})"),
            }
        }
        Status::Restarting(run) => {
            let (code, at) = run.waits.as_ref().map_or((0, now), |exit| (exit.code, exit.finished));
            format!("Restarting ({code}) {}", time::ago(at, now))
        }
        Status::Exited(exit) => format!("Exited ({}) {}", exit.code, time::ago(exit.finished, now)),
    }
}

/// `0.0.0.0:8080->80/tcp`; ports that follow each other are one range.
fn ports(row: &Summary) -> String {
    let mut ranges: Vec<(PortMapping, u16)> = Vec::new();
    for port in row.ports() {
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

fn network(row: &Summary) -> Vec<String> {
    let config = &row.container.config;
    match config.network {
        NetworkMode::Bridge => {
            crate::container::attachments(&row.container).into_iter().map(|one| one.network).collect()
        }
        _ => vec![config.network.to_string()],
    }
}

fn mounts(row: &Summary) -> Vec<String> {
    row.container.config.mounts.iter().map(|mount| mount.target.display().to_string()).collect()
}

fn image_id(row: &Summary) -> String {
    row.container.config.root.image().map_or_else(String::new, |id| id.digits().to_owned())
}

fn started(row: &Summary) -> i64 {
    row.run().map(|run| run.started).or(row.exit().map(|exit| exit.started)).unwrap_or(0)
}

/// Unix seconds; 0 stays 0, which is Go's zero time for "never".
fn unix(nanos: i64) -> i64 {
    if nanos == 0 { -62_135_596_800 } else { nanos / 1_000_000_000 }
}

/// Empty without a check.
fn health(row: &Summary) -> &'static str {
    match row.health() {
        "none" => "",
        word => word,
    }
}

/// podman's keys for the namespaces of a container that runs.
fn named_namespaces(row: &Summary) -> Value {
    if row.run().is_none() {
        return json!({});
    }
    let keys = ["Cgroup", "Ipc", "Mnt", "Net", "Pidns", "User", "Uts"];
    keys.into_iter().map(str::to_owned).zip(namespaces(row).into_iter().map(Value::String)).collect()
}

/// A row as podman's `--format json` has it.
fn as_json(row: &Summary, size: Option<&Size>, now: i64) -> Value {
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
        "Namespaces": named_namespaces(row),
        "Networks": network(row),
        "Pid": row.run().map_or(0, |run| run.pid),
        "Pod": "",
        "PodName": "",
        "Ports": row.ports().iter().map(port).collect::<Vec<_>>(),
        "Restarts": row.restarts(),
        "Size": size.map(|size| json!({ "rootFsSize": size.written + size.image, "rwSize": size.written })),
        "StartedAt": unix(started(row)),
        "State": row.status.word(),
        "Status": status(row, now),
    })
}

/// A row as templates see it: texts as the table shows them.
fn fields(row: &Summary, size: Option<&Size>, full: bool, now: i64) -> Value {
    let config = &row.container.config;
    let id = if full { config.id.as_str() } else { config.id.short() };
    let image = image_id(row);
    let namespaces = namespaces(row);
    let namespace = |at: usize| namespaces.get(at).cloned().unwrap_or_default();
    json!({
        "ID": id, "Id": config.id,
        "Names": config.name, "Image": config.image_name(),
        "ImageID": if full { image.as_str() } else { image.get(..12).unwrap_or_default() },
        "Command": command(&config.args, full),
        "Created": time::ago(config.created, now), "CreatedHuman": time::ago(config.created, now),
        "RunningFor": time::ago(config.created, now), "CreatedAt": time::go_text(config.created),
        "State": row.status.word(), "Status": status(row, now),
        "ExitCode": row.exit().map_or(0, |exit| exit.code), "Exited": row.exit().is_some(),
        "ExitedAt": unix(row.exit().map_or(0, |exit| exit.finished)), "StartedAt": unix(started(row)),
        "Ports": ports(row), "ExposedPorts": config.exposed.join(","),
        "Labels": config.labels, "Mounts": mounts(row).join(","), "Networks": network(row).join(","),
        "Pid": row.run().map_or(0, |run| run.pid), "Pod": "", "PodName": "", "IsInfra": false,
        "Restarts": row.restarts(), "Size": size.map(size_text).unwrap_or_default(), "Health": health(row),
        "Cgroup": namespace(0), "IPC": namespace(1), "MNT": namespace(2), "NET": namespace(3), "PIDNS": namespace(4),
        "User": namespace(5), "UTS": namespace(6), "Namespaces": named_namespaces(row),
        "AutoRemove": config.remove, "CIDFile": config.cidfile.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_cut() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(command(&words("sleep 100"), false), "sleep 100");
        assert_eq!(command(&words("sh -c echo a very long line"), false), "sh -c echo a very...");
        assert_eq!(command(&words("sh -c echo a very long line"), true), "sh -c echo a very long line");
    }
}
