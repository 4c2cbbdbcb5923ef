//! `doctor`: says what the host lacks and what to type; with `--fix` does what the user may.

use super::args::Globals;
use super::args::host::Doctor;
use super::errors::escape;
use super::output::print;
use super::session;
use crate::base::program;
use crate::doctor::{self, Check, State};
use anyhow::Result;
use std::fmt::Write as _;

/// `box doctor`: 0 if everything works, 1 if something does not.
pub fn doctor(args: &Doctor, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let mut checks = doctor::examine(&engine);
    if args.fix {
        let mended = checks.iter().filter_map(|check| check.mend.as_ref()).filter(|words| mend(words)).count();
        if mended > 0 {
            checks = doctor::examine(&engine);
        }
    }
    print(&show(&checks))?;
    Ok(u8::from(checks.iter().any(|check| check.state == State::Bad)))
}

/// Run what an ordinary user may; whether it worked.
fn mend(words: &[String]) -> bool {
    let Some(program) = words.first().and_then(|name| program::find(name)) else { return false };
    std::process::Command::new(program)
        .args(&words[1..])
        .stdin(std::process::Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A line a check, and last what root would type.
fn show(checks: &[Check]) -> String {
    let mut out = String::new();
    let mut commands = Vec::new();
    for check in checks {
        let word = match check.state {
            State::Good => "ok",
            State::Poor => "note",
            State::Bad => "bad",
        };
        let _ = writeln!(out, "{word:5} {:16} {}", check.subject, escape(&check.found));
        if check.state != State::Good {
            if let Some(words) = &check.mend {
                let _ = writeln!(out, "{:22} fix: {}", "", words.join(" "));
            }
            if let Some(command) = &check.as_root {
                let _ = writeln!(out, "{:22} fix: sudo {command}", "");
                commands.push(command.as_str());
            }
        }
    }
    if !commands.is_empty() {
        let _ = writeln!(out, "\nAll of it, by root:\n  sudo sh -c '{}'", commands.join("; ").replace('\'', "'\\''"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_for_root() {
        let check = |subject, state, as_root: Option<&str>| Check {
            subject,
            state,
            found: "x".into(),
            as_root: as_root.map(str::to_owned),
            mend: None,
        };
        let shown = show(&[
            check("a", State::Good, None),
            check("b", State::Bad, Some("one")),
            check("c", State::Poor, Some("two 'x'")),
        ]);
        assert!(shown.ends_with("All of it, by root:\n  sudo sh -c 'one; two '\\''x'\\'''\n"), "{shown}");
        assert!(shown.starts_with("ok    a"), "{shown}");
        let mended =
            Check { mend: Some(vec!["loginctl".into(), "enable-linger".into()]), ..check("d", State::Poor, None) };
        assert_eq!(show(&[mended]), format!("note  {:16} x\n{:22} fix: loginctl enable-linger\n", "d", ""));
    }

    #[test]
    fn what_the_user_may_do_is_done() {
        let file = std::env::temp_dir().join(format!("box-mend-{}", crate::base::id::ContainerId::random()));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert!(mend(&words(&["touch", file.to_str().unwrap()])) && file.exists());
        assert!(!mend(&words(&["false"])) && !mend(&words(&["no-such-program-of-anybody"])) && !mend(&[]));
        std::fs::remove_file(file).unwrap();
    }
}
