//! Detach keys: what the user types to leave a container running.

use crate::base::error::{Fault, Kind};
use anyhow::Result;

/// Parse docker's notation: characters and `ctrl-X` separated by commas, as `ctrl-p,ctrl-q`; empty for none.
pub fn parse_detach_keys(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(key).collect::<Option<Vec<u8>>>().ok_or_else(|| {
        let fault = Fault::new(Kind::Usage, format!("`{}` are no detach keys", text.escape_debug()));
        fault.hint("each is a character, or ctrl- and one of a-z @ [ \\ ] ^ _, such as ctrl-p,ctrl-q").into()
    })
}

fn key(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [single] => Some(*single),
        bytes => match bytes.strip_prefix(b"ctrl-")? {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            // ^@ is 0, ^[ is 27, … ^_ is 31: the character without its upper bits.
            [sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => Some(sign & 0x1f),
            _ => None,
        },
    }
}

/// Looks for the keys in what is typed. A sequence that is begun and not completed is passed on.
#[derive(Debug)]
pub struct Scanner<'a> {
    keys: &'a [u8],
    matched: usize,
}

impl<'a> Scanner<'a> {
    /// For these keys; none never match.
    pub fn new(keys: &'a [u8]) -> Self {
        Self { keys, matched: 0 }
    }

    /// Append to `out` what of `typed` goes to the container; `true` when the sequence is complete.
    pub fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in typed {
            while self.keys.get(self.matched).is_some_and(|key| *key != byte) && self.matched > 0 {
                // Pass on the shortest beginning after which the rest may still be the start of the sequence.
                let held = &self.keys[..self.matched];
                let shift = (1..=held.len()).find(|shift| held[*shift..] == held[..held.len() - shift]);
                let shift = shift.unwrap_or(held.len());
                out.extend_from_slice(&held[..shift]);
                self.matched -= shift;
            }
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return true;
                }
            } else {
                out.push(byte);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation() {
        for (text, keys) in [
            ("", b"".as_slice()),
            ("ctrl-p,ctrl-q", &[16, 17]),
            ("a,ctrl-@,ctrl-_", &[b'a', 0, 31]),
            ("ctrl-[,ctrl-\\,ctrl-]", &[27, 28, 29]),
            ("ctrl-^", &[30]),
        ] {
            assert_eq!(parse_detach_keys(text).unwrap(), keys, "{text}");
        }
        for text in [",", "ctrl-", "ctrl-P", "ab", "ctrl-p,", "ctrl-pp", "é", "^p"] {
            assert!(parse_detach_keys(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_whole_sequence_detaches() {
        // keys, what is typed (read by read), what the container gets, whether it detaches
        type Case = (&'static [u8], &'static [&'static [u8]], &'static [u8], bool);
        let cases: &[Case] = &[
            (b"pq", &[b"abc"], b"abc", false),
            (b"pq", &[b"abpqcd"], b"ab", true),
            (b"pq", &[b"p", b"q"], b"", true),
            (b"pq", &[b"p", b"x"], b"px", false),
            (b"pq", &[b"pp", b"q"], b"p", true),
            (b"ppq", &[b"pppq"], b"p", true),
            (b"aab", &[b"aa", b"aac"], b"aaaac", false),
            (b"abab", &[b"abacabab"], b"abac", true),
            (b"", &[b"anything"], b"anything", false),
            (b"q", &[b"a", b"q"], b"a", true),
        ];
        for (keys, typed, expected, detaches) in cases {
            let mut scanner = Scanner::new(keys);
            let mut out = Vec::new();
            let detached = typed.iter().any(|part| scanner.feed(part, &mut out));
            assert_eq!((out.as_slice(), detached), (*expected, *detaches), "{keys:?} {typed:?}");
        }
    }
}
