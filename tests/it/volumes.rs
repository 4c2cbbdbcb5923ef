//! `box volume`, and `-v`, `--mount`, `--tmpfs`, `--volumes-from` in all their forms.

use crate::env::{TestEnv, eventually, rounds};
use crate::image::Image;
use crate::options::info;
use crate::tarball::Tar;
use serde_json::json;
use std::fs;

/// An image with files at `/data` that it declares as a volume, as `localhost/v`.
fn with_volume(env: &TestEnv) {
    let tar = Tar::new().folder("data", 0o750).file("data/file", 0o640, "of the image").link("data/link", "file");
    let image = Image::payload().layer(tar.finish()).with("Volumes", json!({"/data": {}})).build();
    image.docker_archive(&env.base.join("v.tar"), &["localhost/v:latest"]);
    env.load(&env.base.join("v.tar"));
}

/// `run --rm --network none OPTIONS v COMMAND`.
fn inside_v(env: &TestEnv, options: &[&str], command: &[&str]) -> crate::outcome::Outcome {
    let mut args = vec!["run", "--rm", "--network", "none"];
    args.extend(options);
    args.push("localhost/v");
    args.extend(command);
    env.box_(&args)
}

#[test]
fn a_life() {
    let env = TestEnv::with_image();
    assert_eq!(env.box_(&["volume", "create", "--label", "a=b", "data"]).ok(), "data");
    env.box_(&["volume", "create", "data"]).fails(125).says("there is a volume `data` already");
    assert_eq!(env.box_(&["volume", "create", "--ignore", "data"]).ok(), "data");
    let made_up = env.box_(&["volume", "create"]).ok();
    assert_eq!(made_up.len(), 64);
    env.box_(&["volume", "rm", &made_up]).ok();
    env.box_(&["volume", "create", "../x"]).fails(125).says("cannot be the name of a volume");
    env.box_(&["volume", "exists", "data"]).ends(0).quiet();
    env.box_(&["volume", "exists", "nope"]).ends(1).quiet();
    env.inside(&["-v", "data:/d"], &["write", "/d/kept", "1"]).ok();
    assert_eq!(env.inside(&["-v", "data:/x/y:ro"], &["cat", "/x/y/kept"]).ok(), "1");
    env.inside(&["-v", "data:/d:ro"], &["touch", "/d/no"]).ends(1).says("Read-only file system");
    // Who comes later finds it mounted.
    env.background("user", &["-v", "data:/d", "-v", "/anonymous"], &["pause"]);
    assert_eq!(env.box_(&["exec", "user", "cat", "/d/kept"]).ok(), "1");
    env.box_(&["rm", "-f", "-v", "-t", "0", "user"]).ok();
    let mountpoint = env.box_(&["volume", "inspect", "-f", "{{.Mountpoint}}", "data"]).ok();
    assert_eq!(fs::read_to_string(format!("{mountpoint}/kept")).unwrap(), "1");
    assert_eq!(env.box_(&["volume", "mount", "data"]).ok(), mountpoint);
    let shown = env.box_(&["volume", "inspect", "dat"]).json();
    assert_eq!(
        (&shown[0]["Name"], &shown[0]["Labels"]["a"], &shown[0]["Driver"]),
        (&json!("data"), &json!("b"), &json!("local"))
    );
    env.background("c", &["-v", "data:/d"], &["pause"]);
    env.box_(&["volume", "rm", "data"]).fails(2).says("volume `data` is used by container `c`").hints("box rm c");
    assert_eq!(env.inspect("c", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}{{end}}"), "volume data /d");
    env.box_(&["volume", "rm", "nope"]).fails(1).says("no such volume `nope`");
    assert_eq!(env.box_(&["volume", "rm", "-f", "data"]).ok(), "data");
    env.box_(&["container", "exists", "c"]).ends(1);
    env.box_(&["volume", "inspect", "data"]).ends(125).says("no such volume");
}

#[test]
fn listed_and_filtered() {
    let env = TestEnv::with_image();
    for (name, label) in [("one", "k=1"), ("two", "k=2"), ("three", "x")] {
        env.box_(&["volume", "create", "--label", label, name]).ok();
    }
    env.box_(&["create", "--name", "c", "-v", "two:/d", "-v", "/anonymous", "t", "true"]).ok();
    let listed = |filters: &[&str]| {
        let mut args = vec!["volume", "ls", "--format", "{{.Name}}"];
        filters.iter().for_each(|filter| args.extend(["--filter", filter]));
        let names = env.box_(&args).ok();
        names.lines().filter(|name| name.len() < 64).collect::<Vec<_>>().join(" ")
    };
    for (filters, expected) in [
        (&[][..], "one three two"),
        (&["label=k"], "one two"),
        (&["label=k=2"], "two"),
        (&["label!=k"], "three"),
        (&["name=t", "name=n"], "one three two"),
        (&["name=t", "label=k"], "two"),
        (&["dangling=true"], "one three"),
        (&["dangling=false"], "two"),
        (&["driver=local"], "one three two"),
        (&["driver=image"], ""),
        (&["since=one"], "three two"),
        (&["until=1h"], ""),
    ] {
        assert_eq!(listed(filters), expected, "{filters:?}");
    }
    env.box_(&["volume", "ls", "--filter", "nope=1"]).fails(125).says("there is no filter `nope`");
    let table = env.box_(&["volume", "ls", "--filter", "name=one"]).ok();
    assert_eq!(table, "DRIVER      VOLUME NAME\nlocal       one");
    assert_eq!(env.box_(&["volume", "ls", "--format", "json"]).json().as_array().unwrap().len(), 4);
    // What nobody uses goes: the anonymous ones, and with -a the named ones.
    env.box_(&["rm", "c"]).ok();
    assert_eq!(env.cmd(&["volume", "prune"]).stdin("n\n").run().ends(0).out(), "");
    assert_eq!(env.box_(&["volume", "prune", "-f", "--dry-run"]).ok().len(), 64);
    assert_eq!(env.box_(&["volume", "prune", "-f"]).ok().len(), 64);
    assert_eq!(env.box_(&["volume", "prune", "-f"]).ok(), "");
    assert_eq!(env.box_(&["volume", "prune", "-af", "--filter", "label=k"]).ok(), "one\ntwo");
    assert_eq!(listed(&[]), "three");
}

#[test]
fn the_image_fills_a_new_volume() {
    let env = TestEnv::new();
    with_volume(&env);
    assert_eq!(
        inside_v(&env, &["-v", "new:/data"], &["stat", "/data", "/data/file", "/data/link"]).ok().lines().count(),
        3
    );
    let stat = inside_v(&env, &["-v", "new:/data"], &["stat", "/data", "/data/file"]).ok();
    assert!(stat.starts_with("dir 0750 0:0"), "{stat}");
    assert!(stat.contains("\nfile 0640 0:0 12"), "{stat}");
    // Only once, and never over what is there.
    inside_v(&env, &["-v", "new:/data"], &["rm", "/data/file"]).ok();
    assert_eq!(inside_v(&env, &["-v", "new:/data"], &["ls", "/data"]).ok(), "link");
    inside_v(&env, &["-v", "bare:/data:nocopy"], &["ls", "/data"]).ok();
    assert_eq!(inside_v(&env, &["-v", "bare:/data"], &["ls", "/data"]).ok(), "");
    // Memory, too, unless it is told not to.
    assert_eq!(inside_v(&env, &["--tmpfs", "/data"], &["ls", "/data"]).ok(), "file\nlink");
    assert_eq!(inside_v(&env, &["--tmpfs", "/data:notmpcopyup"], &["ls", "/data"]).ok(), "");
}

#[test]
fn declared_volumes_live_as_long_as_asked() {
    let env = TestEnv::new();
    with_volume(&env);
    let count = || env.box_(&["volume", "ls", "-q"]).ok().lines().count();
    assert_eq!(inside_v(&env, &[], &["cat", "/data/file"]).ok(), "of the image");
    assert_eq!(count(), 0);
    env.box_(&["run", "--name", "c", "--network", "none", "localhost/v", "write", "/data/file", "changed"]).ok();
    assert_eq!(count(), 1);
    let name = env.inspect("c", "{{(index .Mounts 0).Name}}");
    assert_eq!(name.len(), 64);
    // Another container may look at it, and keeps it from going.
    env.box_(&[
        "create",
        "--name",
        "d",
        "--volumes-from",
        "c:ro",
        "--network",
        "none",
        "localhost/v",
        "cat",
        "/data/file",
    ])
    .ok();
    assert!(env.box_(&["start", "-a", "d"]).ok().starts_with("changed"));
    env.box_(&["rm", "-v", "c"]).ok();
    assert_eq!(count(), 1);
    env.box_(&["rm", "-v", "d"]).ok();
    assert_eq!(env.box_(&["volume", "ls", "-q", "--filter", "dangling=true"]).ok(), name);
    env.box_(&["volume", "prune", "-f"]).ok();
    assert_eq!(inside_v(&env, &["--image-volume", "ignore"], &["cat", "/data/file"]).ok(), "of the image");
    assert_eq!(inside_v(&env, &["--image-volume", "tmpfs"], &["cat", "/data/file"]).ok(), "of the image");
    inside_v(&env, &["--image-volume", "nope"], &["true"]).fails(125).says("none of anonymous, tmpfs and ignore");
    assert_eq!(count(), 0);
    // A container that could not be made leaves none.
    env.box_(&["create", "--name", "c", "localhost/v"]).ok();
    env.box_(&["create", "--name", "c", "localhost/v"]).fails(125).says("is in use");
    assert_eq!(count(), 1);
    env.box_(&["rm", "-v", "c"]).ok();
    assert_eq!(count(), 0);
}

#[test]
fn drivers_and_their_options() {
    let env = TestEnv::with_image();
    let folder = env.base.join("shared");
    fs::create_dir(&folder).unwrap();
    let device = format!("device={}", folder.display());
    env.box_(&["volume", "create", "-o", "type=bind", "-o", &device, "lent"]).ok();
    env.inside(&["-v", "lent:/d"], &["write", "/d/x", "1"]).ok();
    assert_eq!(fs::read_to_string(folder.join("x")).unwrap(), "1");
    fs::remove_dir_all(&folder).unwrap();
    env.inside(&["-v", "lent:/d"], &["true"]).fails(125).says("which does not exist").hints("mkdir -p");
    env.box_(&["volume", "create", "-o", "type=tmpfs", "-o", "o=size=64k,mode=700", "mem"]).ok();
    let seen = env.inside(&["-v", "mem:/d"], &["do", "stat", "/d", ";", "cat", "/proc/mounts"]).ok();
    assert!(seen.starts_with("dir 0700") && seen.contains(" /d tmpfs rw,nosuid,nodev"), "{seen}");
    env.box_(&["volume", "create", "-d", "image", "-o", "image=t", "img"]).ok();
    assert!(env.inside(&["-v", "img:/d"], &["ls", "/d"]).ok().contains("bin"));
    env.inside(&["-v", "img:/d"], &["touch", "/d/x"]).ends(1).says("Read-only");
    env.box_(&["volume", "create", "-o", "nope=1", "x"]).fails(125).says("has no option `nope`");
    env.box_(&["volume", "create", "-d", "nope", "x"]).fails(125).says("there is no volume driver `nope`");
    env.box_(&["volume", "create", "-o", "type=nfs", "-o", "device=:/e", "-o", "o=addr=127.0.0.1", "far"]).ok();
    if !crate::skip::is_root() {
        let refused = env.inside(&["-v", "far:/d"], &["true"]);
        refused.fails(125).says("an ordinary user cannot mount `nfs`").hints("sudo mount -t nfs");
    }
    env.inside(&["--mount", "type=volume,src=made,dst=/d,volume-label=a=b,volume-opt=type=tmpfs"], &["true"]).ok();
    assert_eq!(env.box_(&["volume", "inspect", "-f", "{{.Labels.a}} {{.Options.type}}", "made"]).ok(), "b tmpfs");
}

#[test]
fn overlays_keep_the_source() {
    let env = TestEnv::with_image();
    env.file("source/file", "old");
    let source = env.base.join("source").display().to_string();
    env.box_(&[
        "run",
        "--name",
        "c",
        "--network",
        "none",
        "-v",
        &format!("{source}:/d:O"),
        "t",
        "write",
        "/d/file",
        "new",
    ])
    .ok();
    assert_eq!(fs::read_to_string(env.base.join("source/file")).unwrap(), "old");
    for folder in ["up", "work"] {
        fs::create_dir(env.base.join(folder)).unwrap();
    }
    let base = env.base.display();
    let lasting = format!("{source}:/d:O,upperdir={base}/up,workdir={base}/work");
    env.inside(&["-v", &lasting], &["write", "/d/file", "mine"]).ok();
    assert_eq!(env.inside(&["-v", &lasting], &["cat", "/d/file"]).ok(), "mine");
    assert_eq!(fs::read_to_string(env.base.join("up/file")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(env.base.join("source/file")).unwrap(), "old");
    env.inside(&["-v", &format!("{source}:/d:O,ro")], &["true"]).fails(125).says("choose one");
}

#[test]
fn images_patterns_and_terminals() {
    let env = TestEnv::with_image();
    let listed = env.inside(&["--mount", "type=image,src=t,dst=/i"], &["ls", "/i"]).ok();
    assert!(listed.contains("bin") && listed.contains("etc"), "{listed}");
    env.inside(&["--mount", "type=image,src=t,dst=/i"], &["touch", "/i/x"]).ends(1).says("Read-only");
    assert_eq!(
        env.inside(&["--mount", "type=image,src=t,dst=/i,rw=true"], &["do", "write", "/i/x", "1", ";", "cat", "/i/x"])
            .ok(),
        "1"
    );
    env.inside(&["--pull", "never", "--mount", "type=image,src=nope,dst=/i"], &["true"])
        .fails(125)
        .says("there is no image `nope`");
    for name in ["lib/a.so", "lib/b.so", "lib/c.txt"] {
        env.file(name, name);
    }
    let pattern = format!("type=glob,src={}/lib/*.so,dst=/g,ro", env.base.display());
    assert_eq!(env.inside(&["--mount", &pattern], &["ls", "/g"]).ok(), "a.so\nb.so");
    env.inside(&["--mount", "type=glob,src=/nonesuch/*,dst=/g"], &["true"]).fails(125).says("nothing fits the pattern");
    assert_eq!(env.inside(&["--mount", "type=devpts,dst=/pts"], &["ls", "/pts"]).ok(), "ptmx");
    env.inside(&["--mount", "type=artifact,src=x,dst=/a"], &["true"]).fails(125).says("no mounts of type `artifact`");
    // An image that is mounted is in use.
    env.box_(&["create", "--name", "c", "--rootfs", "--mount", "type=image,src=t,dst=/i", "/", "true"]).ok();
    let layers = || {
        let entries = fs::read_dir(env.data().join("layers")).unwrap().flatten();
        entries.filter(|entry| entry.path().is_dir()).count()
    };
    assert_eq!(layers(), 1);
    env.box_(&["rmi", "t"]).ok();
    assert_eq!(layers(), 1);
}

#[test]
fn owners_are_given() {
    let env = TestEnv::with_image();
    env.file("mine/deep/file", "1");
    let mount = format!("{}/mine:/d:U", env.base.display());
    if info(&env, &[])["uid_map"].to_string().len() < 12 {
        skip!("wants subordinate ids");
    }
    let seen = env.inside(&["-u", "1:2", "-v", &mount], &["stat", "/d", "/d/deep/file"]).ok();
    assert!(seen.lines().all(|line| line.contains(" 1:2 ")), "{seen}");
    let seen = env.inside(&["-u", "ann", "-v", "named:/d:U"], &["do", "touch", "/d/x", ";", "stat", "/d/x"]).ok();
    assert!(seen.starts_with("file"), "{seen}");
    // Back to the caller, who removes the folder.
    env.inside(&["-v", &mount], &["true"]).ok();
}

#[test]
fn options_reach_the_mount() {
    let env = TestEnv::with_image();
    env.file("d/file", "1");
    let options = |words: &str| {
        let mount = format!("{}/d:/d{words}", env.base.display());
        let mounts = env.inside(&["-v", &mount], &["cat", "/proc/mounts"]).ok();
        let line = mounts.lines().find(|line| line.contains(" /d ")).unwrap().to_owned();
        line.split(' ').nth(3).unwrap().split(',').take_while(|word| *word != "relatime").collect::<Vec<_>>().join(",")
    };
    assert_eq!(options(""), "rw,nosuid,nodev");
    assert_eq!(options(":ro,noexec"), "ro,nosuid,nodev,noexec");
    if !crate::skip::is_root() {
        let mount = format!("{}/d:/d:idmap", env.base.display());
        env.inside(&["-v", &mount], &["true"]).fails(125).says("only root can").hints("keep-id");
    }
    env.inside(&["-v", "/a:/b:nope"], &["true"]).fails(125).says("no mount option `nope`").hints("the options are:");
    env.inside(&["-v", "x:/b", "--tmpfs", "/b"], &["true"]).fails(125).says("`/b` is mounted on twice");
}

#[test]
fn a_part_of_the_source() {
    let env = TestEnv::new();
    with_volume(&env);
    env.file("folder/a/b/file", "deep");
    env.file("secret", "of the host");
    let mount = |part: &str| format!("type=bind,src={}/folder,dst=/d,subpath={part}", env.base.display());
    assert_eq!(inside_v(&env, &["--mount", &mount("a/b")], &["cat", "/d/file"]).ok(), "deep");
    assert_eq!(inside_v(&env, &["--mount", &mount("a/b/file")], &["cat", "/d"]).ok(), "deep");
    inside_v(&env, &["--mount", &mount("nope")], &["true"]).fails(125).says("cannot open `nope` in");
    inside_v(&env, &["--mount", &mount("../x")], &["true"]).fails(125).says("without `..`");
    inside_v(&env, &["-v", "v:/d"], &["mkdir", "/d/x/y"]).ok();
    inside_v(&env, &["--mount", "src=v,dst=/d,subpath=x"], &["touch", "/d/here"]).ok();
    assert_eq!(inside_v(&env, &["-v", "v:/d"], &["ls", "/d/x"]).ok(), "here\ny");
    let image = "type=image,src=localhost/v,dst=/i,subpath=data";
    assert_eq!(inside_v(&env, &["--mount", image], &["cat", "/i/file"]).ok(), "of the image");
    inside_v(&env, &["--mount", "type=image,src=localhost/v,dst=/i,subpath=data/link"], &["true"]).fails(125);
    // Links of a volume are the volume's: they lead nowhere else (CVE-2017-1002101).
    inside_v(&env, &["-v", "v:/d"], &["ln", &format!("{}/secret", env.base.display()), "/d/out"]).ok();
    inside_v(&env, &["-v", "v:/d"], &["ln", "/", "/d/root"]).ok();
    inside_v(&env, &["--mount", "src=v,dst=/d,subpath=out"], &["true"]).fails(125).says("cannot open `out` in");
    assert_eq!(inside_v(&env, &["--mount", "src=v,dst=/d,subpath=root/x"], &["ls", "/d"]).ok(), "here\ny");
}

#[test]
fn a_part_that_is_swapped_for_a_link_leads_nowhere() {
    // CVE-2021-25741: one container changes the path while another mounts it.
    let env = TestEnv::with_image();
    let canary = env.file("canary/file", "of the host");
    let folder = canary.parent().unwrap().display().to_string();
    env.inside(&["-v", "v:/v"], &["mkdir", "/v/a"]).ok();
    env.background("swapper", &["-v", "v:/v"], &["swap", "/v/a", &folder]);
    env.await_log("swapper", "ready");
    let (mut folders, mut links) = (0, 0);
    let mut round = || {
        let outcome = env.inside(&["--mount", "src=v,dst=/d,subpath=a"], &["ls", "/d"]);
        // Either the folder, which is empty, or an error that names the path.
        assert!(!outcome.out().contains("file"), "{outcome}");
        *(if outcome.code == 0 { &mut folders } else { &mut links }) += 1;
        folders > 0 && links > 0
    };
    for _ in 0..rounds(25) {
        round();
    }
    // Both must be met: which of them a round finds is chance, so on a busy machine it may take more rounds.
    eventually("the folder and the link", round);
}

#[test]
fn what_is_swapped_while_a_volume_is_moved_leads_nowhere() {
    // CVE-2023-0778: a container changes the volume while it is exported, or imported into.
    let env = TestEnv::with_image();
    let canary = env.file("canary/file", "of the host");
    let folder = canary.parent().unwrap();
    env.inside(&["-v", "v:/v"], &["mkdir", "/v/a"]).ok();
    env.background("swapper", &["-v", "v:/v"], &["swap", "/v/a", &folder.display().to_string()]);
    env.await_log("swapper", "ready");
    let archive = crate::tarball::Tar::new().file("a/file", 0o644, "of the archive").finish();
    let (mut exported, mut imported) = (0, 0);
    let mut round = || {
        let outcome = env.box_(&["volume", "export", "v"]);
        assert!(!outcome.stdout.windows(11).any(|part| part == b"of the host"), "{outcome}");
        exported += u32::from(outcome.code == 0);
        imported += u32::from(env.cmd(&["volume", "import", "v", "-"]).stdin(&archive).run().code == 0);
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "of the host");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
        exported > 0 && imported > 0
    };
    for _ in 0..rounds(10) {
        round();
    }
    eventually("one of each that comes to its end", round);
}

#[test]
fn data_moves_through_a_pipe() {
    let (env, other) = (TestEnv::with_image(), TestEnv::with_image());
    env.box_(&["volume", "create", "--uid", "7", "data"]).ok();
    let mount = ["-v", "data:/d"];
    env.inside(&mount, &["write", "/d/file", "hello"]).ok();
    let tar = env.box_(&["volume", "export", "data"]);
    assert_eq!(tar.code, 0);
    other.box_(&["volume", "import", "data"]).fails(125).says("no such volume `data`");
    other.box_(&["volume", "create", "data"]).ok();
    // What is no archive, or a broken one, leaves a new volume as it was: the image may still fill it.
    for junk in [&b""[..], b"<html></html>", &tar.stdout[..700]] {
        other.cmd(&["volume", "import", "data", "-"]).stdin(junk).run().fails(125);
        assert!(other.data().join("volumes/data/fresh").exists());
    }
    other.cmd(&["volume", "import", "data", "-"]).stdin(&tar.stdout).run().ok();
    for env in [&env, &other] {
        assert_eq!(env.inside(&mount, &["cat", "/d/file"]).ok(), "hello");
        assert!(env.inside(&mount, &["stat", "/d"]).ok().contains(" 7:0"));
    }
    // Over what is there, from a packed file; what the archive does not have stays.
    other.inside(&mount, &["write", "/d/other", "stays"]).ok();
    other.inside(&mount, &["write", "/d/file", "changed"]).ok();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &tar.stdout).unwrap();
    let packed = other.file("data.tar.gz", packed.finish().unwrap());
    other.cmd(&["volume", "import", "data"]).arg(packed).run().ok();
    assert_eq!(other.inside(&mount, &["cat", "/d/file", "/d/other"]).ok(), "hellostays");
    let file = other.base.join("out.tar").display().to_string();
    other.box_(&["volume", "export", "-o", &file, "data"]).ok();
    assert!(std::fs::metadata(&file).unwrap().len() > 1024);
    other.box_(&["volume", "create", "-o", "type=tmpfs", "mem"]).ok();
    other.box_(&["volume", "export", "mem"]).fails(125).says("has its files in containers only");
}

#[test]
fn a_folder_on_a_file() {
    let env = TestEnv::with_image();
    for mount in ["v:/data", "v:/data/below", "/etc/hostname:/etc"] {
        env.inside(&["-v", mount], &["true"])
            .fails(125)
            .says("one is a folder, and the other, or one above it, is a file");
    }
}

#[test]
fn reload_names_what_is_gone() {
    let env = TestEnv::with_image();
    let folder = env.base.join("lent");
    std::fs::create_dir(&folder).unwrap();
    let device = format!("device={}", folder.display());
    env.box_(&["volume", "create", "-o", "type=bind", "-o", &device, "lent"]).ok();
    env.box_(&["volume", "create", "-d", "image", "-o", "image=t", "img"]).ok();
    env.box_(&["volume", "reload"]).ok();
    std::fs::remove_dir(&folder).unwrap();
    env.box_(&["volume", "reload"]).fails(125).says("volume `lent` cannot be used");
}
