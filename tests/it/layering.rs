//! The law of `src/lib.rs`: a module names only modules above it.

use std::fs;
use std::path::{Path, PathBuf};

/// The package's folder.
pub fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, sorted.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A file's lines without comments, with their numbers from 1.
pub fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The modules, in the order of the list.
pub fn modules() -> Vec<String> {
    let text = fs::read_to_string(package().join("src/lib.rs")).unwrap();
    text.lines().filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned())).collect()
}

/// The top modules that a line of code in a file of `src/<own>/` names, given the depth of the file's own module.
fn named<'a>(line: &'a str, depth: usize, modules: &'a [String]) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut roots = vec!["crate::".to_owned()];
    // `super` as often as the file is deep, or once more inside its `mod tests`, is the crate.
    roots.extend([depth, depth + 1].map(|times| "super::".repeat(times)));
    for root in roots {
        for (at, _) in line.match_indices(&root) {
            let before = &line[..at];
            if before.ends_with("super::") || before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &line[at + root.len()..];
            let list = rest.strip_prefix('{').map_or(rest, |rest| rest);
            let names: Vec<&str> = if rest.starts_with('{') { top_of_list(list) } else { vec![first_word(rest)] };
            found.extend(names.into_iter().filter_map(|name| modules.iter().find(|module| *module == name)));
        }
    }
    found.into_iter().map(String::as_str).collect()
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

/// The first words of the parts of `a::{b, c}, d}`.
fn top_of_list(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(first_word(text[start..at].trim_start()));
                return names;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(first_word(text[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.push(first_word(text[start..].trim_start()));
    names
}

#[test]
fn a_module_names_only_modules_above_it() {
    let modules = modules();
    assert!(modules.len() > 10, "the list in src/lib.rs was not found");
    let source = package().join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let parts: Vec<String> =
            file.strip_prefix(&source).unwrap().iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let Some(own) = modules.iter().position(|module| *module == parts[0]) else { continue };
        let depth = parts.len() - usize::from(parts.last().is_some_and(|name| name == "mod.rs"));
        let text = fs::read_to_string(&file).unwrap();
        // A list of imports may span lines: join them first, by the number of open braces.
        let mut pending = String::new();
        let mut from = 0;
        for (number, line) in code_lines(&text) {
            if pending.is_empty() {
                from = number;
            }
            pending.push_str(line);
            if pending.trim_start().starts_with("use ") && !pending.contains(';') {
                continue;
            }
            for name in named(&pending, depth, &modules) {
                let other = modules.iter().position(|module| module == name).unwrap();
                if other > own {
                    wrong.push(format!("src/{}:{from}: `{}` names `{name}`", parts.join("/"), modules[own]));
                }
            }
            pending.clear();
        }
    }
    assert!(wrong.is_empty(), "modules name modules below them:\n{}", wrong.join("\n"));
}

#[test]
fn every_folder_of_the_source_is_in_the_list() {
    let modules = modules();
    let folders = fs::read_dir(package().join("src")).unwrap().flatten().filter(|entry| entry.path().is_dir());
    for folder in folders {
        let name = folder.file_name().into_string().unwrap();
        assert!(modules.contains(&name), "src/{name} is not in src/lib.rs");
    }
}

#[test]
fn names_are_found_in_every_form() {
    let modules: Vec<String> = ["base", "sys", "cli"].map(String::from).to_vec();
    for (line, depth, expected) in [
        ("use crate::cli::x;", 1, vec!["cli"]),
        ("use crate::{base::{a, b}, cli::y, other};", 2, vec!["base", "cli"]),
        ("use super::super::cli;", 2, vec!["cli"]),
        ("use super::super::cli;", 3, vec![]),
        ("let x = super::cli();", 2, vec![]),
        ("mycrate::cli::x()", 1, vec![]),
        ("crate::sys::a(crate::cli::b)", 1, vec!["sys", "cli"]),
    ] {
        assert_eq!(named(line, depth, &modules), expected, "{line}");
    }
}
