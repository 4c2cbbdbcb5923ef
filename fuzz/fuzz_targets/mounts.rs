//! `-v`, `--mount`, `--tmpfs` and the options of volumes from text: a value, or an error that says what is wrong; what
//! is kept of a value reads back as the same.
#![no_main]

use boxlib::container::mounts::{Mount, parse_mount, parse_tmpfs, parse_volume};
use boxlib::volume::Driver;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for parsed in [parse_volume(text), parse_mount(text), parse_tmpfs(text)] {
        match parsed {
            Ok(mount) => {
                assert!(mount.target.is_absolute(), "{mount:?}");
                let kept = serde_json::to_string(&mount).unwrap();
                assert_eq!(serde_json::from_str::<Mount>(&kept).unwrap(), mount);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let words = text.split(';').map(|word| word.split_once('=').unwrap_or((word, "")));
    let options = words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    for driver in ["local", "image"] {
        let _ = Driver::parse(driver, &options);
    }
});
