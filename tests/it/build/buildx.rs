//! `box builder` and `box buildx`.

use super::context;
use crate::env::TestEnv;
use crate::registry::Registry;

#[test]
fn what_is_kept_is_listed_and_let_go() {
    let env = TestEnv::with_image();
    context(&env, "FROM t\nRUN [\"write\", \"/x\", \"much\"]\nRUN [\"write\", \"/y\", \"more\"]\n", &[]);
    assert!(env.box_(&["builder", "du"]).ok().contains("Total:\t\t0B"));
    env.box_(&["build", "-q", "-t", "x", "c"]).ok();
    let rows = env.box_(&["builder", "du", "--format", "json"]).ok();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&rows).unwrap();
    let row = rows.iter().find(|row| row["Description"] == "[2/3] RUN [\"write\", \"/x\", \"much\"]").unwrap();
    assert_eq!((&row["Shared"], &row["Type"]), (&true.into(), &"regular".into()));
    env.box_(&["rmi", "-f", "x"]).ok();
    let count = |words: &[&str]| {
        let rows = env.box_(&[&["buildx", "du", "--format", "{{.ID}}"], words].concat()).ok();
        rows.lines().count()
    };
    assert_eq!(count(&["--filter", "shared=false"]), rows.len());
    assert_eq!(count(&["--filter", "until=1h"]), 0);
    assert_eq!(env.box_(&["builder", "prune", "-f", "--filter", "until=1h"]).ok(), "Total:\t0B");
    env.box_(&["builder", "prune", "-f", "--filter", "description~=/y"]).ok();
    assert_eq!(count(&[]), rows.len() - 1);
    assert_eq!(env.box_(&["builder", "prune", "-f", "--max-used-space", "1gb"]).ok(), "Total:\t0B");
    env.box_(&["buildx", "prune", "-af"]).ok();
    assert_eq!(count(&[]), 0);
    env.box_(&["builder", "prune"]).fails(125).says("nobody answers on stdin");
    env.box_(&["builder", "du", "--filter", "x=y"]).fails(125).says("there are the keys id, type");
}

#[test]
fn there_is_one_builder() {
    let env = TestEnv::new();
    assert!(env.box_(&["buildx", "ls"]).ok().contains("default*"));
    assert!(env.box_(&["buildx", "inspect", "--bootstrap", "default"]).ok().contains("Platforms: linux/"));
    env.box_(&["buildx", "use", "default"]).ok();
    env.box_(&["buildx", "use", "other"]).fails(125).says("cannot be `other`");
    assert!(env.box_(&["buildx", "version"]).ok().starts_with("box "));
}

#[test]
fn lists_are_made_in_a_registry() {
    let (registry, env) = (Registry::start(), TestEnv::with_image());
    env.file("config/containers/registries.conf", registry.conf());
    let (one, list) = (registry.name("team/app:1"), registry.name("team/app:latest"));
    env.box_(&["push", "-q", "t", &one]).ok();
    let outcome = env.box_(&["buildx", "imagetools", "create", "--dry-run", "-t", &list, &one]);
    assert_eq!(outcome.json()["manifests"].as_array().map(Vec::len), Some(1));
    env.box_(&["buildx", "imagetools", "create", "-q", "--annotation", "index:a=b", "-t", &list, &one]).ok();
    let shown = env.box_(&["buildx", "imagetools", "inspect", &list]).ok();
    assert!(shown.contains("Manifests:\n") && shown.contains(&format!("@{}", digest(&env, &one))), "{shown}");
    let raw = env.box_(&["buildx", "imagetools", "inspect", "--raw", &list]).json();
    assert_eq!(raw["annotations"]["a"], "b");
    let format = "{{json .Manifest.digest}}";
    assert!(env.box_(&["buildx", "imagetools", "inspect", "--format", format, &list]).ok().starts_with("\"sha256:"));
    env.box_(&["buildx", "imagetools", "inspect", &registry.name("team/none")]).fails(125);
    assert!(!env.box_(&["images", "-a", "-q"]).ok().contains("imagetools"));
}

/// The digest that a registry has under a name.
fn digest(env: &TestEnv, name: &str) -> String {
    let text = env.box_(&["buildx", "imagetools", "inspect", "--format", "{{.Manifest.digest}}", name]).ok();
    text.trim().to_owned()
}
