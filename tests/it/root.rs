//! The same commands run by real root: no namespace holder, no newuidmap.

use crate::env::TestEnv;
use crate::skip::is_root;
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
