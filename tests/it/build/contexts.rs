//! Where files come from: a folder, stdin, git, the web; and that nothing leads out of them.

use super::context;
use crate::env::TestEnv;
use crate::registry::{Answer, Registry};
use crate::tarball::Tar;
use std::io::Write;
use std::process::{Command, Stdio};

const COPY: &str = "FROM t\nCOPY file /f\nCMD [\"cat\", \"/f\"]\n";

/// What the image `x` prints.
fn printed(env: &TestEnv) -> String {
    env.box_(&["run", "--rm", "--network", "none", "x"]).ok()
}

fn packed(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn stdin_is_an_archive_or_a_dockerfile() {
    let env = TestEnv::with_image();
    let tar = |word: &str| Tar::new().file("Dockerfile", 0o644, COPY).file("file", 0o644, word).finish();
    for program in ["gzip", "bzip2", "xz"] {
        env.cmd(&["build", "-q", "-t", "x", "-"]).stdin(packed(program, &tar(program))).run().ok();
        assert_eq!(printed(&env), program);
    }
    env.cmd(&["build", "-q", "-t", "x", "-"]).stdin(tar("plain")).run().ok();
    assert_eq!(printed(&env), "plain");
    env.cmd(&["build", "-q", "-t", "x", "-"]).stdin("FROM t\nCMD [\"echo\", \"alone\"]\n").run().ok();
    assert_eq!(printed(&env), "alone");
    let outcome = env.cmd(&["build", "-"]).stdin(COPY).run();
    outcome.fails(125);
    context(&env, "FROM nothing\n", &[("file", "of the folder")]);
    env.cmd(&["build", "-q", "-t", "x", "-f", "-", "c"]).stdin(COPY).run().ok();
    assert_eq!(printed(&env), "of the folder");
    env.cmd(&["build", "-f", "-", "-"]).stdin("").run().fails(125).says("stdin cannot be both");
    env.cmd(&["build", "-"]).stdin(&packed("xz", &tar("x"))[..60]).run().fails(125).says("cannot use stdin");
}

#[test]
fn the_web_serves_archives_and_dockerfiles() {
    let env = TestEnv::with_image();
    let registry = Registry::start();
    let tar = Tar::new().file("Dockerfile", 0o644, COPY).file("file", 0o644, "from the web").finish();
    let archive = packed("gzip", &tar);
    registry.misbehave(move |asked, _| match asked.path.as_str() {
        "/files/c.tar.gz" => Some(Answer::new(200, archive.clone())),
        "/files/Dockerfile" => Some(Answer::new(200, "FROM t\nCMD [\"echo\", \"web\"]\n")),
        _ => None,
    });
    let url = |file: &str| format!("http://{}/files/{file}", registry.host());
    env.box_(&["build", "-q", "-t", "x", &url("c.tar.gz")]).ok();
    assert_eq!(printed(&env), "from the web");
    let url_of_file = url("Dockerfile");
    env.box_(&["build", "-q", "-t", "x", &url_of_file]).ok();
    assert_eq!(printed(&env), "web");
    context(&env, "FROM nothing\n", &[("file", "of the folder")]);
    env.box_(&["build", "-q", "-t", "x", "-f", &url_of_file, "c"]).ok();
    assert_eq!(printed(&env), "web");
    let outcome = env.box_(&["build", &url("nothing")]);
    outcome.fails(125).says("404");
}

/// A repository `r` with a Dockerfile, a folder, and links that lead out.
fn repository(env: &TestEnv) -> String {
    let git = |words: &[&str]| {
        let mut cmd = env.other("git".as_ref());
        cmd.args(&["-C", "r", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=main"]);
        cmd.args(words).run().ok()
    };
    env.file("r/Dockerfile", COPY);
    env.file("r/file", "of main");
    env.file("r/sub/Dockerfile", COPY);
    env.file("r/sub/file", "of sub");
    env.file("secret", "of the host");
    std::os::unix::fs::symlink(env.base.join("secret"), env.base.join("r/Evil")).unwrap();
    std::os::unix::fs::symlink("../../..", env.base.join("r/up")).unwrap();
    git(&["init", "-q", "."]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "x"]);
    format!("file://{}/r", env.base.display())
}

#[test]
fn git_repositories_are_contexts() {
    let mut env = TestEnv::with_image();
    let url = repository(&env);
    env.box_(&["build", &url]).fails(125).says("transport 'file' not allowed").hints("GIT_ALLOW_PROTOCOL");
    env.set("GIT_ALLOW_PROTOCOL", "file");
    for (rest, expected) in
        [("", "of main"), ("#main:sub", "of sub"), ("?subdir=sub", "of sub"), ("#:up/sub", "of sub")]
    {
        env.box_(&["build", "-q", "-t", "x", &format!("{url}{rest}")]).ok();
        assert_eq!(printed(&env), expected, "{rest}");
    }
    // G6: a Dockerfile that leads out of the repository, options for git, other programs.
    let outcome = env.box_(&["build", "-f", "Evil", &url]);
    outcome.fails(125);
    assert!(!outcome.err().contains("of the host"), "{outcome}");
    let mark = env.base.join("mark");
    let touch = format!("touch {}", mark.display());
    for evil in [
        format!("{url}#--upload-pack={touch}"),
        format!("ext::sh -c '{touch}'"),
        format!("ssh://-oProxyCommand={touch}/x.git"),
        format!("{url}?ref=--upload-pack={touch}"),
    ] {
        env.box_(&["build", "--", &evil]).fails(125);
        assert!(!mark.exists(), "{evil}");
    }
    env.box_(&["build", &format!("{url}#nope")]).fails(125).says("couldn't find remote ref nope");
    env.box_(&["build", &format!("{url}?checksum=0123456789")]).fails(125).says("not 0123456789");
}

#[test]
fn other_contexts_have_names() {
    let mut env = TestEnv::with_image();
    let url = repository(&env);
    env.set("GIT_ALLOW_PROTOCOL", "file");
    env.file("other/file", "of another folder");
    context(&env, "FROM t\nCOPY --from=o file /f\nCMD [\"cat\", \"/f\"]\n", &[("file", "of the context")]);
    for (value, expected) in [("other", "of another folder"), (&format!("{url}#main:sub"), "of sub")] {
        env.box_(&["build", "-q", "-t", "x", "--build-context", &format!("o={value}"), "c"]).ok();
        assert_eq!(printed(&env), expected);
    }
    env.file("c/Dockerfile", "FROM base\nCMD [\"echo\", \"hi\"]\n");
    let digest = env.box_(&["image", "inspect", "--format", "{{.Digest}}", "t"]).ok();
    env.box_(&["save", "-q", "--format", "oci-dir", "-o", "layout", "t"]).ok();
    for image in ["docker-image://t", &format!("docker-image://t@{digest}"), "oci-layout://layout"] {
        env.box_(&["build", "-q", "-t", "x", "--build-context", &format!("base={image}"), "c"]).ok();
        assert_eq!(printed(&env), "hi", "{image}");
    }
    env.box_(&["build", "-q", "--build-context", &format!("base=oci-layout://layout@{digest}"), "c"])
        .fails(125)
        .says("chosen by its tag")
        .hints("oci-layout://PATH:TAG");
    env.box_(&["build", "-q", "--build-context", "base=oci-layout://nowhere", "c"])
        .fails(125)
        .says("cannot use the context `base`");
}

#[test]
fn what_is_ignored_is_not_read() {
    let env = TestEnv::with_image();
    context(
        &env,
        "FROM t\nCOPY . /all\nCMD [\"ls\", \"/all\"]\n",
        &[("file", "x"), ("large/deep/file", "x"), (".dockerignore", "large\nlog\n.dockerignore\nDockerfile\n")],
    );
    // Whoever opens the one is refused, and whoever opens the other waits for ever.
    let closed = env.base.join("c/large");
    let mode = |mode| std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o000);
    nix::unistd::mkfifo(&env.base.join("c/log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for options in [&["-q"][..], &["-q", "--no-cache"]] {
        env.cmd(&["build"]).args(options).args(&["-t", "x", "c"]).run().ok();
        assert_eq!(printed(&env), "file");
    }
    mode(0o755);
}
