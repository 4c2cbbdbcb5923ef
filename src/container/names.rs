//! Names of containers: which are allowed, and made-up ones.

use crate::base::error::{Kind, fault};
use anyhow::Result;

/// Whether a name is one: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 128 characters.
pub fn is_valid(name: &str) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    name.len() <= 128 && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && name.bytes().all(rest)
}

/// Refuse what is no name.
pub fn check(name: &str) -> Result<()> {
    if is_valid(name) {
        return Ok(());
    }
    let text = format!(
        "`{}` cannot be a container's name: use letters, digits and `_.-`, the first a letter or digit",
        name.escape_debug()
    );
    Err(fault(Kind::Usage, text))
}

const ADJECTIVES: [&str; 48] = [
    "able", "amber", "bold", "brave", "bright", "brisk", "calm", "clever", "cosy", "crisp", "daring", "deft", "eager",
    "early", "fair", "fleet", "fond", "frank", "gentle", "glad", "golden", "grand", "happy", "hardy", "honest",
    "jolly", "keen", "kind", "lively", "lucid", "merry", "mild", "neat", "nimble", "noble", "patient", "plucky",
    "proud", "quick", "quiet", "ready", "serene", "silver", "steady", "sunny", "swift", "tidy", "witty",
];

const SURNAMES: [&str; 48] = [
    "archimedes",
    "babbage",
    "banach",
    "bardeen",
    "bell",
    "bohr",
    "boole",
    "bose",
    "cantor",
    "carson",
    "cerf",
    "curie",
    "darwin",
    "dijkstra",
    "einstein",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goodall",
    "hamilton",
    "hertz",
    "hopper",
    "hypatia",
    "kepler",
    "knuth",
    "kovalevskaya",
    "lamarr",
    "leibniz",
    "lovelace",
    "maxwell",
    "meitner",
    "newton",
    "noether",
    "pascal",
    "pasteur",
    "planck",
    "ramanujan",
    "ritchie",
    "shannon",
    "turing",
    "volta",
];

/// `adjective_surname` by random bits; with a number on later tries.
pub fn made_up(random: &str, attempt: u32) -> String {
    let byte = |at: usize| usize::from_str_radix(random.get(at..at + 4).unwrap_or("0"), 16).unwrap_or(0);
    let name = format!("{}_{}", ADJECTIVES[byte(0) % ADJECTIVES.len()], SURNAMES[byte(4) % SURNAMES.len()]);
    if attempt == 0 { name } else { format!("{name}{}", byte(8) % 1000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["web", "a", "A-1_b.c", "0x"] {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", "-a", ".", "..", "a/b", "a b", "a\nb", "é", &"a".repeat(129)] {
            assert!(!is_valid(name), "{name:?}");
        }
        assert!(is_valid(&made_up("ffffffffffffffff", 1)));
    }
}
