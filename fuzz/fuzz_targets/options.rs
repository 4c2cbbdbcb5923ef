//! Options from text: a value, or what is wrong; never a panic. The first byte chooses the parser.
#![no_main]

use boxlib::cli::template::Format;
use libfuzzer_sys::fuzz_target;

#[path = "../parsers.rs"]
mod parsers;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match parsers::PARSERS.get(usize::from(*choice)) {
        Some((name, _, parse)) => {
            if let Err(error) = parse(text) {
                assert!(!error.is_empty(), "{name}: {error:?}");
            }
        }
        None => {
            let object = serde_json::json!({ "A": ["b"], "C": { "d.e": 1 }, "F": null });
            drop(Format::parse(text).and_then(|format| format.render_one(&object)));
        }
    }
});
