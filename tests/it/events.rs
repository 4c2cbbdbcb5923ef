//! `box events`: what has happened, and what happens.

use crate::env::{TestEnv, eventually};

#[test]
fn every_verb_leaves_its_line() {
    let env = TestEnv::with_image();
    let id = env.background("web", &["--label", "a=b"], &["pause"]);
    env.box_(&["exec", "web", "true"]).ok();
    env.box_(&["rename", "web", "two"]).ok();
    env.box_(&["stop", "-t", "0", "two"]).ok();
    env.box_(&["start", "two"]).ok();
    env.box_(&["kill", "two"]).ok();
    env.box_(&["rm", "two"]).ok();
    env.inside(&[], &["exit", "3"]).ends(3);
    env.box_(&["tag", "t", "other"]).ok();
    let events = |args: &[&str]| {
        let all = ["events", "--stream=false", "--since", "1h"];
        env.box_(&[&all, args].concat()).ok().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let of = |name: &str| events(&["--filter", &format!("container={name}"), "--format", "{{.Status}}"]).join(" ");
    assert_eq!(of(&id), "create start exec exec_died rename died stop start kill died remove");
    assert_eq!(of("web"), "create start exec exec_died");
    assert_eq!(events(&["--filter", "label=a=b", "--filter", "event=create"]).len(), 1);
    assert_eq!(
        events(&["--filter", "type=image", "--format", "{{.Status}} {{.Name}}"]),
        ["loadfromarchive localhost/t:latest", "tag other"]
    );
    let died = events(&["--filter", "event=die", "--format", "json"]);
    let died: Vec<serde_json::Value> = died.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&died[0]["ContainerExitCode"], &died[2]["ContainerExitCode"]), (&137.into(), &3.into()));
    assert_eq!(died[0]["ID"], id);
    let line = events(&["--filter", "event=create"])[0].clone();
    assert!(line.contains(&format!(" container create {id} (image=localhost/t:latest, name=web, a=b)")), "{line}");
    assert_eq!(env.box_(&["events", "--stream=false"]).ok().lines().count(), events(&[]).len());
    env.box_(&["events", "--filter", "bogus=1"]).fails(125).says("bogus");
    env.box_(&["events", "--since", "soon"]).fails(125).says("`soon`");
}

#[test]
fn what_comes_is_followed() {
    let env = TestEnv::with_image();
    let running = env.cmd(&["events", "--format", "{{.Status}} {{.Name}}", "--filter", "type=container"]).start();
    // The journal's folder is there once somebody watches it.
    eventually("the watch", || {
        let _ = env.box_(&["create", "--replace", "--name", "c", "t"]);
        running.out().contains("create c")
    });
    env.box_(&["rm", "c"]).ok();
    running.await_out("remove c");
    drop(running);
    // It ends when its time has come.
    env.box_(&["events", "--since", "1h", "--until", "1ms"]).ends(0);
}

#[test]
fn of_all_kinds() {
    let env = TestEnv::with_image();
    env.box_(&["volume", "create", "v"]).ok();
    env.box_(&["volume", "rm", "v"]).ok();
    env.box_(&["network", "create", "n"]).ok();
    env.box_(&["create", "--name", "c", "--network", "n", "t"]).ok();
    env.box_(&["network", "disconnect", "n", "c"]).ok();
    env.box_(&["network", "connect", "n", "c"]).ok();
    env.box_(&["rm", "c"]).ok();
    env.box_(&["network", "rm", "n"]).ok();
    env.cmd(&["secret", "create", "s", "-"]).stdin("x").run().ok();
    env.box_(&["secret", "rm", "s"]).ok();
    env.box_(&["save", "-o", env.base.join("t.tar").to_str().unwrap(), "t"]).ok();
    env.box_(&["tag", "t", "u"]).ok();
    env.box_(&["untag", "u"]).ok();
    let events = ["events", "--since", "1h", "--stream=false", "--format", "{{.Type}} {{.Status}} {{.Name}}"];
    let told = env.box_(&events).ok();
    for line in [
        "volume create v",
        "volume remove v",
        "network create n",
        "network disconnect n",
        "network connect n",
        "network remove n",
        "secret create s",
        "secret remove s",
        "image save t",
        "image untag u",
    ] {
        assert_eq!(told.lines().filter(|told| *told == line).count(), 1, "{line} in {told}");
    }
    let some = env.cmd(&events).args(&["--filter", "type=volume", "--filter", "event=create"]).run().ok();
    assert_eq!(some, "volume create v");
}
