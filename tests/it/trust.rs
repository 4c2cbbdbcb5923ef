//! Signatures: policy.json decides what comes in; `box image sign`, `trust` and `attestation`.

use crate::env::TestEnv;
use crate::image::{Blob, Built};
use crate::push::small;
use crate::registry::Registry;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn setting() -> (TestEnv, Registry, Built) {
    let (registry, built) = (Registry::start(), small("x"));
    registry.push("team/app", "1", &built);
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    (env, registry, built)
}

fn policy(env: &TestEnv, value: &Value) {
    env.file("config/containers/policy.json", value.to_string());
}

/// Nothing may be stored of what is refused.
#[track_caller]
fn refused(env: &TestEnv, name: &str, why: &str) {
    env.box_(&["pull", "-q", name]).fails(125).says("refuses").says(why);
    assert_eq!(env.box_(&["images", "-q", "-a"]).ok(), "");
    let blobs = env.data().join("oci/blobs/sha256");
    assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0, "something was stored");
}

fn openssl(folder: &Path, words: &str) -> bool {
    Command::new("openssl")
        .args(words.split(' '))
        .current_dir(folder)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A pair of keys of sigstore's kinds: NAME.pem and NAME.pub.
fn keys(env: &TestEnv, name: &str, kind: &str) -> bool {
    openssl(&env.base, &format!("genpkey {kind} -out {name}.pem"))
        && openssl(&env.base, &format!("pkey -in {name}.pem -pubout -out {name}.pub"))
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

#[test]
fn accept_and_reject() {
    let (env, registry, built) = setting();
    let name = registry.name("team/app:1");
    let accept = json!([{"type": "insecureAcceptAnything"}]);
    let reject = json!([{"type": "reject"}]);
    policy(&env, &json!({"default": reject}));
    refused(&env, &name, "reject");
    built.layout(&env.base.join("layout"), "x");
    env.box_(&["load", "-q", "-i", "layout"]).fails(125).says("refuses");
    policy(&env, &json!({"default": accept, "transports": {"docker": {registry.name("team"): reject}}}));
    refused(&env, &name, "reject");
    env.box_(&["load", "-q", "-i", "layout"]).ok();
    env.box_(&["image", "trust", "set", "--type", "accept", &registry.name("team/app")]).ok();
    env.box_(&["pull", "-q", &name]).ok();
    let shown = env.box_(&["image", "trust", "show"]).ok();
    assert!(shown.contains("default") && shown.contains("reject") && shown.contains("team/app"), "{shown}");
    assert_eq!(env.box_(&["image", "trust", "show", "--json", "default"]).json()[0]["type"], "accept");
    for damaged in ["{}", "{", r#"{"default":[{"type":"trustMe"}]}"#] {
        env.file("config/containers/policy.json", damaged);
        env.box_(&["pull", "-q", &name]).fails(125).says("policy.json");
    }
}

#[test]
fn keys_of_sigstore() {
    for kind in [P256, "-algorithm ED25519"] {
        let (env, registry, _) = setting();
        if !keys(&env, "ours", kind) || !keys(&env, "theirs", kind) {
            skip!("openssl is missing");
        }
        let name = registry.name("team/app:1");
        let scope = registry.name("team");
        let set = |key: &str| {
            env.box_(&["image", "trust", "set", "-t", "sigstoreSigned", "-f", key, &scope]).ok();
        };
        set("ours.pub");
        refused(&env, &name, "there is none");
        let sign = |key: &str, name: &str| env.box_(&["image", "sign", "--sign-by-sigstore-private-key", key, name]);
        sign("theirs.pem", &name).ok();
        refused(&env, &name, "no signature");
        // Of another image, copied to this one.
        registry.push("team/other", "1", &small("other"));
        let place = sign("ours.pem", &registry.name("team/other:1")).ok();
        let theirs = registry.manifest("team/other", place.rsplit(':').next().unwrap()).unwrap();
        let own = sign("theirs.pem", &name).ok();
        registry.push_manifest("team/app", own.rsplit(':').next().unwrap(), &theirs);
        let document: Value = serde_json::from_slice(&theirs.bytes).unwrap();
        registry.share(document["layers"][0]["digest"].as_str().unwrap());
        refused(&env, &name, "another image or name");
        sign("ours.pem", &name).ok();
        env.box_(&["pull", "-q", &name]).ok();
        // Signed as it is pushed, it can be pulled at once.
        let pushed = registry.name("team/pushed:1");
        let push = |options: &[&str], to: &str| env.box_(&[&["push", "-q"], options, &[&name, to]].concat());
        push(&["--sign-by-sigstore-private-key", "theirs.pem"], &pushed).ok();
        env.box_(&["pull", "-q", &pushed]).fails(125).says("no signature");
        push(&["--sign-by-sigstore-private-key", "ours.pem"], &pushed).ok();
        env.box_(&["pull", "-q", &pushed]).ok();
        push(&["--sign-by-sigstore-private-key", "ours.pem"], "oci:out")
            .fails(125)
            .says("only what goes to a registry");
        push(&["--sign-by-sigstore-private-key", "none.pem"], &pushed).fails(125).says("none.pem");
        // The keys' owner may be named by the bytes, and several keys hold.
        let listed = env.box_(&["image", "attestation", "--format", "{{.Type}}", &name]).ok();
        assert!(listed.lines().all(|line| line == "cosign.sig"), "{listed}");
    }
}

/// As `cosign generate-key-pair` makes them; the passphrase is `open sesame`.
const COSIGN_KEY: &str = "\
-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjozMjc2OCwiciI6
OCwicCI6MX0sInNhbHQiOiJEajc2SkZmdlVURkUrT3BUSktxelQ4NE4rQ1pEcXBl
VnN4aUROSWY4OVZjPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJUZFlidGFodXBsMXZUMk12MFhVaDk3WkRzWTZmVDRDeiJ9LCJj
aXBoZXJ0ZXh0IjoiSm5vRzBQS0NYMnBEZVlNQkhmenk5RlhBM1ROUi8yTjZLRWl1
YWUrdlEzVmMrRjNScTFCUjBweUdOT3lDNXlrUjZMOVM5eEI4eXc4akErb1MzQ0J0
T25GckI2Z3F0OVpRQkFMaDRNLzZPUXBoODcyWjNFR0QzaFk1QUVFcEdFZ0luWFlE
WmJybW1HMDBzM1IwVnJ3TW1WV0xudmgxbFZyaXp0TzErTWZPZElOaU1ZWGtIK05i
ZGdrZTJzZlBqOFcwTlUzenVyN1VNVnZIYUE9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
";
const COSIGN_PUB: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElPjYc7jd6eFl3np1F5gC+O0QOBqG
utjzjRVi/3z4l3oOiRrTeJUsE6oa6zTNefujxDHDnNWfG9ytRa75MegR/Q==
-----END PUBLIC KEY-----
";

#[test]
fn an_encrypted_key_of_cosign() {
    let (mut env, registry, _) = setting();
    let name = registry.name("team/app:1");
    env.file("cosign.key", COSIGN_KEY);
    env.file("cosign.pub", COSIGN_PUB);
    env.file("right", "open sesame\n");
    env.file("wrong", "open barley");
    env.box_(&["image", "trust", "set", "-t", "sigstoreSigned", "-f", "cosign.pub", &registry.name("team")]).ok();
    let sign = |env: &TestEnv, more: &[&str]| {
        env.box_(&[&["image", "sign", "--sign-by-sigstore-private-key", "cosign.key"], more, &[&name]].concat())
    };
    sign(&env, &[]).fails(125).says("no passphrase").says("COSIGN_PASSWORD");
    sign(&env, &["--sign-passphrase-file", "wrong"]).fails(125).says("passphrase is another");
    refused(&env, &name, "there is none");
    sign(&env, &["--sign-passphrase-file", "right"]).ok();
    env.box_(&["pull", "-q", &name]).ok();
    env.set("COSIGN_PASSWORD", "open sesame");
    let pushed = registry.name("team/pushed:1");
    env.box_(&["push", "-q", "--sign-by-sigstore-private-key", "cosign.key", &name, &pushed]).ok();
    env.box_(&["pull", "-q", &pushed]).ok();
}

#[test]
fn a_signature_that_refers_to_its_image() {
    let (env, registry, built) = setting();
    if !keys(&env, "ours", P256) {
        skip!("openssl is missing");
    }
    let name = registry.name("team/app:1");
    let place = env.box_(&["image", "sign", "--sign-by-sigstore-private-key", "ours.pem", &name]).ok();
    // The same manifest, found by the tag that stands in for the list of referrers.
    let tag = place.rsplit(':').next().unwrap();
    let signature = registry.manifest("team/app", tag).unwrap();
    registry.forget("team/app", tag);
    registry.push_manifest("team/app", "kept", &signature);
    let mut row = signature.descriptor();
    row["artifactType"] = "application/vnd.dev.cosign.artifact.sig.v1+json".into();
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [row]}).to_string();
    let fallback = built.manifest.digest.as_str().replace(':', "-");
    registry.push_manifest("team/app", &fallback, &Blob::new(kind, index));
    env.box_(&["image", "trust", "set", "-t", "sigstoreSigned", "-f", "ours.pub", &registry.name("team")]).ok();
    env.box_(&["pull", "-q", &name]).ok();
}

#[test]
fn keys_of_gnupg() {
    let (mut env, registry, _) = setting();
    let home = env.base.join("gnupg");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    env.set("GNUPGHOME", home.display().to_string());
    let gpg = |words: &str| {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", &home).args(["--batch", "--quiet"]).args(words.split(' ')).current_dir(&env.base);
        command.output().is_ok_and(|output| output.status.success())
    };
    let made = gpg("--passphrase= --quick-generate-key ann@example.org default default never")
        && gpg("--passphrase= --quick-generate-key bob@example.org default default never")
        && gpg("--output ann.gpg --export ann@example.org");
    let stop = || drop(Command::new("gpgconf").env("GNUPGHOME", &home).args(["--kill", "all"]).output());
    if !made {
        stop();
        skip!("gpg is missing");
    }
    let name = registry.name("team/app:1");
    env.box_(&["image", "trust", "set", "-f", "ann.gpg", &registry.name("team")]).ok();
    refused(&env, &name, "lookaside");
    let lookaside = env.base.join("signatures");
    let yaml = format!("default-docker:\n  lookaside: file://{}\n", lookaside.display());
    env.file("config/containers/registries.d/default.yaml", yaml);
    refused(&env, &name, "there is none");
    env.box_(&["image", "sign", "--sign-by", "bob@example.org", &name]).ok();
    refused(&env, &name, "no signature");
    env.box_(&["image", "sign", "--sign-by", "nobody", &name]).fails(125).says("nobody");
    // For another tag of the same image: the name is signed, too.
    registry.push("team/app", "2", &small("x"));
    env.box_(&["image", "sign", "--sign-by", "ann@example.org", &registry.name("team/app:2")]).ok();
    refused(&env, &name, "another image or name");
    let place = env.box_(&["image", "sign", "--sign-by", "ann@example.org", "-d", "signatures", &name]).ok();
    assert!(place.ends_with("signature-3"), "{place}");
    env.box_(&["pull", "-q", &name]).ok();
    let pushed = registry.name("team/pushed:1");
    env.box_(&["push", "-q", "--sign-by", "ann@example.org", &name, &pushed]).ok();
    env.box_(&["pull", "-q", &pushed]).ok();
    // A list with its images: each is signed.
    env.box_(&["manifest", "create", "list", &name]).ok();
    let list = registry.name("team/list:1");
    env.box_(&["manifest", "push", "-q", "--sign-by", "ann@example.org", "list", &list]).ok();
    env.box_(&["pull", "-q", &list]).ok();
    assert_eq!(env.box_(&["image", "sign", "--all", "--sign-by", "ann@example.org", &list]).ok().lines().count(), 2);
    // A key with a passphrase, which a file has.
    env.file("right", "open sesame\n");
    env.file("wrong", "open barley\n");
    let made = gpg(
        "--pinentry-mode loopback --passphrase-file right --quick-generate-key eve@example.org default default never",
    );
    assert!(made && gpg("--output eve.gpg --export eve@example.org"));
    drop(Command::new("gpgconf").env("GNUPGHOME", &home).args(["--kill", "gpg-agent"]).output());
    env.box_(&["image", "trust", "set", "-f", "eve.gpg", &registry.name("team")]).ok();
    let push = |file: &str| {
        let words = ["push", "-q", "--sign-by", "eve@example.org", "--sign-passphrase-file", file, &name, &pushed];
        env.box_(&words)
    };
    push("wrong").fails(125).says("cannot sign");
    env.box_(&["pull", "-q", &pushed]).fails(125).says("no signature");
    push("right").ok();
    env.box_(&["pull", "-q", &pushed]).ok();
    stop();
}

#[test]
fn what_is_attached_can_be_read() {
    let (env, registry, built) = setting();
    let content = br#"{"predicateType":"https://spdx.dev/Document"}"#;
    let document = Blob::new("application/vnd.in-toto+json", content.to_vec());
    registry.push_blob(&document);
    let mut layer = document.descriptor();
    layer["annotations"] = json!({"in-toto.io/predicate-type": "https://spdx.dev/Document"});
    let config = Blob::new("application/vnd.oci.empty.v1+json", "{}");
    let manifest = json!({"schemaVersion": 2, "config": config.descriptor(), "layers": [layer]}).to_string();
    let manifest = Blob::new("application/vnd.oci.image.manifest.v1+json", manifest);
    registry.push_manifest("team/app", &format!("{}.att", built.manifest.digest.as_str().replace(':', "-")), &manifest);
    let name = registry.name("team/app:1");
    let listed = env.box_(&["image", "attestation", &name]).ok();
    assert!(listed.contains("cosign.att") && listed.contains("https://spdx.dev/Document"), "{listed}");
    let digest = &document.digest.digits()[..12];
    assert_eq!(env.box_(&["image", "attestation", &name, digest]).stdout, content);
    env.box_(&["image", "attestation", &name, "ffff"]).fails(125).says("ffff");
    env.box_(&["image", "attestation", "--format", "json", &name]).json();
}
