//! `box mount`, `unmount` and those of `box image`: in the shell of `box unshare`.

use crate::env::TestEnv;
use crate::skip::is_root;

#[test]
fn images_and_containers_are_looked_at() {
    if is_root() {
        skip!("wants an ordinary user: root mounts for the whole host");
    }
    let env = TestEnv::with_image();
    env.box_(&["image", "mount", "t"]).fails(125).hints("box unshare");
    assert_eq!(env.box_(&["image", "mount"]).ok(), "");
    let inside = |script: &str| {
        let program = crate::env::program().display().to_string();
        let script = format!("trap 'cd /; BOX image unmount -af >&2; BOX unmount -af >&2' EXIT; {script}");
        env.box_(&["unshare", "sh", "-euc", &script.replace("BOX", &program)])
    };
    // One layer, and several.
    env.box_(&["create", "--name", "c", "t", "do", "write", "/made", "in it"]).ok();
    env.box_(&["start", "-a", "c"]).ok();
    env.box_(&["commit", "c", "two:1"]).ok();
    assert_eq!(inside("cat $(BOX image mount t)/data").ok(), "of the image");
    assert_eq!(inside("cat $(BOX image mount two:1)/data $(BOX image mount two:1)/made").ok(), "of the image\nin it");
    inside("touch $(BOX image mount two:1)/x").ends(1);
    let listed = inside(
        "BOX image mount two:1 t >/dev/null; BOX image mount --format json; BOX image unmount two:1 >/dev/null; \
         BOX image mount >&2; BOX image unmount -a; BOX image mount",
    );
    let (json, rest) = listed.out().rsplit_once(']').map(|(json, rest)| (format!("{json}]"), rest.to_owned())).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(json[0]["Repositories"][0], "localhost/two:1", "{listed}");
    assert_eq!((listed.err().lines().count(), rest.trim().len()), (1, 64), "{listed}");
    // A container's files can be changed.
    let changed = inside("place=$(BOX mount c); echo -n changed >$place/made; BOX mount; BOX unmount c; BOX mount");
    let id = env.box_(&["inspect", "--format", "{{.Id}}", "c"]).ok();
    let lines: Vec<String> = changed.ok().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with(&id[..12]) && lines[1] == id && lines.len() == 2, "{changed}");
    env.box_(&["export", "-o", &env.base.join("c.tar").display().to_string(), "c"]).ok();
    assert_eq!(env.box_(&["cp", "c:/made", "-"]).stdout.windows(7).filter(|part| part == b"changed").count(), 1);
    // One that runs is looked at as it is.
    env.background("up", &[], &["do", "write", "/now", "running", ";", "pause"]);
    env.await_log("up", "ready");
    assert_eq!(inside("cat $(BOX mount up)/now; BOX unmount up >/dev/null").ok(), "running");
    env.box_(&["mount", "nobody"]).fails(125).says("`nobody`");
    env.box_(&["image", "unmount", "nobody"]).fails(125).says("`nobody`");
    inside("BOX image mount t >/dev/null; cd $(BOX image mount t); BOX image unmount t")
        .fails(125)
        .says("at work in it");
}

#[test]
fn what_the_helper_mounts_goes_with_the_shell() {
    if is_root() {
        skip!("wants an ordinary user: root mounts for the whole host");
    }
    if !std::path::Path::new("/usr/bin/fuse-overlayfs").exists() {
        skip!("fuse-overlayfs is not installed");
    }
    let mut env = TestEnv::with_image();
    env.set("STORAGE_DRIVER", "fuse-overlayfs");
    env.box_(&["run", "--name", "c", "--network", "none", "t", "do", "rm", "/data", ";", "write", "/made", "x"]).ok();
    env.box_(&["commit", "-q", "c", "two"]).ok();
    let script = "for words in 'image mount two' 'mount c'; do place=$(BOX $words); \
                  grep -c \"$place fuse.fuse-overlayfs\" /proc/self/mounts; ls $place; done";
    let script = script.replace("BOX", &crate::env::program().display().to_string());
    let listed = env.box_(&["unshare", "sh", "-euc", &script]).ok();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.iter().filter(|line| **line == "1").count(), 2, "{listed}");
    assert_eq!(lines.iter().filter(|line| **line == "made").count(), 2, "{listed}");
    assert!(!lines.contains(&"data"), "{listed}");
    // Nothing was unmounted: it ends by itself.
    crate::env::eventually("the helpers' end", || env.processes_but_holder().is_empty());
    // Where something was mounted stays until it is mounted there again and unmounted.
    std::fs::remove_dir_all(env.run_dir().join("mounts")).unwrap();
}
