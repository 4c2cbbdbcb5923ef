//! SIGKILL at any moment: the next command works, tells the truth, and nothing runs unlisted.

use crate::env::{TestEnv, eventually};
use crate::leak;
use std::time::Duration;

/// After whatever has happened: every process belongs to a listed container, and all of it can be removed.
#[track_caller]
pub fn the_truth(env: &TestEnv, moment: &str) {
    let list = || env.box_(&["ps", "-a", "--format", "{{.Names}} {{.State}} {{.Pid}}"]);
    // What is about to end, or to start under a monitor that lives on, gets the time for it.
    eventually(&format!("payloads to be listed ({moment})"), || {
        let payloads = env.processes().iter().filter(|process| process.words.starts_with("pause")).count();
        let listed = list().ok();
        !listed.contains(" initialized ")
            && payloads <= listed.lines().filter(|line| line.contains(" running ")).count()
    });
    let listed = list();
    for line in listed.out().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let known = ["created", "initialized", "running", "restarting", "exited", "stopped"].contains(&words[1]);
        assert!(known, "{moment}: {line}");
        let alive = |name: &str| env.box_(&["exec", name, "true"]);
        if words[1] == "running" && alive(words[0]).code != 0 {
            // Unless it has just been killed.
            let said = alive(words[0]);
            eventually(&format!("the end of {line} ({moment}): {said}"), || !list().out().contains(" running "));
        }
    }
    env.box_(&["rm", "-f", "-a", "-t", "0"]).ok();
    eventually(&format!("the end of all ({moment})"), || env.processes_but_holder().is_empty());
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "", "{moment}");
    let left = leak::files(&env.data(), &env.run_dir());
    assert!(left.is_empty(), "{moment}: {left:?}");
}

#[test]
fn run_is_killed_at_many_moments() {
    let env = TestEnv::with_image();
    // So that all of it is warm, and the moments lie where the work is.
    env.inside(&[], &["true"]).ok();
    for micros in (0..20).map(|step| step * 1400) {
        for words in [&["run", "-d"][..], &["run", "--rm"]] {
            let mut cmd = env.cmd(words);
            let running = cmd.args(&["--network", "none", "--name", "c", "t", "pause"]).start();
            std::thread::sleep(Duration::from_micros(micros));
            leak::kill(running.pid());
            drop(running);
            the_truth(&env, &format!("{words:?} after {micros} µs"));
        }
    }
}

#[test]
fn run_with_a_network_is_killed_at_some_moments() {
    let env = TestEnv::with_image();
    env.box_(&["run", "--rm", "t", "true"]).ok();
    for millis in [5, 15, 30, 60, 120] {
        let running = env.cmd(&["run", "-d", "--name", "c", "t", "pause"]).start();
        std::thread::sleep(Duration::from_millis(millis));
        leak::kill(running.pid());
        drop(running);
        the_truth(&env, &format!("after {millis} ms"));
    }
}

#[test]
fn the_first_run_ever_is_killed() {
    for millis in [1, 4, 8, 12, 20, 30] {
        let env = TestEnv::with_image();
        if let Some(holder) = leak::holder(&env.run_dir()) {
            leak::kill(holder);
        }
        let running = env.cmd(&["run", "-d", "--network", "none", "t", "pause"]).start();
        std::thread::sleep(Duration::from_millis(millis));
        leak::kill(running.pid());
        drop(running);
        the_truth(&env, &format!("after {millis} ms"));
        assert_eq!(env.inside(&[], &["echo", "x"]).ok(), "x");
    }
}

/// The monitor of the only running container.
fn monitor(env: &TestEnv, name: &str) -> i32 {
    let pid = env.inspect(name, "{{.State.ConmonPid}}");
    pid.parse().unwrap_or_else(|_| panic!("ConmonPid is `{pid}`"))
}

#[test]
fn the_monitor_is_killed() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    env.await_log("c", "ready");
    let waiting = env.cmd(&["wait", "c"]).start();
    let attached = env.cmd(&["attach", "--no-stdin", "c"]).start();
    leak::kill(monitor(&env, "c"));
    // Nobody waits for ever, and the next command tells the truth.
    waiting.finish();
    attached.finish();
    the_truth(&env, "the monitor's death");
}

#[test]
fn a_name_is_free_again_after_the_monitors_death() {
    let env = TestEnv::with_image();
    for words in [&["--rm"][..], &[]] {
        env.background("c", words, &["pause"]);
        leak::kill(monitor(&env, "c"));
        eventually("its processes to end", || env.processes_but_holder().is_empty());
        let state = env.box_(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok();
        assert_eq!(state, if words.is_empty() { "c exited" } else { "" });
        env.box_(&["rm", "-f", "c"]);
        env.background("c", &["--rm"], &["pause"]);
        env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
    }
}

#[test]
fn the_monitor_is_killed_with_a_network() {
    let env = TestEnv::with_image();
    env.box_(&["run", "-d", "--name", "c", "-p", "127.0.0.1::80", "t", "pause"]).ok();
    leak::kill(monitor(&env, "c"));
    eventually("slirp4netns and the forwarder to end", || env.processes_but_holder().is_empty());
    the_truth(&env, "the monitor's death");
}

#[test]
fn the_holder_is_killed() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let holder = leak::holder(&env.run_dir());
    if let Some(holder) = holder {
        leak::kill(holder);
    }
    assert_eq!(env.box_(&["exec", "c", "echo", "x"]).ok(), "x");
    assert_eq!(env.inside(&[], &["echo", "y"]).ok(), "y");
    assert_eq!(env.inspect("c", "{{.State.Running}}"), "true");
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
}

#[test]
fn rm_is_killed() {
    let env = TestEnv::with_image();
    for micros in [200, 1000, 2000, 4000, 8000] {
        env.background("c", &[], &["pause"]);
        let removing = env.cmd(&["rm", "-f", "-t", "0", "c"]).start();
        std::thread::sleep(Duration::from_micros(micros));
        leak::kill(removing.pid());
        drop(removing);
        the_truth(&env, &format!("rm after {micros} µs"));
    }
}

#[test]
fn a_large_container_goes_behind_the_command_and_whoever_does_it_may_be_killed() {
    let env = TestEnv::with_image();
    let fill = "cd \"$0\" && for d in 1 2 3 4 5 6 7 8; do mkdir $d; (cd $d; seq 200 | xargs touch); done";
    for kill in [false, true] {
        let id = env.box_(&["run", "-d", "--network", "none", "--name", "c", "t", "true"]).ok();
        env.box_(&["wait", "c"]).ok();
        // Where the driver puts what it writes.
        let container = env.data().join("containers").join(&id);
        let files =
            ["upper", "rootfs"].map(|name| container.join(name)).into_iter().find(|path| path.exists()).unwrap();
        env.box_(&["unshare", "sh", "-c", fill, &files.display().to_string()]).ok();
        env.box_(&["rm", "c"]).ok();
        assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
        if kill {
            env.processes_but_holder().iter().for_each(|process| leak::kill(process.pid));
        }
        eventually("all of it to go", || {
            // Each command sees to it that somebody is at it.
            env.box_(&["ps", "-q"]).ok();
            leak::files(&env.data(), &env.run_dir()).is_empty()
        });
    }
}

#[test]
fn load_is_killed() {
    let archive = crate::image::shared_archive();
    for millis in [2, 5, 10, 20, 40] {
        let env = TestEnv::new();
        let loading = env.cmd(&["load", "-q", "-i"]).arg(&archive).start();
        std::thread::sleep(Duration::from_millis(millis));
        leak::kill(loading.pid());
        drop(loading);
        // Absent or whole; and the next one does it.
        let listed = env.box_(&["images", "-q"]).ok();
        if !listed.is_empty() {
            assert_eq!(env.inside(&[], &["echo", "x"]).ok(), "x");
        }
        env.load(&archive);
        assert_eq!(env.inside(&[], &["echo", "x"]).ok(), "x");
        // What is large goes behind the commands.
        eventually(&format!("all to go (after {millis} ms)"), || leak::files(&env.data(), &env.run_dir()).is_empty());
    }
}

#[test]
fn the_run_folder_is_wiped() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    env.await_log("c", "ready");
    std::fs::remove_dir_all(env.run_dir()).unwrap();
    assert_eq!(env.box_(&["ps", "--format", "{{.Names}} {{.State}}"]).ok(), "c running");
    assert_eq!(env.box_(&["exec", "c", "echo", "x"]).ok(), "x");
    assert_eq!(env.box_(&["logs", "c"]).ok(), "ready");
    assert_eq!(env.box_(&["stop", "c"]).ok(), "c");
    assert_eq!(env.inspect("c", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0");
    assert_eq!(env.inside(&[], &["echo", "y"]).ok(), "y");
    // The first holder is nobody's now: it goes with the test.
    let holder = leak::holder(&env.run_dir());
    for process in env.processes() {
        if Some(process.pid) != holder {
            leak::kill(process.pid);
        }
    }
}

#[test]
fn a_stale_state_of_another_boot_hurts_nobody() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let monitor = monitor(&env, "c");
    let pid: i32 = env.inspect("c", "{{.State.Pid}}").parse().unwrap();
    leak::kill(monitor);
    leak::kill(pid);
    eventually("both to end", || env.processes_but_holder().is_empty());
    // Another live process at the numbers that were written down: it is never signalled.
    let bystander = env.other("sleep".as_ref()).args(&["600"]).start();
    let folder = env.data().join("containers");
    for entry in walk(&folder).into_iter().chain(walk(&env.run_dir())) {
        // Opening a FIFO would wait for its other end.
        if !entry.is_file() {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&entry) else { continue };
        let changed = text.replace(&pid.to_string(), &bystander.pid().to_string());
        if changed != text && !entry.ends_with("holder") {
            let _ = std::fs::write(&entry, changed);
        }
    }
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.State}}"]).ok(), "exited");
    env.box_(&["stop", "-a", "-t", "0"]).ok();
    env.box_(&["kill", "c"]).ends(125);
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
    assert!(std::path::Path::new(&format!("/proc/{}", bystander.pid())).exists(), "the bystander was killed");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { vec![entry.path()] })
        .filter(|path| path.is_file())
        .collect()
}

#[test]
fn a_damaged_record_is_listed_and_removable() {
    let env = TestEnv::with_image();
    let id = env.box_(&["create", "--name", "bad", "t"]).ok();
    env.box_(&["create", "--name", "good", "t"]).ok();
    for text in ["", "{", "null", "\0\0\0\0"] {
        std::fs::write(env.data().join("containers").join(&id).join("config.json"), text).unwrap();
        let listed = env.box_(&["ps", "-a", "--format", "{{.Names}}"]);
        listed.ends(0);
        assert!(listed.out().contains("good"), "{listed}");
        assert_eq!(env.box_(&["run", "--rm", "--network", "none", "t", "echo", "x"]).ok(), "x");
    }
    env.box_(&["rm", "-f", &id]).ok();
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "good");
}
