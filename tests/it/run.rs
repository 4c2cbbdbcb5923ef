//! `box run`: exit codes, the three streams, the words after the image, names, cid files, clean-up.

use crate::env::{TestEnv, eventually};
use serde_json::json;
use std::fs;

#[test]
fn the_exit_code_is_the_commands() {
    let env = TestEnv::with_image();
    for (command, code) in [
        (&["true"][..], 0),
        (&["false"], 1),
        (&["exit", "7"], 7),
        (&["exit", "255"], 255),
        (&["do", "orphan", "0", ";", "exit", "3"], 3),
    ] {
        env.inside(&[], command).ends(code).quiet();
    }
}

#[test]
fn a_signal_counts_as_128_and_its_number() {
    let env = TestEnv::with_image();
    // As process 1 a signal without a handler does nothing; below an init it kills.
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("ABRT", 134), ("HUP", 129)] {
        env.inside(&["--init"], &["kill", signal]).ends(code);
    }
    let running = env.cmd(&["run", "--rm", "--name", "c", "--network", "none", "t", "sleep", "60"]).start();
    eventually("a running container", || env.box_(&["ps", "-q"]).out().len() == 12);
    env.box_(&["kill", "c"]).ok();
    running.finish().ends(137);
}

#[test]
fn what_cannot_be_run_is_126_or_127() {
    let env = TestEnv::with_image();
    env.inside(&[], &["nonesuch"]).fails(127).says("`nonesuch`");
    env.inside(&[], &["/bin/nonesuch"]).fails(127).says("`/bin/nonesuch`");
    env.inside(&[], &["/bin/plain"]).fails(126).says("`/bin/plain`");
    env.inside(&[], &["/bin"]).fails(126).says("`/bin`");
    env.inside(&[], &["/bin/broken"]).fails(126).says("`/bin/broken`");
    env.inside(&[], &["plain"]).fails(126).says("`/bin/plain`");
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
}

#[test]
fn engine_errors_are_125() {
    let env = TestEnv::with_image();
    env.box_(&["run", "--pull", "never", "nonesuch"]).fails(125).says("nonesuch");
    env.box_(&["run", "--no-such-flag", "t"]).ends(125);
    env.box_(&["run"]).ends(125);
    env.box_(&["run", "--rm", "-p", "99999:80", "t"]).fails(125).says("99999");
    env.box_(&["run", "--rm", "UPPER/Case"]).fails(125).says("UPPER/Case");
    env.box_(&["run", "--name", "a/b", "t", "true"]).fails(125).says("a/b");
    env.inside(&["-u", "nobody-here"], &["true"]).fails(125).says("nobody-here");
    env.inside(&["-v", "/nonesuch/dir:/x"], &["true"]).fails(125).says("/nonesuch/dir");
    env.inside(&["--cap-add", "NO_SUCH"], &["true"]).fails(125).says("NO_SUCH");
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
}

#[test]
fn mistyped_words_are_guessed() {
    let env = TestEnv::new();
    env.box_(&["rnu", "t"]).ends(125).says("run");
    env.box_(&["run", "--hostnam", "x", "t"]).ends(125).says("--hostname");
}

#[test]
fn streams_stay_apart() {
    let env = TestEnv::with_image();
    let outcome = env.inside(&[], &["both", "to out\n", "to err\n"]);
    assert_eq!((outcome.ok(), outcome.err()), ("to out".into(), "to err\n".into()));
}

#[test]
fn a_pipe_passes_bytes_unchanged() {
    let env = TestEnv::with_image();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let outcome = env.cmd(&["run", "--rm", "-i", "--network", "none", "t", "cat"]).stdin(&bytes).run();
    outcome.ends(0).quiet();
    assert!(outcome.stdout == bytes, "{} bytes of {}", outcome.stdout.len(), bytes.len());
}

#[test]
fn stdin_is_empty_without_i() {
    let env = TestEnv::with_image();
    let outcome = env.cmd(&["run", "--rm", "--network", "none", "t", "cat"]).stdin("not for you").run();
    assert_eq!(outcome.ok(), "");
    // And its end is passed on with it.
    let outcome = env.cmd(&["run", "--rm", "-i", "--network", "none", "t", "cat"]).stdin("").run();
    assert_eq!(outcome.ok(), "");
}

#[test]
fn much_output_arrives_whole() {
    let env = TestEnv::with_image();
    let outcome = env.inside(&[], &["spam", "20000000"]);
    outcome.ends(0);
    assert_eq!(outcome.stdout.len(), 20_000_000);
}

#[test]
fn a_reader_that_leaves_ends_the_run() {
    let env = TestEnv::with_image();
    let program = crate::env::program();
    let line = format!("{} run --rm --network none t spam 100000000 | head -c 5", program.display());
    let outcome = env.other("sh".as_ref()).args(&["-c", &line]).run();
    outcome.ends(0).quiet();
    assert_eq!(outcome.out(), "abcde");
    eventually("the container's end", || env.box_(&["ps", "-a", "-q"]).ok().is_empty());
}

#[test]
fn words_after_the_image_are_the_commands() {
    let env = TestEnv::with_image();
    for (words, said) in [
        (&["echo", "--rm", "-x", "--help"][..], "--rm -x --help"),
        (&["echo", "a b", "", "c"], "a b  c"),
        (&["echo", "--", "-d"], "-- -d"),
    ] {
        assert_eq!(env.inside(&[], words).ok(), said);
    }
    assert_eq!(env.inside(&["--"], &["echo", "x"]).ok(), "x");
    let joined = env.box_(&["run", "--rm=true", "--network=none", "-e=A=b", "-it=false", "t", "printenv", "A"]);
    assert_eq!(joined.ok(), "b");
}

#[test]
fn entrypoint_and_cmd_combine() {
    use crate::image::Image;
    let env = TestEnv::new();
    let image = Image::payload().with("Entrypoint", json!(["echo", "ep"])).with("Cmd", json!(["cmd"])).build();
    image.docker_archive(&env.base.join("e.tar"), &["localhost/t:latest"]);
    env.load(&env.base.join("e.tar"));
    for (options, command, said) in [
        (&[][..], &[][..], "ep cmd"),
        (&[], &["words"], "ep words"),
        (&["--entrypoint", "echo"], &[], ""),
        (&["--entrypoint", "echo"], &["words"], "words"),
        (&["--entrypoint", r#"["echo","json"]"#], &["words"], "json words"),
        (&["--entrypoint", ""], &["echo", "none"], "none"),
    ] {
        assert_eq!(env.inside(options, command).ok(), said, "{options:?} {command:?}");
    }
    let bare = Image::payload().with("Cmd", json!(null)).build();
    bare.docker_archive(&env.base.join("b.tar"), &["localhost/bare:latest"]);
    env.load(&env.base.join("b.tar"));
    env.box_(&["run", "--rm", "bare"]).fails(125).says("command");
}

#[test]
fn detached_prints_the_id_and_nothing_else() {
    let env = TestEnv::with_image();
    let outcome = env.box_(&["run", "-d", "--network", "none", "--name", "c", "t", "pause"]);
    outcome.ends(0).quiet();
    assert_eq!(outcome.stdout.len(), 65, "{outcome}");
    assert_eq!(env.box_(&["ps", "-q", "--no-trunc"]).ok(), outcome.out());
    assert_eq!(env.inspect("c", "{{.State.Running}} {{.Id}}"), format!("true {}", outcome.out()));
}

#[test]
fn a_name_is_taken_once() {
    let env = TestEnv::with_image();
    let id = env.background("web", &[], &["pause"]);
    let outcome = env.box_(&["run", "--rm", "--name", "web", "t", "true"]);
    outcome.fails(125).says("`web`").says(&id[..12]).hints("box rm");
    env.box_(&["rm", "-f", "web"]).ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "--name", "web", "t", "echo", "again"]).ok(), "again");
}

#[test]
fn many_at_once_take_a_name_once() {
    let env = TestEnv::with_image();
    let words = ["create", "--name", "one", "--network", "none", "t"];
    let all: Vec<_> = (0..8).map(|_| env.cmd(&words).start()).collect();
    let codes: Vec<i32> = all.into_iter().map(|running| running.finish().code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 125].contains(code)), "{codes:?}");
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok().lines().count(), 1);
}

#[test]
fn a_made_up_name_looks_like_one() {
    let env = TestEnv::with_image();
    env.box_(&["create", "t"]).ok();
    let name = env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert!(name.contains('_') && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
}

#[test]
fn cid_file() {
    let env = TestEnv::with_image();
    let file = env.base.join("cid");
    let name = file.display().to_string();
    let id = env.background("c", &["--cidfile", &name], &["pause"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), id);
    env.box_(&["run", "--rm", "--cidfile", &name, "t", "true"]).fails(125).says(&name);
    assert_eq!(fs::read_to_string(&file).unwrap(), id);
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
    env.inside(&["--cidfile", "/nonesuch/cid"], &["true"]).fails(125).says("/nonesuch/cid");
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
}

#[test]
fn rm_removes_and_its_absence_keeps() {
    let env = TestEnv::with_image();
    env.inside(&["--name", "gone"], &["true"]).ok();
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
    env.box_(&["run", "--network", "none", "--name", "kept", "t", "exit", "4"]).ends(4);
    assert_eq!(env.inspect("kept", "{{.State.Status}} {{.State.ExitCode}}"), "exited 4");
    env.background("away", &["--rm"], &["exit", "0"]);
    eventually("the removal", || env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok() == "kept");
}

#[test]
fn pull_policies() {
    let env = TestEnv::with_image();
    assert_eq!(env.inside(&["--pull", "never"], &["echo", "a"]).ok(), "a");
    assert_eq!(env.inside(&["--pull=missing"], &["echo", "b"]).ok(), "b");
    env.inside(&["--pull", "sometimes"], &["true"]).ends(125).says("sometimes");
}

#[test]
fn init_reaps() {
    let env = TestEnv::with_image();
    assert_eq!(env.inside(&["--init"], &["zombies", "5"]).ok(), "0 zombies");
    assert_eq!(env.inside(&["--init"], &["field", "ppid"]).ok(), "1");
    assert_eq!(env.inside(&[], &["field", "pid"]).ok(), "1");
}

#[test]
fn a_grandchild_with_the_pipes_does_not_keep_run_waiting() {
    let env = TestEnv::with_image();
    // Process 1 ends, and with it all others: the kernel closes what they held.
    assert_eq!(env.inside(&[], &["do", "orphan", "600", ";", "echo", "done"]).ok(), "done");
}

#[test]
fn timing_is_shown_on_stderr() {
    let env = TestEnv::with_image();
    let outcome = env.box_(&["--timing", "run", "--rm", "--network", "none", "t", "echo", "x"]);
    assert_eq!(outcome.ok(), "x");
    outcome.says("ms");
}

#[test]
fn signals_reach_the_command() {
    use nix::sys::signal::Signal;
    let env = TestEnv::with_image();
    let running = env.cmd(&["run", "--rm", "--network", "none", "t", "trap", "TERM", "HUP", "USR1"]).start();
    running.await_out("ready");
    for (signal, name) in [(Signal::SIGTERM, "SIGTERM"), (Signal::SIGHUP, "SIGHUP"), (Signal::SIGUSR1, "SIGUSR1")] {
        running.signal(signal);
        running.await_out(name);
    }
    running.signal(Signal::SIGUSR2);
    assert_eq!(running.finish().ok(), "ready\nSIGTERM\nSIGHUP\nSIGUSR1\nSIGUSR2");
}

#[test]
fn without_sig_proxy_the_run_ends_alone() {
    use nix::sys::signal::Signal;
    let env = TestEnv::with_image();
    let words = ["run", "--sig-proxy=false", "--network", "none", "--name", "c", "t", "trap", "TERM"];
    let running = env.cmd(&words).start();
    running.await_out("ready");
    running.signal(Signal::SIGTERM);
    running.finish().ends(143);
    assert_eq!(env.inspect("c", "{{.State.Running}}"), "true");
}

#[test]
fn a_bare_folder_can_be_the_root() {
    let env = TestEnv::with_image();
    let root = env.base.join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    let mut layer = tar::Archive::new(std::io::Cursor::new(crate::image::payload_layer()));
    for entry in layer.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().starts_with("bin") {
            entry.unpack_in(&root).unwrap();
        }
    }
    let path = root.display().to_string();
    let direct = ["run", "--rm", "--network", "none", "--rootfs", &path, "/bin/payload", "write", "/made", "x"];
    env.box_(&direct).ok();
    assert_eq!(fs::read_to_string(root.join("made")).unwrap(), "x");
    let overlay = format!("{path}:O");
    let above = ["run", "--rm", "--network", "none", "--rootfs", &overlay, "/bin/payload", "write", "/above", "x"];
    env.box_(&above).ok();
    assert!(!root.join("above").exists());
    env.box_(&["run", "--rm", "--rootfs", "/nonesuch", "/bin/true"]).fails(125).says("/nonesuch");
}
