//! The folders of a layer: those that are open, and what each is to become in the end.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// How many folders are kept open. Far below any limit of descriptors, far above the depth of usual trees.
const MAX_OPEN: usize = 128;

/// Folders that are open, by path. Consecutive entries mostly share theirs.
#[derive(Default)]
pub(super) struct OpenFolders {
    all: HashMap<Vec<u8>, Rc<OwnedFd>>,
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
}

impl OpenFolders {
    /// The descriptor of this path, if it is open.
    pub fn get(&mut self, path: &[u8]) -> Option<Rc<OwnedFd>> {
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return Some(Rc::clone(folder));
        }
        let folder = Rc::clone(self.all.get(path)?);
        self.last = Some((path.to_vec(), Rc::clone(&folder)));
        Some(folder)
    }

    /// Keep a folder open.
    pub fn put(&mut self, path: &[u8], folder: OwnedFd) -> Rc<OwnedFd> {
        if self.all.len() >= MAX_OPEN {
            self.all.clear();
        }
        let folder = Rc::new(folder);
        self.all.insert(path.to_vec(), Rc::clone(&folder));
        self.last = Some((path.to_vec(), Rc::clone(&folder)));
        folder
    }

    /// Forget all: a folder or link was removed, so paths may lead elsewhere now.
    pub fn clear(&mut self) {
        self.all.clear();
        self.last = None;
    }
}

/// What a folder is to become when everything is in it.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// `None` for a folder that only stood in a path.
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub opaque: bool,
}

/// The attributes of all folders that were made, in the order of their making: parents before what is in them.
#[derive(Default)]
pub(super) struct Folders {
    list: Vec<(Vec<u8>, Option<Attributes>)>,
    places: HashMap<Vec<u8>, usize>,
}

impl Folders {
    /// The attributes of a folder; those of one that only stands in a path if it is new.
    pub fn of(&mut self, path: &[u8]) -> &mut Attributes {
        let place = match self.places.get(path) {
            Some(place) => *place,
            None => {
                self.places.insert(path.to_vec(), self.list.len());
                self.list.push((path.to_vec(), None));
                self.list.len() - 1
            }
        };
        self.list[place].1.get_or_insert_with(|| Attributes { mode: 0o755, ..Attributes::default() })
    }

    /// The folder is no more.
    pub fn remove(&mut self, path: &[u8]) {
        if let Some(place) = self.places.remove(path)
            && let Some((_, attributes)) = self.list.get_mut(place)
        {
            *attributes = None;
        }
    }

    /// All, deepest first.
    pub fn take(&mut self) -> impl Iterator<Item = (Vec<u8>, Attributes)> + use<> {
        self.places.clear();
        std::mem::take(&mut self.list).into_iter().rev().filter_map(|(path, attributes)| Some((path, attributes?)))
    }
}
