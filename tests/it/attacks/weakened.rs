//! Box without one of its defences at a time: the test that is about it must fail.
//!
//! Runs where `BOX_TEST_WEAKENED` is set, to `1` or to the names of rows: a build each. Best by root, after
//! contrib/testuser.

use super::{Attack, SECTIONS, Weakening};
use crate::layering::package;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A copy of the sources, built apart.
struct Copy {
    folder: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let target = Path::new(env!("CARGO_BIN_EXE_box")).ancestors().nth(3).unwrap().join("weakened");
        let folder = target.join("sources");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let pack = "tar --exclude=./target --exclude=./.git -cf - . | tar -C \"$1\" -xf -";
        let copied = Command::new("sh").args(["-c", pack, "sh"]).arg(&folder).current_dir(package()).status();
        assert!(copied.is_ok_and(|status| status.success()), "cannot copy the sources");
        Self { folder, target }
    }

    fn cargo(&self, words: &[&str]) -> Output {
        let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
        cargo.args(words).current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.target).env("CARGO_INCREMENTAL", "1");
        // What fails as it should would be shown at length.
        cargo.env("RUST_BACKTRACE", "0").env_remove("BOX_TEST_WEAKENED");
        // Root builds, and has an ordinary user run what root is not meant for.
        if crate::skip::is_root() && !words.iter().any(|word| word.contains("root_")) {
            for triple in ["X86_64", "AARCH64"] {
                let runner = self.folder.join("contrib/as-testuser");
                cargo.env(format!("CARGO_TARGET_{triple}_UNKNOWN_LINUX_GNU_RUNNER"), runner);
            }
        }
        cargo.output().unwrap()
    }

    /// Run one test, built as the sources are now; whether it passes. What cannot be built or found is an error.
    fn passes(&self, test: &str) -> Result<bool, String> {
        let (kind, name) = test.split_once(' ').unwrap();
        let which: &[&str] = if kind == "lib" { &["--lib"] } else { &["--test", "it"] };
        for words in [&["build", "--example", "payload"][..], &[&["test", "--no-run"], which].concat()] {
            let built = self.cargo(words);
            if !built.status.success() {
                return Err(format!("cannot be built:\n{}", String::from_utf8_lossy(&built.stderr)));
            }
        }
        let ran = self.cargo(&[&["test"], which, &["--", "--exact", name]].concat());
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        if !said.contains("running 1 test") || String::from_utf8_lossy(&ran.stderr).contains("skipped (") {
            return Err(format!("{test} was not run:\n{said}{}", String::from_utf8_lossy(&ran.stderr)));
        }
        Ok(ran.status.success())
    }

    /// An error unless the test passes with the line and fails without it.
    fn check(&self, weakening: &Weakening) -> Result<(), String> {
        let file = self.folder.join(weakening.file);
        let sound = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        if !self.passes(weakening.test)? {
            return Err(format!("{} fails with nothing taken out", weakening.test));
        }
        fs::write(&file, sound.replacen(weakening.from, weakening.to, 1)).unwrap();
        let passes = self.passes(weakening.test);
        fs::write(&file, &sound).unwrap();
        match passes {
            Ok(false) => Ok(()),
            Ok(true) => Err(format!("{} passes", weakening.test)),
            Err(error) => Err(error),
        }
    }
}

#[test]
fn a_test_fails_without_what_it_is_about() {
    let Ok(wanted) = std::env::var("BOX_TEST_WEAKENED") else { skip!("wants BOX_TEST_WEAKENED") };
    let is_wanted = |attack: &&Attack| wanted == "1" || wanted.split(',').any(|id| id == attack.id);
    let copy = Copy::new();
    let mut failed = Vec::new();
    for attack in SECTIONS.iter().flat_map(|(_, attacks)| *attacks).filter(is_wanted) {
        let can_run = |weakening: &&Weakening| crate::skip::is_root() || !weakening.test.contains("root_");
        for weakening in attack.weakened.iter().filter(can_run) {
            let result = copy.check(weakening);
            eprintln!("{} without {}: {}", attack.id, weakening.without, if result.is_ok() { "fails" } else { "?" });
            failed.extend(result.err().map(|error| format!("{} without {}: {error}", attack.id, weakening.without)));
        }
    }
    let _ = fs::remove_dir_all(&copy.folder);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
