//! Patterns of `.dockerignore` and a path: matched as the regular expression that moby/patternmatcher makes of them.
#![no_main]

use boxlib::dockerfile::ignore::{Marks, Patterns};
use libfuzzer_sys::fuzz_target;

/// The expression for a pattern, if it is one whose meaning nobody disputes.
fn expression(pattern: &str) -> Option<regex::Regex> {
    let mut text = "^".to_owned();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                text.push_str(if chars.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            c => text.push_str(&regex::escape(&c.to_string())),
        }
    }
    text.push('$');
    regex::RegexBuilder::new(&text).dot_matches_new_line(true).build().ok()
}

fuzz_target!(|input: (Vec<String>, Vec<String>)| {
    let (lines, parts) = input;
    let _ = Patterns::parse(&lines.join("\n"));
    // Clean words of an alphabet in which everything happens often.
    let word = |text: &String, letters: &str| -> String {
        let letters: Vec<char> = letters.chars().collect();
        text.bytes().take(8).map(|byte| letters[byte as usize % letters.len()]).collect()
    };
    let path = parts.iter().take(4).map(|part| word(part, "ab")).filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let patterns: Vec<String> = lines.iter().take(6).map(|line| word(line, "ab*?/!")).collect();
    let clean = |line: &str| {
        let body = line.strip_prefix('!').unwrap_or(line);
        !body.is_empty() && !body.contains('!') && !body.starts_with('/') && !body.ends_with('/') && !body.contains("//")
            // `**name` is the end of a name there, and an expression only with more wildcards.
            && !(body.starts_with("**") && !body.starts_with("**/"))
    };
    if path.is_empty() || !patterns.iter().all(|line| clean(line)) {
        return;
    }
    let compiled = Patterns::of(patterns.iter().map(String::as_str)).unwrap();
    let mut expected = false;
    for line in &patterns {
        let (keeps, body) = line.strip_prefix('!').map_or((false, line.as_str()), |body| (true, body));
        let expression = expression(body).unwrap();
        if (1..=path.len()).any(|count| expression.is_match(&path[..count].join("/"))) {
            expected = !keeps;
        }
    }
    assert_eq!(compiled.ignores(&path.join("/")), expected, "{patterns:?} {path:?}");
    // What may hold nothing that is kept holds nothing that is kept.
    let mut marks = Marks::default();
    for count in 1..path.len() {
        let folder = path[..count].join("/");
        marks = compiled.below(&marks, &folder);
        if !compiled.may_keep_below(&marks, &folder) {
            assert!(expected, "{patterns:?} {path:?} {folder}");
        }
    }
});
