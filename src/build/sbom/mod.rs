//! What is in an image: a document of its packages, attached to it as BuildKit does (`--sbom`).
//!
//! Box reads what package managers have written into the image (`system.rs`) and what lies beside programs and libraries
//! (`language.rs`), and executes nothing of it. Another scanner can be had as an image (`scanner.rs`).

mod language;
mod scanner;
mod spdx;
mod system;

pub use scanner::scan;

use super::layers::own_tree;
use super::list::Statement;
use super::tree::Tree;
use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use crate::base::temp::TempDir;
use crate::engine::Engine;
use anyhow::{Context, Result};
use rustix::fs::{FileType, Mode, OFlags};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What the statement says.
pub const PREDICATE: &str = "https://spdx.dev/Document";
/// A larger file that lists packages is of somebody else, bytes.
const LIMIT: u64 = 128 << 20;

/// A package that is in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    /// As its ecosystem calls it.
    name: String,
    /// Its version.
    version: String,
    /// Its package URL (<https://github.com/package-url/purl-spec>).
    url: String,
    /// The file that tells of it, in the image.
    found_in: String,
    /// Its license, in the words of who made it.
    license: Option<String>,
    /// Who made it, in the same words.
    supplier: Option<String>,
}

/// What a document is about.
pub struct Subject<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The digest of the image's manifest.
    pub manifest: &'a Digest,
    /// When the image was made, as its config says.
    pub created: &'a str,
}

/// The SPDX document of an image whose layers are unpacked in the store. For a worker: the layers are mounted.
///
/// Errors: [`Kind::Host`] the image has a database of packages that box cannot read.
pub fn document(engine: &Engine, layers: &[Digest], subject: &Subject<'_>) -> Result<Value> {
    let temp = TempDir::new(&engine.dirs)?;
    let tree = own_tree(engine, layers, &temp)?;
    let mut packages = system::packages(&tree)?;
    packages.extend(language::packages(&tree)?);
    packages.sort();
    packages.dedup();
    Ok(spdx::document(subject, &packages))
}

/// An in-toto statement about an image: that a predicate holds for it.
pub fn statement(about: &Digest, subjects: Vec<Value>, predicate: Value) -> Statement {
    let document = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": PREDICATE,
        "subject": subjects,
        "predicate": predicate,
    });
    Statement { about: about.clone(), predicate: PREDICATE, document }
}

/// Read a file of the image, through the links that the image has; `None` if there is none.
fn read(tree: &Tree, path: &str) -> Result<Option<Vec<u8>>> {
    let deed = || format!("cannot read `{path}` of the image");
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = tree.root.open_at(Path::new(path), flags, Mode::empty()) else { return Ok(None) };
    let stat = rustix::fs::fstat(&file).with_context(deed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::from(file).take(LIMIT + 1).read_to_end(&mut bytes).with_context(deed)?;
    match bytes.len() as u64 > LIMIT {
        true => Err(fault(Kind::BadData, "it is too large").context(deed())),
        false => Ok(Some(bytes)),
    }
}

/// The fields of a stanza as dpkg and Python's metadata have them; what follows an empty line is not read.
fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    let lines = stanza.lines().take_while(|line| !line.is_empty());
    let found = lines.filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

/// A part of a package URL.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_stanzas() {
        let stanza = "Package: bash\nDepends: a,\n b: c\nversion:  5.2-1 \nEmpty:\n\nPackage: zsh\n";
        assert_eq!(field(stanza, "Package"), Some("bash"));
        assert_eq!(field(stanza, "Version"), Some("5.2-1"));
        assert_eq!((field(stanza, "Empty"), field(stanza, "Nothing")), (None, None));
    }

    #[test]
    fn parts_of_urls() {
        assert_eq!(encoded("1:2.0+dfsg~1/x@y"), "1:2.0%2Bdfsg~1%2Fx%40y");
    }
}
