//! How a build is shown.

use super::context;
use crate::env::TestEnv;
use crate::tmux::Tmux;

#[test]
fn plain_is_buildkits_form() {
    let env = TestEnv::with_image();
    context(&env, "FROM t AS one\nRUN [\"both\", \"to out\\n\", \"to err\\n\"]\n", &[]);
    let shown = env.box_(&["build", "--progress", "plain", "c"]).err();
    let head = shown.lines().position(|line| line.ends_with(" [2/2] RUN [\"both\", \"to out\\n\", \"to err\\n\"]"));
    let head = head.unwrap_or_else(|| panic!("{shown}"));
    let number = shown.lines().nth(head).unwrap().split(' ').next().unwrap();
    let rest: Vec<&str> = shown.lines().skip(head + 1).take(3).collect();
    let said = |text: &str| rest.iter().any(|line| line.starts_with(number) && line.ends_with(text));
    assert!(said(" to out") && said(" to err"), "{shown}");
    assert!(rest[2].starts_with(&format!("{number} DONE ")), "{shown}");
    // Again: it is known.
    let mut cmd = env.cmd(&["build", "c"]);
    let shown = cmd.set("BUILDKIT_PROGRESS", "plain").run().err();
    assert!(shown.lines().any(|line| line.ends_with(" CACHED")) && !shown.contains(" to out"), "{shown}");
}

#[test]
fn the_step_that_failed_is_shown_with_its_place() {
    let env = TestEnv::with_image();
    context(&env, "FROM t\nRUN [\"do\", \"echo\", \"before\", \";\", \"exit\", \"7\"]\n", &[]);
    let expected = "Dockerfile:2\n--------------------\n   1 |     FROM t\n   \
                    2 | >>> RUN [\"do\", \"echo\", \"before\", \";\", \"exit\", \"7\"]\n--------------------\n";
    for mode in ["plain", "quiet"] {
        let outcome = env.box_(&["build", "--progress", mode, "c"]);
        outcome.fails(7);
        outcome.says("exit code: 7").says("\n > [2/2] RUN").says(" before\n------\n").says(expected);
        assert_eq!(outcome.out(), "");
        assert_eq!(outcome.err().contains("#1 "), mode == "plain");
    }
    let outcome = env.box_(&["build", "--progress", "none", "c"]);
    outcome.fails(7);
    assert!(!outcome.err().contains("------"), "{outcome}");
}

#[test]
fn rawjson_is_a_document_a_line() {
    let env = TestEnv::with_image();
    context(&env, "FROM t\nRUN [\"echo\", \"hi\"]\n", &[]);
    let outcome = env.box_(&["build", "--progress=rawjson", "c"]);
    outcome.ok();
    let lines: Vec<serde_json::Value> =
        outcome.err().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let vertex =
        lines.iter().map(|line| &line["vertexes"][0]).find(|vertex| vertex["name"] == "[2/2] RUN [\"echo\", \"hi\"]");
    let digest = &vertex.unwrap()["digest"];
    let log = lines.iter().map(|line| &line["logs"][0]).find(|log| log["vertex"] == *digest).unwrap();
    assert_eq!((&log["data"], &log["stream"]), (&"aGkK".into(), &1.into()));
    let ended = |line: &&serde_json::Value| {
        line["vertexes"][0]["digest"] == *digest && line["vertexes"][0]["completed"].is_string()
    };
    assert_eq!(lines.iter().filter(ended).count(), 1);
}

#[test]
fn on_a_terminal_it_is_a_picture() {
    let env = TestEnv::with_image();
    context(&env, "FROM t\nRUN [\"do\", \"echo\", \"one\\u001b[2J\", \";\", \"pause\"]\n", &[]);
    let Some(terminal) = Tmux::start(&env) else { skip!("there is no tmux") };
    terminal.line(&format!("cd {} && box build c", env.base.display()));
    terminal.await_text("=> # one");
    let screen = terminal.screen();
    assert!(screen.contains("[+] Building") && screen.contains("=> [2/2] RUN"), "{screen}");
    // What a command writes does not clear the screen.
    assert!(screen.contains("box build c"), "{screen}");
    terminal.resize(40, 24);
    terminal.await_text("=> # one");
    terminal.keys(&["C-c"]);
    terminal.await_text("CANCELED");
    terminal.line("echo $?");
    terminal.await_text("130");
}
