//! `box login` and `box logout`: who is asked, where it is kept, and that nobody else sees it.

use crate::env::{TestEnv, eventually};
use crate::image::Image;
use crate::registry::{Auth, Registry, base64};
use crate::tmux::Tmux;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn registry() -> (TestEnv, Registry) {
    let registry = Registry::start();
    registry.set_auth(Auth::Basic("ann:s3cret".into()));
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    (env, registry)
}

#[test]
fn in_and_out() {
    let (env, registry) = registry();
    let host = registry.host();
    let login = |password: &str| env.cmd(&["login", "-u", "ann", "--password-stdin", &host]).stdin(password).run();
    let outcome = login("wrong\n");
    outcome.fails(125).says("refuses");
    assert!(!outcome.err().contains("wrong"), "{outcome}");
    let file = env.base.join("run/containers/auth.json");
    assert!(!file.exists());
    assert_eq!(login("s3cret\n").ok(), "Login Succeeded!");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&file).unwrap().contains(&base64(b"ann:s3cret")));
    assert_eq!(env.box_(&["login", "--get-login", &host]).ok(), "ann");
    assert!(env.box_(&["login", &format!("http://{host}/")]).ok().contains("Already logged in"));
    let pull = env.box_(&["pull", &registry.name("nonesuch")]);
    pull.fails(125).says("has no image");
    // Not for others whose name begins or ends like it.
    let other = Registry::start();
    env.file("config/containers/registries.conf", registry.conf() + &other.conf());
    env.box_(&["pull", &other.name("x")]).fails(125);
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
    assert_eq!(env.box_(&["logout", &host]).ok(), format!("Removed login credentials for {host}"));
    env.box_(&["logout", &host]).fails(125).says("not logged in");
    env.box_(&["login", "--get-login", &host]).fails(125).says("not logged in");
    login("s3cret").ok();
    env.box_(&["logout", "--all"]).ok();
    // A secret has the password, and its name is the user's where no other is given.
    for name in ["ann", "registry"] {
        env.cmd(&["secret", "create", name, "-"]).stdin("s3cret\n").run().ok();
    }
    env.box_(&["login", "--secret", "ann", &host]).ok();
    assert_eq!(env.box_(&["login", "--get-login", &host]).ok(), "ann");
    env.box_(&["login", "--secret", "registry", &host]).fails(125).says("refuses");
    env.box_(&["login", "--secret", "registry", "-u", "ann", &host]).ok();
    env.box_(&["login", "--secret", "none", &host]).fails(125).says("none");
    env.box_(&["logout", &host]).ok();
    env.box_(&["login", "--get-login", &host]).fails(125);
    fs::remove_dir_all(env.base.join("run/containers")).unwrap();
}

#[test]
fn words_that_make_no_sense() {
    let (env, registry) = registry();
    env.box_(&["login", &registry.host()]).fails(125).says("no terminal");
    env.box_(&["login", "--password-stdin", &registry.host()]).ends(125);
    env.cmd(&["login", "-u", "ann", "--password-stdin", "a b"]).stdin("x").run().fails(125).says("no registry");
    env.cmd(&["login", "-u", "a:b", "--password-stdin", &registry.host()]).stdin("x").run().fails(125).says("colon");
    env.cmd(&["login", "-u", "ann", "--password-stdin", &registry.host()]).stdin("").run().fails(125).says("stdin");
    let file = env.file("auth.json", "{ damaged");
    let login = ["login", "-u", "ann", "-p", "s3cret", "--authfile", file.to_str().unwrap(), &registry.host()];
    env.box_(&login).fails(125).says("auth.json");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{ damaged");
}

#[test]
fn files_of_others_keep_what_they_have() {
    let (env, registry) = registry();
    let host = registry.host();
    let file = env.file("docker/config.json", r#"{"detachKeys": "ctrl-q", "auths": {"b.example": {"auth": "eDp5"}}}"#);
    let path = file.to_str().unwrap();
    env.box_(&["login", "-u", "ann", "-p", "s3cret", "--compat-auth-file", path, &host]).ok();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("detachKeys") && text.contains("b.example") && text.contains(&host), "{text}");
    env.cmd(&["pull", &registry.name("x")])
        .set("DOCKER_CONFIG", env.base.join("docker").to_str().unwrap())
        .run()
        .says("has no image");
    env.cmd(&["logout", &host])
        .set("DOCKER_CONFIG", env.base.join("docker").to_str().unwrap())
        .run()
        .fails(125)
        .hints(path);
    env.box_(&["logout", "--compat-auth-file", path, &host]).ok();
    assert!(!fs::read_to_string(&file).unwrap().contains(&host));
}

/// A helper that keeps what it is given in files beside it.
const HELPER: &str = r#"#!/bin/sh
d=$(dirname "$0")
echo "$1 $#" >> "$d/calls"
case $1 in
store) cat > "$d/kept" ;;
get) read -r server; [ -e "$d/kept" ] && cat "$d/kept" || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm "$d/kept" ;;
esac
"#;

#[test]
fn helpers_keep_passwords() {
    let (mut env, registry) = registry();
    let host = registry.host();
    let helper = env.file("bin/docker-credential-test", HELPER);
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", env.base.join("bin").display());
    env.set("PATH", path);
    for (content, key) in [
        (r#"{"credsStore": "test"}"#.to_owned(), "store"),
        (format!(r#"{{"credHelpers": {{"{host}": "test"}}}}"#), "helper"),
    ] {
        let file = env.file("auth.json", content);
        let file = file.to_str().unwrap().to_owned();
        let name = registry.name("x");
        let run = |args: &[&str]| env.cmd(args).set("REGISTRY_AUTH_FILE", &file).run();
        run(&["login", "-u", "ann", "-p", "s3cret", &host]).ok();
        assert!(!fs::read_to_string(&file).unwrap().contains("auths"), "{key}: the helper has it");
        assert!(fs::read_to_string(env.base.join("bin/kept")).unwrap().contains("s3cret"));
        assert_eq!(run(&["login", "--get-login", &host]).ok(), "ann");
        run(&["pull", &name]).fails(125).says("has no image");
        run(&["logout", &host]).ok();
        assert!(!env.base.join("bin/kept").exists());
        run(&["pull", &name]).fails(125).says("credentials");
        assert!(fs::read_to_string(env.base.join("bin/calls")).unwrap().lines().all(|line| line.ends_with(" 1")));
    }
    // Not from the current folder, and not by a path.
    for name in ["gone", "../bin/test"] {
        let file = env.file("auth.json", format!(r#"{{"credsStore": "{name}"}}"#));
        let pull = ["pull", "--authfile", file.to_str().unwrap(), &registry.name("x")];
        env.box_(&pull).fails(125).says(name);
    }
}

#[test]
fn repairs_ask_the_helper() {
    let (mut env, registry) = registry();
    let helper = env.file("bin/docker-credential-test", HELPER);
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    env.set("PATH", format!("{}:/usr/bin:/bin", env.base.join("bin").display()));
    let file = env.file("auth.json", r#"{"credsStore": "test"}"#);
    env.set("REGISTRY_AUTH_FILE", file.display().to_string());
    env.box_(&["login", "-u", "ann", "-p", "s3cret", &registry.host()]).ok();
    let built = Image::payload().build();
    registry.push("app", "1", &built);
    env.box_(&["pull", "-q", &registry.name("app:1")]).ok();
    let calls = || fs::read_to_string(env.base.join("bin/calls")).unwrap().lines().count();
    let before = calls();
    env.box_(&["system", "check", "--repair"]).ok();
    assert_eq!(calls(), before, "nothing to repair, nobody to ask");
    fs::remove_file(env.base.join("data/box/oci/blobs/sha256").join(built.layers[0].digest.digits())).unwrap();
    assert!(env.box_(&["system", "check", "--repair"]).ok().contains(": repaired"));
    assert!(calls() > before);
}

#[test]
fn a_password_is_typed_unseen() {
    let (env, registry) = registry();
    let Some(terminal) = Tmux::start(&env) else { skip!("there is no tmux") };
    terminal.line(&format!("box login {}", registry.host()));
    terminal.await_text("Username:");
    terminal.line("ann");
    terminal.await_text("Password:");
    terminal.line("s3cret");
    terminal.await_text("Login Succeeded!");
    assert!(!terminal.screen().contains("s3cret"), "{}", terminal.screen());
    // Ctrl-C gives the terminal back.
    terminal.line(&format!("clear; box logout {0}; box login {0}", registry.host()));
    terminal.await_text("Username:");
    terminal.line("ann");
    terminal.await_text("Password:");
    terminal.keys(&["C-c"]);
    eventually("the terminal to be given back", || {
        terminal.line("echo $((40 + 2))");
        terminal.screen().contains("42")
    });
    drop(terminal);
    let _ = fs::remove_dir_all(env.base.join("run/containers"));
}
