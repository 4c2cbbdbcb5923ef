//! Heredocs: texts of several lines after an instruction, named in it as `<<NAME`.
//!
//! <https://docs.docker.com/reference/dockerfile/#here-documents>

use super::expand::Lexer;
use serde::Serialize;

/// A heredoc.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Heredoc {
    /// What ends it, without quotes.
    pub name: String,
    /// The number before `<<`; 0 if there is none.
    #[serde(skip_serializing_if = "zero")]
    pub descriptor: u32,
    /// Whether variables in it are expanded: no part of the name is quoted.
    pub expand: bool,
    /// `<<-`: tabs at the beginning of lines do not count.
    pub strip_tabs: bool,
    /// The lines, as they are in the file.
    pub content: String,
}

fn zero(number: &u32) -> bool {
    *number == 0
}

impl Heredoc {
    /// The lines, without the tabs that do not count.
    pub fn text(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }

    /// Whether a line of the file ends it.
    pub fn ended_by(&self, line: &str) -> bool {
        let line = line.trim_end_matches(['\r', '\n']);
        let line = if self.strip_tabs { line.trim_start_matches('\t') } else { line };
        line == self.name
    }
}

/// A file whose content stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inline {
    /// The heredoc's name: the file's, if the destination is a folder.
    pub name: String,
    /// What is in it.
    pub content: String,
    /// Whether variables in it are expanded.
    pub expand: bool,
}

/// The heredoc that a word opens, without content.
pub fn heredoc_of(word: &str) -> Option<Heredoc> {
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (descriptor, rest) = word.split_at(digits);
    let rest = rest.strip_prefix("<<")?;
    let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let words = lexer.expand(rest, &|_| None).ok()?.words;
    let raw = Lexer { raw_quotes: true, ..lexer }.expand(rest, &|_| None).ok()?.words;
    let ([name], [raw]) = (words.as_slice(), raw.as_slice()) else { return None };
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Some(Heredoc {
        name: name.clone(),
        descriptor: descriptor.parse().unwrap_or(0),
        expand: quotes(name) == quotes(raw),
        strip_tabs,
        content: String::new(),
    })
}

/// The heredocs that a line opens, in order, without content.
pub fn heredocs_of(line: &str) -> Vec<Heredoc> {
    if !line.contains("<<") {
        return Vec::new();
    }
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    let words = lexer.expand(line, &|_| None).map(|found| found.words).unwrap_or_default();
    words.iter().filter_map(|word| heredoc_of(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_open_a_heredoc() {
        for (word, name, expand, strip_tabs) in [
            ("<<EOF", "EOF", true, false),
            ("<<-EOF", "EOF", true, true),
            ("<<'EOF'", "EOF", false, false),
            ("<<\"E O F\"", "E O F", false, false),
            ("<<E\"O\"F", "EOF", false, false),
            ("<<E\\OF", "EOF", true, false),
            ("<<$NAME", "$NAME", true, false),
            ("<<${NAME}", "${NAME}", true, false),
            ("<<script.sh", "script.sh", true, false),
        ] {
            let heredoc = heredoc_of(word).unwrap_or_else(|| panic!("{word}"));
            assert_eq!((heredoc.name.as_str(), heredoc.expand, heredoc.strip_tabs), (name, expand, strip_tabs));
        }
        assert_eq!(heredoc_of("3<<EOF").unwrap().descriptor, 3);
        for word in ["<<", "<<-", "EOF", "<<<EOF", "a<<EOF", "<<'EOF", "< <EOF", "<<<<EOF", "<<a b"] {
            assert_eq!(heredoc_of(word), None, "{word}");
        }
    }

    #[test]
    fn lines_that_open_heredocs() {
        let names = |line: &str| heredocs_of(line).into_iter().map(|heredoc| heredoc.name).collect::<Vec<_>>();
        assert_eq!(names("RUN cat <<A <<B | tee 3<<C"), ["A", "B", "C"]);
        assert_eq!(names("RUN echo \"<<A\""), [""; 0]);
        assert_eq!(names("RUN echo '<<A' <<B"), ["B"]);
        assert_eq!(names("RUN echo \\<<A"), [""; 0]);
        assert_eq!(names("RUN echo <<$A"), ["$A"]);
    }
}
