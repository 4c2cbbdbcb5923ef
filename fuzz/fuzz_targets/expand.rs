//! Words with variables: expanded or refused, never a panic; what has no meaning stays as it is.
#![no_main]

use boxlib::dockerfile::chmod::Chmod;
use boxlib::dockerfile::expand::Lexer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, String, bool)| {
    let (word, value, backtick) = input;
    let lexer = Lexer::new(if backtick { '`' } else { '\\' });
    let values = |name: &str| (name.len() % 2 == 1).then(|| value.clone());
    for lexer in [lexer, Lexer::for_heredocs(), Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..lexer }] {
        if let Ok(found) = lexer.expand(&word, &values) {
            assert!(found.used.iter().all(|name| values(name).is_some()));
            assert!(found.undefined.iter().all(|name| values(name).is_none()));
            assert!(found.words.iter().all(|word| !word.is_empty()));
        }
    }
    if !word.contains(['$', '\'', '"', '\\', '`']) {
        let found = lexer.expand(&word, &values).unwrap();
        assert_eq!(found.text, word);
        assert_eq!(found.words, word.split_whitespace().collect::<Vec<_>>());
    }
    if let Ok(chmod) = Chmod::parse(&word) {
        for mode in [0, 0o644, 0o7777] {
            assert!(chmod.apply(mode, true) <= 0o7777);
        }
    }
});
