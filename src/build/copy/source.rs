//! Where a copy takes files from: a tree, and what of it is not to be seen.

use crate::build::tree::Tree;
use crate::dockerfile::ignore::{Marks, Patterns};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, Stat};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Whose files are they, that are copied?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Root's: what is in a context has owners of the host.
    Root,
    /// Those that they have.
    Kept,
}

/// A tree to copy from.
pub struct Source<'a> {
    /// Its number among the trees of the step.
    pub number: usize,
    /// Its files.
    pub tree: &'a Tree,
    /// What errors call it: `the build context`, `stage `builder``.
    pub name: String,
    /// Whose files they become.
    pub owners: Owners,
    /// The ignore file.
    pub ignore: Option<&'a Patterns>,
    /// What that is called.
    pub ignore_file: String,
    /// `--exclude`: of paths below each source.
    pub exclude: Option<&'a Patterns>,
}

impl Source<'_> {
    /// Whether a path is there.
    pub fn has(&self, path: &Path) -> bool {
        self.tree.root.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).is_ok()
    }

    /// Look at a path, which no link is on.
    pub fn stat(&self, path: &Path) -> Result<Stat> {
        stat(&self.tree.root, path).with_context(|| format!("cannot look at `{}`", path.display()))
    }

    /// Open a folder.
    pub fn open_folder(&self, path: &Path) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let folder = self.tree.root.open_at(path, flags, Mode::empty());
        folder.with_context(|| format!("cannot open the folder `{}` of {}", path.display(), self.name))
    }

    /// Whether the ignore file leaves a path out.
    pub fn is_hidden(&self, path: &Path) -> bool {
        self.ignore.is_some_and(|patterns| path != Path::new("/") && patterns.ignores(&text(path)))
    }

    /// Where a walk stands that begins at a path.
    pub fn begin(&self, path: &Path) -> Place {
        let folders = path.ancestors().collect::<Vec<_>>();
        let ignore = self.ignore.map(|patterns| {
            let below = folders.iter().rev().filter(|folder| **folder != Path::new("/"));
            below.fold(Marks::default(), |marks, folder| patterns.below(&marks, &text(folder)))
        });
        Place { ignore: ignore.unwrap_or_default(), exclude: Marks::default() }
    }

    /// One further: at a path, which is `below` the source that was named.
    pub fn go(&self, place: &Place, path: &Path, below: &Path) -> Place {
        let marks = |patterns: Option<&Patterns>, marks: &Marks, path: &Path| {
            patterns.map_or_else(Marks::default, |patterns| patterns.below(marks, &text(path)))
        };
        Place { ignore: marks(self.ignore, &place.ignore, path), exclude: marks(self.exclude, &place.exclude, below) }
    }

    /// Whether what is there is left out.
    pub fn hides(&self, place: &Place) -> bool {
        self.ignore.is_some_and(|patterns| patterns.decide(&place.ignore))
            || self.exclude.is_some_and(|patterns| patterns.decide(&place.exclude))
    }

    /// Whether something in a folder that is left out may not be.
    pub fn may_show_below(&self, place: &Place, path: &Path, below: &Path) -> bool {
        let may = |patterns: Option<&Patterns>, marks: &Marks, path: &Path| {
            patterns.is_none_or(|patterns| !patterns.decide(marks) || patterns.may_keep_below(marks, &text(path)))
        };
        may(self.ignore, &place.ignore, path) && may(self.exclude, &place.exclude, below)
    }
}

/// What patterns say where a walk stands.
#[derive(Debug, Clone)]
pub struct Place {
    ignore: Marks,
    exclude: Marks,
}

fn text(path: &Path) -> String {
    path.strip_prefix("/").unwrap_or(path).to_string_lossy().into_owned()
}

fn stat(root: &Root, path: &Path) -> rustix::io::Result<Stat> {
    rustix::fs::fstat(root.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?)
}
