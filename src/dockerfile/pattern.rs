//! Patterns in `${name#pattern}` and its kin: `*` is anything, `?` one character, neither a line's end.
//!
//! POSIX shell patterns without brackets, as moby/buildkit `shell/lex.go` has them.

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece {
    Char(char),
    One,
    Any,
}

impl Pattern {
    /// Parse; what is wrong with it if it is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' => Piece::Any,
                '?' => Piece::One,
                '\\' => match chars.next() {
                    // `}` and `/` are escaped for the sake of `${…}`.
                    Some(c @ ('}' | '/' | '*' | '?' | '\\')) => Piece::Char(c),
                    Some(c) => return Err(format!("`\\{c}` escapes nothing in a pattern")),
                    None => return Err("a backslash ends the pattern".to_owned()),
                },
                c => Piece::Char(c),
            });
        }
        Ok(Self(pieces))
    }

    /// How many characters of the beginning of `text` it takes: the most or the fewest.
    fn taken(&self, text: &[char], most: bool) -> Option<usize> {
        // Whether the pieces so far fit the first `n` characters.
        let mut fits = vec![false; text.len() + 1];
        fits[0] = true;
        for piece in &self.0 {
            let mut next = vec![false; text.len() + 1];
            for at in 0..=text.len() {
                let before = at.checked_sub(1);
                next[at] = match piece {
                    Piece::Char(c) => before.is_some_and(|before| fits[before] && text[before] == *c),
                    Piece::One => before.is_some_and(|before| fits[before] && text[before] != '\n'),
                    Piece::Any => fits[at] || before.is_some_and(|before| next[before] && text[before] != '\n'),
                };
            }
            fits = next;
        }
        if most { fits.iter().rposition(|fit| *fit) } else { fits.iter().position(|fit| *fit) }
    }

    /// `text` without what fits at its beginning: the most or the least.
    pub(super) fn trim_start(&self, text: &str, most: bool) -> String {
        let chars: Vec<char> = text.chars().collect();
        chars[self.taken(&chars, most).unwrap_or(0)..].iter().collect()
    }

    /// `text` without what fits at its end: the most or the least.
    pub(super) fn trim_end(&self, text: &str, most: bool) -> String {
        let reversed = Self(self.0.iter().rev().copied().collect());
        let chars: Vec<char> = text.chars().rev().collect();
        chars[reversed.taken(&chars, most).unwrap_or(0)..].iter().rev().collect()
    }

    /// `text` with what fits replaced, the most from where it first fits: once, or everywhere.
    pub(super) fn replace(&self, text: &str, replacement: &str, everywhere: bool) -> String {
        let chars: Vec<char> = text.chars().collect();
        let (mut out, mut at, mut after_match) = (String::new(), 0, false);
        while at <= chars.len() {
            let taken = self.taken(&chars[at..], true);
            match taken {
                // An empty fit right behind another does not count.
                Some(taken) if taken > 0 || !after_match => {
                    out.push_str(replacement);
                    at += taken;
                    after_match = taken > 0;
                    if !everywhere {
                        break;
                    }
                    if taken == 0 {
                        out.extend(chars.get(at));
                        at += 1;
                    }
                }
                _ => {
                    out.extend(chars.get(at));
                    at += 1;
                    after_match = false;
                }
            }
        }
        out.extend(chars.iter().skip(at));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_ends_and_middles() {
        let p = |text| Pattern::parse(text).unwrap();
        assert_eq!(p("*/").trim_start("a/b/c", false), "b/c");
        assert_eq!(p("*/").trim_start("a/b/c", true), "c");
        assert_eq!(p("/*").trim_end("a/b/c", false), "a/b");
        assert_eq!(p("/*").trim_end("a/b/c", true), "a");
        assert_eq!(p("x").trim_start("abc", true), "abc");
        assert_eq!(p("?").trim_start("äbc", true), "bc");
        assert_eq!(p("*").trim_start("a\nb", true), "\nb");
        assert_eq!(p(r"\*").trim_start("*a", true), "a");
        assert_eq!(p("b").replace("abcb", "-", false), "a-cb");
        assert_eq!(p("b").replace("abcb", "-", true), "a-c-");
        assert_eq!(p("b*").replace("abcb", "-", false), "a-");
        assert_eq!(p("*").replace("abc", "-", true), "-");
        assert_eq!(p("").replace("abc", "-", true), "-a-b-c-");
        assert_eq!(p("").replace("abc", "-", false), "-abc");
        assert!(Pattern::parse(r"\a").is_err() && Pattern::parse("\\").is_err());
    }
}
