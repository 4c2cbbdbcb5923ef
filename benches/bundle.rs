//! What a ready bundle costs to run, against crun on the same bundle: without a seccomp profile and with one.
//!
//! `BOX_BENCH=target/…/box cargo bench --bench bundle [ROUNDS]`, as root, with crun and a static busybox. Each round runs
//! both, so that a disturbance meets both; the ratios are of the medians and of the least times.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "it reads its own environment and runs other programs")]

use boxlib::runtime::{capabilities, portable_seccomp};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// In a mount namespace whose /sys/fs/cgroup is cgroup v2 alone, which crun wants.
const INSIDE: &str = "mount --make-rprivate /; umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; \
                      exec \"$@\"";

fn main() {
    let own = std::env::current_exe().unwrap();
    if std::env::var_os("BOX_BENCH_INSIDE").is_none() {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", INSIDE, "sh"]).arg(own).args(std::env::args().skip(1));
        let status = unshare.env("BOX_BENCH_INSIDE", "1").status().unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
    let rounds = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(41);
    let program = std::env::var("BOX_BENCH").unwrap_or_else(|_| env!("CARGO_BIN_EXE_box").to_owned());
    let folder = std::env::temp_dir().join(format!("box-bench-{}", std::process::id()));
    let rootfs = folder.join("rootfs");
    std::fs::create_dir_all(rootfs.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
    for (name, profile) in [("without a profile", false), ("with the default profile", true)] {
        std::fs::write(folder.join("config.json"), config(profile).to_string()).unwrap();
        let box_ = [program.as_str(), "oci"];
        let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
            (0..rounds).map(|_| (run(&box_, &folder), run(&["crun"], &folder))).unzip();
        ours.sort_unstable();
        theirs.sort_unstable();
        let ratio = |at: usize| ours[at].as_secs_f64() / theirs[at].as_secs_f64();
        println!(
            "oci run {name}: box {:?}, crun {:?}, ratio {:.2}; least {:?}, {:?}, ratio {:.2}",
            ours[rounds / 2],
            theirs[rounds / 2],
            ratio(rounds / 2),
            ours[0],
            theirs[0],
            ratio(0)
        );
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// What `box oci spec` writes, for a command that does nothing.
fn config(with_profile: bool) -> Value {
    let caps = capabilities::DEFAULT;
    let mounts = [("/proc", "proc", json!([])), ("/dev", "tmpfs", json!(["nosuid", "mode=755"]))];
    let mounts: Vec<Value> = mounts
        .into_iter()
        .map(|(at, kind, options)| json!({ "destination": at, "type": kind, "source": kind, "options": options }))
        .collect();
    let namespaces: Vec<Value> =
        ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind })).into();
    let mut config = json!({
        "ociVersion": "1.0.2", "root": { "path": "rootfs" }, "mounts": mounts, "hostname": "bench",
        "process": {
            "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["/bin/busybox", "true"], "env": ["PATH=/bin"],
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
        },
        "linux": {
            "namespaces": namespaces, "cgroupsPath": "/box-bench/c",
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"], "readonlyPaths": ["/proc/sys", "/proc/irq"],
        },
    });
    if with_profile {
        config["linux"]["seccomp"] = serde_json::to_value(portable_seccomp(&caps).unwrap()).unwrap();
    }
    config
}

fn run(runtime: &[&str], folder: &Path) -> Duration {
    let mut command = Command::new(runtime[0]);
    let root = folder.join(if runtime.len() > 1 { "box" } else { "crun" });
    command.args(&runtime[1..]).arg("--root").arg(root).args(["run", "c"]).current_dir(folder).stdin(Stdio::null());
    let start = Instant::now();
    let output = command.output().unwrap();
    let took = start.elapsed();
    assert!(output.status.success(), "{runtime:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}
