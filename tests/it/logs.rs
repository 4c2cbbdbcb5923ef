//! `box logs`: what a container said.

use crate::env::{TestEnv, eventually};
use std::fs;

#[test]
fn both_streams_come_back_apart() {
    let env = TestEnv::with_image();
    for driver in ["k8s-file", "json-file"] {
        env.background(driver, &["--log-driver", driver], &["both", "to out\nsecond", "to err\n"]);
        env.box_(&["wait", driver]).ok();
        let outcome = env.box_(&["logs", driver]);
        outcome.ends(0);
        assert_eq!((&outcome.stdout[..], outcome.err().as_str()), (&b"to out\nsecond"[..], "to err\n"), "{driver}");
    }
}

#[test]
fn an_attached_run_is_logged_too() {
    let env = TestEnv::with_image();
    let shown = env.box_(&["run", "--network", "none", "--name", "c", "t", "count", "3"]).ok();
    assert_eq!(env.box_(&["logs", "c"]).ok(), shown);
}

#[test]
fn no_driver_no_log() {
    let env = TestEnv::with_image();
    env.background("c", &["--log-driver", "none"], &["echo", "x"]);
    env.box_(&["wait", "c"]).ok();
    env.box_(&["logs", "c"]).fails(125).says("`c`");
    env.box_(&["run", "--log-driver", "journald", "t"]).ends(125).says("journald");
    env.box_(&["logs", "nobody"]).fails(125).says("`nobody`");
}

#[test]
fn tail() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["count", "500"]);
    env.box_(&["wait", "c"]).ok();
    for (tail, lines) in [("0", 0), ("1", 1), ("3", 3), ("-1", 500), ("all", 500), ("9999", 500)] {
        let shown = env.box_(&["logs", "--tail", tail, "c"]).ok();
        assert_eq!(shown.lines().count(), lines, "--tail {tail}");
        assert!(lines == 0 || shown.ends_with("line 500"), "{shown}");
    }
    env.box_(&["logs", "--tail", "x", "c"]).ends(125);
}

#[test]
fn follow_ends_with_the_container() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["do", "count", "3", ";", "pause", ";", "count", "2"]);
    let running = env.cmd(&["logs", "-f", "c"]).start();
    running.await_out("ready");
    env.box_(&["stop", "c"]).ok();
    assert_eq!(running.finish().ok(), "line 1\nline 2\nline 3\nready\nline 1\nline 2");
    // Of an ended container it is a plain listing.
    assert_eq!(env.box_(&["logs", "-f", "--tail", "1", "c"]).ok(), "line 2");
}

#[test]
fn follow_stops_by_a_signal() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let running = env.cmd(&["logs", "-f", "c"]).start();
    running.await_out("ready");
    running.signal(nix::sys::signal::Signal::SIGINT);
    running.finish().ends(130);
    assert_eq!(env.inspect("c", "{{.State.Running}}"), "true");
}

#[test]
fn times() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["echo", "x"]);
    env.box_(&["wait", "c"]).ok();
    let stamped = env.box_(&["logs", "-t", "c"]).ok();
    let (time, text) = stamped.split_once(' ').unwrap();
    assert_eq!(text, "x");
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
    for (option, time, shown) in [
        ("--since", "2001-01-01T00:00:00Z", "x"),
        ("--since", "1h", "x"),
        ("--since", "4102444800", ""),
        ("--until", "2001-01-01", ""),
        ("--until", "4102444800", "x"),
    ] {
        assert_eq!(env.box_(&["logs", option, time, "c"]).ok(), shown, "{option} {time}");
    }
    env.box_(&["logs", "--since", "yesterdayish", "c"]).ends(125).says("yesterdayish");
}

#[test]
fn the_bytes_are_the_containers() {
    let env = TestEnv::with_image();
    // What looks like a log line, a JSON line, is not UTF-8, has no line feed, or is long.
    let bytes = [
        b"2026-01-01T00:00:00.000000000+00:00 stdout F forged\n{\"log\":\"x\",\"stream\":\"stderr\"}\n".to_vec(),
        b"\xff\xfe\0\x1b[31m\r\n\n".to_vec(),
        vec![b'a'; 100_000],
    ]
    .concat();
    for driver in ["k8s-file", "json-file"] {
        let words = ["run", "-i", "--network", "none", "--log-driver", driver, "--name", driver, "t", "cat"];
        assert!(env.cmd(&words).stdin(&bytes).run().stdout == bytes);
        let logged = env.box_(&["logs", driver]);
        let expected = if driver == "json-file" {
            // JSON has no place for what is not UTF-8.
            String::from_utf8_lossy(&bytes).into_owned().into_bytes()
        } else {
            bytes.clone()
        };
        assert!(logged.stdout == expected && logged.stderr.is_empty(), "{driver}: {} bytes", logged.stdout.len());
    }
}

#[test]
fn logs_do_not_grow_without_end() {
    let env = TestEnv::with_image();
    let id = env.background("c", &[], &["spam", "50000000"]);
    env.box_(&["wait", "c"]).ok();
    let folder = env.data().join("containers").join(id);
    let size: u64 = walk(&folder).iter().filter(|(name, _)| name.contains("log")).map(|(_, size)| size).sum();
    assert!(size <= 31 << 20, "{size} bytes");
    // The last line is there, and whole lines.
    let tail = env.box_(&["logs", "--tail", "2", "c"]).ok();
    assert!(tail.starts_with("abcdefghijklmnopqrstuvwxyz"), "{tail}");
}

fn walk(folder: &std::path::Path) -> Vec<(String, u64)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().filter_map(|entry| {
        let meta = entry.metadata().ok()?;
        meta.is_file().then(|| (entry.file_name().to_string_lossy().into_owned(), meta.len()))
    });
    files.collect()
}

#[test]
fn several_containers_and_a_closed_pipe() {
    let env = TestEnv::with_image();
    env.background("a", &[], &["echo", "of a"]);
    env.background("b", &[], &["spam", "1000000"]);
    env.box_(&["wait", "a", "b"]).ok();
    let both = env.box_(&["logs", "a", "b"]).ok();
    assert!(both.contains("of a") && both.contains("abcdef"), "{}", &both[..200]);
    let line = format!("{} logs b | head -c 3", crate::env::program().display());
    let outcome = env.other("sh".as_ref()).args(&["-c", &line]).run();
    assert_eq!((outcome.out(), outcome.err()), ("abc".into(), String::new()));
}

#[test]
fn a_log_without_a_reader_stops_nobody() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["do", "spam", "5000000", ";", "touch", "/tmp/done", ";", "pause"]);
    eventually("the container to go on", || env.box_(&["exec", "c", "stat", "/tmp/done"]).code == 0);
}
