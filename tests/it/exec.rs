//! `box exec`: a second process in a running container.

use crate::env::{TestEnv, program};
use serde_json::json;

#[test]
fn streams_and_codes() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let outcome = env.box_(&["exec", "c", "both", "out\n", "err\n"]);
    outcome.ends(0);
    assert_eq!((outcome.out(), outcome.err()), ("out".into(), "err\n".into()));
    for (command, code) in [(&["exit", "9"][..], 9), (&["kill", "KILL"], 137), (&["false"], 1)] {
        env.box_(&[&["exec", "c"][..], command].concat()).ends(code);
    }
    env.box_(&["exec", "c", "nonesuch"]).fails(127).says("`nonesuch`");
    env.box_(&["exec", "c", "/bin/plain"]).fails(126).says("`/bin/plain`");
    env.box_(&["exec", "c"]).ends(125);
    env.box_(&["exec", "nobody", "true"]).fails(125).says("`nobody`");
    env.box_(&["exec", "--no-such-flag", "c", "true"]).ends(125);
    env.box_(&["stop", "-t", "0", "c"]).ok();
    env.box_(&["exec", "c", "true"]).fails(125).says("`c`").hints("box start");
}

#[test]
fn stdin() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n * 7 % 256) as u8).collect();
    let outcome = env.cmd(&["exec", "-i", "c", "cat"]).stdin(&bytes).run();
    outcome.ends(0).quiet();
    assert!(outcome.stdout == bytes);
    assert_eq!(env.cmd(&["exec", "c", "cat"]).stdin("not for you").run().ok(), "");
}

#[test]
fn it_is_where_the_container_is() {
    let env = TestEnv::with_image();
    env.background("c", &["-e", "FROM=run", "-w", "/home", "-h", "host", "--cap-drop", "CHOWN"], &["info"]);
    env.box_(&["wait", "c"]).ok();
    let first = env.box_(&["logs", "c"]).json();
    env.box_(&["rm", "c"]).ok();
    env.background("c", &["-e", "FROM=run", "-w", "/home", "-h", "host", "--cap-drop", "CHOWN"], &["pause"]);
    let second = env.box_(&["exec", "c", "info"]).json();
    let held = env.box_(&["exec", "c", "field", "ns/pid", "ns/net", "ns/mnt"]).ok();
    for name in ["pid", "net", "mnt"] {
        assert!(held.contains(second["ns"][name].as_str().unwrap()), "{held}");
    }
    for field in ["caps", "uid", "gid", "cwd", "hostname", "seccomp", "umask", "no_new_privs", "oom_score_adj"] {
        assert_eq!(first[field], second[field], "{field}");
    }
    assert_eq!((&first["env"]["FROM"], &second["env"]["FROM"]), (&json!("run"), &json!("run")));
    assert_eq!(second["signals"], first["signals"]);
    let fds: Vec<&String> = second["fds"].as_object().unwrap().keys().collect();
    assert_eq!(fds, ["0", "1", "2"], "{}", second["fds"]);
}

#[test]
fn options() {
    let env = TestEnv::with_image();
    env.background("c", &["-e", "A=run"], &["pause"]);
    let file = env.file("vars", "B=file\n");
    let words = ["exec", "-e", "A=exec", "--env-file", file.to_str().unwrap(), "-w", "/tmp", "-u", "ann", "c", "info"];
    let seen = env.box_(&words).json();
    assert_eq!((&seen["env"]["A"], &seen["env"]["B"]), (&json!("exec"), &json!("file")));
    assert_eq!((&seen["cwd"], &seen["uid"][0], &seen["gid"][0]), (&json!("/tmp"), &json!(1000), &json!(50)));
    assert_eq!((&seen["caps"]["effective"], &seen["caps"]["inheritable"]), (&json!(0), &json!(0)));
    let privileged = env.box_(&["exec", "--privileged", "c", "info"]).json();
    assert_eq!(privileged["caps"]["inheritable"], json!(0));
    env.box_(&["exec", "-u", "nobody-here", "c", "true"]).fails(125).says("nobody-here");
    env.box_(&["exec", "-w", "/nonesuch", "c", "true"]).fails(126).says("`/nonesuch`");
}

#[test]
fn detached() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let outcome = env.box_(&["exec", "-d", "c", "do", "touch", "/tmp/made", ";", "sleep", "600"]);
    outcome.ends(0).quiet();
    env.box_(&["exec", "c", "await", "/tmp/made"]).ok();
    // It ends with the container.
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
}

#[test]
fn detached_commands_that_have_ended_do_not_hold_the_container() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    for _ in 0..3 {
        env.box_(&["exec", "-d", "c", "touch", "/tmp/done"]).ok();
    }
    env.box_(&["exec", "c", "await", "/tmp/done"]).ok();
    // A process namespace ends only when all in it have been waited for; process 1 of this host may not do that.
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
}

#[test]
fn signals_reach_it() {
    use nix::sys::signal::Signal;
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let running = env.cmd(&["exec", "c", "trap", "TERM"]).start();
    running.await_out("ready");
    running.await_signals();
    running.signal(Signal::SIGTERM);
    running.await_out("SIGTERM");
    running.signal(Signal::SIGUSR2);
    running.finish().ends(0);
}

#[test]
fn the_containers_end_is_its_end() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    env.await_log("c", "ready");
    let running = env.cmd(&["exec", "c", "pause"]).start();
    running.await_out("ready");
    env.box_(&["stop", "c"]).ok();
    running.finish().ends(137);
}

#[test]
fn many_at_once() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let all: Vec<_> = (0..20).map(|n| env.cmd(&["exec", "c", "echo", &n.to_string()]).start()).collect();
    for (n, running) in all.into_iter().enumerate() {
        assert_eq!(running.finish().ok(), n.to_string());
    }
}

#[test]
fn descriptors_go_along() {
    let env = TestEnv::with_image();
    env.background("a", &[], &["sleep", "60"]);
    let file = env.file("given", "from 3\n");
    let exec = |options: &str| {
        let program = program();
        let script = format!("exec {} exec {options} a cat /proc/self/fd/3 3<{}", program.display(), file.display());
        env.other(std::path::Path::new("/bin/sh")).args(&["-c", &script]).run()
    };
    assert_eq!(exec("--preserve-fds 1").ok(), "from 3");
    exec("").ends(1);
    assert_eq!(exec("--preserve-fd 3").ok(), "from 3");
    // In the background, too.
    let program = program();
    let script = format!("exec {} exec -d --preserve-fds 1 a sleep 61 3<{}", program.display(), file.display());
    env.other(std::path::Path::new("/bin/sh")).args(&["-c", &script]).run().ok();
    let sleeping = || env.processes().into_iter().find(|process| process.words == "sleep 61");
    let third = sleeping().map(|process| std::fs::read_link(format!("/proc/{}/fd/3", process.pid)));
    assert_eq!(third.unwrap().unwrap(), file);
    exec("--preserve-fd 2").fails(125).says("0, 1 and 2 go along in any case");
    exec("--preserve-fd 9").fails(125).says("`--preserve-fd 9` hands on a descriptor that is not open");
    exec("--preserve-fds=2").fails(125).says("hands on descriptors 3 to 4, but 4 is not open");
    env.box_(&["rm", "-f", "-t", "0", "a"]).ok();
}

#[test]
fn beside_volumes_and_all_else_that_is_mounted() {
    let env = TestEnv::with_image();
    let options = ["-v", "vol:/vol", "-v", "/anon", "--tmpfs", "/memory", "--mount", "type=image,src=t,dst=/image"];
    env.background("a", &[&options[..], &["--health-cmd", "[\"/bin/true\"]"]].concat(), &["sleep", "60"]);
    env.box_(&["exec", "a", "do", "touch", "/vol/x", ";", "touch", "/anon/x", ";", "touch", "/memory/x"]).ok();
    env.box_(&["exec", "a", "cat", "/image/bin/payload"]).ends(0);
    env.box_(&["healthcheck", "run", "a"]).ok();
    env.box_(&["rm", "-f", "-v", "-t", "0", "a"]).ok();
}
