//! Images under another map of ids: made once for all containers, without a copy of what the files hold.

use crate::env::TestEnv;
use crate::image::Image;
use crate::tarball::{Head, Tar};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Two layers, of which the second hides a file of the first, as `localhost/m`.
fn load(env: &TestEnv) {
    let low = Tar::new()
        .folder("d", 0o755)
        .file("d/hidden", 0o644, "hidden")
        .file("d/kept", 0o640, "of the image")
        .hard("d/hard", "d/kept")
        .file("d/setuid", 0o4755, "x")
        .entry("d/of-5", &Head { owner: (5, 6), mode: 0o600, ..Head::default() }, b"of five")
        .link("d/link", "kept");
    let high = Tar::new().file("d/.wh.hidden", 0o644, "").file("d/new", 0o644, "of the second layer");
    let file = env.base.join("m.tar");
    Image::payload().layer(low.finish()).layer(high.finish()).build().docker_archive(&file, &["localhost/m:latest"]);
    env.load(&file);
}

fn below(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn trees(env: &TestEnv) -> Vec<PathBuf> {
    below(&env.data().join("mapped")).into_iter().filter(|path| path.join("layers").exists()).collect()
}

#[test]
fn a_map_is_made_once_and_holds_no_content() {
    if std::env::var_os("BOX_TEST_DRIVER").is_some() {
        skip!("wants the kernel's overlay");
    }
    let env = TestEnv::new();
    load(&env);
    let run = |options: &[&str], command: &[&str]| {
        env.box_(&[&["run", "--rm", "--network", "none"], options, &["localhost/m"], command].concat())
    };
    for keep in ["keep-id", "keep-id:uid=7,gid=8"] {
        let root = ["--userns", keep, "--user", "0"];
        let show = ["do", "ls", "/d", ";", "cat", "/d/hard", "/d/link", "/d/of-5", "/d/new"];
        let seen = run(&root, &show).ok();
        assert_eq!(seen, "hard\nkept\nlink\nnew\nof-5\nsetuid\nof the imageof the imageof fiveof the second layer");
        let stat = run(&root, &["stat", "/d/kept", "/d/of-5", "/d/setuid", "/d"]).ok();
        for line in ["file 0640 0:0 12", "file 0600 5:6 7", "file 4755 0:0 1", "dir 0755 0:0"] {
            assert!(stat.contains(line), "{line}: {stat}");
        }
        // What one container changes is its own.
        run(&root, &["do", "write", "/d/kept", "changed", ";", "rm", "/d/new", ";", "chmod", "600", "/d/hard"]).ok();
        assert_eq!(run(&root, &["cat", "/d/kept", "/d/new"]).ok(), "of the imageof the second layer");
    }
    let made = trees(&env);
    assert_eq!(made.len(), 2, "{made:?}");
    // A link for each file with content, however many maps there are; none for other users to see.
    let files = env.data().join("mapped/files");
    if made[0].join("references").exists() {
        let links = below(&files).iter().map(|folder| below(folder).len()).sum::<usize>();
        let all = run(&[], &["do", "ls", "/d", ";", "ls", "/bin"]).ok();
        assert!(links > 3 && links < all.lines().count() + 60, "{links} links");
    }
    assert_eq!(fs::metadata(env.data().join("mapped")).unwrap().mode() & 0o777, 0o700);
    // It goes with the image, and so does what was linked.
    env.box_(&["rmi", "localhost/m"]).ok();
    env.box_(&["image", "prune", "-f"]).ok();
    crate::env::eventually("the trees to go", || {
        trees(&env).is_empty() && below(&files).iter().all(|folder| below(folder).is_empty())
    });
}

#[test]
fn what_is_done_in_a_mapped_container_is_found_from_outside() {
    let env = TestEnv::new();
    load(&env);
    let options = ["--userns", "keep-id", "--user", "0", "--name", "c", "--network", "none"];
    let work = ["do", "write", "/d/mine", "new", ";", "rm", "/d/kept", ";", "pause"];
    env.box_(&[&["run", "-d"], &options[..], &["localhost/m"], &work].concat()).ok();
    env.await_log("c", "ready");
    for state in ["running", "stopped"] {
        assert!(env.box_(&["diff", "c"]).ok().starts_with("C /d\nD /d/kept\nA /d/mine"), "{state}");
        let tar = env.box_(&["export", "c"]);
        let mut owners = Vec::new();
        for entry in tar::Archive::new(&tar.stdout[..]).entries().unwrap() {
            let entry = entry.unwrap();
            owners.push((entry.path().unwrap().display().to_string(), entry.header().uid().unwrap(), entry.size()));
        }
        for (path, uid, size) in [("d/mine", 0, 3), ("d/of-5", 5, 7), ("d/new", 0, 19)] {
            assert!(owners.contains(&(path.to_owned(), uid, size)), "{state}: {owners:?}");
        }
        assert!(!owners.iter().any(|(path, ..)| path == "d/kept"), "{state}");
        env.box_(&["cp", "c:/d/of-5", "out"]).ok();
        assert_eq!(fs::read(env.base.join("out")).unwrap(), b"of five");
        env.box_(&["stop", "-t", "0", "c"]).ok();
    }
    env.box_(&["commit", "-q", "c", "localhost/n"]).ok();
    let run = |options: &[&str], command: &[&str]| {
        env.box_(&[&["run", "--rm", "--network", "none"], options, &["localhost/n"], command].concat()).ok()
    };
    assert_eq!(run(&["-u", "0"], &["stat", "/d/mine"]), "file 0644 0:0 3 0:0 /d/mine");
    assert_eq!(run(&["-u", "0", "--userns", "keep-id"], &["cat", "/d/mine", "/d/of-5"]), "newof five");
}
