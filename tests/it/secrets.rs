//! `box secret`, and `--secret`: the value gets in, and nowhere else.

use crate::env::{TestEnv, eventually};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What is looked for where it must not be.
const VALUE: &str = "hush-4711-value";

fn create(env: &TestEnv, name: &str) {
    let id = env.cmd(&["secret", "create", name, "-"]).stdin(VALUE).run().ok();
    assert!(id.len() == 25 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
}

#[test]
fn a_life() {
    let env = TestEnv::new();
    create(&env, "key");
    env.cmd(&["secret", "create", "key", "-"])
        .stdin("x")
        .run()
        .fails(125)
        .says("there is a secret `key` already")
        .hints("--replace");
    let file = env.file("value", "from a file").display().to_string();
    let replaced = env.box_(&["secret", "create", "--replace", "-l", "k=v", "key", &file]).ok();
    assert_eq!(env.box_(&["secret", "create", "--ignore", "key", &file]).ok(), replaced);
    assert_eq!(env.box_(&["secret", "inspect", "--showsecret", "-f", "{{.SecretData}}", "key"]).ok(), "from a file");
    assert_eq!(
        env.box_(&["secret", "inspect", "-f", "{{.Spec.Name}} {{.Spec.Labels.k}}", &replaced[..8]]).ok(),
        "key v"
    );
    let pretty = env.box_(&["secret", "inspect", "--pretty", "key"]).ok();
    let before =
        format!("ID:              {replaced}\nName:              key\nLabels:\n - k=v\nDriver:            file\n");
    assert!(pretty.starts_with(&before) && pretty.contains("\nUpdated at:        20"), "{pretty}");
    env.cmd(&["secret", "create", "--env", "b", "SOME"]).set("SOME", "of env").run().ok();
    env.box_(&["secret", "create", "--env", "c", "NONE"]).fails(125).says("the variable `NONE` is not set");
    env.cmd(&["secret", "create", "d", "-"]).stdin("").run().fails(125).says("1 to 512000 bytes");
    env.box_(&["secret", "create", "d", "/nonesuch"]).fails(125).says("cannot read `/nonesuch`");
    env.cmd(&["secret", "create", "../d", "-"]).stdin("x").run().fails(125).says("cannot be the name of a secret");
    assert_eq!(env.box_(&["secret", "ls", "--format", "{{.Name}}"]).ok(), "b\nkey");
    assert_eq!(env.box_(&["secret", "ls", "--filter", "name=^b", "--format", "{{.Name}} {{.Driver}}"]).ok(), "b file");
    assert!(env.box_(&["secret", "ls"]).ok().starts_with("ID                         NAME"));
    env.box_(&["secret", "exists", "key"]).ends(0).quiet();
    assert_eq!(env.box_(&["secret", "rm", "key"]).ok(), replaced);
    env.box_(&["secret", "exists", "key"]).ends(1).quiet();
    env.box_(&["secret", "rm", "key"]).fails(1).says("no such secret `key`");
    env.box_(&["secret", "rm", "-a"]).ok();
    assert_eq!(env.box_(&["secret", "ls", "-q"]).ok(), "");
}

#[test]
fn a_container_is_given_it() {
    let env = TestEnv::with_image();
    create(&env, "key");
    let seen =
        env.inside(&["--secret", "key"], &["do", "cat", "/run/secrets/key", ";", "stat", "/run/secrets/key"]).ok();
    assert!(seen.starts_with(VALUE) && seen.contains("file 0444 0:0 "), "{seen}");
    let seen = env.inside(&["--secret", "source=key,target=/etc/key,mode=0400"], &["stat", "/etc/key"]).ok();
    assert!(seen.starts_with("file 0400 0:0 "), "{seen}");
    assert_eq!(env.inside(&["--secret", "key,type=env,target=TOKEN"], &["printenv", "TOKEN"]).ok(), VALUE);
    assert_eq!(env.inside(&["--read-only", "--secret", "key"], &["cat", "/run/secrets/key"]).ok(), VALUE);
    env.inside(&["--secret", "key"], &["write", "/run/secrets/key", "x"]).ends(1).says("Read-only");
    env.inside(&["--secret", "nope"], &["true"]).fails(125).says("no such secret `nope`").hints("box secret ls");
    env.inside(&["--secret", "key,mode=9"], &["true"]).fails(125).says("`mode=9` is not a mode");
    // A command that comes later has the variables, too; the next start has the value of then.
    env.background("c", &["--secret", "key,type=env"], &["pause"]);
    assert_eq!(env.box_(&["exec", "c", "printenv", "key"]).ok(), VALUE);
    env.cmd(&["secret", "create", "--replace", "key", "-"]).stdin("new").run().ok();
    env.box_(&["restart", "-t", "0", "c"]).ok();
    assert_eq!(env.box_(&["exec", "c", "printenv", "key"]).ok(), "new");
    env.box_(&["secret", "rm", "key"]).ok();
    env.box_(&["stop", "-t", "0", "c"]).ok();
    env.box_(&["start", "c"]).fails(125).says("no such secret `key`");
}

#[test]
fn nothing_else_has_it() {
    let env = TestEnv::with_image();
    create(&env, "key");
    env.background("c", &["--secret", "key", "--secret", "key,type=env,target=TOKEN"], &["pause"]);
    assert!(!env.box_(&["inspect", "c"]).ok().contains(VALUE));
    assert_eq!(env.inspect("c", "{{(index .Config.Secrets 1).Env}}"), "TOKEN");
    for process in env.processes() {
        assert!(!process.words.contains(VALUE), "{}", process.words);
    }
    let data = env.data();
    let place = data.join("secrets/key");
    assert_eq!(fs::metadata(place.join("data")).unwrap().permissions().mode() & 0o777, 0o600);
    env.box_(&["stop", "-t", "0", "c"]).ok();
    assert_eq!(holders(&data, VALUE), [place.join("data")]);
    eventually("the run folder is gone", || holders(&env.run_dir(), VALUE).is_empty());
    env.box_(&["secret", "rm", "key"]).ok();
    assert!(holders(&data, VALUE).is_empty());
}

/// The files below a folder that hold a text.
fn holders(folder: &Path, text: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(holders(&path, text)),
            Ok(kind) if kind.is_file() => {
                let bytes = fs::read(&path).unwrap_or_default();
                found.extend(bytes.windows(text.len()).any(|window| window == text.as_bytes()).then_some(path));
            }
            _ => {}
        }
    }
    found
}
