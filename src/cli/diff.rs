//! `diff`: what a container has changed of its image, or an image's last layer of those below.

use super::args::Globals;
use super::args::image::Diff;
use super::errors::escape;
use super::output::{print, print_json};
use super::session;
use crate::base::error::{Fault, Kind, kind};
use crate::container;
use crate::store::{Change, ChangeKind};
use anyhow::Result;
use serde_json::{Map, Value, json};

/// What a name may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A container, or else an image.
    Any,
    /// A container.
    Container,
    /// An image.
    Image,
}

/// `box diff`.
pub fn diff(args: &Diff, of: Of, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let latest = if args.latest { Some(session::latest(&engine)?.config.id.to_string()) } else { None };
    let names = latest.map_or_else(|| args.names.clone(), |id| vec![id]);
    let changes = match names.as_slice() {
        [one, other] if of != Of::Container => {
            let (new, old) = (session::image(&engine, one)?, session::image(&engine, other)?);
            container::diff_images(&engine, &new, Some(&old))?
        }
        [name] => match (of, container::find(&engine, name)) {
            (Of::Any | Of::Container, Ok(container)) => container::diff(&engine, &container)?,
            (Of::Container, Err(error)) => return Err(error),
            (Of::Any, Err(error)) if kind(&error) != Kind::NotFound => return Err(error),
            _ => container::diff_images(&engine, &session::image(&engine, name)?, None)?,
        },
        _ => return Err(Fault::new(Kind::Usage, "diff takes one container, or one or two images").into()),
    };
    match args.format.as_deref() {
        Some(_) => print_json(&as_json(&changes))?,
        None => {
            let line = |change: &Change| format!("{} {}\n", letter(change.kind), shown(change));
            print(&changes.iter().map(line).collect::<String>())?;
        }
    }
    Ok(0)
}

fn letter(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Changed => 'C',
        ChangeKind::Deleted => 'D',
    }
}

fn shown(change: &Change) -> String {
    escape(&String::from_utf8_lossy(&change.path))
}

/// podman's form: a list of paths for each kind that there is.
fn as_json(changes: &[Change]) -> Value {
    let mut map = Map::new();
    for (key, kind) in
        [("changed", ChangeKind::Changed), ("added", ChangeKind::Added), ("deleted", ChangeKind::Deleted)]
    {
        let of = changes.iter().filter(|change| change.kind == kind);
        let paths: Vec<Value> = of.map(|change| json!(String::from_utf8_lossy(&change.path))).collect();
        if !paths.is_empty() {
            map.insert(key.to_owned(), paths.into());
        }
    }
    Value::Object(map)
}
