//! `--platform`: choosing from lists, several platforms of one name, and programs for another processor.

use crate::env::TestEnv;
use crate::image::{Blob, Built, Image};
use crate::registry::Registry;
use crate::skip::is_root;
use crate::tarball::Tar;
use serde_json::json;

/// A program for arm64 that says "from arm64" and ends with 7: an ELF header, one segment, ten instructions.
fn arm64_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const TEXT: &[u8] = b"from arm64";
    let code_at = 64 + 56;
    let code: [u32; 8] = [
        0xd280_0020,                                  // mov x0, 1
        0x1000_0000 | ((8 - 1) << 5) | 1,             // adr x1, the text behind the code
        0xd280_0000 | ((TEXT.len() as u32) << 5) | 2, // mov x2, its length
        0xd280_0000 | (64 << 5) | 8,                  // mov x8, write
        0xd400_0001,                                  // svc 0
        0xd280_0000 | (7 << 5),                       // mov x0, 7
        0xd280_0000 | (93 << 5) | 8,                  // mov x8, exit
        0xd400_0001,                                  // svc 0
    ];
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2u16, 183].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend([BASE + code_at, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
    let length = code_at + 4 * code.len() as u64 + TEXT.len() as u64;
    file.extend([1u32, 5].map(u32::to_le_bytes).concat());
    file.extend([0, BASE, BASE, length, length, 0x1000].map(u64::to_le_bytes).concat());
    file.extend(code.map(u32::to_le_bytes).concat());
    file.extend(TEXT);
    file
}

fn for_platform(mut image: Image, architecture: &str) -> Built {
    image.config["architecture"] = json!(architecture);
    image.build()
}

/// A registry with a list of an image for this machine and one for another, and an environment that may ask it.
fn registry(other: &str) -> (Registry, TestEnv, String) {
    let registry = Registry::start();
    let ours = Image::payload().with("Cmd", json!(["echo", "from here"])).build();
    let theirs = Image::empty().layer(Tar::new().file("hello", 0o755, arm64_program()).finish());
    let theirs = for_platform(theirs.with("Cmd", json!(["/hello"])), other);
    let mut entries = Vec::new();
    for (built, architecture) in [(&ours, "amd64"), (&theirs, other)] {
        registry.push("app", architecture, built);
        let mut entry = built.manifest.descriptor();
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push(entry);
    }
    let index = "application/vnd.oci.image.index.v1+json";
    let list = json!({"schemaVersion": 2, "mediaType": index, "manifests": entries});
    registry.push_manifest("app", "both", &Blob::new(index, list.to_string()));
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    let name = registry.name("app:both");
    (registry, env, name)
}

#[test]
fn several_of_one_name() {
    let (registry, env, name) = registry("386");
    let arch = |args: &[&str]| env.box_(&[args, &["--format", "{{.Architecture}}", &name]].concat()).ok();
    env.box_(&["pull", "-q", &name]).ok();
    env.box_(&["pull", "-q", "--platform", "linux/386", &name]).ok();
    // The name is that of the last; the other stays, and is what this machine's containers are made from.
    assert_eq!(arch(&["image", "inspect"]), "386");
    assert_eq!(env.box_(&["images", "-q"]).ok().lines().count(), 2);
    let before = registry.count("/manifests/");
    let run = env.box_(&["run", "--rm", "--network", "none", &name]);
    assert_eq!((run.ok().as_str(), run.err().as_str()), ("from here", ""));
    for flags in [&["--platform", "linux/386"][..], &["--arch", "i686"], &["--os=linux", "--arch=i386"]] {
        let id = env.box_(&[&["create", "--pull=never"], flags, &[&name]].concat());
        let shown = env.box_(&["inspect", "--format", "{{.ImageDigest}}", &id.ok()]);
        assert_eq!(shown.ok(), env.box_(&["image", "inspect", "--format", "{{.Digest}}", &name]).ok(), "{flags:?}");
    }
    assert_eq!(registry.count("/manifests/"), before, "what is there is not asked for");
    env.box_(&["create", "--pull=never", "--arch", "s390x", &name]).fails(125).says("for linux/s390x");
    env.box_(&["run", "--rm", "--arch", "s390x", &name]).fails(125).says("there is no image for linux/s390x");
    env.box_(&["run", "--platform", "linux/386", "--arch", "arm", &name]).fails(125).says("`--platform` says it all");
    env.box_(&["run", "--platform", "a/b/c/d", &name]).fails(125).says("is not a platform");
}

#[test]
fn programs_for_another_processor() {
    if is_root() {
        skip!("wants an ordinary user: binfmt_misc of the host is everybody's");
    }
    let (_registry, env, name) = registry("arm64");
    let run = |args: &[&str]| env.box_(&[&["run", "--rm", "--network", "none"], args].concat());
    let outcome = run(&["-q", "--platform", "linux/arm64", &name]);
    assert_eq!((outcome.ends(7).out().as_str(), outcome.err().as_str()), ("from arm64", ""));
    // Without the flag it is told.
    let outcome = run(&[&env.box_(&["images", "-q"]).ok()]);
    outcome.ends(7).says("the image is for linux/arm64, and this host is linux/amd64");
    assert_eq!(outcome.out(), "from arm64");
    // In a user namespace of its own; started again; exec.
    assert_eq!(run(&["--userns", "auto", "--arch", "arm64", &name]).ends(7).out(), "from arm64");
    env.box_(&["create", "--name", "c", "--network", "none", "--arch", "arm64", &name]).ok();
    for _ in 0..2 {
        assert_eq!(env.box_(&["start", "-a", "c"]).ends(7).out(), "from arm64");
    }
    // Nobody in a container may change what is registered.
    run(&["--arch", "amd64", &name, "do", "write", "/proc/sys/fs/binfmt_misc/register", "x"]).ends(1);
}

#[test]
fn no_emulator() {
    let (_registry, env, name) = registry("arm64");
    let mut foreign = Image::payload();
    foreign.config["architecture"] = json!("sparc64");
    let file = env.base.join("sparc.tar");
    foreign.build().docker_archive(&file, &["sparc:1"]);
    env.load(&file);
    env.box_(&["create", "sparc:1"]).fails(125).says("cannot run programs for linux/sparc64 on linux/amd64");
    if is_root() {
        let outcome = env.box_(&["create", "--arch", "arm64", &name]);
        outcome.fails(125).says("`qemu-aarch64` is not registered").says("qemu-user-static");
    }
}

#[test]
fn one_of_several_leaves() {
    let (registry, env, name) = registry("386");
    for platform in ["linux/amd64", "linux/386"] {
        env.box_(&["pull", "-q", "--platform", platform, &name]).ok();
    }
    let digest = |of: &str| registry.manifest("app", of).unwrap().digest;
    // Each by itself: what is pushed and saved is what came.
    for (platform, arch) in [("linux/amd64", "amd64"), ("linux/386", "386")] {
        env.box_(&["push", "-q", "--platform", platform, &name, &registry.name("one:1")]).ok();
        assert_eq!(registry.manifest("one", "1").unwrap().digest, digest(arch), "{platform}");
        env.box_(&["save", "-q", "--platform", platform, "-o", "saved.tar", &name]).ok();
        let index = env.other("/bin/tar".as_ref()).args(&["-xOf", "saved.tar", "index.json"]).run().ok();
        assert!(index.contains(digest(arch).as_str()), "{platform}: {index}");
    }
    for verb in [&["push", &name, "oci:out"][..], &["save", "-o", "no.tar", &name], &["rmi", &name]] {
        let words = [&verb[..1], &["--platform", "linux/s390x"], &verb[1..]].concat();
        env.box_(&words).says("not for linux/s390x").hints("pull --platform linux/s390x");
    }
    env.box_(&["push", "--platform", "a/b/c/d", &name]).fails(125).says("is not a platform");
    // The tree of them, and one that goes: the other keeps the name.
    let tree = env.box_(&["images", "--tree"]).ok();
    let lines: Vec<&str> = tree.lines().collect();
    assert!(lines[0].starts_with("IMAGE ") && lines[1].starts_with(&name), "{tree}");
    assert!(lines[2].starts_with("├─ linux/amd64") && lines[3].starts_with("└─ linux/386"), "{tree}");
    env.box_(&["rmi", "--platform", "linux/amd64", &name]).ok();
    assert_eq!(env.box_(&["image", "inspect", "--format", "{{.Architecture}}", &name]).ok(), "386");
    assert_eq!(env.box_(&["images", "-q"]).ok().lines().count(), 1);
    let tree = env.box_(&["images", "--tree", "app*"]).ok();
    let gone = tree.lines().find(|line| line.contains("linux/amd64")).unwrap_or_default();
    assert!(gone.split_whitespace().any(|word| word == "0B"), "what is not here is said: {tree}");
    assert_eq!(env.box_(&["images", "--tree", "-n", "nonesuch"]).ok(), "");
    env.box_(&["rmi", "--platform", "linux/386", &name]).ok();
    assert_eq!(env.box_(&["images", "-q"]).ok(), "");
}

#[test]
fn a_list_is_loaded_for_a_platform_and_loses_one() {
    let (_registry, env, name) = registry("386");
    env.box_(&["manifest", "create", "--all", "mine", &name]).ok();
    let entries =
        |env: &TestEnv| env.box_(&["manifest", "inspect", "mine"]).json()["manifests"].as_array().unwrap().len();
    assert_eq!(entries(&env), 2);
    env.box_(&["save", "-q", "--platform", "linux/386", "-o", "saved.tar", "mine"]).ok();
    env.box_(&["rmi", "--platform", "linux/386", "mine"]).ok();
    assert_eq!(entries(&env), 1);
    env.box_(&["rmi", "--platform", "linux/386", "mine"]).fails(1).says("linux/386");
    // An archive of a list: the image that was asked for comes.
    let (registry, other, name) = self::registry("386");
    let copied = other
        .other("skopeo".as_ref())
        .args(&["--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false"])
        .arg(format!("docker://{name}"))
        .arg("oci:layout:app")
        .run();
    drop(registry);
    if copied.code != 0 {
        skip!("skopeo is missing: {copied}");
    }
    for arch in ["386", "amd64"] {
        other.box_(&["load", "-q", "--platform", &format!("linux/{arch}"), "-i", "layout"]).ok();
        assert_eq!(other.box_(&["image", "inspect", "--format", "{{.Architecture}}", "app"]).ok(), arch);
    }
    other.box_(&["load", "-q", "--platform", "linux/s390x", "-i", "layout"]).fails(125).says("linux/s390x");
}
