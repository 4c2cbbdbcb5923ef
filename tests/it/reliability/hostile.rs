//! Some hundred archives from an enemy, made from a table, through every door: refused or harmless, soon, in little memory.

use super::in_full;
use super::many::Random;
use crate::env::TestEnv;
use crate::hostile::{canary, snapshot};
use crate::image::Image;
use crate::tarball::{Head, Tar};
use std::path::Path;

/// What it is, and its bytes.
type Case = (String, Vec<u8>);

/// Entries of every kind by a name.
fn kinds(name: &str, target: &str) -> Vec<(&'static str, Tar)> {
    let head = |kind: u8| Head { kind, ..Head::default() };
    vec![
        ("file", Tar::new().file(name, 0o6777, "evil")),
        ("folder", Tar::new().folder(name, 0o000)),
        ("link", Tar::new().link(name, target).file(&format!("{name}/in"), 0o644, "evil")),
        ("hard link", Tar::new().hard(name, target).file(name, 0o666, "evil")),
        ("fifo", Tar::new().fifo(name).file(name, 0o644, "evil")),
        ("device", Tar::new().device(name, 1, 3).file(name, 0o644, "evil")),
        ("odd kind", Tar::new().entry(name, &head(b'S'), b"evil")),
    ]
}

fn names(out: &str, cases: &mut Vec<Case>) {
    let up = format!("{}{}", "../".repeat(24), out.trim_start_matches('/'));
    let names = [
        format!("{up}/new"),
        format!("{out}/file"),
        "..".into(),
        "../x".into(),
        "a/../../x".into(),
        "./.".into(),
        "".into(),
        "/".into(),
        "a//../..//b".into(),
        ".wh...".into(),
        ".wh..".into(),
        "a/.wh...".into(),
        ".wh..wh..opq".into(),
        "proc/self/root/x".into(),
        "dev/null".into(),
        "etc/passwd".into(),
        "tmp".into(),
        "x".repeat(300),
        "d/".repeat(400),
        "new\nline\u{1b}[31m".into(),
    ];
    for name in &names {
        for (kind, tar) in kinds(name, out) {
            cases.push((format!("{kind} called `{}`", name.escape_debug()), tar.finish()));
        }
    }
}

fn through_links(out: &str, cases: &mut Vec<Case>) {
    let up = format!("{}{}", "../".repeat(24), out.trim_start_matches('/'));
    for target in [out, &up, "/", "..", "/proc/self/root", "/proc/self/cwd", "l"] {
        for (kind, tar) in kinds("l/new", &format!("{target}/file")) {
            // The link first: both are one archive.
            let mut both = Tar::new().link("l", target).unfinished();
            both.extend(tar.finish());
            cases.push((format!("{kind} through a link to `{target}`"), both));
        }
    }
}

fn headers(cases: &mut Vec<Case>) {
    let good = Tar::new().folder("d", 0o755).file("d/a", 0o644, "x".repeat(3000)).link("l", "d/a").finish();
    for kind in (b'A'..=b'Z').chain(b'a'..=b'z').chain([0, 7, 0xff]) {
        let head = Head { kind, ..Head::default() };
        cases.push((
            format!("type {kind}"),
            Tar::new().entry("a", &head, b"12 path=/x\n").file("b", 0o644, "").finish(),
        ));
    }
    for size in [1, 511, 513, 1 << 33, 1 << 50, u64::MAX >> 1] {
        let head = Head { size: Some(size), ..Head::default() };
        cases.push((format!("size {size}"), Tar::new().entry("a", &head, b"x").finish()));
    }
    for (key, value) in [
        ("size", "-1"),
        ("size", "99999999999999999999"),
        ("uid", "4294967295"),
        ("uid", "-5"),
        ("gid", "1e9"),
        ("path", ""),
        ("path", "/"),
        ("path", "a\0b"),
        ("linkpath", ""),
        ("mtime", "nan"),
        ("mtime", "-1e300"),
        ("GNU.sparse.map", "0,1,0,1"),
        ("GNU.sparse.size", "9223372036854775807"),
        ("GNU.sparse.name", "../../x"),
        ("GNU.sparse.major", "9"),
        ("SCHILY.xattr.user.overlay.redirect", "/etc"),
        ("SCHILY.xattr.user.overlay.metacopy", ""),
        ("SCHILY.xattr.user.overlay.opaque", "y"),
        ("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
        ("SCHILY.xattr.security.capability", "short"),
        ("SCHILY.xattr.user.fuseoverlayfs.opaque", "y"),
        ("SCHILY.xattr.", "x"),
        ("SCHILY.xattr.user.box.owner", "0:0"),
        ("LIBARCHIVE.xattr.user.x", "%%%"),
        ("hdrcharset", "BINARY"),
        ("comment", "x"),
    ] {
        let tar = Tar::new().pax(&[(key, value.as_bytes())]).file("a", 0o644, "x").finish();
        cases.push((format!("pax {key}={}", value.escape_debug()), tar));
    }
    for length in (0..good.len()).step_by(good.len() / 24) {
        cases.push((format!("cut after {length} bytes"), good[..length].to_vec()));
    }
    let mut random = Random::new(11);
    for round in 0..60 {
        let mut flipped = good.clone();
        for _ in 0..=round % 4 {
            let at = random.below(2048) as usize;
            flipped[at] ^= 1 << random.below(8);
        }
        // With the right sum, so that what was changed is read.
        for block in [0, 512] {
            sum(&mut flipped[block..block + 512]);
        }
        cases.push((format!("flipped bits {round}"), flipped));
    }
}

fn sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A command on the archive, in at most 256 MB; it may refuse, and that soon.
fn offer(env: &TestEnv, what: &str, words: &[&str], stdin: &[u8]) -> bool {
    let mut cmd = env.other(Path::new("prlimit"));
    cmd.arg("--data=256000000").arg(crate::env::program()).args(words);
    let outcome = cmd.stdin(stdin).run();
    assert!([0, 125].contains(&outcome.code), "{what}: {outcome}");
    let err = outcome.err();
    assert!(!err.contains("panicked") && !err.contains("memory allocation"), "{what}: {outcome}");
    outcome.code == 0
}

#[test]
fn archives_from_a_table_through_every_door() {
    let env = TestEnv::with_image();
    let out = canary(&env);
    let mut cases = Vec::new();
    names(&out, &mut cases);
    through_links(&out, &mut cases);
    headers(&mut cases);
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let before = snapshot(&env.base.join("canary"));
    env.box_(&["create", "--name", "c", "--network", "none", "t"]).ok();
    let (file, layout) = (env.base.join("evil.tar"), env.base.join("layout"));
    for (what, tar) in cases.iter().step_by(if in_full() { 1 } else { 12 }) {
        let built = Image::payload().layer(tar.clone()).build();
        built.docker_archive(&file, &["localhost/evil:latest"]);
        let _ = std::fs::remove_dir_all(&layout);
        built.layout(&layout, "x");
        for words in [&["load", "-q", "-i", "evil.tar"][..], &["pull", "-q", "oci:layout:x"]] {
            if offer(&env, what, words, b"") {
                let image = if words[0] == "load" { "localhost/evil" } else { "oci:layout:x" };
                let run = env.box_(&["run", "--rm", "--network", "none", image, "true"]);
                assert!([0, 125, 126, 127].contains(&run.code) && !run.err().contains("panicked"), "{what}: {run}");
            }
            assert_eq!(snapshot(&env.base.join("canary")), before, "{what}: the canary was touched by {words:?}");
        }
        env.box_(&["volume", "create", "v"]).ok();
        for words in [&["import", "-q", "-", "localhost/i"][..], &["volume", "import", "v", "-"], &["cp", "-", "c:/"]] {
            offer(&env, what, words, tar);
            assert_eq!(snapshot(&env.base.join("canary")), before, "{what}: the canary was touched by {words:?}");
        }
        env.box_(&["volume", "rm", "v"]).ok();
    }
    env.box_(&["rm", "c"]).ok();
    super::the_truth(&env, "all archives");
}
