//! `box run`: the options for security and namespaces.

use crate::env::{TestEnv, eventually};
use crate::options::info;
use serde_json::{Value, json};
use std::fs;

#[test]
fn seccomp_profiles() {
    let env = TestEnv::with_image();
    let tried = |env: &TestEnv, options: &[&str]| env.inside(options, &["try", "userns", "ping", "socket=40"]).ok();
    // Docker's form: names, an errno by name, conditions, what holds with which capability.
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64",
        "subArchitectures": ["SCMP_ARCH_X86"]}, {"architecture": "SCMP_ARCH_AARCH64"}], "syscalls": [
        {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errno": "ENOTTY", "errnoRet": 25},
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "excludes": {"caps": ["CAP_NET_RAW"]},
         "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]}]}"#;
    env.file("profile.json", profile);
    assert_eq!(tried(&env, &["--security-opt", "seccomp=profile.json"]), "userns: ENOTTY\nping: ok\nsocket=40: EIO");
    let raw = tried(&env, &["--security-opt", "seccomp:profile.json", "--cap-add", "NET_RAW"]);
    assert!(!raw.contains("EIO"), "{raw}");
    // A process that comes later has the same.
    env.background("c", &["--security-opt", "seccomp=profile.json"], &["pause"]);
    assert_eq!(env.box_(&["exec", "c", "try", "userns"]).ok(), "userns: ENOTTY");
    assert_eq!(tried(&env, &["--security-opt", "seccomp=nested"]), "userns: ok\nping: ok\nsocket=40: EPERM");
    let unconfined = info(&env, &["--security-opt", "seccomp=unconfined"]);
    assert_eq!(unconfined["seccomp"], "0");

    env.file("bad.json", r#"{"defaultAction": "SCMP_ACT_PERHAPS"}"#);
    env.inside(&["--security-opt", "seccomp=bad.json"], &["true"]).fails(125).says("bad.json");
    env.inside(&["--security-opt", "seccomp=/nonesuch"], &["true"]).fails(125).says("/nonesuch");
    env.inside(&["--privileged", "--security-opt", "seccomp=profile.json"], &["true"]).fails(125).says("--privileged");
}

#[test]
fn the_profile_of_podman_works() {
    let path = "/usr/share/containers/seccomp.json";
    if !std::path::Path::new(path).exists() {
        skip!("podman's profile is not on this machine (package golang-github-containers-common)");
    }
    let env = TestEnv::with_image();
    let option = format!("seccomp={path}");
    let seen = info(&env, &["--security-opt", &option]);
    assert_eq!(seen["seccomp"], "2");
    // It allows mounts; what it does not know is ENOSYS.
    assert_eq!(env.inside(&["--security-opt", &option], &["try", "userns", "ping"]).ok(), "userns: ok\nping: ok");
}

#[test]
fn no_new_privileges() {
    let env = TestEnv::with_image();
    for (option, expected) in
        [("no-new-privileges", "1"), ("no-new-privileges:true", "1"), ("no-new-privileges=false", "0")]
    {
        assert_eq!(info(&env, &["--security-opt", option])["no_new_privs"], expected, "{option}");
    }
    env.background("c", &["--security-opt", "no-new-privileges"], &["pause"]);
    assert_eq!(env.box_(&["exec", "c", "field", "no_new_privs"]).ok(), "1");
    assert_eq!(env.inspect("c", "{{json .HostConfig.SecurityOpt}}"), r#"["no-new-privileges"]"#);
}

#[test]
fn masks_are_added_and_taken_away() {
    let env = TestEnv::with_image();
    let at = |seen: &Value, path: &str| seen["mounts"].as_array().unwrap().iter().any(|mount| mount["at"] == path);
    let seen = info(&env, &[]);
    assert!(at(&seen, "/proc/interrupts") && at(&seen, "/proc/sys") && !at(&seen, "/home/ann"), "{seen}");
    let seen = info(&env, &["--security-opt", "unmask=/proc/inter*", "--security-opt", "mask=/home/ann:/nonesuch"]);
    assert!(!at(&seen, "/proc/interrupts") && at(&seen, "/proc/sys") && at(&seen, "/home/ann"), "{seen}");
    for option in ["unmask=ALL", "systempaths=unconfined"] {
        let seen = info(&env, &["--security-opt", option]);
        assert!(!at(&seen, "/proc/interrupts") && !at(&seen, "/proc/sys") && !at(&seen, "/sys/firmware"), "{seen}");
    }
    let seen = info(&env, &["--security-opt", "proc-opts=hidepid=2,subset=pid"]);
    let proc = seen["mounts"].as_array().unwrap().iter().find(|mount| mount["at"] == "/proc").unwrap().clone();
    let options = proc["super"].as_str().unwrap();
    assert!(options.contains("subset=pid") && options.contains("hidepid="), "{proc}");
    env.inside(&["--pid", "host", "--security-opt", "proc-opts=hidepid=2"], &["true"]).fails(125).says("--pid");
}

#[test]
fn security_modules_that_are_not_there_are_told() {
    let env = TestEnv::with_image();
    if !std::path::Path::new("/sys/module/apparmor").exists() {
        env.inside(&["--security-opt", "apparmor=mine"], &["true"]).fails(125).says("AppArmor");
    }
    if !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        env.inside(&["--security-opt", "label=type:mine_t"], &["true"]).fails(125).says("SELinux");
    }
    env.inside(&["--security-opt", "label=disable", "--security-opt", "apparmor=unconfined"], &["true"]).ok();
    env.inside(&["--security-opt", "nonsense"], &["true"]).fails(125).says("nonsense");
}

#[test]
fn sysctls() {
    let env = TestEnv::with_image();
    let files = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmax", "/proc/sys/net/ipv4/ping_group_range"];
    let options = ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.shmmax=4711"];
    assert_eq!(env.inside(&options, &[&["cat"], &files[..2]].concat()).ok(), "1\n4711");
    let ping = env.inside(&["--sysctl", "net.ipv4.ping_group_range=0 5"], &["cat", files[2]]).ok();
    assert_eq!(ping.split_ascii_whitespace().collect::<Vec<_>>(), ["0", "5"]);
    for word in ["kernel.core_pattern=x", "vm.swappiness=1", "kernel.shmmax=1+kernel.core_pattern=|/x", "net.x"] {
        env.inside(&["--sysctl", word], &["true"]).fails(125).says("--sysctl");
    }
    env.inside(&["--sysctl", "net.nonesuch=1"], &["true"]).fails(125).says("net.nonesuch");
    env.inside(&["--ipc", "host", "--sysctl", "kernel.sem=1"], &["true"]).fails(125).says("--ipc");
    let words = ["run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", "t", "true"];
    env.box_(&words).fails(125).says("--network");
}

#[test]
fn further_groups() {
    let env = TestEnv::with_image();
    let groups = |options: &[&str]| {
        let seen = info(&env, options)["groups"].clone();
        let mut groups: Vec<u64> = seen.as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        groups.retain(|group| *group != 50);
        groups
    };
    assert_eq!(groups(&["-u", "ann", "--group-add", "99"]), [60, 70, 99]);
    assert_eq!(groups(&["-u", "ann:50", "--group-add", "staff", "--group-add", "77"]), [77]);
    env.inside(&["--group-add", "nogroup"], &["true"]).fails(125).says("nogroup");
    env.inside(&["--group-add", "4294967296"], &["true"]).fails(125).says("4294967296");
    env.inside(&["--group-add", "keep-groups", "--group-add", "5"], &["true"]).fails(125).says("keep-groups");
    // The caller's groups are no ids of the container: they show as nobody's, but count.
    let own = rustix::process::getgroups().unwrap().len();
    assert_eq!(info(&env, &["--group-add", "keep-groups"])["groups"].as_array().unwrap().len(), own);
    env.background("c", &["--group-add", "77"], &["pause"]);
    assert!(env.box_(&["exec", "c", "field", "groups"]).ok().contains("77"));
}

#[test]
fn devices_of_the_host() {
    let env = TestEnv::with_image();
    let options = ["--device", "/dev/zero:/dev/my/zero:rw", "--device", "/dev/random:/srv/random"];
    let stat = env.inside(&options, &["stat", "/dev/my/zero", "/srv/random"]).ok();
    for (line, device) in stat.lines().zip([" 1:5 ", " 1:8 "]) {
        assert!(line.starts_with("char ") && line.contains(device), "{stat}");
    }
    env.inside(&options, &["try", "open=/dev/my/zero", "write=/dev/my/zero"]).ok();
    for (option, word) in [
        ("/dev/nonesuch", "/dev/nonesuch"),
        ("/etc/passwd", "there is no device"),
        ("/dev/null:r", "read-only"),
        ("null", "absolute"),
        ("/dev/null:/dev/x:q", "letters"),
    ] {
        env.inside(&["--device", option], &["true"]).fails(125).says(word);
    }
    env.inside(&["--device-cgroup-rule", "c 189:* rwm"], &["true"]).ok();
    env.inside(&["--device-cgroup-rule", "c 189"], &["true"]).fails(125).says("--device-cgroup-rule");
}

#[test]
fn masks_of_new_files_and_annotations() {
    let env = TestEnv::with_image();
    assert_eq!(info(&env, &["--umask", "077"])["umask"], "0077");
    env.inside(&["--umask", "999"], &["true"]).fails(125).says("--umask");
    env.background("c", &["--umask", "0007", "--annotation", "a.b/c=d=e"], &["pause"]);
    assert_eq!(env.box_(&["exec", "c", "field", "umask"]).ok(), "0007");
    assert_eq!(env.inspect("c", "{{json .HostConfig.Annotations}}"), r#"{"a.b/c":"d=e"}"#);
    env.inside(&["--annotation", "=x"], &["true"]).fails(125).says("--annotation");
}

#[test]
fn namespaces_of_another_container() {
    let env = TestEnv::with_image();
    env.background("one", &["-h", "first"], &["do", "write", "/dev/shm/note", "shared", ";", "pause"]);
    env.await_log("one", "ready");
    let one = env.box_(&["exec", "one", "info"]).json();
    let options = ["--pid", "container:one", "--ipc", "container:one", "--uts", "container:one"];
    let two = info(&env, &options);
    for name in ["pid", "ipc", "uts"] {
        assert_eq!(two["ns"][name], one["ns"][name], "{name}");
    }
    assert_ne!(two["ns"]["mnt"], one["ns"]["mnt"]);
    assert_eq!((&two["hostname"], &two["env"]["HOSTNAME"]), (&json!("first"), &json!("first")));
    assert_eq!(env.inside(&options, &["cat", "/dev/shm/note", "/proc/1/comm"]).ok(), "shareddo");
    // By the file of the namespace.
    let pid = env.inspect("one", "{{.State.Pid}}");
    let by_file = format!("ns:/proc/{pid}/ns/uts");
    assert_eq!(info(&env, &["--uts", &by_file])["ns"]["uts"], one["ns"]["uts"]);
    // It is known by its id: another one of that name is another one.
    env.box_(&["create", "--name", "late", "--pid", "container:one", "--network", "none", "t", "true"]).ok();
    env.box_(&["rm", "-f", "-t", "0", "one"]).ok();
    env.box_(&["start", "-a", "late"]).fails(125).says("pid");

    env.inside(&["--uts", "container:nonesuch"], &["true"]).fails(125).says("nonesuch");
    env.inside(&["--uts", "ns:/nonesuch"], &["true"]).fails(125).says("/nonesuch");
    env.inside(&["--uts", "ns:/proc/self/ns/uts", "-h", "x"], &["true"]).fails(125).says("--hostname");
    assert_eq!(env.inside(&["--ipc", "none"], &["stat", "/dev/shm"]).code, 1);
}

#[test]
fn what_was_kept_before_is_still_read() {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "c", "--network", "none", "--uts", "host", "t", "field", "ns/uts"]).ok();
    let id = env.inspect("c", "{{.Id}}");
    let path = env.data().join("containers").join(id).join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fields = config.as_object_mut().unwrap();
    for name in ["pid", "ipc", "uts", "rights"] {
        fields.remove(name);
    }
    for (name, shared) in [("host_pid", false), ("host_ipc", false), ("host_uts", true)] {
        fields.insert(name.to_owned(), json!(shared));
    }
    // In place: the name is a link to this very file.
    fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    let own = fs::read_link("/proc/self/ns/uts").unwrap().display().to_string();
    assert_eq!(env.box_(&["start", "-a", "c"]).ok(), own);
}

/// The ids of a container: where its map's first line leads, how its root's files look from inside.
fn ids(env: &TestEnv, options: &[&str]) -> (String, String) {
    let outcome = env.inside(options, &["do", "cat", "/proc/self/uid_map", ";", "stat", "/bin/payload", "/etc/hosts"]);
    let text = outcome.ok();
    let (map, stats) = text.split_at(text.find("file ").unwrap_or_else(|| panic!("{outcome}")));
    let map = map.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(":")).collect::<Vec<_>>();
    (map.join(" "), stats.to_owned())
}

#[test]
fn user_namespaces() {
    let env = TestEnv::with_image();
    let own = rustix::process::getuid().as_raw();
    for (options, expected) in [
        (&["--userns", "keep-id:uid=7,gid=8"][..], "0:1:7 7:0:1 8:8:65529"),
        (&["--userns", "nomap"], "0:1:65536"),
        (&["--userns", "auto"], "0:1:1024"),
        (&["--userns", "auto:size=3000,uidmapping=100:0:1"], "0:1:100 100:0:1 101:102:2899"),
        (&["--uidmap", "0:1:1000", "--uidmap", "1000:0:1"], "0:1:1000 1000:0:1"),
        (&["--uidmap", &format!("+500:@{own}")], "0:1:500 500:0:1 501:501:65036"),
        (&["--gidmap", "0:1:2000"], "0:1:2000"),
    ] {
        let (map, stats) = ids(&env, options);
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.split(' ').map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&map), sorted(expected), "{options:?}");
        assert!(stats.lines().all(|line| line.contains(" 0:0 ")), "{options:?}: {stats}");
    }
    assert_eq!(env.inside(&["--userns", "keep-id:uid=7,gid=8"], &["field", "uid/0", "gid/0"]).ok(), "7\n8");
    for (options, word) in [
        (&["--userns", "nomap", "--uidmap", "0:1:5"][..], "--uidmap"),
        (&["--uidmap", "0:1:5", "--subuidname", "x"], "--subuidname"),
        (&["--uidmap", "0:99999999:1"], "99999999"),
        (&["--uidmap", "0:1:5", "--uidmap", "3:9:1"], "two meanings"),
        (&["--userns", "auto:size=99999999"], "99999999"),
        (&["--subuidname", "nobody-of-that-name"], "/etc/subuid"),
        (&["--userns", "container:nonesuch"], "nonesuch"),
    ] {
        env.inside(options, &["true"]).fails(125).says(word);
    }
}

#[test]
fn no_two_containers_have_the_same_ids() {
    let env = TestEnv::with_image();
    let map = |name: &str| {
        env.background(name, &["--userns", "auto"], &["pause"]);
        let map = env.box_(&["exec", name, "cat", "/proc/self/uid_map"]).ok();
        let outer: u32 = map.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
        outer
    };
    assert_eq!((map("one"), map("two"), map("three")), (1, 1025, 2049));
    env.box_(&["rm", "-f", "-t", "0", "two"]).ok();
    assert_eq!(map("four"), 1025);
    // Kept between starts.
    env.box_(&["stop", "-t", "0", "one"]).ok();
    env.box_(&["start", "one"]).ok();
    let again = env.box_(&["exec", "one", "cat", "/proc/self/uid_map"]).ok();
    assert!(again.split_ascii_whitespace().eq(["0", "1", "1024"]), "{again}");
    assert_eq!(env.inspect("one", "{{.HostConfig.UsernsMode}}"), "auto");
}

#[test]
fn devices_by_name() {
    let env = TestEnv::with_image();
    env.file("given/lib", "of the vendor\n");
    let given = env.base.join("given/lib").display().to_string();
    let file = format!(
        "cdiVersion: 1.0.0\nkind: vendor.com/thing\ncontainerEdits:\n  env: [THING=all, IMAGE=theirs]\ndevices:\n\
         - name: one\n  containerEdits:\n    env: [ONE=1]\n    additionalGids: [77]\n    deviceNodes:\n    \
         - path: /dev/thing\n      hostPath: /dev/zero\n    mounts:\n    - hostPath: {given}\n      \
         containerPath: /opt/lib\n      options: [ro, nosuid, nodev, bind]\n- name: two\n"
    );
    env.file("config/cdi/vendor.yaml", file);
    let seen = info(&env, &["--device", "vendor.com/thing=one", "-u", "ann:50"]);
    assert_eq!((&seen["env"]["THING"], &seen["env"]["ONE"]), (&json!("all"), &json!("1")));
    assert_eq!(seen["env"]["IMAGE"], "theirs");
    assert!(seen["groups"].as_array().unwrap().contains(&json!(77)), "{}", seen["groups"]);
    let found =
        env.inside(&["--device", "vendor.com/thing=one"], &["do", "stat", "/dev/thing", ";", "cat", "/opt/lib"]);
    let found = found.ok();
    assert!(found.contains(" 1:5 /dev/thing") && found.ends_with("of the vendor"), "{found}");
    assert_eq!(info(&env, &["--device", "vendor.com/thing=two"])["env"]["ONE"], Value::Null);
    let unknown = env.inside(&["--device", "vendor.com/thing=three"], &["true"]);
    unknown.fails(125).says("vendor.com/thing=one vendor.com/thing=two");
    env.inside(&["--gpus", "all"], &["true"]).fails(125).says("nvidia.com/gpu=all");
    env.inside(&["--gpus", "some"], &["true"]).fails(125).says("--gpus");
    env.file("config/cdi/broken.json", "{");
    env.inside(&["--device", "vendor.com/thing=one"], &["true"]).fails(125).says("broken.json");
}

#[test]
fn hooks_of_devices_are_run_to_the_end() {
    let env = TestEnv::with_image();
    let told = |point: &str| env.base.join(point);
    let hook = |point: &str| {
        let script = format!("cat > {}", told(point).display());
        json!({ "hookName": point, "path": "/bin/sh", "args": ["sh", "-c", script] })
    };
    let points = ["createRuntime", "poststart", "poststop"];
    let edits = json!({ "hooks": points.map(hook) });
    let devices = json!([{ "name": "one", "containerEdits": edits }]);
    let file = json!({ "cdiVersion": "1.0.0", "kind": "vendor.com/hooked", "devices": devices });
    env.file("config/cdi/hooked.json", file.to_string());
    env.inside(&["--device", "vendor.com/hooked=one"], &["true"]).ok();
    for (point, status) in points.into_iter().zip(["creating", "running", "stopped"]) {
        let text = fs::read_to_string(told(point)).unwrap_or_else(|error| panic!("{point}: {error}"));
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(state["status"], status, "{state}");
    }
    // One that fails when the command runs is the end of the container.
    env.file("config/cdi/hooked.json", file.to_string().replace("cat > ", "exit 3; cat > "));
    env.inside(&["--device", "vendor.com/hooked=one"], &["pause"]).fails(125).says("failed");
    assert_eq!(env.box_(&["ps", "-aq"]).ok(), "");
}

#[test]
fn hardened() {
    let env = TestEnv::with_image();
    let seen = info(&env, &["--hardened"]);
    for set in ["effective", "permitted", "bounding", "inheritable", "ambient"] {
        assert_eq!(seen["caps"][set], 0, "{set}");
    }
    assert_eq!((&seen["no_new_privs"], &seen["seccomp"]), (&json!("1"), &json!("2")));
    let deeds = ["create=/x", "create=/tmp/x", "create=/run/x", "userns", "mountns", "setuid=5", "chroot=/tmp"];
    let tried = env.inside(&["--hardened"], &[&["try"][..], &deeds].concat()).ok();
    let expected = "create=/x: EROFS\ncreate=/tmp/x: ok\ncreate=/run/x: ok\nuserns: EPERM\nmountns: EPERM\nsetuid=5: EPERM\nchroot=/tmp: EPERM";
    assert_eq!(tried, expected);
    assert_eq!(info(&env, &["--hardened", "--cap-add", "CHOWN"])["caps"]["effective"], 1);
    for (options, word) in [
        (&["--privileged"][..], "--privileged"),
        (&["--cap-add", "SYS_ADMIN"], "SYS_ADMIN"),
        (&["--cap-add", "ALL"], "SYS_ADMIN"),
        (&["--security-opt", "seccomp=unconfined"], "seccomp"),
        (&["--security-opt", "no-new-privileges=false"], "no-new-privileges"),
    ] {
        env.inside(&[&["--hardened"][..], options].concat(), &["true"]).fails(125).says("--hardened").says(word);
    }
    env.background("c", &["--hardened"], &["pause"]);
    assert_eq!(env.box_(&["exec", "c", "field", "caps/effective", "no_new_privs"]).ok(), "0\n1");
}

#[test]
fn nothing_is_writable() {
    let env = TestEnv::with_image();
    let deeds = ["create=/tmp/x", "create=/etc/x", "create=/dev/x", "create=/dev/shm/x", "write=/dev/null"];
    let tried = env.inside(&["--read-only", "--read-only-tmpfs=false"], &[&["try"][..], &deeds].concat()).ok();
    let refused = tried.lines().filter(|line| line.ends_with(": EROFS")).count();
    assert!(refused == 4 && tried.ends_with("write=/dev/null: ok"), "{tried}");
}

#[test]
fn ready_for_systemd() {
    let env = TestEnv::with_image();
    let at = |seen: &Value, path: &str| seen["mounts"].as_array().unwrap().iter().any(|mount| mount["at"] == path);
    let folder = env.base.join("config").display().to_string();
    let seen = info(&env, &["--systemd", "always", "-v", &format!("{folder}:/run/mine")]);
    for path in ["/run", "/run/lock", "/tmp", "/var/log/journal"] {
        assert!(at(&seen, path), "{path} in {}", seen["mounts"]);
    }
    // Its mounts hide nobody's.
    assert_eq!(
        env.inside(&["--systemd", "always", "-v", &format!("{folder}:/run/mine")], &["ls", "/run/mine"]).code,
        0
    );
    let uuid = seen["env"]["container_uuid"].as_str().unwrap();
    assert_eq!(uuid.replace('-', "").get(..12), seen["hostname"].as_str());
    assert!(!at(&info(&env, &[]), "/run/lock"));
    let signal = |name: &str, options: &[&str], command: &str| {
        let mut args = vec!["create", "--name", name, "--network", "none"];
        args.extend(options);
        args.extend(["t", command]);
        env.box_(&args).ok();
        env.inspect(name, "{{.Config.StopSignal}}")
    };
    assert_eq!(signal("a", &[], "/sbin/init"), "SIGRTMIN+3");
    assert_eq!(signal("b", &["--systemd=false"], "/sbin/init"), "SIGTERM");
    assert_eq!(signal("c", &["--stop-signal", "HUP"], "/usr/lib/systemd/systemd"), "SIGHUP");
    assert_eq!(signal("d", &[], "/bin/sh"), "SIGTERM");
}

#[test]
fn variables_are_changed() {
    let env = TestEnv::with_image();
    let seen = info(&env, &["--env-merge", "PATH=/opt:${PATH}", "--unsetenv", "IMAGE"])["env"].clone();
    assert_eq!((&seen["PATH"], &seen["IMAGE"]), (&json!("/opt:/bin"), &Value::Null));
    let seen = info(&env, &["--unsetenv-all", "-e", "A=1"])["env"].clone();
    assert_eq!(seen, json!({"A": "1", "HOME": "/root"}));
    env.inside(&["--env-merge", "x"], &["true"]).fails(125).says("--env-merge");
}

#[test]
fn users_that_the_image_does_not_know() {
    let env = TestEnv::with_image();
    let last = |options: &[&str], file: &str| {
        let text = env.inside(options, &["cat", file]).ok();
        text.lines().last().unwrap_or_default().to_owned()
    };
    let before = last(&[], "/etc/passwd");
    assert_eq!(last(&["-u", "4242"], "/etc/passwd"), "4242:*:4242:0:container user:/:/bin/sh");
    assert_eq!(last(&["-u", "4242:17", "--read-only"], "/etc/group"), "17:x:17:4242");
    assert_eq!(last(&["-u", "4242", "--passwd=false"], "/etc/passwd"), before);
    assert_eq!(last(&["-u", "ann"], "/etc/passwd"), before);
    let options = ["-u", "4242:17", "--passwd-entry", "me:x:$UID:$GID::$HOME:/bin/ash", "--group-entry", "us:x:$GID:"];
    assert_eq!(last(&options, "/etc/passwd"), "me:x:4242:17::/:/bin/ash");
    assert_eq!(last(&options, "/etc/group"), "us:x:17:");
    assert!(last(&["--hostuser", "daemon"], "/etc/passwd").starts_with("daemon:*:1:1:"));
    assert_eq!(env.inside(&["--hostuser", "daemon", "-u", "daemon"], &["field", "uid/0"]).ok(), "1");
    for (options, word) in [
        (&["--passwd-entry", "a:x:1:1::/:/x\nroot2:x:0:0::/:/x"][..], "--passwd-entry"),
        (&["--group-entry", "a:b"], "--group-entry"),
        (&["--passwd=false", "--passwd-entry", "a:x:1:1::/:/x"], "--passwd=false"),
        (&["--hostuser", "nobody-of-that-name"], "--hostuser"),
    ] {
        env.inside(options, &["true"]).fails(125).says(word);
    }
    // Under keep-id it is the caller, by name.
    let line = last(&["--userns", "keep-id:uid=4321,gid=0"], "/etc/passwd");
    assert!(line.contains(":*:4321:0:") && !line.starts_with("4321"), "{line}");
}

#[test]
fn the_monitor_is_confined_and_the_container_is_not() {
    let env = TestEnv::with_image();
    let filters = |pid: &str, name: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
    };
    let own: u32 = filters("self", "Seccomp_filters").unwrap().parse().unwrap();
    for (name, options, more) in
        [("serves", &[][..], 1), ("runs", &["--restart", "on-failure"], 0), ("checks", &["--health-cmd", "true"], 0)]
    {
        env.background(name, options, &["pause"]);
        let monitor = env.inspect(name, "{{.State.ConmonPid}}");
        let wanted = Some((own + more).to_string());
        eventually(&format!("the filters of the monitor of {name}"), || filters(&monitor, "Seccomp_filters") == wanted);
        let pid = env.inspect(name, "{{.State.Pid}}");
        assert_eq!(filters(&pid, "Seccomp_filters"), Some((own + 1).to_string()), "{name}");
    }
    // What it does is not in the way of it.
    assert_eq!(env.box_(&["exec", "serves", "field", "no_new_privs"]).ok(), "0");
    env.box_(&["run", "-d", "--rm", "--name", "gone", "--cidfile", "id", "--network", "none", "t", "pause"]).ok();
    env.box_(&["stop", "-t", "0", "gone"]).ok();
    eventually("everything of it to be removed", || {
        !env.base.join("id").exists() && env.box_(&["ps", "-a"]).out().lines().count() == 4
    });
}

#[test]
fn clocks_of_its_own() {
    let env = TestEnv::with_image();
    let uptime = |options: &[&str]| -> f64 {
        let text = env.inside(options, &["cat", "/proc/uptime"]).ok();
        text.split_ascii_whitespace().next().unwrap().parse().unwrap()
    };
    let host = uptime(&[]);
    let ahead = uptime(&["--time", "private:boottime=1000000"]);
    assert!(ahead - host >= 1_000_000.0, "{host} {ahead}");
    env.background("one", &["--time", "private:boottime=1000000"], &["pause"]);
    let seen = env.box_(&["exec", "one", "cat", "/proc/uptime"]).ok();
    assert!(seen.split('.').next().unwrap().parse::<u64>().unwrap() >= 1_000_000, "{seen}");
    assert!(uptime(&["--time", "container:one"]) - host >= 1_000_000.0);
    for mode in ["none", "private:boottime=soon", "container:nonesuch"] {
        env.inside(&["--time", mode], &["true"]).fails(125).says(mode.split(':').next_back().unwrap());
    }
}

#[test]
fn the_user_namespace_of_another_container() {
    let env = TestEnv::with_image();
    env.background("one", &["--userns", "auto"], &["pause"]);
    let one = env.box_(&["exec", "one", "info"]).json();
    let two = info(&env, &["--userns", "container:one"]);
    assert_eq!(two["ns"]["user"], one["ns"]["user"]);
    assert_eq!((&two["uid"][0], &two["uid_map"]), (&json!(0), &one["uid_map"]));
    let stat = env.inside(&["--userns", "container:one"], &["stat", "/bin/payload", "/etc/hosts"]).ok();
    assert!(stat.lines().all(|line| line.contains(" 0:0 ")), "{stat}");
    // One that has none of its own has the user's.
    env.background("plain", &[], &["pause"]);
    assert_eq!(info(&env, &["--userns", "container:plain"])["ns"]["user"], info(&env, &[])["ns"]["user"]);
    assert_eq!(env.box_(&["exec", "one", "field", "uid/0"]).ok(), "0");
}

#[test]
fn what_the_caller_lends_is_reached_although_it_is_nobody_inside() {
    let env = TestEnv::with_image();
    let file = env.file("closed/lent/file", "of the caller\n");
    let closed = env.base.join("closed");
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mount = format!("{}:/lent:ro", file.parent().unwrap().display());
    for mode in ["auto", "nomap"] {
        let seen =
            env.inside(&["--userns", mode, "-v", &mount], &["do", "cat", "/lent/file", ";", "try", "create=/lent/x"]);
        assert_eq!(seen.ok(), "of the caller\ncreate=/lent/x: EROFS", "{mode}");
    }
}

#[test]
fn what_programs_see_as_their_machine() {
    let env = TestEnv::with_image();
    let seen = env.inside(&["--personality", "linux32"], &["cat", "/proc/self/personality"]).ok();
    assert_eq!(seen, "00000008");
    env.inside(&["--personality", "windows"], &["true"]).fails(125).says("--personality");
}

#[test]
fn a_privileged_container_has_the_devices_that_the_caller_can_open() {
    let env = TestEnv::with_image();
    let can = |path: &str| rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok();
    for path in ["/dev/fuse", "/dev/net/tun", "/dev/kvm", "/dev/mem"] {
        let inside = env.inside(&["--privileged"], &["stat", path]);
        assert_eq!(inside.code == 0, can(path), "{path}: {inside}");
        if inside.code == 0 {
            assert!(inside.out().starts_with("char "), "{inside}");
        }
    }
    assert_eq!(env.inside(&[], &["stat", "/dev/fuse"]).code, 1);
}

#[test]
fn options_that_meet_links_of_the_image_stay_inside() {
    let env = TestEnv::new();
    let out = crate::hostile::canary(&env);
    let layer = crate::tarball::Tar::new().folder("srv", 0o755).link("srv/out", &out).link("srv/up", "../../../../..");
    let file = env.base.join("links.tar");
    let image = crate::image::Image::payload().layer(layer.finish()).build();
    image.docker_archive(&file, &["localhost/t:latest"]);
    env.load(&file);
    let before = crate::hostile::snapshot(&env.base.join("canary"));
    for options in [
        &["--device", "/dev/zero:/srv/out/zero"][..],
        &["--device", "/dev/zero:/srv/up/zero"],
        &["--security-opt", "mask=/srv/out"],
        &["--security-opt", "mask=/srv/out/file:/srv/up/etc"],
        &["--tmpfs", "/srv/out/deep"],
        &["--systemd", "always", "--tmpfs", "/srv/up/run"],
        &["--userns", "auto", "-u", "4242"],
        &["--tmpfs", "/proc", "--sysctl", "net.ipv4.ip_forward=1"],
    ] {
        let outcome = env.inside(options, &["true"]);
        assert!([0, 125].contains(&outcome.code) && !outcome.err().contains("panicked"), "{outcome}");
        assert_eq!(crate::hostile::snapshot(&env.base.join("canary")), before, "{options:?} touched the canary");
    }
}

#[test]
fn helpers_have_nothing_of_the_callers_environment() {
    let mut env = TestEnv::with_image();
    env.set("GCONV_PATH", "/evil");
    env.set("LD_AUDIT_NOT", "/evil");
    env.box_(&["run", "-d", "--name", "c", "-e", "LD_PRELOAD=/evil.so", "t", "pause"]).ok();
    let monitor: i32 = env.inspect("c", "{{.State.ConmonPid}}").parse().unwrap();
    let helper = env.processes().into_iter().find(|process| process.words.starts_with("slirp4netns")).unwrap();
    let parent = fs::read_to_string(format!("/proc/{}/stat", helper.pid)).unwrap();
    assert_eq!(parent.rsplit_once(") ").unwrap().1.split(' ').nth(1), Some(monitor.to_string().as_str()));
    // Root inside, and not dumpable: only root in the user's namespace may look.
    let environ = env.box_(&["unshare", "cat", &format!("/proc/{}/environ", helper.pid)]);
    let names: Vec<String> = environ.out().split('\0').filter_map(|v| Some(v.split_once('=')?.0.to_owned())).collect();
    assert_eq!(names, ["PATH", "LC_ALL"], "{environ}");
}
