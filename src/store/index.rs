//! Names: `index.json`, the OCI index of everything stored. Read without a lock, edited under one, replaced at once.
//!
//! Each row is a manifest and at most one name (`org.opencontainers.image.ref.name`, the full normalised name); a
//! manifest with several names has several rows, one without has one row without. What other tools wrote into a row
//! is kept. `ocidir` is not used here: it writes manifests anew, which changes their digests, and has no lock.

use super::Store;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault, is_disk_full};
use crate::base::fs::{Durability, read_limited, replace, sync_dir};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// The annotation of a row that holds its name, as skopeo and ocidir read it.
const NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation of a row that holds the digest of the index (manifest list) that the manifest was chosen from.
const LIST: &str = "box.image-index";
/// The annotation of a row that holds the names that its manifest had before, divided by spaces.
const PAST: &str = "box.past-names";
/// No more than so many past names are kept.
const MOST_PAST: usize = 32;
/// Rows of a hostile or run-away index are not read without end: 64 MiB is some 150,000 of them.
const MAX_INDEX: u64 = 64 << 20;
/// Enough for some 150 rows; more names than that on a full disk need a little space to be removed.
const SPARE: usize = 64 << 10;

/// What a descriptor says of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRef {
    /// The digest of its raw bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// A manifest that is stored, with all its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The manifest.
    pub manifest: ManifestRef,
    /// Its names, in the order they were given; empty for a dangling image.
    pub names: Vec<String>,
    /// Names that it had and has no more.
    pub past_names: Vec<String>,
    /// The index (manifest list) it was chosen from, if it was.
    pub list: Option<Digest>,
    /// Whether it is in an additional store, which is only read.
    pub read_only: bool,
}

/// A row as it is read: only what box needs, borrowed from the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow, default)]
    media_type: Cow<'a, str>,
    #[serde(borrow, default)]
    digest: Cow<'a, str>,
    #[serde(default)]
    size: u64,
    #[serde(borrow, default)]
    annotations: Annotations<'a>,
}

#[derive(Deserialize, Default)]
struct Annotations<'a> {
    #[serde(rename = "org.opencontainers.image.ref.name", borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(rename = "box.image-index", borrow, default)]
    list: Option<Cow<'a, str>>,
    #[serde(rename = "box.past-names", borrow, default)]
    past: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow, default)]
    manifests: Vec<Row<'a>>,
}

impl Row<'_> {
    /// A row with a digest that is none belongs to nobody; it is passed over rather than failing every command.
    fn manifest(&self) -> Option<ManifestRef> {
        Some(ManifestRef {
            digest: Digest::parse(&self.digest)?,
            size: self.size,
            media_type: self.media_type.clone().into_owned(),
        })
    }
}

impl Store {
    /// Everything stored: one entry a manifest, in the order of the index; then what additional stores have, but for
    /// the names that an earlier one gives to something.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = self.own_entries()?;
        for store in &self.additional {
            let mut more = store.own_entries()?;
            more.iter_mut().for_each(|entry| {
                entry.read_only = true;
                entry.names.retain(|name| !entries.iter().any(|earlier| earlier.names.contains(name)));
            });
            entries.extend(more);
        }
        Ok(entries)
    }

    /// As [`Store::entries`], without those of additional stores: what may be changed and removed.
    pub fn own_entries(&self) -> Result<Vec<Entry>> {
        let bytes = self.read_index()?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<Digest, usize> = HashMap::new();
        for row in self.rows(&bytes)?.manifests {
            let Some(manifest) = row.manifest() else { continue };
            let list = row.annotations.list.as_deref().and_then(Digest::parse);
            let name = row.annotations.name.map(Cow::into_owned);
            let past = row.annotations.past.split_whitespace().map(str::to_owned);
            match places.get(&manifest.digest).and_then(|place| entries.get_mut(*place)) {
                Some(entry) => {
                    entry.names.extend(name);
                    entry.past_names.extend(past);
                    entry.list = entry.list.take().or(list);
                }
                None => {
                    places.insert(manifest.digest.clone(), entries.len());
                    entries.push(Entry {
                        manifest,
                        names: name.into_iter().collect(),
                        past_names: past.collect(),
                        list,
                        read_only: false,
                    });
                }
            }
        }
        entries.iter_mut().for_each(|entry| entry.past_names.retain(|past| !entry.names.contains(past)));
        Ok(entries)
    }

    /// The manifest of that name.
    pub fn lookup(&self, name: &str) -> Result<Option<ManifestRef>> {
        let bytes = self.read_index()?;
        let rows = self.rows(&bytes)?.manifests;
        let found = rows.iter().find(|row| row.annotations.name.as_deref() == Some(name)).and_then(Row::manifest);
        match found {
            None => self.additional.iter().find_map(|store| store.lookup(name).transpose()).transpose(),
            found => Ok(found),
        }
    }

    /// Give a manifest this name, taking it from the manifest that has it, which stays without.
    ///
    /// It is on the disk when this returns. The caller holds a lease and has called [`Store::sync`].
    pub fn tag(&self, name: &str, manifest: &ManifestRef, list: Option<&Digest>) -> Result<()> {
        self.edit(|rows| {
            unname(rows, name);
            let nameless = |row: &Value| digest(row) == Some(manifest.digest.as_str()) && name_of(row).is_none();
            let past = rows.iter().find(|row| nameless(row)).and_then(past_of).map(str::to_owned);
            rows.retain(|row| !nameless(row));
            let mut annotations = Map::new();
            annotations.extend(past.map(|past| (PAST.to_owned(), past.into())));
            annotations.insert(NAME.into(), name.into());
            if let Some(list) = list {
                annotations.insert(LIST.into(), list.as_str().into());
            }
            rows.push(json!({
                "mediaType": manifest.media_type,
                "digest": manifest.digest.as_str(),
                "size": manifest.size,
                "annotations": annotations,
            }));
            true
        })
        .with_context(|| format!("cannot name an image `{name}`"))?;
        Ok(())
    }

    /// List a manifest without a name, if it is not listed yet.
    pub fn keep(&self, manifest: &ManifestRef, list: Option<&Digest>) -> Result<()> {
        self.edit(|rows| {
            if rows.iter().any(|row| digest(row) == Some(manifest.digest.as_str())) {
                return false;
            }
            let mut row = json!({
                "mediaType": manifest.media_type,
                "digest": manifest.digest.as_str(),
                "size": manifest.size,
            });
            if let (Some(list), Some(row)) = (list, row.as_object_mut()) {
                row.insert("annotations".into(), json!({ LIST: list.as_str() }));
            }
            rows.push(row);
            true
        })?;
        Ok(())
    }

    /// Take the name away; false if nothing has it. The manifest stays, listed without a name if that was its last.
    pub fn untag(&self, name: &str) -> Result<bool> {
        self.edit(|rows| unname(rows, name)).with_context(|| format!("cannot remove the name `{name}`"))
    }

    /// Remove manifests with all their names from the list. Their content goes with the next collection.
    pub fn forget(&self, manifests: &HashSet<Digest>) -> Result<()> {
        self.edit(|rows| {
            let before = rows.len();
            rows.retain(|row| digest(row).and_then(Digest::parse).is_none_or(|digest| !manifests.contains(&digest)));
            rows.len() != before
        })
        .context("cannot take images from the list")?;
        Ok(())
    }

    /// An empty index, and the spare file; for a new layout, under the index's lock.
    pub(super) fn make_index(&self) -> Result<()> {
        self.make_spare()?;
        let path = self.index_path();
        if rustix::fs::access(&path, rustix::fs::Access::EXISTS).is_ok() {
            return Ok(());
        }
        replace(&path, &encode(&empty())?, Durability::Synced)
    }

    /// Allocate the spare file anew if it was used up.
    pub(super) fn make_spare(&self) -> Result<()> {
        let path = self.spare_path();
        if std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.len() == SPARE as u64) {
            return Ok(());
        }
        // Not zeros: a file system that compresses would allocate nothing.
        let mut bytes = vec![0; SPARE];
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        replace(&path, &bytes, Durability::Cached)
    }

    fn spare_path(&self) -> PathBuf {
        self.dirs.oci().join("spare")
    }

    fn read_index(&self) -> Result<Vec<u8>> {
        match read_limited(&self.index_path(), MAX_INDEX) {
            Err(error) if is(&error, ErrorKind::NotFound) => Ok(br#"{"schemaVersion":2,"manifests":[]}"#.to_vec()),
            other => other,
        }
    }

    fn rows<'a>(&self, bytes: &'a [u8]) -> Result<Rows<'a>> {
        serde_json::from_slice(bytes).map_err(|error| self.damaged(error))
    }

    fn damaged(&self, error: serde_json::Error) -> anyhow::Error {
        let path = self.index_path();
        Fault::new(Kind::BadData, format!("the list of images `{}` is damaged", path.display()))
            .hint(format!(
                "mv {0} {0}.damaged   # then pull the images again: their content is still here",
                path.display()
            ))
            .because(error)
    }

    /// Change the rows under the lock; written only if `change` says that it did.
    fn edit(&self, change: impl FnOnce(&mut Vec<Value>) -> bool) -> Result<bool> {
        let _lock = self.lock_index()?;
        let bytes = self.read_index()?;
        let mut index: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| self.damaged(error))?;
        let rows = index.entry("manifests").or_insert_with(|| Value::Array(Vec::new()));
        let Some(rows) = rows.as_array_mut() else {
            return Err(fault(Kind::BadData, format!("`{}` has no list of manifests", self.index_path().display())));
        };
        if !change(rows) {
            return Ok(false);
        }
        self.write_index(&encode(&index)?)?;
        Ok(true)
    }

    /// Replace the index; on a full disk through the spare file, whose blocks are ours already.
    fn write_index(&self, bytes: &[u8]) -> Result<()> {
        let path = self.index_path();
        match replace(&path, bytes, Durability::Synced) {
            Err(error) if bytes.len() <= SPARE && is_disk_full(&error) => {
                let through_spare = || -> std::io::Result<()> {
                    let mut file = OpenOptions::new().write(true).mode(0o600).open(self.spare_path())?;
                    file.write_all(bytes)?;
                    file.set_len(bytes.len() as u64)?;
                    file.sync_all()?;
                    std::fs::rename(self.spare_path(), &path)?;
                    sync_dir(&self.dirs.oci())
                };
                through_spare().map_err(|_| error)
            }
            other => other,
        }
    }
}

/// Take the name from every row that has it; a manifest that loses its last row by that keeps one without a name.
fn unname(rows: &mut Vec<Value>, name: &str) -> bool {
    let mut found = false;
    let mut i = 0;
    while let Some(row) = rows.get(i) {
        if name_of(row) != Some(name) {
            i += 1;
            continue;
        }
        found = true;
        let same = digest(row).map(str::to_owned);
        let others = rows.iter().enumerate().any(|(other, row)| other != i && digest(row) == same.as_deref());
        if others {
            let past = rows.remove(i);
            for name in past_of(&past).into_iter().flat_map(str::split_whitespace).chain([name]) {
                remember(rows, same.as_deref(), name);
            }
            continue;
        }
        if let Some(annotations) =
            rows.get_mut(i).and_then(|row| row.get_mut("annotations")).and_then(Value::as_object_mut)
        {
            annotations.shift_remove(NAME);
        }
        remember(rows, same.as_deref(), name);
        i += 1;
    }
    found
}

/// Note in a manifest's first row that it had this name.
fn remember(rows: &mut [Value], manifest: Option<&str>, name: &str) {
    let Some(row) = rows.iter_mut().find(|row| digest(row) == manifest) else { return };
    let mut past: Vec<&str> =
        past_of(row).unwrap_or_default().split_whitespace().filter(|past| *past != name).collect();
    past.push(name);
    let past = past.split_off(past.len().saturating_sub(MOST_PAST)).join(" ");
    let Some(row) = row.as_object_mut() else { return };
    let annotations = row.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(PAST.into(), past.into());
    }
}

fn past_of(row: &Value) -> Option<&str> {
    row.get("annotations")?.get(PAST)?.as_str()
}

fn digest(row: &Value) -> Option<&str> {
    row.get("digest")?.as_str()
}

fn name_of(row: &Value) -> Option<&str> {
    row.get("annotations")?.get(NAME)?.as_str()
}

fn empty() -> Map<String, Value> {
    let mut index = Map::new();
    index.insert("schemaVersion".into(), 2.into());
    index.insert("mediaType".into(), "application/vnd.oci.image.index.v1+json".into());
    index.insert("manifests".into(), Value::Array(Vec::new()));
    index
}

fn encode(index: &Map<String, Value>) -> Result<Vec<u8>> {
    serde_json::to_vec(index).context("cannot encode the list of images")
}

fn is(error: &anyhow::Error, kind: ErrorKind) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    fn manifest(text: &str) -> ManifestRef {
        ManifestRef {
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        }
    }

    fn names(store: &Store) -> Vec<(Digest, Vec<String>)> {
        store.entries().unwrap().into_iter().map(|entry| (entry.manifest.digest, entry.names)).collect()
    }

    #[test]
    fn names_move_and_manifests_stay() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let (one, two, list) = (manifest("one"), manifest("two"), Digest::of(b"list"));
        store.tag("a:1", &one, Some(&list)).unwrap();
        store.tag("b:1", &one, None).unwrap();
        assert_eq!(store.lookup("b:1").unwrap(), Some(one.clone()));
        assert_eq!(store.entries().unwrap()[0].list, Some(list));
        store.tag("a:1", &two, None).unwrap();
        assert_eq!(names(store), [(one.digest.clone(), vec!["b:1".into()]), (two.digest.clone(), vec!["a:1".into()])]);
        assert!(store.untag("b:1").unwrap() && !store.untag("b:1").unwrap());
        assert_eq!(names(store), [(one.digest.clone(), vec![]), (two.digest.clone(), vec!["a:1".into()])]);
        store.keep(&one, None).unwrap();
        store.tag("c:1", &one, None).unwrap();
        assert_eq!(names(store)[1], (one.digest.clone(), vec!["c:1".into()]));
        let past = |at: usize| store.entries().unwrap()[at].past_names.clone();
        assert_eq!((past(0), past(1)), (vec![], vec!["a:1".to_owned(), "b:1".into()]));
        store.tag("a:1", &one, None).unwrap();
        assert_eq!(past(1), vec!["b:1".to_owned()], "it has the other again");
        store.tag("a:1", &two, None).unwrap();
        store.forget(&HashSet::from([two.digest.clone()])).unwrap();
        assert_eq!(names(store).len(), 1);
        assert_eq!(store.lookup("a:1").unwrap(), None);
    }

    #[test]
    fn rows_of_others_are_kept_and_bad_ones_passed_over() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        let good = manifest("good");
        let text = format!(
            r#"{{"schemaVersion":2,"x":1,"manifests":[{{"digest":"sha256:../..","size":1}},
            {{"digest":"{}","size":4,"mediaType":"m","platform":{{"os":"plan9"}},"annotations":{{"k":"v","{NAME}":"n"}}}}]}}"#,
            good.digest
        );
        std::fs::write(store.index_path(), text).unwrap();
        assert_eq!(names(store), [(good.digest.clone(), vec!["n".into()])]);
        assert!(store.untag("n").unwrap());
        let after = std::fs::read_to_string(store.index_path()).unwrap();
        assert!(after.contains("plan9") && after.contains(r#""k":"v""#) && after.contains(r#""x":1"#), "{after}");
        std::fs::write(store.index_path(), "{").unwrap();
        assert_eq!(crate::base::error::kind(&store.entries().unwrap_err()), Kind::BadData);
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let scratch = Scratch::new();
        let store = &scratch.store;
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || {
                    for i in 0..10 {
                        store.tag(&format!("w{writer}:{i}"), &manifest("m"), None).unwrap();
                    }
                });
            }
        });
        assert_eq!(names(store)[0].1.len(), 40);
    }
}
