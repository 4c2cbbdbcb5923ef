//! `box run`: what separates the command from the host: capabilities, namespaces, masks, devices, seccomp.

use crate::env::TestEnv;
use crate::options::info;
use serde_json::{Value, json};
use std::fs;

/// podman's eleven: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP.
const DEFAULT: u64 = 0x8004_05fb;

#[test]
fn capabilities() {
    let env = TestEnv::with_image();
    let all: u64 = info(&env, &["--cap-add", "ALL"])["caps"]["bounding"].as_u64().unwrap();
    for (options, expected) in [
        (&[][..], DEFAULT),
        (&["--cap-drop", "ALL"], 0),
        (&["--cap-drop", "all", "--cap-add", "chown"], 1),
        (&["--cap-drop", "CAP_CHOWN,KILL"], DEFAULT & !(1 | 1 << 5)),
        (&["--cap-add", "NET_RAW"], DEFAULT | 1 << 13),
        (&["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"], all & !(1 << 21)),
        (&["--privileged"], all),
    ] {
        let caps = info(&env, options)["caps"].clone();
        for set in ["effective", "permitted", "bounding"] {
            assert_eq!(caps[set], expected, "{set} with {options:?}: {:x}", caps[set].as_u64().unwrap());
        }
        assert_eq!((&caps["inheritable"], &caps["ambient"]), (&json!(0), &json!(0)), "{options:?}");
    }
    env.inside(&["--cap-add", "CHOWN", "--cap-drop", "CHOWN"], &["true"]).fails(125).says("CHOWN");
}

fn namespace(name: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string()
}

#[test]
fn namespaces() {
    let env = TestEnv::with_image();
    let own = info(&env, &[])["ns"].clone();
    for name in ["ipc", "mnt", "net", "pid", "uts", "cgroup"] {
        assert_ne!(own[name], namespace(name), "{name}");
    }
    assert_eq!(own["user"] == namespace("user"), crate::skip::is_root(), "{own}");
    for (option, name) in [("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("network", "net")] {
        let words = ["run", "--rm", &format!("--{option}"), "host", "t", "info"];
        let seen = env.box_(&words).json();
        assert_eq!(seen["ns"][name], namespace(name), "--{option} host");
        for other in ["ipc", "mnt", "net", "pid", "uts"].iter().filter(|other| **other != name) {
            assert_ne!(seen["ns"][*other], namespace(other), "--{option} host, {other}");
        }
    }
}

#[test]
fn no_network_is_loopback_only() {
    let env = TestEnv::with_image();
    assert_eq!(env.inside(&[], &["interfaces"]).ok(), "lo up");
}

#[test]
fn two_containers_share_nothing_but_the_user() {
    let env = TestEnv::with_image();
    let (one, two) = (info(&env, &[])["ns"].clone(), info(&env, &[])["ns"].clone());
    env.background("held", &[], &["pause"]);
    let three = info(&env, &[])["ns"].clone();
    assert_eq!((&one["user"], &two["user"]), (&three["user"], &three["user"]));
    let held = env.box_(&["exec", "held", "info"]).json()["ns"].clone();
    for name in ["ipc", "mnt", "net", "pid", "uts"] {
        assert_ne!(held[name], three[name], "{name}");
    }
}

#[test]
fn only_the_three_streams_are_open() {
    let env = TestEnv::with_image();
    // Also when the caller leaks some.
    let program = crate::env::program();
    let line = format!("exec 7</etc/passwd 9</; {} run --rm --network none t info", program.display());
    let seen = env.other("sh".as_ref()).args(&["-c", &line]).run().json();
    let fds: Vec<&String> = seen["fds"].as_object().unwrap().keys().collect();
    assert_eq!(fds, ["0", "1", "2"], "{}", seen["fds"]);
}

#[test]
fn a_fresh_process() {
    let env = TestEnv::with_image();
    let seen = info(&env, &[]);
    // SIGPIPE is ignored by the payload itself, as by every Rust program.
    assert_eq!(seen["signals"], json!({"blocked": "0000000000000000", "ignored": "0000000000001000"}));
    assert_eq!((&seen["umask"], &seen["oom_score_adj"]), (&json!("0022"), &json!("0")));
    assert_eq!(seen["seccomp"], "2");
    assert_eq!((&seen["pid"], &seen["sid"]), (&json!(1), &json!(1)));
    let seen = info(&env, &["--privileged"]);
    assert_eq!(seen["seccomp"], "0");
}

#[test]
fn what_the_default_profile_refuses() {
    let env = TestEnv::with_image();
    let deeds = [
        "mount",
        "umount=/proc",
        "fsopen",
        "mountns",
        "userns",
        "mknod=/tmp/n",
        "sethostname",
        "socket=40",
        "socket=38",
    ];
    let tried = env.inside(&[], &[&["try"][..], &deeds].concat()).ok();
    for (line, deed) in tried.lines().zip(deeds) {
        assert!(line.starts_with(deed) && !line.ends_with(": ok") && !line.ends_with("deed"), "{tried}");
    }
    let allowed = env.inside(&[], &["try", "chroot=/tmp", "setuid=5"]).ok();
    assert!(allowed.lines().all(|line| line.ends_with(": ok")), "{allowed}");
    assert_eq!(env.inside(&[], &["try", "ping"]).ok(), "ping: ok");
    assert_eq!(env.inside(&[], &["try", "socket=17/3"]).ok(), "socket=17/3: EPERM");
    let audit = env.inside(&[], &["try", "socket=16/9"]).ok();
    assert!(!audit.ends_with("ok"), "{audit}");
}

/// The union of docker's and podman's lists.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

#[test]
fn masked_paths_are_empty() {
    let env = TestEnv::with_image();
    for path in MASKED {
        let stat = env.inside(&[], &["stat", path]);
        if stat.code != 0 {
            continue;
        }
        let stat = stat.out();
        if stat.starts_with("dir ") {
            assert_eq!(env.inside(&[], &["ls", path]).ok(), "", "{path}");
        } else {
            assert!(stat.starts_with("char ") && stat.contains(" 1:3 "), "{stat}");
        }
    }
}

#[test]
fn read_only_paths() {
    let env = TestEnv::with_image();
    let tried =
        env.inside(&["--cap-add", "ALL"], &["try", "write=/proc/sysrq-trigger", "write=/proc/sys/kernel/core_pattern"]);
    let tried = tried.ok();
    // Or the kernel was built without them.
    let refused = |line: &str| ["EROFS", "EACCES", "ENOENT"].iter().any(|errno| line.ends_with(errno));
    assert!(tried.lines().all(refused), "{tried}");
    let seen = info(&env, &[]);
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys"] {
        let Some(mount) = seen["mounts"].as_array().unwrap().iter().find(|mount| mount["at"] == path) else {
            assert!(!std::path::Path::new(path).exists(), "{path} is not a mount");
            continue;
        };
        assert!(mount["options"].as_str().unwrap().starts_with("ro"), "{mount}");
    }
}

#[test]
fn devices() {
    let env = TestEnv::with_image();
    let listed = env.inside(&[], &["ls", "/dev"]).ok();
    let listed: Vec<&str> = listed.lines().collect();
    for name in [
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
        "zero",
    ] {
        assert!(listed.contains(&name), "{name} is missing: {listed:?}");
    }
    let known = |name: &&str| ["console", "core"].contains(name);
    assert!(listed.len() - listed.iter().filter(|name| known(name)).count() == 14, "{listed:?}");
    let stat = env.inside(&[], &["stat", "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"]).ok();
    for (line, device) in stat.lines().zip(["1:3", "1:5", "1:7", "1:9"]) {
        assert!(line.starts_with("char 0666 ") && line.contains(device), "{line}");
    }
    let used =
        env.inside(&[], &["do", "write", "/dev/null", "x", ";", "write", "/dev/shm/x", "y", ";", "cat", "/dev/shm/x"]);
    assert_eq!(used.ok(), "y");
    assert_eq!(env.inside(&[], &["try", "write=/dev/full"]).ok(), "write=/dev/full: ok");
}

#[test]
fn mounts_of_the_host_stay_outside() {
    let env = TestEnv::with_image();
    let seen = info(&env, &[]);
    let mounts: &Vec<Value> = seen["mounts"].as_array().unwrap();
    let base = env.base.display().to_string();
    for mount in mounts {
        let (at, tags) = (mount["at"].as_str().unwrap(), mount["tags"].as_str().unwrap());
        assert!(!tags.contains("shared:") && !at.starts_with(&base), "{mount}");
    }
    let at = |path: &str| mounts.iter().find(|mount| mount["at"] == path).cloned().unwrap_or_default();
    assert_eq!(
        (&at("/proc")["type"], &at("/dev")["type"], &at("/dev/pts")["type"]),
        (&json!("proc"), &json!("tmpfs"), &json!("devpts"))
    );
    for path in ["/proc", "/dev/shm", "/dev/mqueue"] {
        let options = at(path)["options"].as_str().unwrap_or_default().to_owned();
        assert!(["nosuid", "nodev", "noexec"].iter().all(|option| options.contains(option)), "{path}: {options}");
    }
    assert!(
        at("/dev/shm")["super"].as_str().unwrap().contains("size=64000k")
            || at("/dev/shm")["super"].as_str().unwrap().contains("size=65536k")
    );
}

#[test]
fn keep_id_keeps_the_ids() {
    let env = TestEnv::with_image();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let folder = env.base.join("shared");
    fs::create_dir(&folder).unwrap();
    let mount = format!("{}:/shared", folder.display());
    let seen = env.inside(&["--userns", "keep-id", "-v", &mount], &["do", "touch", "/shared/mine", ";", "info"]).json();
    assert_eq!((&seen["uid"][0], &seen["gid"][0]), (&json!(uid), &json!(gid)));
    let made = std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder.join("mine")).unwrap());
    assert_eq!(made, uid);
    for mode in ["", "host"] {
        assert_eq!(env.inside(&["--userns", mode], &["field", "uid/0"]).ok(), "0", "{mode}");
    }
    env.inside(&["--userns", "nonesuch"], &["true"]).ends(125).says("nonesuch");
}

#[test]
fn files_of_root_inside_are_the_callers_outside() {
    let env = TestEnv::with_image();
    let folder = env.base.join("shared");
    fs::create_dir(&folder).unwrap();
    let mount = format!("{}:/shared", folder.display());
    env.inside(&["-v", &mount], &["touch", "/shared/mine"]).ok();
    let made = std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder.join("mine")).unwrap());
    assert_eq!(made, rustix::process::getuid().as_raw());
}

#[test]
fn the_store_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    for folder in [env.data(), env.run_dir()] {
        let mode = fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", folder.display());
    }
}

#[test]
fn a_host_network_container_sees_no_socket_of_box() {
    let env = TestEnv::with_image();
    env.background("other", &[], &["pause"]);
    let sockets = env.box_(&["run", "--rm", "--network", "host", "t", "unix"]).ok();
    assert!(!sockets.lines().any(|line| line.contains('@') && line.contains("box")), "{sockets}");
}
