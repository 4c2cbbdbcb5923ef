//! Which containers a command is about: names, `--all`, `--latest`, `--filter`, `--cidfile`, `--ignore`; `prune`.

use crate::env::TestEnv;

#[test]
fn by_filter_file_and_age() {
    let env = TestEnv::with_image();
    let file = env.base.join("id").display().to_string();
    let up = env.background("up", &["--label", "a=b", "--cidfile", &file], &["pause"]);
    let other = env.background("other", &[], &["pause"]);
    env.box_(&["create", "--name", "new", "--label", "a=b", "t"]).ok();
    let names = |args: &[&str]| {
        let mut names: Vec<String> = env
            .box_(&[&["ps", "-a", "--format", "{{.Names}}"], args].concat())
            .ok()
            .lines()
            .map(str::to_owned)
            .collect();
        names.sort();
        names.join(" ")
    };
    for (filter, listed) in [
        ("before=other", "up"),
        ("since=up", "new other"),
        ("name=^(up|new)$", "new up"),
        ("network=none", "other up"),
        ("until=1h", ""),
        ("command=pau", "other up"),
        ("health=none", "new other up"),
        ("restart-policy=no", "new other up"),
        ("pod=x", ""),
    ] {
        assert_eq!(names(&["--filter", filter]), listed, "{filter}");
    }
    env.box_(&["ps", "--filter", "before=nobody"]).fails(125).says("`nobody`");
    assert_eq!(env.box_(&["stop", "-t", "0", "--filter", "label=a=b"]).ok(), up);
    assert_eq!(env.box_(&["start", "--filter", "name=up"]).ok(), up);
    assert_eq!(env.box_(&["kill", "--cidfile", &file]).ok(), file);
    env.box_(&["stop", "--cidfile", "/nonexistent"]).fails(125).says("`/nonexistent`");
    env.box_(&["stop", "--ignore", "--cidfile", "/nonexistent"]).ok();
    env.box_(&["stop", "-a", "up"]).fails(125).says("do not go together");
    assert_eq!(env.box_(&["restart", "-t", "0", "--filter", "name=other"]).ok(), other);
    assert_eq!(env.box_(&["rm", "--filter", "status=exited"]).ok(), up);
    assert_eq!(names(&[]), "new other");
}

#[test]
fn orders_and_columns() {
    let env = TestEnv::with_image();
    for name in ["b", "c", "a"] {
        env.box_(&["create", "--name", name, "t"]).ok();
    }
    let names = |args: &[&str]| {
        env.box_(&[&["ps", "-a", "--format", "{{.Names}}"], args].concat()).ok().lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!((names(&[]), names(&["--sort", "names"])), ("a c b".to_owned(), "a b c".to_owned()));
    env.background("d", &[], &["do", "write", "/x", "12345", ";", "pause"]);
    env.await_log("d", "ready");
    let line = env.box_(&["ps", "-s", "--noheading"]).ok();
    assert!(line.contains("B (virtual "), "{line}");
    let line = env.box_(&["ps", "--ns"]).ok();
    let inode = std::fs::read_link(format!("/proc/{}/ns/uts", env.inspect("d", "{{.State.Pid}}")));
    if let Ok(inode) = inode {
        let number = inode.to_string_lossy().trim_start_matches("uts:[").trim_end_matches(']').to_owned();
        assert!(line.contains(&number), "{number}: {line}");
    }
    let one = &env.box_(&["ps", "-s", "--format", "json"]).json()[0];
    assert!(one["Size"]["rwSize"].as_u64().unwrap() > 0, "{one}");
}

#[test]
fn what_does_not_run_is_pruned() {
    let env = TestEnv::with_image();
    env.background("up", &[], &["pause"]);
    let old = env.box_(&["create", "--name", "old", "--label", "keep", "t"]).ok();
    let gone = env.box_(&["create", "--name", "gone", "t"]).ok();
    // Without an answer nothing is done.
    env.box_(&["container", "prune"]).fails(125).hints("-f");
    assert_eq!(env.cmd(&["container", "prune", "--filter", "label!=keep"]).stdin("y\n").run().ok(), gone);
    assert_eq!(env.box_(&["container", "prune", "-f"]).ok(), old);
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "up");
}
