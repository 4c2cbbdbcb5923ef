//! The corpus: `tests/dockerfiles/NAME` beside `NAME.tree`, what it says, or `NAME.err`, the error it is.
//!
//! `BLESS=1 cargo test --lib dockerfile::corpus` writes both anew; read what it wrote.

use super::{Dockerfile, parse};
use crate::base::env;
use crate::base::error::Fault;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The corpus' Dockerfiles: those without an ending.
pub fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfiles");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_none());
    files.sort();
    files
}

/// What a Dockerfile says, as text.
pub fn tree(dockerfile: &Dockerfile) -> String {
    serde_yaml::to_string(dockerfile).unwrap()
}

/// An error as the user sees it.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = format!("{error:#}\n");
    let fault = error.downcast_ref::<Fault>().unwrap();
    for line in &fault.shown {
        let _ = writeln!(text, "{line}");
    }
    for hint in &fault.hints {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

#[test]
fn each_is_what_it_was_read_to_be() {
    let (bless, files) = (env::by_name("BLESS").is_some(), files());
    let mut wrong = Vec::new();
    for path in &files {
        let (ending, other, text) = match parse(&fs::read(path).unwrap(), "Dockerfile") {
            Ok(dockerfile) => ("tree", "err", tree(&dockerfile)),
            Err(error) => ("err", "tree", told(&error)),
        };
        let expected = path.with_extension(ending);
        if bless {
            fs::write(&expected, &text).unwrap();
            let _ = fs::remove_file(path.with_extension(other));
        } else if fs::read_to_string(&expected).ok().as_deref() != Some(&text) || path.with_extension(other).exists() {
            wrong.push(format!("{}:\n{text}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), files.len(), wrong.join("\n"));
    assert!(!files.is_empty());
}
