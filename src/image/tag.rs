//! `tag`: another name for a stored image.

use super::find::{find_entry, missing};
use crate::base::error::{Kind, fault};
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
    let (entry, _) = find_entry(store, &entries, from)?.ok_or_else(|| missing(from))?;
    let name = reference.stored_name();
    store.tag(&name, &entry.manifest, entry.list.as_ref())?;
    Ok(name)
}
