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
use crate::network;
use anyhow::Result;
use serde_json::Value;

/// Looks at something of this name.
type Look<'a> = dyn Fn(&str) -> Result<Value> + 'a;

/// `box inspect`: a container, or else an image, a volume or a network.
pub fn inspect(args: &Inspect, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let latest = if args.latest { Some(session::latest(&engine)?.config.id.to_string()) } else { None };
    let names = latest.map_or_else(|| args.names.clone(), |id| vec![id]);
    let kinds: [(&str, &Look); 4] = [
        ("container", &|name| inspect_container(&engine, name, args.size)),
        ("image", &|name| {
            let found = image::find(&engine.store, name)?.ok_or_else(|| image::missing(&engine.store, name))?;
            Ok(image::inspect(&engine.store, &found))
        }),
        ("volume", &|name| super::volume::inspect_one(&engine, name)),
        ("network", &|name| Ok(container::inspect_network(&engine, &network::record::find(&engine.dirs, name)?))),
    ];
    let find = |name: &str| -> Result<Value> {
        if let Some((_, look)) = kinds.iter().find(|(kind, _)| args.kind.as_deref() == Some(kind)) {
            return look(name);
        }
        for (_, look) in &kinds {
            match look(name) {
                // What cannot be the name of one kind may be that of the next.
                Err(error) if matches!(kind(&error), Kind::NotFound | Kind::Usage) => {}
                found => return found,
            }
        }
        Err(missing(name))
    };
    show(args.format.as_deref(), &names, find)
}

/// `box container inspect`.
pub fn container(args: InspectContainer, globals: &Globals) -> Result<u8> {
    let InspectContainer { format, size, latest, names } = args;
    inspect(&Inspect { format, size, kind: Some("container".to_owned()), latest, names }, globals)
}

/// `box image inspect`.
pub fn image(args: InspectImage, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let found = |name: &str| session::image_for(&engine, name, args.platform.as_deref());
    show(args.format.as_deref(), &args.names, |name| Ok(image::inspect(&engine.store, &found(name)?)))
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

fn inspect_container(engine: &Engine, name: &str, with_size: bool) -> Result<Value> {
    let container = container::find(engine, name)?;
    let mut keys = container::inspect(engine, &container);
    if with_size {
        let size = container::size(engine, &container);
        keys["SizeRw"] = size.written.into();
        keys["SizeRootFs"] = (size.written + size.image).into();
    }
    Ok(keys)
}

fn missing(name: &str) -> anyhow::Error {
    Fault::new(Kind::NotFound, format!("there is no container, image, volume or network `{}`", name.escape_debug()))
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
