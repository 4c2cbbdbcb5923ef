//! Stores as earlier formats wrote them: each is kept as an archive, and today's program works with all that is in it.
//!
//! `BOX_TEST_GOLDEN=NAME cargo test --test it -- golden::` adds one of today's format as `tests/data/golden/NAME.tar.gz`;
//! a released format's archive is never written again.

use crate::env::TestEnv;
use crate::image::Image;
use crate::tarball::Tar;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden")
}

fn tar(words: &[&str]) {
    let outcome = std::process::Command::new("tar").args(words).output().unwrap();
    assert!(outcome.status.success(), "{words:?}: {}", String::from_utf8_lossy(&outcome.stderr));
}

/// Some of everything. Its image holds no program, so that the archive is small: one is lent when it is run.
fn make(env: &TestEnv) {
    let layer = Tar::new().folder("etc", 0o755).file("etc/file", 0o644, "of the image").link("etc/link", "file");
    let file = env.base.join("golden.tar");
    let image = Image::empty().layer(layer.finish()).layer(Tar::new().file("etc/.wh.none", 0o644, "").finish());
    image.build().docker_archive(&file, &["localhost/golden:latest"]);
    env.load(&file);
    env.box_(&["tag", "golden", "localhost/second:tag"]).ok();
    env.box_(&["volume", "create", "--label", "a=b", "data"]).ok();
    let files = Tar::new().file("kept", 0o644, "in the volume").finish();
    env.cmd(&["volume", "import", "data", "-"]).stdin(files).run().ok();
    env.box_(&["network", "create", "--label", "c=d", "net"]).ok();
    env.cmd(&["secret", "create", "word", "-"]).stdin("secret").run().ok();
    let words = ["create", "--name", "old", "--network", "none", "--secret", "word", "-l", "e=f", "-v", "data:/d"];
    env.box_(&[&words[..], &["golden", "/payload"]].concat()).ok();
    env.cmd(&["cp", "-", "old:/etc"]).stdin(Tar::new().file("changed", 0o644, "by cp").finish()).run().ok();
}

/// Everything is there, can be used, and goes.
fn examine(env: &TestEnv) {
    assert_eq!(env.box_(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().lines().count(), 2);
    env.box_(&["system", "check"]).ok();
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.Names}} {{.State}} {{.Labels.e}}"]).ok(), "old created f");
    assert_eq!(env.box_(&["volume", "inspect", "-f", "{{.Labels.a}}", "data"]).ok(), "b");
    assert_eq!(env.box_(&["network", "inspect", "-f", "{{.labels.c}}", "net"]).ok(), "d");
    assert_eq!(env.box_(&["secret", "inspect", "--showsecret", "-f", "{{.SecretData}}", "word"]).ok(), "secret");
    let tar = env.box_(&["volume", "export", "data"]);
    assert!(String::from_utf8_lossy(&tar.stdout).contains("in the volume"));
    assert!(env.box_(&["diff", "old"]).ok().contains("A /etc/changed"));
    env.box_(&["cp", "old:/etc/changed", "out"]).ok();
    assert_eq!(std::fs::read(env.base.join("out")).unwrap(), b"by cp");
    env.box_(&["commit", "-q", "old", "localhost/third"]).ok();
    env.box_(&["rename", "old", "new"]).ok();
    let program = format!("{}:/payload:ro", crate::image::payload_program().display());
    let run = ["run", "--rm", "--network", "none", "--volumes-from", "new", "-v", &program];
    let run = [&run[..], &["localhost/third", "/payload", "cat", "/etc/link", "/etc/changed", "/d/kept"]].concat();
    assert_eq!(env.box_(&run).ok(), "of the imageby cpin the volume");
    env.box_(&["rm", "new"]).ok();
    env.box_(&["volume", "rm", "data"]).ok();
    env.box_(&["network", "rm", "net"]).ok();
    env.box_(&["secret", "rm", "word"]).ok();
    super::reliability::no_image_stays(env, "a golden store");
}

#[test]
fn todays_store_is_of_use() {
    let env = TestEnv::new();
    make(&env);
    if let Some(name) = std::env::var_os("BOX_TEST_GOLDEN") {
        let file = folder().join(name).with_extension("tar.gz");
        std::fs::create_dir_all(folder()).unwrap();
        assert!(!file.exists(), "`{}` is a released format", file.display());
        let data = env.base.join("data");
        tar(&[
            "--exclude=*/work/work",
            "--owner=0",
            "--group=0",
            "--sort=name",
            "-C",
            data.to_str().unwrap(),
            "-czf",
            file.to_str().unwrap(),
            "box",
        ]);
    }
    examine(&env);
}

#[test]
fn stores_of_earlier_formats_are_of_use() {
    let archives: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(!archives.is_empty());
    for archive in archives {
        let env = TestEnv::new();
        let data = env.base.join("data");
        tar(&["--no-same-owner", "-C", data.to_str().unwrap(), "-xzpf", archive.to_str().unwrap()]);
        examine(&env);
    }
}
