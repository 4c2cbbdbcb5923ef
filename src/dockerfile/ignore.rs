//! `.dockerignore`: which files of a context are not there for a build.
//!
//! The rules of moby/patternmatcher: patterns are relative to the context's root, the last line that fits a path or a
//! folder above it decides, and a line with `!` takes back.
//! <https://docs.docker.com/build/concepts/context/#dockerignore-files>

use super::glob::{Glob, Piece, piece, wrong};
use super::mistake::Mistake;
use super::path::clean;

/// The lines of a `.dockerignore`, or the patterns of `--exclude`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    /// `!`: what fits is kept.
    keeps: bool,
    matcher: Matcher,
}

#[derive(Debug, Clone, PartialEq)]
enum Matcher {
    /// One path.
    Exact(String),
    /// `**/NAME`: the path ends with this, or is all of it.
    Anywhere(String),
    /// Anything else.
    Glob(Glob),
}

/// Which patterns fit a folder or one above it: what a walk takes along into the folder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Marks(Vec<bool>);

impl Patterns {
    /// Parse the text of a `.dockerignore`. Errors name the line.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            patterns.extend(pattern(line).map_err(|mut mistake| {
                mistake.text = format!("line {}: {}", index + 1, mistake.text);
                mistake
            })?);
        }
        Ok(Self(patterns))
    }

    /// Patterns that are given one by one.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, Mistake> {
        let patterns = words.into_iter().filter_map(|word| pattern(word).transpose());
        patterns.collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a line takes something back.
    pub fn takes_back(&self) -> bool {
        self.0.iter().any(|pattern| pattern.keeps)
    }

    /// Whether a path, relative to the root and without `.` and `..`, is ignored.
    pub fn ignores(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        let marks = folders.fold(Marks::default(), |marks, folder| self.below(&marks, folder));
        self.decide(&self.below(&marks, path))
    }

    /// The marks of a path in a folder that has these marks; none for the root.
    pub fn below(&self, folder: &Marks, path: &str) -> Marks {
        let marked = |index: usize| folder.0.get(index).copied().unwrap_or(false);
        Marks(self.0.iter().enumerate().map(|(index, pattern)| marked(index) || pattern.fits(path)).collect())
    }

    /// Whether what has these marks is ignored.
    pub fn decide(&self, marks: &Marks) -> bool {
        let last = self.last(marks);
        last.is_some_and(|last| !self.0[last].keeps)
    }

    /// Whether something below a folder with these marks may be kept: a walk must go into it.
    pub fn may_keep_below(&self, marks: &Marks, folder: &str) -> bool {
        if !self.decide(marks) {
            return true;
        }
        let after = self.last(marks).map_or(0, |last| last + 1);
        let beginning = format!("{folder}/");
        self.0[after..].iter().any(|pattern| pattern.keeps && pattern.may_fit_below(&beginning))
    }

    /// The last pattern that fits.
    fn last(&self, marks: &Marks) -> Option<usize> {
        marks.0.iter().rposition(|fits| *fits)
    }
}

impl Pattern {
    fn fits(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact(own) => own == path,
            Matcher::Anywhere(name) => {
                path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            }
            Matcher::Glob(glob) => glob.fits(path),
        }
    }

    fn may_fit_below(&self, beginning: &str) -> bool {
        match &self.matcher {
            Matcher::Exact(own) => own.starts_with(beginning),
            Matcher::Anywhere(_) => true,
            Matcher::Glob(glob) => glob.may_fit_below(beginning),
        }
    }
}

/// One line; `None` if it says nothing.
fn pattern(line: &str) -> Result<Option<Pattern>, Mistake> {
    let line = line.trim();
    let (keeps, text) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
    if text.is_empty() {
        return if keeps { Err(wrong(line, "nothing follows the `!`")) } else { Ok(None) };
    }
    let text = clean(text);
    let text = text.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&text);
    // What it makes of a pattern that Go's `filepath.Match` refuses is of no use to anybody.
    Glob::parse(text)?;
    Ok(Some(Pattern { keeps, matcher: matcher(text).map_err(|why| wrong(text, why))? }))
}

fn matcher(text: &str) -> Result<Matcher, &'static str> {
    let literal = |text: &str| !text.contains(['*', '?', '[', ']', '\\']);
    if literal(text) {
        return Ok(Matcher::Exact(text.to_owned()));
    }
    if let Some(name) = text.strip_prefix("**/").filter(|name| literal(name)) {
        return Ok(Matcher::Anywhere(name.to_owned()));
    }
    let mut pieces = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '*' || rest.next_if_eq(&'*').is_none() {
            pieces.push(piece(c, &mut rest)?);
            continue;
        }
        // `**/` is as `**`: both take folders.
        rest.next_if_eq(&'/');
        pieces.push(if rest.peek().is_none() { Piece::All } else { Piece::Folders });
    }
    // `**NAME` without wildcards in the name: whatever ends with it, in the middle of a word too.
    if let Some(name) = text.strip_prefix("**").filter(|name| !name.is_empty() && literal(name)) {
        pieces = std::iter::once(Piece::All).chain(name.chars().map(Piece::Char)).collect();
    }
    Ok(Matcher::Glob(Glob::of(pieces)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_moby_recorded() {
        for line in include_str!("../../tests/golden/patternmatcher.tsv").lines() {
            let [patterns, path, result] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let patterns = Patterns::of(patterns.split(' '));
            let own = patterns.map_or("bad", |patterns| if patterns.ignores(path) { "true" } else { "false" });
            assert_eq!(own, result, "{line}");
        }
    }

    #[test]
    fn lines_of_a_file() {
        let text = "\u{feff}# comment\n\n  a  \r\n/b/\n!  b/c\n #d\n./e/../f\n.\n";
        let patterns = Patterns::parse(text).unwrap();
        for (path, ignored) in [
            ("a", true),
            ("b", true),
            ("b/c", false),
            ("b/c/d", false),
            ("b/d", true),
            ("#d", true),
            ("f", true),
            ("e", false),
        ] {
            assert_eq!(patterns.ignores(path), ignored, "{path}");
        }
        assert!(Patterns::parse("a\n!").unwrap_err().text.starts_with("line 2: "));
        assert!(Patterns::parse("[").unwrap_err().text.contains("is no pattern"));
    }

    #[test]
    fn folders_that_need_no_look() {
        for (text, folder, expected) in [
            ("node_modules", "node_modules", false),
            ("node_modules\n!node_modules/keep", "node_modules", true),
            ("node_modules\n!node_modules/keep", "node_modules/other", false),
            ("a\n!b", "a", false),
            ("a\n!**/*.md", "a", true),
            ("a\n!a/*/x", "a/b", true),
            ("a\n!a/*/x", "a/b/c", false),
            ("!a/b\na", "a", false),
            ("*\n!src/**", "src", true),
            ("*\n!src/**", "src/x", true),
            ("*\n!src", "target", false),
        ] {
            let patterns = Patterns::parse(text).unwrap();
            let parts: Vec<&str> = folder.match_indices('/').map(|(at, _)| &folder[..at]).chain([folder]).collect();
            let marks = parts.iter().fold(Marks::default(), |marks, part| patterns.below(&marks, part));
            assert_eq!(patterns.may_keep_below(&marks, folder), expected, "{text:?} {folder}");
        }
    }
}
