//! `box restart`, and `--restart`: what starts again, when and how often.

use crate::env::{TestEnv, eventually};

#[test]
fn what_runs_is_stopped_first_and_what_does_not_is_started() {
    let env = TestEnv::with_image();
    env.background("a", &[], &["pause"]);
    env.box_(&["create", "--name", "b", "--network", "none", "t", "pause"]).ok();
    let before = env.inspect("a", "{{.State.Pid}}");
    env.await_log("a", "ready");
    assert_eq!(env.box_(&["restart", "a", "b"]).ok(), "a\nb");
    assert_ne!(env.inspect("a", "{{.State.Pid}}"), before);
    assert_eq!(env.inspect("b", "{{.State.Running}}"), "true");
    env.box_(&["restart", "nobody"]).fails(125).says("`nobody`");
    env.box_(&["restart"]).ends(125);
    // Only what runs.
    env.box_(&["stop", "-t", "0", "b"]).ok();
    assert_eq!(env.box_(&["restart", "-t", "0", "--running", "a", "b"]).ok(), "a");
    assert_eq!(env.inspect("b", "{{.State.Running}}"), "false");
}

#[test]
fn a_failure_starts_it_again_so_many_times() {
    let env = TestEnv::with_image();
    let id = env.background("c", &["--restart", "on-failure:2"], &["do", "echo", "x", ";", "exit", "3"]);
    eventually("the last run", || env.inspect("c", "{{.State.Status}} {{.RestartCount}}") == "exited 2");
    assert_eq!(env.inspect("c", "{{.State.ExitCode}}"), "3");
    assert_eq!(env.box_(&["logs", "c"]).ok(), "x\nx\nx");
    let died = env.box_(&["events", "--stream=false", "--since", "1h", "--filter", "event=die", "--format", "{{.ID}}"]);
    assert_eq!(died.ok(), [id.as_str(); 3].join("\n"));
    // What ends as it should is left alone.
    env.background("good", &["--restart", "on-failure"], &["true"]);
    env.box_(&["wait", "good"]).ok();
    eventually("its end", || env.inspect("good", "{{.State.Status}} {{.RestartCount}}") == "exited 0");
}

#[test]
fn stop_kill_and_rm_end_it_for_good() {
    let env = TestEnv::with_image();
    for (verb, running) in [(&["stop"][..], true), (&["kill"], true), (&["stop"], false), (&["rm", "-f"], false)] {
        let command: &[&str] = if running { &["pause"] } else { &["false"] };
        env.background("c", &["--restart", "always"], command);
        if !running {
            eventually("some restarts", || env.inspect("c", "{{.RestartCount}}").parse::<u32>().unwrap() > 1);
        }
        env.box_(&[verb, &["c"]].concat()).ok();
        eventually(&format!("the end by {verb:?}"), || env.processes_but_holder().is_empty());
        if verb[0] != "rm" {
            assert_eq!(env.inspect("c", "{{.State.Status}} {{.State.StoppedByUser}}"), "exited true");
            env.box_(&["rm", "c"]).ok();
        }
    }
}

#[test]
fn a_start_in_the_pause_starts_at_once() {
    let env = TestEnv::with_image();
    env.background("c", &["--restart", "always"], &["false"]);
    eventually("a pause", || env.inspect("c", "{{.State.Status}}") == "restarting");
    assert_eq!(env.box_(&["start", "c"]).ok(), "c");
    let starts = ["events", "--stream=false", "--since", "1h", "--filter", "event=start"];
    assert!(env.box_(&starts).ok().lines().count() >= 2);
    env.box_(&["rm", "-f", "c"]).ok();
}

#[test]
fn policies_that_make_no_sense_are_refused() {
    let env = TestEnv::with_image();
    env.box_(&["run", "--restart", "sometimes", "t"]).fails(125).says("`--restart sometimes`");
    env.box_(&["run", "--rm", "--restart", "always", "t"]).fails(125).says("do not go together");
    env.box_(&["run", "--health-interval", "soon", "--health-cmd", "x", "t"])
        .fails(125)
        .says("`--health-interval soon`");
    env.box_(&["run", "--pod", "x", "t"]).fails(125).says("no pods");
    // A start that the monitor tries and that fails ends with why.
    env.box_(&["create", "--name", "c", "--restart", "always", "--network", "none", "t", "nonesuch"]).ok();
    env.box_(&["start", "c"]).fails(125).says("`nonesuch`");
    assert_eq!(env.box_(&["ps", "-q"]).ok(), "");
}

#[test]
fn pids_labels_time_and_names() {
    let env = TestEnv::with_image();
    let (pids, labels) = (env.base.join("pid"), env.file("labels", "# a comment\na=1\nb\n"));
    let (pids, labels) = (pids.display().to_string(), labels.display().to_string());
    env.background("c", &["--pidfile", &pids, "--label-file", &labels, "--label", "b=2"], &["pause"]);
    assert_eq!(std::fs::read_to_string(&pids).unwrap(), env.inspect("c", "{{.State.Pid}}"));
    assert_eq!(env.inspect("c", "{{.Config.Labels.a}}{{.Config.Labels.b}}"), "12");
    let id = env.background("c", &["--replace"], &["pause"]);
    assert_eq!(env.inspect("c", "{{.Id}}"), id);
    env.box_(&["run", "--rm", "--network", "none", "--timeout", "1", "t", "sleep", "600"]).ends(137);
    // Only one stream is connected.
    let only = env.inside(&["-a", "stdout"], &["both", "out\n", "err\n"]);
    assert_eq!((only.out(), only.err()), ("out".to_owned(), String::new()));
}
