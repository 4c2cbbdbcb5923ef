//! What a copy puts where: the entries of the layer that it becomes, before anything is written.

use crate::base::digest::{Algorithm, Digest, Hasher};
use crate::base::error::{Kind, fault};
use crate::build::tree::Tree;
use crate::store::{EntryMeta, Record};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// An entry.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Owner, mode, times, attributes.
    pub meta: EntryMeta,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum ItemKind {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Where its content is.
        from: Content,
        /// Its size, bytes.
        size: u64,
        /// The digest of its content, once it is known.
        digest: Option<Digest>,
    },
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// Another name of this entry.
    Link(Vec<u8>),
    /// A device (character or block; major, minor).
    Device(bool, u32, u32),
    /// A named pipe.
    Fifo,
}

/// Where a file's content is.
#[derive(Debug, Clone)]
pub enum Content {
    /// In a tree (by its number), at this path below its root.
    Tree {
        /// Which.
        tree: usize,
        /// No link on the way.
        path: PathBuf,
        /// Tells the file as it was seen from any other: device, inode, size, times.
        seen: [i64; 7],
        /// The file is the store's, or the step's own: nobody changes it, and what archives hold of its extended
        /// attributes is to be copied.
        ours: bool,
        /// All of a small file, once it was read.
        kept: Option<Vec<u8>>,
    },
    /// Here.
    Bytes(Vec<u8>),
}

/// The entries of a layer, by path below `/` without a slash in front.
pub struct Picture<'a> {
    /// What the layer will lie on; nothing is looked up where it does not matter.
    base: Option<&'a Tree>,
    /// The entries.
    pub items: BTreeMap<Vec<u8>, Item>,
    /// Those folders that the base does not have: it has nothing in them either.
    new: HashSet<Vec<u8>>,
}

impl<'a> Picture<'a> {
    /// An empty one.
    pub fn new(base: Option<&'a Tree>) -> Self {
        Self { base, items: BTreeMap::new(), new: HashSet::new() }
    }

    /// Whether there is a folder at this path, here or below.
    pub fn has_folder(&self, path: &Path) -> bool {
        match self.items.get(key(path).as_slice()) {
            Some(item) => matches!(item.kind, ItemKind::Folder),
            None => path == Path::new("/") || self.below(path).is_some_and(|stat| is_folder(&stat)),
        }
    }

    /// Put an entry at a path, whose folders are made.
    ///
    /// Errors: a folder where something else is, or the other way round.
    pub fn put(&mut self, path: &Path, item: Item) -> Result<()> {
        let key = key(path);
        let folder = matches!(item.kind, ItemKind::Folder);
        let here = self.items.get(&key).map(|item| matches!(item.kind, ItemKind::Folder));
        let there = match here {
            Some(is_folder) => Some(is_folder),
            None if self.new.contains(parent(&key)) => None,
            None => self.below(path).map(|stat| is_folder(&stat)),
        };
        match there {
            Some(true) if !folder => {
                Err(fault(Kind::Usage, format!("cannot copy a file over the folder `{}`", path.display())))
            }
            Some(false) if folder => {
                Err(fault(Kind::Usage, format!("cannot copy a folder over the file `{}`", path.display())))
            }
            _ => {
                if folder && there.is_none() {
                    self.new.insert(key.clone());
                }
                self.items.insert(key, item);
                Ok(())
            }
        }
    }

    /// Make a folder and those above it, as far as they are missing; existing ones keep what they are, and are entries
    /// all the same, as a layer's folders hide the attributes of those below.
    pub fn make_folders(&mut self, path: &Path, owner: (u32, u32)) -> Result<()> {
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if folder == Path::new("/") || self.items.contains_key(key(folder).as_slice()) {
                continue;
            }
            let item = match self.base {
                Some(base) if self.below(folder).is_some() => base_folder(base, folder)?,
                _ => Item { kind: ItemKind::Folder, meta: new_folder(owner) },
            };
            self.put(folder, item)?;
        }
        Ok(())
    }

    fn below(&self, path: &Path) -> Option<Stat> {
        let base = self.base?;
        let found = base.root.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).ok()?;
        rustix::fs::fstat(&found).ok()
    }

    /// A digest of what would be written, but for times.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for (path, item) in &self.items {
            field(path);
            let EntryMeta { mode, uid, gid, records, .. } = &item.meta;
            field(format!("{mode:o} {uid} {gid}").as_bytes());
            for (key, value) in records {
                field(key.as_bytes());
                field(value);
            }
            match &item.kind {
                ItemKind::Folder => field(b"folder"),
                ItemKind::File { digest, size, .. } => {
                    field(b"file");
                    field(digest.as_ref().map_or("", Digest::as_str).as_bytes());
                    field(&size.to_le_bytes());
                }
                ItemKind::Symlink(target) => {
                    field(b"symlink");
                    field(target);
                }
                ItemKind::Link(first) => {
                    field(b"link");
                    field(first);
                }
                ItemKind::Device(block, major, minor) => field(format!("device {block} {major} {minor}").as_bytes()),
                ItemKind::Fifo => field(b"fifo"),
            }
        }
        hasher.finish()
    }

    /// The bytes of file content.
    pub fn size(&self) -> u64 {
        let size = |item: &Item| if let ItemKind::File { size, .. } = &item.kind { *size } else { 0 };
        self.items.values().map(size).sum()
    }

    /// The newest time among all entries that are not folders, seconds since 1970.
    pub fn newest(&self) -> i64 {
        let times = self.items.values().filter(|item| !matches!(item.kind, ItemKind::Folder));
        times.map(|item| item.meta.mtime).max().unwrap_or(0)
    }
}

/// The time of folders that are made on the way; the step's epoch takes its place when the layer is written.
pub const MADE: i64 = i64::MIN;

/// What a folder is that nothing is copied to.
fn new_folder((uid, gid): (u32, u32)) -> EntryMeta {
    EntryMeta { mode: 0o755, uid, gid, mtime: MADE, records: Vec::new() }
}

/// A folder as the base has it.
fn base_folder(base: &Tree, path: &Path) -> Result<Item> {
    let deed = || format!("cannot look at `{}`", path.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let folder = base.root.open_at(path, flags, Mode::empty()).with_context(deed)?;
    let stat = rustix::fs::fstat(&folder).with_context(deed)?;
    Ok(Item { kind: ItemKind::Folder, meta: meta_of(&stat, crate::store::records_of(&folder).with_context(deed)?) })
}

/// What all entries have, as a file has it.
pub fn meta_of(stat: &Stat, records: Vec<Record>) -> EntryMeta {
    EntryMeta { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime: stat.st_mtime, records }
}

/// Look at a name in a folder, without following it.
pub fn look(folder: impl AsFd, name: &OsStr) -> rustix::io::Result<Stat> {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether it is a folder.
pub fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// The key of the folder that an entry is in.
fn parent(key: &[u8]) -> &[u8] {
    key.iter().rposition(|byte| *byte == b'/').and_then(|at| key.get(..at)).unwrap_or_default()
}

/// A path below `/` as entries have it.
fn key(path: &Path) -> Vec<u8> {
    path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes().to_vec()
}
