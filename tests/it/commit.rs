//! `box commit`, `export` and `diff`.

use crate::env::TestEnv;
use std::io::Write;
use std::process::{Command, Stdio};

/// A container of `t` that has changed some of everything.
fn changed(env: &TestEnv, options: &[&str]) {
    let script = ["do", "touch", "/new", ";", "mkdir", "/folder", ";", "touch", "/folder/x", ";", "rm", "/data", ";"];
    let rest = ["chmod", "600", "/etc/passwd", ";", "ln", "/new", "/folder/link"];
    let words = [&["run", "--network", "none", "--name", "c"], options, &["t"], &script, &rest].concat();
    env.box_(&words).ok();
}

#[test]
fn settings_of_a_file_win() {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "c", "-e", "A=b", "t", "info"]).ok();
    let file = env.file("config.json", r#"{"Cmd": ["echo", "x"], "Labels": {"k": "v"}, "Hostname": "not an image's"}"#);
    env.cmd(&["commit", "-q", "--config"]).arg(&file).args(&["c", "made"]).run().ok();
    let shown =
        env.box_(&["image", "inspect", "--format", "{{.Config.Cmd}} {{.Config.Labels.k}} {{.Config.Env}}", "made"]);
    assert!(shown.ok().starts_with("[echo x] v [") && shown.out().contains("A=b"), "{shown}");
    let file = env.file("config.json", r#"{"Comand": ["echo"]}"#);
    env.cmd(&["commit", "--config"]).arg(&file).args(&["c", "made"]).run().fails(125).says("no setting `Comand`");
}

#[test]
fn what_changed() {
    let env = TestEnv::with_image();
    changed(&env, &[]);
    let expected = "D /data\nC /etc\nC /etc/passwd\nA /folder\nA /folder/link\nA /folder/x\nA /new";
    assert_eq!(env.box_(&["diff", "c"]).ok(), expected);
    assert_eq!(env.box_(&["container", "diff", "-l"]).ok(), expected);
    let all = env.box_(&["diff", "--format", "json", "c"]).json();
    assert_eq!((&all["deleted"][0], &all["changed"][1]), (&"/data".into(), &"/etc/passwd".into()));
    env.box_(&["create", "--name", "fresh", "t"]).ok();
    assert_eq!(env.box_(&["diff", "fresh"]).ok(), "");
    env.box_(&["diff", "nonesuch"]).fails(125).says("nonesuch");
    env.box_(&["image", "diff", "c"]).fails(125);
    // Another driver, and another map of ids, have a copy instead of changes: the same is told.
    for options in [&["--userns", "keep-id", "--user", "root"][..], &["--userns", "nomap"]] {
        env.box_(&["rm", "c"]).ok();
        changed(&env, options);
        assert_eq!(env.box_(&["diff", "c"]).ok(), expected, "{options:?}");
    }
}

#[test]
fn what_is_committed_runs() {
    let env = TestEnv::with_image();
    changed(&env, &["-e", "A=b", "--label", "l=1", "-w", "/etc", "--stop-signal", "QUIT"]);
    let iidfile = env.base.join("iid");
    let mut cmd = env.cmd(&["commit", "-q", "-a", "me", "-m", "why", "-c", "CMD [\"stat\", \"/new\"]", "--iidfile"]);
    let id = cmd.arg(&iidfile).args(&["c", "changed:1"]).run().ok();
    assert_eq!(std::fs::read_to_string(&iidfile).unwrap(), format!("sha256:{id}"));
    assert!(env.box_(&["run", "--rm", "--network", "none", "changed:1"]).ok().ends_with("/new"));
    let run = |words: &[&str]| env.box_(&[&["run", "--rm", "--network", "none", "changed:1"], words].concat());
    assert_ne!(run(&["cat", "/data"]).code, 0, "what was removed is gone");
    assert!(run(&["stat", "/etc/passwd"]).ok().starts_with("file 0600 0:0"));
    assert_eq!(run(&["ls", "/folder"]).ok(), "link\nx");
    let shown = env.box_(&["image", "inspect", "changed:1"]).json();
    let (image, config) = (&shown[0], &shown[0]["Config"]);
    assert_eq!((image["Author"].as_str(), image["Comment"].as_str()), (Some("me"), Some("why")));
    assert_eq!((config["WorkingDir"].as_str(), config["StopSignal"].as_str()), (Some("/etc"), Some("SIGQUIT")));
    assert_eq!(config["Labels"]["l"], "1");
    let list: Vec<&str> = config["Env"].as_array().unwrap().iter().filter_map(|entry| entry.as_str()).collect();
    assert!(list.contains(&"A=b") && list.contains(&"IMAGE=payload"), "{list:?}");
    assert!(!list.iter().any(|entry| entry.starts_with("HOSTNAME=") || entry.starts_with("container=")), "{list:?}");
    assert_eq!(env.box_(&["history", "-q", "changed:1"]).ok().lines().count(), 2);
    assert_eq!(env.box_(&["image", "diff", "changed:1"]).ok(), env.box_(&["diff", "c"]).ok());
    assert_eq!(env.box_(&["image", "diff", "changed:1", "t"]).ok(), env.box_(&["diff", "c"]).ok());
    env.box_(&["system", "check"]).ok();
}

#[test]
fn other_forms_of_commit() {
    let env = TestEnv::with_image();
    env.box_(&["run", "--network", "none", "--name", "c", "-v", "/volume", "t", "touch", "/new"]).ok();
    env.box_(&["container", "commit", "--format", "docker", "--include-volumes", "c", "docker:1"]).ok();
    let shown = env.box_(&["image", "inspect", "docker:1"]).json();
    assert!(shown[0]["ManifestType"].as_str().unwrap().contains("docker"), "{shown}");
    assert!(shown[0]["Config"]["Volumes"]["/volume"].is_object(), "{shown}");
    env.box_(&["commit", "--squash", "c", "flat"]).ok();
    assert_eq!(env.box_(&["history", "-q", "flat"]).ok().lines().count(), 1);
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "flat", "cat", "/etc/group"]).code, 0);
    let nameless = env.box_(&["commit", "c"]).ok();
    assert_eq!(
        env.box_(&["images", "-q", "--filter", "dangling=true", "--no-trunc"]).ok(),
        format!("sha256:{nameless}")
    );
    env.box_(&["commit", "-c", "RUN x", "c"]).fails(125).says("RUN");
    env.box_(&["commit", "c", "Bad"]).fails(125).says("Bad");
    env.box_(&["commit", "nonesuch"]).fails(125);
    // One that runs, with owners that are not its caller's.
    env.background("up", &["--userns", "keep-id", "--user", "root"], &["do", "touch", "/mine", ";", "pause"]);
    env.await_log("up", "");
    env.box_(&["commit", "up", "up:1"]).ok();
    // It is done without a cgroup only where nothing has to stand still.
    env.box_(&["commit", "--pause", "up"]).fails(125).says("cannot commit container `up`").says("cgroup v2");
    env.box_(&["commit", "--pause", "c"]).ok();
    assert!(env.box_(&["run", "--rm", "--network", "none", "up:1", "stat", "/etc"]).ok().starts_with("dir 0755 0:0"));
}

#[test]
fn export_is_all_of_it() {
    let env = TestEnv::with_image();
    changed(&env, &[]);
    let file = env.base.join("c.tar");
    env.cmd(&["export", "-o"]).arg(&file).arg("c").run().ok();
    let piped = env.box_(&["container", "export", "c"]);
    assert_eq!(piped.stdout, std::fs::read(&file).unwrap());
    let mut tar = Command::new("tar").arg("-tv").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = tar.stdin.take().unwrap();
    let bytes = piped.stdout.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let listed = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
    writer.join().unwrap().unwrap();
    let has = |path: &str| listed.lines().any(|line| line.ends_with(&format!(" {path}")));
    assert!(has("new") && has("folder/x") && has("etc/passwd") && listed.contains("folder/link -> /new"), "{listed}");
    assert!(!has("data") && !listed.contains(".wh."), "{listed}");
    // Back again.
    env.cmd(&["import", "-c", "ENV PATH=/bin"]).arg(&file).arg("back").run().ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "back", "ls", "/folder"]).ok(), "link\nx");
    env.cmd(&["export", "-o", "/nonesuch/x", "c"]).run().fails(125).says("/nonesuch/x");
    env.box_(&["export", "nonesuch"]).fails(125);
}
