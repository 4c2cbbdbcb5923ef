//! A bundle's config.json, read so that nothing in it is taken for something else or passed over in silence.
//!
//! oci-spec's types drop names that they do not know and say of a wrong value only that there is one. So a document is
//! first walked along the table of all properties ([`schema`]): what is wrong is named by its path in the JSON, as
//! `linux.seccomp.syscalls[3].action`. The specification (config.md, Extensibility) wants unknown properties to be
//! ignored. Here they are ignored, with a warning, as sections of the whole document, where extensions and other
//! platforms have theirs; inside of a section that says what the container is they are errors, and so is a name that
//! differs from a known one by little: whoever wrote `noNewPrivilege` must not believe that it holds.

pub mod schema;
mod walk;

use super::json;
use crate::base::error::{Kind, fault};
use anyhow::Result;
use oci_spec::runtime::{LinuxResources, Process, Spec};
use schema::Property;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A document that was read, and what of it is left out: sentences for a log.
#[derive(Debug)]
pub struct Read<T> {
    /// The document.
    pub value: T,
    /// What the specification wants a warning for: properties and capabilities that nobody here knows.
    pub warnings: Vec<String>,
}

/// Read config.json. Errors are `BadData` and name the property by its path.
pub fn parse(bytes: &[u8]) -> Result<Read<Spec>> {
    let mut document = json::object(bytes)?;
    let warnings = walk::walk(&mut document, schema::CONFIG)?;
    check_version(&document)?;
    check_devices(&document)?;
    if let Some(Value::Object(process)) = document.get_mut("process") {
        complete(process);
    }
    if let Some(rdt) = document.get_mut("linux").and_then(|linux| linux.get_mut("intelRdt")?.as_object_mut()) {
        for (name, theirs) in [("enableCMT", "enableCmt"), ("enableMBM", "enableMbm")] {
            if let Some(value) = rdt.remove(name) {
                rdt.insert(theirs.to_owned(), value);
            }
        }
    }
    Ok(Read { value: typed(document)?, warnings })
}

/// Read a process as `exec --process` has it.
pub fn parse_process(bytes: &[u8]) -> Result<Read<Process>> {
    let mut document = json::object(bytes)?;
    let warnings = walk::walk(&mut document, schema::PROCESS)?;
    complete(&mut document);
    Ok(Read { value: typed(document)?, warnings })
}

/// Read resources as `update --resources` has them.
pub fn parse_resources(bytes: &[u8]) -> Result<Read<LinuxResources>> {
    read(bytes, schema::RESOURCES)
}

fn read<T: DeserializeOwned>(bytes: &[u8], properties: &[Property]) -> Result<Read<T>> {
    let mut document = json::object(bytes)?;
    let warnings = walk::walk(&mut document, properties)?;
    Ok(Read { value: typed(document)?, warnings })
}

fn typed<T: DeserializeOwned>(document: Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(document)).map_err(|error| fault(Kind::BadData, error.to_string()))
}

/// oci-spec insists on a user, which others leave out for root, and spells two flags in its own way.
fn complete(process: &mut Map<String, Value>) {
    process.entry("user").or_insert_with(|| Value::Object(Map::new()));
    let flags = process.get_mut("scheduler").and_then(|scheduler| scheduler.get_mut("flags")?.as_array_mut());
    for flag in flags.into_iter().flatten() {
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = "SCHED_RESET_ON_FORK".into(),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = "SCHED_FLAG_D_L_OVERRUN".into(),
            _ => {}
        }
    }
}

/// What the table cannot say: a device has its numbers, unless it is a FIFO (config-linux.md, Devices).
fn check_devices(document: &Map<String, Value>) -> Result<()> {
    let devices = document.get("linux").and_then(|linux| linux.get("devices")?.as_array());
    for (index, device) in devices.into_iter().flatten().enumerate() {
        let missing = ["major", "minor"].into_iter().find(|name| device.get(name).is_none());
        if let Some(name) = missing.filter(|_| device.get("type").is_some_and(|kind| kind != "p")) {
            return Err(fault(Kind::BadData, format!("`linux.devices[{index}].{name}` is missing")));
        }
    }
    Ok(())
}

/// The whole of version 1 is compatible with itself (config.md, Specification version).
fn check_version(document: &Map<String, Value>) -> Result<()> {
    let text = document.get("ociVersion").and_then(Value::as_str).unwrap_or_default();
    let mut parts = text.split(['-', '+']).next().unwrap_or_default().split('.');
    let mut number = || parts.next()?.parse::<u32>().ok();
    match (number(), number(), number()) {
        (Some(1), Some(_), Some(_)) => Ok(()),
        (Some(_), Some(_), Some(_)) => {
            let text = format!("`ociVersion` is {}: box understands version 1", text.escape_debug());
            Err(fault(Kind::BadData, text))
        }
        _ => Err(fault(Kind::BadData, format!("`ociVersion` is `{}`: it is like 1.3.0", text.escape_debug()))),
    }
}

#[cfg(test)]
mod tests;
