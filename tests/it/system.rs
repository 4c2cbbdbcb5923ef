//! `box system`, and `image prune`: what there is, what could go, and what then goes.

use crate::env::{TestEnv, eventually};
use crate::image::{Image, Packed, shared_archive};
use crate::registry::Registry;
use crate::tarball::Tar;
use std::path::Path;

/// An environment with `t`, an image `u` with a layer of its own, a dangling one, and a container of `t`.
fn furnished() -> TestEnv {
    let env = TestEnv::with_image();
    for (name, size) in [("u", 3_000_000), ("gone", 2_000_000)] {
        let noise: Vec<u8> = (0..size).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let image = Image::payload().layer(Tar::new().file(name, 0o644, noise).finish());
        let file = env.base.join("more.tar");
        image.build().docker_archive(&file, &[&format!("localhost/{name}:latest")]);
        env.load(&file);
    }
    env.box_(&["untag", "gone"]).ok();
    env.box_(&["run", "--name", "c", "--network", "none", "t", "do", "write", "/f", "x"]);
    env
}

/// The blocks of a folder, as du counts them.
fn du(env: &TestEnv, paths: &[&Path]) -> u64 {
    let mut cmd = env.cmd(&["unshare", "du", "-s", "-c", "-B1"]);
    for path in paths {
        cmd.arg(path);
    }
    cmd.run().ok().lines().last().unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn line(env: &TestEnv, kind: &str, field: &str) -> u64 {
    let all = env.box_(&["system", "df", "--format", "json"]).json();
    let line = all.as_array().unwrap().iter().find(|line| line["Type"] == kind).unwrap();
    line[field].as_u64().unwrap()
}

#[test]
fn df_agrees_with_the_file_system() {
    let env = furnished();
    let folders = [env.data().join("oci/blobs"), env.data().join("layers")];
    let real = du(&env, &[&folders[0], &folders[1]]);
    let told = line(&env, "Images", "RawSize");
    assert!(told.abs_diff(real) * 100 <= real, "df says {told}, du {real}");
    assert_eq!((line(&env, "Images", "Total"), line(&env, "Images", "Active")), (3, 1));
    assert_eq!((line(&env, "Containers", "Total"), line(&env, "Containers", "Active")), (1, 0));
    let table = env.box_(&["system", "df"]).ok();
    assert!(table.starts_with("TYPE ") && table.contains("\nLocal Volumes"), "{table}");
    let verbose = env.box_(&["system", "df", "-v"]).ok();
    assert!(verbose.contains("UNIQUE SIZE") && verbose.contains("localhost/u"), "{verbose}");
    assert_eq!(
        env.box_(&["system", "df", "--format", "{{.Type}}"]).ok(),
        "Images\nContainers\nLocal Volumes\nLeftovers"
    );
}

#[test]
fn prune_frees_what_it_said_it_would() {
    let env = furnished();
    let reclaimable = |args: &[&str]| env.box_(args).ok().lines().last().unwrap().to_owned();
    let used = || du(&env, &[&env.data()]);
    for (dry, wet) in [
        (vec!["image", "prune", "--dry-run"], vec!["image", "prune", "-f"]),
        (vec!["image", "prune", "-a", "--dry-run"], vec!["image", "prune", "-a", "-f"]),
        (vec!["system", "prune", "-a", "--dry-run"], vec!["system", "prune", "-a", "-f"]),
    ] {
        let images = env.box_(&["images", "-q", "-a"]).ok();
        let said = reclaimable(&dry).replace("Would reclaim: ", "");
        assert_eq!(env.box_(&["images", "-q", "-a"]).ok(), images, "a dry run removes nothing");
        let before = used();
        let told = env.box_(&wet).ok();
        let freed = before - used();
        let unit = if said.ends_with("MB") { 1e6 } else { 1e3 };
        let said = said.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse::<f64>().unwrap() * unit;
        assert!((said - freed as f64).abs() <= said * 0.01 + 8192.0, "{wet:?}: said {said}, freed {freed}; {told}");
        assert_ne!(env.box_(&["images", "-q", "-a"]).ok(), images, "{wet:?}");
    }
    assert_eq!((env.box_(&["images", "-q"]).ok(), env.box_(&["ps", "-aq"]).ok()), (String::new(), String::new()));
}

#[test]
fn prune_asks_first_and_takes_filters() {
    let env = furnished();
    let count = || env.box_(&["images", "-q", "-a"]).ok().lines().count();
    env.cmd(&["image", "prune", "-a"]).stdin("n\n").run().ok();
    env.box_(&["image", "prune"]).fails(125).hints("-f");
    env.box_(&["image", "prune", "-af", "--filter", "until=2000-01-01"]).ok();
    env.box_(&["system", "prune", "-af", "--filter", "label=nonesuch"]).ok();
    env.box_(&["image", "prune", "-f", "--filter", "name=x"]).fails(125);
    assert_eq!(count(), 3);
    let asked = env.cmd(&["image", "prune"]).stdin("y\n").run();
    assert!(asked.err().contains("[y/N]") && asked.ok().len() == 64, "{asked}");
    assert_eq!(count(), 2);
    assert_eq!(env.box_(&["ps", "-aq"]).ok().lines().count(), 1, "containers and what they use stay");
}

#[test]
fn rmi_frees_behind_the_users_back() {
    let env = furnished();
    env.box_(&["rmi", "u"]).ok();
    eventually("the content to go", || !env.data().join("garbage").exists());
    // A collection that was killed is made up for by the next command that removes.
    std::fs::write(env.data().join("oci/blobs/sha256").join("a".repeat(64)), "stray").unwrap();
    std::fs::write(env.data().join("garbage"), "").unwrap();
    env.box_(&["rmi", "--ignore", "nonesuch"]).ok();
    eventually("the stray to go", || !env.data().join("oci/blobs/sha256").join("a".repeat(64)).exists());
}

#[test]
fn check_finds_damage_and_fetches_again() {
    let registry = Registry::start();
    let built = Image::payload().packed(Tar::new().file("more", 0o644, "more").finish(), Packed::Gzip).build();
    registry.push("app", "v1", &built);
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    let name = registry.name("app:v1");
    env.box_(&["pull", "-q", &name]).ok();
    assert_eq!(env.box_(&["system", "check"]).ok(), "");
    let shell = |script: &str| env.cmd(&["unshare", "sh", "-c", script]).run().ok();
    let blob = |digits: &str| env.data().join("oci/blobs/sha256").join(digits);
    let harms = [
        ("a blob", format!("echo x > {}", blob(built.layers[1].digest.digits()).display()), "has 2 bytes, not"),
        ("a missing blob", format!("rm {}", blob(built.layers[0].digest.digits()).display()), "is missing"),
        ("the config", format!("echo x > {}", blob(built.config.digest.digits()).display()), "blob sha256:"),
        ("the manifest", format!("rm {}", blob(built.manifest.digest.digits()).display()), "is missing"),
        ("a file", format!("for f in {}/layers/*/more; do echo x > $f; done", env.data().display()), "`/more` has"),
        ("an owner", format!("chown 1:1 {}/layers/*/data", env.data().display()), "`/data` has another owner"),
        ("a layer", format!("rm -r {}/layers/*/bin", env.data().display()), "`/` has other entries"),
    ];
    for (what, script, says) in harms {
        shell(&script);
        let found = env.box_(&["system", "check"]);
        found.ends(125).says("damaged").hints("--repair");
        assert!(found.out().contains(says), "{what}: {found}");
        let repaired = env.box_(&["system", "check", "--repair"]);
        assert!(repaired.ok().contains(": repaired"), "{what}: {repaired}");
        assert_eq!(env.box_(&["system", "check"]).ok(), "", "{what}");
        assert_eq!(
            env.box_(&["run", "--rm", "--network", "none", &name, "cat", "/more", "/data"]).ok(),
            "moreof the image"
        );
    }
    // What came from no registry cannot be fetched.
    env.load(&shared_archive());
    shell(&format!("cd {} && rm -r oci/blobs/sha256 && mkdir oci/blobs/sha256", env.data().display()));
    let outcome = env.box_(&["system", "check", "--repair"]);
    outcome.ends(125);
    assert!(outcome.out().contains("came from no registry") && outcome.out().contains(": repaired"), "{outcome}");
    // Then it goes, if that is wanted, and what was put right stays.
    env.box_(&["system", "check", "--force"]).fails(125).says("--repair");
    let outcome = env.box_(&["system", "check", "--repair", "--force"]);
    assert!(outcome.ok().ends_with("localhost/t:latest: removed"), "{outcome}");
    assert_eq!(env.box_(&["system", "check"]).ok(), "");
    assert_eq!(env.box_(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok(), name);
}

#[test]
fn reset_leaves_nothing() {
    let env = TestEnv::with_image();
    env.background("up", &["-v", "kept:/volume"], &["pause"]);
    env.cmd(&["secret", "create", "s", "-"]).stdin("value").run().ok();
    env.cmd(&["system", "reset"]).stdin("n\n").run().ok();
    assert_eq!(env.box_(&["ps", "-q"]).ok().lines().count(), 1, "nothing was agreed to");
    std::fs::write(env.data().join("somebody's"), "kept").unwrap();
    env.cmd(&["system", "reset"]).stdin("y\n").run().ok();
    let left: Vec<_> = std::fs::read_dir(env.data()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["somebody's"]);
    for what in [["ps", "-aq"], ["images", "-aq"], ["volume", "ls"]] {
        assert!(!env.box_(&what).ok().contains("kept"), "{what:?}");
    }
    // And on it goes.
    env.load(&crate::image::shared_archive());
    env.inside(&[], &["true"]).ok();
    env.box_(&["system", "reset", "-f"]).ok();
}
