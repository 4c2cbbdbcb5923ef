//! The same commands run by real root: no namespace holder, no newuidmap.

use crate::env::TestEnv;
use crate::image::Image;
use crate::skip::is_root;
use crate::tarball::Tar;
use serde_json::json;

macro_rules! root_only {
    () => {
        if !is_root() {
            skip!("wants root");
        }
    };
}

#[test]
fn root_runs_without_newuidmap() {
    root_only!();
    let mut env = TestEnv::new();
    let only_needed = env.base.join("path");
    std::fs::create_dir(&only_needed).unwrap();
    for name in ["slirp4netns", "fuse-overlayfs"] {
        let _ = std::os::unix::fs::symlink(format!("/usr/bin/{name}"), only_needed.join(name));
    }
    env.set("PATH", only_needed.display().to_string());
    env.load(&crate::image::shared_archive());
    env.inside(&[], &["true"]).ends(0).quiet();
    assert!(crate::leak::holder(&env.run_dir()).is_none(), "root needs no holder");
}

#[test]
fn root_has_no_user_namespace_but_few_capabilities() {
    root_only!();
    let env = TestEnv::with_image();
    let seen = crate::options::info(&env, &[]);
    assert_eq!(seen["caps"]["effective"], json!(0x8004_05fb_u64));
    let own = std::fs::read_link("/proc/self/ns/user").unwrap().display().to_string();
    assert_eq!(seen["ns"]["user"], own);
}

#[test]
fn root_life() {
    root_only!();
    let env = TestEnv::with_image();
    env.box_(&["run", "-d", "--name", "c", "-p", "127.0.0.1::80", "t", "listen", "tcp", "80"]).ok();
    env.await_log("c", "ready");
    assert_eq!(env.box_(&["exec", "c", "interfaces"]).ok(), "lo up\ntap0 up");
    env.box_(&["stop", "-t", "0", "c"]).ok();
    assert_eq!(env.inspect("c", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
}

#[test]
fn root_keeps_owners() {
    root_only!();
    let env = TestEnv::with_image();
    let folder = env.base.join("shared");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mount = format!("{}:/shared", folder.display());
    env.inside(&["-u", "ann", "-v", &mount], &["touch", "/shared/f"]).ok();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(folder.join("f")).unwrap()), 1000);
}

#[test]
fn root_devices_stay_devices_only_where_allowed() {
    root_only!();
    let env = TestEnv::with_image();
    assert_eq!(env.inside(&[], &["try", "mknod=/tmp/n"]).ok(), "mknod=/tmp/n: EPERM");
}

#[test]
fn root_a_read_only_volume_is_so_to_the_bottom() {
    root_only!();
    let env = TestEnv::with_image();
    let volume = env.base.join("volume");
    // Mounted in a namespace of the shell's own, so that nothing can be left of it.
    let script = format!(
        "mkdir -p {0}/sub && mount -t tmpfs tmpfs {0}/sub && exec \"$@\" run --rm --network none -v {0}:/v:ro t touch /v/sub/x",
        volume.display()
    );
    let mut shell = env.other(std::path::Path::new("/usr/bin/unshare"));
    let outcome = shell.args(&["-m", "sh", "-c", &script, "sh"]).arg(crate::env::program()).run();
    assert!(outcome.code == 1 && outcome.err().contains("Read-only file system"), "{outcome}");
}

#[test]
fn root_full_disks_are_explained() {
    root_only!();
    let env = TestEnv::new();
    let data = env.base.join("data");
    mount_memory(&data, "24m");
    let registry = crate::registry::Registry::start();
    env.file("config/containers/registries.conf", registry.conf());
    env.load(&crate::image::shared_archive());
    env.box_(&["tag", "t", "kept:1"]).ok();
    // Nothing that compresses: what comes is as large as what it becomes.
    let mut noise = vec![0; 12 << 20];
    let _ = rustix::rand::getrandom(&mut noise, rustix::rand::GetRandomFlags::empty());
    let built = Image::empty().layer(Tar::new().file("noise", 0o644, &noise).finish()).build();
    registry.push("big", "1", &built);
    let archive = env.base.join("big.tar");
    built.docker_archive(&archive, &["big:1"]);
    let root = env.file("noise.tar", Tar::new().file("noise", 0o644, &noise).finish());
    let before = env.box_(&["images", "-q", "--no-trunc"]).ok();
    let (archive, root) = (archive.display().to_string(), root.display().to_string());
    let full = |args: &[&str]| {
        let outcome = env.box_(args);
        outcome.fails(125).says("the disk is full: ").says(" are free for `").hints("box system prune -a   # frees");
        assert_eq!(env.box_(&["images", "-q", "--no-trunc"]).ok(), before, "{outcome}");
        env.box_(&["system", "check"]).ok();
        outcome
    };
    full(&["load", "-q", "-i", &archive]).says("at least 12");
    full(&["import", "-q", &root, "x"]).says("at least 12");
    full(&["pull", "-q", &registry.name("big:1")]).says("at least ").says("MB more are needed");
    // What came stays, to go on with; prune takes it, and its figure is true.
    env.box_(&["system", "prune", "-f"]).ok();
    let file = env.file("noise", &noise).display().to_string();
    env.box_(&["create", "--name", "c", "--network", "none", "t"]).ok();
    env.box_(&["cp", &file, "c:/noise"]).ok();
    full(&["commit", "c", "c:1"]).says("at least 12");
    // Of an archive elsewhere, nothing is left under its name.
    let small = env.base.join("small");
    std::fs::create_dir(&small).unwrap();
    mount_memory(&small, "1m");
    let out = small.join("t.tar").display().to_string();
    env.box_(&["save", "-q", "-o", &out, "t"]).fails(125).says("the disk is full: at least ").says("small`");
    assert_eq!(std::fs::read_dir(&small).unwrap().count(), 0);
    env.box_(&["system", "prune", "-af"]).ok();
    for place in [&small, &data] {
        rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

fn mount_memory(place: &std::path::Path, size: &str) {
    let options = std::ffi::CString::new(format!("size={size},mode=0700")).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", place, "tmpfs", flags, options.as_c_str()).unwrap();
}
