//! The documents: README's commands run, and links lead somewhere.

use crate::env::{TestEnv, program};
use crate::image::{Image, Packed};
use crate::layering::package;
use crate::real::root_file_system;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

/// The lines after `$ ` in a document's `console` blocks.
fn commands(document: &str) -> Vec<String> {
    let text = fs::read_to_string(package().join(document)).unwrap();
    let blocks = text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ ")).map(String::from).collect()
}

/// An image called alpine, of this machine's Alpine or busybox; false where there is neither.
pub fn load_alpine(env: &TestEnv) -> bool {
    let Some((tar, _)) = root_file_system() else { return false };
    let mut image = Image::empty().packed(tar, Packed::Plain);
    image.run = json!({"Env": ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"], "Cmd": ["/bin/sh"]});
    image.build().docker_archive(&env.base.join("alpine.tar"), &["docker.io/library/alpine:latest"]);
    env.load(&env.base.join("alpine.tar"));
    true
}

/// Run every command of a document, and look at what some of them print.
fn run_document(document: &str, shown: &[(&str, &str)]) {
    let env = TestEnv::new();
    if !load_alpine(&env) {
        skip!("there is neither an Alpine root file system nor a busybox");
    }
    fs::create_dir(env.base.join("bin")).unwrap();
    symlink(program(), env.base.join("bin/box")).unwrap();
    let commands = commands(document);
    assert!(commands.len() > 8, "{commands:?}");
    // Another port than the document's, which somebody may use.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    for command in commands {
        let line =
            format!("PATH={}/bin:$PATH; {}", env.base.display(), command.replace("8080:80", &format!("{port}:80")));
        let outcome = env.other("sh".as_ref()).args(&["-c", &line]).run();
        assert_eq!(outcome.code, 0, "{command}\n{outcome}");
        for (part, shown) in shown {
            assert!(!command.contains(part) || outcome.out().contains(shown), "{outcome}");
        }
    }
}

#[test]
fn readme_commands_run() {
    let shown = [("State.Running", "true"), ("exec web id", "uid=0"), ("| box", "a pipe passes bytes unchanged")];
    run_document("README.md", &shown);
}

#[test]
fn the_builds_run() {
    let shown = [("run --rm", "hello\nbuilt"), ("cat out/built", "built"), ("--check", "no warnings found")];
    run_document("docs/build.md", &shown);
}

#[test]
fn the_tour_runs() {
    let shown = [
        ("State.Running", "true"),
        ("cat /tmp/note", "from outside"),
        ("| box", "bytes in, bytes out"),
        ("| tar t", "tmp/note"),
        ("condition healthy", "-1"),
        ("health=healthy", "(healthy)"),
        ("box rename", ""),
        ("system boot status", "disabled"),
    ];
    run_document("docs/tour.md", &shown);
}

#[test]
fn links_lead_somewhere() {
    let folders = [package(), package().join("docs")];
    let documents = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut dead = Vec::new();
    for path in documents.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or("");
            if !target.is_empty() && !target.contains("://") && !path.with_file_name(target).exists() {
                dead.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn the_code_map_is_complete() {
    let map = fs::read_to_string(package().join("ARCHITECTURE.md")).unwrap();
    let rows: Vec<&str> = map.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(rows, crate::layering::modules(), "the code map is in another order than src/lib.rs");
}
