//! Hosts that lack something: what still works works, and what does not says what to type.

use crate::env::TestEnv;
use crate::skip::is_root;

#[test]
fn no_subordinate_ids() {
    if is_root() {
        skip!("wants an ordinary user");
    }
    let env = TestEnv::new();
    // Under no_new_privs newuidmap cannot do its work, as if it were not there.
    let single = |words: &[&str]| {
        let mut cmd = env.other("setpriv".as_ref());
        cmd.arg("--no-new-privs").arg(crate::env::program()).args(words);
        cmd.run()
    };
    let archive = crate::image::shared_archive().display().to_string();
    let loaded = single(&["load", "-i", &archive]);
    loaded.ends(0).says("only one user id");
    assert_eq!(loaded.err().lines().filter(|line| line.contains("one user id")).count(), 1, "{loaded}");
    let outcome = single(&["run", "--rm", "--network", "none", "t", "do", "field", "uid/0", ";", "stat", "/data"]);
    assert!(outcome.ok().starts_with("0\nfile 0644 0:0"), "{outcome}");
    single(&["run", "--rm", "--network", "none", "-u", "ann", "t", "true"]).fails(125);
    // The owners that could not be set are remembered.
    let layers = env.data().join("layers");
    let folder = std::fs::read_dir(layers).unwrap().flatten().find(|entry| entry.path().is_dir()).unwrap();
    let mut owner = [0; 64];
    let length = rustix::fs::lgetxattr(folder.path().join("home/ann"), "user.box.owner", &mut owner[..]).unwrap();
    assert_eq!(&owner[..length], b"1000:50");
}

#[test]
fn no_run_folder() {
    let mut env = TestEnv::with_image();
    let pid = env.background("c", &[], &["pause"]);
    for value in [None, Some("relative"), Some("/nonesuch/run")] {
        match value {
            Some(value) => env.set("XDG_RUNTIME_DIR", value),
            None => env.unset("XDG_RUNTIME_DIR"),
        }
        assert_eq!(env.inside(&[], &["echo", "x"]).ok(), "x");
        assert_eq!(env.box_(&["ps", "-q", "--no-trunc"]).ok(), pid);
    }
    let base = env.base.join("run").display().to_string();
    env.set("XDG_RUNTIME_DIR", base);
}

#[test]
fn no_slirp4netns() {
    if std::env::var("BOX_TEST_DRIVER").is_ok_and(|driver| driver == "fuse-overlayfs") {
        skip!("the driver's program would be missing, too");
    }
    let env = TestEnv::new();
    std::fs::create_dir(env.base.join("empty")).unwrap();
    let words = format!(
        "box load -q -i {1}; mount --bind {0}/empty /usr/bin; box run --rm t true; echo \"run $?\"; box ps -a -q; \
         box run --rm --network none t true; echo \"none $?\"",
        env.base.display(),
        crate::image::shared_archive().display()
    );
    let Some(outcome) = in_namespace(&env, "true", &words) else { skip!("no user namespaces here") };
    assert_eq!(outcome.out(), "Loaded image: localhost/t:latest\nrun 125\nnone 0", "{outcome}");
    outcome.says("the network needs slirp4netns").hints("slirp4netns");
}

#[test]
fn a_slirp4netns_that_fails() {
    use std::os::unix::fs::PermissionsExt;
    let mut env = TestEnv::with_image();
    let program = env.file("path/slirp4netns", "#!/bin/sh\necho 'no tun for you' >&2\nexit 1\n");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    env.set("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()));
    let outcome = env.box_(&["run", "--rm", "t", "true"]);
    outcome.fails(125).says("slirp4netns").says("no tun for you");
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
}

#[test]
fn a_data_folder_of_ones_own() {
    let env = TestEnv::new();
    let archive = crate::image::shared_archive();
    let elsewhere = env.base.join("a folder with spaces, ünïcode");
    let elsewhere = elsewhere.display().to_string();
    env.cmd(&["load", "-q", "-i"]).arg(&archive).set("BOX_DATA", &elsewhere).run().ok();
    let words = ["run", "--rm", "--network", "none", "t", "echo", "x"];
    assert_eq!(env.cmd(&words).set("BOX_DATA", &elsewhere).run().ok(), "x");
    let root = ["--root", &elsewhere];
    assert_eq!(env.box_(&[&root[..], &words].concat()).ok(), "x");
    env.box_(&["image", "inspect", "t"]).ends(125);
    env.cmd(&["unshare", "rm", "-rf"]).arg(&elsewhere).run().ends(0);
}

#[test]
fn long_folders() {
    let mut env = TestEnv::new();
    // Longer than a socket's name may be.
    let long = env.base.join("l".repeat(100)).join("m".repeat(100));
    std::fs::create_dir_all(&long).unwrap();
    std::fs::set_permissions(&long, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let before = env.base.join("run").display().to_string();
    env.set("XDG_RUNTIME_DIR", long.display().to_string());
    env.load(&crate::image::shared_archive());
    env.background("c", &[], &["pause", "3"]);
    env.await_log("c", "ready");
    let attached = env.cmd(&["attach", "--no-stdin", "c"]).start();
    attached.await_connection();
    env.box_(&["stop", "c"]).ok();
    attached.finish().ends(3);
    env.box_(&["rm", "c"]).ok();
    if let Some(holder) = crate::leak::holder(&long.join("box")) {
        crate::leak::kill(holder);
    }
    env.set("XDG_RUNTIME_DIR", before);
}

/// Run box in a mount namespace of its own, as root of the user's namespace, prepared by a shell line; `None` where
/// that is not possible.
pub fn in_namespace(env: &TestEnv, prepare: &str, box_words: &str) -> Option<crate::outcome::Outcome> {
    let (base, program) = (env.base.display(), crate::env::program());
    let functions = format!("box() {{ {} \"$@\"; }}", program.display());
    let line = format!("{prepare}; export BOX_DATA={base}/disk/box; {functions}; {box_words}");
    std::fs::create_dir_all(env.base.join("disk")).unwrap();
    let unshare = |words: &[&str]| {
        if is_root() {
            return env.other("unshare".as_ref()).args(words).run();
        }
        env.cmd(&["unshare", "unshare"]).args(words).run()
    };
    (unshare(&["-m", "true"]).code == 0).then(|| unshare(&["-m", "sh", "-c", &line]))
}

#[test]
fn a_full_disk() {
    let env = TestEnv::new();
    let archive = crate::image::shared_archive();
    let prepare = format!("mount -t tmpfs -o size=20m x {}/disk", env.base.display());
    // The archive does not fit twice: blobs and unpacked.
    let words = format!(
        "head -c 19500000 /dev/zero > {0}/disk/filler; box load -q -i {1}; echo \"load $?\"; box images -q; echo \"images $?\"; \
         box ps -a -q; echo \"ps $?\"; rm {0}/disk/filler; box load -q -i {1} >/dev/null; echo \"again $?\"",
        env.base.display(),
        archive.display()
    );
    let Some(outcome) = in_namespace(&env, &prepare, &words) else { skip!("no user namespaces here") };
    assert!(outcome.out().contains("load 125") && outcome.out().contains("images 0\nps 0\nagain 0"), "{outcome}");
    outcome.says("No space left on device");
}

#[test]
fn a_disk_that_fills_up_while_a_container_runs() {
    let env = TestEnv::new();
    let archive = crate::image::shared_archive();
    let prepare = format!("mount -t tmpfs -o size=60m x {}/disk", env.base.display());
    let words = format!(
        "box load -q -i {1} >/dev/null && box run -d --network none --name c t pause >/dev/null; echo \"run $?\"; \
         head -c 99000000 /dev/zero > {0}/disk/filler 2>/dev/null; box ps --format '{{{{.State}}}}'; \
         box stop c; echo \"stop $?\"; box rm c; echo \"rm $?\"; box ps -a -q; box rmi t >/dev/null; echo \"rmi $?\"",
        env.base.display(),
        archive.display()
    );
    let Some(outcome) = in_namespace(&env, &prepare, &words) else { skip!("no user namespaces here") };
    assert_eq!(outcome.out(), "run 0\nrunning\nc\nstop 0\nc\nrm 0\nrmi 0", "{outcome}");
}

#[test]
fn a_noexec_disk() {
    let env = TestEnv::new();
    let archive = crate::image::shared_archive();
    let prepare = format!("mount -t tmpfs -o noexec x {}/disk", env.base.display());
    let words = format!(
        "box load -q -i {0}; for driver in overlay copy; do \
         box --storage-driver $driver run --rm --network none t true; echo \"$driver $?\"; done",
        archive.display()
    );
    let Some(outcome) = in_namespace(&env, &prepare, &words) else { skip!("no user namespaces here") };
    // An overlay is not noexec for its layers' sake; a copy is, and the error says so.
    assert!(outcome.out().ends_with("overlay 0\ncopy 126"), "{outcome}");
    outcome.says("cannot run `/bin/true`: it is on a file system that is mounted noexec").hints("BOX_DATA");
}

#[test]
fn a_noexec_volume() {
    let env = TestEnv::with_image();
    let run = env.inside(&["-v", "/usr/bin:/v:ro,noexec"], &["/v/true"]);
    run.fails(126).says("`/v/true`: it is on a file system that is mounted noexec").hints("without");
}

#[test]
fn a_read_only_disk() {
    let env = TestEnv::new();
    let archive = crate::image::shared_archive();
    let prepare = format!("mount -t tmpfs x {}/disk", env.base.display());
    let words = format!(
        "box load -q -i {1} >/dev/null; mount -o remount,ro {0}/disk; box images --format '{{{{.Repository}}}}'; \
         box ps -a -q; echo \"ps $?\"; box load -i {1}; echo \"load $?\"; box run --rm --network none t true; echo \"run $?\"",
        env.base.display(),
        archive.display()
    );
    let Some(outcome) = in_namespace(&env, &prepare, &words) else { skip!("no user namespaces here") };
    assert_eq!(outcome.out(), "localhost/t\nps 0\nload 125\nrun 125", "{outcome}");
    outcome.says("Read-only file system").says("BOX_DATA");
}

#[test]
fn a_store_that_is_not_ones_own() {
    if is_root() {
        skip!("wants an ordinary user");
    }
    let env = TestEnv::new();
    let outcome = env.cmd(&["images"]).set("BOX_DATA", "/proc/nonesuch").run();
    outcome.fails(125).says("/proc/nonesuch").hints("BOX_DATA");
    let outcome = env.cmd(&["images"]).set("BOX_DATA", "/root/box").run();
    outcome.fails(125).hints("BOX_DATA");
}

#[test]
fn no_home() {
    let mut env = TestEnv::new();
    env.unset("HOME");
    env.unset("XDG_DATA_HOME");
    let data = env.data().display().to_string();
    assert_eq!(env.cmd(&["images", "-q"]).set("BOX_DATA", &data).run().ok(), "");
}
