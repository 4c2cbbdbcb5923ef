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
    env.box_(&["run", "--log-driver", "journald", "t"]).fails(125).says("nobody listens at");
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

#[test]
fn to_the_journal_and_back() {
    let mut env = TestEnv::with_image();
    let path = env.base.join("journal.socket");
    let option = format!("path={}", path.display());
    let run = ["run", "--name", "j", "--network", "none", "--log-driver", "journald", "--log-opt", &option];
    let more = ["--log-opt", "tag={{.Name}}/{{.ID}}", "--log-opt", "labels=a.b,none", "-l", "a.b=c"];
    let words = ["t", "both", "one\npart", "two\n"];
    env.cmd(&run).args(&more).args(&words).run().fails(125).says("nobody listens at").hints("--log-driver k8s-file");
    env.box_(&["rm", "j"]).ok();
    let journald = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    env.cmd(&run).args(&more).args(&words).run().ok();
    let id = env.inspect("j", "{{.Id}}");
    let mut records = Vec::new();
    for _ in 0..3 {
        let mut buffer = [0; 4096];
        let count = journald.recv(&mut buffer).unwrap();
        records.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
    }
    records.sort_by_key(|record| record.contains("PRIORITY=3"));
    for (record, fields) in records.iter().zip([
        vec!["MESSAGE=one", "PRIORITY=6", "CONTAINER_NAME=j", "A_B=c"],
        vec!["MESSAGE=part", "PRIORITY=6", "CONTAINER_PARTIAL_MESSAGE=true"],
        vec!["MESSAGE=two", "PRIORITY=3"],
    ]) {
        for field in fields.into_iter().map(str::to_owned).chain([
            format!("CONTAINER_ID_FULL={id}"),
            format!("CONTAINER_TAG=j/{}", &id[..12]),
            "IMAGE_NAME=localhost/t:latest".to_owned(),
        ]) {
            assert!(record.lines().any(|line| line == field), "{field} in {record}");
        }
    }
    // What journalctl prints is what is shown; this one is a stand-in that knows the container's field.
    let tool = env.file(
        "bin/journalctl",
        "#!/bin/sh\ncase \"$*\" in *CONTAINER_ID_FULL=????*) ;; *) exit 1;; esac\n\
         echo '{\"__CURSOR\":\"c\",\"MESSAGE\":\"one\",\"PRIORITY\":\"6\"}'\n\
         echo '{\"__CURSOR\":\"d\",\"MESSAGE\":\"two\",\"PRIORITY\":\"3\"}'\n",
    );
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    env.set("PATH", format!("{}:/usr/bin:/bin", tool.parent().unwrap().display()));
    let logs = env.box_(&["logs", "j"]);
    assert_eq!((logs.ok(), logs.err()), ("one".into(), "two\n".into()));
}

#[test]
fn passed_through() {
    let env = TestEnv::with_image();
    let run = |options: &[&str], words: &[&str], input: &str| {
        let mut cmd = env.cmd(&["run", "--network", "none", "--log-driver", "passthrough"]);
        cmd.args(options).arg("t").args(words).stdin(input).run()
    };
    let outcome = run(&["--name", "p"], &["both", "to out\n", "to err\n"], "");
    assert_eq!((outcome.ok(), outcome.err()), ("to out".into(), "to err\n".into()));
    env.box_(&["logs", "p"]).fails(125).says("--log-driver passthrough");
    assert_eq!(run(&["--rm", "-i"], &["cat"], "through\n").ok(), "through");
    assert_eq!(run(&["--rm"], &["cat"], "not through\n").ok(), "");
    run(&["--rm"], &["exit", "3"], "").ends(3);
    // The caller's own file, not a copy of ours.
    let file = env.file("out", "");
    let words = ["run", "-d", "--name", "d", "--network", "none", "--log-driver", "passthrough", "t", "echo", "later"];
    let script = format!("exec {} {} >>{}", crate::env::program().display(), words.join(" "), file.display());
    env.other(std::path::Path::new("/bin/sh")).args(&["-c", &script]).run().ok();
    env.box_(&["wait", "d"]).ok();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("later\n") && text.len() == 65 + 6, "{text:?}");
}

#[test]
fn several_in_colours_with_names() {
    let env = TestEnv::with_image();
    for name in ["a", "b"] {
        env.box_(&["run", "--name", name, "--network", "none", "t", "echo", "x"]).ok();
    }
    let shown = env.box_(&["logs", "--color", "-n", "a", "b"]).ok();
    assert_eq!(shown, "\x1b[32ma x\x1b[0m\n\x1b[33mb x\x1b[0m");
    let id = env.inspect("a", "{{.Id}}");
    assert_eq!(env.box_(&["logs", "--color", "a"]).ok(), format!("\x1b[32m{} x\x1b[0m", &id[..12]));
}

#[test]
fn attributes_in_json() {
    let env = TestEnv::with_image();
    let options = ["--log-driver", "json-file", "--log-opt", "tag={{.Name}}", "--log-opt", "env=A", "-e", "A=b"];
    env.cmd(&["run", "--name", "a", "--network", "none"]).args(&options).args(&["t", "echo", "x"]).run().ok();
    let path = env.inspect("a", "{{.HostConfig.LogConfig.Path}}");
    let line: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!((&line["log"], &line["attrs"]), (&"x\n".into(), &serde_json::json!({ "tag": "a", "A": "b" })));
    assert_eq!(env.box_(&["logs", "a"]).ok(), "x");
}
