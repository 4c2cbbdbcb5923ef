//! A container's life: create, start, stop, kill, wait, rm.

use crate::env::{TestEnv, eventually};

#[test]
fn created_then_started() {
    let env = TestEnv::with_image();
    let words = ["create", "--name", "c", "--network", "none", "t", "do", "both", "out\n", "err\n", ";", "exit", "3"];
    let id = env.box_(&words).ok();
    assert_eq!(id.len(), 64);
    assert_eq!(env.inspect("c", "{{.State.Status}} {{.State.Running}} {{.State.Pid}}"), "created false 0");
    let started = env.box_(&["start", "-a", "c"]);
    started.ends(3);
    assert_eq!((started.out(), started.err()), ("out".into(), "err\n".into()));
    assert_eq!(env.inspect("c", "{{.State.Status}} {{.State.ExitCode}}"), "exited 3");
    // And once more, without being attached; what is printed is what was typed.
    assert_eq!(env.box_(&["start", &id[..10]]).ok(), &id[..10]);
    assert_eq!(env.box_(&["wait", "c"]).ok(), "3");
}

#[test]
fn start_twice_is_no_error() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let pid = env.inspect("c", "{{.State.Pid}}");
    assert_eq!(env.box_(&["start", "c"]).ok(), "c");
    assert_eq!(env.inspect("c", "{{.State.Pid}}"), pid);
}

#[test]
fn two_starts_at_once_start_once() {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "c", "--network", "none", "t", "pause"]).ok();
    let both: Vec<_> = (0..4).map(|_| env.cmd(&["start", "c"]).start()).collect();
    for running in both {
        running.finish().ends(0);
    }
    let payloads = env.processes().iter().filter(|process| process.words == "pause").count();
    assert_eq!(payloads, 1);
}

#[test]
fn start_with_a_terminal_or_stdin() {
    let env = TestEnv::with_image();
    env.box_(&["create", "-i", "--name", "c", "--network", "none", "t", "cat"]).ok();
    let outcome = env.cmd(&["start", "-a", "-i", "c"]).stdin("through start\n").run();
    assert_eq!(outcome.ok(), "through start");
}

#[test]
fn a_start_that_fails_says_why() {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "c", "--network", "none", "t", "nonesuch"]).ok();
    env.box_(&["start", "c"]).fails(125).says("`nonesuch`");
    env.box_(&["start", "-a", "c"]).fails(127).says("`nonesuch`");
    assert_eq!(env.box_(&["ps", "-q"]).ok(), "");
    env.box_(&["start", "nobody"]).fails(125).says("`nobody`");
}

#[test]
fn stop_asks_then_insists() {
    let env = TestEnv::with_image();
    env.background("polite", &[], &["pause", "5"]);
    env.await_log("polite", "ready");
    assert_eq!(env.box_(&["stop", "polite"]).ok(), "polite");
    assert_eq!(env.inspect("polite", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    // Stopping what is stopped is no error.
    assert_eq!(env.box_(&["stop", "polite"]).ok(), "polite");
    env.background("deaf", &[], &["sleep", "600"]);
    env.box_(&["stop", "-t", "0", "deaf"]).ok();
    assert_eq!(env.inspect("deaf", "{{.State.ExitCode}}"), "137");
    env.background("short", &["--stop-timeout", "0"], &["sleep", "600"]);
    env.box_(&["stop", "short"]).ok();
    assert_eq!(env.inspect("short", "{{.State.ExitCode}}"), "137");
    env.box_(&["stop", "nobody"]).fails(125).says("`nobody`");
}

#[test]
fn the_stop_signal_is_the_containers() {
    let env = TestEnv::with_image();
    env.background("c", &["--stop-signal", "USR2"], &["trap", "TERM"]);
    env.await_log("c", "ready");
    env.box_(&["stop", "c"]).ok();
    assert_eq!(env.inspect("c", "{{.State.ExitCode}}"), "0");
    assert_eq!(env.box_(&["logs", "c"]).ok(), "ready\nSIGUSR2");
    env.box_(&["create", "--stop-signal", "NOPE", "t"]).ends(125).says("NOPE");
}

#[test]
fn several_are_stopped_at_once() {
    let env = TestEnv::with_image();
    for name in ["a", "b", "c"] {
        env.background(name, &[], &["pause"]);
        env.await_log(name, "ready");
    }
    let outcome = env.box_(&["stop", "a", "b"]);
    let mut names: Vec<String> = outcome.ok().lines().map(String::from).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    env.box_(&["stop", "--all"]).ok();
    assert_eq!(env.box_(&["ps", "-q"]).ok(), "");
}

#[test]
fn kill_sends_any_signal() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["trap", "USR1", "WINCH"]);
    env.await_log("c", "ready");
    for signal in ["USR1", "SIGUSR1", "usr1", "10", "28"] {
        assert_eq!(env.box_(&["kill", "-s", signal, "c"]).ok(), "c");
    }
    env.await_log("c", "SIGWINCH");
    env.box_(&["kill", "-s", "NOPE", "c"]).fails(125).says("NOPE");
    env.box_(&["kill", "c"]).ok();
    assert_eq!(env.box_(&["wait", "c"]).ok(), "137");
    env.box_(&["kill", "c"]).fails(125).says("`c`");
    env.box_(&["kill", "nobody"]).fails(125).says("`nobody`");
}

#[test]
fn wait_prints_codes_in_the_order_asked() {
    let env = TestEnv::with_image();
    env.background("a", &[], &["exit", "1"]);
    env.background("b", &[], &["pause", "9"]);
    env.await_log("b", "ready");
    let waiting = env.cmd(&["wait", "b", "a"]).start();
    waiting.await_connection();
    env.box_(&["stop", "b"]).ok();
    assert_eq!(waiting.finish().ok(), "9\n1");
    env.box_(&["wait", "nobody"]).fails(125);
}

#[test]
fn wait_returns_when_the_container_is_removed() {
    let env = TestEnv::with_image();
    env.background("c", &["--rm"], &["pause", "6"]);
    env.await_log("c", "ready");
    let waiting = env.cmd(&["wait", "c"]).start();
    waiting.await_connection();
    env.box_(&["stop", "c"]).ok();
    assert_eq!(waiting.finish().ok(), "6");
}

#[test]
fn rm_and_its_exit_codes() {
    let env = TestEnv::with_image();
    env.box_(&["rm", "nobody"]).fails(1).says("`nobody`");
    let id = env.box_(&["create", "--name", "done", "t"]).ok();
    assert_eq!(env.box_(&["rm", &id[..8]]).ok(), &id[..8]);
    env.background("busy", &[], &["pause"]);
    env.box_(&["rm", "busy"]).fails(2).says("`busy`").hints("box");
    assert_eq!(env.inspect("busy", "{{.State.Running}}"), "true");
    assert_eq!(env.box_(&["rm", "-f", "busy"]).ok(), "busy");
    assert_eq!(env.box_(&["rm", "-f", "nobody"]).code, 0);
    for name in ["x", "y"] {
        env.box_(&["create", "--name", name, "t"]).ok();
    }
    // One that is not there does not save the others.
    let mixed = env.box_(&["rm", "x", "nobody", "y"]);
    assert_eq!((mixed.code, mixed.out()), (1, "x\ny".into()), "{mixed}");
    env.background("z", &[], &["pause"]);
    env.box_(&["rm", "-a", "-f", "-t", "0"]).ok();
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
}

#[test]
fn ids_may_be_shortened_and_names_win() {
    let env = TestEnv::with_image();
    let id = env.box_(&["create", "t"]).ok();
    let short = id[..6].to_owned();
    let other = env.box_(&["create", "--name", &short, "t"]).ok();
    assert_eq!(env.inspect(&short, "{{.Id}}"), other);
    assert_eq!(env.inspect(&id[..12], "{{.Id}}"), id);
    // A prefix of two ids is nobody's.
    let ids = [id, other];
    for first in "0123456789abcdef".chars() {
        let matching = ids.iter().filter(|id| id.starts_with(first)).count();
        let outcome = env.box_(&["inspect", "--format", "{{.Id}}", &first.to_string()]);
        assert_eq!(outcome.code == 0, matching == 1, "{outcome}");
    }
}

#[test]
fn files_are_seen_by_the_next_start_only_of_the_same_container() {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "c", "--network", "none", "t", "do", "touch", "/tmp/n", ";", "ls", "/tmp"]).ok();
    assert_eq!(env.box_(&["start", "-a", "c"]).ok(), "n");
    env.box_(&["rm", "c"]).ok();
    assert_eq!(env.inside(&[], &["ls", "/tmp"]).ok(), "");
}

#[test]
fn files_of_other_users_are_removed_too() {
    let env = TestEnv::with_image();
    let made = ["do", "mkdir", "/tmp/d/e", ";", "touch", "/tmp/d/e/f", ";", "chmod", "000", "/tmp/d"];
    let mut words = vec!["run", "--network", "none", "--name", "c", "-u", "ann", "t"];
    words.extend(made);
    env.box_(&words).ok();
    env.box_(&["rm", "c"]).ok();
}

#[test]
fn a_fleet() {
    let env = TestEnv::with_image();
    let all: Vec<_> = (0..20).map(|_| env.cmd(&["run", "-d", "--network", "none", "t", "pause"]).start()).collect();
    for running in all {
        running.finish().ends(0).quiet();
    }
    assert_eq!(env.box_(&["ps", "-q"]).ok().lines().count(), 20);
    env.box_(&["stop", "-a", "-t", "0"]).ok();
    eventually("all to end", || env.box_(&["ps", "-q"]).ok().is_empty());
    assert_eq!(env.box_(&["rm", "-a"]).ok().lines().count(), 20);
}

#[test]
fn update_changes_later_starts() {
    let env = TestEnv::with_image();
    let options = ["create", "--name", "c", "--network", "none", "-e", "A=1", "-e", "B=2", "t", "info"];
    env.box_(&options).ok();
    let update = |words: &[&str]| env.cmd(&["update"]).args(words).run();
    assert_eq!(update(&["-e", "A=3", "--unsetenv", "B", "--ulimit", "nofile=50:60", "c"]).ok(), "c");
    update(&["--restart", "on-failure:2", "--health-cmd", "x", "--health-interval", "9s", "c"]).ok();
    assert_eq!(
        env.inspect("c", "{{.HostConfig.RestartPolicy.Name}} {{.Config.Healthcheck.Interval}}"),
        "on-failure 9000000000"
    );
    // What was changed before is still so.
    let seen = env.box_(&["start", "-a", "c"]).json();
    assert_eq!((seen["env"]["A"].as_str(), seen["env"].get("B")), (Some("3"), None), "{seen}");
    update(&["--no-healthcheck", "c"]).ok();
    assert_eq!(
        env.inspect("c", "{{json .Config.Healthcheck}} {{index .Config.Env 0}}").split(' ').next(),
        Some("null")
    );
    update(&["--health-retries", "3", "c"]).fails(125).says("there is no health check to change");
    update(&["c"]).fails(125).says("nothing to change");
    // One that restarts does not any more.
    env.background("r", &["--restart", "always"], &["pause"]);
    update(&["--restart", "no", "r"]).ok();
    env.box_(&["exec", "r", "kill", "1"]);
    env.box_(&["kill", "r"]).ok();
    env.box_(&["wait", "r"]).ok();
    assert_eq!(env.inspect("r", "{{.State.Status}} {{.RestartCount}}"), "exited 0");
}

#[test]
fn who_looks_at_a_container_that_ends_does_not_keep_it() {
    use rustix::fs::{FlockOperation, flock};
    let env = TestEnv::with_image();
    let id = env.background("c", &[], &["pause"]);
    let lock = std::fs::File::open(env.data().join("containers").join(id).join("lock")).unwrap();
    std::thread::scope(|scope| {
        // As commands do that see to what has ended: granted when the monitor goes.
        let look = scope.spawn(|| flock(&lock, FlockOperation::LockShared).unwrap());
        let inode = format!(":{} ", std::os::unix::fs::MetadataExt::ino(&lock.metadata().unwrap()));
        let is_waiting = |line: &str| line.contains("-> FLOCK") && line.contains(&inode);
        eventually("the look", || std::fs::read_to_string("/proc/locks").unwrap().lines().any(is_waiting));
        let removal = env.cmd(&["rm", "-f", "-t", "0", "c"]).start();
        look.join().unwrap();
        // Long enough for a removal that does not wait to give up.
        std::thread::sleep(std::time::Duration::from_millis(200));
        flock(&lock, FlockOperation::Unlock).unwrap();
        removal.finish().ok();
    });
}
