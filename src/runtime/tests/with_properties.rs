//! Properties of a process and of the container, by what a program in it sees.

use super::*;
use std::os::unix::fs::MetadataExt;

/// Run a script with changes to the specification.
fn run_as(mode: As, change: impl Fn(&mut Value), script: &str) -> String {
    let rootfs = Rootfs::new();
    let paths = paths(&rootfs);
    let spec = spec(&["sh", "-c", script], change);
    inside(mode, || run_with(&bundle(&rootfs, &paths, &spec), |_| String::new()))
}

fn namespaces(spec: &mut Value) -> &mut Vec<Value> {
    spec["linux"]["namespaces"].as_array_mut().unwrap()
}

#[test]
fn scheduling() {
    alone!();
    // Where nothing else is said, the niceness stays that of whoever runs the tests.
    let nice = rustix::process::getpriority_process(None).unwrap();
    let unchanged = format!("5 20 {nice}");
    for mode in modes() {
        for (scheduler, expected) in [
            (json!({ "policy": "SCHED_BATCH", "nice": 5 }), "3 25 5"),
            (json!({ "policy": "SCHED_IDLE" }), unchanged.as_str()),
            (json!({ "policy": "SCHED_OTHER", "nice": 19, "flags": ["SCHED_RESET_ON_FORK"] }), "0 39 19"),
        ] {
            // Fields 41, 18 and 19 of proc_pid_stat(5).
            let script = "set -- $(cat /proc/$$/stat); shift 17; echo $(set -- \"$@\"; shift 23; echo $1) $1 $2";
            let found = run_as(mode, |spec| spec["process"]["scheduler"] = scheduler.clone(), script);
            assert_eq!(found.trim(), expected, "{mode:?} {scheduler}");
        }
        let real_time = json!({ "policy": "SCHED_FIFO", "priority": 1 });
        let found = run_as(
            mode,
            |spec| spec["process"]["scheduler"] = real_time.clone(),
            "set -- $(cat /proc/$$/stat); shift 40; echo $1",
        );
        match mode {
            As::Root => assert_eq!(found, "1\n"),
            _ => assert!(found.starts_with("Host: cannot set `process.scheduler`"), "{mode:?} {found}"),
        }
    }
}

#[test]
fn io_priority_personality_and_memory_policy() {
    alone!();
    for mode in modes() {
        let change = |spec: &mut Value| {
            spec["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
            spec["linux"]["personality"] = json!({ "domain": "LINUX32" });
            spec["linux"]["memoryPolicy"] =
                json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] });
        };
        let script = "ionice -p $$; uname -m; grep -c bind=static:0 /proc/self/numa_maps | head -1";
        let found = run_as(mode, change, script);
        let lines: Vec<&str> = found.lines().collect();
        let machine = if cfg!(target_arch = "aarch64") { "armv8l" } else { "i686" };
        assert_eq!(&lines[..2], ["best-effort: prio 6", machine], "{mode:?} {found}");
        // Where the kernel knows of nodes at all.
        if Path::new("/proc/self/numa_maps").exists() {
            assert!(lines[2].parse::<u32>().unwrap() > 0, "{mode:?} {found}");
        }
        let nowhere = |spec: &mut Value| {
            spec["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_BIND", "nodes": "1000" });
        };
        let found = run_as(mode, nowhere, "true");
        assert!(found.starts_with("Host: cannot set `linux.memoryPolicy`: Invalid argument"), "{mode:?} {found}");
    }
}

#[test]
fn clocks_with_offsets() {
    alone!();
    for mode in modes() {
        let change = |spec: &mut Value| {
            namespaces(spec).push(json!({ "type": "time" }));
            spec["linux"]["timeOffsets"] =
                json!({ "boottime": { "secs": 1_000_000 }, "monotonic": { "secs": 7, "nanosecs": 5 } });
        };
        let found = run_as(mode, change, "cat /proc/uptime; cat /proc/self/timens_offsets; echo $$");
        let uptime: f64 = found.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{mode:?} {found}"));
        assert!(uptime > 1_000_000.0, "{found}");
        let offsets: Vec<&str> = found.lines().skip(1).flat_map(str::split_whitespace).collect();
        assert_eq!(offsets, ["monotonic", "7", "5", "boottime", "1000000", "0", "1"], "{mode:?}");
        let alone = |spec: &mut Value| spec["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1 } });
        let expected = "BadData: `linux.timeOffsets` needs a namespace of type `time` in `linux.namespaces`";
        assert_eq!(run_as(mode, alone, "true"), expected);
    }
}

#[test]
fn a_user_namespace_of_its_own_beside_others_that_exist() {
    alone!();
    for mode in modes().into_iter().filter(|mode| *mode != As::OneId) {
        let change = |spec: &mut Value| {
            let list = namespaces(spec);
            list.retain(|namespace| namespace["type"] != "network");
            // Ours, which the new user namespace does not own.
            list.push(json!({ "type": "network", "path": "/proc/self/ns/net" }));
            list.push(json!({ "type": "user" }));
            spec["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 0, "size": 1000 }]);
            spec["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": 0, "size": 1000 }]);
            spec["linux"].as_object_mut().unwrap().remove("sysctl");
            spec["root"]["path"] = json!("root");
        };
        let found = run_as(mode, change, "cat /proc/self/uid_map; id -u; readlink /proc/self/ns/net");
        if mode != As::Root {
            assert!(found.starts_with("Other: ") && found.contains("cannot join a namespace (Network)"), "{found}");
            continue;
        }
        let words: Vec<&str> = found.split_whitespace().collect();
        assert_eq!(&words[..4], ["0", "0", "1000", "0"], "{mode:?} {found}");
        let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
        assert_eq!(words[4], ours.to_str().unwrap(), "{mode:?}");
    }
}

#[test]
fn namespaces_of_another_container() {
    alone!();
    for mode in modes() {
        let (first, second) = (Rootfs::new(), Rootfs::new());
        let (paths_of_first, paths_of_second) = (paths(&first), paths(&second));
        let with_user = |spec: &mut Value| {
            let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
            spec["linux"]["uidMappings"] = map.clone();
            spec["linux"]["gidMappings"] = map;
            namespaces(spec).push(json!({ "type": "user" }));
        };
        let spec_of_first = spec(&["sleep", "100"], with_user);
        let found = inside(mode, || {
            run_with(&bundle(&first, &paths_of_first, &spec_of_first), |running| {
                let path = |name: &str| format!("/proc/{}/ns/{name}", running.pid);
                let its = |name: &str| std::fs::read_link(path(name)).unwrap().display().to_string();
                let spec = spec(
                    &["sh", "-c", "for n in user net uts pid; do readlink /proc/self/ns/$n; done; id -u"],
                    |spec| {
                        spec.as_object_mut().unwrap().remove("hostname");
                        spec["linux"].as_object_mut().unwrap().remove("sysctl");
                        let list = namespaces(spec);
                        list.retain(|namespace| !["network", "uts"].contains(&namespace["type"].as_str().unwrap()));
                        for (typ, name) in [("user", "user"), ("network", "net"), ("uts", "uts")] {
                            list.push(json!({ "type": typ, "path": path(name) }));
                        }
                    },
                );
                let names = ["user", "net", "uts"].map(its);
                let told = run_with(&bundle(&second, &paths_of_second, &spec), |_| String::new());
                let lines: Vec<&str> = told.lines().collect();
                let is_so = lines.len() == 5 && lines[..3] == names && lines[3] != its("pid") && lines[4] == "0";
                let _ = rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL);
                if is_so { "joined ".to_owned() } else { format!("{names:?} {told}") }
            })
        });
        assert_eq!(found, "joined [Signaled(9)]", "{mode:?}");
    }
}

#[test]
fn a_mount_namespace_of_another() {
    alone!();
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let spec =
            spec(&["sh", "-c", "readlink /proc/self/ns/mnt; cat /proc/self/mountinfo | grep -c ' / / '"], |spec| {
                let list = namespaces(spec);
                list.retain(|namespace| namespace["type"] != "mount");
                list.push(json!({ "type": "mount", "path": "/proc/self/ns/mnt" }));
            });
        let found = inside(mode, || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            let ours = std::fs::read_link("/proc/self/ns/mnt").unwrap().display().to_string();
            run_with(&bundle(&rootfs, &paths, &spec), |_| String::new()).replace(&ours, "ours")
        });
        assert_eq!(found, "ours\n1\n", "{mode:?}");
    }
}

#[test]
fn contradictions_are_named_by_their_path() {
    alone!();
    let cases: [(&str, Value, &str); 9] = [
        (
            "/linux/namespaces",
            json!([{ "type": "pid" }]),
            "`linux.namespaces` has no mount namespace: without one the container's mounts would be the host's",
        ),
        (
            "/linux/namespaces",
            json!([{ "type": "mount" }, { "type": "pid" }, { "type": "pid" }]),
            "`linux.namespaces[2]` is of type pid again",
        ),
        (
            "/linux/namespaces",
            json!([{ "type": "mount" }, { "type": "pid" }]),
            "`hostname` needs a namespace of type `uts` in `linux.namespaces`",
        ),
        (
            "/linux/uidMappings",
            json!([{ "containerID": 0, "hostID": 0, "size": 1 }]),
            "`linux.uidMappings` needs a namespace of type `user` in `linux.namespaces`",
        ),
        (
            "/process/rlimits",
            json!([{ "type": "RLIMIT_CPU", "soft": 2, "hard": 1 }]),
            "`process.rlimits[0].soft` is above its `hard`",
        ),
        (
            "/process/rlimits",
            json!([{ "type": "RLIMIT_CPU", "soft": 1, "hard": 1 }, { "type": "RLIMIT_CPU", "soft": 1, "hard": 1 }]),
            "`process.rlimits[1]` is for RLIMIT_CPU a second time",
        ),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_NOTIFY" }),
            "`linux.seccomp.listenerPath` is missing, for `SCMP_ACT_NOTIFY`",
        ),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": [], "action": "SCMP_ACT_ERRNO" }] }),
            "`linux.seccomp.syscalls[0].names` is empty",
        ),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x" }),
            "`linux.seccomp.listenerPath` is missing, for its `listenerMetadata`",
        ),
    ];
    for (pointer, value, expected) in cases {
        let change = |spec: &mut Value| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[name] = value.clone();
        };
        for mode in modes() {
            assert_eq!(run_as(mode, change, "true"), format!("BadData: {expected}"), "{mode:?}");
        }
    }
}

#[test]
fn what_this_host_lacks_is_refused() {
    alone!();
    for mode in modes() {
        for (pointer, value, module, expected) in [
            (
                "/linux/intelRdt",
                json!({ "closID": "x" }),
                "/sys/fs/resctrl/schemata",
                "`linux.intelRdt` needs a resctrl file system",
            ),
            ("/linux/mountLabel", json!("label"), "/sys/fs/selinux/enforce", "`linux.mountLabel` needs SELinux"),
            (
                "/process/selinuxLabel",
                json!("label"),
                "/sys/fs/selinux/enforce",
                "`process.selinuxLabel` needs SELinux",
            ),
            (
                "/process/apparmorProfile",
                json!("p"),
                "/sys/kernel/security/apparmor",
                "`process.apparmorProfile` needs AppArmor",
            ),
        ] {
            if Path::new(module).exists() {
                continue;
            }
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let found = run_as(mode, |spec| spec.pointer_mut(parent).unwrap()[name] = value.clone(), "true");
            assert!(found.starts_with(&format!("Host: {expected}")), "{mode:?} {found}");
        }
    }
}

#[test]
fn devices_are_the_ones_that_are_asked_for() {
    alone!();
    for mode in modes() {
        let device = |path: &str, minor: u32| {
            let device =
                json!({ "path": path, "type": "c", "major": 1, "minor": minor, "fileMode": 0o640, "uid": 0, "gid": 0 });
            move |spec: &mut Value| spec["linux"]["devices"] = json!([device.clone()])
        };
        let found = run_as(mode, device("/dev/kmsg", 11), "stat -c '%t:%T' /dev/kmsg");
        assert_eq!(found, "1:b\n", "{mode:?}");
        assert_eq!(run_as(mode, device("/dev/null", 3), "stat -c '%t:%T' /dev/null"), "1:3\n", "{mode:?}");
        let expected = "BadData: cannot make device `/dev/null` in the container: something else is there already";
        assert_eq!(run_as(mode, device("/dev/null", 5), "true"), expected, "{mode:?}");
    }
    assert_eq!(std::fs::metadata("/dev/null").unwrap().rdev(), rustix::fs::makedev(1, 3));
}

#[test]
fn limits_hold_for_one_more_process_too() {
    alone!();
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let spec = spec(&["sleep", "100"], |spec| {
            spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]);
            spec["process"]["execCPUAffinity"] = json!({ "initial": "0", "final": "0" });
            spec["process"]["oomScoreAdj"] = json!(500);
        });
        let found = inside(mode, || {
            run_with(&bundle(&rootfs, &paths, &spec), |running| {
                let target = ExecTarget {
                    pidfd: running.pidfd.as_fd(),
                    cgroup: None,
                    filter: Filter::Default,
                    owner: owner(),
                    preserved: &[],
                };
                let mut process = spec.process().clone().unwrap();
                let script = "ulimit -n; grep -E 'Cpus_allowed_list' /proc/self/status; cat /proc/self/oom_score_adj";
                process.set_args(Some(["sh", "-c", script].map(str::to_owned).to_vec()));
                let (mut reader, writer) = std::io::pipe().unwrap();
                let stdout: OwnedFd = writer.into();
                let stdio = Stdio::Pipes { stdin: null(), stderr: stdout.try_clone().unwrap(), stdout };
                let mut text = String::new();
                match exec(target, &process, &spec, stdio) {
                    Ok(child) => {
                        reader.read_to_string(&mut text).unwrap();
                        process::wait(child.pid).unwrap();
                    }
                    Err(error) => text = told(&error),
                }
                let _ = rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL);
                text
            })
        });
        assert_eq!(found, "77\nCpus_allowed_list:\t0\n500\n[Signaled(9)]", "{mode:?}");
    }
}

#[test]
fn a_terminal_of_the_size_that_the_specification_says() {
    alone!();
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let spec =
            spec(&["stty", "size"], |spec| spec["process"]["consoleSize"] = json!({ "height": 11, "width": 22 }));
        let found = inside(mode, || {
            let started =
                create(&bundle(&rootfs, &paths, &spec), Stdio::Terminal { size: None }).and_then(|mut starting| {
                    let master = starting.ready()?;
                    Ok((master, starting.start()?))
                });
            match started {
                Ok((master, running)) => {
                    process::wait(running.pid).unwrap();
                    read_terminal(File::from(master.unwrap()))
                }
                Err(error) => told(&error),
            }
        });
        assert_eq!(found, "11 22\n", "{mode:?}");
    }
}
