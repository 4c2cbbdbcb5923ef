//! `rmi`: taking names away. The content that nothing else uses goes with the next collection.

use super::Image;
use super::find::{By, find_entry, manifest, missing, of_platform};
use super::lists::{is_index, remove_from_list};
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind};
use crate::oci::platform::Platform;
use crate::store::{Entry, Store};
use anyhow::Result;

/// How to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions<'a> {
    /// Also what has several names or is used by containers (whose layers stay as long as they are in use).
    pub force: bool,
    /// Of the images of one list, only the one for this platform.
    pub platform: Option<&'a Platform>,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// This name.
    Untagged(String),
    /// The image with this id.
    Deleted(Digest),
}

/// Remove the image, or the name, that `text` means.
///
/// `used_by` tells which containers use an image id. Errors: no such image ([`Kind::NotFound`]); it is used or has
/// several names and was named by id ([`Kind::InUse`]).
pub fn remove(
    store: &Store,
    text: &str,
    options: RemoveOptions<'_>,
    used_by: &dyn Fn(&Digest) -> Vec<String>,
) -> Result<Vec<Removed>> {
    let entries = store.entries()?;
    let (mut entry, mut by) = find_entry(store, &entries, text)?.ok_or_else(|| missing(store, text))?;
    if let Some(platform) = options.platform {
        let image = of_platform(store, text, platform)?;
        if is_index(&entry.manifest.media_type) {
            return remove_row(store, entry, &image, &by);
        }
        let one = entries.iter().find(|other| other.manifest == image.manifest);
        // The names are those of another of its list.
        if let Some(one) = one.filter(|one| one.manifest != entry.manifest) {
            (entry, by) = (one, By::Id);
        }
    }
    // An image whose manifest is damaged can still be removed; it has no id but that of its manifest.
    let id_of = |entry: &Entry| manifest(store, entry).map(|manifest| manifest.config.digest);
    let id = id_of(entry).unwrap_or_else(|_| entry.manifest.digest.clone());
    if entry.read_only {
        return Err(only_read(text));
    }
    let same: Vec<&Entry> = entries
        .iter()
        .filter(|other| !other.read_only)
        .filter(|other| other.manifest == entry.manifest || id_of(other).is_ok_and(|other| other == id))
        .collect();
    let names: Vec<String> = same.iter().flat_map(|entry| entry.names.iter().cloned()).collect();
    if let By::Name(name) = &by
        && names.iter().any(|other| other != name)
    {
        store.untag(name)?;
        return Ok(vec![Removed::Untagged(name.clone())]);
    }
    if by == By::Id && names.len() > 1 && !options.force {
        let fault = Fault::new(Kind::InUse, format!("image `{text}` has several names: {}", names.join(", ")));
        return Err(fault.hint(format!("remove them all: box rmi --force {text}")).into());
    }
    let users = used_by(&id);
    if let Some(first) = users.first()
        && !options.force
    {
        let fault = Fault::new(Kind::InUse, format!("image `{text}` is used by container `{}`", users.join("`, `")));
        let remove = match first.strip_suffix(" (running)") {
            Some(name) => format!("box rm -f {name}"),
            None => format!("box rm {first}"),
        };
        return Err(fault.hint(format!("remove the container first: {remove}")).into());
    }
    let manifests = same.iter().map(|entry| entry.manifest.digest.clone()).collect();
    store.note_garbage();
    store.forget(&manifests)?;
    let mut removed: Vec<Removed> = names.into_iter().map(Removed::Untagged).collect();
    removed.push(Removed::Deleted(id));
    Ok(removed)
}

/// Take an image out of a manifest list.
fn remove_row(store: &Store, list: &Entry, image: &Image, by: &By) -> Result<Vec<Removed>> {
    let By::Name(name) = by else {
        let text = format!("manifest list {} has no name by which it could be edited", list.manifest.digest);
        return Err(Fault::new(Kind::Usage, text).hint("box rmi without --platform").into());
    };
    store.note_garbage();
    remove_from_list(store, name, image.manifest.digest.as_str())?;
    Ok(vec![Removed::Deleted(image.id.clone())])
}

/// Why an image of an additional store cannot be changed.
pub(super) fn only_read(text: &str) -> anyhow::Error {
    let text = format!("image `{}` is in an additional image store, which is only read", text.escape_debug());
    Fault::new(Kind::Usage, text).hint("box info --config   # says which file names the store").into()
}
