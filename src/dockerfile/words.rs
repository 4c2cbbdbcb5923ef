//! Lines cut into words, each with its place: the flags of an instruction, words with quotes, words between blanks,
//! JSON arrays.
//!
//! The cuts are those of moby/buildkit's `parser/line_parsers.go` and `split_command.go`.

use super::mistake::Mistake;

/// A word and where it begins in its line, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Its first byte's place.
    pub at: usize,
}

/// The blanks between an instruction's words.
pub fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// The words between blanks of what begins at `at` in `line`.
pub fn plain(line: &str, at: usize) -> Vec<Word> {
    let mut words = Vec::new();
    let mut begin = at;
    let rest = line.get(at..).unwrap_or_default();
    for piece in rest.split(is_blank) {
        if !piece.is_empty() {
            words.push(Word { text: piece.to_owned(), at: begin });
        }
        begin += piece.len() + 1;
    }
    words
}

/// The flags (`--name=value`) that stand at `at`, without quotes and escapes, and where what follows begins.
pub fn flags(line: &str, at: usize) -> (Vec<Word>, usize) {
    let mut words = Vec::new();
    let mut at = at;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        at += rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (words, at);
        }
        let (text, length) = flag(rest);
        let begin = at;
        at += length;
        if text == "--" {
            return (words, at);
        }
        words.push(Word { text, at: begin });
    }
}

/// The flag that a text begins with, and how many bytes it takes.
fn flag(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            _ if quote.is_none() && c.is_whitespace() => return (word, at),
            // A backslash, whatever the escape directive says; at the end it counts for nothing.
            '\\' => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            _ => word.push(c),
        }
    }
    (word, text.len())
}

/// The words of what begins at `at`, where quotes and the escape character keep blanks inside a word. Both stay in it.
pub fn quoted(line: &str, at: usize, escape: char) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let rest = line.get(at..).unwrap_or_default();
    let mut chars = rest.char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let current = word.get_or_insert_with(|| Word { text: String::new(), at: at + offset });
        // In single quotes nothing is escaped.
        if c == escape && quote != Some('\'') {
            // At the end it counts for nothing.
            let Some((_, escaped)) = chars.next() else { break };
            current.text.push(c);
            current.text.push(escaped);
            continue;
        }
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        current.text.push(c);
    }
    words.extend(word.filter(|word| !word.text.is_empty()));
    words
}

/// A text as a JSON array of strings. `Ok(None)` if it is none; an error if it is one of other things.
pub fn json(text: &str) -> Result<Option<Vec<String>>, Mistake> {
    if !text.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Ok(None) };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        other => Err(Mistake::new(format!("`{other}` is not a string: a JSON array holds words in double quotes"))),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: Vec<Word>) -> Vec<String> {
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_keep_their_quotes() {
        for (line, expected) in [
            ("a b", vec!["a", "b"]),
            ("a='b c' d", vec!["a='b c'", "d"]),
            (r#"a="b \" c" d"#, vec![r#"a="b \" c""#, "d"]),
            (r"a=b\ c d", vec![r"a=b\ c", "d"]),
            (r"a='b\' c", vec![r"a='b\'", "c"]),
            (r"a=b\", vec!["a=b"]),
            (r#"a="" b"#, vec![r#"a="""#, "b"]),
            ("a=\u{a0}b", vec!["a=", "b"]),
            ("", vec![]),
        ] {
            assert_eq!(texts(quoted(line, 0, '\\')), expected, "{line}");
        }
        assert_eq!(texts(quoted(r"a=b` c \d", 0, '`')), ["a=b` c", r"\d"]);
    }

    #[test]
    fn flags_stand_first() {
        for (line, expected, rest) in [
            ("--a=b c --d", vec!["--a=b"], "c --d"),
            ("--a  --b=c d", vec!["--a", "--b=c"], "d"),
            ("--a='x y' z", vec!["--a=x y"], "z"),
            (r#"--a="x\"y" z"#, vec![r#"--a=x"y"#], "z"),
            (r"--a=x\ y z", vec!["--a=x y"], "z"),
            ("-- --a", vec![], " --a"),
            ("-a b", vec![], "-a b"),
            ("", vec![], ""),
            ("--a", vec!["--a"], ""),
            ("--ä=ö x", vec!["--ä=ö"], "x"),
        ] {
            let (words, at) = flags(line, 0);
            assert_eq!((texts(words), &line[at..]), (expected.iter().map(|s| s.to_string()).collect(), rest), "{line}");
        }
    }

    #[test]
    fn json_is_an_array_of_strings() {
        assert_eq!(json(r#"["a", "b\n"]"#).unwrap().unwrap(), ["a", "b\n"]);
        assert_eq!(json("[]").unwrap().unwrap(), [""; 0]);
        for shell in ["a", "['a']", "[a", r#"["a"] b"#, r#"{"a":1}"#, "[ -f x ]"] {
            assert_eq!(json(shell).unwrap(), None, "{shell}");
        }
        assert!(json(r#"["a", 1]"#).unwrap_err().text.contains("`1`"));
    }
}
