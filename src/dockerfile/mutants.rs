//! The corpus, damaged at random, always in the same way: nothing panics, and what is printed of a Dockerfile parses
//! to the same again.
//!
//! `BOX_TEST_ROUNDS=1000000 cargo test --lib dockerfile::mutants` damages so often.

use super::expand::Lexer;
use super::ignore::Patterns;
use super::{corpus, parse};
use crate::base::env;

/// What is put in: whatever means something somewhere.
const PARTS: [&str; 30] = [
    "\\",
    "\\\n",
    " ",
    "\n",
    "\t",
    "\"",
    "'",
    "`",
    "$",
    "${A:-b}",
    "${A#*",
    "<<EOF",
    "<<-\"E\"",
    "EOF\n",
    "#",
    "# escape=`\n",
    "[",
    "]",
    ", ",
    "--",
    "--from=x ",
    "--mount=type=cache,target=",
    "=",
    "ONBUILD ",
    "FROM a AS b\n",
    "RUN ",
    "COPY ",
    "é",
    "\r\n",
    ":",
];

/// Marsaglia's xorshift: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let at = self.below(text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    }
}

fn damaged(random: &mut Random, texts: &[String]) -> String {
    let mut text = texts[random.below(texts.len())].clone();
    for _ in 0..=random.below(3) {
        let at = random.place(&text);
        match random.below(4) {
            0 => {
                let end = random.place(&text);
                text.replace_range(at.min(end)..at.max(end).min(text.len()), "");
            }
            1 => {
                let other = &texts[random.below(texts.len())];
                text.insert_str(at, &other[random.place(other)..]);
            }
            _ => text.insert_str(at, PARTS[random.below(PARTS.len())]),
        }
    }
    text
}

#[test]
fn what_is_printed_of_damaged_files_says_the_same() {
    let rounds: u32 = env::by_name("BOX_TEST_ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(3000);
    let texts: Vec<String> = corpus::files()
        .iter()
        .filter_map(|path| String::from_utf8(std::fs::read(path).unwrap()).ok())
        // Blanks that are not ASCII end words in some places and not in others, and a printed text has other places.
        .filter(|text| !text.contains(|c: char| c.is_whitespace() && !matches!(c, ' ' | '\t' | '\n' | '\r')))
        .collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for _ in 0..rounds {
        let text = damaged(&mut random, &texts);
        let _ = Patterns::parse(&text);
        for word in text.lines().take(4) {
            let _ = Lexer::new('\\').expand(word, &|name| (name.len() % 2 == 1).then(|| "value".to_owned()));
        }
        let Ok(mut dockerfile) = parse(text.as_bytes(), "Dockerfile") else { continue };
        read += 1;
        dockerfile.empty_continuations.clear();
        let printed = dockerfile.to_string();
        let again =
            parse(printed.as_bytes(), "Dockerfile").unwrap_or_else(|error| panic!("{error:#}:\n{text:?}\n{printed:?}"));
        assert_eq!(corpus::tree(&again), corpus::tree(&dockerfile), "{text:?}\n{printed:?}");
    }
    assert!(read > rounds / 10, "most of them are no Dockerfiles at all");
}
