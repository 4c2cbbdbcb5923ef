//! `events`: prints what has happened, and what happens.

use super::args::Globals;
use super::args::host::Events;
use super::output::print;
use super::template::Format;
use super::{errors, session};
use crate::base::error::{Fault, Kind};
use crate::base::time;
use crate::events::{self, Event, Filters, Query};
use anyhow::Result;
use chrono::DateTime;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// `box events`.
pub fn events(args: &Events, globals: &Globals) -> Result<u8> {
    let now = DateTime::from_timestamp_nanos(time::now());
    // A duration counts back for the beginning and, as podman has it, forward for the end.
    let since = args.since.as_deref().map(|text| time::parse_moment(text, now)).transpose()?;
    let until = match args.until.as_deref().map(|text| (text, time::parse_duration(text))) {
        None => None,
        Some((_, Some(ahead))) => Some(time::now().saturating_add(ahead)),
        Some((text, None)) => time::parse_moment(text, now)?.timestamp_nanos_opt(),
    };
    let since = since.and_then(|at| at.timestamp_nanos_opt());
    let query = Query { since, until, filters: Filters::parse(&args.filter)? };
    if !events::settings().kept {
        let text = "no events are kept: containers.conf says `events_logger = \"none\"`";
        return Err(Fault::new(Kind::WrongState, text).hint("box info --config").into());
    }
    let engine = session::open(globals)?;
    let format = args.format.as_deref().filter(|text| !["json", "{{json .}}"].contains(text));
    let template = format.map(Format::parse).transpose()?;
    let show = |event: &Event| -> Result<String> {
        match &template {
            Some(template) => template.render_one(&fields(event)),
            None if args.format.is_some() => Ok(format!("{}\n", super::output::escape_json(fields(event).to_string()))),
            None => Ok(format!("{}\n", errors::escape(&line(event, args.no_trunc)))),
        }
    };
    let mut out = String::new();
    if args.stream {
        let pending = std::cell::RefCell::new(String::new());
        events::follow(
            &engine.dirs,
            &query,
            &mut |event| {
                pending.borrow_mut().push_str(&show(&event)?);
                Ok(())
            },
            &mut || print(&pending.take()),
        )?;
    } else {
        events::read(&engine.dirs, &query, &mut |event| {
            out.push_str(&show(&event)?);
            Ok(())
        })?;
    }
    print(&out)?;
    Ok(0)
}

/// podman's line: time, kind, action, id, and the attributes in parentheses.
fn line(event: &Event, full: bool) -> String {
    let id = if full { event.id.as_str() } else { event.id.get(..12).unwrap_or(&event.id) };
    let mut text = format!("{} {} {} {id}", time::go_text(event.time), event.kind, event.action);
    if event.kind == "image" {
        let _ = write!(text, " {}", event.name);
        return text;
    }
    let mut attributes = vec![format!("image={}", event.image), format!("name={}", event.name)];
    if !event.health.is_empty() {
        attributes.push(format!("health_status={}", event.health));
    }
    attributes.extend(event.attributes.iter().map(|(key, value)| format!("{key}={value}")));
    let _ = write!(text, " ({})", attributes.join(", "));
    text
}

/// An event as podman's JSON has it, and as templates see it.
fn fields(event: &Event) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
    if let Some(code) = event.code {
        put("ContainerExitCode", json!(code));
    }
    put("ID", json!(event.id));
    put("Image", json!(event.image));
    put("Name", json!(event.name));
    put("Status", json!(event.action));
    put("Time", json!(time::rfc3339(&DateTime::from_timestamp_nanos(event.time))));
    put("Type", json!(event.kind));
    put("HealthStatus", json!(event.health));
    put("Attributes", json!(event.attributes));
    put("time", json!(event.time / 1_000_000_000));
    put("timeNano", json!(event.time));
    Value::Object(map)
}
