//! A layer from bytes, unpacked into a folder: an error, or files below it. The folder beside it is never touched.
#![no_main]

use boxlib::store::unpack::{Limits, unpack};
use libfuzzer_sys::fuzz_target;
use std::os::fd::AsFd;

fuzz_target!(|bytes: &[u8]| {
    let base = std::env::temp_dir().join(format!("box-fuzz-tar-{}", std::process::id()));
    let _ = boxlib::base::fs::remove_tree(&base);
    std::fs::create_dir_all(base.join("root")).unwrap();
    std::fs::write(base.join("canary"), "untouched").unwrap();
    let folder = std::fs::File::open(base.join("root")).unwrap();
    let limits = Limits::for_folder(folder.as_fd()).unwrap();
    if let Err(error) = unpack(&mut &bytes[..], folder.as_fd(), &limits) {
        assert!(!error.to_string().is_empty());
    }
    assert_eq!(std::fs::read(base.join("canary")).unwrap(), b"untouched");
    assert_eq!(std::fs::read_dir(&base).unwrap().count(), 2);
});
