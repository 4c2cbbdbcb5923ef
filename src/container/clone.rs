//! `container clone`: a container with the configuration of another.

use super::create::{find_image, image_root, publish};
use super::limits::Resources;
use super::mounts::{self, ImageVolumes, Mount, Source, Wishes};
use super::record::Container;
use super::request::PullPolicy;
use super::rights::userns::Userns;
use super::{RemoveOptions, names};
use crate::base::error::{Kind, fault};
use crate::base::id::ContainerId;
use crate::engine::Engine;
use crate::image::Progress;
use anyhow::{Context, Result};
use std::rc::Rc;

/// What the new container has of its own.
#[derive(Debug, Clone, Default)]
pub struct CloneRequest {
    /// Its name; `None`: the other's with `-clone` after it, and a number if that is taken.
    pub name: Option<String>,
    /// Another image; the command and everything else stay.
    pub image: Option<String>,
    /// Limits; what they do not mention is the other's.
    pub resources: Resources,
    /// The other is removed once this one is made.
    pub destroy: bool,
    /// Even if it runs.
    pub force: bool,
}

/// Make a container like another one. Named volumes are shared, anonymous ones made anew.
///
/// Errors: the other has ids that belong to it alone (`--userns auto`); the name is taken.
pub fn clone(engine: &Engine, other: &Container, request: CloneRequest, progress: &dyn Progress) -> Result<Container> {
    let deed = || format!("cannot clone container `{}`", other.config.name);
    let mut config = other.clone().with_updates().config;
    if config.damaged {
        return Err(fault(Kind::BadData, "its config.json cannot be read")).with_context(deed);
    }
    if matches!(config.userns, Userns::Auto { .. }) {
        return Err(fault(Kind::WrongState, "its ids were allotted to it alone (`--userns auto`)")).with_context(deed);
    }
    if let Some(name) = &request.name {
        names::check(name)?;
    }
    let _lease = engine.store.lease()?;
    let find = |text: &str| find_image(engine, text, &(PullPolicy::Missing, Rc::default(), None), progress);
    if let Some(text) = &request.image {
        config.root = image_root(text, &find(text)?);
    }
    config.limits.resources = request.resources.over(config.limits.resources);
    config.limits.resources.check()?;
    config.limits.resources.find_devices()?;
    let old = std::mem::replace(&mut config.id, ContainerId::random());
    if config.hostname == old.short() {
        config.hostname = config.id.short().to_owned();
        let (before, after) = (format!("HOSTNAME={}", old.short()), format!("HOSTNAME={}", config.hostname));
        config.env.iter_mut().filter(|entry| **entry == before).for_each(|entry| entry.clone_from(&after));
    }
    (config.created, config.cidfile) = (super::now(), None);
    let base = format!("{}-clone", config.name);
    // In its place, where it goes.
    let replaces = request.destroy && request.name.as_ref() == Some(&config.name);
    config.name = request.name.clone().unwrap_or_else(|| base.clone());
    if replaces {
        remove(engine, other, request.force)?;
    }
    let wishes = Wishes {
        mounts: std::mem::take(&mut config.mounts).into_iter().map(fresh).collect(),
        from: &[],
        image_volumes: &[],
        mode: ImageVolumes::Ignore,
        find_image: &find,
    };
    let settled = mounts::settle(engine, wishes)?;
    config.mounts = settled.mounts.clone();
    let published = (1..).find_map(|number| match publish(engine, (*config).clone(), false) {
        Err(error)
            if request.name.is_none() && crate::base::error::kind(&error) == Kind::NameInUse && number < 1000 =>
        {
            config.name = format!("{base}{number}");
            None
        }
        result => Some(result),
    });
    let taken = || Err(fault(Kind::NameInUse, "all names are in use"));
    let (container, lock) = published.unwrap_or_else(taken).with_context(deed)?;
    if let Err(error) = settled.keep(engine) {
        let _ = mounts::remove_anonymous(&engine.dirs, &container);
        let _ = container.delete(&engine.dirs);
        return Err(error.context(deed()));
    }
    let _ = std::fs::remove_dir(&container.run_dir);
    super::happened::tell(&engine.dirs, &container, &["create"]);
    drop(lock);
    if request.destroy && !replaces {
        remove(engine, other, request.force)?;
    }
    Ok(container)
}

fn remove(engine: &Engine, other: &Container, force: bool) -> Result<()> {
    super::remove(engine, other, RemoveOptions { force, volumes: true, ..Default::default() })
}

/// A mount without the volume that was made for the other.
fn fresh(mut mount: Mount) -> Mount {
    if let Source::Volume { name, anonymous: true, .. } = &mut mount.source {
        name.clear();
    }
    mount
}
