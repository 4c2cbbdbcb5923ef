//! `box images`, `image`, `load`, `tag`, `rmi`, and `pull` of what lies on disk.

use crate::env::{TestEnv, eventually};
use crate::image::{Image, Packed, shared_archive};
use crate::tarball::Tar;
use serde_json::json;
use std::fs;
use std::io::Write;

#[test]
fn load_from_a_file_or_stdin_packed_or_not() {
    let archive = fs::read(shared_archive()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).unwrap();
    let all = [archive.clone(), gzip.finish().unwrap(), zstd::encode_all(&archive[..], 1).unwrap()];
    for (index, bytes) in all.iter().enumerate() {
        let env = TestEnv::new();
        let file = env.file("archive", bytes);
        let by_file = env.box_(&["load", "-i", file.to_str().unwrap()]);
        assert_eq!(by_file.ok(), "Loaded image: localhost/t:latest", "{index}");
        let by_stdin = env.cmd(&["load"]).stdin(bytes).run();
        assert_eq!(by_stdin.ok(), "Loaded image: localhost/t:latest", "{index}");
        assert_eq!(env.inside(&[], &["echo", "runs"]).ok(), "runs");
    }
}

#[test]
fn load_what_is_none() {
    let env = TestEnv::new();
    let file = env.file("archive", "this is no archive");
    env.box_(&["load", "-i", file.to_str().unwrap()]).fails(125).says("archive");
    env.box_(&["load", "-i", "/nonesuch"]).fails(125).says("/nonesuch");
    env.cmd(&["load"]).stdin("").run().ends(125);
    let cut = env.file("cut", &fs::read(shared_archive()).unwrap()[..100_000]);
    env.box_(&["load", "-i", cut.to_str().unwrap()]).fails(125);
    assert_eq!(env.box_(&["images", "-q"]).ok(), "");
}

#[test]
fn every_kind_of_source_and_layer() {
    let env = TestEnv::new();
    for (index, packed) in [Packed::Plain, Packed::Gzip, Packed::Zstd].into_iter().enumerate() {
        let marker = Tar::new().file("marker", 0o644, format!("{index}")).finish();
        let built = Image::payload().packed(marker, packed).build();
        let layout = env.base.join(format!("layout{index}"));
        built.layout(&layout, "v1");
        let oci = env.base.join(format!("oci{index}.tar"));
        built.oci_archive(&oci, "v1");
        let docker = env.base.join(format!("docker{index}.tar"));
        built.docker_archive(&docker, &[&format!("localhost/d{index}:latest")]);
        let sources = [
            format!("oci:{}", layout.display()),
            format!("oci:{}:v1", layout.display()),
            format!("oci-archive:{}", oci.display()),
            format!("docker-archive:{}", docker.display()),
        ];
        for source in sources {
            let pulled = env.box_(&["pull", "-q", &source]).ok();
            let id = pulled.lines().last().unwrap().trim_start_matches("sha256:").to_owned();
            assert_eq!(id.len(), 64, "{source}: {pulled}");
            let run = env.box_(&["run", "--rm", "--network", "none", &id, "cat", "/marker"]);
            assert_eq!(run.ok(), index.to_string(), "{source}");
        }
    }
    env.box_(&["pull", "oci:/nonesuch"]).fails(125).says("/nonesuch");
    env.box_(&["pull", "docker-archive:/nonesuch"]).fails(125).says("/nonesuch");
}

#[test]
fn listing() {
    let env = TestEnv::new();
    let heading = "REPOSITORY TAG IMAGE ID CREATED SIZE";
    let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
    assert_eq!(words(&env.box_(&["images"]).ok()).join(" "), heading);
    assert_eq!(env.box_(&["images", "--format", "json"]).json(), json!([]));
    env.load(&shared_archive());
    env.box_(&["tag", "t", "example.org/team/app:v2"]).ok();
    let shown = env.box_(&["images"]).ok();
    let lines: Vec<Vec<String>> = shown.lines().map(words).collect();
    assert_eq!(lines.len(), 3, "{shown}");
    let names: Vec<String> = lines[1..].iter().map(|line| format!("{}:{}", line[0], line[1])).collect();
    assert!(
        names.contains(&"localhost/t:latest".into()) && names.contains(&"example.org/team/app:v2".into()),
        "{shown}"
    );
    assert!(shown.contains("MB") && lines[1][2].len() == 12, "{shown}");
    assert_eq!(env.box_(&["images", "-q"]).ok().lines().next().unwrap().len(), 12);
    let format = env.box_(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    assert_eq!(format.lines().count(), 2, "{format}");
    let all = env.box_(&["images", "--format", "json"]).json();
    let id = all[0]["Id"].as_str().unwrap();
    assert_eq!(id.trim_start_matches("sha256:").len(), 64);
    assert_eq!(env.box_(&["image", "ls"]).ok(), shown);
    let one = env.box_(&["images", "example.org/team/app"]).ok();
    assert_eq!(one.lines().count(), 2, "{one}");
}

#[test]
fn names_are_looked_up_as_users_type_them() {
    let env = TestEnv::with_image();
    env.box_(&["tag", "t", "docker.io/library/alpine:3"]).ok();
    env.box_(&["tag", "t", "registry.example:5000/a/b:v1"]).ends(0);
    for name in [
        "t",
        "t:latest",
        "localhost/t",
        "alpine:3",
        "library/alpine:3",
        "docker.io/alpine:3",
        "registry.example:5000/a/b:v1",
    ] {
        assert_eq!(
            env.box_(&["run", "--rm", "--pull", "never", "--network", "none", name, "echo", "x"]).ok(),
            "x",
            "{name}"
        );
    }
    let id =
        env.box_(&["images", "-q", "--no-trunc"]).ok().lines().next().unwrap().trim_start_matches("sha256:").to_owned();
    for name in [&id[..], &id[..12], &id[..4], &format!("sha256:{id}")] {
        assert_eq!(env.box_(&["run", "--rm", "--network", "none", name, "echo", "x"]).ok(), "x", "{name}");
    }
    let digest = env.box_(&["image", "inspect", "--format", "{{.Digest}}", "t"]).ok();
    let name = format!("localhost/t@{digest}");
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", &name, "echo", "x"]).ok(), "x");
    for name in ["", "UPPER", "a//b", "-x", "a:b:c", "a@sha256:12", "../x", "a b"] {
        env.box_(&["image", "inspect", "--", name]).ends(125);
        env.box_(&["tag", "t", "--", name]).ends(125);
    }
    env.box_(&["tag", "nonesuch", "x"]).fails(125).says("nonesuch");
}

#[test]
fn removing() {
    let env = TestEnv::with_image();
    env.box_(&["tag", "t", "u"]).ok();
    let untagged = env.box_(&["rmi", "u"]).ok();
    assert!(untagged.starts_with("Untagged: ") && !untagged.contains("Deleted"), "{untagged}");
    env.box_(&["create", "--name", "c", "t"]).ok();
    env.box_(&["rmi", "t"]).fails(2).says("`c`").hints("box rm");
    env.box_(&["rmi", "nonesuch"]).fails(1).says("nonesuch");
    assert_eq!(env.box_(&["rmi", "nonesuch", "t"]).code, 2);
    env.box_(&["rm", "c"]).ok();
    let deleted = env.box_(&["rmi", "t"]).ok();
    assert!(deleted.contains("Untagged: localhost/t:latest") && deleted.contains("Deleted: "), "{deleted}");
    assert_eq!(env.box_(&["images", "-q"]).ok(), "");
    // Nothing of it is kept.
    for folder in ["layers", "oci/blobs/sha256"] {
        let count = || fs::read_dir(env.data().join(folder)).map(|entries| entries.count()).unwrap_or(0);
        eventually(&format!("{folder} to be empty"), || count() == 0);
    }
}

#[test]
fn rmi_by_force_takes_the_containers_along() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    env.box_(&["rmi", "t"]).ends(2);
    env.box_(&["rmi", "-f", "t"]).ok();
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
    assert_eq!(env.box_(&["images", "-q"]).ok(), "");
}

#[test]
fn shared_layers_survive_the_other_image() {
    let env = TestEnv::with_image();
    let other = Image::payload().layer(Tar::new().file("more", 0o644, "x").finish()).build();
    other.docker_archive(&env.base.join("o.tar"), &["localhost/o:latest"]);
    env.load(&env.base.join("o.tar"));
    env.box_(&["rmi", "t"]).ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "o", "cat", "/more", "/data"]).ok(), "xof the image");
}

#[test]
fn layers_lie_above_each_other() {
    let env = TestEnv::new();
    let built = Image::payload()
        .layer(
            Tar::new()
                .folder("d", 0o755)
                .file("d/a", 0o644, "1")
                .file("d/b", 0o644, "1")
                .file("e/f", 0o644, "1")
                .finish(),
        )
        .layer(Tar::new().file("d/a", 0o600, "2").file("d/.wh.b", 0o644, "").finish())
        .layer(Tar::new().folder("e", 0o755).file("e/.wh..wh..opq", 0o644, "").file("e/g", 0o644, "3").finish())
        .layer(Tar::new().file("d/b/c", 0o644, "4").finish())
        .build();
    built.docker_archive(&env.base.join("l.tar"), &["localhost/t:latest"]);
    env.load(&env.base.join("l.tar"));
    let seen = env.inside(&[], &["do", "cat", "/d/a", ";", "ls", "/d", ";", "ls", "/e", ";", "ls", "/d/b"]).ok();
    assert_eq!(seen, "2a\nb\ng\nc");
    let drivers = ["overlay", "fuse-overlayfs", "copy"];
    for driver in drivers {
        let words = ["--storage-driver", driver, "run", "--rm", "--network", "none", "t"];
        let outcome = env
            .box_(&[&words[..], &["do", "cat", "/d/a", ";", "ls", "/d", ";", "ls", "/e", ";", "touch", "/n"]].concat());
        if outcome.code != 0 && driver != "copy" {
            eprintln!("not here: {outcome}");
            continue;
        }
        assert_eq!(outcome.ok(), "2a\nb\ng", "{driver}");
    }
    env.box_(&["--storage-driver", "nonesuch", "run", "--rm", "t"]).ends(125).says("nonesuch");
}

#[test]
fn sixty_layers() {
    let env = TestEnv::new();
    let mut image = Image::payload();
    for n in 0..60 {
        image =
            image.layer(Tar::new().file(&format!("n/{n}"), 0o644, "x").file("last", 0o644, format!("{n}")).finish());
    }
    image.build().docker_archive(&env.base.join("l.tar"), &["localhost/t:latest"]);
    env.load(&env.base.join("l.tar"));
    let seen = env.inside(&[], &["do", "cat", "/last", ";", "echo", "", ";", "ls", "/n"]).ok();
    assert!(seen.starts_with("59\n") && seen.lines().count() == 61, "{seen}");
}

#[test]
fn owners_and_modes_are_the_images() {
    let env = TestEnv::new();
    let head = |uid, gid, mode| crate::tarball::Head { owner: (uid, gid), mode, ..Default::default() };
    let layer = Tar::new()
        .entry("of-ann", &head(1000, 50, 0o640), b"a")
        .entry("setuid", &head(0, 0, 0o4755), b"s")
        .folder("sticky", 0o1777)
        .link("link", "/etc/../data")
        .hard("hard", "of-ann")
        .fifo("fifo")
        .finish();
    Image::payload().layer(layer).build().docker_archive(&env.base.join("o.tar"), &["localhost/t:latest"]);
    env.load(&env.base.join("o.tar"));
    let seen = env.inside(&[], &["stat", "/of-ann", "/setuid", "/sticky", "/link", "/hard", "/fifo"]).ok();
    let heads: Vec<&str> = seen.lines().map(|line| line.rsplitn(4, ' ').last().unwrap()).collect();
    let expected =
        ["file 0640 1000:50", "file 4755 0:0", "dir 1777 0:0", "link 0777 0:0", "file 0640 1000:50", "fifo 0644 0:0"];
    assert_eq!(heads, expected, "{seen}");
    assert_eq!(env.inside(&[], &["cat", "/link"]).ok(), "of the image");
}

#[test]
fn the_store_is_a_layout_that_others_read() {
    let env = TestEnv::with_image();
    let source = format!("oci:{}:localhost/t:latest", env.data().join("oci").display());
    let target = format!("dir:{}", env.base.join("copied").display());
    let copy = env.other("skopeo".as_ref()).args(&["--insecure-policy", "copy", &source, &target]).run();
    copy.ends(0);
    assert!(env.base.join("copied/manifest.json").exists());
}

#[test]
fn a_foreign_layout_is_pulled() {
    let env = TestEnv::new();
    let archive = format!("docker-archive:{}", shared_archive().display());
    let layout = format!("oci:{}:x", env.base.join("layout").display());
    env.other("skopeo".as_ref()).args(&["--insecure-policy", "copy", &archive, &layout]).run().ends(0);
    let id = env.box_(&["pull", "-q", &layout]).ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", id.lines().last().unwrap(), "echo", "x"]).ok(), "x");
}

#[test]
fn who_uses_it_is_said_as_it_can_be_removed() {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "idle", "t", "true"]).ok();
    env.box_(&["rmi", "t"]).fails(2).says("used by container `idle`").hints("box rm idle");
    env.box_(&["rm", "idle"]).ok();
    env.background("busy", &[], &["sleep", "infinity"]);
    let outcome = env.box_(&["rmi", "t"]);
    outcome.fails(2).says("busy (running)");
    assert!(outcome.err().lines().any(|line| line.ends_with("box rm -f busy")), "{outcome}");
}
