//! Health: `--health-…`, what `ps`, `inspect` and `wait` show of it, `healthcheck run`.

use crate::env::{TestEnv, eventually};

const CHECK: &str = r#"["stat", "/tmp/ok"]"#;

#[test]
fn a_container_is_checked_by_its_monitor() {
    let env = TestEnv::with_image();
    let options = ["--tmpfs", "/tmp", "--health-cmd", CHECK, "--health-interval", "50ms", "--health-retries", "2"];
    env.background("c", &options, &["pause"]);
    let status = || env.inspect("c", "{{.State.Health.Status}}");
    eventually("failures that count", || status() == "unhealthy");
    assert!(env.box_(&["ps"]).ok().contains("(unhealthy)"));
    let log = env.inspect("c", "{{json .State.Health}}");
    let log: serde_json::Value = serde_json::from_str(&log).unwrap();
    assert!(log["FailingStreak"].as_u64().unwrap() >= 2 && log["Log"][0]["ExitCode"] != 0, "{log}");
    assert!(log["Log"][0]["Output"].as_str().unwrap().contains("/tmp/ok"), "{log}");
    env.box_(&["exec", "c", "touch", "/tmp/ok"]).ok();
    assert_eq!(env.box_(&["wait", "--condition", "healthy", "c"]).ok(), "-1");
    assert!(env.box_(&["ps", "--filter", "health=healthy"]).ok().contains("(healthy)"));
    // The monitor still cares for its container after it has run something in it.
    assert_eq!(env.box_(&["exec", "c", "echo", "x"]).ok(), "x");
    env.box_(&["stop", "-t", "0", "c"]).ok();
    let checks = || env.box_(&["events", "--stream=false", "--since", "1h", "--filter", "event=health_status"]).ok();
    assert!(checks().contains("health_status=healthy"), "{}", checks());
}

#[test]
fn results_go_where_they_are_wanted() {
    let env = TestEnv::with_image();
    let folder = env.base.join("logs");
    std::fs::create_dir(&folder).unwrap();
    let options = |to: &str| {
        ["--health-cmd", r#"["echo", "well"]"#, "--health-interval", "disable", "--health-log-destination", to]
            .map(str::to_owned)
    };
    for (name, to) in [("a", folder.to_str().unwrap()), ("b", "events_logger"), ("c", "local")] {
        let words = options(to);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let id = env.background(name, &words, &["pause"]);
        env.box_(&["healthcheck", "run", name]).ok();
        let file = folder.join(format!("{id}-healthcheck.log"));
        let written = std::fs::read_to_string(file).is_ok_and(|text| text.contains("well"));
        assert_eq!(written, name == "a", "{name}");
        let events =
            ["events", "--stream=false", "--since", "1h", "--filter", "event=health_status", "--format", "json"];
        let events = env.cmd(&events).args(&["--filter", &format!("container={name}")]).run().ok();
        assert!(events.contains("healthy") && events.contains("well") == (name == "b"), "{name}: {events}");
    }
    let wrong = env.inside(&["--health-cmd", "x", "--health-log-destination", "/nowhere"], &["true"]);
    wrong.fails(125).says("`--health-log-destination /nowhere` is no folder");
    env.box_(&["rm", "-f", "-t", "0", "-a"]).ok();
}

#[test]
fn a_check_by_hand() {
    let env = TestEnv::with_image();
    let options = ["--tmpfs", "/tmp", "--health-cmd", CHECK, "--health-interval", "disable", "--health-retries", "1"];
    env.background("c", &options, &["pause"]);
    assert_eq!(env.inspect("c", "{{.State.Health.Status}}"), "starting");
    let failed = env.box_(&["healthcheck", "run", "c"]);
    failed.ends(1);
    assert_eq!(failed.out(), "unhealthy");
    env.box_(&["exec", "c", "touch", "/tmp/ok"]).ok();
    assert_eq!(env.box_(&["healthcheck", "run", "c"]).ok(), "");
    assert_eq!(env.inspect("c", "{{.State.Health.Status}}"), "healthy");
    env.background("none", &[], &["pause"]);
    env.box_(&["healthcheck", "run", "none"]).fails(125).says("it has no health check");
    env.box_(&["wait", "--condition", "healthy", "none"]).fails(125).says("has no health check");
    env.box_(&["stop", "-t", "0", "c"]).ok();
    env.box_(&["healthcheck", "run", "c"]).fails(125).says("not running");
}

#[test]
fn a_check_has_the_containers_filter() {
    let env = TestEnv::with_image();
    let check = r#"["field", "seccomp"]"#;
    for (option, mode) in [("seccomp=unconfined", "0"), ("seccomp=builtin", "2")] {
        let options = ["--security-opt", option, "--health-cmd", check, "--health-interval", "disable"];
        env.background("c", &options, &["pause"]);
        env.box_(&["healthcheck", "run", "c"]).ok();
        assert_eq!(env.inspect("c", "{{(index .State.Health.Log 0).Output}}").trim(), mode, "{option}");
        env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
    }
}

#[test]
fn a_check_that_takes_too_long_has_failed() {
    let env = TestEnv::with_image();
    let options = ["--health-cmd", r#"["sleep", "600"]"#, "--health-interval", "disable", "--health-timeout", "50ms"];
    env.background("c", &options, &["pause"]);
    env.box_(&["healthcheck", "run", "c"]).ends(1);
    let output = env.inspect("c", "{{(index .State.Health.Log 0).Output}}");
    assert_eq!(output, "the check took longer than 50ms");
    let sleeps = || env.processes().iter().any(|process| process.words.starts_with("sleep 600"));
    eventually("the end of the check", || !sleeps());
}

#[test]
fn what_follows_a_failure() {
    let env = TestEnv::with_image();
    let options = |action: &'static str| {
        let check = ["--health-cmd", r#"["false"]"#, "--health-interval", "20ms", "--health-retries", "1"];
        [&check[..], &["--stop-timeout", "0", "--health-on-failure", action]].concat()
    };
    env.background("kill", &options("kill"), &["pause"]);
    assert_eq!(env.box_(&["wait", "kill"]).ok(), "137");
    env.background("stop", &options("stop"), &["pause", "5"]);
    eventually("its end", || env.inspect("stop", "{{.State.Status}}") == "exited");
    env.background("restart", &options("restart"), &["pause"]);
    eventually("two restarts", || env.inspect("restart", "{{.RestartCount}}").parse::<u32>().unwrap() >= 2);
    env.box_(&["stop", "-t", "0", "restart"]).ok();
    assert_eq!(env.inspect("restart", "{{.State.Status}}"), "exited");
}

#[test]
fn a_startup_check_comes_first() {
    let env = TestEnv::with_image();
    let check = ["--health-cmd", "[\"/bin/true\"]", "--health-interval", "50ms", "--health-startup-interval", "50ms"];
    let startup = |command: &str| format!("[\"/bin/cat\", \"{command}\"]");
    let options = |command: &str| {
        check
            .iter()
            .map(ToString::to_string)
            .chain(["--health-startup-cmd".into(), startup(command)])
            .collect::<Vec<_>>()
    };
    let words = options("/up");
    env.background("a", &words.iter().map(String::as_str).collect::<Vec<_>>(), &["sleep", "60"]);
    // The regular check would find it healthy at once.
    assert_eq!(env.inspect("a", "{{.State.Health.Status}} {{len .State.Health.Log}}"), "starting 0");
    env.box_(&["exec", "a", "touch", "/up"]).ok();
    env.box_(&["wait", "--condition", "healthy", "a"]).ok();
    // One that never succeeds starts it anew.
    let mut words = options("/never");
    words.extend(["--health-startup-retries".into(), "2".into()]);
    env.background("b", &words.iter().map(String::as_str).collect::<Vec<_>>(), &["sleep", "60"]);
    crate::env::eventually("started anew", || env.inspect("b", "{{.RestartCount}}") != "0");
    assert_ne!(env.inspect("b", "{{.State.Health.Status}}"), "healthy");
    env.box_(&["rm", "-f", "-t", "0", "a", "b"]).ok();
}
