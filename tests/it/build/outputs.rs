//! What becomes of a result.

use super::context;
use crate::env::TestEnv;
use crate::registry::Registry;
use std::os::unix::fs::MetadataExt;

const TEXT: &str =
    "FROM scratch AS files\nCOPY --chown=1000:50 --chmod=640 file /sub/file\nFROM t\nCOPY --from=files / /\n";

fn made() -> TestEnv {
    let env = TestEnv::with_image();
    context(&env, TEXT, &[("file", "content")]);
    env
}

#[test]
fn files_are_the_callers() {
    let env = made();
    let out = env.base.join("out");
    let before = env.box_(&["images", "-a", "-q"]).ok();
    for output in ["out", "type=local,dest=out"] {
        let outcome = env.box_(&["build", "--target", "files", "-o", output, "c"]);
        assert_eq!(outcome.ok(), "", "there is no image, and so no id");
        let meta = std::fs::metadata(out.join("sub/file")).unwrap();
        let home = std::fs::metadata(&env.base).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (home.uid(), home.gid(), 0o640));
        assert_eq!(std::fs::read_to_string(out.join("sub/file")).unwrap(), "content");
    }
    assert_eq!(env.box_(&["images", "-a", "-q"]).ok(), before, "an image was left that nobody asked for");
    // All of an image, links too; what was there stays.
    std::fs::write(out.join("mine"), "mine").unwrap();
    env.box_(&["build", "-q", "-o", "out", "-t", "kept", "c"]).ok();
    assert_eq!(std::fs::read_link(out.join("bin/echo")).unwrap().to_str(), Some("payload"));
    assert_eq!(std::fs::read_to_string(out.join("mine")).unwrap(), "mine");
    env.box_(&["image", "exists", "kept"]).ok();
    // A link that is in the way is replaced, not followed.
    std::fs::remove_dir_all(&out).unwrap();
    std::fs::create_dir_all(env.base.join("elsewhere")).unwrap();
    std::fs::create_dir_all(&out).unwrap();
    std::os::unix::fs::symlink(env.base.join("elsewhere"), out.join("sub")).unwrap();
    let outcome = env.box_(&["build", "-q", "--target", "files", "-o", "out", "c"]);
    assert!(!env.base.join("elsewhere/file").exists(), "{outcome}");
    env.box_(&["build", "-o", "c/Dockerfile", "c"]).fails(125).says("cannot write files to `c/Dockerfile`");
}

#[test]
fn archives_go_to_files_and_to_stdout() {
    let env = made();
    let names = |bytes: &[u8]| -> Vec<String> {
        let mut archive = tar::Archive::new(bytes);
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    };
    env.box_(&["build", "-q", "--target", "files", "-o", "type=tar,dest=files.tar", "c"]).ok();
    let file = std::fs::read(env.base.join("files.tar")).unwrap();
    assert_eq!(names(&file), ["sub/", "sub/file"]);
    let mut archive = tar::Archive::new(file.as_slice());
    let entry = archive.entries().unwrap().nth(1).unwrap().unwrap();
    assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (1000, 50));
    let outcome = env.box_(&["build", "--target", "files", "-o", "-", "c"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_eq!(outcome.stdout, file, "stdout has the archive and nothing else");
    env.box_(&["build", "-q", "-t", "app", "-o", "type=docker,dest=app.tar", "c"]).ok();
    assert!(names(&std::fs::read(env.base.join("app.tar")).unwrap()).contains(&"manifest.json".to_owned()));
    env.box_(&["build", "-q", "-t", "app", "-o", "type=oci,dest=layout,tar=false", "c"]).ok();
    assert!(env.base.join("layout/index.json").exists());
    env.box_(&["rmi", "app"]).ok();
    assert!(env.box_(&["load", "-i", "app.tar"]).ok().contains("localhost/app:latest"));
    let outcome = env.box_(&["build", "-q", "-o", "type=tar,dest=nowhere/x.tar", "c"]);
    outcome.fails(125).says("cannot write the archive `nowhere/x.tar`");
    assert!(!env.base.join("nowhere").exists());
}

#[test]
fn images_go_to_registries() {
    let (registry, env) = (Registry::start(), made());
    env.file("config/containers/registries.conf", registry.conf());
    let (one, two) = (registry.name("team/app:1"), registry.name("team/app:2"));
    env.box_(&["build", "-q", "-t", &one, "--push", "--metadata-file", "m.json", "c"]).ok();
    let manifest = registry.manifest("team/app", "1").unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&std::fs::read(env.base.join("m.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.digest"], manifest.digest.as_str());
    let document: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let packed = |layer: &serde_json::Value| layer["mediaType"].as_str().is_some_and(|kind| kind.ends_with("+gzip"));
    assert!(document["layers"].as_array().unwrap().iter().all(packed), "{document:#}");
    env.box_(&["build", "-q", "-o", &format!("type=registry,name={two},compression=zstd"), "c"]).ok();
    let document = String::from_utf8(registry.manifest("team/app", "2").unwrap().bytes).unwrap();
    assert!(document.contains("+zstd") && !document.contains("+gzip"), "{document}");
    env.box_(&["build", "-q", "--push", "c"]).fails(125).says("cannot push an image without a name");
    env.box_(&["build", "-q", "-o", "type=cacheonly", "c"]).ok();
}
