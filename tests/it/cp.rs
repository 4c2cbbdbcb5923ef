//! `box cp`: files into, out of and between containers; docker's rules; nobody is led astray by links.

use crate::env::{TestEnv, eventually, rounds};
use crate::tarball::Tar;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn into_and_out_of_a_container_running_or_not() {
    let env = TestEnv::with_image();
    env.background("up", &["-u", "7:8"], &["pause"]);
    env.box_(&["create", "--name", "down", "--network", "none", "-u", "7:8", "t", "stat", "/tmp/in/a"]).ok();
    let file = env.file("in/a", "hello");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    env.file("in/sub/b", "deep");
    symlink("a", env.base.join("in/link")).unwrap();
    env.box_(&["exec", "-u", "0", "up", "mkdir", "/tmp"]);
    for name in ["up", "down"] {
        // A new name; then into the folder that is there by now; then only what is in it.
        env.box_(&["cp", "in", &format!("{name}:/new")]).ok();
        env.box_(&["cp", "in", &format!("{name}:/new")]).ok();
        env.box_(&["cp", "in/.", &format!("{name}:/new/in")]).ok();
        env.box_(&["cp", &format!("{name}:/new"), "out"]).ok();
        let read = |path: &str| fs::read_to_string(env.base.join("out").join(path)).unwrap();
        assert_eq!(
            (read("a"), read("sub/b"), read("in/sub/b")),
            ("hello".into(), "deep".into(), "deep".into()),
            "{name}"
        );
        assert_eq!(fs::read_link(env.base.join("out/in/link")).unwrap().as_os_str(), "a");
        let meta = fs::metadata(env.base.join("out/a")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o640);
        fs::remove_dir_all(env.base.join("out")).unwrap();
    }
    // It is the container's user's, unless it should stay whose it was.
    let owner = |path: &str| env.box_(&["exec", "up", "stat", path]).ok();
    assert!(owner("/new/a").contains("7:8"), "{}", owner("/new/a"));
    env.box_(&["cp", "-a=false", "in/a", "up:/root-owned"]).ok();
    assert!(owner("/root-owned").contains("0:0"), "{}", owner("/root-owned"));
    // What was copied into a container that did not run is there when it does.
    env.box_(&["cp", "down:/new/a", "-"]).ends(0);
    env.box_(&["start", "down"]).ok();
}

#[test]
fn the_rules_of_docker() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    env.file("f", "1");
    env.file("d/x", "2");
    for (from, to, says) in [
        ("f", "c:/none/there", "there is no `/none`"),
        ("f", "c:/none/", "there is no `/none/`"),
        ("d", "c:/etc/hosts", "a folder cannot take the place of the file `/etc/hosts`"),
        ("none", "c:/x", "there is no `"),
        ("c:/none", "x", "there is no `/none`"),
        ("f/.", "c:/x", "is not a folder"),
        ("f", "d", "neither is in a container"),
        ("nobody:/x", "f", "`nobody`"),
        ("c:", "f", "no path after the colon"),
    ] {
        env.box_(&["cp", from, to]).fails(125).says(says);
    }
    // Over a file that is mounted, in place.
    env.file("hosts", "127.0.0.1 me\n");
    env.box_(&["cp", "hosts", "c:/etc/hosts"]).ok();
    assert_eq!(env.box_(&["exec", "c", "cat", "/etc/hosts"]).ok(), "127.0.0.1 me");
    // A folder in place of a file only when asked for.
    env.box_(&["cp", "f", "c:/f"]).ok();
    env.box_(&["cp", "d", "c:/f"]).fails(125);
    env.box_(&["cp", "--overwrite", "d", "c:/f"]).ok();
    assert_eq!(env.box_(&["exec", "c", "cat", "/f/x"]).ok(), "2");
}

#[test]
fn through_pipes_and_between_containers() {
    let env = TestEnv::with_image();
    env.background("a", &[], &["pause"]);
    env.background("b", &[], &["pause"]);
    env.file("d/x", "text");
    env.box_(&["cp", "d", "a:/d"]).ok();
    env.box_(&["cp", "a:/d", "b:/e"]).ok();
    assert_eq!(env.box_(&["exec", "b", "cat", "/e/x"]).ok(), "text");
    let tar = env.box_(&["cp", "a:/d", "-"]);
    tar.ends(0);
    let mut names: Vec<String> = tar::Archive::new(&tar.stdout[..])
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["d/", "d/x"]);
    env.cmd(&["cp", "-", "b:/etc"]).stdin(&tar.stdout).run().ok();
    assert_eq!(env.box_(&["exec", "b", "cat", "/etc/d/x"]).ok(), "text");
    env.cmd(&["cp", "-", "b:/nowhere"]).stdin(&tar.stdout).run().fails(125).says("there is no `/nowhere`");
    env.cmd(&["cp", "-", "b:/etc"]).stdin(b"this is no tar stream at all").run().fails(125);
}

#[test]
fn links_lead_nowhere_else() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let secret = env.file("secret", "the host's");
    // A link in the container that means a file of the host's means the container's own.
    env.box_(&["exec", "c", "ln", &secret.display().to_string(), "/evil"]).ok();
    env.box_(&["cp", "-L", "c:/evil", "got"]).fails(125).says("there is no");
    env.box_(&["cp", "c:/evil", "got"]).ok();
    assert_eq!(fs::read_link(env.base.join("got")).unwrap(), secret);
    // A stream that makes a link and then writes through it.
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    tar.append_link(&mut header, "out", "/etc").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    tar.append_data(&mut header, "out/passwd", &b"evil"[..]).unwrap();
    let bytes = tar.into_inner().unwrap();
    env.box_(&["exec", "c", "mkdir", "/in"]).ok();
    env.cmd(&["cp", "-", "c:/in"]).stdin(&bytes).run().fails(125).says("leads through a link");
}

/// Somebody in the container swaps a folder for a link to another again and again; what is copied out and in is of the
/// container all the same.
#[test]
fn links_that_are_swapped_meanwhile() {
    let env = TestEnv::with_image();
    let host = env.base.join("host");
    fs::create_dir_all(&host).unwrap();
    fs::write(host.join("file"), "the host's").unwrap();
    let folder = env.base.join("shared");
    fs::create_dir_all(folder.join("real")).unwrap();
    fs::write(folder.join("real/file"), "the container's").unwrap();
    env.background("c", &["-v", &format!("{}:/shared", folder.display())], &["pause"]);
    let ended = std::sync::atomic::AtomicU32::new(0);
    let done = Done(&ended);
    std::thread::scope(|scope| {
        // Moved in, so that a failure ends the other thread, too.
        let done = done;
        scope.spawn(|| {
            while ended.load(std::sync::atomic::Ordering::Relaxed) == 0 {
                let (dir, link, real) = (folder.join("dir"), folder.join("link"), folder.join("real"));
                let _ = symlink(&host, &link);
                let _ = fs::rename(&link, &dir);
                let _ = fs::remove_file(&dir);
                let _ = fs::rename(&real, &dir);
                let _ = fs::rename(&dir, &real);
            }
        });
        for _ in 0..rounds(30) {
            let _ = fs::remove_dir_all(env.base.join("got"));
            env.box_(&["cp", "c:/shared", "got"]);
            let mut texts = Vec::new();
            for name in ["got/dir/file", "got/real/file"] {
                // Not through a link that was copied as one.
                if !env.base.join(name).parent().unwrap().is_symlink() {
                    texts.extend(fs::read_to_string(env.base.join(name)));
                }
            }
            assert!(texts.iter().all(|text| text != "the host's"), "{texts:?}");
            env.file("new/file", "new");
            env.box_(&["cp", "new/.", "c:/shared/dir"]);
            assert_eq!(fs::read_to_string(host.join("file")).unwrap(), "the host's");
            let _ = fs::write(folder.join("real/file"), "the container's");
        }
        drop(done);
    });
    eventually("the folder", || folder.join("real").exists() || folder.join("dir").exists());
}

/// Says at its end that it has come.
struct Done<'a>(&'a std::sync::atomic::AtomicU32);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn extended_attributes_come_along() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let env = TestEnv::with_image();
    let file = env.file("from/file", "x");
    if setxattr(&file, "user.mark", b"1", XattrFlags::empty()).is_err() {
        skip!("this file system has no attributes for users");
    }
    setxattr(file.parent().unwrap(), "user.mark", b"2", XattrFlags::empty()).unwrap();
    env.box_(&["create", "--name", "c", "t"]).ok();
    env.box_(&["cp", file.parent().unwrap().to_str().unwrap(), "c:/x"]).ok();
    let back = env.base.join("back");
    env.box_(&["cp", "c:/x", back.to_str().unwrap()]).ok();
    let value = |path: &std::path::Path| {
        let mut buffer = [0; 16];
        getxattr(path, "user.mark", &mut buffer[..]).map(|length| buffer[..length].to_vec()).ok()
    };
    assert_eq!(value(&back.join("file")).as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&back).as_deref(), Some(&b"2"[..]));
}

#[test]
fn modes_of_the_hosts_files_stay() {
    // CVE-2021-41089: folders of the container that are links to the host's, and entries by their names.
    let env = TestEnv::with_image();
    let out = crate::hostile::canary(&env);
    let before = crate::hostile::snapshot(&env.base.join("canary"));
    let file = env.file("in/file", "new");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o6777)).unwrap();
    fs::set_permissions(env.base.join("in"), fs::Permissions::from_mode(0o777)).unwrap();
    let tar = Tar::new().folder("evil", 0o777).folder("evil/folder", 0o777).file("evil/file", 0o6777, "new").finish();
    env.background("up", &[], &["pause"]);
    env.box_(&["create", "--name", "down", "--network", "none", "t", "true"]).ok();
    let links = Tar::new().link("evil", &out).link("link", &format!("{out}/file")).finish();
    for name in ["up", "down"] {
        env.cmd(&["cp", "-", &format!("{name}:/")]).stdin(&links).run().ok();
        for (from, to) in [("in/file", "evil"), ("in/.", "evil"), ("in", "evil/folder"), ("in/file", "link"), ("-", "")]
        {
            let outcome = env.cmd(&["cp", from, &format!("{name}:/{to}")]).stdin(&tar).run();
            assert!([0, 125].contains(&outcome.code) && !outcome.err().contains("panicked"), "{outcome}");
            assert_eq!(crate::hostile::snapshot(&env.base.join("canary")), before, "{outcome}");
        }
    }
}

#[test]
fn a_shorter_file_takes_the_place_of_all_of_a_longer_one() {
    let env = TestEnv::with_image();
    env.file("long", "x".repeat(100_000));
    env.file("short", "short");
    env.file("got", "y".repeat(100_000));
    env.background("c", &[], &["pause"]);
    for to in ["c:/f", "c:/etc/hosts"] {
        env.box_(&["cp", "long", to]).ok();
        env.box_(&["cp", "short", to]).ok();
        env.box_(&["cp", to, "got"]).ok();
        assert_eq!(fs::read_to_string(env.base.join("got")).unwrap(), "short", "{to}");
    }
    env.box_(&["volume", "create", "v"]).ok();
    for text in ["x".repeat(100_000), "short".to_owned()] {
        let tar = Tar::new().file("file", 0o644, text).finish();
        env.cmd(&["volume", "import", "v", "-"]).stdin(tar).run().ok();
    }
    assert_eq!(env.inside(&["-v", "v:/v"], &["cat", "/v/file"]).ok(), "short");
}
