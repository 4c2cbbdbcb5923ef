//! zstd:chunked and eStargz: what is packed so, and that a pull fetches only what stored layers lack.

use crate::env::TestEnv;
use crate::image::{Blob, Built, Image};
use crate::registry::{Answer, Registry, part, range};
use crate::tarball::Tar;
use boxlib::base::digest::Digest;
use serde_json::{Value, json};
use std::io::{Read, Write};

/// Bytes that do not pack.
fn noise(seed: u32, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..size).map(next).collect()
}

/// Forty files, of which the one with this number is another in each version.
pub fn files(changed: usize, version: u32) -> Vec<(String, Vec<u8>)> {
    let content =
        |file: usize| noise(file as u32 * 2 + if file == changed { version * 1000 } else { 2 }, 3000 + file * 1500);
    (0..40).map(|file| (format!("folder/file-{file}"), content(file))).collect()
}

fn image(files: &[(String, Vec<u8>)]) -> Built {
    let tar = files.iter().fold(Tar::new(), |tar, (name, content)| tar.file(name, 0o644, content));
    Image::payload().layer(tar.finish()).build()
}

fn env_for(registry: &Registry) -> TestEnv {
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    env
}

/// A registry with two versions, pushed by box.
pub fn pushed() -> Registry {
    let registry = Registry::start();
    for version in [1, 2] {
        let env = env_for(&registry);
        let archive = env.base.join("image.tar");
        image(&files(20, version)).docker_archive(&archive, &["app:1"]);
        env.load(&archive);
        let name = registry.name(&format!("app:{version}"));
        env.box_(&["push", "-q", "--compression-format", "zstd:chunked", "app:1", &name]).ok();
    }
    registry
}

/// The largest layer of a manifest that the registry has.
fn layer(registry: &Registry, tag: &str) -> Value {
    let manifest: Value = serde_json::from_slice(&registry.manifest("app", tag).unwrap().bytes).unwrap();
    manifest["layers"].as_array().unwrap().last().unwrap().clone()
}

/// How many bytes of a blob were asked for since the request with this number.
fn fetched(registry: &Registry, since: usize, layer: &Value) -> u64 {
    let (digest, size) = (layer["digest"].as_str().unwrap(), layer["size"].as_u64().unwrap());
    let asked = registry.asked();
    let blob = asked.iter().skip(since).filter(|asked| asked.method == "GET" && asked.path.ends_with(digest));
    blob.map(|asked| range(asked).map_or(size, |(from, end)| end.map_or(size, |end| end as u64) - from as u64)).sum()
}

#[track_caller]
fn holds(env: &TestEnv, name: &str, version: u32) {
    for file in [0, 19, 20, 39] {
        let (path, content) = &files(20, version)[file];
        let out = env.box_(&["run", "--rm", "--network", "none", name, "cat", &format!("/{path}")]);
        assert!(out.stdout == *content, "{path} of {name}");
    }
    assert_eq!(env.box_(&["system", "check"]).ok(), "");
}

#[test]
fn only_what_changed_is_fetched() {
    let registry = pushed();
    for tag in ["1", "2"] {
        let annotations = &layer(&registry, tag)["annotations"];
        for key in ["manifest-checksum", "manifest-position", "tarsplit-position"] {
            assert!(annotations[format!("io.github.containers.zstd-chunked.{key}")].is_string(), "{annotations}");
        }
    }
    let env = env_for(&registry);
    let (one, two) = (registry.name("app:1"), registry.name("app:2"));
    env.box_(&["pull", "-q", &one]).ok();
    let before = registry.asked().len();
    let outcome = env.box_(&["pull", &two]);
    outcome.ok();
    outcome.says("are taken from layers that are stored");
    let (layer, size) = (layer(&registry, "2"), layer(&registry, "2")["size"].as_u64().unwrap());
    let came = fetched(&registry, before, &layer);
    // The file that changed, the table twice, and little else.
    assert!(came < files(20, 2)[20].1.len() as u64 + size / 20, "{came} of {size}");
    holds(&env, &two, 2);
    // It is the same image, byte for byte: it can be sent on.
    let digest = env.box_(&["image", "inspect", "--format", "{{.Digest}}", &two]).ok();
    assert_eq!(digest, registry.manifest("app", "2").unwrap().digest.as_str());
}

#[test]
fn what_does_not_fit_is_fetched_whole() {
    let registry = pushed();
    let (one, two) = (registry.name("app:1"), registry.name("app:2"));
    let (old, new) = (layer(&registry, "1"), layer(&registry, "2"));
    // What is stored is damaged.
    let env = env_for(&registry);
    env.box_(&["pull", "-q", &one]).ok();
    let path = env.data().join("oci/blobs").join(old["digest"].as_str().unwrap().replace(':', "/"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 20].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let before = registry.asked().len();
    env.box_(&["pull", &two]).says("fetched again");
    assert!(fetched(&registry, before, &new) >= new["size"].as_u64().unwrap());
    env.box_(&["rmi", &one]).ok();
    holds(&env, &two, 2);
    // A registry that knows no parts, and one whose table is another's.
    for lie in [false, true] {
        let env = env_for(&registry);
        env.box_(&["pull", "-q", &one]).ok();
        let (digest, blob) =
            (new["digest"].as_str().unwrap().to_owned(), registry.blob(new["digest"].as_str().unwrap()));
        registry.misbehave(move |asked, _| {
            if asked.method != "GET" || !asked.path.ends_with(&digest) {
                return None;
            }
            match range(asked) {
                Some((_, Some(end))) if lie && end > blob.len() - 4000 => {
                    let mut other = blob.clone();
                    let from = other.len() - 4000;
                    other[from..].fill(7);
                    Some(part(asked, &other))
                }
                _ if lie => None,
                _ => Some(Answer::new(200, blob.clone())),
            }
        });
        env.box_(&["pull", "-q", &two]).ok();
        holds(&env, &two, 2);
    }
}

/// A layer as stargz-snapshotter packs it: each content in a gzip member with the headers of what follows.
pub fn stargz(files: &[(String, Vec<u8>)]) -> (Blob, Digest, Vec<u8>) {
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let tar = files.iter().fold(Tar::new(), |tar, (name, content)| tar.file(name, 0o644, content)).finish();
    let (mut packed, mut entries, mut done) = (Vec::new(), Vec::new(), 0);
    for (name, content) in files {
        // Up to the content, which begins in a block of its own.
        let start = tar.windows(content.len()).step_by(512).position(|part| part == content).unwrap() * 512;
        packed.extend(member(&tar[done..start]));
        entries.push(json!({"type": "reg", "name": name, "size": content.len(), "offset": packed.len(),
                            "digest": Digest::of(content).as_str()}));
        done = start;
    }
    // The table is the archive's last entry.
    packed.extend(member(&tar[done..tar.len() - 1024]));
    let contents = json!({"version": 1, "entries": entries}).to_string();
    let place = packed.len();
    packed.extend(member(&Tar::new().file("stargz.index.json", 0o644, &contents).finish()));
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 26, 0];
    footer.extend([b"SG".as_slice(), &22u16.to_le_bytes(), format!("{place:016x}STARGZ").as_bytes()].concat());
    footer.extend([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    packed.extend(footer);
    let mut tar = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut tar).unwrap();
    (Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", packed), Digest::of(contents.as_bytes()), tar)
}

#[test]
fn estargz_too() {
    let registry = Registry::start();
    for version in [1, 2] {
        let (blob, contents, tar) = stargz(&files(20, version));
        let built = Image::payload().layer(tar).build();
        registry.push("app", "plain", &built);
        registry.push_blob(&blob);
        let mut manifest: Value = serde_json::from_slice(&built.manifest.bytes).unwrap();
        manifest["layers"][1] = blob.descriptor();
        manifest["layers"][1]["annotations"] = json!({"containerd.io/snapshot/stargz/toc.digest": contents.as_str()});
        registry.push_manifest(
            "app",
            &version.to_string(),
            &Blob::new(&built.manifest.media_type, manifest.to_string()),
        );
    }
    let env = env_for(&registry);
    let (one, two) = (registry.name("app:1"), registry.name("app:2"));
    env.box_(&["pull", "-q", &one]).ok();
    let before = registry.asked().len();
    env.box_(&["pull", "-q", &two]).ok();
    let (layer, size) = (layer(&registry, "2"), layer(&registry, "2")["size"].as_u64().unwrap());
    let came = fetched(&registry, before, &layer);
    assert!(came < files(20, 2)[20].1.len() as u64 + size / 10, "{came} of {size}");
    holds(&env, &two, 2);
}
