//! `box init`, `box container clone`, `cleanup` and `runlabel`.

use crate::env::TestEnv;
use crate::image::Image;
use serde_json::json;

#[test]
fn init_sees_whether_a_start_would_go_well() {
    let env = TestEnv::with_image();
    env.cmd(&["secret", "create", "token", "-"]).stdin("x").run().ok();
    env.box_(&["create", "--name", "a", "--network", "none", "--secret", "token", "t", "true"]).ok();
    assert_eq!(env.box_(&["init", "a"]).ok(), "a");
    assert_eq!(env.inspect("a", "{{.State.Status}}"), "created");
    env.box_(&["start", "-a", "a"]).ok();
    assert_eq!(env.box_(&["init", "a"]).ok(), "a");
    assert_eq!(env.inspect("a", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0");
    env.box_(&["secret", "rm", "token"]).ok();
    env.box_(&["init", "a"]).fails(125).says("cannot prepare container `a`").says("token");
    assert_eq!(env.inspect("a", "{{.State.Status}} {{.State.ExitCode}}"), "exited 0");
    env.background("b", &[], &["sleep", "60"]);
    env.box_(&["init", "b"]).fails(125).says("it is running");
    assert_eq!(env.box_(&["init", "--all"]).ok(), "");
    env.box_(&["rm", "-f", "-t", "0", "b"]).ok();
}

#[test]
fn descriptors_go_along() {
    let env = TestEnv::with_image();
    let file = env.file("three", "from 3");
    let run = |options: &str, redirect: &str| {
        let program = crate::env::program();
        let run = "run --network none";
        let command = "t cat /proc/self/fd/3";
        let script = format!("exec {} {run} {options} {command} {redirect}{}", program.display(), file.display());
        env.other(std::path::Path::new("/bin/sh")).args(&["-c", &script]).run()
    };
    assert_eq!(run("--rm --preserve-fds 1", "3<").ok(), "from 3");
    assert_eq!(run("--rm --init --preserve-fd 3", "3<").ok(), "from 3");
    run("--rm", "3<").ends(1);
    run("-d --name c --preserve-fds=1", "3<").ok();
    env.box_(&["wait", "c"]).ok();
    assert_eq!(env.box_(&["logs", "c"]).ok(), "from 3");
    run("--rm --preserve-fds 2", "3<").fails(125).says("hands on descriptors 3 to 4, but 4 is not open");
    run("--preserve-fds 1 --restart always", "3<").fails(125).says("`--preserve-fds` and `--restart always`");
    env.box_(&["rm", "-f", "-a"]).ok();
}

#[test]
fn a_monitor_keeps_no_descriptor_that_was_handed_on() {
    let env = TestEnv::with_image();
    let program = crate::env::program();
    let script = format!(
        "{{ {} run -d --name c --network none --preserve-fds 1 t pause 3>&1 >/dev/null; }} | sort; {} exec c echo over",
        program.display(),
        program.display()
    );
    let mut cmd = env.other(std::path::Path::new("/bin/sh"));
    let running = cmd.args(&["-c", &script]).start();
    crate::env::eventually("the container to run", || env.box_(&["ps", "-q"]).out().len() == 12);
    let monitor = env.inspect("c", "{{.State.ConmonPid}}");
    let files = |pid: &str| -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        entries.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect()
    };
    let third = std::fs::read_link(format!("/proc/{}/fd/3", env.inspect("c", "{{.State.Pid}}"))).unwrap();
    assert!(third.to_string_lossy().starts_with("pipe:"), "{third:?}");
    assert!(!files(&monitor).contains(&third), "{third:?} is held by the monitor");
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
    running.finish();
}

#[test]
fn box_files_for_a_root_within_the_root() {
    let env = TestEnv::with_image();
    let show = ["ls", "/jail/etc"];
    let seen = env.inside(&["--chrootdirs", "/jail"], &show).ok();
    assert!(["hosts", "resolv.conf", "hostname"].iter().all(|file| seen.contains(file)), "{seen}");
    env.inside(&["--chrootdirs", "jail"], &show).fails(125).says("is not an absolute path");
    let size = env.inside(&["--systemd", "always", "--shm-size-systemd", "3m"], &["cat", "/proc/self/mounts"]).ok();
    assert_eq!(size.lines().filter(|line| line.contains("size=3072k")).count(), 4, "{size}");
    env.inside(&["--shm-size-systemd", "3m"], &["true"]).fails(125).says("--systemd always");
}

#[test]
fn a_clone_is_like_the_other() {
    let env = TestEnv::with_image();
    let options = ["create", "--name", "a", "--network", "none", "-v", "data:/data", "-v", "/anon", "-e", "A=b"];
    env.cmd(&options).args(&["-l", "k=v", "--pids-limit", "50", "t", "info"]).run().ok();
    let clone = |words: &[&str]| env.cmd(&["container", "clone"]).args(words).run();
    let id = clone(&["a"]).ok();
    let of = |name: &str, field: &str| env.inspect(name, &format!("{{{{{field}}}}}"));
    assert_eq!(of(&id, ".Name"), "a-clone");
    assert_eq!(of(&id, ".Config.Hostname"), id[..12]);
    assert!(of(&id, "json .Config.Env").contains(&format!("HOSTNAME={}", &id[..12])));
    for field in ["json .Config.Cmd", "json .Config.Labels", ".HostConfig.PidsLimit", ".ImageName"] {
        assert_eq!(of(&id, field), of("a", field), "{field}");
    }
    let volume = |name: &str, at: &str| {
        of(name, &format!("range .Mounts}}}}{{{{if eq .Destination \"{at}\"}}}}{{{{.Name}}}}{{{{end}}}}{{{{end"))
    };
    assert_eq!(volume(&id, "/data"), "data");
    assert_ne!(volume(&id, "/anon"), volume("a", "/anon"));
    assert_eq!(of(&clone(&["a"]).ok(), ".Name"), "a-clone1");
    let id = clone(&["--pids-limit", "60", "a", "b", "t"]).ok();
    assert_eq!(of(&id, ".Name") + &of(&id, ".HostConfig.PidsLimit"), "b60");
    clone(&["a", "b"]).fails(125).says("the name `b` is in use");
    env.box_(&["create", "--name", "c", "--network", "none", "t", "true"]).ok();
    let id = clone(&["--destroy", "a", "a"]).ok();
    assert_eq!((of("a", ".Id"), of(&id, ".Name")), (id, "a".into()));
    env.background("running", &[], &["sleep", "60"]);
    clone(&["--destroy", "running", "other"]).fails(125).says("running");
    env.box_(&["rm", "-f", "-t", "0", "running"]).ok();
    let id = clone(&["--run", "--name", "d", "c"]).ok();
    assert_eq!(env.box_(&["wait", &id]).ok(), "0");
}

#[test]
fn cleanup_does_what_is_left_to_do() {
    let env = TestEnv::with_image();
    env.box_(&["run", "--name", "a", "--network", "none", "t", "true"]).ok();
    assert_eq!(env.box_(&["container", "cleanup", "a"]).ok(), "a");
    env.background("b", &[], &["sleep", "60"]);
    env.box_(&["container", "cleanup", "b"]).fails(125).says("container `b` has not ended (it is running)");
    assert_eq!(env.box_(&["container", "cleanup", "--rm", "--all"]).ok().len(), 64);
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "b");
    env.box_(&["rm", "-f", "-t", "0", "b"]).ok();
    env.box_(&["create", "--name", "c", "t"]).ok();
    env.box_(&["container", "cleanup", "--rmi", "c"]).ok();
    assert_eq!(env.box_(&["ps", "-aq"]).ok() + &env.box_(&["images", "-q"]).ok(), "");
}

#[test]
fn labels_that_are_commands() {
    let env = TestEnv::new();
    let labels = json!({ "run": "podman run --rm --network none --name NAME IMAGE echo 'a b'", "bad": "rm -rf /" });
    let image = Image::payload().with("Labels", labels).build();
    image.docker_archive(&env.base.join("l.tar"), &["localhost/tool:1"]);
    env.load(&env.base.join("l.tar"));
    let runlabel = |words: &[&str]| env.cmd(&["container", "runlabel"]).args(words).run();
    let line = "command: box run --rm --network none --name tool localhost/tool:1 echo a b";
    assert_eq!(runlabel(&["--display", "run", "localhost/tool:1"]).ok(), line);
    assert_eq!(runlabel(&["--quiet", "run", "localhost/tool:1", "c"]).ok(), "a b c");
    assert_eq!(runlabel(&["run", "localhost/tool:1"]).ok(), format!("{line}\na b"));
    runlabel(&["bad", "localhost/tool:1"]).fails(125).says("runs `rm` on this host");
    runlabel(&["none", "localhost/tool:1"]).fails(125).says("has no label `none`");
}
