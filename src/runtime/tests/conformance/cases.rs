//! Data table: the properties of config.json, and how it is shown what becomes of each.

use super::Shown::{self, File as CgroupFile, Run, Test};
use super::*;

fn user(size: u32) -> Value {
    json!([{ "containerID": 0, "hostID": 0, "size": size }])
}

/// The properties, by their paths, and how they are shown.
pub(super) fn cases() -> Vec<(&'static str, Shown)> {
    let mut cases = of_the_process();
    cases.extend(of_linux());
    cases.extend(of_resources());
    let tmpfs = json!({ "destination": "/m", "type": "tmpfs", "source": "named", "options": ["nosuid", "size=4k"] });
    cases.extend([
        ("ociVersion", Test("extensions_are_ignored_but_misspelt_names_are_not")),
        ("root root.path", Run(vec![], "echo ran", "ran")),
        ("root.readonly", Run(vec![("/root/readonly", json!(true))], "touch /x", "Read-only file system")),
        (
            "mounts mounts.destination mounts.type mounts.source mounts.options",
            Run(vec![("/mounts/-", tmpfs)], "grep ' /m ' /proc/self/mountinfo", "nosuid"),
        ),
        (
            "mounts.uidMappings mounts.uidMappings.containerID mounts.uidMappings.hostID mounts.uidMappings.size \
             mounts.gidMappings mounts.gidMappings.containerID mounts.gidMappings.hostID mounts.gidMappings.size",
            Test("owners_are_mapped"),
        ),
        ("hostname", Run(vec![("/hostname", json!("named"))], "hostname", "named")),
        ("domainname", Run(vec![("/domainname", json!("domain"))], "cat /proc/sys/kernel/domainname", "domain")),
        ("hooks", Test("run_in_order_where_they_should")),
        ("annotations", Test("get_the_state_and_their_own_environment_only")),
    ]);
    for (point, test) in [
        ("prestart", "run_in_order_where_they_should"),
        ("createRuntime", "run_in_order_where_they_should"),
        ("createContainer", "run_in_order_where_they_should"),
        ("startContainer", "run_in_order_where_they_should"),
        ("poststart", "run_in_order_where_they_should"),
        ("poststop", "that_do_not_end_are_killed_with_all_that_they_have_started"),
    ] {
        let paths = format!("hooks.{point} hooks.{point}.path hooks.{point}.args hooks.{point}.env");
        cases.push((paths.leak(), Test(test)));
        let path = format!("hooks.{point}.timeout");
        cases.push((path.leak(), Test("that_do_not_end_are_killed_with_all_that_they_have_started")));
    }
    cases
}

fn of_the_process() -> Vec<(&'static str, Shown)> {
    let set = json!(["CAP_KILL"]);
    let sets = json!({ "bounding": set, "effective": set, "inheritable": set, "permitted": set, "ambient": set });
    let ids = json!({ "uid": 1000, "gid": 50, "umask": 0o77, "additionalGids": [60] });
    let limits = json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]);
    let deadline = json!({
        "policy": "SCHED_DEADLINE", "flags": ["SCHED_RESET_ON_FORK"],
        "runtime": 10_000_000, "deadline": 100_000_000, "period": 100_000_000,
    });
    let policy = "read l < /proc/self/stat; set -- $l; shift 40; echo policy $1";
    vec![
        (
            "process process.args process.cwd process.env",
            Run(vec![("/process/cwd", json!("/etc")), ("/process/env/-", json!("A=b"))], "echo $PWD$A", "/etcb"),
        ),
        ("process.terminal", Test("a_terminal_is_the_containers_own")),
        (
            "process.consoleSize process.consoleSize.height process.consoleSize.width",
            Test("a_terminal_of_the_size_that_the_specification_says"),
        ),
        (
            "process.rlimits process.rlimits.type process.rlimits.soft process.rlimits.hard",
            Run(vec![("/process/rlimits", limits)], "ulimit -n; ulimit -H -n", "77\n88"),
        ),
        (
            "process.user process.user.uid process.user.gid process.user.umask process.user.additionalGids",
            Run(vec![("/process/user", ids)], "id -u; id -g; id -G; umask", "1000\n50\n50 60\n0077"),
        ),
        (
            "process.capabilities process.capabilities.bounding process.capabilities.effective \
             process.capabilities.inheritable process.capabilities.permitted process.capabilities.ambient",
            Run(
                vec![("/process/capabilities", sets)],
                "grep Cap /proc/self/status | while read n c; do echo -n \"$c \"; done",
                "0000000000000020 0000000000000020 0000000000000020 0000000000000020 0000000000000020",
            ),
        ),
        (
            "process.noNewPrivileges",
            Run(vec![("/process/noNewPrivileges", json!(true))], "grep NoNewPrivs /proc/self/status", "\t1"),
        ),
        (
            "process.apparmorProfile",
            Run(
                vec![("/process/apparmorProfile", json!("unconfined-box-test"))],
                "cat /proc/self/attr/current",
                "box-test",
            ),
        ),
        (
            "process.selinuxLabel",
            Run(
                vec![("/process/selinuxLabel", json!("system_u:system_r:container_t:s0"))],
                "cat /proc/self/attr/current",
                "container_t",
            ),
        ),
        ("process.oomScoreAdj", Run(vec![("/process/oomScoreAdj", json!(300))], "cat /proc/self/oom_score_adj", "300")),
        (
            "process.scheduler process.scheduler.policy process.scheduler.nice",
            Run(
                vec![("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 5 }))],
                "read l < /proc/self/stat; set -- $l; shift 18; echo $1 $(shift 22; echo $1)",
                "5 3",
            ),
        ),
        (
            "process.scheduler.priority",
            Run(vec![("/process/scheduler", json!({ "policy": "SCHED_FIFO", "priority": 7 }))], policy, "policy 1"),
        ),
        (
            "process.scheduler.flags process.scheduler.runtime process.scheduler.deadline process.scheduler.period",
            Run(vec![("/process/scheduler", deadline)], policy, "policy 6"),
        ),
        (
            "process.ioPriority process.ioPriority.class process.ioPriority.priority",
            Run(
                vec![("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 }))],
                "ionice -p $$",
                "best-effort: prio 6",
            ),
        ),
        (
            "process.execCPUAffinity process.execCPUAffinity.initial process.execCPUAffinity.final",
            Test("limits_hold_for_one_more_process_too"),
        ),
    ]
}

fn of_linux() -> Vec<(&'static str, Shown)> {
    let maps = vec![
        ("/linux/uidMappings", user(1)),
        ("/linux/gidMappings", user(1)),
        ("/linux/namespaces/-", json!({ "type": "user" })),
    ];
    let device = json!({ "path": "/dev/k", "type": "p", "fileMode": 0o640, "uid": 0, "gid": 0 });
    let node = json!({ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 });
    // The default profile, but that a call which it allows gets its default answer.
    let mut seccomp = serde_json::to_value(seccomp::default_profile(&capabilities::DEFAULT).unwrap()).unwrap();
    seccomp["defaultErrnoRet"] = json!(28);
    seccomp["flags"] = json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
    for syscall in seccomp["syscalls"].as_array_mut().unwrap() {
        syscall["names"].as_array_mut().unwrap().retain(|name| name != "mkdir" && name != "mkdirat");
    }
    vec![
        ("linux linux.namespaces linux.namespaces.type linux.namespaces.path", Test("namespaces_of_another_container")),
        (
            "linux.uidMappings linux.uidMappings.containerID linux.uidMappings.hostID linux.uidMappings.size \
             linux.gidMappings linux.gidMappings.containerID linux.gidMappings.hostID linux.gidMappings.size",
            Run(
                maps,
                "cat /proc/self/uid_map /proc/self/gid_map | while read a b c; do echo $a $b $c; done",
                "0 0 1\n0 0 1",
            ),
        ),
        (
            "linux.timeOffsets linux.timeOffsets.monotonic linux.timeOffsets.monotonic.secs \
             linux.timeOffsets.monotonic.nanosecs linux.timeOffsets.boottime linux.timeOffsets.boottime.secs \
             linux.timeOffsets.boottime.nanosecs",
            Run(
                vec![
                    ("/linux/namespaces/-", json!({ "type": "time" })),
                    (
                        "/linux/timeOffsets",
                        json!({ "monotonic": { "secs": 3, "nanosecs": 4 }, "boottime": { "secs": 5, "nanosecs": 6 } }),
                    ),
                ],
                "cat /proc/self/timens_offsets | while read a b c; do echo $a $b $c; done",
                "monotonic 3 4\nboottime 5 6",
            ),
        ),
        (
            "linux.devices.fileMode linux.devices.uid linux.devices.gid",
            Run(vec![("/linux/devices", json!([device]))], "stat -c '%F %a %u %g' /dev/k", "fifo 640 0 0"),
        ),
        (
            "linux.devices linux.devices.type linux.devices.path linux.devices.major linux.devices.minor",
            Run(vec![("/linux/devices", json!([node]))], "stat -c '%t:%T' /dev/kmsg", "1:b"),
        ),
        (
            "linux.netDevices linux.netDevices.name",
            Run(
                vec![("/linux/netDevices", json!({ "box-none": { "name": "renamed" } }))],
                "ls /sys/class/net",
                "renamed",
            ),
        ),
        ("linux.cgroupsPath", Test("paths_stay_below_the_mount")),
        (
            "linux.intelRdt linux.intelRdt.closID linux.intelRdt.schemata linux.intelRdt.l3CacheSchema \
             linux.intelRdt.memBwSchema linux.intelRdt.enableCMT linux.intelRdt.enableMBM linux.intelRdt.enableMonitoring",
            Run(vec![("/linux/intelRdt", json!({ "closID": "box" }))], "echo ran", "ran"),
        ),
        (
            "linux.sysctl",
            Run(
                vec![("/linux/sysctl", json!({ "net.core.somaxconn": "77" }))],
                "cat /proc/sys/net/core/somaxconn",
                "77",
            ),
        ),
        (
            "linux.seccomp linux.seccomp.defaultAction linux.seccomp.defaultErrnoRet linux.seccomp.architectures \
             linux.seccomp.flags",
            Run(vec![("/linux/seccomp", seccomp)], "busybox mkdir /a", "No space left on device"),
        ),
        (
            "linux.seccomp.syscalls linux.seccomp.syscalls.names linux.seccomp.syscalls.action \
             linux.seccomp.syscalls.errnoRet linux.seccomp.syscalls.args linux.seccomp.syscalls.args.index \
             linux.seccomp.syscalls.args.value linux.seccomp.syscalls.args.valueTwo linux.seccomp.syscalls.args.op",
            Run(
                vec![(
                    "/linux/seccomp",
                    json!({
                        "defaultAction": "SCMP_ACT_ALLOW",
                        "syscalls": [{ "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
                                       "args": [{ "index": 1, "value": 0xff, "valueTwo": 18, "op": "SCMP_CMP_MASKED_EQ" }] }],
                    }),
                )],
                "kill -0 $$ && echo sent; kill -18 $$",
                "sent\nsh: can't kill pid 1: No space left on device",
            ),
        ),
        ("linux.seccomp.listenerPath linux.seccomp.listenerMetadata", Test("an_agent_is_asked")),
        (
            "linux.rootfsPropagation",
            Run(vec![("/linux/rootfsPropagation", json!("shared"))], "grep ' / / ' /proc/self/mountinfo", "shared:"),
        ),
        ("linux.maskedPaths", Run(vec![("/linux/maskedPaths", json!(["/etc"]))], "ls -A /etc | grep -c .", "0")),
        ("linux.readonlyPaths", Run(vec![("/linux/readonlyPaths", json!(["/etc"]))], "touch /etc/x", "Read-only")),
        (
            "linux.mountLabel",
            Run(vec![("/linux/mountLabel", json!("system_u:object_r:container_file_t:s0"))], "echo ran", "ran"),
        ),
        (
            "linux.personality linux.personality.domain linux.personality.flags",
            Run(
                vec![("/linux/personality", json!({ "domain": "LINUX32", "flags": [] }))],
                "uname -m",
                if cfg!(target_arch = "aarch64") { "armv8l" } else { "i686" },
            ),
        ),
        (
            "linux.memoryPolicy linux.memoryPolicy.mode linux.memoryPolicy.nodes linux.memoryPolicy.flags",
            Run(
                vec![(
                    "/linux/memoryPolicy",
                    json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }),
                )],
                "grep bind=static:0 /proc/self/numa_maps",
                "bind=static:0",
            ),
        ),
    ]
}

fn of_resources() -> Vec<(&'static str, Shown)> {
    let throttle = |name: &str| json!({ "blockIO": { name: [{ "major": 8, "minor": 0, "rate": 5 }] } });
    let weight = json!({ "blockIO": { "weightDevice": [{ "major": 8, "minor": 0, "weight": 100 }] } });
    let leaf = json!({ "blockIO": { "weightDevice": [{ "major": 8, "minor": 0, "leafWeight": 100 }] } });
    let rdma = json!({ "rdma": { "mlx": { "hcaHandles": 3, "hcaObjects": 4 } } });
    let priorities = json!({ "network": { "priorities": [{ "name": "eth0", "priority": 1 }] } });
    vec![
        (
            "linux.resources linux.resources.unified",
            CgroupFile(json!({ "unified": { "memory.high": "5" } }), "memory.high", "5"),
        ),
        (
            "linux.resources.devices linux.resources.devices.allow linux.resources.devices.type \
             linux.resources.devices.major linux.resources.devices.minor linux.resources.devices.access",
            Test("devices_are_the_ones_that_are_asked_for"),
        ),
        (
            "linux.resources.pids linux.resources.pids.limit",
            CgroupFile(json!({ "pids": { "limit": 5 } }), "pids.max", "5"),
        ),
        (
            "linux.resources.blockIO linux.resources.blockIO.weight",
            CgroupFile(json!({ "blockIO": { "weight": 100 } }), "io.", ""),
        ),
        ("linux.resources.blockIO.leafWeight", CgroupFile(json!({ "blockIO": { "leafWeight": 100 } }), "io.", "")),
        (
            "linux.resources.blockIO.weightDevice linux.resources.blockIO.weightDevice.major \
             linux.resources.blockIO.weightDevice.minor linux.resources.blockIO.weightDevice.weight",
            CgroupFile(weight, "io.", "8:0 "),
        ),
        ("linux.resources.blockIO.weightDevice.leafWeight", CgroupFile(leaf, "io.", "8:0 ")),
        (
            "linux.resources.blockIO.throttleReadBpsDevice linux.resources.blockIO.throttleReadBpsDevice.major \
             linux.resources.blockIO.throttleReadBpsDevice.minor linux.resources.blockIO.throttleReadBpsDevice.rate",
            CgroupFile(throttle("throttleReadBpsDevice"), "io.max", "8:0 rbps=5"),
        ),
        (
            "linux.resources.blockIO.throttleWriteBpsDevice linux.resources.blockIO.throttleWriteBpsDevice.major \
             linux.resources.blockIO.throttleWriteBpsDevice.minor linux.resources.blockIO.throttleWriteBpsDevice.rate",
            CgroupFile(throttle("throttleWriteBpsDevice"), "io.max", "8:0 wbps=5"),
        ),
        (
            "linux.resources.blockIO.throttleReadIOPSDevice linux.resources.blockIO.throttleReadIOPSDevice.major \
             linux.resources.blockIO.throttleReadIOPSDevice.minor linux.resources.blockIO.throttleReadIOPSDevice.rate",
            CgroupFile(throttle("throttleReadIOPSDevice"), "io.max", "8:0 riops=5"),
        ),
        (
            "linux.resources.blockIO.throttleWriteIOPSDevice linux.resources.blockIO.throttleWriteIOPSDevice.major \
             linux.resources.blockIO.throttleWriteIOPSDevice.minor linux.resources.blockIO.throttleWriteIOPSDevice.rate",
            CgroupFile(throttle("throttleWriteIOPSDevice"), "io.max", "8:0 wiops=5"),
        ),
        (
            "linux.resources.cpu linux.resources.cpu.shares",
            CgroupFile(json!({ "cpu": { "shares": 1024 } }), "cpu.weight", ""),
        ),
        ("linux.resources.cpu.quota", CgroupFile(json!({ "cpu": { "quota": 5000 } }), "cpu.max", "5000 ")),
        ("linux.resources.cpu.period", CgroupFile(json!({ "cpu": { "period": 5000 } }), "cpu.max", " 5000")),
        ("linux.resources.cpu.burst", CgroupFile(json!({ "cpu": { "burst": 5 } }), "cpu.max.burst", "5")),
        ("linux.resources.cpu.realtimeRuntime", CgroupFile(json!({ "cpu": { "realtimeRuntime": 5 } }), "", "")),
        ("linux.resources.cpu.realtimePeriod", CgroupFile(json!({ "cpu": { "realtimePeriod": 5 } }), "", "")),
        ("linux.resources.cpu.cpus", CgroupFile(json!({ "cpu": { "cpus": "0" } }), "cpuset.cpus", "0")),
        ("linux.resources.cpu.mems", CgroupFile(json!({ "cpu": { "mems": "0" } }), "cpuset.mems", "0")),
        ("linux.resources.cpu.idle", CgroupFile(json!({ "cpu": { "idle": 1 } }), "cpu.idle", "1")),
        (
            "linux.resources.hugepageLimits linux.resources.hugepageLimits.pageSize linux.resources.hugepageLimits.limit",
            CgroupFile(json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 5 }] }), "hugetlb.2MB.max", "5"),
        ),
        (
            "linux.resources.memory linux.resources.memory.limit",
            CgroupFile(json!({ "memory": { "limit": 5 } }), "memory.max", "5"),
        ),
        (
            "linux.resources.memory.reservation",
            CgroupFile(json!({ "memory": { "reservation": 5 } }), "memory.low", "5"),
        ),
        (
            "linux.resources.memory.swap",
            CgroupFile(json!({ "memory": { "limit": 5, "swap": 7 } }), "memory.swap.max", "2"),
        ),
        ("linux.resources.memory.kernel", CgroupFile(json!({ "memory": { "kernel": 5 } }), "", "")),
        ("linux.resources.memory.kernelTCP", CgroupFile(json!({ "memory": { "kernelTCP": 5 } }), "", "")),
        ("linux.resources.memory.swappiness", CgroupFile(json!({ "memory": { "swappiness": 5 } }), "", "")),
        (
            "linux.resources.memory.disableOOMKiller",
            CgroupFile(json!({ "memory": { "disableOOMKiller": true } }), "", ""),
        ),
        (
            "linux.resources.network linux.resources.network.classID",
            CgroupFile(json!({ "network": { "classID": 5 } }), "", ""),
        ),
        (
            "linux.resources.network.priorities linux.resources.network.priorities.name \
             linux.resources.network.priorities.priority",
            CgroupFile(priorities, "", ""),
        ),
        (
            "linux.resources.rdma linux.resources.rdma.hcaHandles linux.resources.rdma.hcaObjects",
            CgroupFile(rdma, "rdma.max", "mlx hca_handle=3 hca_object=4"),
        ),
    ]
}
