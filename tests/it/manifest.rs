//! `box manifest`: lists made, edited, sent and run.

use crate::env::TestEnv;
use crate::image::{Blob, Built, Image, architecture};
use crate::push::small;
use crate::registry::Registry;
use serde_json::{Value, json};

/// An image for another processor.
fn foreign() -> Built {
    let mut image = Image::empty().layer(crate::tarball::Tar::new().file("x", 0o644, "foreign").finish());
    image.config["architecture"] = json!("s390x");
    image.build()
}

fn setting() -> (TestEnv, Registry, Built, Built) {
    let (registry, theirs) = (Registry::start(), foreign());
    let ours = Image::payload().build();
    registry.push("their/app", "1", &theirs);
    let env = TestEnv::with_image();
    env.file("config/containers/registries.conf", registry.conf());
    (env, registry, ours, theirs)
}

fn list(env: &TestEnv, name: &str) -> Value {
    env.box_(&["manifest", "inspect", name]).json()
}

#[test]
fn made_edited_and_sent() {
    let (env, registry, ours, theirs) = setting();
    let id = env.box_(&["manifest", "create", "--annotation", "a=b", "app"]).ok();
    assert!(id.len() == 64 && list(&env, "app")["manifests"].as_array().unwrap().is_empty());
    env.box_(&["manifest", "create", "app"]).fails(125).says("already");
    assert_eq!(env.box_(&["manifest", "create", "--amend", "app"]).ok(), id);
    env.box_(&["manifest", "add", "app", "t"]).ok();
    env.box_(&["manifest", "add", "--variant", "z9", "app", &format!("docker://{}", registry.name("their/app:1"))])
        .ok();
    let made = list(&env, "app");
    assert_eq!(made["annotations"]["a"], "b");
    assert_eq!(made["manifests"][0]["platform"]["architecture"], architecture());
    assert_eq!(made["manifests"][1]["platform"], json!({"architecture": "s390x", "os": "linux", "variant": "z9"}));
    let theirs_digest = theirs.manifest.digest.as_str();
    assert_eq!(made["manifests"][1]["digest"], theirs_digest);
    env.box_(&["manifest", "annotate", "--annotation", "c=d", "--os-features", "x,y", "app", theirs_digest]).ok();
    env.box_(&["manifest", "annotate", "--index", "--annotation", "e=f", "app"]).ok();
    let made = list(&env, "app");
    assert_eq!(made["manifests"][1]["annotations"]["c"], "d");
    assert_eq!(made["manifests"][1]["platform"]["os.features"], json!(["x", "y"]));
    assert_eq!(made["annotations"]["e"], "f");
    // Sent with all images, which are there by their digests.
    let name = registry.name("team/app:1");
    env.box_(&["manifest", "push", "-q", "--digestfile", "digest", "app", &format!("docker://{name}")]).quiet().ok();
    let sent = registry.manifest("team/app", "1").unwrap();
    assert_eq!(std::fs::read_to_string(env.base.join("digest")).unwrap(), sent.digest.as_str());
    assert!(registry.manifest("team/app", theirs_digest).is_some());
    assert_eq!(env.box_(&["manifest", "inspect", &name]).json(), made);
    // Pulled, it is this machine's image; a list of the store is run as that, too.
    let other = TestEnv::new();
    other.file("config/containers/registries.conf", registry.conf());
    assert_eq!(other.box_(&["pull", "-q", &name]).ok(), ours.config.digest.digits());
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "app", "echo", "x"]).ok(), "x");
    // Saved, it is this machine's image, too.
    env.box_(&["save", "-q", "-o", "saved.tar", "app"]).ok();
    let loaded = other.cmd(&["load", "-q", "-i"]).arg(env.base.join("saved.tar")).run().ok();
    assert!(loaded.contains("localhost/app"), "{loaded}");
    // `push` sends the list as well.
    env.box_(&["push", "-q", "app", &registry.name("team/app:2")]).ok();
    assert_eq!(registry.manifest("team/app", "2").unwrap().digest, sent.digest);
    env.box_(&["manifest", "push", "-q", "-f", "v2s2", "app", &registry.name("team/app:3")]).ok();
    assert!(registry.manifest("team/app", "3").unwrap().media_type.contains("docker.distribution.manifest.list"));
    env.box_(&["manifest", "remove", "app", theirs_digest]).ok();
    assert_eq!(list(&env, "app")["manifests"].as_array().unwrap().len(), 1);
    env.box_(&["manifest", "remove", "app", theirs_digest]).fails(125).says("no image");
    env.box_(&["manifest", "exists", "app"]).ends(0);
    env.box_(&["manifest", "push", "-q", "--rm", "app", &registry.name("team/app:4")]).ok();
    env.box_(&["manifest", "exists", "app"]).ends(1);
    env.box_(&["run", "--rm", "--network", "none", "t", "true"]).ends(0);
}

#[test]
fn packed_on_the_way() {
    let (env, registry, ..) = setting();
    env.box_(&["manifest", "create", "app", "t"]).ok();
    env.box_(&["manifest", "add", "app", &format!("docker://{}", registry.name("their/app:1"))]).ok();
    let stored = env.box_(&["manifest", "inspect", "app"]).ok();
    let push = |options: &[&str], tag: &str| {
        let name = registry.name(&format!("team/app:{tag}"));
        env.box_(&[&["manifest", "push", "-q"], options, &["app", &name]].concat())
    };
    // The media types of the first layers, and what the list's rows say.
    let sent = |tag: &str| -> Vec<(String, Value)> {
        let list: Value = serde_json::from_slice(&registry.manifest("team/app", tag).unwrap().bytes).unwrap();
        let row = |row: &Value| {
            let manifest = registry.manifest("team/app", row["digest"].as_str().unwrap()).unwrap();
            assert_eq!(row["size"], manifest.bytes.len());
            let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
            let layer = manifest["layers"][0]["mediaType"].as_str().unwrap();
            (layer.rsplit(['+', '.']).next().unwrap().to_owned(), row["annotations"].clone())
        };
        list["manifests"].as_array().unwrap().iter().map(row).collect()
    };
    push(&["--compression-format", "zstd", "--compression-level", "3", "--force-compression"], "zstd").ok();
    assert_eq!(sent("zstd"), [("zstd".into(), Value::Null), ("zstd".into(), Value::Null)]);
    push(&["--compression-format", "gzip", "--force-compression", "--add-compression", "zstd"], "both").ok();
    let is_zstd = json!({"io.github.containers.compression.zstd": "true"});
    let (gzip, zstd) = (("gzip".to_owned(), Value::Null), ("zstd".to_owned(), is_zstd));
    assert_eq!(sent("both"), [gzip.clone(), zstd.clone(), gzip, zstd]);
    // The stored list is what it was, and either form can be pulled.
    assert_eq!(env.box_(&["manifest", "inspect", "app"]).ok(), stored);
    let other = TestEnv::new();
    other.file("config/containers/registries.conf", registry.conf());
    for tag in ["zstd", "both"] {
        other.box_(&["run", "--rm", "--network", "none", &registry.name(&format!("team/app:{tag}")), "true"]).ok();
    }
    push(&["--compression-format", "zstd", "--all=false"], "x").fails(125).says("stay behind");
    push(&["--add-compression", "zstd", "-f", "v2s2"], "x").fails(125).says("docker's form");
}

#[test]
fn lists_of_others() {
    let (env, registry, _, theirs) = setting();
    let other = small("other");
    registry.push("their/app", "2", &other);
    let entry = |built: &Built, architecture: &str| {
        let mut row = built.manifest.descriptor();
        row["platform"] = json!({"os": "linux", "architecture": architecture});
        row
    };
    let kind = "application/vnd.oci.image.index.v1+json";
    let rows = json!([entry(&theirs, "s390x"), entry(&other, architecture())]);
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": rows});
    registry.push_manifest("their/app", "both", &Blob::new(kind, index.to_string()));
    let both = format!("docker://{}", registry.name("their/app:both"));
    env.box_(&["manifest", "create", "one", &both]).ok();
    assert_eq!(list(&env, "one")["manifests"].as_array().unwrap().len(), 1);
    env.box_(&["manifest", "create", "--all", "two", &both]).ok();
    assert_eq!(list(&env, "two")["manifests"], rows);
    assert_eq!(env.box_(&["manifest", "rm", "one", "two"]).ok().matches("Deleted").count(), 2);
}

#[test]
fn what_makes_no_sense() {
    let (env, registry, ..) = setting();
    env.box_(&["manifest", "add", "nonesuch", "t"]).fails(125).says("no manifest list");
    env.box_(&["manifest", "add", "t", "t"]).fails(125).says("not a manifest list");
    env.box_(&["manifest", "rm", "t"]).fails(125).says("not a manifest list");
    env.box_(&["manifest", "rm", "--ignore", "nonesuch"]).ok();
    env.box_(&["manifest", "create", "Bad/Name"]).fails(125);
    // What fails leaves no list behind.
    env.box_(&["manifest", "create", "app", &registry.name("nonesuch")]).fails(125).says("nonesuch");
    env.box_(&["manifest", "exists", "app"]).ends(1);
    env.box_(&["manifest", "create", "app"]).ok();
    env.box_(&["manifest", "push", "app"]).fails(125).says("says no registry");
    env.box_(&["manifest", "push", "app", "dir:x"]).fails(125).says("registry");
    env.box_(&["manifest", "annotate", "app", &format!("sha256:{}", "a".repeat(64))]).fails(125).says("no image");
    env.box_(&["manifest", "annotate", "--annotation", "x", "--index", "app"]).fails(125).says("--annotation");
    env.box_(&["manifest", "inspect", &registry.name("nonesuch")]).fails(125).says("nonesuch");
    env.box_(&["manifest", "rm", "app"]).ok();
}
