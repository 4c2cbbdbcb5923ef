//! storage.conf, additional image stores, and `system migrate`.

use crate::env::TestEnv;
use crate::image::shared_archive;

/// A storage.conf for all commands from here on.
fn configure(env: &mut TestEnv, text: &str) {
    let path = env.file("storage.conf", text);
    env.set("CONTAINERS_STORAGE_CONF", path.display().to_string());
}

#[test]
fn the_store_lies_where_storage_conf_says() {
    let mut env = TestEnv::new();
    let base = env.base.display().to_string();
    let text = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{base}/data\"\nrunroot = \"{base}/run\"\n\
         [storage.options.overlay]\nmountopt = \"nodev\"\n"
    );
    configure(&mut env, &text);
    env.unset("STORAGE_DRIVER");
    env.load(&shared_archive());
    env.inside(&[], &["info"]).ok();
    let info = |field: &str| env.box_(&["info", "--format", field]).ok();
    assert_eq!(info("{{.Store.GraphRoot}}"), env.data().display().to_string());
    assert_eq!(info("{{.Store.RunRoot}}"), env.run_dir().display().to_string());
    assert_eq!(info("{{.Store.GraphDriverName}}"), "copy");
    assert_eq!(info("{{.Store.ConfigFile}}"), format!("{base}/storage.conf"));
    let listed = env.box_(&["info", "--config"]).ok();
    for (key, used) in [("storage.driver", "yes"), ("storage.options.overlay.mountopt", "no")] {
        let row = listed.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key} in {listed}"));
        assert!(row.split_whitespace().any(|word| word == used), "{row}");
    }
    // What is typed wins.
    assert_eq!(
        env.box_(&["--storage-driver", "fuse-overlayfs", "info", "-f", "{{.Store.GraphDriverName}}"]).ok(),
        "fuse-overlayfs"
    );
}

#[test]
fn what_cannot_be_configured_is_said() {
    let mut env = TestEnv::with_image();
    env.unset("STORAGE_DRIVER");
    for (text, said) in [
        ("[storage]\ndriver = \"btrfs\"\n", "there is no storage driver `btrfs`"),
        ("[storage\n", "storage.conf"),
        ("[storage]\ngraphroot = \"x\"\n", "`x` is no absolute path"),
        ("[storage.options.overlay]\nmount_program = \"/nonexistent\"\n", "`/nonexistent` is missing"),
    ] {
        configure(&mut env, text);
        env.inside(&[], &["info"]).ends(125).says(said);
    }
}

#[test]
fn a_store_that_cannot_be_used_is_told_of_and_left_out() {
    let mut env = TestEnv::with_image();
    configure(&mut env, "[storage.options]\nadditionalimagestores = [\"/nonexistent\"]\n");
    let said = "cannot use additional image store `/nonexistent`: no store of box's is there that may be read";
    for words in [&["ps"][..], &["images"], &["run", "--rm", "--network", "none", "t", "info"], &["system", "check"]] {
        let outcome = env.box_(words);
        outcome.ends(0).says("warning: ");
        assert_eq!(outcome.err().matches(said).count(), 1, "{outcome}");
    }
}

#[test]
fn images_of_another_store_are_run_and_left_alone() {
    let mut env = TestEnv::new();
    let other = env.base.join("data/other").display().to_string();
    env.cmd(&["--root", &other, "load", "-q", "-i"]).arg(shared_archive()).run().ok();
    configure(&mut env, &format!("[storage.options]\nadditionalimagestores = [\"{other}\"]\n"));
    let count = || walkdir(&env.base.join("data/other"));
    let before = count();
    let table = env.box_(&["images"]).ok();
    assert!(
        table.lines().next().unwrap().ends_with("R/O") && table.lines().nth(1).unwrap().ends_with("true"),
        "{table}"
    );
    assert_eq!(env.box_(&["images", "-q", "--filter", "readonly=false"]).ok(), "");
    assert_eq!(env.box_(&["images", "--format", "{{.ReadOnly}}"]).ok(), "true");
    assert_eq!(env.box_(&["info", "-f", "{{.Store.AdditionalImageStores}}"]).ok(), format!("[{other}]"));
    env.inside(&[], &["info"]).ok();
    assert!(std::fs::read_dir(env.data().join("layers")).unwrap().next().is_none(), "nothing was unpacked anew");
    for words in [&["rmi", "t"][..], &["rmi", "-f", "t"], &["untag", "t"]] {
        env.box_(words).ends(125).says("additional image store");
    }
    env.box_(&["image", "prune", "-a", "-f"]).ok();
    env.box_(&["system", "prune", "-a", "-f"]).ok();
    // A name of one's own for it, and an image made of it.
    env.box_(&["tag", "t", "mine"]).ok();
    env.box_(&["run", "--name", "c", "--network", "none", "mine", "do", "write", "/f", "x"]).ok();
    env.box_(&["commit", "-q", "c", "more"]).ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "more", "cat", "/f"]).ok(), "x");
    env.box_(&["rm", "c"]).ok();
    env.box_(&["system", "check"]).ok();
    env.box_(&["rmi", "mine", "more"]).ok();
    assert_eq!(count(), before, "nothing came and nothing went");
    env.inside(&[], &["info"]).ok();
}

/// The files below a folder that its owner can see, with their lengths.
fn walkdir(folder: &std::path::Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(path) = pending.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                pending.push(entry.path());
            }
            found.push((entry.path(), if meta.is_file() { meta.len() } else { 0 }));
        }
    }
    found.sort();
    found
}

#[test]
fn migrate_stops_all_and_begins_anew() {
    let env = TestEnv::with_image();
    env.background("c", &["--stop-timeout", "0"], &["sleep", "60"]);
    let namespace = || env.box_(&["unshare", "readlink", "/proc/self/ns/user"]).ok();
    let before = namespace();
    assert_eq!(env.box_(&["system", "migrate"]).ok(), "stopped c");
    assert_eq!(env.inspect("c", "{{.State.Status}}"), "exited");
    if !nix::unistd::getuid().is_root() {
        assert_ne!(namespace(), before);
    }
    env.box_(&["start", "c"]).ok();
    assert_eq!(env.box_(&["system", "migrate"]).ok(), "stopped c");
    assert_eq!(env.box_(&["system", "migrate"]).ok(), "");
}

#[test]
fn a_folder_with_its_owners_mapped_is_for_root() {
    let env = TestEnv::new();
    let root = env.base.join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::copy(crate::image::payload_program(), root.join("payload")).unwrap();
    let folder = format!("{}:idmap", root.display());
    let outcome = env.box_(&["run", "--rm", "--network", "none", "--rootfs", &folder, "/payload", "info"]);
    match nix::unistd::getuid().is_root() {
        true => drop(outcome.ok()),
        false => drop(outcome.ends(125).says("only root can (mount_setattr(2))")),
    }
    let both = format!("{}:O,idmap", root.display());
    env.box_(&["run", "--rm", "--rootfs", &both, "/payload", "info"]).ends(125).says("do not go together");
}

#[test]
fn what_a_container_writes_can_be_limited() {
    let env = TestEnv::with_image();
    let limited = ["--storage-opt", "size=100k"];
    env.box_(&[&["run", "--network", "none"], &limited[..], &["t", "info"]].concat()).ends(125).says("quotactl(2)");
    env.box_(&["run", "--rm", "--storage-opt", "inodes=1", "t"]).ends(125).says("only size=SIZE");
    if env.box_(&["info", "-f", "{{.Store.GraphDriverName}}"]).ok() != "overlay" {
        env.inside(&limited, &["info"]).ends(125).says("needs the storage driver `overlay`");
        return;
    }
    env.inside(&limited, &["do", "write", "/small", "x"]).ok();
    let large = "x".repeat(60_000);
    let words = ["do", "write", "/1", &large, ";", "write", "/2", &large, ";", "write", "/3", &large];
    let outcome = env.inside(&limited, &words);
    assert!(outcome.code != 0 && outcome.err().contains("No space left"), "{outcome}");
    env.inside(&[], &words).ok();
    if !nix::unistd::getuid().is_root() {
        env.inside(&[&limited[..], &["--userns", "keep-id", "-u", "0"]].concat(), &["do", "write", "/small", "x"]).ok();
    }
    env.background("c", &["--rm", "--storage-opt", "size=1m"], &["do", "write", "/f", "in memory", ";", "sleep", "60"]);
    crate::env::eventually("the change to be seen", || env.box_(&["diff", "c"]).ok().contains("A /f"));
    env.box_(&["commit", "-q", "c", "made"]).ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "made", "cat", "/f"]).ok(), "in memory");
    let archive = env.box_(&["export", "c"]);
    assert!(String::from_utf8_lossy(&archive.stdout).contains("in memory"));
    env.box_(&["cp", "c:/f", "out"]).ok();
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
}
