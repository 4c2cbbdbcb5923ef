//! Layers: whatever the archive says, packed or not, nothing is made outside its folder. To be run by root or in
//! `box unshare`.
#![no_main]

use boxlib::base::fs::remove_tree;
use boxlib::image::Inflating;
use boxlib::store::unpack::{Limits, unpack};
use libfuzzer_sys::fuzz_target;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::OnceLock;

fn home() -> &'static PathBuf {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let home = std::env::temp_dir().join(format!("box-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(home.join("beside")).expect("a folder");
        home
    })
}

fuzz_target!(|bytes: &[u8]| {
    let root = home().join("root");
    std::fs::create_dir(&root).expect("a folder");
    let folder = std::fs::File::open(&root).expect("the folder");
    let limits = Limits { bytes: 1 << 22, entries: 1000 };
    let _ = unpack(&mut Inflating::new(bytes), folder.as_fd(), &limits);
    remove_tree(&root).expect("all of it can be removed");
    let left: Vec<_> = std::fs::read_dir(home()).expect("the home").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["beside"]);
    assert_eq!(std::fs::read_dir(home().join("beside")).expect("beside").count(), 0);
});
