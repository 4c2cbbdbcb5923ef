//! Variables in words: `$name`, `${name}` and its forms, quotes, escapes.
//!
//! The rules of moby/buildkit `shell/lex.go`: `${name:-word}`, `:+`, `:?` and without the colon, `#`, `##`, `%`, `%%`,
//! `/pattern/text`, `//pattern/text`.

use super::mistake::Mistake;
use super::pattern::Pattern;
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// `${…}` inside `${…}`: more than anybody writes.
const MAX_DEPTH: usize = 64;

/// Where values come from: the value of a name, if it has one.
pub type Values<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// How words are read.
#[derive(Debug, Clone, Copy)]
pub struct Lexer {
    /// What takes the meaning of the next character.
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// The escape character stays in the result.
    pub raw_escapes: bool,
    /// Quotes are characters as any.
    pub plain_quotes: bool,
    /// Names without a value stay as they are written.
    pub keep_unset: bool,
}

/// A word, expanded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expansion {
    /// The result.
    pub text: String,
    /// The same cut at blanks that are not quoted.
    pub words: Vec<String>,
    /// The names that were used and have a value.
    pub used: BTreeSet<String>,
    /// The names that were used and have none.
    pub undefined: BTreeSet<String>,
}

impl Lexer {
    /// As instructions are read with this escape character.
    pub fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, plain_quotes: false, keep_unset: false }
    }

    /// As heredocs are read: quotes mean nothing, the escape character is always a backslash.
    pub fn for_heredocs() -> Self {
        Self { plain_quotes: true, ..Self::new('\\') }
    }

    /// Expand a word.
    pub fn expand(&self, word: &str, values: &Values) -> Result<Expansion, Mistake> {
        let mut reader = Reader {
            lexer: *self,
            chars: word.chars().peekable(),
            values,
            raw_escapes: self.raw_escapes,
            depth: 0,
            out: Expansion::default(),
        };
        let (text, words) = reader.until(None, self.raw_escapes).map_err(|mut mistake| {
            mistake.text = format!("`{word}`: {}", mistake.text);
            mistake
        })?;
        Ok(Expansion { text, words, ..reader.out })
    }
}

struct Reader<'a> {
    lexer: Lexer,
    chars: Peekable<Chars<'a>>,
    values: &'a Values<'a>,
    raw_escapes: bool,
    depth: usize,
    out: Expansion,
}

/// Words as they come.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    fn cut(&mut self) {
        if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    fn push(&mut self, c: char) {
        if c.is_whitespace() { self.cut() } else { self.word.push(c) }
    }
}

impl Reader<'_> {
    /// Up to the end, or to a character, which is taken.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>), Mistake> {
        let before = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let result = self.until_inner(stop);
        self.raw_escapes = before;
        result
    }

    fn until_inner(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), Mistake> {
        let (mut text, mut words) = (String::new(), Words::default());
        while let Some(&c) = self.chars.peek() {
            if stop == Some(c) {
                self.chars.next();
                words.cut();
                return Ok((text, words.done));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.push(c));
                    text.push_str(&value);
                }
                '\'' | '"' if !self.lexer.plain_quotes => {
                    let part = if c == '"' { self.double_quotes()? } else { self.single_quotes()? };
                    words.word.push_str(&part);
                    text.push_str(&part);
                }
                _ => {
                    self.chars.next();
                    if c != self.lexer.escape {
                        words.push(c);
                        text.push(c);
                        continue;
                    }
                    if self.raw_escapes {
                        words.word.push(c);
                        text.push(c);
                    }
                    // At the end it escapes nothing.
                    if let Some(escaped) = self.chars.next() {
                        words.word.push(escaped);
                        text.push(escaped);
                    }
                }
            }
        }
        match stop {
            Some(stop) => Err(Mistake::new(format!("`{stop}` is missing at the end"))),
            None => {
                words.cut();
                Ok((text, words.done))
            }
        }
    }

    /// `'…'`: nothing in it has a meaning.
    fn single_quotes(&mut self) -> Result<String, Mistake> {
        let mut text = String::new();
        let quote = |text: &mut String| text.extend(self.lexer.raw_quotes.then_some('\''));
        self.chars.next();
        quote(&mut text);
        for c in self.chars.by_ref() {
            if c == '\'' {
                quote(&mut text);
                return Ok(text);
            }
            text.push(c);
        }
        Err(Mistake::new("a single quote is not closed"))
    }

    /// `"…"`: `$` has its meaning, and the escape character before `"`, `$` and itself.
    fn double_quotes(&mut self) -> Result<String, Mistake> {
        let mut text = String::new();
        self.chars.next();
        text.extend(self.lexer.raw_quotes.then_some('"'));
        while let Some(&c) = self.chars.peek() {
            if c == '$' {
                text.push_str(&self.dollar()?);
                continue;
            }
            self.chars.next();
            if c == '"' {
                text.extend(self.lexer.raw_quotes.then_some('"'));
                return Ok(text);
            }
            if c != self.lexer.escape {
                text.push(c);
                continue;
            }
            if self.raw_escapes {
                text.push(c);
            }
            match self.chars.peek() {
                None => {}
                Some(&next) if next == '"' || next == '$' || next == self.lexer.escape => {
                    self.chars.next();
                    text.push(next);
                }
                Some(_) => text.push(c),
            }
        }
        Err(Mistake::new("a double quote is not closed"))
    }

    /// `$…`.
    fn dollar(&mut self) -> Result<String, Mistake> {
        self.chars.next();
        if self.chars.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.value(&name) {
                None if self.lexer.keep_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.chars.next();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Mistake::new(format!("`${{` stands in itself more than {MAX_DEPTH} times")));
        }
        let result = self.braces();
        self.depth -= 1;
        result
    }

    /// What follows `${`.
    fn braces(&mut self) -> Result<String, Mistake> {
        match self.chars.peek() {
            None => return Err(Mistake::new("`}` is missing at the end")),
            Some('{' | '}' | ':') => return Err(Mistake::new("a name is expected after `${`")),
            Some(_) => {}
        }
        let name = self.name();
        let Some(first) = self.chars.next() else { return Err(Mistake::new("`}` is missing at the end")) };
        match first {
            '}' => Ok(match self.value(&name) {
                None if self.lexer.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            ':' => match self.chars.next() {
                Some(form) => self.form(&name, form, true),
                None => Err(Mistake::new("`}` is missing at the end")),
            },
            '/' => self.replacement(&name),
            form => self.form(&name, form, false),
        }
    }

    /// `${name-word}` and the like; with `colon`, an empty value is as none.
    fn form(&mut self, name: &str, form: char, colon: bool) -> Result<String, Mistake> {
        let (word, _) = match form {
            '+' | '-' | '?' => self.until(Some('}'), false)?,
            '#' | '%' => self.until(Some('}'), true)?,
            _ => return Err(unknown(name, form, colon)),
        };
        let value = self.value(name);
        if value.is_none() && self.lexer.keep_unset {
            return Ok(format!("${{{name}{}{form}{word}}}", if colon { ":" } else { "" }));
        }
        let empty = colon && value.as_deref() == Some("");
        let missing = value.is_none() || empty;
        Ok(match form {
            '-' if missing => word,
            '+' if missing => String::new(),
            '+' => word,
            '?' if missing => {
                let told = if word.is_empty() { String::new() } else { format!(": {word}") };
                return Err(Mistake::new(format!("`{name}` {}{told}", if empty { "is empty" } else { "is not set" })));
            }
            '#' | '%' => {
                let (most, word) = word.strip_prefix(form).map_or((false, word.as_str()), |word| (true, word));
                let pattern = Pattern::parse(word).map_err(Mistake::new)?;
                let value = value.unwrap_or_default();
                if form == '#' { pattern.trim_start(&value, most) } else { pattern.trim_end(&value, most) }
            }
            _ => value.unwrap_or_default(),
        })
    }

    /// `${name/pattern/text}`, or `//` for everywhere.
    fn replacement(&mut self, name: &str) -> Result<String, Mistake> {
        let everywhere = self.chars.next_if_eq(&'/').is_some();
        let (pattern, _) = self.until(Some('/'), true)?;
        let (text, _) = self.until(Some('}'), true)?;
        match self.value(name) {
            None if self.lexer.keep_unset => Ok(format!("${{{name}/{pattern}/{text}}}")),
            value => {
                let pattern = Pattern::parse(&pattern).map_err(Mistake::new)?;
                Ok(pattern.replace(&value.unwrap_or_default(), &text, everywhere))
            }
        }
    }

    /// A name: letters, digits and `_`; digits alone; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek() {
            Some(c) if c.is_numeric() => {
                while let Some(digit) = self.chars.next_if(|c| c.is_numeric()) {
                    name.push(digit);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.chars.next()),
            _ => {
                while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
            }
        }
        name
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.values)(name);
        let names = if value.is_some() { &mut self.out.used } else { &mut self.out.undefined };
        names.insert(name.to_owned());
        value
    }
}

fn unknown(name: &str, form: char, colon: bool) -> Mistake {
    let colon = if colon { ":" } else { "" };
    let text = format!("`${{{name}{colon}{form}` is no form of substitution");
    Mistake::new(text).hint("there are ${x:-y} ${x:+y} ${x:?y} ${x#y} ${x##y} ${x%y} ${x%%y} ${x/y/z} ${x//y/z}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Option<String> {
        let value = match name {
            "a" => "A",
            "empty" => "",
            "path" => "/usr/lib/x.tar.gz",
            "two" => "one  two",
            "pattern" => "*b",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn forms_of_substitution() {
        for (word, expected) in [
            ("$a ${a} $ab ${a}b", "A A  Ab"),
            ("$ $. \"$\"", "$ $. $"),
            ("${a:-x} ${a-x} ${no:-x} ${no-x} ${empty:-x} ${empty-x}", "A A x x x "),
            ("${a:+x} ${a+x} ${no:+x} ${no+x} ${empty:+x} ${empty+x}", "x x    x"),
            ("${a:?x} ${empty?x}", "A "),
            ("${path#*/} ${path##*/} ${path%.*} ${path%%.*}", "usr/lib/x.tar.gz x.tar.gz /usr/lib/x.tar /usr/lib/x"),
            ("${path/tar/zip} ${path//\\//_} ${path/nope/x}", "/usr/lib/x.zip.gz _usr_lib_x.tar.gz /usr/lib/x.tar.gz"),
            ("${no:-${a:-x}y} ${no:-\"q r\"}", "Ay q r"),
            ("${no:-a\\}b}", "a}b"),
            ("'$a' \"$a\" \\$a", "$a A $a"),
            ("\"a\\\"b\" \"\\x\" 'a\\'", "a\"b \\x a\\"),
            ("a\\", "a"),
            ("$1 ${1} $12x", "  x"),
            ("${path#$pattern}", "/x.tar.gz"),
        ] {
            assert_eq!(Lexer::new('\\').expand(word, &values).unwrap().text, expected, "{word}");
        }
        assert_eq!(Lexer::new('`').expand("a`$a \\$a", &values).unwrap().text, "a$a \\A");
        assert_eq!(Lexer::for_heredocs().expand("'$a' \"$a\" \\$a", &values).unwrap().text, "'A' \"A\" $a");
    }

    #[test]
    fn words_are_cut_after_expansion() {
        let words = |word: &str| Lexer::new('\\').expand(word, &values).unwrap().words;
        assert_eq!(words("$two \"$two\" 'a b' a\\ b"), ["one", "two", "one  two", "a b", "a b"]);
        assert_eq!(words("\"\" $no"), [""; 0]);
    }

    #[test]
    fn names_used_and_undefined() {
        let found = Lexer::new('\\').expand("$a ${no:-$other} ${a:+$x} '$y'", &values).unwrap();
        assert_eq!(found.used.into_iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(found.undefined.into_iter().collect::<Vec<_>>(), ["no", "other", "x"]);
    }

    #[test]
    fn what_is_wrong() {
        for (word, told) in [
            ("${", "`}` is missing"),
            ("${a", "`}` is missing"),
            ("${a:", "`}` is missing"),
            ("${a:-x", "`}` is missing"),
            ("${}", "a name is expected"),
            ("${:x}", "a name is expected"),
            ("${a:x}", "no form"),
            ("${a^x}", "no form"),
            ("${no:?tell me}", "`no` is not set: tell me"),
            ("${empty:?}", "`empty` is empty"),
            ("${path/x}", "`/` is missing"),
            ("'a", "single quote"),
            ("\"a", "double quote"),
            ("${path#\\x}", "escapes nothing"),
        ] {
            let text = Lexer::new('\\').expand(word, &values).unwrap_err().text;
            assert!(text.contains(told), "{word}: {text}");
        }
        let deep = format!("{}x{}", "${no:-".repeat(10_000), "}".repeat(10_000));
        assert!(Lexer::new('\\').expand(&deep, &values).is_err());
    }

    #[test]
    fn names_without_a_value_can_stay() {
        let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
        for word in ["$no", "${no}", "${no:-x}", "${no#x}", "${no/x/y}"] {
            assert_eq!(lexer.expand(word, &values).unwrap().text, word);
        }
    }
}
