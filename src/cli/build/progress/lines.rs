//! What commands write, as lines: cut where they end, cleaned of what drives a terminal, the last few kept.

use std::collections::VecDeque;

/// A line longer than this is cut into several.
const LONGEST: usize = 64 << 10;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Splitter {
    partial: Vec<u8>,
}

impl Splitter {
    /// Take bytes, and hand each line that is whole to `take`, without its end.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(line) if self.partial.is_empty() => take(line),
                Some(line) => {
                    self.partial.extend_from_slice(line);
                    take(&std::mem::take(&mut self.partial));
                }
                None => self.partial.extend_from_slice(part),
            }
            if self.partial.len() > LONGEST {
                take(&std::mem::take(&mut self.partial));
            }
        }
    }

    /// The line that has not ended, if there is one.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.partial.is_empty()).then(|| std::mem::take(&mut self.partial))
    }

    /// The same, left where it is.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }
}

/// The last lines of a stream, clean.
#[derive(Debug)]
pub struct Tail {
    lines: VecDeque<String>,
    most: usize,
}

impl Tail {
    /// At most so many.
    pub fn new(most: usize) -> Self {
        Self { lines: VecDeque::new(), most }
    }

    /// One more line.
    pub fn push(&mut self, line: String) {
        if self.lines.len() == self.most {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// From the oldest.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &String> {
        self.lines.iter()
    }
}

/// A line as text that is safe on a terminal: no escape sequences, no control characters, tabs as spaces. What a carriage
/// return would have overwritten is left out, so that a bar that redraws itself is seen as it was last.
pub fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.next() {
                // A control sequence ends with its first letter or so (ECMA-48, 5.4).
                Some('[') => while chars.next().is_some_and(|c| !('\x40'..='\x7e').contains(&c)) {},
                // A string ends with BEL or ESC \ (ECMA-48, 5.6).
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(c) = chars.next() {
                        if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                // Two characters, or three that choose a character set.
                Some(' '..='/') => drop(chars.next()),
                _ => {}
            },
            '\t' => out.push_str("    "),
            c => out.push(c),
        }
    }
    // Those that are left, and those that change the direction of what follows, are shown as what they are.
    super::super::super::errors::escape(&out)
}

/// Seconds since a step began, as BuildKit shows them before a line: 0.123, 12.34, 123.4.
pub fn stamp(seconds: f64) -> String {
    let digits = match seconds {
        s if s < 10.0 => 3,
        s if s < 100.0 => 2,
        _ => 1,
    };
    format!("{seconds:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_end() {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        for part in ["a\nb", "", "c\n\nd", "e"] {
            splitter.push(part.as_bytes(), |line| found.push(String::from_utf8_lossy(line).into_owned()));
        }
        assert_eq!(found, ["a", "bc", ""]);
        assert_eq!(splitter.rest().as_deref(), Some(&b"de"[..]));
        assert_eq!(splitter.rest(), None);
        let mut count = 0;
        splitter.push(&vec![b'x'; 3 * LONGEST], |_| count += 1);
        assert_eq!(count, 1);
    }

    #[test]
    fn what_drives_a_terminal_is_gone() {
        for (raw, expected) in [
            ("plain ü", "plain ü"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07x", "x"),
            ("\x1b]8;;http://x\x1b\\link", "link"),
            ("\x1b(Bx", "x"),
            ("10%\r20%\r\r", "20%"),
            ("a\tb", "a    b"),
            ("\x1b[2J\x1b[", ""),
            ("\x1b", ""),
            ("a\x07b\u{9b}31m", "a\\u{7}b\\u{9b}31m"),
            ("\u{202e}x", "\\u{202e}x"),
        ] {
            assert_eq!(clean(raw.as_bytes()), expected, "{raw:?}");
        }
    }

    #[test]
    fn times_have_four_digits() {
        for (seconds, expected) in [(0.0, "0.000"), (1.2345, "1.234"), (12.345, "12.35"), (123.45, "123.5")] {
            assert_eq!(stamp(seconds), expected);
        }
    }
}
