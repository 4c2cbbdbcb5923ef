//! What is done while it is killed or refused the disk: each with what has to be there before, and what must hold after.

use super::{no_image_stays, the_truth};
use crate::env::TestEnv;
use crate::image::{Image, shared_archive};
use crate::outcome::Outcome;
use crate::tarball::Tar;

/// A command of box.
pub struct Deed {
    /// For messages.
    pub name: &'static str,
    /// The words.
    pub words: &'static [&'static str],
    /// What must be there; the image `t` is.
    pub before: fn(&TestEnv),
    /// What must hold after the command, however it ended, besides the truth.
    pub after: fn(&TestEnv, &str),
}

/// All of them.
pub const DEEDS: &[Deed] = &[
    Deed { name: "pull", words: &["pull", "-q", "oci:layout:x"], before: without_image, after: image_or_nothing },
    Deed { name: "load", words: &["load", "-q", "-i", "x.tar"], before: without_image, after: image_or_nothing },
    Deed {
        name: "run",
        words: &["run", "-d", "--network", "none", "--name", "c", "t", "true"],
        before: nothing,
        after: truth,
    },
    Deed {
        name: "run --rm",
        words: &["run", "--rm", "--network", "none", "-v", "/v", "t", "true"],
        before: nothing,
        after: truth,
    },
    Deed {
        name: "run keep-id",
        words: &["run", "--rm", "--network", "none", "--userns", "keep-id", "t", "true"],
        before: unmapped,
        after: truth,
    },
    Deed { name: "exec", words: &["exec", "c", "true"], before: running, after: still_running },
    Deed { name: "start", words: &["start", "c"], before: created, after: listed },
    Deed { name: "stop", words: &["stop", "-t", "0", "c"], before: running, after: listed },
    Deed { name: "commit", words: &["commit", "-q", "c", "localhost/made"], before: changed, after: commit_or_nothing },
    Deed { name: "rm", words: &["rm", "-f", "-v", "-t", "0", "c"], before: running, after: gone_or_listed },
    Deed { name: "rmi", words: &["rmi", "localhost/x"], before: second_image, after: image_or_nothing },
    Deed { name: "prune", words: &["system", "prune", "-f", "-a", "--volumes"], before: rubbish, after: pruned },
    Deed { name: "rename", words: &["rename", "c", "d"], before: created, after: one_name },
    Deed { name: "volume", words: &["volume", "create", "v"], before: nothing, after: volume_or_nothing },
    Deed { name: "network", words: &["network", "create", "n"], before: nothing, after: network_or_nothing },
];

/// A home in which all deeds can be done.
pub fn home() -> TestEnv {
    let env = TestEnv::with_image();
    let layer = Tar::new().folder("data", 0o755).file("data/file", 0o644, "x".repeat(200_000)).finish();
    let built = Image::payload().layer(layer).build();
    built.docker_archive(&env.base.join("x.tar"), &["localhost/x:latest"]);
    built.layout(&env.base.join("layout"), "x");
    // The namespace is there: strace(1) would keep its setuid helpers from it.
    env.inside(&[], &["true"]).ok();
    env
}

/// A command that failed has said why, in one line and perhaps hints.
#[track_caller]
pub fn said_why(outcome: &Outcome, moment: &str) {
    let err = outcome.err();
    assert!(!err.contains("panicked"), "{moment}\n{outcome}");
    let lines = err.lines().filter(|line| line.starts_with("box: ")).count();
    assert!(outcome.code == 0 || lines > 0, "{moment}: no reason\n{outcome}");
}

fn nothing(_: &TestEnv) {}

fn truth(env: &TestEnv, moment: &str) {
    the_truth(env, moment);
}

fn without_image(env: &TestEnv) {
    let _ = env.box_(&["rmi", "-f", "localhost/x", "t"]);
}

fn second_image(env: &TestEnv) {
    env.box_(&["load", "-q", "-i", "x.tar"]).ok();
}

fn unmapped(env: &TestEnv) {
    // As if no container had used the map yet.
    env.box_(&["unshare", "rm", "-rf", &env.data().join("mapped").display().to_string()]).ok();
}

fn created(env: &TestEnv) {
    env.box_(&["create", "--network", "none", "--name", "c", "t", "true"]).ok();
}

fn running(env: &TestEnv) {
    env.background("c", &["-v", "/v"], &["pause"]);
}

fn changed(env: &TestEnv) {
    env.box_(&["run", "--network", "none", "--name", "c", "t", "write", "/made", "here"]).ok();
}

fn rubbish(env: &TestEnv) {
    created(env);
    env.box_(&["volume", "create", "named"]).ok();
    env.box_(&["run", "--network", "none", "-v", "/v", "t", "true"]).ok();
    env.box_(&["run", "-d", "--network", "none", "--name", "kept", "-v", "kept:/v", "t", "pause"]).ok();
    second_image(env);
}

/// The image is there and can be run, or it can be had now; in the end all of it goes.
fn image_or_nothing(env: &TestEnv, moment: &str) {
    let show =
        |image: &str| env.box_(&["run", "--rm", "--network", "none", "--pull", "never", image, "stat", "/data/file"]);
    if env.box_(&["image", "exists", "localhost/x"]).code == 0 {
        assert!(show("localhost/x").ok().contains(" 200000 "), "{moment}");
    }
    env.box_(&["load", "-q", "-i", "x.tar"]).ok();
    assert!(show("localhost/x").ok().contains(" 200000 "), "{moment}");
    the_truth(env, moment);
    no_image_stays(env, moment);
    env.load(&shared_archive());
}

fn still_running(env: &TestEnv, moment: &str) {
    assert_eq!(env.box_(&["exec", "c", "echo", "x"]).ok(), "x", "{moment}");
    the_truth(env, moment);
}

fn listed(env: &TestEnv, moment: &str) {
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "c", "{moment}");
    the_truth(env, moment);
}

fn one_name(env: &TestEnv, moment: &str) {
    let name = env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert!(name == "c" || name == "d", "{moment}: {name}");
    let names: Vec<_> = std::fs::read_dir(env.data().join("names")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, [name.as_str()], "{moment}");
    the_truth(env, moment);
}

fn gone_or_listed(env: &TestEnv, moment: &str) {
    if !env.box_(&["ps", "-a", "--format", "{{.Names}}"]).ok().is_empty() {
        env.box_(&["rm", "-f", "-v", "-t", "0", "c"]).ok();
    }
    // The name is free at once.
    env.box_(&["create", "--name", "c", "t"]).ok();
    the_truth(env, moment);
}

fn commit_or_nothing(env: &TestEnv, moment: &str) {
    let run = || env.box_(&["run", "--rm", "--network", "none", "--pull", "never", "localhost/made", "cat", "/made"]);
    if env.box_(&["image", "exists", "localhost/made"]).code == 0 {
        assert_eq!(run().ok(), "here", "{moment}");
    }
    env.box_(&["commit", "-q", "c", "localhost/made"]).ok();
    assert_eq!(run().ok(), "here", "{moment}");
    the_truth(env, moment);
    env.box_(&["rmi", "-f", "localhost/made"]).ok();
}

fn pruned(env: &TestEnv, moment: &str) {
    // What is in use is spared.
    assert_eq!(env.box_(&["exec", "kept", "echo", "x"]).ok(), "x", "{moment}");
    env.box_(&["system", "prune", "-f", "-a", "--volumes"]).ok();
    assert_eq!(env.box_(&["volume", "ls", "-q"]).ok(), "kept\nnamed", "{moment}");
    assert_eq!(env.box_(&["images", "-q"]).ok().lines().count(), 1, "{moment}");
    the_truth(env, moment);
    env.box_(&["volume", "rm", "kept", "named"]).ok();
}

fn volume_or_nothing(env: &TestEnv, moment: &str) {
    env.box_(&["volume", "create", "--ignore", "v"]).ok();
    env.inside(&["-v", "v:/v"], &["touch", "/v/x"]).ok();
    env.box_(&["volume", "rm", "v"]).ok();
    the_truth(env, moment);
}

fn network_or_nothing(env: &TestEnv, moment: &str) {
    env.box_(&["network", "create", "--ignore", "n"]).ok();
    env.box_(&["network", "rm", "n"]).ok();
    the_truth(env, moment);
}
