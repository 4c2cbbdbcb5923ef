//! `tag` and `untag`: other names for a stored image, and fewer.

use super::find::{By, find_entry, missing};
use super::remove::only_read;
use crate::base::error::{Fault, Kind, fault};
use crate::oci::reference::Reference;
use crate::store::Store;
use anyhow::Result;

/// Give the image that `from` means the name `to`; a short one belongs to `localhost/`. Returns the whole name.
///
/// The image that had this name stays, without it.
pub fn tag(store: &Store, from: &str, to: &str) -> Result<String> {
    let reference = Reference::parse_with_default(to, "localhost")?;
    if reference.digest.is_some() {
        return Err(fault(Kind::Usage, format!("cannot name an image `{to}`: a digest cannot be chosen")));
    }
    let _lease = store.lease()?;
    let entries = store.entries()?;
    let (entry, _) = find_entry(store, &entries, from)?.ok_or_else(|| missing(store, from))?;
    let name = reference.stored_name();
    store.tag(&name, &entry.manifest, entry.list.as_ref())?;
    Ok(name)
}

/// Take names away from the image that `image` means: those in `names`, or all. The image stays.
///
/// Errors: a name that is not one of its names ([`Kind::NotFound`]); nothing is taken away then.
pub fn untag(store: &Store, image: &str, names: &[String]) -> Result<()> {
    let entries = store.entries()?;
    let (entry, _) = find_entry(store, &entries, image)?.ok_or_else(|| missing(store, image))?;
    if entry.read_only {
        return Err(only_read(image));
    }
    let mut going = if names.is_empty() { entry.names.clone() } else { Vec::new() };
    for name in names {
        match find_entry(store, &entries, name)? {
            Some((other, By::Name(full))) if other.manifest == entry.manifest => going.push(full),
            _ => {
                let text = format!("`{}` is not a name of image `{}`", name.escape_debug(), image.escape_debug());
                return Err(Fault::new(Kind::NotFound, text).hint("box images").into());
            }
        }
    }
    for name in &going {
        store.untag(name)?;
    }
    Ok(())
}
