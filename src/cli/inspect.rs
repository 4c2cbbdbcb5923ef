//! `inspect`, and whether something exists.

use super::args::Globals;
use super::args::containers::{Exists, Inspect, InspectContainer};
use super::args::images::{Exists as ImageExists, InspectImage};
use super::output::{print, print_json};
use super::template::Format;
use super::{errors, session};
use crate::base::error::{Fault, Kind, kind};
use crate::container;
use crate::engine::Engine;
use crate::image;
use anyhow::Result;
use serde_json::Value;

/// `box inspect`: a container, or else an image.
pub fn inspect(args: &Inspect, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let latest = if args.latest { Some(session::latest(&engine)?.config.id.to_string()) } else { None };
    let names = latest.map_or_else(|| args.names.clone(), |id| vec![id]);
    let find = |name: &str| -> Result<Value> {
        match args.kind.as_deref() {
            Some("container") => inspect_container(&engine, name),
            Some("image") => inspect_image(&engine, name),
            _ => match inspect_container(&engine, name) {
                Err(error) if kind(&error) == Kind::NotFound => match image::find(&engine.store, name)? {
                    Some(image) => Ok(image::inspect(&engine.store, &image)),
                    None => Err(missing(name)),
                },
                found => found,
            },
        }
    };
    show(args.format.as_deref(), &names, find)
}

/// `box container inspect`.
pub fn container(args: InspectContainer, globals: &Globals) -> Result<u8> {
    let InspectContainer { format, latest, names } = args;
    inspect(&Inspect { format, kind: Some("container".to_owned()), latest, names }, globals)
}

/// `box image inspect`.
pub fn image(args: InspectImage, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    show(args.format.as_deref(), &args.names, |name| inspect_image(&engine, name))
}

/// `box container exists`.
pub fn container_exists(args: &Exists, globals: &Globals) -> Result<u8> {
    match container::find(&session::open(globals)?, &args.name) {
        Ok(_) => Ok(0),
        Err(error) if kind(&error) == Kind::NotFound => Ok(1),
        Err(error) => Err(error),
    }
}

/// `box image exists`.
pub fn image_exists(args: &ImageExists, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    Ok(u8::from(image::find(&engine.store, &args.name)?.is_none()))
}

fn inspect_container(engine: &Engine, name: &str) -> Result<Value> {
    Ok(container::inspect(engine, &container::find(engine, name)?))
}

fn inspect_image(engine: &Engine, name: &str) -> Result<Value> {
    Ok(image::inspect(&engine.store, &session::image(engine, name)?))
}

fn missing(name: &str) -> anyhow::Error {
    Fault::new(Kind::NotFound, format!("there is no container and no image `{name}`"))
        .hint("box ps -a")
        .hint("box images")
        .into()
}

/// Print what is found, then say what is not.
pub fn show(format: Option<&str>, names: &[String], find: impl Fn(&str) -> Result<Value>) -> Result<u8> {
    let format = format.map(Format::parse).transpose()?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match find(name) {
            Ok(value) => found.push(value),
            Err(error) => failures.push(error),
        }
    }
    match &format {
        None => print_json(&Value::Array(found))?,
        Some(format) if format.is_json() => print_json(&Value::Array(found))?,
        Some(format) => {
            for value in &found {
                print(&format.render_one(value)?)?;
            }
        }
    }
    for error in &failures {
        errors::report(error);
    }
    Ok(session::code(&failures.iter().map(kind).collect::<Vec<_>>()))
}
