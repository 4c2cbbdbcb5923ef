//! `stats`: what containers use, once or again and again.

use super::args::Globals;
use super::args::limits::Stats;
use super::live::Live;
use super::output::{print, table};
use super::session;
use super::template::Format;
use crate::base::error::{Kind, kind};
use crate::base::time::format_duration;
use crate::base::units::human_size;
use crate::container::stats::{Usage, cpu_percent, usage};
use crate::container::{self, Container, Status};
use crate::engine::Engine;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The columns of the table: podman's, each a field.
const COLUMNS: [(&str, &str); 10] = [
    ("ID", "ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET IO"),
    ("BlockIO", "BLOCK IO"),
    ("PIDS", "PIDS"),
    ("UpTime", "CPU TIME"),
    ("AVGCPU", "AVG CPU %"),
];
/// Seconds between two looks.
const INTERVAL: u32 = 5;

/// `box stats`.
pub fn stats(args: &Stats, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    // Who is named must be there; later they may go.
    chosen(&engine, args)?;
    // The processes of those without a cgroup are seen from there.
    engine.enter()?;
    let live = if args.no_stream { None } else { Some(Live::begin(!args.no_reset)?) };
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let total = memory_of_host();
    let mut before: HashMap<String, Usage> = HashMap::new();
    loop {
        let mut rows = Vec::new();
        let mut now = HashMap::new();
        for container in still_there(chosen(&engine, args), args)? {
            let used = usage(&engine, &container);
            let id = container.config.id.to_string();
            rows.push(fields(&container, &used, before.get(&id), total, args.no_trunc));
            now.insert(id, used);
        }
        before = now;
        let text = match &format {
            Some(format) if format.is_json() => super::output::pretty_json(&rows.iter().map(as_json).collect())? + "\n",
            Some(format) => format.render(&rows, &heading)?,
            None => table(&lines(&rows)),
        };
        let Some(live) = &live else {
            print(&text)?;
            return Ok(0);
        };
        live.show(&text)?;
        if !live.goes_on(args.interval.unwrap_or(INTERVAL), None) {
            return Ok(0);
        }
    }
}

/// The containers to look at now, newest first unless they were named.
fn chosen(engine: &Engine, args: &Stats) -> Result<Vec<Container>> {
    if args.latest {
        return Ok(vec![session::latest(engine)?]);
    }
    if !args.names.is_empty() {
        return args.names.iter().map(|name| container::find(engine, name)).collect();
    }
    let rows = container::list(engine).into_iter();
    let wanted = rows.filter(|row| args.all || matches!(row.status, Status::Running(_)));
    Ok(wanted.map(|row| row.container).collect())
}

/// In a later round, one that was removed meanwhile is no error.
fn still_there(found: Result<Vec<Container>>, args: &Stats) -> Result<Vec<Container>> {
    match found {
        Err(error) if !args.no_stream && kind(&error) == Kind::NotFound => Ok(Vec::new()),
        found => found,
    }
}

/// Bytes of memory that the host has: the limit of those without one.
fn memory_of_host() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())?;
    Some(kib * 1024)
}

/// A row as templates see it. What cannot be known is `--`.
fn fields(container: &Container, used: &Usage, before: Option<&Usage>, total: Option<u64>, full: bool) -> Value {
    let config = &container.config;
    let counters = &used.counters;
    let unknown = || "--".to_owned();
    let pair = |pair: Option<(u64, u64)>| {
        pair.map_or_else(unknown, |(a, b)| format!("{} / {}", human_size(a, 4), human_size(b, 4)))
    };
    let percent = |value: f64| format!("{value:.2}%");
    // A limit above what there is is none.
    let limit = counters.memory_limit.into_iter().chain(total).min();
    let runs = used.at > 0;
    let (cpu, average) = (cpu_percent(before, used), cpu_percent(None, used));
    let memory_percent = match (counters.memory, limit) {
        (Some(used), Some(limit)) if limit > 0 => percent(used as f64 / limit as f64 * 100.0),
        _ => unknown(),
    };
    let (received, sent) = used.network.unwrap_or_default();
    let (read, written) = counters.block.unwrap_or_default();
    let shown = |text: String| if runs { text } else { unknown() };
    let id = if full { config.id.as_str() } else { config.id.short() };
    json!({
        "AVGCPU": shown(percent(average)), "AvgCPU": average,
        "BlockIO": pair(counters.block), "BlockInput": read, "BlockOutput": written,
        "CPU": cpu, "CPUNano": counters.cpu_usec * 1000, "CPUPerc": shown(percent(cpu)),
        "CPUSystemNano": counters.cpu_system_usec * 1000,
        "Container": config.name, "ContainerID": config.id, "Duration": used.up,
        "ID": id, "MemLimit": limit.unwrap_or(0), "MemPerc": memory_percent,
        "MemUsage": pair(counters.memory.zip(limit)),
        "MemUsageBytes": counters.memory.zip(limit).map_or_else(unknown, |(used, limit)| {
            format!("{} / {}", crate::base::units::binary_size(used), crate::base::units::binary_size(limit))
        }),
        "Name": config.name,
        "NetIO": pair(used.network), "NetInput": received, "NetOutput": sent,
        "PIDS": counters.pids.map_or_else(unknown, |pids| pids.to_string()), "PIDs": counters.pids.unwrap_or(0),
        "SystemNano": used.at,
        "Up": shown(format_duration(used.up)),
        "UpTime": shown(format_duration(i64::try_from(counters.cpu_usec).unwrap_or(i64::MAX).saturating_mul(1000))),
    })
}

/// A row as podman's `--format json` has it.
fn as_json(row: &Value) -> Value {
    let keys = [
        ("id", "ID"),
        ("name", "Name"),
        ("cpu_time", "UpTime"),
        ("cpu_percent", "CPUPerc"),
        ("avg_cpu", "AVGCPU"),
        ("mem_usage", "MemUsage"),
        ("mem_percent", "MemPerc"),
        ("net_io", "NetIO"),
        ("block_io", "BlockIO"),
        ("pids", "PIDS"),
    ];
    keys.iter().map(|(key, field)| ((*key).to_owned(), row[*field].clone())).collect()
}

fn heading(field: &str) -> String {
    let known = COLUMNS.iter().find(|(name, _)| *name == field);
    known.map_or_else(|| field.to_uppercase(), |(_, heading)| (*heading).to_owned())
}

fn lines(rows: &[Value]) -> Vec<Vec<String>> {
    let head = COLUMNS.iter().map(|(_, heading)| (*heading).to_owned()).collect();
    let line =
        |row: &Value| COLUMNS.iter().map(|(name, _)| row[*name].as_str().unwrap_or_default().to_owned()).collect();
    std::iter::once(head).chain(rows.iter().map(line)).collect()
}
