//! A Dockerfile from bytes: refused with a reason, or read; what is printed of it says the same.
#![no_main]

use boxlib::dockerfile::{check, parse, scope::Globals};
use boxlib::oci::platform::Platform;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|bytes: &[u8]| {
    let mut read = match parse(bytes, "Dockerfile") {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let platform = Platform::host();
    let asked = check::Asked {
        globals: Globals::new(&platform, &platform, None, BTreeMap::new()),
        platform,
        target: None,
        ignore: None,
        base: &|_, _| Some(check::Base::default()),
        options: Default::default(),
    };
    let _ = check::check(&read, &asked);
    // Blanks that are not ASCII end words in some places and not in others, and a printed text has other places.
    let odd = |c: char| c.is_whitespace() && !matches!(c, ' ' | '\t' | '\n' | '\r');
    if std::str::from_utf8(bytes).is_ok_and(|text| text.contains(odd)) {
        return;
    }
    let printed = read.to_string();
    let again = parse(printed.as_bytes(), "Dockerfile").unwrap_or_else(|error| panic!("{error:#}:\n{printed}"));
    read.empty_continuations.clear();
    let tree = |dockerfile| serde_json::to_value(dockerfile).unwrap();
    assert_eq!(tree(&again), tree(&read), "\n{printed}");
});
