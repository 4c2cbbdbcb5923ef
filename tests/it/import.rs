//! `box import`.

use crate::env::TestEnv;
use crate::image::payload_layer;
use crate::registry::{Answer, Registry};
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
