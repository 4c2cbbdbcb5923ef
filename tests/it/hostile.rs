//! Layers from an enemy: they are refused, or harmless, and the host is untouched.

use crate::env::TestEnv;
use crate::image::{Image, Packed};
use crate::tarball::{Head, Tar};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Everything below a folder: kind, mode, owner, size, time and content.
pub fn snapshot(folder: &Path) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return seen };
    for path in entries.flatten().map(|entry| entry.path()) {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let content = String::from_utf8_lossy(&content).into_owned();
        let times = (meta.mtime(), meta.mtime_nsec(), meta.size());
        let facts = format!("{:o} {}:{} {times:?} {content}", meta.mode(), meta.uid(), meta.gid());
        seen.insert(path.display().to_string(), facts);
        if meta.is_dir() {
            seen.extend(snapshot(&path));
        }
    }
    seen
}

/// A folder of the host that nothing may touch.
pub fn canary(env: &TestEnv) -> String {
    env.file("canary/file", "the host's");
    env.file("canary/folder/inner", "the host's");
    env.base.join("canary").display().to_string()
}

/// Load an image of these layers, or be refused; then start it, if it came: its command is not there, but all is
/// mounted and looked at by then. What it may do is counted by the canary alone.
#[track_caller]
fn harmless(env: &TestEnv, what: &str, layers: Vec<Vec<u8>>) {
    let before = snapshot(&env.base.join("canary"));
    let mut image = Image::empty();
    for layer in layers {
        image = image.layer(layer);
    }
    let file = env.base.join("evil.tar");
    image.build().docker_archive(&file, &["localhost/evil:latest"]);
    let outcome = env.frugal(&["load", "-q", "-i", file.to_str().unwrap()]);
    assert!([0, 125].contains(&outcome.code) && !outcome.err().contains("panicked"), "{what}: {outcome}");
    if outcome.code == 0 {
        let run = env.box_(&["run", "--rm", "--network", "none", "evil", "true"]);
        assert!([0, 125, 126, 127].contains(&run.code) && !run.err().contains("panicked"), "{what}: {run}");
        env.box_(&["rmi", "-f", "evil"]).ok();
    } else {
        outcome.fails(125);
    }
    assert_eq!(snapshot(&env.base.join("canary")), before, "{what}: the canary was touched");
}

#[test]
fn names_that_lead_out() {
    let env = TestEnv::new();
    let out = canary(&env);
    let up = format!("{}{}", "../".repeat(20), out.trim_start_matches('/'));
    for name in [
        format!("{up}/new"),
        format!("{out}/new"),
        format!("bin/../../../../..{out}/new"),
        format!("./{up}/file"),
        "..".into(),
        "../..".into(),
        "a/..".into(),
    ] {
        harmless(&env, &name, vec![Tar::new().file(&name, 0o644, "evil").finish()]);
        harmless(&env, &name, vec![Tar::new().folder(&name, 0o777).finish()]);
        harmless(&env, &name, vec![Tar::new().link(&name, "/").finish()]);
        harmless(&env, &name, vec![Tar::new().pax(&[("path", name.as_bytes())]).file("x", 0o644, "evil").finish()]);
    }
}

#[test]
fn links_that_lead_out() {
    let env = TestEnv::new();
    let out = canary(&env);
    let up = format!("{}{}", "../".repeat(20), out.trim_start_matches('/'));
    for target in [out.clone(), up, format!("/proc/self/root{out}"), format!("/proc/1/root{out}")] {
        let link = || Tar::new().link("l", &target);
        for (what, same) in [
            ("file through a link", link().file("l/new", 0o644, "evil")),
            ("file over what is there", link().file("l/file", 0o644, "evil")),
            ("folder through a link", link().folder("l/new", 0o777)),
            ("mode through a link", link().folder("l", 0o777)),
            ("mode of a folder inside", link().folder("l/folder", 0o000)),
            ("link through a link", link().link("l/new", "x")),
            ("hard link to outside", link().hard("h", "l/file").file("h", 0o644, "evil")),
            ("hard link into outside", link().file("f", 0o644, "x").hard("l/new", "f")),
            ("fifo through a link", link().fifo("l/new")),
            ("device through a link", link().device("l/new", 1, 3)),
            ("whiteout through a link", link().file("l/.wh.file", 0o644, "")),
            ("opaque through a link", link().file("l/.wh..wh..opq", 0o644, "")),
        ] {
            harmless(&env, &format!("{what} to {target}"), vec![same.finish()]);
        }
        // The link in one layer, the rest in the next.
        let rest = Tar::new().file("l/file", 0o644, "evil").file("l/.wh.folder", 0o644, "").folder("l/n", 0o777);
        harmless(&env, "across layers", vec![link().finish(), rest.finish()]);
    }
    for target in [format!("{out}/file"), format!("..{out}/file"), "../../../../etc/passwd".into()] {
        harmless(&env, "hard link", vec![Tar::new().hard("h", &target).file("h", 0o666, "evil").finish()]);
    }
    harmless(
        &env,
        "a file link written through",
        vec![Tar::new().link("f", &format!("{out}/file")).file("f", 0o644, "evil").finish()],
    );
}

#[test]
fn the_root_itself() {
    let env = TestEnv::new();
    let out = canary(&env);
    for name in [".", "./", "/", "", "/."] {
        harmless(&env, "root as link", vec![Tar::new().link(name, &out).file("file", 0o644, "evil").finish()]);
        harmless(&env, "root as file", vec![Tar::new().file(name, 0o644, "evil").finish()]);
    }
    for name in [".wh..", ".wh...", ".wh.", ".wh..wh.aufs", "a/.wh...", ".wh..wh..opq", ".wh..wh.plnk"] {
        harmless(&env, name, vec![Tar::new().file(name, 0o644, "").finish()]);
    }
}

#[test]
fn damaged_archives() {
    let env = TestEnv::new();
    canary(&env);
    let good = Tar::new().file("a", 0o644, "x".repeat(3000)).finish();
    let huge = Head { size: Some(1 << 50), ..Head::default() };
    let mut flipped = good.clone();
    flipped[200] ^= 0xff;
    for (what, layer) in [
        ("cut in the data", good[..1000].to_vec()),
        ("cut in the header", good[..300].to_vec()),
        ("no end", Tar::new().file("a", 0o644, "x").unfinished()),
        ("no tar at all", b"<html></html>".repeat(100)),
        ("a wrong checksum", flipped),
        ("a size beyond all", Tar::new().entry("a", &huge, b"x").finish()),
        ("an unknown type", Tar::new().entry("a", &Head { kind: b'Z', ..Head::default() }, b"").finish()),
        (
            "pax without an end",
            Tar::new()
                .entry("p", &Head { kind: b'x', ..Head::default() }, b"99999 path=x\n")
                .file("a", 0o644, "")
                .finish(),
        ),
        ("pax size another", Tar::new().pax(&[("size", b"1024")]).file("a", 0o644, "").finish()),
        ("pax size no number", Tar::new().pax(&[("size", b"-1")]).file("a", 0o644, "").finish()),
        ("NUL in a name", Tar::new().pax(&[("path", b"a\0b")]).file("a", 0o644, "").finish()),
        (
            "a sparse map beyond all",
            Tar::new()
                .pax(&[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.realsize", b"9223372036854775807"),
                ])
                .file("a", 0o644, "1000000000\n")
                .finish(),
        ),
        (
            "owner beyond all",
            Tar::new().entry("a", &Head { owner: (2_000_000, 2_000_000), ..Head::default() }, b"").finish(),
        ),
    ] {
        harmless(&env, what, vec![layer]);
    }
}

#[test]
fn forged_overlay_marks() {
    let env = TestEnv::new();
    canary(&env);
    let forged = Tar::new()
        .pax(&[("SCHILY.xattr.user.overlay.opaque", b"y")])
        .folder("etc/", 0o755)
        .pax(&[("SCHILY.xattr.user.overlay.redirect", b"/root")])
        .folder("home/", 0o755)
        .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")])
        .folder("tmp/", 0o1777)
        .finish();
    let whiteout = Tar::new().device("data", 0, 0).finish();
    for layer in [forged, whiteout] {
        let file = env.base.join("evil.tar");
        Image::payload().layer(layer).build().docker_archive(&file, &["localhost/t:latest"]);
        let outcome = env.box_(&["load", "-q", "-i", file.to_str().unwrap()]);
        if outcome.code != 0 {
            outcome.fails(125);
            continue;
        }
        let seen = env.inside(&[], &["ls", "/etc", "/"]).ok();
        assert!(seen.contains("os-release") && seen.contains("data"), "{seen}");
    }
}

#[test]
fn devices_are_no_devices() {
    let env = TestEnv::new();
    canary(&env);
    let layer = Tar::new()
        .device("kmem", 1, 1)
        .entry("disk", &Head { kind: b'4', mode: 0o666, device: (8, 0), ..Head::default() }, b"")
        .finish();
    let file = env.base.join("evil.tar");
    Image::payload().layer(layer).build().docker_archive(&file, &["localhost/t:latest"]);
    let outcome = env.box_(&["load", "-q", "-i", file.to_str().unwrap()]);
    if outcome.code == 0 && !crate::skip::is_root() {
        let tried = env.inside(&[], &["try", "open=/kmem", "open=/disk"]).ok();
        for line in tried.lines() {
            // An empty placeholder, nothing at all, or a node that cannot be opened.
            let path = line.split('=').nth(1).unwrap().split(':').next().unwrap();
            let stat = env.inside(&[], &["stat", path]);
            assert!(stat.out().starts_with("file") || stat.code != 0 || !line.ends_with("ok"), "{tried}\n{stat}");
        }
    }
}

#[test]
fn packed_bombs_and_rubbish() {
    let env = TestEnv::new();
    canary(&env);
    let good = Tar::new().file("a", 0o644, "x").finish();
    // More than may be in memory, where packing it takes no time.
    for (packed, size) in [(Packed::Gzip, 50), (Packed::Zstd, 400)] {
        let zeros = [good.clone(), vec![0; size << 20]].concat();
        let file = env.base.join("evil.tar");
        let built = Image::payload().packed(zeros, packed).build();
        let layout = env.base.join("layout");
        let _ = fs::remove_dir_all(&layout);
        built.layout(&layout, "x");
        let outcome = env.frugal(&["pull", "-q", &format!("oci:{}:x", layout.display())]);
        assert!([0, 125].contains(&outcome.code), "{outcome}");
        // A layer that is cut inside its packing.
        let blob = fs::read(layout.join("blobs/sha256").join(built.layers[1].digest.digits())).unwrap();
        fs::write(layout.join("blobs/sha256").join(built.layers[1].digest.digits()), &blob[..blob.len() / 2]).unwrap();
        let other = TestEnv::new();
        let outcome = other.box_(&["pull", "-q", &format!("oci:{}:x", layout.display())]);
        outcome.fails(125);
        let _ = fs::remove_file(file);
    }
}

#[test]
fn many_opaque_marks_take_linear_time() {
    let env = TestEnv::new();
    canary(&env);
    let mut layer = Tar::new().folder("d", 0o755);
    for _ in 0..20_000 {
        layer = layer.file("d/.wh..wh..opq", 0o644, "");
    }
    harmless(&env, "opaque 20,000 times", vec![layer.finish()]);
}

#[test]
fn deep_and_odd_names() {
    let env = TestEnv::new();
    canary(&env);
    let deep = "d/".repeat(1500) + "f";
    let layer = Tar::new()
        .file("new\nline", 0o644, "x")
        .file("\u{1b}[31mred", 0o644, "x")
        .pax(&[("path", b"\xff\xfe not utf-8")])
        .file("x", 0o644, "x")
        .file(&"n".repeat(255), 0o644, "x")
        .finish();
    harmless(&env, "odd names", vec![layer]);
    harmless(&env, "deep names", vec![Tar::new().file(&deep, 0o644, "x").finish()]);
    harmless(&env, "a name too long", vec![Tar::new().file(&"n".repeat(300), 0o644, "x").finish()]);
}
