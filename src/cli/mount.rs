//! `mount`, `unmount`, `image mount` and `image unmount`.

use super::args::Globals;
use super::args::mount::{Mount, MountImage, Unmount, UnmountImage};
use super::output::{print, print_json, print_line, table};
use super::{errors, session};
use crate::base::error::{Kind, kind};
use crate::container::{self, Mountable};
use crate::engine::Engine;
use crate::image;
use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `box image mount`.
pub fn mount_image(args: &MountImage, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    if args.names.is_empty() && !args.all {
        let row = |id: &str, path: &Path| {
            let names = image::find(&engine.store, id).ok().flatten().map(|image| image.names).unwrap_or_default();
            json!({ "id": id, "Repositories": names, "mountpoint": path })
        };
        return list(&engine, Mountable::Images, args.format.is_some(), true, &row);
    }
    let images: Vec<_> = match args.all {
        true => image::list(&engine.store)?.into_iter().map(Ok).collect(),
        false => args.names.iter().map(|name| session::image(&engine, name)).collect(),
    };
    let mount = |image: Result<image::Image>| {
        let image = image?;
        Ok((image.id.digits().to_owned(), container::mount_image(&engine, &image)?))
    };
    show(images.into_iter().map(mount).collect())
}

/// `box mount`.
pub fn mount(args: &Mount, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    if args.names.is_empty() && !args.all && !args.latest {
        let row = |id: &str, path: &Path| {
            let name = container::find(&engine, id).map(|found| found.config.name).unwrap_or_default();
            json!({ "id": id, "Names": [name], "mountpoint": path })
        };
        return list(&engine, Mountable::Containers, args.format.is_some(), args.no_trunc, &row);
    }
    let containers = match args.all {
        true => session::filtered(&engine, &[], |_| true)?,
        false => session::named(&engine, &args.names, args.latest),
    };
    let mount = |(_, container): session::Named| {
        let container = container?;
        Ok((container.config.id.to_string(), container::mount_container(&engine, &container)?))
    };
    show(containers.into_iter().map(mount).collect())
}

/// `box image unmount`.
pub fn unmount_image(args: &UnmountImage, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let mounted = container::mounted(&engine, Mountable::Images)?;
    let ids: Vec<Result<String>> = match args.all {
        true => mounted.into_iter().map(|(id, _)| Ok(id)).collect(),
        // One that was removed meanwhile can still be unmounted by its id.
        false => (args.names.iter())
            .map(|name| match mounted.iter().find(|(id, _)| id == name) {
                Some((id, _)) => Ok(id.clone()),
                None => session::image(&engine, name).map(|image| image.id.digits().to_owned()),
            })
            .collect(),
    };
    take_away(&engine, Mountable::Images, ids, args.force)
}

/// `box unmount`.
pub fn unmount(args: &Unmount, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let ids: Vec<Result<String>> = match args.all {
        true => container::mounted(&engine, Mountable::Containers)?.into_iter().map(|(id, _)| Ok(id)).collect(),
        false => (session::named(&engine, &args.names, args.latest).into_iter())
            .map(|(_, container)| container.map(|container| container.config.id.to_string()))
            .collect(),
    };
    take_away(&engine, Mountable::Containers, ids, args.force)
}

/// Unmount each, and print the ids; one that is not mounted is as it should be.
fn take_away(engine: &Engine, what: Mountable, ids: Vec<Result<String>>, force: bool) -> Result<u8> {
    let mut failures = Vec::new();
    for id in ids {
        match id.and_then(|id| container::unmount(engine, what, &id, force).map(|_| id)) {
            Ok(id) => print_line(&id)?,
            Err(error) => failures.push(reported(&error)),
        }
    }
    Ok(session::code(&failures))
}

/// The place of one, or ids and places of several.
fn show(mounts: Vec<Result<(String, PathBuf)>>) -> Result<u8> {
    let alone = mounts.len() == 1;
    let mut failures = Vec::new();
    for mount in mounts {
        match mount {
            Ok((_, path)) if alone => print_line(&path.display().to_string())?,
            Ok((id, path)) => print_line(&format!("{id} {}", path.display()))?,
            Err(error) => failures.push(reported(&error)),
        }
    }
    Ok(session::code(&failures))
}

fn reported(error: &anyhow::Error) -> Kind {
    errors::report(error);
    kind(error)
}

/// What is mounted, as lines or as JSON.
fn list(engine: &Engine, what: Mountable, as_json: bool, full: bool, row: &dyn Fn(&str, &Path) -> Value) -> Result<u8> {
    let mounted = container::mounted(engine, what)?;
    if as_json {
        print_json(&mounted.iter().map(|(id, path)| row(id, path)).collect())?;
        return Ok(0);
    }
    let shown = |id: &str| if full { id.to_owned() } else { id.get(..12).unwrap_or(id).to_owned() };
    print(&table(&mounted.iter().map(|(id, path)| vec![shown(id), path.display().to_string()]).collect::<Vec<_>>()))?;
    Ok(0)
}
