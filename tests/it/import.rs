//! `box import`.

use crate::env::TestEnv;
use crate::image::{Image, payload_layer};
use crate::registry::{Answer, Registry};
use crate::tarball::Tar;
use boxlib::base::digest::Digest;
use serde_json::json;
use std::io::Write;

#[test]
fn from_a_file_a_pipe_and_a_url() {
    let env = TestEnv::new();
    let tar = payload_layer();
    let file = env.file("root.tar", &tar);
    let changes =
        ["-c", "CMD [\"info\"]", "--change", "ENV PATH=/bin A='b c'", "-c", "LABEL x=y", "-c", "WORKDIR /data"];
    let mut words = vec!["import", "-m", "made for a test", "--arch", "arm64", "--variant", "v8"];
    words.extend(changes);
    words.extend([file.to_str().unwrap(), "first:1"]);
    let id = env.box_(&words).ok();
    assert_eq!(id.len(), 64, "{id}");
    let shown = env.box_(&["image", "inspect", "first:1"]).json();
    let (image, config) = (&shown[0], &shown[0]["Config"]);
    assert_eq!(
        (image["Id"].as_str().unwrap(), image["RepoTags"][0].as_str()),
        (id.as_str(), Some("localhost/first:1"))
    );
    assert_eq!((config["Cmd"][0].as_str(), config["Env"][1].as_str()), (Some("info"), Some("A=b c")));
    assert_eq!((image["Architecture"].as_str(), image["Comment"].as_str()), (Some("arm64"), Some("made for a test")));

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    env.cmd(&["import", "-c", "ENV PATH=/bin", "-", "second"]).stdin(&gzip).run().ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", "second", "cat", "/data"]).ok(), "of the image");

    let registry = Registry::start();
    let body = zstd::encode_all(&tar[..], 1).unwrap();
    registry.misbehave(move |asked, _| (asked.path == "/root.tar.zst").then(|| Answer::new(200, body.clone())));
    let url = format!("http://{}/root.tar.zst", registry.host());
    let id = env.box_(&["import", "-q", &url]).ok();
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", &id, "/bin/echo", "x"]).ok(), "x");
    assert_eq!(env.box_(&["images", "--filter", "dangling=true", "-q"]).ok(), id[..12]);
    let missing = format!("http://{}/nonesuch", registry.host());
    env.box_(&["import", &missing]).fails(125).says("404");
}

#[test]
fn xz_and_bzip2() {
    let tar = payload_layer();
    let xz = |bytes: &[u8]| {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bzip2 = |bytes: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    for with_xz in [true, false] {
        let pack = |bytes: &[u8]| if with_xz { xz(bytes) } else { bzip2(bytes) };
        // What is kept is what others take: registries and the specification have neither.
        let env = TestEnv::new();
        let packed = pack(&tar);
        env.cmd(&["import", "-c", "ENV PATH=/bin", "-", "made"]).stdin(&packed).run().ok();
        let layer = env.box_(&["image", "inspect", "--format", "{{index .RootFS.Layers 0}}", "made"]).ok();
        assert_eq!(layer, Digest::of(&tar).to_string());
        assert!(env.base.join("data/box/oci/blobs").join(layer.replace(':', "/")).is_file());
        let echo = |name: &str| env.box_(&["run", "--rm", "--network", "none", name, "echo", "x"]).ok();
        assert_eq!(echo("made"), "x");
        env.cmd(&["import", "-", "cut"]).stdin(&packed[..packed.len() / 2]).run().fails(125).says("ends too early");

        // A whole archive, and one whose layers are packed so.
        let built = Image::payload().build();
        let file = env.base.join("whole.tar");
        built.docker_archive(&file, &["whole:1"]);
        env.cmd(&["load"]).stdin(pack(&std::fs::read(&file).unwrap())).run().ok();
        assert_eq!(echo("whole:1"), "x");
        let manifest = json!([{"Config": "c.json", "RepoTags": ["inner:1"], "Layers": ["one.tar"]}]);
        let archive = Tar::new().file("one.tar", 0o644, &packed).file("c.json", 0o644, &built.config.bytes).file(
            "manifest.json",
            0o644,
            manifest.to_string(),
        );
        env.box_(&["rmi", "-a"]).ok();
        env.cmd(&["load"]).stdin(archive.finish()).run().ok();
        assert_eq!(echo("inner:1"), "x");
        env.box_(&["system", "check"]).ok();
    }
}

#[test]
fn what_cannot_be_imported() {
    let env = TestEnv::new();
    let good = env.file("root.tar", payload_layer());
    let good = good.to_str().unwrap();
    let noise = env.file("noise", [7; 3000]);
    let cut = env.file("cut", &payload_layer()[..5000]);
    for file in [&noise, &cut] {
        env.box_(&["import", file.to_str().unwrap(), "x"]).fails(125).says(file.to_str().unwrap());
    }
    env.box_(&["import", "/nonesuch"]).fails(125).says("/nonesuch");
    env.box_(&["import", good, "Bad"]).fails(125).says("Bad");
    env.box_(&["import", "-c", "RUN x", good, "x"]).fails(125).says("RUN").hints("CMD");
    env.box_(&["import", "--os", "l x", good]).fails(125);
    assert_eq!(env.box_(&["images", "-q", "-a"]).ok(), "");
    let blobs = std::fs::read_dir(env.data().join("oci/blobs/sha256")).map(|entries| entries.count()).unwrap_or(0);
    assert_eq!(blobs, 0, "nothing is left");
}
