//! Attacks on the making of a container, by somebody who changes its files meanwhile (CVE-2021-30465, CVE-2024-45310,
//! CVE-2025-52565) or watches who comes in (CVE-2016-9962).

use super::*;
use rustix::fs::{AtFlags, CWD, RenameFlags};

/// How often each is tried: `BOX_TEST_ROUNDS`, or enough to meet the moment, where there is one.
fn tries() -> usize {
    crate::base::env::by_name("BOX_TEST_ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// Swap two names for each other without a pause, in a process of its own, until this is dropped.
struct Swapper(i32);

impl Swapper {
    fn start(one: &Path, other: &Path) -> Self {
        match process::fork().unwrap() {
            Fork::Child => {
                process::set_parent_death_signal(9).unwrap();
                loop {
                    let _ = rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
                }
            }
            Fork::Parent(pid) => Self(pid),
        }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        let _ = crate::sys::signals::kill(self.0, 9);
        let _ = process::wait(self.0);
    }
}

/// Everything below a folder, with kinds, modes and links.
fn snapshot(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let stat = rustix::fs::statat(CWD, entry.path(), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        found.push(format!("{} {:o} {}", entry.path().display(), stat.st_mode, stat.st_size));
        if entry.path().is_dir() && !entry.path().is_symlink() {
            found.extend(snapshot(&entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_mount_point_that_is_swapped_for_a_link_leads_nowhere() {
    alone!();
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let volume = rootfs.0.join("volume");
        let canary = rootfs.0.join("canary");
        std::fs::create_dir_all(volume.join("a")).unwrap();
        std::fs::create_dir_all(canary.join("b")).unwrap();
        std::fs::write(canary.join("file"), "untouched").unwrap();
        // What an attacker would like to be followed: up and out, and by the host's own name.
        std::os::unix::fs::symlink(&canary, volume.join("link")).unwrap();
        std::os::unix::fs::symlink(
            "../../../../../../../../../..".to_owned() + canary.to_str().unwrap(),
            volume.join("up"),
        )
        .unwrap();
        let before = snapshot(&canary);
        let spec = spec(&["true"], |spec| {
            let mounts = spec["mounts"].as_array_mut().unwrap();
            mounts.push(json!({ "destination": "/v", "source": volume, "type": "bind", "options": ["rbind"] }));
            mounts.push(json!({ "destination": "/v/a/b", "type": "tmpfs", "options": ["size=4k"] }));
            mounts.push(json!({ "destination": "/v/a/made/deep", "type": "tmpfs", "options": ["size=4k"] }));
            mounts.push(
                json!({ "destination": "/v/a/file", "source": "/etc/hostname", "type": "bind", "options": ["bind"] }),
            );
            spec["process"]["cwd"] = json!("/v/a/made/folder");
        });
        let found = inside(mode, || {
            // Mounts that went astray would be seen in a mount namespace of ours.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
            let count = mounts();
            // To be mounted again and again.
            let root =
                RootFs::Overlay { lower: &paths[..1], data: None, upper: &paths[1], work: &paths[2], volatile: false };
            let mut outcomes = std::collections::BTreeMap::new();
            for name in ["link", "up"] {
                let _swapper = Swapper::start(&volume.join("a"), &volume.join(name));
                for _ in 0..tries() / 2 {
                    let told = run_with(&Bundle { root, ..bundle(&rootfs, &paths, &spec) }, |_| String::new());
                    let told = if told.is_empty() { "made".to_owned() } else { told };
                    *outcomes.entry(told).or_insert(0) += 1;
                }
            }
            assert_eq!(mounts(), count);
            format!("{outcomes:?}")
        });
        // Some of them are made, so that there was something to lead astray.
        assert!(found.starts_with('{') && found.contains("\"made\": "), "{mode:?} {found}");
        assert_eq!(snapshot(&canary), before, "{mode:?} {found}");
    }
}

#[test]
fn who_comes_in_cannot_be_traced_or_looked_into() {
    alone!();
    // Whoever may trace in the container looks at every process that appears there: its program and its descriptors.
    let watcher = "while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || [ $p = /proc/$$ ] || \
        ls -l $p/exe $p/fd $p/cwd $p/root 2>/dev/null; done; done";
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let spec = spec(&["sh", "-c", watcher], |spec| {
            for set in ["bounding", "effective", "permitted"] {
                spec["process"]["capabilities"][set].as_array_mut().unwrap().push(json!("CAP_SYS_PTRACE"));
            }
        });
        let found = inside(mode, || {
            run_with(&bundle(&rootfs, &paths, &spec), |running| {
                let mut codes = String::new();
                for _ in 0..tries() {
                    let target = ExecTarget {
                        pidfd: running.pidfd.as_fd(),
                        cgroup: None,
                        filter: Filter::Default,
                        owner: owner(),
                        preserved: &[],
                    };
                    let mut process = spec.process().clone().unwrap();
                    process.set_args(Some(["true".to_owned()].to_vec()));
                    let stdio = Stdio::Pipes { stdin: null(), stdout: null(), stderr: null() };
                    match exec(target, &process, &spec, stdio) {
                        Ok(child) if process::wait(child.pid).unwrap() == Ended::Exited(0) => {}
                        Ok(_) => codes += "cannot run",
                        Err(error) => codes += &format!("cannot join: {}", told(&error)),
                    }
                }
                let _ = rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL);
                codes
            })
        });
        assert!(found.ends_with("[Signaled(9)]") && !found.contains("cannot"), "{mode:?} {found}");
        // What is seen are commands of the container's own; nothing of ours, and no folder of the host.
        for line in found.lines().filter(|line| line.contains(" -> ")) {
            let (link, target) = line.rsplit_once(" -> ").unwrap();
            // Real root that may trace sees every process, dumpable or not: our program, which it cannot write to while
            // it runs, what the two of us talk by, and where in the container the user is looked up.
            if mode == As::Root
                && (link.ends_with("/exe")
                    || target.starts_with("socket:")
                    || target.contains("[pidfd]")
                    || ["/etc/passwd", "/etc/group"].contains(&target))
            {
                continue;
            }
            let is_own = ["/bin/busybox", "/", "/dev/null"].contains(&target)
                || target.starts_with("pipe:")
                || target.starts_with("/proc");
            assert!(is_own, "{mode:?} {line}");
        }
    }
}
