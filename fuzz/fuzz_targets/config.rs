//! config.json from bytes: read, or refused with a reason; never a panic, and nothing that is read is lost.
#![no_main]

use boxlib::oci::bundle;
use libfuzzer_sys::fuzz_target;
use oci_spec::runtime::Spec;

fuzz_target!(|bytes: &[u8]| {
    let _ = bundle::parse_process(bytes);
    let _ = bundle::parse_resources(bytes);
    match bundle::parse(bytes) {
        Ok(read) => {
            let again: Spec = serde_json::from_value(serde_json::to_value(&read.value).unwrap()).unwrap();
            assert_eq!(again, read.value);
            if let Some(seccomp) = read.value.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) {
                let _ = boxlib::runtime::seccomp::compile(seccomp);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
