//! What instructions do, what is executed again and what is not, and what comes out.

use super::site::{Site, cached, is_anywhere};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn files_and_owners_of_copies() {
    let site = Site::new();
    site.file("d/e/f.txt", "f").file("d/g.log", "g").file(".dockerignore", "secret\n!secret/but\n");
    site.file("secret/key", "k").file("secret/but", "b").file("a b", "blank");
    symlink("d/e/f.txt", site.env.base.join("ctx/link")).unwrap();
    let dockerfile = "FROM base AS one
RUN mkdir /real && ln -s /real /linked && echo joe:x:1234:55::/:/bin/sh >> /etc/passwd
FROM one
COPY d /contents
COPY d/e/f.txt /linked/
COPY link /followed
COPY --chown=joe --chmod=u=rwX,go=rX d /own
COPY --chown=7:8 --chmod=0600 d/g.log /x/y/file
COPY --parents d/e/*.txt /p/
COPY --exclude=**/*.log d /without
COPY secret /secret
COPY [\"a b\", \"/\"]
COPY <<one <<\"two\" /docs/
$PATH
one
$PATH
two
COPY --from=base /etc/passwd /from-image
COPY --link d/g.log /real/linked-layer
WORKDIR /w/deep
COPY d/g.log ./
";
    site.build(dockerfile, &[]).ok();
    let listed =
        site.sh("stat -c '%a %u:%g %n' /contents /contents/e/f.txt /real/f.txt /own /own/e /own/e/f.txt /x /x/y/file \
         /p/d/e/f.txt /w/deep /w/deep/g.log /real/linked-layer; ls /without /secret /contents; cat /followed '/a b'; \
         cat /docs/two; grep -c root /from-image; cat /docs/one");
    assert_eq!(
        listed,
        "755 0:0 /contents\n644 0:0 /contents/e/f.txt\n644 0:0 /real/f.txt\n755 1234:55 /own\n755 1234:55 /own/e\n\
         644 1234:55 /own/e/f.txt\n755 7:8 /x\n600 7:8 /x/y/file\n644 0:0 /p/d/e/f.txt\n755 0:0 /w/deep\n\
         644 0:0 /w/deep/g.log\n644 0:0 /real/linked-layer\n/contents:\ne\ng.log\n\n/secret:\nbut\n\n/without:\ne\nfblank$PATH\n\
         1\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
}

#[test]
fn what_cannot_be_copied() {
    let site = Site::new();
    site.file("there.txt", "x").file("hidden", "h").file(".dockerignore", "hidden\n").file("dir/x", "x");
    for (line, says) in [
        ("COPY ther.txt /", "did you mean `there.txt`?"),
        ("COPY ther.txt /", "`ther.txt` is not in the build context"),
        ("COPY hidden /", "add `!hidden`"),
        ("COPY ../there.txt /none /", "`/none` is not in the build context"),
        ("COPY there.txt /etc/passwd/", "passwd"),
        ("COPY dir /etc/passwd", "cannot copy a folder over the file `/etc/passwd`"),
        ("COPY --from=later x /", "stage `later` comes later"),
        ("COPY --from=0 x /", "stage 0 comes later"),
        ("COPY --chown=nobody-here there.txt /", "nobody-here"),
    ] {
        let outcome =
            site.build(&format!("FROM base\n{line}\nFROM base AS later\nCOPY --from=0 / /\n"), &["--target", "later"]);
        assert_ne!(outcome.code, 0, "{line}");
        assert!(outcome.err().contains(says), "{line}\n{outcome}");
    }
    for (name, says) in [
        ("earlier", "`x` is not in the stage or image `earlier`"),
        ("0", "`x` is not in the stage or image `0`"),
        ("base", "`x` is not in the stage or image `base`"),
        ("itself", "stage `itself` cannot copy from itself"),
        ("earlyer", "did you mean the stage `earlier`?"),
        ("localhost:1/none", ">>> COPY --from=localhost:1/none x /"),
    ] {
        let dockerfile = format!("FROM base AS earlier\nFROM base AS itself\nCOPY --from={name} x /\n");
        let options: &[&str] = if name.contains('/') { &[] } else { &["--pull=never"] };
        site.build(&dockerfile, options).fails(125).says(says);
    }
    // A pattern may mean nothing, and `..` leads nowhere.
    site.build("FROM base\nCOPY none* there.txt /x/\nCOPY ../../there.txt /y\n", &[]).ok();
}

#[test]
fn commands_and_what_they_are_lent() {
    let mut site = Site::new();
    site.file("d/x", "from the context");
    site.env.set("TOKEN", "hush-hush-4711");
    let dockerfile = "FROM base AS one
RUN mkdir /deep && echo one > /deep/file
FROM base
ARG WHO=nobody
ENV GREETING=hello
WORKDIR /srv
SHELL [\"/bin/sh\", \"-ec\"]
RUN echo $GREETING $WHO > said; echo $0 >> said
RUN [\"touch\", \"exec form\"]
RUN <<EOF
false || echo heredoc > doc
EOF
RUN <<EOF cat > with-words
text
EOF
RUN --mount=type=bind,from=one,source=/deep,target=/mnt/one --mount=type=bind,target=/mnt/ctx,source=d,rw \\
    cat /mnt/one/file /mnt/ctx/x > bound && echo new > /mnt/ctx/new
RUN --mount=type=secret,id=token --mount=type=secret,id=token,env=T,target=/t \\
    test \"$T\" = \"$(cat /run/secrets/token)\" && test \"$T\" = \"$(cat /t)\" && echo ${#T} > length
RUN --mount=type=tmpfs,target=/fast echo x > /fast/x && ls /fast > fast
RUN --mount=type=cache,target=/cache,id=../../../c echo x >> /cache/log && wc -l < /cache/log > times
RUN --network=none ls /sys/class/net > net
";
    site.build(dockerfile, &["--build-arg", "WHO=you", "--secret", "id=token,env=TOKEN"]).ok();
    let said = site.sh("cd /srv; cat said doc with-words bound length fast times; ls; ls -d /mnt/* /fast /cache /t 2>&1 | grep -c -v No; true");
    assert_eq!(
        said,
        "hello you\n/bin/sh\nheredoc\ntext\none\nfrom the context14\nx\n1\nbound\ndoc\nexec form\nfast\nlength\nnet\nsaid\n\
         times\nwith-words\n0"
    );
    assert!(!site.env.base.join("ctx/d/new").exists(), "what is written to a context is for nobody to see");
    assert_eq!(is_anywhere(&site.env.data(), "hush-hush-4711"), None, "a secret was kept");
    // The cache is there for others, and what was written into it before.
    site.build("FROM base\nRUN --mount=type=cache,target=/else,id=../../../c wc -l < /else/log > /n\n", &[]).ok();
    assert_eq!(site.sh("cat /n"), "1");
    // A script with an interpreter of its own.
    site.build("FROM base\nRUN <<EOF\n#!/bin/cat\nprinted\nEOF\n", &[]).ok();
}

#[test]
fn the_config_that_comes_out() {
    let site = Site::new();
    let dockerfile = "FROM base AS first
ENV A=1 B=\"two words\"
LABEL x=y
ONBUILD ENV TRIGGERED=yes
CMD [\"base-command\"]
FROM first
ENV A=${A}2
WORKDIR srv
WORKDIR app
USER 7:8
EXPOSE 80 53/udp
VOLUME /v
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --retries=2 CMD exit 0
ENTRYPOINT exec it
MAINTAINER me
";
    site.build(dockerfile, &["--label", "cli=1"]).ok();
    let config = site.config(
        "{{.Config.Env}} {{.Config.WorkingDir}} {{.Config.User}} {{.Config.Entrypoint}} {{.Config.StopSignal}} \
         {{.Config.Labels}} {{.Author}} {{json .Config.ExposedPorts}} {{json .Config.Volumes}}",
    );
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for part in [
        &format!("{path} A=12 B=two words TRIGGERED=yes]"),
        " /srv/app 7:8 [/bin/sh -c exec it] SIGINT ",
        "cli:1 x:y",
        " me ",
        r#"{"53/udp":{},"80/tcp":{}}"#,
        r#"{"/v":{}}"#,
    ] {
        assert!(config.contains(part), "{part}\n{config}");
    }
}

#[test]
fn known_results_are_used() {
    let site = Site::new();
    site.file("a", "1").file("b", "2");
    let dockerfile =
        "FROM base AS one\nCOPY a /a\nRUN cat /a > /out\nFROM base\nCOPY --from=one /out /out\nCOPY b /b\nRUN true\n";
    let first = site.build(dockerfile, &[]);
    first.ok();
    let id = site.id();
    assert_eq!(cached(&first), 0, "{first}");
    let second = site.build(dockerfile, &[]);
    assert_eq!((cached(&second), site.id()), (5, id.clone()), "{second}");
    // A touched file is the same file; another content is not, and only what depends on it is done again.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(100);
    fs::File::options().write(true).open(site.env.base.join("ctx/a")).unwrap().set_modified(later).unwrap();
    assert_eq!(cached(&site.build(dockerfile, &[])), 5);
    site.file("b", "3");
    let third = site.build(dockerfile, &[]);
    assert_eq!(cached(&third), 3, "{third}");
    // The same in the end: another content on the way that comes to the same.
    site.file("a", "1\n");
    let other = "FROM base AS one\nCOPY a /a\nRUN tr -d '\\n' < /a > /out\nFROM base\nCOPY --from=one /out /out\nCOPY b /b\nRUN true\n";
    let fourth = site.build(other, &[]);
    assert_eq!(cached(&fourth), 3, "the copy of the same content, and what stands on it\n{fourth}");
    let all = site.build(other, &["--no-cache"]);
    assert_eq!(cached(&all), 0, "{all}");
    let stage = site.build(other, &["--no-cache-filter", "one"]);
    assert_eq!(cached(&stage), 3, "{stage}");
}

#[test]
fn the_same_inputs_make_the_same_image() {
    let site = Site::new();
    site.file("a/b", "1");
    let dockerfile = "FROM base\nWORKDIR /srv\nCOPY a /x/a\nRUN date > /dev/null; mkdir /made; echo x > /made/file; ln -s x /made/l\nENV A=1\n";
    site.build(dockerfile, &[]).ok();
    let id = site.id();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    site.build(dockerfile, &["--no-cache"]).ok();
    assert_eq!(site.id(), id);
    site.build(dockerfile, &["--no-cache", "--timestamp", "1000000000"]).ok();
    assert_eq!(site.config("{{.Created}}"), "2001-09-09T01:46:40Z");
    assert_eq!(site.sh("stat -c %Y /made/file /x/a/b"), "1000000000\n1000000000");
    site.env.box_(&["system", "check"]).ok();
}

#[test]
fn layers_are_one_where_it_is_asked_for() {
    let site = Site::new();
    let dockerfile = "FROM base\nRUN echo a > /a; echo b > /b\nRUN rm /a; echo c >> /b\n";
    site.build(dockerfile, &[]).ok();
    assert_eq!(site.config("{{len .RootFS.Layers}}"), "3");
    site.build(dockerfile, &["--squash"]).ok();
    assert_eq!(site.config("{{len .RootFS.Layers}}"), "2");
    assert_eq!(site.sh("cat /b; ls /a 2>&1 | grep -c No"), "b\nc\n1");
    site.build(dockerfile, &["--squash-all"]).ok();
    assert_eq!(site.config("{{len .RootFS.Layers}}"), "1");
    assert_eq!(site.sh("cat /b"), "b\nc");
}

#[test]
fn archives_are_added() {
    let site = Site::new();
    let tar = crate::tarball::Tar::new().folder("top/", 0o755).file("top/file", 0o640, "packed").finish();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, &tar).unwrap();
    site.file("a.tar", &tar).file("b.tgz", packer.finish().unwrap()).file("c.gz", "no archive");
    site.build("FROM base\nADD a.tar b.tgz c.gz /x/\nADD --unpack=false a.tar /y/\nCOPY a.tar /z\n", &[]).ok();
    assert_eq!(
        site.sh("cat /x/top/file; ls /x /y; stat -c %a /x/top/file; wc -c < /z"),
        format!("packedc.gz\ntop\n\n/y:\na.tar\n640\n{}", tar.len()).replacen("c.gz", "/x:\nc.gz", 1)
    );
}

#[test]
fn stages_that_nothing_needs_are_not_built() {
    let site = Site::new();
    let dockerfile = "FROM base AS no\nRUN exit 9\nFROM base AS yes\nRUN echo yes > /f\nFROM no AS last\nRUN exit 9\n";
    site.build(dockerfile, &["--target", "yes"]).ok();
    assert_eq!(site.sh("cat /f"), "yes");
    site.build(dockerfile, &["--target", "1"]).ok();
    let outcome = site.build(dockerfile, &["--target", "yess"]);
    outcome.fails(125).says("did you mean `yes`?");
}

#[test]
fn a_failure_is_shown_and_nothing_is_left() {
    let site = Site::new();
    let outcome = site.build("FROM base\nRUN echo before\nRUN echo said; exit 3\nRUN echo never\n", &[]);
    outcome.says("said").says("exit code: 3").says("RUN echo said; exit 3");
    assert_ne!(outcome.code, 0);
    assert!(!outcome.err().contains("never\n") || !outcome.err().contains("#4 "), "{outcome}");
    let mistake = site.build("FROM base\nRUM x\n", &[]);
    mistake.says("Dockerfile:2").says("RUN");
    assert_eq!(site.env.box_(&["ps", "-aq"]).ok(), "");
}

#[test]
fn builds_at_the_same_time_share_the_work() {
    let site = Site::new();
    site.file("file", "x");
    let step =
        |name: &str| format!("RUN --mount=type=cache,target=/c,sharing=locked echo {name} >> /c/log; sleep 0.3\n");
    let dockerfile = format!(
        "FROM base AS one\n{}COPY file /f\n{}FROM base AS two\n{}FROM one\nCOPY --from=two /bin /b\n{}",
        step("a"),
        step("b"),
        step("c"),
        step("d")
    );
    site.file("Dockerfile", dockerfile);
    let build = || site.env.cmd(&["build", "-q", "--network", "none", "ctx"]).start();
    let all: Vec<_> = (0..10).map(|_| build()).collect();
    let ids: std::collections::BTreeSet<String> = all.into_iter().map(|child| child.finish().ok()).collect();
    assert_eq!(ids.len(), 1);
    site.build("FROM base\nRUN --mount=type=cache,target=/c sort /c/log > /n\n", &[]).ok();
    assert_eq!(site.sh("cat /n"), "a\nb\nc\nd", "each step once");
}

#[test]
fn base_images_by_the_pull_policy() {
    let site = Site::new();
    site.build("FROM nonesuch\n", &["--pull=never"]).fails(125).says("there is no image `nonesuch`");
    let registry = crate::registry::Registry::start();
    let name = registry.name("base:1");
    let dockerfile = format!("FROM {name}\nENV A=1\n");
    site.env.box_(&["push", "-q", "--tls-verify=false", "base", &format!("docker://{name}")]).ok();
    let asked = || registry.count("/manifests/");
    site.build(&dockerfile, &["--tls-verify=false"]).ok();
    let before = asked();
    site.build(&dockerfile, &["--tls-verify=false"]).ok();
    assert_eq!(asked(), before, "what is here is not asked for");
    site.build(&dockerfile, &["--tls-verify=false", "--pull"]).ok();
    assert!(asked() > before);
    drop(registry);
    site.build(&dockerfile, &["--tls-verify=false", "--pull=newer"]).ok();
    assert_ne!(site.build(&dockerfile, &["--tls-verify=false", "--pull"]).code, 0);
}
