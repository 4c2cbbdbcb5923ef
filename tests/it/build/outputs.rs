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

#[test]
fn provenance_is_attached_as_buildkit_does() {
    let (registry, env) = (Registry::start(), made());
    env.file("config/containers/registries.conf", registry.conf());
    let name = registry.name("team/app:1");
    let words = ["build", "-q", "-t", &name, "--push", "--provenance=mode=max", "--build-arg", "A=b", "c"];
    env.box_(&words).ok();
    // Packed anew it would be another image than the attestation says.
    let packed = format!("type=registry,name={name},compression=zstd");
    env.box_(&["build", "-q", "-t", &name, "-o", &packed, "--provenance=mode=max", "c"])
        .fails(125)
        .says("an attestation speaks of");
    let list: serde_json::Value = serde_json::from_slice(&registry.manifest("team/app", "1").unwrap().bytes).unwrap();
    let rows = list["manifests"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{list:#}");
    assert_eq!(rows[1]["annotations"]["vnd.docker.reference.type"], "attestation-manifest");
    assert_eq!(rows[1]["annotations"]["vnd.docker.reference.digest"], rows[0]["digest"]);
    assert_eq!(rows[1]["platform"]["architecture"], "unknown");
    let shown = env.box_(&["image", "attestation", &name]).ok();
    assert!(shown.contains("https://slsa.dev/provenance/v1"), "{shown}");
    let manifest = registry.manifest("team/app", rows[1]["digest"].as_str().unwrap()).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap();
    let statement = env.box_(&["image", "attestation", &name, digest]).json();
    assert_eq!(format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap()), rows[0]["digest"]);
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["request"]["args"]["build-arg:A"], "b");
    assert!(definition["resolvedDependencies"][0]["uri"].as_str().unwrap().starts_with("pkg:docker/t@"));
    // The name runs as ever.
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", &name, "cat", "/sub/file"]).ok(), "content");
    env.box_(&["build", "-q", "--provenance", "c"]).fails(125).says("one with a name").hints("-t NAME");
    env.box_(&["build", "-q", "--sbom=false", "--attest", "type=provenance,disabled=true", "c"]).ok();
}

#[test]
fn several_platforms_make_a_list() {
    let env = TestEnv::new();
    context(&env, "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", &[("amd64", "a"), ("arm64", "b")]);
    let words = ["build", "-q", "-t", "app", "--platform", "linux/amd64,linux/arm64", "--metadata-file", "m.json", "c"];
    assert_eq!(env.box_(&words).ok().lines().count(), 2);
    let list = env.box_(&["manifest", "inspect", "app"]).json();
    let platforms: Vec<_> =
        list["manifests"].as_array().unwrap().iter().map(|row| &row["platform"]["architecture"]).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let metadata: serde_json::Value = serde_json::from_slice(&std::fs::read(env.base.join("m.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.descriptor"]["mediaType"], "application/vnd.oci.image.index.v1+json");
    env.box_(&["build", "-q", "--platform", "linux/amd64,linux/arm64", "-o", "out", "c"]).ok();
    let read = |name: &str| std::fs::read_to_string(env.base.join("out").join(name).join("arch")).unwrap();
    assert_eq!((read("linux_amd64").as_str(), read("linux_arm64").as_str()), ("a", "b"));
    env.box_(&["build", "--iidfile", "id", "--platform", "linux/amd64,linux/arm64", "c"])
        .fails(125)
        .says("`--iidfile`");
}

#[test]
fn results_are_added_to_a_list() {
    let env = TestEnv::new();
    context(&env, "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", &[("amd64", "a"), ("arm64", "b")]);
    let rows = |list: &str| {
        let found = env.box_(&["manifest", "inspect", list]).json();
        let rows = found["manifests"].as_array().unwrap().clone();
        rows.iter().map(|row| row["platform"]["architecture"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    env.box_(&["build", "-q", "--manifest", "list", "--platform", "linux/arm64", "c"]).ok();
    assert_eq!(rows("list"), ["arm64"]);
    // Another build adds to it, under a name of its own.
    env.box_(&["build", "-q", "--manifest", "list", "-t", "app", "--platform", "linux/amd64", "c"]).ok();
    assert_eq!(rows("list"), ["arm64", "amd64"]);
    let names = env.box_(&["images", "--format", "{{.Repository}}"]).ok();
    assert!(names.contains("localhost/app") && names.contains("localhost/list") && !names.contains("none"), "{names}");
    env.box_(&["build", "-q", "--manifest", "app", "c"]).fails(125).says("there is an image `localhost/app:latest`");
}
