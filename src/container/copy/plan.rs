//! What is copied where: docker's rules, from what there is at both ends.

use super::view::View;
use super::{Side, in_child};
use crate::base::error::{Kind, fault};
use crate::engine::Engine;
use crate::sys::root::Root;
use anyhow::{Context, Result};
use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What there is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Nothing, nor the folder it would be in.
    NoParent,
    /// A folder.
    Folder,
    /// Anything else.
    File,
    /// A tar stream, which is no path.
    Stream,
}

/// A path and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// As typed, absolute.
    pub path: String,
    /// Where a link at its end leads.
    pub real: PathBuf,
    /// What is there.
    pub found: Found,
}

/// Links that are followed at the end of a path.
const MAX_LINKS: usize = 8;

impl End {
    /// Look. The process forks to see what the side sees.
    pub fn of(engine: &Engine, side: &Side, follow: bool) -> Result<Self> {
        let path = match side {
            Side::Stream => return Ok(Self { path: "-".into(), real: "-".into(), found: Found::Stream }),
            Side::Host(path) => path.clone(),
            Side::Container(_, path) if path.starts_with('/') => path.clone(),
            Side::Container(_, path) => format!("/{path}"),
        };
        let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let child = in_child(|| {
            let view = View::open(engine, side)?;
            let seen = look(&view.root, &path, follow)?;
            File::from(writing.try_clone()?).write_all(&serde_json::to_vec(&seen)?)?;
            Ok(())
        })?;
        drop(writing);
        let mut bytes = Vec::new();
        File::from(reading).read_to_end(&mut bytes)?;
        child.finish()?;
        let (real, found) = serde_json::from_slice(&bytes).context("cannot learn what there is")?;
        Ok(Self { path, real, found })
    }

    /// Whether only the content of the folder is meant: `DIR/.`.
    fn is_contents(&self) -> bool {
        self.path.ends_with("/.")
    }

    /// The last name, which `..` and `/` have none of.
    fn name(&self) -> Option<String> {
        let trimmed = self.path.trim_end_matches('/').trim_end_matches("/.");
        Path::new(trimmed).file_name().map(|name| name.to_string_lossy().into_owned())
    }
}

/// What there is at a path below a root, and where it really is.
fn look(root: &Root, path: &str, follow: bool) -> Result<(PathBuf, Found)> {
    let mut real = match path.trim_end_matches("/.").trim_end_matches('/') {
        "" => PathBuf::from("/"),
        path => PathBuf::from(path),
    };
    // A slash at the end asks for what a link leads to, as everywhere.
    let follow = follow || path.ends_with('/') || path.ends_with("/.");
    for _ in 0..MAX_LINKS {
        let found = match root.open_at(&real, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(found) => found,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {
                let parent = real.parent().unwrap_or(Path::new("/"));
                let there = root.open_at(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).is_ok();
                return Ok((real, if there { Found::Nothing } else { Found::NoParent }));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot look at `{path}`")),
        };
        match FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) {
            FileType::Directory => return Ok((real, Found::Folder)),
            FileType::Symlink if follow => {
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
                let target = PathBuf::from(target.to_string_lossy().into_owned());
                real = real.parent().unwrap_or(Path::new("/")).join(target);
            }
            _ => return Ok((real, Found::File)),
        }
    }
    Err(fault(Kind::BadData, format!("`{path}` leads through too many links")))
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is packed.
    pub source: PathBuf,
    /// What it is called in the stream, and so where it arrives; empty if only its content is meant.
    pub name: String,
    /// Only what is in the folder, not the folder.
    pub contents: bool,
    /// The folder that it arrives in.
    pub destination: PathBuf,
}

/// docker's table: <https://docs.docker.com/reference/cli/docker/container/cp/>.
pub fn plan(source: &End, destination: &End, overwrite: bool) -> Result<Plan> {
    let missing = |end: &End| fault(Kind::NotFound, format!("there is no `{}`", end.path));
    let refuse = |text: String| Err(fault(Kind::Usage, text));
    if matches!(source.found, Found::Nothing | Found::NoParent) {
        return Err(missing(source));
    }
    let contents = source.is_contents() && source.found == Found::Folder;
    for end in [source, destination] {
        if end.found == Found::File && (end.is_contents() || end.path.ends_with('/')) {
            return refuse(format!("`{}` is not a folder", end.real.display()));
        }
    }
    let name = if contents { String::new() } else { source.name().unwrap_or_default() };
    let contents = contents || name.is_empty();
    let plan = |name: &str, contents: bool, destination: &Path| {
        let plan =
            Plan { source: source.real.clone(), name: name.to_owned(), contents, destination: destination.into() };
        Ok(plan)
    };
    let parent = destination.real.parent().unwrap_or(Path::new("/"));
    let new_name = destination.real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match (source.found, destination.found) {
        (_, Found::Stream) => plan(&name, contents, Path::new("/")),
        (Found::Stream, Found::Folder) => plan("", true, &destination.real),
        (Found::Stream, Found::File) => {
            refuse(format!("`{}` is not a folder, so a tar stream cannot go there", destination.path))
        }
        (Found::Stream, _) => Err(missing(destination)),
        (_, Found::NoParent) => Err(missing(&End { path: parent.display().to_string(), ..destination.clone() })),
        (Found::File, Found::Nothing) if destination.path.ends_with('/') => Err(missing(destination)),
        (Found::File | Found::Folder, Found::Nothing) => plan(&new_name, false, parent),
        (Found::File, Found::File) => plan(&new_name, false, parent),
        (Found::Folder, Found::File) if overwrite => plan(&new_name, false, parent),
        (Found::Folder, Found::File) => {
            refuse(format!("a folder cannot take the place of the file `{}`", destination.path))
        }
        (Found::File | Found::Folder, Found::Folder) => plan(&name, contents, &destination.real),
        (Found::Nothing | Found::NoParent, _) => Err(missing(source)),
    }
}

/// `CONTAINER:PATH`; `None` for a path of the host's: one with a slash before the colon, or without a colon.
pub fn split(text: &str) -> Option<(&str, &str)> {
    let (container, path) = text.split_once(':')?;
    (!container.is_empty() && !container.contains('/') && !container.starts_with('.')).then_some((container, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(path: &str, found: Found) -> End {
        End { path: path.into(), real: PathBuf::from(path), found }
    }

    #[test]
    fn the_table_of_docker() {
        use Found::{File, Folder, NoParent, Nothing, Stream};
        for (source, destination, expected) in [
            (("/a/f", File), ("/b", Nothing), Some(("b", false, "/"))),
            (("/a/f", File), ("/b/", Nothing), None),
            (("/a/f", File), ("/b", File), Some(("b", false, "/"))),
            (("/a/f", File), ("/b", Folder), Some(("f", false, "/b"))),
            (("/a/f", File), ("/x/b", NoParent), None),
            (("/a/d", Folder), ("/b", Nothing), Some(("b", false, "/"))),
            (("/a/d/.", Folder), ("/b", Nothing), Some(("b", false, "/"))),
            (("/a/d", Folder), ("/b", File), None),
            (("/a/d", Folder), ("/b", Folder), Some(("d", false, "/b"))),
            (("/a/d/", Folder), ("/b", Folder), Some(("d", false, "/b"))),
            (("/a/d/.", Folder), ("/b", Folder), Some(("", true, "/b"))),
            (("/", Folder), ("/b", Folder), Some(("", true, "/b"))),
            (("/a/f/.", File), ("/b", Folder), None),
            (("/a/f", Nothing), ("/b", Folder), None),
            (("-", Stream), ("/b", Folder), Some(("", true, "/b"))),
            (("-", Stream), ("/b", File), None),
            (("-", Stream), ("/b", Nothing), None),
            (("/a/d", Folder), ("-", Stream), Some(("d", false, "/"))),
        ] {
            let plan = plan(&end(source.0, source.1), &end(destination.0, destination.1), false).ok();
            let got = plan.map(|plan| (plan.name.clone(), plan.contents, plan.destination.display().to_string()));
            let expected = expected.map(|(name, contents, to)| (name.to_owned(), contents, to.to_owned()));
            assert_eq!(got, expected, "{source:?} to {destination:?}");
        }
        assert!(plan(&end("/a/d", Folder), &end("/b", File), true).is_ok());
    }

    #[test]
    fn containers_and_paths() {
        assert_eq!(split("web:/etc"), Some(("web", "/etc")));
        assert_eq!(split("web:"), Some(("web", "")));
        for text in ["/a:b", "./a:b", "plain", ":x", "a/b:c"] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
