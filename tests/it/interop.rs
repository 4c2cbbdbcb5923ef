//! With others' programs: Debian's docker-registry with passwords and with a token service; images that skopeo and
//! umoci have made, and what they read of box's.

use crate::env::{TestEnv, eventually};
use crate::image::{Blob, Built, Image, Packed};
use crate::real::{certificates, did, tool};
use crate::tarball::Tar;
use crate::token::TokenService;
use serde_json::{Value, json};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

/// Debian's docker-registry over TLS.
pub struct Server {
    pub host: String,
    child: Child,
    token: Option<TokenService>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Start it, trusted by box; with a token service, or open to all.
pub fn start(env: &TestEnv, guarded: bool) -> Option<Server> {
    let folder = env.base.join("server");
    fs::create_dir_all(&folder).unwrap();
    if !certificates(&folder) {
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("localhost:{port}");
    let place = folder.display();
    let mut conf = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {place}/data}}}}\nlog: {{level: error}}\nhttp:\n  addr: 127.0.0.1:{port}\n"
    );
    let token = guarded.then(|| TokenService::start(&folder, "ann:s3cret"));
    if let Some(token) = &token {
        conf += &format!(
            "auth:\n  token:\n    realm: http://localhost:{}/token\n    service: test-service\n    issuer: test-issuer\n    rootcertbundle: {place}/ca.crt\n",
            token.port()
        );
        env.file(
            "config/containers/registries.conf",
            format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n"),
        );
    } else {
        conf += &format!("  tls: {{certificate: {place}/server.crt, key: {place}/server.key}}\n");
        fs::create_dir_all(folder.join("trust")).unwrap();
        fs::copy(folder.join("ca.crt"), folder.join("trust/ca.crt")).unwrap();
        let trusted = env.base.join("config/containers/certs.d").join(&host);
        fs::create_dir_all(&trusted).unwrap();
        fs::copy(folder.join("ca.crt"), trusted.join("ca.crt")).unwrap();
    }
    fs::write(folder.join("conf.yml"), conf).unwrap();
    let child = tool("docker-registry").arg("serve").arg(folder.join("conf.yml")).stderr(Stdio::null()).spawn().ok()?;
    let server = Server { host, child, token };
    eventually("docker-registry", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    Some(server)
}

fn small() -> Built {
    Image::empty().packed(Tar::new().file("a", 0o644, "a".repeat(100_000)).finish(), Packed::Gzip).build()
}

#[test]
fn a_token_service_says_who_may_push() {
    let env = TestEnv::new();
    let Some(server) = start(&env, true) else { skip!("docker-registry or openssl is missing") };
    small().layout(&env.base.join("layout"), "localhost/app");
    env.load(&env.base.join("layout"));
    let name = |name: &str| format!("{}/{name}", server.host);
    env.box_(&["push", "-q", "app", &name("team/app:1")]).fails(125).hints("box login");
    let login =
        |password: &str| env.cmd(&["login", "-u", "ann", "--password-stdin", &server.host]).stdin(password).run();
    login("wrong").fails(125).says("refuses");
    login("s3cret").ok();
    env.box_(&["push", "-q", "app", &name("team/app:1")]).ok();
    // What this user may only read, or not even that.
    for other in ["shared/app:1", "secret/app:1"] {
        env.box_(&["push", "-q", "app", &name(other)]).fails(125).says("does not let you push");
    }
    // From a sibling, with one token for both; from one that may not be read, by an upload.
    env.box_(&["tag", "app", &name("team/app:1")]).ok();
    env.box_(&["push", "app", &name("team/other:1")]).says("mounted").ok();
    let asked = server.token.as_ref().unwrap().asked();
    let both = asked.iter().find(|scopes| scopes.contains("team/other:") && scopes.contains("team/app:pull"));
    assert!(both.is_some(), "{asked:?}");
    env.box_(&["rmi", &name("team/app:1")]).ok();
    env.box_(&["tag", "app", &name("secret/app:1")]).ok();
    env.box_(&["push", "-q", "app", &name("team/third:1")]).ok();
    // Pulled by the same user, and not by nobody.
    env.box_(&["pull", "-q", &name("team/third:1")]).ok();
    env.box_(&["logout", &server.host]).ok();
    env.box_(&["pull", "-q", &name("team/third:1")]).fails(125).says("credentials");
    fs::remove_dir_all(env.base.join("run/containers")).unwrap();
}

/// Images of different make: a name, and the layout that holds it as `x`.
fn differently_made() -> Vec<(String, Built)> {
    let layer = |name: &str| Tar::new().file(name, 0o644, format!("{name}\n").repeat(3000)).finish();
    let mut all = Vec::new();
    for (word, packed) in [("plain", Packed::Plain), ("gzip", Packed::Gzip), ("zstd", Packed::Zstd)] {
        for layers in [1, 2, 5] {
            let mut image = Image::empty();
            for number in 0..layers {
                image = image.packed(layer(&format!("{word}{number}")), packed);
            }
            all.push((format!("{word}-{layers}"), image.build()));
        }
    }
    let mixed = || Image::empty().packed(layer("a"), Packed::Gzip).packed(layer("b"), Packed::Zstd).layer(layer("c"));
    all.push(("mixed".into(), mixed().build()));
    all.push(("twice".into(), Image::empty().layer(layer("a")).layer(layer("b")).layer(layer("a")).build()));
    all.push(("nothing".into(), Image::empty().layer(Tar::new().finish()).build()));
    let mut annotated = mixed();
    annotated.annotations = json!({"org.example.ä": "with \"quotes\" and ü", "z": "1", "a": "2"});
    all.push(("annotated".into(), annotated.build()));
    let mut odd = mixed().with("Healthcheck", json!({"Test": ["CMD", "true"]})).with("OnBuild", json!(["RUN x"]));
    odd.config["x-unknown"] = json!({"deep": [1, 2.5, null]});
    odd.config["history"] = json!([{"created_by": "a"}, {"created_by": "b", "empty_layer": true}]);
    all.push(("odd".into(), odd.build()));
    // Spaces and line feeds in a manifest are part of it.
    let mut spaced = mixed().build();
    let value: Value = serde_json::from_slice(&spaced.manifest.bytes).unwrap();
    spaced.manifest = Blob::new(&spaced.manifest.media_type, serde_json::to_string_pretty(&value).unwrap() + "\n");
    all.push(("spaced".into(), spaced));
    // umoci's and others' manifests do not say what they are; layers may carry annotations, and fields of the future.
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut built = mixed().build();
        let mut value: Value = serde_json::from_slice(&built.manifest.bytes).unwrap();
        change(&mut value);
        built.manifest = Blob::new(&built.manifest.media_type, value.to_string());
        built
    };
    all.push(("untyped".into(), changed(&|manifest| drop(manifest.as_object_mut().unwrap().remove("mediaType")))));
    let annotations = json!({"org.opencontainers.image.title": "a/b.tar"});
    all.push(("layer".into(), changed(&|manifest| manifest["layers"][1]["annotations"] = annotations.clone())));
    all.push(("future".into(), changed(&|manifest| manifest["x-unknown"] = json!([{"deep": 1e3}]))));
    let many =
        (0..30).fold(Image::empty(), |image, number| image.packed(layer(&format!("many{number}")), Packed::Gzip));
    all.push(("many".into(), many.build()));
    all
}

#[test]
fn digests_are_equal_both_ways() {
    let env = TestEnv::new();
    let Some(server) = start(&env, false) else { skip!("docker-registry or openssl is missing") };
    let trust = env.base.join("server/trust").display().to_string();
    let skopeo = |words: &[&str]| {
        let mut command = tool("skopeo");
        command
            .env("XDG_RUNTIME_DIR", env.base.join("run"))
            .current_dir(&env.base)
            .arg("--insecure-policy")
            .args(words);
        command
    };
    let raw = |name: &str| {
        let inspect = ["inspect", "--raw", "--cert-dir", &trust, &format!("docker://{}/{name}", server.host)];
        let output = skopeo(&inspect).stdout(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for (word, built) in differently_made() {
        built.layout(&env.base.join(&word), "x");
        let there = format!("docker://{}/theirs:{word}", server.host);
        let copy = ["copy", "-q", "--preserve-digests", "--dest-cert-dir", &trust, &format!("oci:{word}:x"), &there];
        if !did(&mut skopeo(&copy)) {
            skip!("skopeo is missing");
        }
        // Theirs through box, and back to them.
        let name = format!("{}/theirs:{word}", server.host);
        assert_eq!(env.box_(&["pull", "-q", &name]).ok(), built.config.digest.digits(), "{word}");
        env.box_(&["push", "-q", &name, &format!("{}/ours:{word}", server.host)]).ok();
        assert!(raw(&format!("ours:{word}")) == built.manifest.bytes, "{word}: another manifest");
        assert!(raw(&format!("ours:{word}")) == raw(&format!("theirs:{word}")), "{word}");
        // All of it is there for others.
        let away = format!("dir:away-{word}");
        let from = format!("docker://{}/ours:{word}", server.host);
        assert!(did(&mut skopeo(&["copy", "-q", "--preserve-digests", "--src-cert-dir", &trust, &from, &away])));
    }
    // Docker's form, as skopeo makes it.
    let there = format!("docker://{}/theirs:docker", server.host);
    let copy = ["copy", "-q", "-f", "v2s2", "--dest-cert-dir", &trust, "oci:gzip-2:x", &there];
    assert!(did(&mut skopeo(&copy)));
    env.box_(&["pull", "-q", &format!("{}/theirs:docker", server.host)]).ok();
    let (from, to) = (format!("{}/theirs:docker", server.host), format!("{}/ours:docker", server.host));
    env.box_(&["push", "-q", &from, &to]).ok();
    assert_eq!(raw("ours:docker"), raw("theirs:docker"));
}

#[test]
fn a_certificate_that_signs_itself() {
    let env = TestEnv::new();
    let folder = env.base.join("server");
    fs::create_dir_all(&folder).unwrap();
    for (name, works) in [("localhost", true), ("other.example", false)] {
        let line = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.crt -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name}"
        );
        if !did(tool("openssl").args(line.split(' ')).current_dir(&folder)) {
            skip!("openssl is missing");
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = folder.display();
        let conf = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {place}/data}}}}\nlog: {{level: error}}\nhttp:\n  addr: 127.0.0.1:{port}\n  tls: {{certificate: {place}/{name}.crt, key: {place}/{name}.key}}\n"
        );
        fs::write(folder.join("conf.yml"), conf).unwrap();
        let mut command = tool("docker-registry");
        let Ok(child) = command.arg("serve").arg(folder.join("conf.yml")).stderr(Stdio::null()).spawn() else {
            skip!("docker-registry is missing");
        };
        let server = Server { host: format!("localhost:{port}"), child, token: None };
        eventually("docker-registry", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let ask = || env.box_(&["search", "--list-tags", &format!("{}/app", server.host)]);
        ask().fails(125).says("certificate");
        let trusted = env.base.join("config/containers/certs.d").join(&server.host);
        fs::create_dir_all(&trusted).unwrap();
        // Another's certificate does not help.
        fs::write(trusted.join("ca.crt"), fs::read(folder.join("localhost.crt")).unwrap()).unwrap();
        if works {
            ask().fails(125).says("answers 404");
        } else {
            ask().fails(125).says("certificate");
            fs::copy(folder.join("other.example.crt"), trusted.join("ca.crt")).unwrap();
            ask().fails(125).says("another name");
        }
    }
}

#[test]
fn umoci_and_box() {
    let env = TestEnv::new();
    let umoci = |words: &str| {
        let mut command = tool("umoci");
        command.current_dir(&env.base).args(words.split(' '));
        did(&mut command)
    };
    env.file("tree/etc/word", "of umoci\n");
    if !umoci("init --layout lay") {
        skip!("umoci is missing");
    }
    assert!(umoci("new --image lay:one"));
    assert!(umoci("config --image lay:one --config.env A=b --config.cmd x --author me"));
    assert!(umoci("insert --rootless --image lay:one tree /tree"));
    env.box_(&["pull", "-q", &format!("oci:{}:one", env.base.join("lay").display())]).ok();
    let shown = env.box_(&["image", "inspect", "--format", "{{.Author}} {{index .Config.Env 0}}", "localhost/one"]);
    assert_eq!(shown.ok(), "me A=b");
    let index: Value = serde_json::from_slice(&fs::read(env.base.join("lay/index.json")).unwrap()).unwrap();
    let digest = env.box_(&["image", "inspect", "--format", "{{.Digest}}", "localhost/one"]).ok();
    assert_eq!(index["manifests"][0]["digest"].as_str(), Some(digest.as_str()));
    // And what box has saved, by umoci.
    env.box_(&["save", "-q", "--format", "oci-dir", "-o", "saved", "localhost/one"]).ok();
    assert!(umoci("stat --image saved:localhost/one:latest"));
    assert!(umoci("unpack --rootless --image saved:localhost/one:latest bundle"));
    assert_eq!(fs::read_to_string(env.base.join("bundle/rootfs/tree/etc/word")).unwrap(), "of umoci\n");
}
