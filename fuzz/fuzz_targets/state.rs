//! What box itself has written, damaged: a record, a list of images. Each is read or refused; one that is damaged does
//! not keep the others from being listed.
#![no_main]

use boxlib::base::dirs::Dirs;
use boxlib::container::config::Config;
use boxlib::store::Store;
use boxlib::volume;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static DIRS: LazyLock<Dirs> = LazyLock::new(|| {
    let data = std::env::temp_dir().join(format!("box-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&data).unwrap();
    let dirs = Dirs { run: data.clone(), data };
    Store::open(&dirs).unwrap();
    for name in ["good", "bad"] {
        let _ = volume::create(&dirs, volume::New { name: Some(name.into()), ..Default::default() });
    }
    dirs
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = serde_json::from_slice::<Config>(bytes) {
        let kept = serde_json::to_vec(&config).unwrap();
        assert_eq!(serde_json::to_vec(&serde_json::from_slice::<Config>(&kept).unwrap()).unwrap(), kept);
    }
    std::fs::write(DIRS.oci().join("index.json"), bytes).unwrap();
    let store = Store::open(&DIRS).unwrap();
    let _ = store.entries();
    let _ = boxlib::image::list(&store);
    std::fs::write(DIRS.volumes().join("bad/volume.json"), bytes).unwrap();
    assert!(volume::all(&DIRS).iter().any(|volume| volume.record.name == "good"));
});
