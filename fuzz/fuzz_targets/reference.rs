//! Names of images: refused with a reason, or read, and then written and read again the same.
#![no_main]

use boxlib::oci::platform::Platform;
use boxlib::oci::reference::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for parse in [Reference::parse, |text: &str| Reference::parse_with_default(text, "localhost")] {
        match parse(text) {
            Ok(name) => {
                let again = Reference::parse(&name.to_string()).expect("what is written is read");
                // What has no tag is written with `latest`.
                assert_eq!(again.to_string(), name.to_string());
                let stored = Reference::parse(&name.stored_name()).expect("what is stored is read");
                assert_eq!(stored.repository(), name.repository());
                assert!(!name.repository().contains("..") && !name.stored_name().contains(char::is_whitespace));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let _ = Reference::is_short(text);
    if let Ok(platform) = Platform::parse(text) {
        assert_eq!(Platform::parse(&platform.to_string()).expect("a platform"), platform);
    }
});
