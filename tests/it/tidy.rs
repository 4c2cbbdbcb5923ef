//! The rules of STYLE.md that no lint of the compiler holds.

use crate::layering::{code_lines, package, rust_files};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines a function may have.
const FUNCTION: usize = 80;
/// Lines a file may have, without its tests.
const FILE: usize = 600;
/// The first words of a file that is a table, and may be as long as its data.
const TABLE: &str = "//! Data table:";

/// Every Rust file of the package that is ours, with its path from the package's folder.
fn files() -> Vec<(PathBuf, String)> {
    let package = package();
    ["src", "tests", "benches", "fuzz", "vendor"]
        .iter()
        .flat_map(|folder| rust_files(&package.join(folder)))
        .map(|file| (file.strip_prefix(&package).unwrap().to_path_buf(), fs::read_to_string(&file).unwrap()))
        .collect()
}

/// Collect what `look` finds in each file, and fail with all of it.
fn nothing(rule: &str, mut look: impl FnMut(&Path, &str) -> Vec<String>) {
    let found: Vec<String> = files()
        .iter()
        .flat_map(|(path, text)| {
            look(path, text).into_iter().map(|what| format!("{}:{what}", path.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// Whether a file is a module of tests: its folder's `mod.rs` says so.
fn is_test(path: &Path) -> bool {
    let parent = fs::read_to_string(package().join(path).with_file_name("mod.rs")).unwrap_or_default();
    let name = path.file_stem().unwrap_or_default().display();
    parent.contains(&format!("#[cfg(test)]\nmod {name};"))
}

/// A file's text up to its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// Lines of code that hold one of these, outside strings as far as a line shows.
fn lines_with(text: &str, words: &[&str]) -> Vec<String> {
    code_lines(text)
        .filter(|(_, line)| {
            let code = line.split(" // ").next().unwrap_or(line);
            words.iter().any(|word| holds(code, word))
        })
        .map(|(number, line)| format!("{number}: {}", line.trim()))
        .collect()
}

/// Whether code holds a word as a word, and not inside a string literal.
fn holds(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = &code[..at];
        let part_of_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        !part_of_name && before.replace("\\\"", "").matches('"').count().is_multiple_of(2)
    })
}

#[test]
fn every_file_says_what_it_is_for() {
    nothing("files open with `//!` and their purpose", |_, text| {
        let first = text.lines().next().unwrap_or("");
        if first.starts_with("//! ") && first.len() > 6 { vec![] } else { vec!["1: ".to_owned() + first] }
    });
}

#[test]
fn files_are_short() {
    nothing("files have up to 600 lines without tests", |_, text| {
        let lines = without_tests(text).lines().count();
        if lines <= FILE || text.starts_with(TABLE) { vec![] } else { vec![format!("{lines} lines")] }
    });
}

#[test]
fn functions_are_short() {
    nothing(
        "functions have up to 80 lines",
        |_, text| {
            if text.starts_with(TABLE) { vec![] } else { long_functions(text) }
        },
    );
}

/// Functions by their indentation, as rustfmt writes it: from the line with `fn` to the closing brace below it.
fn long_functions(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = code.split("fn ").next().is_some_and(|before| {
            code.contains("fn ")
                && before.split_whitespace().all(|word| {
                    matches!(word, "pub" | "const" | "unsafe" | "async" | "extern" | "\"C\"")
                        || word.starts_with("pub(")
                })
        });
        if !is_function || line.ends_with('}') {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(line.len() - code.len()));
        let Some(length) = lines[start..].iter().position(|line| *line == closing) else { continue };
        if length + 1 > FUNCTION {
            long.push(format!("{}: {} lines: {}", start + 1, length + 1, code));
        }
    }
    long
}

#[test]
fn only_sys_is_unsafe() {
    let shim = Path::new("vendor/openssl-shim");
    nothing("`unsafe` and `libc` only in src/sys", |path, text| {
        if path.starts_with("src/sys") || path.starts_with(shim) {
            return vec![];
        }
        lines_with(text, &["unsafe ", "libc::", "use libc"])
    });
}

#[test]
fn only_cli_speaks() {
    nothing("only cli prints and exits", |path, text| {
        if !path.starts_with("src") || path.starts_with("src/cli") || is_test(path) {
            return vec![];
        }
        let words = ["println!", "print!", "eprintln!", "eprint!", "process::exit(", "io::stdout()", "io::stderr()"];
        lines_with(without_tests(text), &words)
    });
}

#[test]
fn only_env_reads_the_environment() {
    nothing("the environment is read through base::env", |path, text| {
        if !path.starts_with("src") || path == Path::new("src/base/env.rs") {
            return vec![];
        }
        lines_with(without_tests(text), &["env::var", "env::vars", "env::set_var", "env::home_dir"])
    });
}

#[test]
fn what_does_no_io_names_none() {
    nothing("oci, dockerfile, bake and container/spec do no I/O", |path, text| {
        let spec = path.starts_with("src/container/spec") || path == Path::new("src/container/spec.rs");
        let pure = ["src/oci", "src/dockerfile", "src/bake"].iter().any(|room| path.starts_with(room));
        if (!spec && !pure) || is_test(path) {
            return vec![];
        }
        lines_with(
            without_tests(text),
            &["std::fs", "fs::File", "rustix::", "nix::", "std::net::Tcp", "std::net::Udp", "std::process", "tokio::"],
        )
    });
}

#[test]
fn names_say_what_is_inside() {
    let forbidden = ["util", "utils", "common", "helper", "helpers", "misc"];
    nothing("no file or folder is called util, common, helpers or misc", |path, _| {
        let parts = path.iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned());
        parts.filter(|part| forbidden.contains(&part.as_str())).collect()
    });
}

#[test]
fn nothing_is_left_to_do() {
    // Put together here, so that this file does not hold them.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let macros = [["to", "do!("], ["unimple", "mented!("]].map(|parts| parts.concat());
    nothing("no notes on what is still to do", |path, text| {
        let texts = text.lines().enumerate().filter(|(_, line)| {
            let noted = marks.iter().any(|mark| {
                line.split_once(mark.as_str()).is_some_and(|(before, after)| {
                    !before.ends_with(char::is_alphabetic)
                        && !after.starts_with(|c: char| c.is_alphabetic() || c == 'X')
                })
            });
            (noted && line.contains("//")) || macros.iter().any(|name| line.contains(name.as_str()))
        });
        let own = path.ends_with("tidy.rs");
        texts.filter(|_| !own).map(|(index, line)| format!("{}: {}", index + 1, line.trim())).collect()
    });
}

#[test]
fn expectations_have_reasons() {
    nothing("`expect(…, reason)` in place of `allow`", |path, text| {
        // Only `sys` as a whole may hold what is denied elsewhere, and generated code of macros what it likes.
        if path.starts_with("vendor") || path == Path::new("src/sys/mod.rs") {
            return vec![];
        }
        lines_with(text, &["#[allow(", "#![allow("])
    });
}

#[test]
fn long_functions_are_found() {
    let body = "    x();\n".repeat(FUNCTION);
    let text = format!("pub fn short() {{\n    x();\n}}\n\nfn long(\n    a: u8,\n) {{\n{body}}}\n");
    assert_eq!(long_functions(&text).len(), 1);
    assert!(holds("a unsafe { }", "unsafe ") && !holds("\"an unsafe thing\"", "unsafe "));
}
