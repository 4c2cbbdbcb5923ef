//! `box save`: archives and folders that box and others read, with digests that stay.

use crate::env::TestEnv;
use crate::image::Built;
use crate::push::small;
use std::fs;
use std::process::Command;

fn with(built: &Built) -> TestEnv {
    let env = TestEnv::new();
    let layout = env.base.join("layout");
    built.layout(&layout, "localhost/app");
    env.load(&layout);
    env
}

/// The digest of an image's manifest as box knows it.
fn digest(env: &TestEnv, name: &str) -> String {
    env.box_(&["image", "inspect", "--format", "{{.Digest}}", name]).ok()
}

#[test]
fn archives_and_back() {
    let (one, two) = (small("one"), small("two"));
    let env = with(&one);
    two.layout(&env.base.join("layout2"), "localhost/two:2");
    env.load(&env.base.join("layout2"));
    for format in ["docker-archive", "oci-archive"] {
        let path = env.base.join(format);
        let file = path.to_str().unwrap();
        assert_eq!(env.box_(&["save", "-q", "--format", format, "-o", file, "app", "two:2"]).quiet().ok(), "");
        let other = TestEnv::new();
        let loaded = other.box_(&["load", "-q", "-i", file]).ok();
        assert!(loaded.contains("localhost/app:latest") && loaded.contains("localhost/two:2"), "{loaded}");
        assert_eq!(digest(&other, "app"), one.manifest.digest.as_str(), "{format}");
        assert_eq!(digest(&other, "two:2"), two.manifest.digest.as_str(), "{format}");
        assert!(
            fs::read_dir(&env.base)
                .unwrap()
                .flatten()
                .all(|entry| !entry.file_name().to_string_lossy().contains("part"))
        );
    }
    // From a pipe to a pipe.
    let saved = env.box_(&["save", "-q", "app"]);
    saved.ends(0);
    let other = TestEnv::new();
    other.cmd(&["load", "-q"]).stdin(&saved.stdout).run().ok();
    assert_eq!(digest(&other, "app"), one.manifest.digest.as_str());
    // Packed otherwise it is the same image.
    for flag in ["--uncompressed", "--compress"] {
        let saved = env.box_(&["save", "-q", flag, "app"]);
        let other = TestEnv::new();
        other.cmd(&["load", "-q"]).stdin(&saved.stdout).run().ok();
        assert_eq!(
            other.box_(&["images", "-q", "--no-trunc"]).ok(),
            env.box_(&["images", "-q", "--no-trunc", "app"]).ok()
        );
    }
}

#[test]
fn folders() {
    let one = small("one");
    let env = with(&one);
    env.box_(&["save", "-q", "--format", "oci-dir", "-o", "lay", "app"]).ok();
    env.box_(&["push", "-q", "app", "oci:lay:other"]).ok();
    env.box_(&["push", "-q", "app", "oci:lay:other"]).ok();
    let index = fs::read_to_string(env.base.join("lay/index.json")).unwrap();
    assert_eq!(index.matches("other").count(), 1, "{index}");
    let other = TestEnv::new();
    let from = format!("oci:{}:other", env.base.join("lay").display());
    other.box_(&["pull", "-q", &from]).ok();
    assert_eq!(digest(&other, "localhost/other"), one.manifest.digest.as_str());
    env.box_(&["push", "-q", "app", "dir:folder"]).ok();
    let other = TestEnv::new();
    other.box_(&["pull", "-q", &format!("dir:{}", env.base.join("folder").display())]).ok();
    assert_eq!(other.box_(&["images", "--no-trunc", "-q"]).ok(), format!("sha256:{}", one.config.digest.digits()));
    let save = ["save", "-q", "--format", "docker-dir", "--compress", "-o", "dd", "app"];
    env.box_(&save).fails(125).says("zstd");
    env.file("full/x", "x");
    env.box_(&["push", "-q", "app", "dir:full"]).fails(125).says("something else");
}

#[test]
fn what_cannot_be_saved() {
    let env = with(&small("one"));
    env.box_(&["save", "-q", "app", "nonesuch"]).fails(125).says("nonesuch");
    env.box_(&["save", "-q", "--format", "oci-dir", "app"]).fails(125).says("stdout");
    env.box_(&["save", "-q", "-o", "/proc/nonesuch/x", "app"]).fails(125).says("/proc/nonesuch");
    env.box_(&["save", "-q", "-o", "/dev/full", "app"]).fails(125).says("cannot write");
    env.box_(&["save", "-q", "-o", "/dev/null", "app"]).ok();
}

#[test]
fn others_read_it() {
    let built = small("one");
    let env = with(&built);
    if Command::new("skopeo").arg("--version").output().is_err() {
        skip!("skopeo is missing");
    }
    env.box_(&["save", "-q", "-o", "d.tar", "app"]).ok();
    env.box_(&["save", "-q", "--format", "oci-archive", "-o", "o.tar", "app"]).ok();
    env.box_(&["save", "-q", "--format", "oci-dir", "-o", "lay", "app"]).ok();
    env.box_(&["push", "-q", "app", "dir:dir"]).ok();
    for place in ["docker-archive:d.tar", "oci-archive:o.tar", "oci:lay", "dir:dir"] {
        let copied = format!("oci:copy-{}", place.split(':').next().unwrap());
        // It would pack what is not packed; a docker archive has no manifest that could be kept, for it.
        let keep: &[&str] = if place.starts_with("docker") { &[] } else { &["--preserve-digests"] };
        let output = Command::new("skopeo")
            .args([&["--insecure-policy", "copy", "-q"], keep, &[place, &copied]].concat())
            .env("XDG_RUNTIME_DIR", env.base.join("run"))
            .current_dir(&env.base)
            .output()
            .unwrap();
        assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
        // And box reads what it has made of it.
        let other = TestEnv::new();
        let copied = format!("oci:{}", env.base.join(copied.trim_start_matches("oci:")).display());
        other.box_(&["pull", "-q", &copied]).ok();
        if !place.starts_with("docker") {
            let id = other.box_(&["images", "-q"]).ok();
            assert_eq!(digest(&other, &id), built.manifest.digest.as_str(), "{place}");
        }
    }
}
