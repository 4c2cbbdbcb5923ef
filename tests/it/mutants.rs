//! Parsers of options and templates, and of what registries say, against words that are nearly right: a value, or why not; never
//! a panic, and never a long time. `BOX_TEST_SECONDS=300` goes on for so long; `fuzz/` has the same for a fuzzer.

use boxlib::cli::template::Format;
use boxlib::oci::manifest::Document;
use boxlib::oci::reference::Reference;
use boxlib::registry::challenge;
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

#[test]
fn registries_nearly_right() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let row = |media_type: &str| format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":7}}"#);
    let kind = "application/vnd.oci.image";
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}.manifest.v1+json","config":{},"layers":[{}],"annotations":{{"a":"b"}}}}"#,
        row(&format!("{kind}.config.v1+json")),
        row(&format!("{kind}.layer.v1.tar+gzip")),
    );
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}.index.v1+json","manifests":[{{"platform":{{"os":"linux","architecture":"arm","variant":"v7"}},{}]}}"#,
        row(&format!("{kind}.manifest.v1+json")).trim_start_matches('{'),
    );
    let documents = [manifest.as_str(), &index];
    let pinned = format!("quay.io/team/app:1@{digest}");
    let references = ["alpine", "localhost:5000/a/b:1", &pinned, "[::1]:443/x_y--z.w", "a.b/c"];
    let challenges = [
        r#"Bearer realm="https://a.b/token",service="a.b",scope="repository:x:pull,push""#,
        r#"Basic realm="a\"b", Negotiate, Digest qop=auth"#,
    ];
    for seed in documents {
        Document::parse(seed.as_bytes(), None).unwrap();
    }
    for seed in references {
        Reference::parse(seed).unwrap();
    }
    rounds(3000, |random| {
        let _ = Document::parse(random.mutate(&documents).as_bytes(), None);
        let text = random.mutate(&challenges);
        assert!(challenge::parse(&text).len() <= text.len() + 1, "{text:?}");
        let text = random.mutate(&references);
        if let Ok(reference) = Reference::parse(&text) {
            let again = Reference::parse(&reference.stored_name()).map(|again| again.stored_name());
            assert_eq!(again.ok(), Some(reference.stored_name()), "{text:?}");
        }
    });
}
