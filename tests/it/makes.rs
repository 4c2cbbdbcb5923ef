//! Images of rare make: many layers, lists in lists, zstd:chunked and eStargz as others write them. Each is pulled, run,
//! saved, loaded elsewhere and pushed, and stays the same, byte for byte.

use crate::chunked::{files, pushed, stargz};
use crate::env::TestEnv;
use crate::image::{Blob, Built, Image, Packed};
use crate::registry::Registry;
use crate::tarball::Tar;
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn env_for(registry: &Registry) -> TestEnv {
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    env.file("config/containers/policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#);
    env
}

/// A container of the image has the file.
#[track_caller]
fn holds(env: &TestEnv, name: &str, file: &str, content: &[u8]) {
    let out = env.box_(&["run", "--rm", "--network", "none", name, "cat", file]);
    assert!(out.stdout == content, "{name}: {out}");
}

/// Through every door: `name` is in the registry, its image's manifest is `manifest`, and `file` holds `content`.
#[track_caller]
fn goes_through(registry: &Registry, name: &str, manifest: &Blob, (file, content): (&str, &[u8])) {
    let env = env_for(registry);
    let digest = |env: &TestEnv, name: &str| env.box_(&["image", "inspect", "--format", "{{.Digest}}", name]).ok();
    env.box_(&["pull", "-q", name]).ok();
    assert_eq!(digest(&env, name), manifest.digest.as_str(), "{name}: pulled");
    holds(&env, name, file, content);
    env.box_(&["tag", name, "app:saved"]).ok();
    for format in ["docker-archive", "oci-archive"] {
        env.box_(&["save", "-q", "--format", format, "-o", "saved.tar", "app:saved"]).ok();
        let other = env_for(registry);
        other.load(&env.base.join("saved.tar"));
        assert_eq!(digest(&other, "app:saved"), manifest.digest.as_str(), "{name}: {format}");
        holds(&other, "app:saved", file, content);
    }
    env.box_(&["push", "-q", name, &registry.name("sent:1")]).ok();
    let sent = registry.manifest("sent", "1").unwrap();
    assert!(sent.bytes == manifest.bytes && sent.media_type == manifest.media_type, "{name}: pushed");
    assert_eq!(env.box_(&["system", "check"]).ok(), "", "{name}");
}

#[test]
fn of_120_layers() {
    let registry = Registry::start();
    let mut image = Image::payload();
    for number in 1..120 {
        let packed = [Packed::Plain, Packed::Gzip, Packed::Zstd][number % 3];
        // Each has the file anew, and one of its own.
        let own = format!("layers/{number}");
        image = image.packed(Tar::new().file("word", 0o644, number.to_string()).file(&own, 0o644, "").finish(), packed);
    }
    let built = image.build();
    registry.push("app", "1", &built);
    goes_through(&registry, &registry.name("app:1"), &built.manifest, ("/word", b"119"));
}

/// A list of these manifests, for this machine.
fn list(entries: &[&Blob]) -> Blob {
    let rows: Vec<Value> = entries
        .iter()
        .map(|blob| {
            let mut row = blob.descriptor();
            row["platform"] = json!({"os": "linux", "architecture": crate::image::architecture()});
            row
        })
        .collect();
    Blob::new(INDEX, json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}).to_string())
}

fn worded(word: &str) -> Built {
    Image::payload().layer(Tar::new().file("word", 0o644, word).finish()).build()
}

#[test]
fn of_a_list_in_a_list() {
    let registry = Registry::start();
    let built = worded("inner");
    let inner = list(&[&built.manifest]);
    let outer = list(&[&inner]);
    registry.push("app", "image", &built);
    registry.push_manifest("app", "inner", &inner);
    registry.push_manifest("app", "outer", &outer);
    goes_through(&registry, &registry.name("app:outer"), &built.manifest, ("/word", b"inner"));
    // In a layout, too.
    let env = env_for(&registry);
    let blobs = built.blobs().chain([&built.manifest, &inner, &outer]);
    crate::image::write_layout(&env.base.join("layout"), blobs, &[(&outer, "app")]);
    env.load(&env.base.join("layout"));
    assert_eq!(env.box_(&["image", "inspect", "--format", "{{.Digest}}", "app"]).ok(), built.manifest.digest.as_str());
}

#[test]
fn of_lists_without_end() {
    let registry = Registry::start();
    let built = worded("deep");
    registry.push("app", "image", &built);
    let mut lists = vec![list(&[&built.manifest])];
    for _ in 0..20 {
        lists.push(list(&[lists.last().unwrap()]));
    }
    for (number, list) in lists.iter().enumerate() {
        registry.push_manifest("app", &number.to_string(), list);
    }
    let env = env_for(&registry);
    env.frugal(&["pull", "-q", &registry.name("app:20")]).fails(125).says("nested too deeply");
    let last = lists.last().unwrap();
    crate::image::write_layout(
        &env.base.join("layout"),
        built.blobs().chain([&built.manifest]).chain(&lists),
        &[(last, "app")],
    );
    env.frugal(&["load", "-q", "-i", "layout"]).fails(125).says("nested too deeply");
    assert_eq!(env.box_(&["images", "-q"]).ok(), "");
}

#[test]
fn of_estargz() {
    let registry = Registry::start();
    let all = files(20, 1);
    let (blob, contents, tar) = stargz(&all);
    let built = Image::payload().layer(tar).build();
    registry.push("app", "plain", &built);
    registry.push_blob(&blob);
    let mut manifest: Value = serde_json::from_slice(&built.manifest.bytes).unwrap();
    manifest["layers"][1] = blob.descriptor();
    manifest["layers"][1]["annotations"] = json!({"containerd.io/snapshot/stargz/toc.digest": contents.as_str()});
    let manifest = Blob::new(&built.manifest.media_type, manifest.to_string());
    registry.push_manifest("app", "1", &manifest);
    let (name, content) = &all[20];
    goes_through(&registry, &registry.name("app:1"), &manifest, (&format!("/{name}"), content));
}

// podman's own is not here: what Debian 12's writes as zstd:chunked unpacks to other bytes than its config says.
#[test]
fn of_zstd_chunked() {
    let registry = pushed();
    let manifest = registry.manifest("app", "1").unwrap();
    assert!(String::from_utf8_lossy(&manifest.bytes).contains("zstd-chunked.manifest-position"));
    let (name, content) = &files(20, 1)[20];
    goes_through(&registry, &registry.name("app:1"), &manifest, (&format!("/{name}"), content));
}
