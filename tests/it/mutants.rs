//! Parsers of options and templates against words that are nearly right: a value, or why not; never
//! a panic, and never a long time. `BOX_TEST_SECONDS=300` goes on for so long; `fuzz/` has the same for a fuzzer.

use boxlib::cli::template::Format;
use std::time::{Duration, Instant};

#[path = "../../fuzz/parsers.rs"]
mod parsers;

/// xorshift64*: the same words on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    /// One of these with a few characters changed, gone, doubled, or come from another.
    fn mutate(&mut self, seeds: &[&str]) -> String {
        let (text, other) = (seeds[self.below(seeds.len())], seeds[self.below(seeds.len())]);
        const WORDS: [&str; 20] = [
            ":",
            "=",
            ",",
            "/",
            "-",
            ".",
            "",
            "0",
            "-1",
            "18446744073709551616",
            "\0",
            "\n",
            "é",
            "🦀",
            "[",
            "\"",
            "{{",
            "}}",
            "..",
            " ",
        ];
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(4) {
            let at = self.below(chars.len() + 1);
            match self.below(5) {
                0 => drop(chars.splice(at..at, WORDS[self.below(WORDS.len())].chars())),
                1 if at < chars.len() => drop(chars.remove(at)),
                2 => chars.truncate(at),
                3 => {
                    let from = self.below(other.chars().count() + 1);
                    chars.splice(at..at, other.chars().skip(from).collect::<Vec<_>>());
                }
                _ => chars.extend_from_within(at..),
            }
            chars.truncate(4096);
        }
        chars.into_iter().collect()
    }
}

/// Rounds until the time is up; without the variable a fixed number of them.
fn rounds(each: usize, mut round: impl FnMut(&mut Random)) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let seconds = std::env::var("BOX_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut count = 0;
    while until.map_or(count < each, |until| Instant::now() < until) {
        round(&mut random);
        count += 1;
    }
}

#[test]
fn options_nearly_right() {
    for (name, seeds, parse) in parsers::PARSERS {
        for seed in seeds {
            parse(seed).unwrap_or_else(|error| panic!("{name} `{seed}`: {error}"));
        }
    }
    rounds(300, |random| {
        for (name, seeds, parse) in parsers::PARSERS {
            let text = random.mutate(seeds);
            if let Err(error) = parse(&text) {
                assert!(!error.is_empty(), "{name} {text:?}: {error:?}");
            }
        }
    });
}

#[test]
fn templates_nearly_right() {
    let object = serde_json::json!({
        "Names": ["a", "b"], "ID": "0123", "Image": "t", "Labels": { "a.b": "c" }, "State": null,
        "Ports": [{ "HostPort": 1 }, { "HostPort": 2 }, { "HostPort": 3 }],
    });
    rounds(2000, |random| {
        let text = random.mutate(&parsers::TEMPLATES);
        if let Err(error) = Format::parse(&text).and_then(|format| format.render_one(&object)) {
            assert!(!format!("{error:#}").is_empty(), "{text:?}");
        }
    });
}
