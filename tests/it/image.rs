//! Images made in memory: of the payload program, or of whatever a hostile image holds.

use crate::tarball::Tar;
use boxlib::base::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How a layer is packed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// A blob with its media type.
#[derive(Clone)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// A blob of these bytes.
    pub fn new(media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), media_type: media_type.into(), bytes }
    }

    /// What a manifest says of it.
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest.as_str(), "size": self.bytes.len()})
    }
}

/// An image being made.
#[derive(Clone)]
pub struct Image {
    layers: Vec<(Vec<u8>, Packed)>,
    /// The `config` of its config: Env, Cmd and so on.
    pub run: Value,
    /// The whole config, but for `config` and `rootfs`.
    pub config: Value,
    /// Annotations of its manifest.
    pub annotations: Value,
}

/// A finished image: manifest, config and layers.
pub struct Built {
    /// The manifest.
    pub manifest: Blob,
    /// The config.
    pub config: Blob,
    /// The layers, packed.
    pub layers: Vec<Blob>,
    /// The layers' tars, for a docker archive.
    tars: Vec<Vec<u8>>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

impl Image {
    /// Without a layer.
    pub fn empty() -> Self {
        let config = json!({"architecture": architecture(), "os": "linux", "created": "2024-01-01T00:00:00Z"});
        Self { layers: Vec::new(), run: json!({}), config, annotations: json!({}) }
    }

    /// One layer with the payload program, under the names of its applets, and a few users.
    pub fn payload() -> Self {
        let mut image = Self::empty().layer(payload_layer());
        image.run = json!({"Env": ["PATH=/bin", "IMAGE=payload"], "Cmd": ["info"]});
        image
    }

    /// One more layer.
    pub fn layer(self, tar: Vec<u8>) -> Self {
        self.packed(tar, Packed::Plain)
    }

    /// One more layer, packed.
    pub fn packed(mut self, tar: Vec<u8>, packed: Packed) -> Self {
        self.layers.push((tar, packed));
        self
    }

    /// Set a field of what it runs.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.run[field] = value;
        self
    }

    /// Put it together.
    pub fn build(&self) -> Built {
        let diff_ids: Vec<String> = self.layers.iter().map(|(tar, _)| Digest::of(tar).to_string()).collect();
        let mut config = self.config.clone();
        config["config"] = self.run.clone();
        if config.get("rootfs").is_none() {
            config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        }
        let config = Blob::new(CONFIG, config.to_string());
        let layers: Vec<Blob> = self.layers.iter().map(|(tar, packed)| pack(tar, *packed)).collect();
        let descriptors: Vec<Value> = layers.iter().map(Blob::descriptor).collect();
        let mut manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": descriptors});
        if self.annotations.as_object().is_some_and(|all| !all.is_empty()) {
            manifest["annotations"] = self.annotations.clone();
        }
        let tars = self.layers.iter().map(|(tar, _)| tar.clone()).collect();
        Built { manifest: Blob::new(MANIFEST, manifest.to_string()), config, layers, tars }
    }
}

impl Built {
    /// Every blob but the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().chain([&self.config])
    }

    /// Write an OCI image layout.
    pub fn layout(&self, folder: &Path, tag: &str) {
        write_layout(folder, self.blobs().chain([&self.manifest]), &[(&self.manifest, tag)]);
    }

    /// Write an archive as `docker save` does.
    pub fn docker_archive(&self, file: &Path, names: &[&str]) {
        let mut tar = Tar::new();
        let mut paths = Vec::new();
        for layer in &self.tars {
            let path = format!("{}.tar", Digest::of(layer).digits());
            tar = tar.file(&path, 0o644, layer);
            paths.push(path);
        }
        let config = format!("{}.json", self.config.digest.digits());
        tar = tar.file(&config, 0o644, &self.config.bytes);
        let manifest = json!([{"Config": config, "RepoTags": names, "Layers": paths}]);
        fs::write(file, tar.file("manifest.json", 0o644, manifest.to_string()).finish()).unwrap();
    }

    /// Write a tar of an OCI image layout.
    pub fn oci_archive(&self, file: &Path, tag: &str) {
        let mut tar = Tar::new().file("oci-layout", 0o644, r#"{"imageLayoutVersion":"1.0.0"}"#);
        tar = tar.file("index.json", 0o644, index(&[(&self.manifest, tag)]).to_string());
        for blob in self.blobs().chain([&self.manifest]) {
            tar = tar.file(&format!("blobs/sha256/{}", blob.digest.digits()), 0o644, &blob.bytes);
        }
        fs::write(file, tar.finish()).unwrap();
    }
}

/// Write an OCI image layout of any blobs, with an index of any documents.
pub fn write_layout<'a>(folder: &Path, blobs: impl Iterator<Item = &'a Blob>, entries: &[(&Blob, &str)]) {
    let store = folder.join("blobs/sha256");
    fs::create_dir_all(&store).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    for blob in blobs {
        fs::write(store.join(blob.digest.digits()), &blob.bytes).unwrap();
    }
    fs::write(folder.join("index.json"), index(entries).to_string()).unwrap();
}

fn index(entries: &[(&Blob, &str)]) -> Value {
    let manifests: Vec<Value> = entries
        .iter()
        .map(|(blob, tag)| {
            let mut descriptor = blob.descriptor();
            descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
            descriptor
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests})
}

fn pack(tar: &[u8], packed: Packed) -> Blob {
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    match packed {
        Packed::Plain => Blob::new(media_type, tar),
        Packed::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar).unwrap();
            Blob::new(&format!("{media_type}+gzip"), encoder.finish().unwrap())
        }
        Packed::Zstd => Blob::new(&format!("{media_type}+zstd"), zstd::encode_all(tar, 1).unwrap()),
    }
}

/// The architecture by Go's name, as images give it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The payload program, built if `cargo test --test it` has not built it.
pub fn payload_program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_box")).with_file_name("examples/payload");
    let changed = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let source = crate::layering::rust_files(&crate::layering::package().join("tests/payload"));
    let newest = source.iter().filter_map(|file| changed(file)).max();
    if let Some(cargo) = std::env::var_os("CARGO")
        && changed(&path) < newest
    {
        let status = Command::new(cargo).args(["build", "-q", "--example", "payload"]).status().unwrap();
        assert!(status.success(), "cannot build the payload program");
    }
    assert!(path.exists(), "build it first: cargo build --example payload");
    path
}

/// The program without its symbols, where there is a `strip`: most of it, and most of what tests unpack.
fn stripped(program: &Path) -> Vec<u8> {
    let file = std::env::temp_dir().join(format!("box-payload-{}", std::process::id()));
    let done = Command::new("strip").arg("-o").arg(&file).arg(program).status().is_ok_and(|status| status.success());
    let bytes = fs::read(if done { &file } else { program }).unwrap();
    let _ = fs::remove_file(file);
    bytes
}

/// The payload program's layer, made once a process.
pub fn payload_layer() -> Vec<u8> {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    LAYER
        .get_or_init(|| {
            let program = stripped(&payload_program());
            let mut tar = Tar::new().folder("bin/", 0o755).file("bin/payload", 0o755, program);
            for name in APPLETS {
                tar = tar.link(&format!("bin/{name}"), "payload");
            }
            let passwd =
                "root:x:0:0:root:/root:/bin/sh\nann:x:1000:50:Ann:/home/ann:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n";
            let group = "root:x:0:\nstaff:x:50:\nmusic:x:60:ann\nfilm:x:70:bob,ann\n";
            tar.folder("etc/", 0o755)
                .file("etc/passwd", 0o644, passwd)
                .file("etc/group", 0o644, group)
                .file("etc/os-release", 0o644, "ID=payload\n")
                .folder("root/", 0o700)
                .folder("home/", 0o755)
                .entry("home/ann/", &folder_of(1000, 50), b"")
                .folder("tmp/", 0o1777)
                .file("bin/plain", 0o644, "not a program\n")
                .file("bin/broken", 0o755, "\u{1}not a program\n")
                .file("data", 0o644, "of the image\n")
                .finish()
        })
        .clone()
}

fn folder_of(uid: u64, gid: u64) -> crate::tarball::Head<'static> {
    crate::tarball::Head { kind: b'5', mode: 0o755, owner: (uid, gid), ..Default::default() }
}

/// The payload's applets, each a link in /bin.
const APPLETS: &[&str] = &[
    "do",
    "true",
    "false",
    "exit",
    "echo",
    "both",
    "info",
    "field",
    "printenv",
    "tty",
    "cat",
    "write",
    "ls",
    "stat",
    "swap",
    "rm",
    "touch",
    "mkdir",
    "chmod",
    "ln",
    "sleep",
    "pause",
    "trap",
    "kill",
    "count",
    "spam",
    "await",
    "zombies",
    "orphan",
    "listen",
    "connect",
    "questions",
    "unix",
    "interfaces",
    "advertise",
    "packets",
    "besiege",
    "try",
    "hunt",
    "spy",
];

/// A docker archive of the payload image, named `localhost/t:latest`; made once a process, kept for the next.
pub fn shared_archive() -> PathBuf {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE
        .get_or_init(|| {
            let built = Image::payload().build();
            let uid = rustix::process::getuid().as_raw();
            let folder = PathBuf::from(format!("/tmp/box-tests-{uid}"));
            fs::create_dir_all(&folder).unwrap();
            let file = folder.join(format!("{}.tar", &built.config.digest.digits()[..16]));
            if !file.exists() {
                let made = folder.join(format!("{}.new", std::process::id()));
                built.docker_archive(&made, &["localhost/t:latest"]);
                fs::rename(&made, &file).unwrap();
            }
            file
        })
        .clone()
}
