//! What box says when it cannot: the exact message, hints and exit code of each line of `golden/failures.txt`.
//!
//! `BLESS=1` writes them anew; read each before you keep it: the object by its name, the cause, then what to type.

use crate::env::TestEnv;
use crate::outcome::redact;
use std::fmt::Write as _;

/// Fewer would not be worth a table.
const AT_LEAST: usize = 60;

#[test]
fn each_says_what_and_why_and_what_to_type() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden/failures.txt");
    let golden = std::fs::read_to_string(path).unwrap();
    let commands: Vec<&str> = golden.lines().filter_map(|line| line.strip_prefix("$ box ")).collect();
    assert!(commands.len() >= AT_LEAST, "{} failures", commands.len());
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "c1", "--network", "none", "t", "true"]).ok();
    env.box_(&["volume", "create", "data"]).ok();
    env.box_(&["tag", "t", "tool"]).ok();
    env.box_(&["network", "create", "lan"]).ok();
    env.cmd(&["secret", "create", "token", "-"]).stdin("x").run().ok();
    let mut now = String::new();
    for line in commands {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = env.cmd(&words).set("NO_COLOR", "1").stdin("").run();
        let said = redact(&outcome.err()).replace(&env.base.display().to_string(), "BASE");
        let _ = writeln!(now, "$ box {line}\n{}\n{}", outcome.code, said.trim_end());
        assert!(outcome.code != 0, "`box {line}` went well");
        assert!(said.lines().any(|line| line.starts_with("box: ")), "`box {line}` does not say why: {said}");
        assert_eq!(outcome.out().trim_matches(['[', ']', '\n']), "", "`box {line}` prints to stdout");
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &now).unwrap();
        return;
    }
    let (said, expected): (Vec<&str>, Vec<&str>) = (now.split("$ ").collect(), golden.split("$ ").collect());
    let differ: Vec<String> = (said.iter().zip(&expected))
        .filter(|(said, expected)| said != expected)
        .map(|(said, expected)| format!("said:\n{said}expected:\n{expected}"))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
