//! Limits, and what hangs on cgroups: update, pause, stats. What wants a host with cgroup v2 alone and systemd is shown
//! in a virtual machine (`tests/vm`); here are the flags, the refusals, and root with a cgroup2 of its own mounted.

use crate::env::{Cmd, TestEnv, eventually, program};
use crate::skip::is_root;
use serde_json::{Value, json};
use std::path::Path;

/// Whether this host has cgroup v2 alone.
fn is_unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[test]
fn process_limits() {
    let env = TestEnv::with_image();
    let limits = |options: &[&str]| env.inside(options, &["cat", "/proc/self/limits"]).ok();
    let line = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let text = limits(&["--ulimit", "nofile=100:200", "--ulimit", "core=-1", "--ulimit", "nproc=50"]);
    assert_eq!(line(&text, "Max open files"), ["100", "200"]);
    assert_eq!(line(&text, "Max processes"), ["50", "50"]);
    let own = std::fs::read_to_string("/proc/self/limits").unwrap();
    let hard = |text: &str, name: &str| line(text, name)[1].clone();
    if !is_root() {
        assert_eq!(hard(&text, "Max core file size"), hard(&own, "Max core file size"));
    }
    let text = limits(&["--ulimit", "host", "--ulimit", "core=0"]);
    assert_eq!(line(&text, "Max stack size"), line(&own, "Max stack size"));
    assert_eq!(line(&text, "Max core file size"), ["0", "0"]);
    for (limit, says) in [("nofile", "SOFT"), ("nope=1", "no such limit"), ("nofile=2:1", "above"), ("host=1", "host")]
    {
        env.inside(&["--ulimit", limit], &["true"]).fails(125).says(says);
    }
    if !is_root() {
        env.inside(&["--ulimit", "nofile=999999999"], &["true"]).fails(125).says("hard limit");
    }
    // What is executed later has the same limits.
    env.background("c", &["--ulimit", "nofile=77"], &["pause"]);
    assert_eq!(line(&env.box_(&["exec", "c", "cat", "/proc/self/limits"]).ok(), "Max open files"), ["77", "77"]);
}

#[test]
fn shared_memory_and_the_score() {
    let env = TestEnv::with_image();
    let mounts = |options: &[&str]| env.inside(options, &["cat", "/proc/self/mounts"]).ok();
    let shm = |text: &str| text.lines().find(|line| line.contains(" /dev/shm ")).unwrap().to_owned();
    assert!(shm(&mounts(&[])).contains("size=65536k"));
    assert!(shm(&mounts(&["--shm-size", "2m"])).contains("size=2048k"));
    assert!(!shm(&mounts(&["--shm-size", "0"])).contains("size=65536k"));
    env.inside(&["--shm-size", "2m", "--ipc", "host"], &["true"]).fails(125).says("--ipc host");
    env.inside(&["--shm-size", "big"], &["true"]).fails(125).says("not a size");
    let score = |options: &[&str]| env.inside(options, &["cat", "/proc/self/oom_score_adj"]);
    assert_eq!(score(&["--oom-score-adj", "321"]).ok(), "321");
    score(&["--oom-score-adj", "1001"]).fails(125);
    if !is_root() {
        score(&["--oom-score-adj", "-999"]).fails(125).says("only raise");
    }
}

#[test]
fn words_that_make_no_sense() {
    let env = TestEnv::with_image();
    for (options, says) in [
        (&["--memory", "x"][..], "not a size"),
        (&["--memory", "6m", "--memory-swap", "5m"], "less than"),
        (&["--memory-swap", "5m"], "needs `--memory`"),
        (&["--memory", "5m", "--memory-reservation", "6m"], "more than"),
        (&["--memory-swappiness", "5"], "swappiness"),
        (&["--oom-kill-disable"], "killer"),
        (&["--cpus", "-1"], "processors"),
        (&["--cpus", "1", "--cpu-quota", "5"], "do not go together"),
        (&["--pids-limit", "-5"], "processes"),
        (&["--cpuset-cpus", "3-1"], "list"),
        (&["--blkio-weight", "5"], "10 to 1000"),
        (&["--device-read-bps", "/dev/null:1mb"], "block device"),
        (&["--device-read-bps", "/dev/nothing:1mb"], "/dev/nothing"),
        (&["--device-write-iops", "/dev/null"], "rate"),
        (&["--cgroup-conf", "memory.high"], "value"),
        (&["--cgroups", "some"], "--cgroups"),
        (&["--cgroups", "disabled", "--pids-limit", "5"], "--cgroups disabled"),
    ] {
        let outcome = env.inside(options, &["true"]);
        outcome.fails(125).says(says);
    }
    env.box_(&["update", "nobody"]).fails(125).says("nothing to change");
    env.box_(&["update", "-m", "6m", "nobody"]).fails(125).says("`nobody`");
}

#[test]
fn a_host_that_cannot_limit_says_so_only_when_asked() {
    if is_unified() {
        skip!("wants a host without cgroup v2");
    }
    let env = TestEnv::with_image();
    env.inside(&[], &["true"]).ends(0).quiet();
    env.inside(&["--pids-limit", "-1", "--cgroups", "disabled"], &["true"]).ends(0).quiet();
    for option in ["--memory=64m", "--cpus=0.5", "--pids-limit=5", "--cgroup-parent=x", "--cgroups=split"] {
        env.inside(&[option], &["true"]).fails(125).says("cgroup v2").says("systemd.unified_cgroup_hierarchy=1");
    }
    env.background("c", &[], &["pause"]);
    env.box_(&["pause", "c"]).fails(125).says("cgroup v2");
    env.box_(&["unpause", "c"]).fails(125).says("not paused");
    env.box_(&["update", "-m", "64m", "c"]).fails(125).says("cgroup v2");
}

#[test]
fn limits_are_kept_and_shown() {
    let env = TestEnv::with_image();
    let options = ["create", "--name", "c", "-m", "64m", "--cpus", "0.5", "--network", "none", "t", "true"];
    env.box_(&options).ok();
    let shown = |keys: &[&str]| {
        let all: Value = serde_json::from_str(&env.inspect("c", "{{json .HostConfig}}")).unwrap();
        keys.iter().map(|key| all[*key].clone()).collect::<Vec<_>>()
    };
    let keys = ["Memory", "MemorySwap", "NanoCpus", "CpuQuota", "PidsLimit", "Cgroups"];
    assert_eq!(
        shown(&keys),
        [json!(64 << 20), json!(128 << 20), json!(500_000_000), json!(50_000), json!(2048), json!("enabled")]
    );
    assert_eq!(env.box_(&["update", "--memory", "32m", "--pids-limit", "9", "c"]).ok(), "c");
    assert_eq!(shown(&keys[..5]), [32 << 20, 64 << 20, 500_000_000, 50_000, 9].map(|number: i64| json!(number)));
    env.box_(&["update", "--memory-swap", "1m", "c"]).fails(125).says("less than");
    assert_eq!(shown(&["MemorySwap"]), [json!(64 << 20)], "nothing is kept of a change that was refused");
}

#[test]
fn stats_of_what_runs() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    env.box_(&["create", "--name", "idle", "t", "true"]).ok();
    let rows: Value = serde_json::from_str(&env.box_(&["stats", "--no-stream", "--format", "json"]).ok()).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let row = &rows[0];
    assert_eq!((&row["name"], &row["pids"], &row["net_io"]), (&json!("c"), &json!("1"), &json!("0B / 0B")));
    assert!(row["mem_usage"].as_str().unwrap().contains("B / "), "{row}");
    assert!(row["cpu_percent"].as_str().unwrap().ends_with('%'), "{row}");
    let table = env.box_(&["stats", "--no-stream", "-a"]).ok();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].contains("MEM USAGE / LIMIT") && lines.len() == 3, "{table}");
    assert!(lines.iter().any(|line| line.contains("idle") && line.contains("--")), "{table}");
    let number = env.box_(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "c"]).ok();
    assert_eq!(number, "c 1");
    env.box_(&["stats", "--no-stream", "nobody"]).fails(125).says("`nobody`");
    env.box_(&["stats", "--no-stream", "--format", "{{.Nope}}"]).fails(125);
    // Until Ctrl-C, which is no failure.
    let live = env.cmd(&["stats", "--interval", "1", "--format", "{{.Name}}", "c"]).start();
    live.await_out("c\nc\n");
    live.signal(nix::sys::signal::Signal::SIGINT);
    live.finish().ends(0);
}

/// A command of box in a mount namespace in which `/sys/fs/cgroup` is cgroup v2 alone, whatever the host has.
fn unified<'a>(env: &'a TestEnv, args: &[&str]) -> Cmd<'a> {
    let mut cmd = env.other(Path::new("/usr/bin/unshare"));
    let script = "mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$@\"";
    cmd.args(&["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(program()).args(args);
    cmd
}

/// The folder of a cgroup, as this process sees the tree.
fn folder(path: &str) -> std::path::PathBuf {
    let root = if is_unified() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" };
    Path::new(root).join(path.trim_start_matches('/'))
}

#[test]
fn root_freezes_and_kills_by_cgroup() {
    if !is_root() {
        skip!("wants root");
    }
    let env = TestEnv::with_image();
    let box_ = |args: &[&str]| unified(&env, args).run();
    box_(&["run", "-d", "--network", "none", "--name", "c", "t", "count", "1000000", "1"]).ok();
    let path = box_(&["inspect", "-f", "{{.State.CgroupPath}}", "c"]).ok();
    assert!(folder(&path).is_dir(), "{path}");
    env.await_log("c", "line 3\n");
    assert_eq!(box_(&["pause", "c"]).ok(), "c");
    let state = |env: &TestEnv| {
        let format = "{{.State.Status}} {{.State.Paused}} {{.State.Running}}";
        unified(env, &["inspect", "-f", format, "c"]).run().ok()
    };
    assert_eq!(state(&env), "paused true false");
    assert!(std::fs::read_to_string(folder(&path).join("cgroup.events")).unwrap().contains("frozen 1"));
    let lines = || env.box_(&["logs", "c"]).ok().lines().count();
    // What was in the pipe is in the log as soon as the monitor has had its turn.
    let mut before = lines();
    eventually("the counter to stand still", || std::mem::replace(&mut before, lines()) == lines());
    box_(&["pause", "c"]).fails(125).says("paused already");
    box_(&["exec", "c", "true"]).fails(125).says("box unpause c");
    assert!(box_(&["ps"]).ok().contains("(Paused)"));
    assert_eq!(box_(&["unpause", "--all"]).ok().len(), 64);
    eventually("the counter to go on", || lines() > before);
    // A paused one stops at the first signal, and can be killed and removed.
    box_(&["pause", "c"]).ok();
    box_(&["stop", "-t", "0", "c"]).ok();
    assert!(!folder(&path).exists(), "the cgroup is left");
    box_(&["start", "c"]).ok();
    box_(&["pause", "c"]).ok();
    box_(&["rm", "-f", "c"]).ok();
    assert!(!folder(&path).exists(), "the cgroup is left");
}

#[test]
fn root_nothing_outlives_a_monitor_that_is_killed() {
    if !is_root() {
        skip!("wants root");
    }
    let env = TestEnv::with_image();
    let box_ = |args: &[&str]| unified(&env, args).run();
    // With the host's processes nothing ends with process 1 by itself.
    let options = ["run", "-d", "--network", "none", "--pid", "host", "--name", "c", "t"];
    box_(&[&options[..], &["do", "orphan", "1000", ";", "pause"]].concat()).ok();
    env.await_log("c", "ready");
    let seen = box_(&["inspect", "-f", "{{.State.CgroupPath}} {{.State.ConmonPid}}", "c"]).ok();
    let (path, monitor) = seen.split_once(' ').unwrap();
    let monitor = monitor.parse().unwrap();
    assert!(monitor > 1, "{seen}");
    crate::leak::kill(monitor);
    box_(&["ps"]).ok();
    assert!(!folder(path).exists(), "the cgroup is left");
    assert!(env.processes().iter().all(|process| !process.words.contains("1000")), "{:?}", env.processes());
}

#[test]
fn root_exec_is_born_into_the_cgroup() {
    if !is_root() {
        skip!("wants root");
    }
    let env = TestEnv::with_image();
    let box_ = |args: &[&str]| unified(&env, args).run();
    let own = |text: String| text.lines().find(|line| line.starts_with("0::")).unwrap().to_owned();
    box_(&["run", "-d", "--network", "none", "--name", "c", "--cgroup-parent", "/box-test/a", "t", "pause"]).ok();
    let path = box_(&["inspect", "-f", "{{.State.CgroupPath}}", "c"]).ok();
    assert!(path.starts_with("/box-test/a/box-"), "{path}");
    assert_eq!(own(box_(&["exec", "c", "cat", "/proc/self/cgroup"]).ok()), "0::/");
    // A controller that is there limits; the file is the kernel's own.
    let tree = box_(&["exec", "c", "ls", "/sys/fs/cgroup"]).ok();
    assert!(tree.contains("cgroup.freeze"), "{tree}");
    box_(&["exec", "c", "write", "/sys/fs/cgroup/cgroup.freeze", "1"]).ends(1);
    box_(&["rm", "-f", "-t", "0", "c"]).ok();
    let host = box_(&["run", "--rm", "--network", "none", "--cgroupns", "host", "t", "cat", "/proc/self/cgroup"]).ok();
    assert!(own(host).contains("/box-"));
    for folder in [folder("box-test/a"), folder("box-test")] {
        std::fs::remove_dir(folder).unwrap();
    }
}

#[test]
fn root_devices_are_those_that_were_given() {
    if !is_root() {
        skip!("wants root");
    }
    let env = TestEnv::with_image();
    let tried = |options: &[&str], deeds: &[&str]| {
        let fixed = ["run", "--rm", "--network", "none", "--cap-add", "MKNOD"];
        unified(&env, &[&fixed[..], options, &["t", "try"], deeds].concat()).run().ok()
    };
    let deeds = ["mknod=/tmp/n", "open=/tmp/n", "mknod-fuse=/tmp/k", "open=/tmp/k"];
    let made = "mknod=/tmp/n: ok\nopen=/tmp/n: ok\nmknod-fuse=/tmp/k: ok\nopen=/tmp/k: ";
    // Whoever makes a node, it is the open that is refused.
    assert_eq!(tried(&[], &deeds), format!("{made}EPERM"));
    assert_eq!(tried(&["--device-cgroup-rule", "c 10:* r"], &deeds), format!("{made}ok"));
    assert_eq!(tried(&["--device", "/dev/fuse"], &deeds), format!("{made}ok"));
    assert_eq!(tried(&["--device", "/dev/fuse"], &["open=/dev/fuse"]), "open=/dev/fuse: ok");
}
