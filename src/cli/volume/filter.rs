//! `--filter` of `volume ls` and `volume prune`.

use crate::base::error::{Fault, Kind, fault};
use crate::base::time;
use crate::container::filter::has_label;
use crate::container::{self, Container, mounts};
use crate::engine::Engine;
use crate::volume::{self, Volume};
use anyhow::Result;
use std::mem::{Discriminant, discriminant};

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// A part of the name.
    Name(String),
    /// `K` or `K=V`.
    Label(String),
    /// The opposite.
    NotLabel(String),
    /// `K` or `K=V` of the driver's options.
    Option(String),
    /// The driver.
    Driver(String),
    /// Always `local`.
    Scope(String),
    /// Used by no container.
    Dangling(bool),
    /// Made for one container.
    Anonymous(bool),
    /// Made after then, in nanoseconds since 1970.
    Since(i64),
    /// Made before then.
    Until(i64),
}

impl Filter {
    /// Understand all filters; `since` looks its volume up.
    pub fn parse_all(engine: &Engine, texts: &[String]) -> Result<Vec<Self>> {
        texts.iter().map(|text| Self::parse(engine, text)).collect()
    }

    fn parse(engine: &Engine, text: &str) -> Result<Self> {
        let wrong = |text: String| {
            let keys = "name label label! opt driver scope dangling anonymous since until";
            Fault::new(Kind::Usage, text).hint(format!("the keys are: {keys}"))
        };
        let (key, value) = text.split_once('=').ok_or_else(|| wrong(format!("`--filter {text}` is not KEY=VALUE")))?;
        let boolean = || match value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(fault(Kind::Usage, format!("`{key}` is neither true nor false but `{}`", value.escape_debug()))),
        };
        Ok(match key {
            "name" => Self::Name(value.to_owned()),
            "label" => Self::Label(value.to_owned()),
            "label!" => Self::NotLabel(value.to_owned()),
            "opt" => Self::Option(value.to_owned()),
            "driver" => Self::Driver(value.to_owned()),
            "scope" => Self::Scope(value.to_owned()),
            "dangling" => Self::Dangling(boolean()?),
            "anonymous" => Self::Anonymous(boolean()?),
            "since" | "after" => Self::Since(volume::find(&engine.dirs, value)?.record.created),
            "until" => {
                let moment = time::parse_moment(value, chrono::Utc::now())?;
                Self::Until(moment.timestamp_nanos_opt().unwrap_or(i64::MAX))
            }
            other => return Err(wrong(format!("`--filter`: there is no filter `{other}`")).into()),
        })
    }

    fn fits(&self, volume: &Volume, users: &[Container]) -> bool {
        let record = &volume.record;
        match self {
            Self::Name(part) => record.name.contains(part.as_str()),
            Self::Label(wanted) => has_label(&record.labels, wanted),
            Self::NotLabel(unwanted) => !has_label(&record.labels, unwanted),
            Self::Option(wanted) => has_label(&record.options, wanted),
            Self::Driver(name) => record.driver == *name,
            Self::Scope(name) => name == "local",
            Self::Dangling(wanted) => (count(volume, users) == 0) == *wanted,
            Self::Anonymous(wanted) => record.anonymous == *wanted,
            Self::Since(moment) => record.created > *moment,
            Self::Until(moment) => record.created < *moment,
        }
    }
}

/// How many of these containers have a volume.
pub fn count(volume: &Volume, users: &[Container]) -> usize {
    users.iter().filter(|container| mounts::uses(container, &volume.record.name)).count()
}

/// The volumes that fit: the same key twice means either, labels excepted; different keys mean both.
pub fn fitting(engine: &Engine, filters: &[Filter]) -> (Vec<Volume>, Vec<Container>) {
    let users = container::all(engine);
    let mut all = volume::all(&engine.dirs);
    all.retain(|volume| fits_all(volume, filters, &users));
    (all, users)
}

fn fits_all(volume: &Volume, filters: &[Filter], users: &[Container]) -> bool {
    let same = |kind: Discriminant<Filter>, other: &&Filter| discriminant(*other) == kind;
    filters.iter().all(|filter| match filter {
        Filter::Label(_) | Filter::NotLabel(_) => filter.fits(volume, users),
        _ => {
            let kind = discriminant(filter);
            filters.iter().filter(|other| same(kind, other)).any(|other| other.fits(volume, users))
        }
    })
}
