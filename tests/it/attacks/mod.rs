//! docs/attacks.md: every attack of the study of other engines' vulnerabilities, the tests that try it on box, and what
//! was taken out of box to see these tests fail. `BLESS=1` writes the file anew.
//!
//! A table a section, a file each. The default run sees that the tests exist and that what is to be taken out is still
//! there to be taken out, once and as written; [`weakened`] does it.

mod archives;
mod builds;
mod labels;
mod manifests;
mod monitor;
mod network;
mod process;
mod registry;
mod start;
mod volumes;
mod weakened;

use crate::layering::package;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// One row of the study.
pub struct Attack {
    /// Its name there: a letter for the section, and a number.
    id: &'static str,
    /// What is attacked and how, with where it was seen first.
    what: &'static str,
    /// The tests that try it: `it MODULE::NAME` is `cargo test --test it -- MODULE::NAME`, `lib …` is `cargo test --lib …`.
    tests: &'static [&'static str],
    /// What box does not have to be attacked by, or what no test tries; empty if there is nothing to say.
    remark: &'static str,
    /// What is taken out of box, one at a time.
    weakened: &'static [Weakening],
}

/// A change of one place in the sources, after which a test must fail.
pub struct Weakening {
    /// What is missing then.
    without: &'static str,
    /// The file, from the package's folder.
    file: &'static str,
    /// A text that stands in it once.
    from: &'static str,
    /// What comes in its place.
    to: &'static str,
    /// The test that fails.
    test: &'static str,
}

/// The sections in their order: heading, letter, rows.
const SECTIONS: &[(&str, &[Attack])] = &[
    ("Start, root file system, /proc, /dev, masked paths", start::ATTACKS),
    ("Attributes of the process", process::ATTACKS),
    ("Volumes, copies, archives, logs", volumes::ATTACKS),
    ("Layers", archives::ATTACKS),
    ("Manifests, digests, signatures", manifests::ATTACKS),
    ("Registries", registry::ATTACKS),
    ("Builds", builds::ATTACKS),
    ("Labels and annotations", labels::ATTACKS),
    ("Networks", network::ATTACKS),
    ("Monitor, state, terminal", monitor::ATTACKS),
];

const HEAD: &str = "# Attacks

What was found in other engines and runtimes over the years, as tests of box. Written by `cargo test --test it -- attacks`, which fails where a test is missing; `BLESS=1` writes it anew. The rows stand in `tests/it/attacks`.

- *Shown by*: `it evil::x` is `cargo test --test it -- evil::x`, `lib runtime::x` is `cargo test --lib runtime::x`.
- *Seen to fail without*: what was taken out of box to see a test of this row fail. `BOX_TEST_WEAKENED=1 cargo test --test it -- attacks::weakened --nocapture` takes each out of a copy of the sources in turn, builds it and runs the test; `BOX_TEST_WEAKENED=A2,B1` does it for some rows.

";

/// The document.
fn document() -> String {
    let mut text = HEAD.to_owned();
    for (title, attacks) in SECTIONS {
        let _ = writeln!(text, "## {title}\n\n| | Attack | Shown by | Seen to fail without |\n|---|---|---|---|");
        for attack in *attacks {
            let tests: Vec<String> = attack.tests.iter().map(|test| format!("`{test}`")).collect();
            let shown = match (tests.is_empty(), attack.remark) {
                (false, "") => tests.join(", "),
                (false, remark) => format!("{}; {remark}", tests.join(", ")),
                (true, remark) => remark.to_owned(),
            };
            let mut without: Vec<&str> = attack.weakened.iter().map(|weakening| weakening.without).collect();
            without.dedup();
            let _ = writeln!(text, "| {} | {} | {shown} | {} |", attack.id, attack.what, without.join("; "));
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

#[test]
fn the_document_is_current() {
    let file = package().join("docs/attacks.md");
    let wanted = document();
    if boxlib::base::env::by_name("BLESS").is_some() {
        fs::write(&file, &wanted).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/attacks.md is not as tests/it/attacks says: BLESS=1 cargo test --test it -- attacks"
    );
}

#[test]
fn every_test_that_is_named_exists() {
    let listed = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let missing: Vec<String> = SECTIONS
        .iter()
        .flat_map(|(_, attacks)| *attacks)
        .flat_map(|attack| {
            let named = attack.tests.iter().chain(attack.weakened.iter().map(|weakening| &weakening.test));
            named.map(move |test| (attack.id, *test))
        })
        .filter(|(_, test)| match test.split_once(' ') {
            Some(("it", name)) => !listed.lines().any(|line| line.strip_suffix(": test") == Some(name)),
            Some(("lib", name)) => !is_in_library(name),
            _ => true,
        })
        .map(|(id, test)| format!("{id}: {test}"))
        .collect();
    assert!(missing.is_empty(), "there are no such tests:\n{}", missing.join("\n"));
}

/// Whether the library's sources have this test: `runtime::tests::x` is in the module's file or its own.
fn is_in_library(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let Some((function, modules)) = parts.split_last() else { return false };
    let mark = format!("fn {function}(");
    // A module of tests may be inside of its parent's file.
    (1..=modules.len()).any(|depth| {
        let path = package().join("src").join(modules[..depth].join("/"));
        let is_near = modules.len() - depth <= 1;
        is_near
            && [path.with_extension("rs"), path.join("mod.rs")]
                .iter()
                .any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(&mark)))
    })
}

#[test]
fn rows_are_whole() {
    let mut wrong = Vec::new();
    for (title, attacks) in SECTIONS {
        for (index, attack) in attacks.iter().enumerate() {
            let number = attack.id.trim_start_matches(|c: char| c.is_ascii_uppercase());
            if number.parse() != Ok(index + 1) {
                wrong.push(format!("{title}: {} stands at place {}", attack.id, index + 1));
            }
            if attack.tests.is_empty() && attack.remark.is_empty() {
                wrong.push(format!("{}: neither a test nor a reason why there is none", attack.id));
            }
            if attack.what.contains('|') || attack.remark.contains('|') {
                wrong.push(format!("{}: a bar ends a column", attack.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_to_be_taken_out_is_there() {
    let all = SECTIONS.iter().flat_map(|(_, attacks)| *attacks);
    let wrong: Vec<String> = all
        .flat_map(|attack| attack.weakened.iter().map(move |weakening| (attack.id, weakening)))
        .filter_map(|(id, weakening)| {
            let text = fs::read_to_string(package().join(weakening.file)).unwrap_or_default();
            let count = text.matches(weakening.from).count();
            (count != 1).then(|| format!("{id}: {} has this {count} times: {}", weakening.file, weakening.from))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
