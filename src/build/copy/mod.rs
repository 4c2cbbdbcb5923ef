//! `COPY`, `ADD` and `WORKDIR`: files become a layer. In a worker.

mod fetch;
mod hash;
mod picture;
mod select;
mod source;
mod write;

use super::early::{self, Waiting};
use super::shared;
use super::site::{ContextFolder, Known, Site};
use super::step::{Base, CopyOp, Files, FolderOp, Step};
use super::tree::{Tree, own_mounts};
use super::worker::Reporter;
use crate::base::digest::Digest;
use crate::base::temp::TempDir;
use crate::dockerfile::chmod::Chmod;
use crate::dockerfile::ignore::Patterns;
use crate::image::{Keep, write_layer};
use crate::runtime::user;
use crate::store::{EntryMeta, StepResult};
use anyhow::{Context, Result};
use fetch::Fetched;
pub use hash::Ahead;
use hash::Memory;
use picture::{Content, Item, ItemKind, Picture};
use select::Selection;
use source::{Owners, Source};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Copy files, unless it is known what that makes. With `waiting`, the base is not there
/// yet. The step's key comes back, if that was told with the base.
pub fn copy(
    site: &Site<'_>,
    step: &Step,
    op: &CopyOp,
    waiting: Option<Waiting>,
    reporter: &Reporter,
) -> Result<(Known, Option<Digest>)> {
    let temp = TempDir::new(&site.engine.dirs)?;
    own_mounts()?;
    let from = match &op.from {
        Files::Context(number) => Tree::folder(&context(site, *number)?.path)?,
        Files::Base(base) => view(site, base, &temp, "from", reporter)?,
    };
    let mut fetched = Fetched { site, op, temp: &temp, archives: Vec::new(), folders: Vec::new() };
    let memory = matches!(op.from, Files::Context(_)).then(|| {
        Memory::open(&site.engine.dirs.data, &format!("{}\n{:?}{}", from.path.display(), op.sources, op.dest))
    });
    let (ahead, key) = match waiting {
        None => (Ahead::default(), None),
        Some(waiting) => early::look_ahead(site, waiting, || {
            // Owners may have names that only the base knows.
            let op = CopyOp { chown: None, ..op.clone() };
            let mut picture = select(site, &op, &from, None, &mut fetched, reporter)?;
            hash::hash(&mut picture, &[&from], memory.as_ref())?;
            Ok(Ahead::of(picture))
        })?,
    };
    let base = match op.link {
        true => None,
        false => Some(view(site, &step.base, &temp, "base", reporter)?),
    };
    let mut picture = select(site, op, &from, base.as_ref(), &mut fetched, reporter)?;
    let Fetched { archives, folders, .. } = fetched;
    let trees: Vec<&Tree> =
        std::iter::once(&from).chain(&archives).chain(folders.iter().map(|folder| &folder.tree)).collect();
    ahead.tell(&mut picture);
    hash::hash(&mut picture, &trees, memory.as_ref())?;
    if let Some(memory) = &memory {
        let _ = memory.keep(&picture);
    }
    Ok((finish(site, step, picture, &trees, reporter)?, key))
}

/// What a copy takes, and where it goes.
fn select<'a>(
    site: &Site<'_>,
    op: &CopyOp,
    from: &Tree,
    base: Option<&'a Tree>,
    fetched: &mut Fetched<'_>,
    reporter: &Reporter,
) -> Result<Picture<'a>> {
    let exclude = Patterns::of(op.exclude.iter().map(String::as_str))?;
    let source = source(site, op, from, &exclude)?;
    let mut found = Vec::new();
    for pattern in &op.sources {
        for one in select::find(&source, pattern, op.parents)? {
            if !fetched.unpack_from(&source, &one)? {
                found.push(one);
            }
        }
    }
    op.remote.iter().try_for_each(|url| fetched.fetch(url, reporter))?;
    let mut picture = Picture::new(base);
    let chmod = op.chmod.as_deref().map(Chmod::parse).transpose()?;
    let mode = |mode: u32, folder: bool| chmod.as_ref().map_or(mode, |chmod| chmod.apply(mode, folder));
    let mut selection = Selection {
        dest: base.map_or_else(|| PathBuf::from(&op.dest), |base| base.real_path(Path::new(&op.dest))),
        picture: &mut picture,
        into_folder: op.dest.ends_with('/'),
        owner: op.chown.as_deref().map(|text| owner(base, text)).transpose()?,
        mode: &mode,
        linked: HashMap::new(),
    };
    if selection.into_folder {
        selection.picture.make_folders(&selection.dest, selection.owner.unwrap_or_default())?;
    }
    found.iter().try_for_each(|one| selection.add(&source, one))?;
    let mut number = 0;
    for tree in &fetched.archives {
        number += 1;
        selection.add_all(&Source { number, name: "the archive".to_owned(), owners: Owners::Kept, ..whole(tree) })?;
    }
    for folder in &fetched.folders {
        number += 1;
        let source = Source { number, ..whole(&folder.tree) };
        match &folder.file {
            Some(name) => select::find(&source, name, false)?.iter().try_for_each(|one| selection.add(&source, one))?,
            None => selection.add_all(&source)?,
        }
    }
    op.inline.iter().try_for_each(|(name, content)| selection.inline(name, content.as_bytes()))?;
    Ok(picture)
}

/// The files of a stage or an image.
fn view(site: &Site<'_>, base: &Base, temp: &TempDir, name: &str, reporter: &Reporter) -> Result<Tree> {
    let store = &site.engine.store;
    let layers = site.layers(base)?.0;
    shared::bring(site, &layers, reporter)?;
    store.unpack_kept(&layers)?;
    Tree::layers(store, &layers, temp, name)
}

/// Make the layer of a picture, unless it is known.
fn finish(
    site: &Site<'_>,
    step: &Step,
    mut picture: Picture<'_>,
    trees: &[&Tree],
    reporter: &Reporter,
) -> Result<Known> {
    let store = &site.engine.store;
    let key = site.content_key(step, &[picture.digest()])?;
    let _lock = store.lock_result(&key)?;
    if !step.no_cache
        && let Some(result) = site.result(&key)
    {
        reporter.cached();
        return Ok(Known { keys: vec![key], result });
    }
    let newest = picture.newest();
    let epoch = site.request.epoch.unwrap_or_else(|| newest.max(site.layers(&step.base).map_or(0, |(_, epoch)| epoch)));
    let latest = site.latest();
    let result = if picture.items.is_empty() {
        StepResult::new(None, 0, newest, &step.name)
    } else {
        hash::fetch_small(&mut picture, trees)?;
        let write = |out: &mut dyn std::io::Write| write::write(&picture, trees, epoch, latest, out);
        // Whoever reads its files unpacks it; mostly it has been there before.
        let layer =
            write_layer(store, "of the files", Keep::Packed, write).context("cannot write the layer of the files")?;
        StepResult::new(Some(layer.diff_id), picture.size(), newest, &step.name)
    };
    store.keep_result(&key, &result)?;
    Ok(Known { keys: vec![key], result })
}

/// Make a working folder, unless it is there.
pub fn folder(site: &Site<'_>, step: &Step, op: &FolderOp, reporter: &Reporter) -> Result<Known> {
    let temp = TempDir::new(&site.engine.dirs)?;
    own_mounts()?;
    let base = view(site, &step.base, &temp, "base", reporter)?;
    let path = base.real_path(&op.path);
    let mut picture = Picture::new(Some(&base));
    if !picture.has_folder(&path) {
        let user = user::resolve(&base.root, &op.user).context("cannot find the owner of the working folder")?;
        picture.make_folders(&path, (user.uid, user.gid))?;
    }
    finish(site, step, picture, &[], reporter)
}

impl Selection<'_, '_> {
    /// Put a file from the Dockerfile itself.
    fn inline(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let dest = match self.into_folder || self.picture.has_folder(&self.dest) {
            true => self.dest.join(name),
            false => self.dest.clone(),
        };
        let owner = self.owner.unwrap_or_default();
        self.picture.make_folders(dest.parent().unwrap_or(Path::new("/")), owner)?;
        let kind = ItemKind::File { from: Content::Bytes(content.to_vec()), size: content.len() as u64, digest: None };
        let meta = EntryMeta {
            mode: (self.mode)(0o644, false),
            uid: owner.0,
            gid: owner.1,
            mtime: picture::MADE,
            records: Vec::new(),
        };
        self.picture.put(&dest, Item { kind, meta })
    }
}

fn context<'a>(site: &'a Site<'_>, number: usize) -> Result<&'a ContextFolder> {
    site.contexts.get(number).context("there is no such context")
}

fn source<'a>(site: &'a Site<'_>, op: &CopyOp, tree: &'a Tree, exclude: &'a Patterns) -> Result<Source<'a>> {
    let exclude = Some(exclude).filter(|patterns| !patterns.is_empty());
    Ok(match &op.from {
        Files::Context(number) => Source { exclude, ..of_context(context(site, *number)?, tree) },
        Files::Base(_) => {
            let name = format!("the stage or image `{}`", op.from_name.as_deref().unwrap_or_default().escape_debug());
            Source { name, owners: Owners::Kept, exclude, ..whole(tree) }
        }
    })
}

/// A context, without what its ignore file hides.
fn of_context<'a>(context: &'a ContextFolder, tree: &'a Tree) -> Source<'a> {
    Source {
        name: context.name.clone(),
        ignore: context.ignore.as_ref(),
        ignore_file: context.ignore_file.clone(),
        ..whole(tree)
    }
}

/// All of a tree, as root's files.
fn whole(tree: &Tree) -> Source<'_> {
    let (name, ignore_file) = (String::new(), String::new());
    Source { number: 0, tree, name, owners: Owners::Root, ignore: None, ignore_file, exclude: None }
}

/// `--chown`: names are those of the base; a user's number alone is the group's, too.
fn owner(base: Option<&Tree>, text: &str) -> Result<(u32, u32)> {
    let deed = || format!("cannot find the owner `{}`", text.escape_debug());
    let numbers: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    match (numbers.as_deref(), base) {
        (Some([id]), _) => Ok((*id, *id)),
        (Some([uid, gid]), _) => Ok((*uid, *gid)),
        (_, Some(base)) => {
            let user = user::resolve(&base.root, text).with_context(deed)?;
            Ok((user.uid, user.gid))
        }
        (_, None) => Err(crate::base::error::fault(
            crate::base::error::Kind::Usage,
            "with --link nothing is known of the base: give numbers",
        )
        .context(deed())),
    }
}

/// The digest of a context's files, for a mount of it: what a copy of all of it would be.
pub fn context_layer(site: &Site<'_>, number: usize, source: &str) -> Result<(Digest, Option<Digest>)> {
    let context = context(site, number)?;
    let tree = Tree::folder(&context.path)?;
    let mut picture = Picture::new(None);
    let from = of_context(context, &tree);
    let mut selection = Selection {
        dest: PathBuf::from("/"),
        picture: &mut picture,
        into_folder: false,
        owner: None,
        mode: &|mode, _| mode,
        linked: HashMap::new(),
    };
    select::find(&from, source, true)?.iter().try_for_each(|found| selection.add(&from, found))?;
    let memory = Memory::open(&site.engine.dirs.data, &format!("{}\nmount {source}", tree.path.display()));
    hash::hash(&mut picture, &[&tree], Some(&memory))?;
    let _ = memory.keep(&picture);
    let content = picture.digest();
    let store = &site.engine.store;
    let key = Digest::of(format!("context {content}").as_bytes());
    let _lock = store.lock_result(&key)?;
    if let Some(result) = store.result(&key) {
        return Ok((content, result.layer));
    }
    let mut result = StepResult::new(None, 0, picture.newest(), "context");
    result.kind = "source.local".to_owned();
    if !picture.items.is_empty() {
        let write = |out: &mut dyn std::io::Write| write::write(&picture, &[&tree], 0, None, out);
        let layer = write_layer(store, "of the context", Keep::Packed, write)?;
        (result.layer, result.size) = (Some(layer.diff_id), layer.size);
    }
    store.keep_result(&key, &result)?;
    Ok((content, result.layer))
}
