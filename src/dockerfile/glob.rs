//! Patterns of paths: Go's `filepath.Match`, and with `**` what `.dockerignore` has.
//!
//! `*` and `?` are anything but a slash, `[a-z]` and `[^a-z]` one character of a class, `\` takes the meaning of what
//! follows. A pattern fits a whole path.

use super::mistake::Mistake;

/// A pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Glob(Vec<Piece>);

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// This character.
    Char(char),
    /// `?`: one character, no slash.
    One,
    /// `*`: any characters, no slash.
    Star,
    /// `[…]`: one character, inside these ranges or outside all of them.
    Class { outside: bool, ranges: Vec<(char, char)> },
    /// `**` at the end: anything.
    All,
    /// `**` before something: nothing, or anything up to a slash.
    Folders,
}

/// Whether a word has wildcards.
pub fn has_wildcards(word: &str) -> bool {
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

impl Glob {
    /// Parse as `filepath.Match` does: `**` is as `*`.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let mut rest = text.chars().peekable();
        let mut pieces = Vec::new();
        while let Some(c) = rest.next() {
            pieces.push(piece(c, &mut rest).map_err(|why| wrong(text, why))?);
        }
        Ok(Self(pieces))
    }

    pub(super) fn of(pieces: Vec<Piece>) -> Self {
        Self(pieces)
    }

    /// Whether it fits a path.
    pub fn fits(&self, path: &str) -> bool {
        let mut states = States::new(&self.0);
        path.chars().all(|c| states.step(c)) && states.done()
    }

    /// Whether it may fit something that begins with this text.
    pub fn may_fit_below(&self, beginning: &str) -> bool {
        let mut states = States::new(&self.0);
        beginning.chars().all(|c| states.step(c))
    }
}

pub(super) fn wrong(text: &str, why: &str) -> Mistake {
    Mistake::new(format!("`{text}` is no pattern: {why}"))
        .hint("`*`, `?`, `[a-z]`; a backslash before what is meant as it is")
}

/// The piece that begins with a character.
pub(super) fn piece(c: char, rest: &mut std::iter::Peekable<std::str::Chars>) -> Result<Piece, &'static str> {
    Ok(match c {
        '*' => Piece::Star,
        '?' => Piece::One,
        '\\' => Piece::Char(rest.next().ok_or("a backslash ends it")?),
        '[' => {
            let outside = rest.next_if_eq(&'^').is_some();
            let mut ranges = Vec::new();
            while ranges.is_empty() || rest.peek() != Some(&']') {
                let first = class_character(rest)?;
                let last = if rest.next_if_eq(&'-').is_some() { class_character(rest)? } else { first };
                ranges.push((first, last));
            }
            rest.next();
            Piece::Class { outside, ranges }
        }
        c => Piece::Char(c),
    })
}

fn class_character(rest: &mut std::iter::Peekable<std::str::Chars>) -> Result<char, &'static str> {
    let open = "a `[` is not closed";
    match rest.next().ok_or(open)? {
        '-' | ']' => Err("`-` and `]` need a backslash inside `[…]`"),
        '\\' => rest.next().ok_or(open),
        c => Ok(c),
    }
}

fn in_class(ranges: &[(char, char)], c: char) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Where in the pattern the text so far may have led: all places at once, so that the time is bounded.
struct States<'a> {
    pieces: &'a [Piece],
    /// Before a piece.
    before: Vec<bool>,
    /// Inside a [`Piece::Folders`] that has taken something.
    inside: Vec<bool>,
}

impl<'a> States<'a> {
    fn new(pieces: &'a [Piece]) -> Self {
        let mut states = Self { pieces, before: vec![false; pieces.len() + 1], inside: vec![false; pieces.len()] };
        states.enter(0);
        states
    }

    /// Be before a piece, and behind it too if it may take nothing.
    fn enter(&mut self, at: usize) {
        for at in at..=self.pieces.len() {
            if std::mem::replace(&mut self.before[at], true) {
                return;
            }
            if !matches!(self.pieces.get(at), Some(Piece::Star | Piece::All | Piece::Folders)) {
                return;
            }
        }
    }

    /// Take a character. Whether the text may still fit.
    fn step(&mut self, c: char) -> bool {
        let len = self.pieces.len();
        let before = std::mem::replace(&mut self.before, vec![false; len + 1]);
        let inside = std::mem::replace(&mut self.inside, vec![false; len]);
        for (at, piece) in self.pieces.iter().enumerate() {
            let here = before[at];
            match piece {
                Piece::Folders if here || inside[at] => {
                    self.inside[at] = true;
                    if c == '/' {
                        self.enter(at + 1);
                    }
                }
                _ if !here => {}
                Piece::Char(own) if *own == c => self.enter(at + 1),
                Piece::One if c != '/' => self.enter(at + 1),
                Piece::Class { outside, ranges } if *outside != in_class(ranges, c) => self.enter(at + 1),
                Piece::Star if c != '/' => self.enter(at),
                Piece::All => self.enter(at),
                _ => {}
            }
        }
        self.before.contains(&true) || self.inside.contains(&true)
    }

    fn done(&self) -> bool {
        self.before[self.pieces.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_wildcards() {
        for (word, has) in [("a", false), ("a*", true), ("a\\*", false), ("[a]", true), ("a?", true), ("\\\\*", true)] {
            assert_eq!(has_wildcards(word), has, "{word}");
        }
    }

    #[test]
    fn time_is_bounded() {
        let glob = Glob::parse(&"*a".repeat(200)).unwrap();
        assert!(!glob.fits(&"a".repeat(199)));
        assert!(glob.fits(&"a".repeat(2_000)));
    }

    #[test]
    fn as_go_recorded() {
        for line in include_str!("../../tests/golden/filepath-match.tsv").lines() {
            let [pattern, path, result] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let own = Glob::parse(pattern).map_or("bad", |glob| if glob.fits(path) { "true" } else { "false" });
            assert_eq!(own, result, "{pattern} {path}");
        }
    }
}
