//! `box ps`: which containers there are.

use crate::env::TestEnv;
use serde_json::json;

#[test]
fn columns() {
    let env = TestEnv::with_image();
    assert_eq!(
        env.box_(&["ps"]).ok().split_whitespace().collect::<Vec<_>>().join(" "),
        "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES"
    );
    assert_eq!(env.box_(&["ps", "-q"]).ok(), "");
    assert_eq!(env.box_(&["ps", "-a", "--format", "json"]).json(), json!([]));
    let id = env.background("web", &[], &["pause"]);
    let shown = env.box_(&["ps"]).ok();
    let line = shown.lines().nth(1).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        (words[0], words[1], words[2], *words.last().unwrap()),
        (&id[..12], "localhost/t:latest", "pause", "web")
    );
    assert!(line.contains("Up ") && line.contains("ago"), "{line}");
    // Columns stand below their headings.
    let at = shown.find("STATUS").unwrap();
    assert!(line[at..].starts_with("Up "), "{shown}");
}

#[test]
fn which_are_listed() {
    let env = TestEnv::with_image();
    let up = env.background("up", &[], &["pause"]);
    env.box_(&["run", "--network", "none", "--name", "done", "t", "exit", "3"]).ends(3);
    env.box_(&["create", "--name", "new", "--label", "a=b", "t"]).ok();
    let names = |args: &[&str]| {
        let outcome = env.box_(&[&["ps", "--format", "{{.Names}}"], args].concat());
        let mut names: Vec<String> = outcome.ok().lines().map(String::from).collect();
        names.sort();
        names.join(" ")
    };
    for (args, listed) in [
        (&[][..], "up"),
        (&["-a"], "done new up"),
        (&["-l"], "new"),
        (&["-n", "2"], "done new"),
        (&["-a", "--filter", "name=o"], "done"),
        (&["-a", "--filter", "name=^up$"], "up"),
        (&["-a", "--filter", "status=exited"], "done"),
        (&["-a", "--filter", "status=created"], "new"),
        (&["--filter", "status=created"], "new"),
        (&["-a", "--filter", "status=exited", "--filter", "status=running"], "done up"),
        (&["-a", "--filter", "exited=3"], "done"),
        (&["-a", "--filter", "exited=0"], ""),
        (&["-a", "--filter", "label=a"], "new"),
        (&["-a", "--filter", "label=a=b"], "new"),
        (&["-a", "--filter", "label=a=c"], ""),
        (&["-a", "--filter", "ancestor=t"], "done new up"),
        (&["-a", "--filter", "ancestor=localhost/t:latest"], "done new up"),
        (&["-a", "--filter", "ancestor=other"], ""),
        (&["-a", "--filter", &format!("id={}", &up[..8])], "up"),
    ] {
        assert_eq!(names(args), listed, "{args:?}");
    }
    env.box_(&["ps", "--filter", "bogus=1"]).ends(125).says("bogus");
    env.box_(&["ps", "--filter", "name"]).ends(125);
}

#[test]
fn formats() {
    let env = TestEnv::with_image();
    let id = env.background("web", &["--label", "k=v"], &["pause"]);
    let format = |format: &str| env.box_(&["ps", "--format", format]).ok();
    assert_eq!(format("{{.ID}} {{.Names}} {{.Image}}"), format!("{} web localhost/t:latest", &id[..12]));
    assert_eq!(format("{{.State}} {{.Command}}"), "running pause");
    assert!(format("{{.Status}}").starts_with("Up "));
    assert_eq!(format("{{.Label \"k\"}}"), "v");
    let table = format("table {{.Names}}\t{{.State}}");
    assert_eq!(
        table.lines().map(|line| line.split_whitespace().collect()).collect::<Vec<Vec<_>>>(),
        [vec!["NAMES", "STATE"], vec!["web", "running"]]
    );
    let all = env.box_(&["ps", "--format", "json"]).json();
    let one = &all[0];
    assert_eq!((&one["Id"], &one["Names"], &one["State"]), (&json!(id), &json!(["web"]), &json!("running")));
    assert_eq!((&one["Command"], &one["Labels"]["k"], &one["Exited"]), (&json!(["pause"]), &json!("v"), &json!(false)));
    assert!(one["Pid"].as_u64().unwrap() > 0 && one["Created"].as_i64().unwrap() > 1_600_000_000, "{one}");
    assert_eq!(env.box_(&["ps", "-q", "--no-trunc"]).ok(), id);
    env.box_(&["ps", "--format", "{{.Bogus}}"]).ends(125).says("Bogus");
    env.box_(&["ps", "--format", "{{.Names"]).ends(125);
}

#[test]
fn states_are_true() {
    let env = TestEnv::with_image();
    let state = || env.box_(&["ps", "-a", "--format", "{{.State}}|{{.Status}}"]).ok();
    env.box_(&["create", "--name", "c", "--network", "none", "t", "pause", "3"]).ok();
    assert!(state().starts_with("created|Created"), "{}", state());
    env.box_(&["start", "c"]).ok();
    assert!(state().starts_with("running|Up "), "{}", state());
    env.await_log("c", "ready");
    env.box_(&["stop", "c"]).ok();
    assert!(state().starts_with("exited|Exited (3) "), "{}", state());
}

#[test]
fn control_characters_stay_harmless() {
    let env = TestEnv::with_image();
    env.background("c", &["--label", "evil=\u{1b}[31mred\u{9b}1m"], &["do", "pause", "\u{1b}[2J"]);
    // A template in a pipe gives scripts what they ask for, as it is.
    for args in [&["ps", "--no-trunc"][..], &["ps", "--format", "json"]] {
        let shown = env.box_(args).ok();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }
}
