//! Images brought into a store from archives and from a registry that tells the truth, or not.

use super::*;
use crate::base::dirs::Dirs;
use crate::base::error::{Kind, kind};
use crate::base::id::ContainerId;
use crate::oci::platform::Platform;
use crate::registry::Access;
use crate::store::Store;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::Mutex;

/// A store in a folder of its own, removed when dropped.
struct Scratch {
    root: PathBuf,
    store: Store,
}

impl Scratch {
    fn new() -> Self {
        use std::os::unix::fs::DirBuilderExt;
        let root = std::env::temp_dir().join(format!("box-image-{}", ContainerId::random().short()));
        std::fs::DirBuilder::new().mode(0o700).create(&root).unwrap();
        let dirs = Dirs { data: root.join("data"), run: root.join("run") };
        crate::base::fs::ensure_private_dir(&dirs.data).unwrap();
        Self { store: Store::open(&dirs).unwrap(), root }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.root.join(ContainerId::random().short());
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = crate::base::fs::remove_tree(&self.root);
    }
}

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        match bytes.strip_prefix(b"->") {
            Some(target) => {
                header.set_size(0);
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, std::str::from_utf8(target).unwrap()).unwrap();
            }
            None => builder.append_data(&mut header, name, *bytes).unwrap(),
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    serde_json::to_vec(&serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["sh"], "Labels": { "a": "b" } },
        "rootfs": { "type": "layers", "diff_ids": ids }, "history": [{ "created_by": "x" }],
    }))
    .unwrap()
}

/// A manifest for a config and packed layers.
fn manifest(config: &[u8], layers: &[(&str, &[u8])]) -> Vec<u8> {
    let layers: Vec<_> = layers
        .iter()
        .map(|(kind, blob)| {
            serde_json::json!({
                "mediaType": format!("application/vnd.oci.image.layer.v1.tar{kind}"), "digest": Digest::of(blob), "size": blob.len(),
            })
        })
        .collect();
    serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(config), "size": config.len() },
        "layers": layers,
    }))
    .unwrap()
}

fn index(manifest: &[u8], name: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::of(manifest), "size": manifest.len(),
        "annotations": { "org.opencontainers.image.ref.name": name },
    }] }))
    .unwrap()
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(bytes).digits())
}

#[test]
fn archives_of_docker_are_loaded() {
    let scratch = Scratch::new();
    let (one, two) = (tar(&[("a", b"1"), ("b", b"22")]), tar(&[("c", b"333")]));
    let config = config(&[&one, &two, &two]);
    let packed = gzip(&two);
    let list = br#"[{"Config":"c.json","RepoTags":["alpine:3","quay.io/x/y:1"],"Layers":["l1.tar","d/layer.tar","d/layer.tar"]}]"#;
    let archive = tar(&[
        ("l1.tar", &one),
        ("d/layer.tar", b"->../l2.tar"),
        ("./l2.tar", &packed),
        ("c.json", &config),
        ("manifest.json", list),
    ]);
    for input in [archive.clone(), gzip(&archive), zstd::bulk::compress(&archive, 1).unwrap()] {
        let loaded = load(&scratch.store, Some(&scratch.file(&input)), &Platform::host(), &Silent).unwrap();
        assert_eq!(loaded[0].names, ["docker.io/library/alpine:3", "quay.io/x/y:1"]);
        assert_eq!(loaded[0].id, Digest::of(&config));
    }
    let image = find(&scratch.store, "alpine:3").unwrap().unwrap();
    assert_eq!((image.layers.len(), image.size(&scratch.store)), (3, 9));
    let tree = scratch.store.layer_path(&Digest::of(&two));
    assert_eq!(std::fs::read(tree.join("c")).unwrap(), b"333");
    let shown = inspect(&scratch.store, &image);
    assert_eq!((&shown["Config"]["Cmd"][0], &shown["RepoTags"][1]), (&"sh".into(), &"quay.io/x/y:1".into()));
}

#[test]
fn archives_that_lie_leave_nothing_named() {
    let layer = tar(&[("a", b"1")]);
    let other = tar(&[("a", b"2")]);
    let config = config(&[&layer]);
    let good = manifest(&config, &[("", &layer)]);
    let swapped = manifest(&config, &[("", &other)]);
    let oci = |manifest: &[u8], blobs: &[&[u8]]| {
        let index = index(manifest, "x:1");
        let paths: Vec<String> = blobs.iter().map(|blob| blob_path(blob)).collect();
        let mut entries: Vec<(&str, &[u8])> =
            vec![("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"), ("index.json", &index)];
        entries.extend(paths.iter().map(String::as_str).zip(blobs.iter().copied()));
        tar(&entries)
    };
    let wrong_name = tar(&[("index.json", &index(&good, "x:1")), (&blob_path(&good), &config)]);
    let docker = |list: &[u8]| tar(&[("manifest.json", list), ("c.json", &config), ("l.tar", &layer)]);
    for (what, archive) in [
        ("nothing", vec![]),
        ("noise", vec![7; 3000]),
        ("truncated", oci(&good, &[&good, &config, &layer])[..2000].to_vec()),
        ("truncated gzip", gzip(&oci(&good, &[&good, &config, &layer]))[..300].to_vec()),
        ("no index", tar(&[("x", b"y")])),
        ("no layer", oci(&good, &[&good, &config])),
        ("no config", oci(&good, &[&good, &layer])),
        ("another layer", oci(&swapped, &[&swapped, &config, &other])),
        ("a blob of another digest", wrong_name),
        ("damaged list", docker(b"[{}]")),
        ("a list that is an object", docker(b"{}")),
        ("empty list", docker(b"[]")),
        ("outside", docker(br#"[{"Config":"../../etc/passwd","Layers":["l.tar"]}]"#)),
        ("fewer layers", docker(br#"[{"Config":"c.json","Layers":[]}]"#)),
    ] {
        // A store of its own: what an earlier archive had would complete a later one.
        let scratch = Scratch::new();
        let result = load(&scratch.store, Some(&scratch.file(&archive)), &Platform::host(), &Silent);
        assert!(result.is_err(), "{what}: {result:?}");
        assert!(list(&scratch.store).unwrap().is_empty(), "{what}");
        assert!(!scratch.store.has_layer(&Digest::of(&other)), "{what}");
    }
    let scratch = Scratch::new();
    let loaded =
        load(&scratch.store, Some(&scratch.file(&oci(&good, &[&good, &config, &layer]))), &Platform::host(), &Silent)
            .unwrap();
    assert_eq!(loaded[0].names, ["localhost/x:1"]);
}

#[test]
fn names_come_and_go() {
    let scratch = Scratch::new();
    let layer = tar(&[("a", b"1")]);
    let config = config(&[&layer]);
    let archive = tar(&[
        ("manifest.json", br#"[{"Config":"c.json","RepoTags":["one:1"],"Layers":["l.tar"]}]"#),
        ("c.json", &config),
        ("l.tar", &layer),
    ]);
    let store = &scratch.store;
    load(store, Some(&scratch.file(&archive)), &Platform::host(), &Silent).unwrap();
    assert_eq!(tag(store, "one:1", "two").unwrap(), "localhost/two:latest");
    assert!(tag(store, "absent", "x").is_err() && tag(store, "two", "Bad").is_err());
    let id = find(store, "two").unwrap().unwrap().id;
    let prefix = &id.digits()[..12];
    assert_eq!(find(store, prefix).unwrap().unwrap().names.len(), 2);
    let digest = format!("one@{}", find(store, "one:1").unwrap().unwrap().manifest.digest);
    assert!(find(store, &digest).unwrap().is_some() && find(store, "one").unwrap().is_none());
    let used = |_: &Digest| vec!["web".to_owned()];
    let go = |text: &str, force, used: &dyn Fn(&Digest) -> Vec<String>| {
        remove(store, text, RemoveOptions { force, platform: None }, used)
    };
    assert_eq!(kind(&go(prefix, false, &|_| vec![]).unwrap_err()), Kind::InUse);
    assert_eq!(go("two", false, &used).unwrap(), [Removed::Untagged("localhost/two:latest".into())]);
    let error = go("one:1", false, &used).unwrap_err();
    assert_eq!((kind(&error), error.to_string()), (Kind::InUse, "image `one:1` is used by container `web`".into()));
    assert_eq!(go("one:1", false, &|_| vec![]).unwrap().last(), Some(&Removed::Deleted(id)));
    assert!(list(store).unwrap().is_empty() && store.has_garbage());
    store.collect_garbage(&HashSet::new()).unwrap();
    assert!(!store.has_layer(&Digest::of(&layer)));
    assert_eq!(kind(&go("one:1", false, &used).unwrap_err()), Kind::NotFound);
}

/// A registry over plain HTTP that serves these paths; it ends with the test process.
fn registry(paths: HashMap<String, (String, Vec<u8>)>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut reader, mut first, mut rest) = (BufReader::new(&stream), String::new(), String::new());
            let _ = reader.read_line(&mut first);
            let found = first.split(' ').nth(1).filter(|_| first.contains("HTTP/1.1"));
            while found.is_some() && reader.read_line(&mut rest).is_ok_and(|count| count > 2) {}
            let answer = match found.and_then(|path| paths.get(path)) {
                Some((kind, body)) => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    [head.as_bytes(), body].concat()
                }
                None => b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
            };
            let _ = (&stream).write_all(&answer);
        }
    });
    host
}

#[derive(Default)]
struct States(Mutex<Vec<LayerState>>);

impl Progress for States {
    fn state(&self, _: &Digest, state: LayerState) {
        self.0.lock().unwrap().push(state);
    }
}

#[test]
fn images_are_pulled_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let (one, two, three) = (tar(&[("a", &[5; 100_000])]), tar(&[("b", b"2")]), tar(&[("c", b"3")]));
    let (gz, zst) = (gzip(&one), zstd::bulk::compress(&two, 1).unwrap());
    let config = config(&[&one, &two, &three]);
    let good = manifest(&config, &[("+gzip", &gz), ("+zstd", &zst), ("", &three)]);
    let kind_of = "application/vnd.oci.image.manifest.v1+json";
    let entry = |arch: &str, digest: Digest| serde_json::json!({ "mediaType": kind_of, "digest": digest, "size": good.len(), "platform": { "os": "linux", "architecture": arch } });
    let host_arch = crate::oci::image::Platform::host().arch;
    let list = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry("s390x", Digest::of(b"")), entry(&host_arch, Digest::of(&good))],
    }))
    .unwrap();
    // Right in size, wrong in content.
    let mut lie = gz.clone();
    *lie.last_mut().unwrap() ^= 1;
    let paths = |blob: &[u8]| {
        let mut paths: HashMap<String, (String, Vec<u8>)> = HashMap::new();
        let mut put =
            |path: String, kind: &str, body: &[u8]| paths.insert(format!("/v2/x/{path}"), (kind.into(), body.into()));
        put("manifests/latest".into(), "application/vnd.oci.image.index.v1+json", &list);
        put(format!("manifests/{}", Digest::of(&good)), kind_of, &good);
        put(format!("blobs/{}", Digest::of(&config)), "application/octet-stream", &config);
        put(format!("blobs/{}", Digest::of(&gz)), "application/octet-stream", blob);
        put(format!("blobs/{}", Digest::of(&zst)), "application/octet-stream", &zst);
        put(format!("blobs/{}", Digest::of(&three)), "application/octet-stream", &three);
        paths
    };
    let pull_from = |host: &str, progress: &dyn Progress| {
        let reference = format!("{host}/x");
        pull(
            &scratch.store,
            &PullOptions { reference: &reference, platform: None, access: &Access::with_tls_verify(Some(false)) },
            progress,
        )
    };
    let error = pull_from(&registry(paths(&lie)), &Silent).unwrap_err();
    assert_eq!(kind(&error), Kind::BadData, "{error:#}");
    assert!(format!("{error:#}").contains("came with other content"), "{error:#}");
    assert!(list_is_empty(&scratch.store) && !scratch.store.has_blob(&Digest::of(&gz), None));

    let host = registry(paths(&gz));
    let states = States::default();
    let image = pull_from(&host, &states).unwrap();
    assert!(states.0.lock().unwrap().contains(&LayerState::Done));
    assert_eq!(
        (image.list.as_ref(), image.names.as_slice()),
        (Some(&Digest::of(&list)), &[format!("{host}/x:latest")][..])
    );
    assert_eq!(image.size(&scratch.store), 100_002);
    for layer in &image.layers {
        assert!(scratch.store.has_layer(&layer.diff_id) && scratch.store.has_blob(&layer.digest, Some(layer.size)));
    }
    let reference = format!("{host}/x");
    let access = Access::with_tls_verify(Some(false));
    let options = PullOptions { reference: &reference, platform: None, access: &access };
    assert!(image.has_digest(&remote_digest(&options).unwrap()));
    let again = States::default();
    pull_from(&host, &again).unwrap();
    assert!(!again.0.lock().unwrap().contains(&LayerState::Downloading));
    let by_digest = format!("{host}/x@{}", Digest::of(b"something else"));
    let options = PullOptions { reference: &by_digest, ..options };
    assert_eq!(kind(&pull(&scratch.store, &options, &Silent).unwrap_err()), Kind::NotFound);
}

fn list_is_empty(store: &Store) -> bool {
    list(store).unwrap().is_empty()
}
