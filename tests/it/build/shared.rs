//! `--cache-to` and `--cache-from`: what one store has built, another does not build again.

use super::context;
use crate::env::TestEnv;
use crate::registry::Registry;

const DOCKERFILE: &str = "FROM t AS builder\nCOPY a /a\nRUN [\"write\", \"/made\", \"one\"]\n\
                          FROM t\nCOPY --from=builder /made /made\nRUN [\"true\"]\n";

/// A store with the image `t` and the context.
fn other(registry: &Registry, dockerfile: &str) -> TestEnv {
    let env = TestEnv::with_image();
    env.file("config/containers/registries.conf", registry.conf());
    context(&env, dockerfile, &[("a", "one")]);
    env
}

/// How many steps of the Dockerfile were known, and how many there are.
fn cached(shown: &str) -> (usize, usize) {
    let step = |line: &&str| line.contains("] RUN") || line.contains("] COPY");
    let numbers: Vec<&str> = shown.lines().filter(step).filter_map(|line| line.split(' ').next()).collect();
    let known = |number: &&&str| shown.lines().any(|line| line == format!("{number} CACHED"));
    (numbers.iter().filter(known).count(), numbers.len())
}

fn build(env: &TestEnv, words: &[&str]) -> (String, String) {
    let words = [&["build", "--progress", "plain", "--network", "none", "-t", "app"], words, &["c"]].concat();
    let outcome = env.box_(&words);
    (outcome.ok(), outcome.err())
}

#[test]
fn a_registry_lends_all_steps_or_those_of_the_image() {
    let registry = Registry::start();
    let (one, two, three) = (other(&registry, DOCKERFILE), other(&registry, DOCKERFILE), other(&registry, DOCKERFILE));
    let (max, min) = (registry.name("team/cache:max"), registry.name("team/cache"));
    let to_max = format!("type=registry,ref={max},mode=max");
    let (id, shown) = build(&one, &["--cache-to", &to_max, "--cache-to", &min]);
    assert_eq!(cached(&shown), (0, 4), "{shown}");
    let asked = registry.count("/blobs/");
    let (same, shown) = build(&two, &["--cache-from", &format!("type=registry,ref={max}")]);
    assert_eq!((cached(&shown), &same), ((4, 4), &id), "{shown}");
    // The builder's two layers stay where they are: the list of results, and the image's one own layer that has files.
    assert_eq!(registry.count("/blobs/") - asked, 2, "{:#?}", registry.asked());
    assert_eq!(two.box_(&["run", "--rm", "--network", "none", "app", "cat", "/made"]).ok(), "one");
    // What came is known from now on.
    let (_, shown) = build(&two, &["--target", "builder", "--cache-from", &max]);
    assert_eq!(cached(&shown), (2, 2), "{shown}");
    let (same, shown) = build(&three, &["--cache-from", &min]);
    assert_eq!((cached(&shown), &same), ((2, 4), &id), "the builder's are executed: {shown}");
    // As BuildKit reads it.
    let manifest: serde_json::Value =
        serde_json::from_slice(&registry.manifest("team/cache", "max").unwrap().bytes).unwrap();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.buildkit.cacheconfig.v0");
    let config = registry.blob(manifest["config"]["digest"].as_str().unwrap());
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["layers"][0]["blob"], manifest["layers"][0]["digest"]);
    assert!(config["records"].as_array().unwrap().iter().all(|record| record["digest"].is_string()));
    // It is no image.
    two.box_(&["pull", &max]).fails(125).says("it is not a container image");
}

#[test]
fn a_folder_and_an_image_lend_theirs_too() {
    let registry = Registry::start();
    let (one, two) = (other(&registry, DOCKERFILE), other(&registry, DOCKERFILE));
    let folder = one.base.join("cache").display().to_string();
    let (id, _) = build(&one, &["--cache-to", &format!("type=local,dest={folder},mode=max")]);
    let (same, shown) = build(&two, &["--cache-from", &format!("type=local,src={folder}")]);
    assert_eq!((cached(&shown), same), ((4, 4), id), "{shown}");

    let name = registry.name("team/app:1");
    let plain = "FROM t\nCOPY a /a\nRUN [\"write\", \"/made\", \"one\"]\n";
    let (one, two) = (other(&registry, plain), other(&registry, plain));
    build(&one, &["-t", &name, "--cache-to", "type=inline"]);
    one.box_(&["push", "-q", &name]).ok();
    let (_, shown) = build(&two, &["--cache-from", &name]);
    assert_eq!(cached(&shown), (2, 2), "{shown}");
    // Another file is another key.
    two.file("c/a", "two");
    assert_eq!(cached(&build(&two, &["--cache-from", &name]).1), (0, 2));
}

#[test]
fn a_cache_that_cannot_be_had_is_told() {
    let registry = Registry::start();
    let env = other(&registry, "FROM t\nCOPY a /a\n");
    let none = registry.name("team/none");
    let (_, shown) = build(&env, &["--cache-from", &none]);
    assert!(shown.contains(&format!("cannot use the cache `{none}")), "{shown}");
    let (_, shown) = build(&env, &["--cache-from", "type=local,src=nowhere"]);
    assert!(shown.contains("cannot use the cache `nowhere`"), "{shown}");
    env.file("file", "");
    let words = ["build", "--cache-to", "type=local,dest=file/below", "c"];
    env.box_(&words).fails(125).says("cannot write the cache `file/below`");
    let (_, shown) = build(&env, &["--cache-to", "type=local,dest=file/below,ignore-error=true"]);
    assert!(shown.contains("cannot write the cache `file/below`"), "{shown}");
}

/// A server of another maker's, over TLS.
#[test]
fn debians_registry_keeps_results_and_cache_mounts() {
    let one = TestEnv::with_image();
    let Some(server) = crate::interop::start(&one, false) else { skip!("docker-registry or openssl is missing") };
    let two = TestEnv::with_image();
    let trusted = format!("config/containers/certs.d/{}/ca.crt", server.host);
    two.file(&trusted, std::fs::read(one.base.join(&trusted)).unwrap());
    let dockerfile = "FROM t AS builder\nCOPY a /a\n\
        RUN --mount=type=cache,target=/keep [\"write\", \"/keep/word\", \"kept\"]\n\
        FROM t\nCOPY --from=builder /a /b\nRUN [\"true\"]\n";
    for env in [&one, &two] {
        context(env, dockerfile, &[("a", "one")]);
    }
    let there = |name: &str| format!("{}/team/{name}", server.host);
    let to = format!("type=registry,ref={},mode=max", there("cache:1"));
    let (id, shown) = build(&one, &["--cache-to", &to, "--cache-mount-to", &there("mounts:1")]);
    assert_eq!(cached(&shown), (0, 4), "{shown}");
    let (same, shown) = build(&two, &["--cache-from", &there("cache:1")]);
    assert_eq!((cached(&shown), same), ((4, 4), id), "{shown}");
    // What came is known from now on.
    let (_, shown) = build(&two, &[]);
    assert_eq!(cached(&shown).0, 3, "but for the cache mount's step, which left no layer behind: {shown}");
}

#[test]
fn cache_mounts_go_to_another_machine() {
    let registry = Registry::start();
    let dockerfile = "FROM t\nRUN --mount=type=cache,target=/keep [\"write\", \"/keep/word\", \"kept\"]\n\
        RUN --mount=type=cache,id=other,target=/o,uid=7,mode=0750 [\"write\", \"/o/x\", \"o\"]\n";
    let look = "FROM t\nRUN --mount=type=cache,target=/keep [\"cat\", \"/keep/word\"]\n";
    let (one, two) = (other(&registry, dockerfile), other(&registry, look));
    let (name, folder) = (registry.name("team/mounts"), one.base.join("mounts").display().to_string());
    build(&one, &["--cache-mount-to", &name, "--cache-mount-to", &format!("type=local,dest={folder},id=/keep")]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&registry.manifest("team/mounts", "latest").unwrap().bytes).unwrap();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.box.cachemounts.v1+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    // Without it there is nothing; with it there is, and what is there already stays.
    two.box_(&["build", "--network", "none", "c"]).fails(1);
    two.box_(&["builder", "prune", "-a", "-f"]).ok();
    let (_, shown) = build(&two, &["--cache-mount-from", &name]);
    assert!(shown.contains(" kept"), "{shown}");
    context(&two, &dockerfile.replace("kept", "newer"), &[]);
    build(&two, &[]);
    context(&two, look, &[]);
    let (_, shown) = build(&two, &["--no-cache", "--cache-mount-from", &format!("type=local,src={folder}")]);
    assert!(shown.contains(" newer"), "{shown}");
    // Only those that are asked for come.
    let three = other(&registry, look);
    let words =
        ["build", "--network", "none", "--cache-mount-from", &format!("type=registry,ref={name},id=other"), "c"];
    three.box_(&words).fails(1);
    let words = ["build", "--network", "none", "--cache-mount-to", "type=local,dest=d,id=none", "c"];
    two.box_(&words).fails(125).says("no step of this build uses the cache `none`").hints("/keep");
}
