//! Physical lines joined to instructions: comments, continuations, the byte order mark, line ends of any kind.
//!
//! moby/buildkit `parser/parser.go`.

use super::directives::{Directives, Head};
use super::heredoc::Heredoc;
use super::mistake::Mistake;
use super::tree::Span;

/// The lines of one instruction, joined.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The text, without line ends and continuation characters.
    pub text: String,
    /// Where each piece of the text stands: its first byte, its line from 1, its byte in that line.
    pieces: Vec<(usize, usize, usize)>,
    /// The first and the last line, from 1; heredocs not counted.
    pub first: usize,
    pub last: usize,
    /// The comments directly above.
    pub comments: Vec<String>,
    /// Whether an empty line stands among them.
    pub empty_continuation: bool,
}

impl Line {
    /// The span of a part of the text, or of all of it.
    pub(super) fn span(&self, part: Option<(usize, usize)>, lines: &[String]) -> Span {
        let (at, bytes) = part.unwrap_or((0, 0));
        let piece = self.pieces.iter().rev().find(|(begin, ..)| *begin <= at).or(self.pieces.first());
        let Some(&(begin, line, offset)) = piece else {
            return Span { line: self.first as u32, column: 1, width: 0, last_line: self.last as u32 };
        };
        let text = lines.get(line - 1).map(String::as_str).unwrap_or_default();
        let before = text.get(..offset + at.saturating_sub(begin)).unwrap_or(text);
        let column = before.chars().count() as u32 + 1;
        let marked = text.get(before.len()..).unwrap_or_default();
        // What quotes and continued lines hide makes a word longer in the text than it is: mark to the blank.
        let width = marked.get(..bytes).unwrap_or(marked).chars().count() as u32;
        let last_line = if width > 0 { line } else { self.last } as u32;
        Span { line: line as u32, column, width, last_line }
    }
}

/// Reads a text line by line.
pub(super) struct Lines<'a> {
    lines: Vec<&'a str>,
    next: usize,
    head: Head,
    /// The comments since the last instruction.
    comments: Vec<String>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { lines: text.split_inclusive('\n').collect(), next: 0, head: Head::default(), comments: Vec::new() }
    }

    /// The lines without their ends.
    pub(super) fn all(&self) -> Vec<String> {
        self.lines.iter().map(|line| without_end(line).to_owned()).collect()
    }

    /// How many lines have been read.
    pub(super) fn read(&self) -> usize {
        self.next
    }

    fn take(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next)?;
        self.next += 1;
        Some(line)
    }

    /// The next instruction's lines, joined; directives before it go into `directives`.
    ///
    /// Errors: a directive that is wrong, in the line read last.
    pub(super) fn instruction(&mut self, directives: &mut Directives) -> Result<Option<Line>, Mistake> {
        while let Some(raw) = self.take() {
            let whole = without_end(raw);
            let text = whole.trim_start();
            if self.head.line(self.next, text, directives)? {
                continue;
            }
            if let Some(comment) = text.strip_prefix('#') {
                match comment.trim() {
                    "" => self.comments.clear(),
                    comment => self.comments.push(comment.to_owned()),
                }
                continue;
            }
            if text.is_empty() {
                self.comments.clear();
                continue;
            }
            let mut line = Line { first: self.next, last: self.next, ..Line::default() };
            line.comments = std::mem::take(&mut self.comments);
            let mut goes_on = self.piece(&mut line, text, whole.len() - text.len(), directives.escape);
            while goes_on && let Some(raw) = self.take() {
                let text = without_end(raw);
                line.last = self.next;
                if text.trim_start().starts_with('#') {
                    continue;
                }
                if text.trim_start().is_empty() {
                    line.empty_continuation = true;
                    continue;
                }
                goes_on = self.piece(&mut line, text, 0, directives.escape);
            }
            return Ok(Some(line));
        }
        Ok(None)
    }

    /// Add a physical line's text, which begins at a byte of it. Whether the next one belongs to it.
    fn piece(&self, line: &mut Line, text: &str, offset: usize, escape: char) -> bool {
        line.pieces.push((line.text.len(), self.next, offset));
        let bare = text.trim_end_matches([' ', '\t']).strip_suffix(escape);
        // An escape character that is escaped itself continues nothing.
        let bare = bare.filter(|bare| !bare.ends_with(escape));
        line.text.push_str(bare.unwrap_or(text));
        bare.is_some()
    }

    /// Read a heredoc's content. Whether its end was found.
    pub(super) fn heredoc(&mut self, heredoc: &mut Heredoc) -> bool {
        while let Some(line) = self.take() {
            if heredoc.ended_by(line) {
                return true;
            }
            heredoc.content.push_str(line);
        }
        false
    }
}

fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}
