//! `--requires` and `rm --depend`.

use crate::env::TestEnv;

#[test]
fn what_is_required_runs_first_and_goes_last() {
    let env = TestEnv::with_image();
    let create = |name: &str, requires: &str| {
        let mut cmd = env.cmd(&["create", "--name", name, "--network", "none"]);
        if !requires.is_empty() {
            cmd.args(&["--requires", requires]);
        }
        cmd.args(&["t", "pause"]).run()
    };
    let id = create("db", "").ok();
    create("cache", "").ok();
    create("app", "db,cache").ok();
    create("front", "app").ok();
    create("x", "nobody").fails(125).says("--requires nobody").says("no such container");
    assert_eq!(env.inspect("app", "{{index .Dependencies 0}}"), id);
    let running = || env.box_(&["ps", "--format", "{{.Names}}", "--sort", "names"]).ok();
    env.box_(&["start", "front"]).ok();
    assert_eq!(running(), "app\ncache\ndb\nfront");
    env.box_(&["stop", "-t", "0", "-a"]).ok();
    let ran = env.box_(&["run", "--rm", "--network", "none", "--requires", "cache", "t", "true"]);
    ran.ok();
    assert_eq!(running(), "cache");
    env.box_(&["start", "app"]).ok();
    assert_eq!(running(), "app\ncache\ndb");

    env.box_(&["rm", "-f", "db"]).fails(125).says("`app` requires it").says("box rm --depend db");
    assert_eq!(running(), "app\ncache\ndb");
    let removed = env.box_(&["rm", "-f", "-t", "0", "--depend", "db"]).ok();
    assert!(removed.ends_with("db") && removed.lines().count() == 3, "{removed}");
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "cache");
    // One that is gone requires nothing any more.
    env.box_(&["rm", "-f", "-t", "0", "cache"]).ok();
}

#[test]
fn all_of_them_go_in_any_order() {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "a", "t"]).ok();
    env.box_(&["create", "--name", "b", "--requires", "a", "t"]).ok();
    env.box_(&["container", "prune", "-f"]).ok();
    assert_eq!(env.box_(&["ps", "-aq"]).ok(), "");
    env.box_(&["create", "--name", "a", "t"]).ok();
    env.box_(&["create", "--name", "b", "--requires", "a", "t"]).ok();
    env.box_(&["rm", "-a"]).ok();
    assert_eq!(env.box_(&["ps", "-aq"]).ok(), "");
}
