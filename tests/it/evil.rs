//! Images whose root file system or config is an attack on whoever starts them.

use crate::env::TestEnv;
use crate::hostile::{canary, snapshot};
use crate::image::Image;
use crate::outcome::Outcome;
use crate::tarball::{Head, Tar};
use serde_json::json;
use std::fs;

/// Load this image as `t`, if it is taken.
fn load(env: &TestEnv, image: &Image) -> Outcome {
    let file = env.base.join("evil.tar");
    image.build().docker_archive(&file, &["localhost/t:latest"]);
    env.box_(&["load", "-q", "-i", file.to_str().unwrap()])
}

/// Load this image as `t` and start it; the canary must stay as it is.
#[track_caller]
fn start(env: &TestEnv, image: &Image, options: &[&str], command: &[&str]) -> Outcome {
    let before = snapshot(&env.base.join("canary"));
    let loaded = load(env, image);
    let outcome = if loaded.code == 0 { env.inside(options, command) } else { loaded };
    assert!([0, 1, 125, 126, 127].contains(&outcome.code), "{outcome}");
    assert!(!outcome.err().contains("panicked"), "{outcome}");
    assert_eq!(snapshot(&env.base.join("canary")), before, "the canary was touched\n{outcome}");
    outcome
}

/// A payload image with one more layer.
fn above(layer: Tar) -> Image {
    Image::payload().layer(layer.finish())
}

#[test]
fn folders_that_box_mounts_on_are_links() {
    let env = TestEnv::new();
    let out = canary(&env);
    for path in ["dev", "proc", "sys", "dev/pts", "dev/shm", "dev/mqueue", "run", "tmp"] {
        for target in
            [out.clone(), format!("{out}/file"), "/nonesuch".into(), "/".into(), "../../../../..".to_owned() + &out]
        {
            let layer = Tar::new().file(&format!(".wh.{path}"), 0o644, "").link(path, &target);
            let outcome = start(&env, &above(layer), &[], &["field", "pid"]);
            // Either it says what is wrong, or it has resolved the link inside.
            assert!(outcome.code == 125 || outcome.out() == "1", "/{path} to {target}: {outcome}");
        }
    }
}

#[test]
fn devices_that_are_links() {
    let env = TestEnv::new();
    let out = canary(&env);
    let layer = Tar::new()
        .folder("dev", 0o755)
        .link("dev/null", &format!("{out}/file"))
        .link("dev/console", &format!("{out}/console"))
        .link("dev/ptmx", &format!("{out}/ptmx"))
        .link("dev/stdin", &format!("{out}/stdin"))
        .link("dev/fd", &out);
    for options in [&[][..], &["-t"]] {
        let outcome = start(&env, &above(layer.clone()), options, &["stat", "/dev/null", "/proc/keys"]);
        assert!(outcome.out().lines().all(|line| line.contains("1:3")), "{outcome}");
    }
}

#[test]
fn files_that_box_writes_are_something_else() {
    let env = TestEnv::new();
    let out = canary(&env);
    for name in ["etc/hosts", "etc/resolv.conf", "etc/hostname", "run/.containerenv", "etc/mtab"] {
        let hide = || Tar::new().folder("etc", 0o755).folder("run", 0o755);
        let file = format!("{out}/file");
        for layer in [
            hide().link(name, &file),
            hide().link(name, &format!("{out}/new")),
            hide().link(name, &format!("/proc/self/root{file}")),
            hide().folder(name, 0o755),
            hide().fifo(name),
            hide().device(name, 1, 3),
            Tar::new().file(".wh.etc", 0o644, "").link("etc", &out),
        ] {
            start(&env, &above(layer), &[], &["/bin/true"]);
        }
    }
}

#[test]
fn passwd_is_not_what_it_seems() {
    let env = TestEnv::new();
    let out = canary(&env);
    fs::write(env.base.join("canary/passwd"), "ann:x:0:0::/:\n").unwrap();
    let sparse = Head { size: None, ..Head::default() };
    let long = vec![b'a'; 3 << 20];
    let many = b"x:x:1:1::/:\n".repeat(200_000);
    for name in ["etc/passwd", "etc/group"] {
        let base = || Tar::new().folder("etc", 0o755);
        for (what, layer) in [
            ("fifo", base().fifo(name)),
            ("folder", base().folder(name, 0o755)),
            ("device", base().device(name, 1, 5)),
            ("link out", base().link(name, &format!("{out}/passwd"))),
            ("link to zero", base().link(name, "/dev/zero")),
            ("link to itself", base().link(name, name)),
            ("one long line", base().entry(name, &sparse, &long)),
            ("many lines", base().entry(name, &sparse, &many)),
            ("not text", base().entry(name, &sparse, &[0xff; 1000])),
        ] {
            start(&env, &above(layer), &[], &["true"]);
            for user in ["ann", "1000", "ann:staff", "0"] {
                let outcome = env.inside(&["-u", user], &["field", "uid/0"]);
                // Never root unless asked for.
                assert!(user == "0" || outcome.out() != "0", "{what} {user}: {outcome}");
            }
        }
    }
}

#[test]
fn numbers_that_wrap_in_passwd_or_user() {
    let env = TestEnv::new();
    canary(&env);
    let passwd = "big:x:4294967296:0::/:\nneg:x:-4294967296:0::/:\n4294967296:x:0:0::/:\n1:x:0:0::/:\nempty:x:::/:\n";
    let layer = Tar::new().file("etc/passwd", 0o644, passwd);
    for user in ["big", "neg", "4294967296", "empty", "2147483648999", ":0:", "-0", " 0", "0x0"] {
        let outcome = start(&env, &above(layer.clone()), &["-u", user], &["field", "uid/0"]);
        assert_ne!(outcome.out(), "0", "-u {user}: {outcome}");
        let outcome = start(&env, &above(layer.clone()).with("User", json!(user)), &[], &["field", "uid/0"]);
        assert_ne!(outcome.out(), "0", "User {user}: {outcome}");
    }
}

#[test]
fn the_images_environment_copies_nothing() {
    let mut env = TestEnv::new();
    canary(&env);
    for name in ["AWS_SECRET", "MYSECRET", "LD_PRELOAD_X"] {
        env.set(name, "of the host");
    }
    let names =
        json!(["PATH=/bin", "MYSECRET", "AWS_*", "*", "=x", "A\u{0}B=1", "", "GOOD=1", "NL=a\nroot2:x:0:0::/:"]);
    let outcome = start(&env, &Image::payload().with("Env", names), &[], &["printenv"]);
    assert!(!outcome.out().contains("of the host"), "{outcome}");
    // What preloads must not reach programs of the host.
    let preload = json!(["PATH=/evil:/bin", "LD_PRELOAD=/evil.so", "GCONV_PATH=/evil", "TMPDIR=/evil", "HOME=/evil"]);
    env.box_(&["rmi", "-a", "-f"]);
    start(&env, &Image::payload().with("Env", preload), &[], &["true"]).ends(0);
}

#[test]
fn working_folders_that_attack() {
    let env = TestEnv::new();
    let out = canary(&env);
    for folder in [
        "/x\nroot2:x:0:0::/:/bin/sh".to_owned(),
        "/proc/self/fd/7".into(),
        "/proc/self/fd/3/../../..".into(),
        "../../../../../../..".to_owned() + &out,
        "relative".into(),
        "/a\u{0}b".into(),
        "/proc/1/root".into(),
        "/link/new/deep".into(),
    ] {
        let layer = Tar::new().link("link", &out);
        let image = above(layer).with("WorkingDir", json!(folder));
        let outcome = start(&env, &image, &[], &["do", "field", "cwd", ";", "cat", "/etc/passwd"]);
        assert!(!outcome.out().contains("\nroot2:"), "{folder:?}: {outcome}");
        if outcome.code == 0 {
            let cwd = outcome.out().lines().next().unwrap_or("").to_owned();
            assert!(cwd.starts_with('/') && !cwd.contains("unreachable"), "{folder:?}: {outcome}");
        }
    }
    for number in 3..20 {
        let folder = format!("/proc/self/fd/{number}");
        let outcome = start(&env, &Image::payload(), &["-w", &folder], &["ls", "../../../.."]);
        assert!(!outcome.out().contains("canary"), "{folder}: {outcome}");
    }
}

#[test]
fn volumes_that_lead_out() {
    let env = TestEnv::new();
    let out = canary(&env);
    for volume in [
        format!("/../..{out}/v"),
        "/link/v".into(),
        "/proc/v".into(),
        "relative".into(),
        "/".into(),
        "/a\nb".into(),
        "".into(),
    ] {
        let image = above(Tar::new().link("link", &out)).with("Volumes", json!({volume: {}}));
        start(&env, &image, &[], &["true"]);
    }
    // And those of the caller, onto links of the image.
    let mount = format!("{out}/folder:/link/inside");
    start(&env, &above(Tar::new().link("link", &out)), &["-v", &mount], &["true"]);
    start(&env, &above(Tar::new().link("link", "/proc/self/root")), &["--tmpfs", "/link/tmp"], &["true"]);
}

#[test]
fn annotations_and_labels_change_nothing() {
    let env = TestEnv::new();
    canary(&env);
    let keys = [
        "io.podman.annotations.privileged",
        "io.podman.annotations.seccomp",
        "io.podman.annotations.userns",
        "run.oci.keep_original_groups",
        "run.oci.seccomp.receiver",
        "org.systemd.property.Foo",
        "io.kubernetes.cri-o.TTY",
        "io.containers.autoupdate",
        "com.docker.network.x",
    ];
    let evil: serde_json::Map<_, _> = keys.iter().map(|key| ((*key).to_owned(), json!("TRUE"))).collect();
    let mut image = Image::payload().with("Labels", json!(evil));
    image.annotations = json!(evil);
    let field = ["field", "caps/bounding", "seccomp", "no_new_privs", "uid_map", "groups"];
    let plain = start(&env, &Image::payload(), &[], &field).ok();
    let decorated = start(&env, &image, &[], &field).ok();
    assert_eq!(plain, decorated);
}

#[test]
fn configs_that_are_malformed() {
    let env = TestEnv::new();
    canary(&env);
    for (field, value) in [
        ("Cmd", json!("not a list")),
        ("Cmd", json!([1, 2])),
        ("Cmd", json!([""])),
        ("Cmd", json!(["a\u{0}b"])),
        ("Entrypoint", json!({"a": 1})),
        ("Env", json!("x")),
        ("User", json!(5)),
        ("StopSignal", json!("SIGNOPE")),
        ("StopSignal", json!("999999999999")),
        ("ExposedPorts", json!({"99999/tcp": {}, "x": {}, "80/\n": {}})),
        ("Labels", json!([1])),
        ("WorkingDir", json!("x".repeat(5000))),
        ("User", json!("u".repeat(100_000))),
    ] {
        start(&env, &Image::payload().with(field, value), &[], &[]);
    }
    for (key, value) in [
        ("os", json!("windows")),
        ("architecture", json!("nonesuch")),
        ("rootfs", json!({"type": "layers", "diff_ids": ["x"]})),
        ("history", json!("x")),
    ] {
        let mut image = Image::payload();
        image.config[key] = value;
        start(&env, &image, &[], &["true"]);
    }
}

#[test]
fn nothing_of_the_host_is_seen_while_a_command_joins() {
    // CVE-2016-9962: a container that may trace looks at whoever comes in, before it has become the command.
    let env = TestEnv::with_image();
    let words = ["run", "--rm", "--name", "c", "--network", "none", "--cap-add", "SYS_PTRACE", "t", "spy", "1500"];
    let spy = env.cmd(&words).start();
    spy.await_out("ready");
    let mut joined = 0;
    while !spy.out().contains("saw") {
        joined += i32::from(env.box_(&["exec", "c", "true"]).code == 0);
    }
    assert_eq!(spy.finish().ok(), "ready\nsaw {}");
    assert!(joined > 0, "no command joined meanwhile");
}

#[test]
fn its_own_program_is_not_overwritten() {
    // CVE-2019-5736: a container that gets at the runtime's program through /proc.
    let env = TestEnv::new();
    canary(&env);
    let program = crate::env::program();
    let before = boxlib::base::digest::Digest::of(&fs::read(&program).unwrap());
    let image = above(Tar::new().link("bin/self", "/proc/self/exe").file("bin/script", 0o755, "#!/proc/self/exe\n"));
    for command in ["/bin/self", "/bin/script", "/proc/self/exe"] {
        start(&env, &image, &[], &[command, "true"]);
    }
    // Even if it runs inside: whoever looks for it in there cannot open it for writing.
    let hunter = env.cmd(&["run", "--rm", "--name", "c", "--network", "none", "t", "hunt", "1500"]).start();
    hunter.await_out("ready");
    while !hunter.out().contains("could write") {
        env.box_(&["exec", "c", "/proc/self/exe", "--version"]);
    }
    assert_eq!(hunter.finish().ok(), "ready\ncould write 0");
    assert_eq!(boxlib::base::digest::Digest::of(&fs::read(&program).unwrap()), before);
}

#[test]
fn names_and_logs_lead_to_no_other_folder() {
    // CVE-2025-0750 and its kin.
    let env = TestEnv::with_image();
    let out = canary(&env);
    let before = snapshot(&env.base.join("canary"));
    let absolute = format!("{out}/new");
    let up = format!("{}{out}/new", "../".repeat(20));
    for name in [&absolute, &up, "..", ".", "a/b", "a\nb", "", "-x"] {
        let create = ["create", "--network", "none", &format!("--name={name}"), "t", "true"];
        env.box_(&create).fails(125);
        for words in [["volume", "create", "--", name], ["network", "create", "--", name]] {
            let outcome = env.box_(&words);
            // Without a name a volume gets one.
            assert!(outcome.code == 125 || name.is_empty(), "{outcome}");
        }
        for words in [
            &["logs", "--", name][..],
            &["rm", "-f", "--", name],
            &["inspect", "--", name],
            &["volume", "rm", "-f", "--", name],
        ] {
            let outcome = env.box_(words);
            assert!([0, 125].contains(&outcome.code) && !outcome.err().contains("panicked"), "{outcome}");
        }
        assert_eq!(snapshot(&env.base.join("canary")), before, "{name:?}");
    }
    // A name that was changed in the store where it lies is no path either.
    let id = env.box_(&["create", "--network", "none", "--name", "c", "t", "true"]).ok();
    let config = env.data().join("containers").join(&id).join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("\"name\":\"c\"", &format!("\"name\":\"{up}\""), 1)).unwrap();
    for words in [&["start", &id][..], &["rename", &id, "d"], &["rm", "-f", &id]] {
        let outcome = env.box_(words);
        assert!(!outcome.err().contains("panicked"), "{outcome}");
        assert_eq!(snapshot(&env.base.join("canary")), before, "{outcome}");
    }
    env.box_(&["rm", "-f", "-a"]);
    // The name that it had before is nobody's now.
    let _ = fs::remove_file(env.data().join("names/c"));
}

#[test]
fn an_image_with_the_same_history_is_no_cache() {
    // CVE-2024-24557: what a build has made is known by all that it depends on, and not by what an image says of itself.
    let env = TestEnv::with_image();
    env.file("ctx/Dockerfile", "FROM localhost/t\nCOPY good /x\n");
    env.file("ctx/good", "good\n");
    let build = || env.box_(&["build", "-q", "-t", "made", "ctx"]).ok();
    build();
    let history = env.box_(&["inspect", "--type", "image", "--format", "{{json .History}}", "made"]).ok();
    env.box_(&["rmi", "-f", "made"]).ok();
    env.box_(&["system", "prune", "-f", "-a", "--filter", "label=none"]);
    env.box_(&["builder", "prune", "-f", "-a"]).ok();
    let mut forged = above(Tar::new().file("x", 0o644, "evil\n"));
    forged.config["history"] = serde_json::from_str(&history).unwrap();
    assert!(history.contains("good"), "{history}");
    let file = env.base.join("forged.tar");
    forged.build().docker_archive(&file, &["localhost/made:latest", "localhost/forged:latest"]);
    env.box_(&["load", "-q", "-i", file.to_str().unwrap()]).ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "made", "cat", "/x"]).ok(), "evil");
    build();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "made", "cat", "/x"]).ok(), "good");
}
