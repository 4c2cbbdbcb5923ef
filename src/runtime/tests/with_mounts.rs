//! Mounts: what the attributes of trees do, and whose the files are.

use super::*;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// In a mount namespace of the test's own, a folder `host` with a tmpfs on it and another on `host/sub`.
fn with_trees(rootfs: &Rootfs) -> PathBuf {
    let host = rootfs.0.join("host");
    std::fs::create_dir_all(&host).unwrap();
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    mount(Some("tmpfs"), &host, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    let sub = host.join("sub");
    std::fs::create_dir(&sub).unwrap();
    mount(Some("tmpfs"), &sub, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    for path in ["file", "sub/file"] {
        std::fs::write(host.join(path), "").unwrap();
    }
    host
}

/// Run a script with `/v` bound as the options and the mount's further properties say.
fn with_volume(mode: As, options: &[&str], more: &Value, script: &str) -> String {
    let rootfs = Rootfs::new();
    let paths = paths(&rootfs);
    let source = rootfs.0.join("host");
    let spec = spec(&["sh", "-c", script], |spec| {
        let mut volume = json!({ "destination": "/v", "source": source, "type": "bind", "options": options });
        volume.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec["mounts"].as_array_mut().unwrap().push(volume);
    });
    inside(mode, || {
        with_trees(&rootfs);
        run_with(&bundle(&rootfs, &paths, &spec), |_| String::new())
    })
}

#[test]
fn attributes_reach_as_far_as_they_say() {
    alone!();
    let flags = "grep ' /v' /proc/self/mountinfo | while read a b c d e f g; do echo $e $f; done";
    for (options, expected) in [
        ("rbind,ro", "/v ro,relatime\n/v/sub rw,relatime\n"),
        ("rbind,rro", "/v ro,relatime\n/v/sub ro,relatime\n"),
        ("rbind,rro,rw", "/v ro,relatime\n/v/sub ro,relatime\n"),
        (
            "rbind,rnosuid,rnodev,rnoexec",
            "/v rw,nosuid,nodev,noexec,relatime\n/v/sub rw,nosuid,nodev,noexec,relatime\n",
        ),
        ("rbind,rnoatime,nodiratime", "/v rw,noatime,nodiratime\n/v/sub rw,noatime\n"),
        ("rbind,rnosymfollow,symfollow", "/v rw,relatime\n/v/sub rw,relatime,nosymfollow\n"),
        ("bind,rro", "/v ro,relatime\n"),
    ] {
        for mode in modes() {
            let options: Vec<&str> = options.split(',').collect();
            assert_eq!(with_volume(mode, &options, &json!({}), flags), expected, "{mode:?} {options:?}");
        }
    }
}

#[test]
fn propagation_reaches_as_far_as_it_says() {
    alone!();
    let peers =
        "grep ' /v' /proc/self/mountinfo | while read a b c d e f g; do case $g in *shared:*) echo $e;; esac; done";
    for (options, expected) in [("rbind,shared", "/v\n"), ("rbind,rshared", "/v\n/v/sub\n"), ("rbind", "")] {
        for mode in modes() {
            let options: Vec<&str> = options.split(',').collect();
            assert_eq!(with_volume(mode, &options, &json!({}), peers), expected, "{mode:?} {options:?}");
        }
    }
}

#[test]
fn owners_are_mapped() {
    alone!();
    let maps = json!([{ "containerID": 0, "hostID": 5000, "size": 1 }]);
    let both = json!({ "uidMappings": maps, "gidMappings": maps });
    let script = "stat -c '%u:%g' /v/file /v/sub/file";
    for mode in modes().into_iter().filter(|mode| *mode != As::OneId) {
        for (options, expected) in [
            (["rbind", "idmap"], "5000:5000\n0:0\n"),
            (["rbind", "ridmap"], "5000:5000\n5000:5000\n"),
            (["rbind", "rw"], "5000:5000\n0:0\n"),
        ] {
            assert_eq!(with_volume(mode, &options, &both, script), expected, "{mode:?} {options:?}");
        }
        // What is written belongs to whom the map says.
        let found =
            with_volume(mode, &["rbind", "idmap"], &both, "touch /v/new 2>&1; chown 5000:5000 /v/file && echo ok");
        assert!(found.contains("ok"), "{found}");
    }
    for mode in modes() {
        for (more, expected) in [
            (
                json!({}),
                "`idmap` needs `uidMappings` and `gidMappings`, as the container has no user namespace of its own",
            ),
            (json!({ "uidMappings": maps }), "`uidMappings` and `gidMappings` of a mount are given together"),
            (json!({ "type": "tmpfs", "options": ["idmap"] }), "only a bind mount can have its owners mapped"),
        ] {
            let found = with_volume(mode, &["rbind", "idmap"], &more, "true");
            assert!(found.starts_with("Usage: cannot mount") && found.ends_with(expected), "{mode:?} {found}");
        }
    }
}

#[test]
fn owners_of_the_hosts_files_are_for_root_to_map() {
    alone!();
    let maps = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    let rootfs = Rootfs::new();
    let paths = paths(&rootfs);
    let spec = spec(&["true"], |spec| {
        let volume = json!({ "destination": "/v", "source": "/etc", "type": "bind", "options": ["bind", "idmap"],
            "uidMappings": maps, "gidMappings": maps });
        spec["mounts"].as_array_mut().unwrap().push(volume);
    });
    if !modes().contains(&As::OneId) {
        return;
    }
    let found = inside(As::OneId, || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run_with(&bundle(&rootfs, &paths, &spec), |_| String::new())
    });
    let expected = "Host: cannot mount `/etc` on `/v`: the owners of its files can only be mapped by the host's root";
    assert!(found.starts_with(expected), "{found}");
}
