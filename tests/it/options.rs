//! `box run`: the options that say what the command finds: environment, user, folders, mounts, names.

use crate::env::TestEnv;
use crate::image::Image;
use serde_json::{Value, json};
use std::fs;

/// What the payload sees of itself.
#[track_caller]
pub fn info(env: &TestEnv, options: &[&str]) -> Value {
    env.inside(options, &["info"]).json()
}

#[test]
fn environment() {
    let mut env = TestEnv::with_image();
    env.set("FROM_HOST", "host value");
    env.set("MANY_A", "1");
    env.set("MANY_B", "2");
    let file = env.file("vars", "# a comment\n\nFILE=from file\n  BOTH=file\nQUOTED=\"kept\"\nFROM_HOST\nUNSET_HERE\n");
    let file = file.display().to_string();
    let options =
        ["--env-file", &file, "-e", "BOTH=flag", "-e", "EMPTY=", "-e", "MANY_*", "-e", "NOT_SET", "-e", "A=b=c"];
    let seen = info(&env, &options)["env"].clone();
    for (name, value) in [
        ("IMAGE", "payload"),
        ("PATH", "/bin"),
        ("FILE", "from file"),
        ("BOTH", "flag"),
        ("QUOTED", "\"kept\""),
        ("FROM_HOST", "host value"),
        ("EMPTY", ""),
        ("MANY_A", "1"),
        ("MANY_B", "2"),
        ("A", "b=c"),
        ("HOME", "/root"),
    ] {
        assert_eq!(seen[name], value, "{name} in {seen}");
    }
    assert!(seen.get("NOT_SET").is_none() && seen.get("UNSET_HERE").is_none(), "{seen}");
    // Nothing else of the host comes along.
    assert!(seen.get("BOX_TEST").is_none() && seen.get("XDG_DATA_HOME").is_none(), "{seen}");
    env.inside(&["--env-file", "/nonesuch"], &["true"]).fails(125).says("/nonesuch");
}

#[test]
fn path_and_home_have_defaults() {
    let env = TestEnv::new();
    let image = Image::payload().with("Env", json!(null)).with("Cmd", json!(["/bin/info"])).build();
    image.docker_archive(&env.base.join("e.tar"), &["localhost/t:latest"]);
    env.load(&env.base.join("e.tar"));
    let seen = info(&env, &[])["env"].clone();
    assert_eq!(seen["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert_eq!(info(&env, &["-u", "ann"])["env"]["HOME"], "/home/ann");
    assert!(seen["HOSTNAME"].as_str().is_some_and(|name| name.len() == 12), "{seen}");
}

#[test]
fn users_by_name_and_number() {
    let env = TestEnv::with_image();
    for (user, uid, gid, groups) in [
        ("ann", 1000, 50, json!([50, 60, 70])),
        ("1000", 1000, 50, json!([50, 60, 70])),
        ("bob:staff", 1001, 50, json!([50])),
        ("1000:50", 1000, 50, json!([50])),
        ("ann:60", 1000, 60, json!([60])),
        ("4242", 4242, 0, json!([0])),
        ("4242:4243", 4242, 4243, json!([4243])),
        ("0", 0, 0, json!([0])),
        ("root", 0, 0, json!([0])),
    ] {
        let seen = info(&env, &["-u", user]);
        assert_eq!(seen["uid"], json!([uid, uid, uid, uid]), "{user}");
        assert_eq!(seen["gid"], json!([gid, gid, gid, gid]), "{user}");
        let with_gid: Vec<&Value> = seen["groups"].as_array().unwrap().iter().filter(|group| **group != gid).collect();
        let expected: Vec<&Value> = groups.as_array().unwrap().iter().filter(|group| **group != gid).collect();
        assert_eq!(with_gid, expected, "{user}");
    }
}

#[test]
fn users_that_are_none() {
    let env = TestEnv::with_image();
    for user in ["4294967296", "4294967295", "-1", "0x0", "a:b:c", "nobody", "ann:nogroup", "2147483648999"] {
        env.inside(&["-u", user], &["true"]).fails(125);
    }
    // Zeros before a number do not make a name of it, nor another number.
    assert_eq!(env.inside(&["-u", "01"], &["field", "uid/0"]).ok(), "1");
}

#[test]
fn a_user_other_than_root_has_no_capabilities() {
    let env = TestEnv::with_image();
    let seen = info(&env, &["-u", "1000"])["caps"].clone();
    assert_eq!((&seen["effective"], &seen["permitted"], &seen["ambient"]), (&json!(0), &json!(0), &json!(0)));
    assert_ne!(seen["bounding"], 0);
}

#[test]
fn working_folder() {
    let env = TestEnv::with_image();
    assert_eq!(env.inside(&[], &["field", "cwd"]).ok(), "/");
    assert_eq!(env.inside(&["-w", "/home/ann"], &["field", "cwd"]).ok(), "/home/ann");
    // One that is not there is made, as docker does.
    assert_eq!(env.inside(&["-w", "/new/deep"], &["field", "cwd"]).ok(), "/new/deep");
    env.inside(&["-w", "relative"], &["true"]).fails(125).says("relative");
    let image = Image::payload().with("WorkingDir", json!("/srv/app")).with("User", json!("ann")).build();
    image.docker_archive(&env.base.join("w.tar"), &["localhost/w:latest"]);
    env.load(&env.base.join("w.tar"));
    let seen = env.box_(&["run", "--rm", "--network", "none", "w"]).json();
    assert_eq!(
        (&seen["cwd"], &seen["uid"][0], &seen["env"]["HOME"]),
        (&json!("/srv/app"), &json!(1000), &json!("/home/ann"))
    );
}

#[test]
fn host_names() {
    let env = TestEnv::with_image();
    assert_eq!(
        env.inside(&["--hostname", "web-1.example"], &["field", "hostname", "env/HOSTNAME"]).ok(),
        "web-1.example\nweb-1.example"
    );
    let id = env.box_(&["create", "--name", "c", "--network", "none", "t", "field", "hostname"]).ok();
    assert_eq!(env.box_(&["start", "-a", "c"]).ok(), id[..12]);
    let hosts = env.inside(&["-h", "web"], &["cat", "/etc/hosts", "/etc/hostname"]).ok();
    assert!(hosts.contains("127.0.0.1") && hosts.contains("localhost") && hosts.contains("web"), "{hosts}");
    assert!(hosts.ends_with("\nweb"), "{hosts}");
    env.inside(&["--hostname", "a\nb"], &["true"]).ends(125);
    env.inside(&["--hostname", &"x".repeat(70)], &["true"]).ends(125);
}

#[test]
fn folders_of_the_host() {
    let env = TestEnv::with_image();
    env.file("host/file", "of the host\n");
    let host = env.base.join("host").display().to_string();
    let mount = format!("{host}:/in/side");
    assert_eq!(
        env.inside(&["-v", &mount], &["do", "cat", "/in/side/file", ";", "write", "/in/side/new", "x"]).ok(),
        "of the host"
    );
    assert_eq!(fs::read_to_string(env.base.join("host/new")).unwrap(), "x");
    let read_only = format!("{mount}:ro");
    assert_eq!(env.inside(&["-v", &read_only], &["try", "create=/in/side/y"]).ok(), "create=/in/side/y: EROFS");
    let single = format!("{host}/file:/etc/one");
    assert_eq!(env.inside(&["-v", &single], &["cat", "/etc/one"]).ok(), "of the host");
    // A folder relative to the one that box is called in.
    let relative = env.cmd(&["run", "--rm", "--network", "none", "-v", "./host:/x:ro", "t", "cat", "/x/file"]).run();
    assert_eq!(relative.ok(), "of the host");
    let long = format!("type=bind,source={host},target=/x,readonly");
    assert_eq!(
        env.inside(&["--mount", &long], &["try", "create=/x/y", "open=/x/file"]).ok(),
        "create=/x/y: EROFS\nopen=/x/file: ok"
    );
    let seen = info(&env, &["-v", &mount]);
    let at = seen["mounts"].as_array().unwrap().iter().find(|mount| mount["at"] == "/in/side").unwrap().clone();
    assert!(!at["tags"].as_str().unwrap().contains("shared"), "{at}");
}

#[test]
fn bad_mounts_are_refused() {
    let env = TestEnv::with_image();
    let host = env.base.display().to_string();
    for options in [
        vec!["-v", "/nonesuch:/x"],
        vec!["--mount", "type=bind,source=/nonesuch,target=/x"],
        vec!["--mount", "type=bind,target=/x"],
        vec!["--mount", "type=nonesuch,target=/x"],
        vec!["--mount", "type=tmpfs,target=/x,bogus=1"],
        vec!["--tmpfs", "relative"],
    ] {
        env.inside(&options, &["true"]).fails(125);
    }
    let relative = format!("{host}:relative");
    env.inside(&["-v", &relative], &["true"]).fails(125).says("relative");
    let bogus = format!("{host}:/x:bogus");
    env.inside(&["-v", &bogus], &["true"]).fails(125).says("bogus");
    let over_proc = format!("{host}:/proc/sys");
    env.inside(&["-v", &over_proc], &["true"]).fails(125).says("/proc");
}

#[test]
fn memory_file_systems() {
    let env = TestEnv::with_image();
    let seen =
        info(&env, &["--tmpfs", "/scratch:size=1m,mode=1777", "--mount", "type=tmpfs,target=/other,tmpfs-size=2m"]);
    let mounts = seen["mounts"].as_array().unwrap();
    let at = |path: &str| mounts.iter().find(|mount| mount["at"] == path).unwrap().clone();
    let scratch = at("/scratch");
    assert_eq!(scratch["type"], "tmpfs");
    assert!(scratch["super"].as_str().unwrap().contains("size=1024k"), "{scratch}");
    assert!(scratch["options"].as_str().unwrap().contains("noexec"), "{scratch}");
    assert!(at("/other")["super"].as_str().unwrap().contains("size=2048k"));
    assert_eq!(
        env.inside(&["--tmpfs", "/scratch:mode=1777"], &["stat", "/scratch"]).ok().split(' ').nth(1),
        Some("1777")
    );
}

#[test]
fn read_only_root() {
    let env = TestEnv::with_image();
    let tried = env.inside(
        &["--read-only"],
        &["try", "create=/x", "create=/etc/x", "create=/tmp/x", "create=/run/x", "create=/dev/shm/x", "remount-rw=/"],
    );
    assert_eq!(
        tried.ok(),
        "create=/x: EROFS\ncreate=/etc/x: EROFS\ncreate=/tmp/x: ok\ncreate=/run/x: ok\ncreate=/dev/shm/x: ok\nremount-rw=/: EPERM"
    );
}

#[test]
fn labels_and_what_the_image_says() {
    let env = TestEnv::new();
    let image = Image::payload()
        .with("Labels", json!({"from": "image", "both": "image"}))
        .with("StopSignal", json!("SIGUSR1"))
        .with("Volumes", json!({"/srv/vol": {}}))
        .with("ExposedPorts", json!({"80/tcp": {}}))
        .build();
    image.docker_archive(&env.base.join("l.tar"), &["localhost/t:latest"]);
    env.load(&env.base.join("l.tar"));
    env.box_(&["create", "--name", "c", "--network", "none", "--label", "both=flag", "-l", "bare", "t"]).ok();
    let labels = env.box_(&["inspect", "--format", "{{json .Config.Labels}}", "c"]).json();
    assert_eq!(labels, json!({"both": "flag", "bare": "", "from": "image"}));
    assert_eq!(env.inspect("c", "{{index .Config.Labels \"both\"}}"), "flag");
    let stat = env.inside(&[], &["stat", "/srv/vol"]).ok();
    assert!(stat.starts_with("dir "), "{stat}");
    let signal = env.inspect("c", "{{.Config.StopSignal}}");
    assert!(["SIGUSR1", "10"].contains(&signal.as_str()), "{signal}");
}

#[test]
fn changes_are_the_containers_own() {
    let env = TestEnv::with_image();
    for _ in 0..2 {
        let changed =
            env.inside(&[], &["do", "cat", "/data", ";", "rm", "/data", ";", "write", "/new", "x", ";", "ls", "/"]);
        let seen = changed.ok();
        assert!(seen.starts_with("of the image\n") && seen.contains("new") && !seen.contains("\ndata"), "{seen}");
    }
    // Kept between starts of one container.
    env.box_(&["create", "--name", "c", "--network", "none", "t", "do", "touch", "/made", ";", "ls", "/"]).ok();
    env.box_(&["start", "-a", "c"]).ok();
    assert!(env.box_(&["start", "-a", "c"]).ok().contains("made"));
}
