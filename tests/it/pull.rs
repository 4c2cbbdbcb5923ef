//! `box pull` from a registry: what works, and what a registry that lies, stalls or fails gets.

use crate::env::TestEnv;
use crate::image::{Blob, Built, Image, Packed, architecture, write_layout};
use crate::outcome::Outcome;
use crate::registry::{Answer, Auth, Body, Registry, base64, part};
use crate::tarball::Tar;
use serde_json::json;

/// A small image that holds nothing to run.
fn small(word: &str) -> Built {
    let layer = |name: &str| Tar::new().file(name, 0o644, format!("{name} of {word}\n").repeat(5000)).finish();
    Image::empty().packed(layer("one"), Packed::Gzip).packed(layer("two"), Packed::Zstd).layer(layer("three")).build()
}

/// An empty environment that may talk plain HTTP to these registries.
fn env_for(registries: &[&Registry]) -> TestEnv {
    let env = TestEnv::new();
    let conf: String = registries.iter().map(|registry| registry.conf()).collect();
    env.file("config/containers/registries.conf", conf);
    env
}

/// Nothing of a failed pull may be listed, or left in the store.
#[track_caller]
fn nothing_came(env: &TestEnv, outcome: &Outcome) {
    outcome.fails(125);
    assert_eq!(env.box_(&["images", "-q", "-a"]).ok(), "", "{outcome}");
}

#[test]
fn pull_and_run() {
    let registry = Registry::start();
    let built = Image::payload().packed(Tar::new().file("more", 0o644, "more").finish(), Packed::Gzip).build();
    registry.push("team/app", "v1", &built);
    let env = env_for(&[&registry]);
    let name = registry.name("team/app:v1");
    let outcome = env.box_(&["pull", &name]);
    assert_eq!(outcome.ok().trim_start_matches("sha256:"), built.config.digest.digits(), "{outcome}");
    assert!(outcome.err().contains(&name), "{outcome}");
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", &name, "cat", "/more"]).ok(), "more");
    let digests = env.box_(&["image", "inspect", "--format", "{{index .RepoDigests 0}}", &name]).ok();
    assert_eq!(digests, format!("{}@{}", registry.name("team/app"), built.manifest.digest));
    // Again: asked for, nothing fetched.
    let before = registry.count("/blobs/");
    env.box_(&["pull", "-q", &name]).ok();
    assert_eq!(registry.count("/blobs/"), before);
    // By run, and by digest.
    let env = env_for(&[&registry]);
    let by_digest = format!("{}@{}", registry.name("team/app"), built.manifest.digest);
    let run = env.box_(&["run", "--rm", "--network", "none", &by_digest, "echo", "x"]);
    assert_eq!(run.ok(), "x", "stdout is the command's alone");
}

#[test]
fn the_right_platform_of_an_index() {
    let registry = Registry::start();
    let (ours, theirs) = (small("ours"), small("theirs"));
    for built in [&ours, &theirs] {
        registry.push("app", "x", built);
    }
    let entry = |built: &Built, os: &str, architecture: &str| {
        let mut descriptor = built.manifest.descriptor();
        descriptor["platform"] = json!({"os": os, "architecture": architecture});
        descriptor
    };
    let list = |kind: &str, manifests: serde_json::Value| {
        Blob::new(kind, json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}).to_string())
    };
    let other = if architecture() == "amd64" { "arm64" } else { "amd64" };
    let kinds =
        ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
    for kind in kinds {
        let manifests = json!([
            entry(&theirs, "linux", other),
            entry(&theirs, "windows", architecture()),
            entry(&ours, "linux", architecture())
        ]);
        registry.push_manifest("app", "both", &list(kind, manifests));
        let env = env_for(&[&registry]);
        let id = env.box_(&["pull", "-q", &registry.name("app:both")]).ok();
        assert_eq!(id.trim_start_matches("sha256:"), ours.config.digest.digits(), "{kind}");
    }
    let env = env_for(&[&registry]);
    registry.push_manifest("app", "theirs", &list(kinds[0], json!([entry(&theirs, "linux", other)])));
    let outcome = env.box_(&["pull", &registry.name("app:theirs")]);
    nothing_came(&env, &outcome);
    outcome.says(architecture());
}

#[test]
fn names_that_are_not_there() {
    let registry = Registry::start();
    registry.push("app", "v1", &small("x"));
    let env = env_for(&[&registry]);
    let outcome = env.box_(&["pull", &registry.name("app:v2")]);
    nothing_came(&env, &outcome);
    outcome.says("app:v2");
    env.box_(&["pull", &registry.name("nonesuch")]).fails(125).says("nonesuch");
    env.box_(&["run", "--rm", &registry.name("app:v3"), "true"]).fails(125).says("app:v3");
    env.box_(&["pull", "no-such-host.invalid/x"]).fails(125).says("no-such-host.invalid");
    env.box_(&["pull", "127.0.0.1:1/x"]).fails(125).says("127.0.0.1:1");
    env.box_(&["pull"]).ends(125);
}

#[test]
fn plain_http_only_where_allowed() {
    let registry = Registry::start();
    registry.push("app", "v1", &small("x"));
    let env = TestEnv::new();
    let name = registry.name("app:v1");
    let outcome = env.box_(&["pull", &name]);
    nothing_came(&env, &outcome);
    outcome.hints("insecure");
    env.box_(&["pull", "--tls-verify=false", &name]).ok();
}

#[test]
fn registries_conf() {
    let registry = Registry::start();
    registry.push("library/app", "latest", &small("x"));
    registry.push("mirror/of/app", "latest", &small("mirror"));
    let host = registry.host();
    let env = TestEnv::new();
    env.file(
        "config/containers/registries.conf",
        format!(
            "unqualified-search-registries = [\"{host}\"]\n\
             [[registry]]\nlocation = \"{host}\"\ninsecure = true\n\
             [[registry]]\nprefix = \"blocked.example\"\nlocation = \"blocked.example\"\nblocked = true\n\
             [[registry]]\nprefix = \"other.example/x\"\nlocation = \"{host}/library\"\ninsecure = true\n\
             [[registry]]\nlocation = \"far.example\"\n[[registry.mirror]]\nlocation = \"{host}/mirror\"\ninsecure = true\n"
        ),
    );
    env.box_(&["pull", "-q", "library/app"]).ok();
    env.box_(&["pull", "-q", "other.example/x/app"]).ok();
    env.box_(&["pull", "-q", "far.example/of/app"]).ok();
    let names = env.box_(&["images", "--format", "{{.Repository}}"]).ok();
    for name in [format!("{host}/library/app").as_str(), "other.example/x/app", "far.example/of/app"] {
        assert!(names.lines().any(|line| line == name), "{name} in {names}");
    }
    env.box_(&["pull", "blocked.example/x"]).fails(125).says("blocked");
    env.file("config/containers/registries.conf", "this is = no toml [");
    env.box_(&["pull", "x"]).fails(125).says("registries.conf");
}

fn auth_file(host: &str, credentials: &str) -> String {
    json!({"auths": {host: {"auth": base64(credentials.as_bytes())}}}).to_string()
}

#[test]
fn credentials() {
    for auth in [Auth::Basic("ann:s3cret".into()), Auth::Bearer(String::new(), "ann:s3cret".into())] {
        let registry = Registry::start();
        registry.push("app", "v1", &small("x"));
        registry.set_auth(auth);
        let name = registry.name("app:v1");
        let env = env_for(&[&registry]);
        let outcome = env.box_(&["pull", &name]);
        nothing_came(&env, &outcome);
        // The right ones, in each of the places.
        env.file("run/containers/auth.json", auth_file(&registry.host(), "ann:wrong"));
        let outcome = env.box_(&["pull", &name]);
        nothing_came(&env, &outcome);
        assert!(!outcome.err().contains("wrong\""), "{outcome}");
        env.file("run/containers/auth.json", auth_file(&registry.host(), "ann:s3cret"));
        let outcome = env.box_(&["pull", &name]);
        outcome.ends(0);
        assert!(!outcome.err().contains("s3cret"), "{outcome}");
        std::fs::remove_dir_all(env.base.join("run/containers")).unwrap();
        let other = env_for(&[&registry]);
        other.file("home/.docker/config.json", auth_file(&registry.host(), "ann:s3cret"));
        other.box_(&["pull", "-q", &name]).ok();
        let other = env_for(&[&registry]);
        let file = other.file("auth.json", auth_file(&registry.host(), "ann:s3cret"));
        other.cmd(&["pull", "-q", &name]).set("REGISTRY_AUTH_FILE", file.to_str().unwrap()).run().ok();
        let other = env_for(&[&registry]);
        let file = other.file("auth.json", auth_file(&registry.host(), "ann:s3cret"));
        other.box_(&["pull", "-q", "--authfile", file.to_str().unwrap(), &name]).ok();
        other.box_(&["rmi", &name]).ok();
        let run = ["run", "--rm", "-q", "--network", "none", "--authfile", file.to_str().unwrap(), &name, "true"];
        // It was pulled; there is nothing in it to run.
        other.box_(&run).ends(127);
    }
}

#[test]
fn credentials_go_nowhere_else() {
    let (registry, other) = (Registry::start(), Registry::start());
    let built = small("x");
    registry.push("app", "v1", &built);
    other.push("app", "v1", &built);
    registry.set_auth(Auth::Basic("ann:s3cret".into()));
    let target = other.host();
    registry.misbehave(move |asked, _| {
        asked
            .path
            .contains("/blobs/")
            .then(|| Answer::new(307, "").header("Location", format!("http://{target}{}", asked.path)))
    });
    let env = env_for(&[&registry, &other]);
    env.file("run/containers/auth.json", auth_file(&registry.host(), "ann:s3cret"));
    env.box_(&["pull", "-q", &registry.name("app:v1")]).ok();
    assert!(!other.asked().is_empty());
    for asked in other.asked() {
        assert!(asked.header("authorization").is_none() && asked.header("cookie").is_none(), "{asked:?}");
    }
    std::fs::remove_dir_all(env.base.join("run/containers")).unwrap();
}

#[test]
fn a_realm_elsewhere_gets_no_password() {
    let (registry, thief) = (Registry::start(), Registry::start());
    registry.push("app", "v1", &small("x"));
    registry.set_auth(Auth::Bearer(
        format!("http://{}/token", thief.host().replace("127.0.0.1", "localhost")),
        "ann:s3cret".into(),
    ));
    let env = env_for(&[&registry]);
    env.file("run/containers/auth.json", auth_file(&registry.host(), "ann:s3cret"));
    let outcome = env.frugal(&["pull", &registry.name("app:v1")]);
    outcome.says("localhost");
    for asked in thief.asked() {
        assert!(asked.header("authorization").is_none(), "{asked:?}");
    }
    std::fs::remove_dir_all(env.base.join("run/containers")).unwrap();
}

#[test]
fn bytes_that_are_not_what_their_digest_says() {
    let registry = Registry::start();
    let built = small("x");
    registry.push("app", "v1", &built);
    let digest = built.layers[1].digest.to_string();
    let right = built.layers[1].bytes.clone();
    let mut flipped = right.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let longer = [right.clone(), vec![0]].concat();
    for wrong in [flipped, right[..right.len() - 1].to_vec(), longer, Vec::new(), b"<html>no</html>".to_vec()] {
        let digest = digest.clone();
        registry.misbehave(move |asked, _| asked.path.contains(&digest).then(|| Answer::new(200, wrong.clone())));
        let env = env_for(&[&registry]);
        let outcome = env.frugal(&["pull", &registry.name("app:v1")]);
        nothing_came(&env, &outcome);
    }
}

#[test]
fn manifests_that_lie() {
    let registry = Registry::start();
    let built = small("x");
    registry.push("app", "v1", &built);
    let other = small("other");
    let config = built.config.digest.to_string();
    let wrong_config = other.config.bytes.clone();
    registry.misbehave(move |asked, _| asked.path.contains(&config).then(|| Answer::new(200, wrong_config.clone())));
    let env = env_for(&[&registry]);
    let outcome = env.frugal(&["pull", &registry.name("app:v1")]);
    nothing_came(&env, &outcome);
    // By digest, another manifest comes.
    let wrong = other.manifest.clone();
    registry.misbehave(move |asked, _| {
        asked
            .path
            .contains("/manifests/")
            .then(|| Answer::new(200, wrong.bytes.clone()).header("Content-Type", &wrong.media_type))
    });
    let outcome = env.frugal(&["pull", &format!("{}@{}", registry.name("app"), built.manifest.digest)]);
    nothing_came(&env, &outcome);
    // A diff id that its layer does not have.
    let mut image = Image::empty().layer(Tar::new().file("a", 0o644, "a").finish());
    image.config["rootfs"] = json!({"type": "layers", "diff_ids": [format!("sha256:{}", "0".repeat(64))]});
    registry.misbehave(|_, _| None);
    registry.push("lie", "v1", &image.build());
    let outcome = env.frugal(&["pull", &registry.name("lie:v1")]);
    nothing_came(&env, &outcome);
}

#[test]
fn documents_that_are_two_things_at_once() {
    let registry = Registry::start();
    let built = small("x");
    registry.push("app", "v1", &built);
    let manifest = String::from_utf8(built.manifest.bytes.clone()).unwrap();
    let long = format!(r#"{{"schemaVersion":2,"x":"{}"}}"#, "a".repeat(5 << 20));
    let bad_digest = manifest.replacen("sha256:", "sha256:../../", 1);
    for text in [
        manifest.replacen('{', r#"{"manifests":[],"#, 1),
        manifest.replacen('{', r#"{"schemaVersion":2,"#, 1),
        manifest.clone() + "x",
        "\u{feff}".to_owned() + &manifest,
        manifest.replace("\"layers\"", "\"Layers\""),
        bad_digest,
        "{}".into(),
        "null".into(),
        String::new(),
        "[".repeat(100_000),
        long,
    ] {
        let blob = Blob::new(&built.manifest.media_type, text.clone());
        registry.push_manifest("app", "bad", &blob);
        let env = env_for(&[&registry]);
        let outcome = env.frugal(&["pull", &registry.name("app:bad")]);
        nothing_came(&env, &outcome);
        assert!(outcome.err().len() < 2000, "{} bytes of error", outcome.err().len());
    }
    // What the header says must be what the document says.
    registry.misbehave(|asked, _| {
        asked.path.contains("/manifests/bad2").then(|| {
            Answer::new(
                200,
                r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
            )
            .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        })
    });
    let env = env_for(&[&registry]);
    let outcome = env.frugal(&["pull", &registry.name("app:bad2")]);
    nothing_came(&env, &outcome);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let registry = Registry::start();
    let built = small("x");
    registry.push("app", "v1", &built);
    let blob = built.layers[2].clone();
    registry.misbehave(move |asked, before| {
        if !asked.path.contains(blob.digest.as_str()) || asked.method != "GET" {
            return None;
        }
        if before < 2 {
            let from = asked.header("range").map_or(0, |_| blob.bytes.len() / 4);
            let mut answer = part(asked, &blob.bytes);
            let end = (from + blob.bytes.len() / 4).min(blob.bytes.len());
            answer.body = Body::Cut(blob.bytes[from..end].to_vec(), blob.bytes.len() - from);
            return Some(answer);
        }
        None
    });
    let env = env_for(&[&registry]);
    env.cmd(&["pull", "-q", &registry.name("app:v1")]).run().ok();
    let ranges: Vec<_> =
        registry.asked().into_iter().filter_map(|asked| asked.header("range").map(String::from)).collect();
    assert!(!ranges.is_empty(), "no Range was asked for");
}

#[test]
fn a_resumed_download_of_other_bytes_is_refused() {
    let registry = Registry::start();
    let built = small("x");
    registry.push("app", "v1", &built);
    let blob = built.layers[2].clone();
    registry.misbehave(move |asked, _| {
        if !asked.path.contains(blob.digest.as_str()) {
            return None;
        }
        let half = blob.bytes.len() / 2;
        if asked.header("range").is_none() {
            let answer = Answer::new(200, "").header("Accept-Ranges", "bytes");
            return Some(answer.body(Body::Cut(blob.bytes[..half].to_vec(), blob.bytes.len())));
        }
        Some(part(asked, &vec![b'x'; blob.bytes.len()]))
    });
    let env = env_for(&[&registry]);
    let outcome = env.box_(&["pull", &registry.name("app:v1")]);
    nothing_came(&env, &outcome);
}

#[test]
fn a_busy_registry_is_asked_again() {
    let registry = Registry::start();
    registry.push("app", "v1", &small("x"));
    registry.misbehave(|_, before| match before {
        0 => Some(Answer::new(429, "").header("Retry-After", "0")),
        1 => Some(Answer::new(503, "")),
        _ => None,
    });
    let env = env_for(&[&registry]);
    env.box_(&["pull", "-q", &registry.name("app:v1")]).ok();
}

#[test]
fn a_broken_registry_is_given_up() {
    let registry = Registry::start();
    registry.push("app", "v1", &small("x"));
    registry.misbehave(|_, _| Some(Answer::new(500, "<html>\u{1b}[31mDown</html>")));
    let env = env_for(&[&registry]);
    let outcome = env.box_(&["pull", &registry.name("app:v1")]);
    nothing_came(&env, &outcome);
    outcome.says("500");
    assert!(!outcome.err().contains('\u{1b}'), "{outcome:?}", outcome = outcome.err());
}

#[test]
fn endless_answers_end() {
    let registry = Registry::start();
    let built = small("x");
    registry.push("app", "v1", &built);
    for part in ["/manifests/", built.layers[0].digest.as_str(), built.config.digest.as_str()] {
        let part = part.to_owned();
        registry
            .misbehave(move |asked, _| asked.path.contains(&part).then(|| Answer::new(200, "").body(Body::Endless)));
        let env = env_for(&[&registry]);
        let outcome = env.frugal(&["pull", &registry.name("app:v1")]);
        nothing_came(&env, &outcome);
    }
}

#[test]
fn redirects_without_end() {
    let registry = Registry::start();
    registry.push("app", "v1", &small("x"));
    registry.misbehave(|asked, _| {
        asked.path.contains("/blobs/").then(|| Answer::new(307, "").header("Location", asked.path.clone()))
    });
    let env = env_for(&[&registry]);
    let outcome = env.frugal(&["pull", &registry.name("app:v1")]);
    nothing_came(&env, &outcome);
}

#[test]
fn an_interrupted_pull_leaves_nothing() {
    use nix::sys::signal::Signal;
    let registry = Registry::start();
    let built = small("x");
    registry.push("app", "v1", &built);
    let digest = built.layers[0].digest.to_string();
    let bytes = built.layers[0].bytes.clone();
    registry.misbehave(move |asked, _| {
        asked
            .path
            .contains(&digest)
            .then(|| Answer::new(200, "").body(Body::Stall(bytes[..bytes.len() / 2].to_vec(), bytes.len())))
    });
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGKILL, 137)] {
        let env = env_for(&[&registry]);
        let before = registry.count("/blobs/");
        let pulling = env.cmd(&["pull", &registry.name("app:v1")]).start();
        crate::env::eventually("all downloads to begin", || registry.count("/blobs/") >= before + 4);
        pulling.signal(signal);
        pulling.finish().ends(code);
        assert_eq!(env.box_(&["images", "-q"]).ok(), "");
    }
    registry.misbehave(|_, _| None);
    let env = env_for(&[&registry]);
    env.box_(&["pull", "-q", &registry.name("app:v1")]).ok();
}

#[test]
fn two_pulls_do_the_work_once() {
    let registry = Registry::start();
    let built = small("x");
    registry.push("app", "v1", &built);
    let env = env_for(&[&registry]);
    let name = registry.name("app:v1");
    let all: Vec<_> = (0..6).map(|_| env.cmd(&["pull", "-q", &name]).start()).collect();
    let ids: Vec<String> = all.into_iter().map(|running| running.finish().ok()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    for layer in &built.layers {
        let asked = registry
            .asked()
            .iter()
            .filter(|asked| asked.method == "GET" && asked.path.contains(layer.digest.as_str()))
            .count();
        assert_eq!(asked, 1, "{}", layer.digest);
    }
}

#[test]
fn layers_that_are_there_are_not_fetched() {
    let registry = Registry::start();
    let base = Tar::new().file("base", 0o644, "base").finish();
    let one = Image::empty().packed(base.clone(), Packed::Gzip).build();
    let two = Image::empty().packed(base, Packed::Gzip).layer(Tar::new().file("top", 0o644, "top").finish()).build();
    registry.push("one", "latest", &one);
    registry.push("two", "latest", &two);
    let env = env_for(&[&registry]);
    env.box_(&["pull", "-q", &registry.name("one")]).ok();
    env.box_(&["pull", "-q", &registry.name("two")]).ok();
    assert_eq!(registry.count(one.layers[0].digest.as_str()), 1);
}

#[test]
fn a_tag_that_moved() {
    let registry = Registry::start();
    let env = env_for(&[&registry]);
    let name = registry.name("app:v1");
    let (old, new) = (small("old"), small("new"));
    registry.push("app", "v1", &old);
    env.box_(&["pull", "-q", &name]).ok();
    registry.push("app", "v1", &new);
    let id = env.box_(&["pull", "-q", &name]).ok();
    assert_eq!(id.trim_start_matches("sha256:"), new.config.digest.digits());
    // The old one has lost its name, and is still there.
    let listed = env.box_(&["images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}"]).ok();
    assert!(listed.lines().count() == 2 && listed.contains("<none>"), "{listed}");
    assert!(listed.contains(old.config.digest.digits()), "{listed}");
}

#[test]
fn pull_policies_of_run() {
    let registry = Registry::start();
    let name = registry.name("app:latest");
    let app = |word: &str| Image::payload().layer(Tar::new().file("word", 0o644, word).finish()).build();
    registry.push("app", "latest", &app("old"));
    let env = env_for(&[&registry]);
    let word =
        |policy: &str| env.box_(&["run", "--rm", "-q", "--network", "none", "--pull", policy, &name, "cat", "/word"]);
    word("never").fails(125).hints("box pull");
    assert_eq!(word("missing").ok(), "old");
    registry.push("app", "latest", &app("new"));
    assert_eq!(word("missing").ok(), "old");
    assert_eq!(word("newer").ok(), "new");
    registry.push("app", "latest", &app("newest"));
    assert_eq!(word("always").ok(), "newest");
    // What there is serves where nobody answers, not where somebody lies.
    let forged = app("forged");
    registry.push("app", "latest", &forged);
    let digest = forged.layers.last().unwrap().digest.to_string();
    registry.misbehave(move |asked, _| asked.path.contains(&digest).then(|| Answer::new(200, b"other bytes".to_vec())));
    word("newer").fails(125);
    drop(registry);
    assert_eq!(word("newer").ok(), "newest");
    word("always").fails(125);
}

#[test]
fn layouts_that_lead_out() {
    let env = TestEnv::new();
    let canary = env.file("canary/file", "canary");
    let built = small("x");
    let attacks: [(&str, &str); 4] =
        [("blobs", "canary"), ("index.json", "canary/file"), ("oci-layout", "canary/file"), ("blobs/sha256", "canary")];
    for (index, (path, target)) in attacks.iter().enumerate() {
        let layout = env.base.join(format!("layout{index}"));
        write_layout(&layout, built.blobs().chain([&built.manifest]), &[(&built.manifest, "x")]);
        let path = layout.join(path);
        let _ = std::fs::remove_dir_all(&path);
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(env.base.join(target), &path).unwrap();
        let outcome = env.box_(&["pull", &format!("oci:{}:x", layout.display())]);
        nothing_came(&env, &outcome);
        assert!(!outcome.err().contains("canary\n"), "{outcome}");
    }
    assert_eq!(std::fs::read_to_string(canary).unwrap(), "canary");
}

#[test]
fn indexes_without_end() {
    // Each index has another one for this platform, as deep as anybody likes, or leads back to itself by its tag.
    let registry = Registry::start();
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = |inner: serde_json::Value| {
        let manifests = json!([inner]);
        Blob::new(kind, json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}).to_string())
    };
    let mut inner = small("x").manifest.descriptor();
    for depth in 0..200 {
        inner["platform"] = json!({"os": "linux", "architecture": architecture()});
        let blob = index(inner);
        registry.push_manifest("app", if depth == 199 { "deep" } else { "inner" }, &blob);
        inner = blob.descriptor();
    }
    let env = env_for(&[&registry]);
    let outcome = env.box_(&["pull", &registry.name("app:deep")]);
    nothing_came(&env, &outcome);
    let asked = registry.asked().iter().filter(|asked| asked.method == "GET").count();
    assert!(asked < 10, "{asked} documents were asked for");
    assert!(outcome.err().len() < 2000, "{outcome}");
}
