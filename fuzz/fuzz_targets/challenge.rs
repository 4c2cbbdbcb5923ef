//! WWW-Authenticate, as a registry may send it: never a panic, and nothing that could break out of a request.
#![no_main]

use boxlib::registry::challenge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // No bound on time is tested, but a header that takes long shows.
    assert!(challenge::parse(text).len() <= text.len() + 1);
});
