//! `box push`: what arrives, what is not sent again, and what a registry that fails or lies gets.

use crate::env::TestEnv;
use crate::image::{Built, Image, Packed};
use crate::registry::{Answer, Auth, Body, Registry};
use crate::tarball::Tar;
use std::sync::Arc;

/// Three small layers, packed in all ways.
pub fn small(word: &str) -> Built {
    let layer = |name: &str| Tar::new().file(name, 0o644, format!("{name} of {word}\n").repeat(5000)).finish();
    Image::empty().packed(layer("one"), Packed::Gzip).packed(layer("two"), Packed::Zstd).layer(layer("three")).build()
}

/// An environment that has `built` as `localhost/app`, and may talk plain HTTP to the registry.
fn with(registry: &Registry, built: &Built) -> TestEnv {
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    let layout = env.base.join("layout");
    built.layout(&layout, "localhost/app");
    env.load(&layout);
    env
}

#[test]
fn digests_stay_and_nothing_goes_twice() {
    let (registry, built) = (Registry::start(), small("x"));
    let env = with(&registry, &built);
    let name = registry.name("team/app:1");
    let outcome = env.box_(&["push", "--digestfile", "digest", "app", &name]);
    assert_eq!(outcome.ok(), "", "stdout is for results");
    outcome.says(built.manifest.digest.as_str());
    assert_eq!(std::fs::read_to_string(env.base.join("digest")).unwrap(), built.manifest.digest.as_str());
    assert_eq!(registry.manifest("team/app", "1").unwrap().bytes, built.manifest.bytes);
    let sent = registry.count("/blobs/uploads/");
    env.box_(&["push", "-q", "app", &name]).quiet().ok();
    assert_eq!(registry.count("/blobs/uploads/"), sent, "all was there");
    // Another repository of the registry: mounted, as the store knows where it is.
    env.box_(&["tag", "app", &name]).ok();
    env.box_(&["push", "app", &registry.name("other/app")]).says("mounted").ok();
    let patches = registry.asked().iter().filter(|asked| asked.method == "PATCH").count();
    assert_eq!(patches, 4, "three layers and a config, once");
    // By its own name, and all of a repository.
    env.box_(&["tag", "app", &registry.name("team/app:2")]).ok();
    env.box_(&["push", "-q", "--all-tags", &registry.name("team/app")]).ok();
    assert!(registry.manifest("team/app", "2").is_some());
    // What was pushed can be pulled.
    let other = TestEnv::new();
    other.file("config/containers/registries.conf", registry.conf());
    assert_eq!(other.box_(&["pull", "-q", &name]).ok(), built.config.digest.digits());
    other.box_(&["pull", "-q", "--all-tags", &registry.name("team/app")]).ok();
    assert_eq!(other.box_(&["images", "--format", "{{.Tag}}"]).ok().lines().count(), 2);
}

#[test]
fn names_and_forms_that_cannot_be() {
    let registry = Registry::start();
    let env = with(&registry, &small("x"));
    env.box_(&["push", "app"]).fails(125).says("says no registry");
    env.box_(&["push", "nonesuch", &registry.name("x")]).fails(125).says("no image");
    let id = env.box_(&["images", "-q"]).ok();
    env.box_(&["push", &id]).fails(125).hints("box push");
    env.box_(&["push", "app", "containers-storage:x"]).fails(125).says("containers-storage");
    env.box_(&["push", "app", "oci:"]).fails(125);
    env.box_(&["push", "-q", "--format", "v2s2", "app", &registry.name("x")]).fails(125).says("zstd");
    env.box_(&["push", "-q", "--format", "v2s2", "app", "oci:layout2"]).fails(125).says("OCI layout");
    env.box_(&["push", "--compression-format", "gzip", "--compression-level", "12", "app", "oci:y"]).fails(125);
    let wrong = format!("{}@sha256:{}", registry.name("x"), "a".repeat(64));
    env.box_(&["push", "-q", "app", &wrong]).fails(125).says("its digest is");
    assert_eq!(registry.count("/manifests/"), 0);
}

#[test]
fn other_forms() {
    let (registry, built) = (Registry::start(), small("x"));
    let env = with(&registry, &built);
    let types = |tag: &str| {
        let document: serde_json::Value =
            serde_json::from_slice(&registry.manifest("app", tag).unwrap().bytes).unwrap();
        let layers = document["layers"].as_array().unwrap().iter();
        let words =
            layers.map(|layer| layer["mediaType"].as_str().unwrap().rsplit(['.', '+']).next().unwrap().to_owned());
        (document["mediaType"].as_str().unwrap().contains("docker"), words.collect::<Vec<_>>())
    };
    for (tag, flags, docker, expected) in [
        ("a", &["--compression-format", "gzip"][..], false, ["gzip", "zstd", "gzip"]),
        ("b", &["--compression-format", "zstd", "--force-compression"], false, ["zstd"; 3]),
        ("c", &["-f", "v2s2", "--compression-format", "gzip", "--force-compression"], true, ["gzip"; 3]),
        ("d", &["--compress", "--format", "oci"], false, ["gzip", "zstd", "gzip"]),
    ] {
        let name = registry.name(&format!("app:{tag}"));
        env.box_(&[&["push", "-q"], flags, &["app", &name]].concat()).ok();
        assert_eq!(types(tag), (docker, expected.map(str::to_owned).to_vec()), "{tag}");
        // It is the same image: layers of the same content.
        let other = TestEnv::new();
        other.file("config/containers/registries.conf", registry.conf());
        assert_eq!(other.box_(&["pull", "-q", &name]).ok(), built.config.digest.digits());
    }
}

#[test]
fn an_upload_that_breaks_is_taken_up() {
    let registry = Arc::new(Registry::start());
    let layer = Tar::new().file("big", 0o644, vec![7; 300_000]).finish();
    let built = Image::empty().layer(layer.clone()).build();
    let env = with(&registry, &built);
    let (inner, kept) = (Arc::downgrade(&registry), layer.clone());
    registry.misbehave(move |asked, _| {
        if asked.method != "PATCH" || asked.body.len() < 300_000 {
            return None;
        }
        // 100,000 bytes have come when the connection breaks.
        inner.upgrade()?.cut_upload(&asked.path, &kept[..100_000]);
        Some(Answer::new(202, "").body(Body::HangUp))
    });
    env.box_(&["push", "-q", "--retry-delay", "1ms", "app", &registry.name("app")]).ok();
    assert_eq!(registry.manifest("app", "latest").unwrap().bytes, built.manifest.bytes);
    let asked = registry.asked();
    let rest: Vec<_> = asked.iter().filter(|asked| asked.header("content-range").is_some()).collect();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].header("content-range"), Some(format!("100000-{}", layer.len() - 1).as_str()));
    // It has forgotten all: begun anew, and given up when it goes on so.
    registry.misbehave(|asked, _| match asked.method.as_str() {
        "PATCH" => Some(Answer::new(202, "").body(Body::HangUp)),
        "GET" if asked.path.contains("/uploads/") => Some(Answer::new(404, "")),
        _ => None,
    });
    let outcome = env.box_(&["push", "-q", "--retry", "2", "--retry-delay", "1ms", "app", &registry.name("other")]);
    outcome.fails(125).says("cannot send blob");
    assert!(registry.manifest("other", "latest").is_none());
}

#[test]
fn servers_that_fail() {
    let (registry, built) = (Registry::start(), small("x"));
    let env = with(&registry, &built);
    let name = registry.name("app:1");
    let push = || env.box_(&["push", "-q", "--retry", "2", "--retry-delay", "1ms", "app", &name]);
    // In passing.
    registry.misbehave(|asked, before| (asked.method == "POST" && before < 2).then(|| Answer::new(503, "")));
    push().ok();
    // For good.
    for (method, path, status, says) in [
        ("POST", "/other/blobs/", 403, "does not let you push"),
        ("PATCH", "/other/blobs/", 500, "answers 500"),
        ("PUT", "/other/manifests/", 400, "answers 400"),
    ] {
        registry.misbehave(move |asked, _| {
            let body = r#"{"errors":[{"code":"X","message":"because\u001b[31m"}]}"#;
            (asked.method == method && asked.path.contains(path)).then(|| Answer::new(status, body))
        });
        let other = registry.name("other:1");
        env.cmd(&["login", "-u", "x", "--password-stdin", &registry.host()]).stdin("y").run().ok();
        let outcome = env.box_(&["push", "-q", "--retry", "1", "--retry-delay", "1ms", "app", &other]);
        outcome.fails(125).says(says);
        assert!(outcome.err().contains("because") && !outcome.err().contains('\u{1b}'), "{outcome}");
        assert!(registry.manifest("other", "1").is_none());
    }
    // A server that keeps something else.
    registry.misbehave(|asked, _| {
        let lie = format!("sha256:{}", "b".repeat(64));
        (asked.method == "PUT" && asked.path.contains("/manifests/"))
            .then(|| Answer::new(201, "").header("Docker-Content-Digest", lie))
    });
    push().fails(125).says("has kept");
    // One that knows no PATCH gets everything at once.
    registry.misbehave(|asked, _| (asked.method == "PATCH").then(|| Answer::new(405, "")));
    env.box_(&["push", "-q", "app", &registry.name("simple:1")]).ok();
    assert_eq!(registry.manifest("simple", "1").unwrap().bytes, built.manifest.bytes);
}

#[test]
fn credentials_do_not_follow_an_upload() {
    let (registry, other, built) = (Registry::start(), Registry::start(), small("x"));
    let env = with(&registry, &built);
    for auth in [Auth::Basic("ann:s3cret".into()), Auth::Bearer(String::new(), "ann:s3cret".into())] {
        registry.set_auth(auth);
        let target = other.host();
        registry.misbehave(move |asked, _| {
            let away = format!("http://{target}/v2/x/blobs/uploads/u?token=1");
            (asked.method == "POST").then(|| Answer::new(202, "").header("Location", away))
        });
        other.misbehave(|asked, _| match asked.method.as_str() {
            "PATCH" => Some(Answer::new(202, "")),
            _ => Some(Answer::new(201, "")),
        });
        let creds = ["push", "--creds", "ann:s3cret", "app", &registry.name("app:1")];
        env.box_(&creds);
        let asked = other.asked();
        assert!(asked.iter().any(|asked| asked.method == "PATCH"));
        assert!(asked.iter().all(|asked| asked.header("authorization").is_none() && asked.header("cookie").is_none()));
    }
    for (place, says) in [("file:///etc/passwd", "nowhere"), ("ftp://127.0.0.1/x", "ftp:"), ("", "nowhere")] {
        registry.misbehave(move |asked, _| {
            let answer = Answer::new(202, "");
            let answer = if place.is_empty() { answer } else { answer.header("Location", place) };
            (asked.method == "POST").then_some(answer)
        });
        env.box_(&["push", "-q", "--creds", "ann:s3cret", "app", &registry.name("app:1")]).fails(125).says(says);
    }
}

#[test]
fn answers_without_end_and_loops() {
    let (registry, built) = (Registry::start(), small("x"));
    let env = with(&registry, &built);
    let name = registry.name("app:1");
    let push = || env.box_(&["push", "-q", "--retry", "1", "--retry-delay", "1ms", "app", &name]);
    // A redirect that would make another request of it is not followed.
    registry.misbehave(|asked, _| {
        (asked.method == "POST").then(|| Answer::new(302, "").header("Location", "/v2/app/blobs/uploads/x"))
    });
    push().fails(125).says("answers 302");
    for (method, path) in [("POST", "/uploads/"), ("PATCH", "/uploads/"), ("PUT", "/manifests/")] {
        registry.misbehave(move |asked, _| {
            let is_meant = asked.method == method && asked.path.contains(path);
            is_meant.then(|| Answer::new(400, "").body(Body::Endless))
        });
        push().fails(125).says("answers 400");
        // Round and round.
        registry.misbehave(move |asked, _| {
            let is_meant = asked.method == method && asked.path.contains(path);
            is_meant.then(|| Answer::new(307, "").header("Location", asked.path.clone()))
        });
        push().fails(125).says("redirects without end");
    }
    assert!(registry.manifest("app", "1").is_none());
}

#[test]
fn a_mirror_gets_no_credentials_of_the_command_line() {
    let (registry, mirror, built) = (Registry::start(), Registry::start(), small("x"));
    registry.push("app", "1", &built);
    for server in [&registry, &mirror] {
        server.set_auth(Auth::Basic("ann:s3cret".into()));
    }
    let env = TestEnv::new();
    let conf = format!(
        "[[registry]]\nlocation = \"{}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        registry.host(),
        mirror.host()
    );
    env.file("config/containers/registries.conf", conf);
    let outcome = env.box_(&["pull", "--creds", "ann:s3cret", &registry.name("app:1")]);
    outcome.says("mirror").ok();
    assert!(!mirror.asked().is_empty() && !outcome.err().contains("s3cret"));
    assert!(mirror.asked().iter().all(|asked| asked.header("authorization").is_none()));
    // What is sent goes to the registry itself.
    let before = mirror.asked().len();
    env.box_(&["push", "-q", "--creds", "ann:s3cret", &registry.name("app:1"), &registry.name("app:2")]).ok();
    assert_eq!(mirror.asked().len(), before);
}
