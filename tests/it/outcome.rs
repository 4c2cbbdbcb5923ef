//! What a command gave back: stdout, stderr and exit code, judged together.

use std::fmt;

/// The result of a finished command.
#[derive(Clone)]
pub struct Outcome {
    /// The words, for messages.
    pub args: String,
    /// The exit code; a signal counts as 128 + its number.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Stdout as text, without the last line feed.
    pub fn out(&self) -> String {
        let text = String::from_utf8_lossy(&self.stdout);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// Stderr as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// It must have succeeded; its stdout.
    #[track_caller]
    pub fn ok(&self) -> String {
        self.ends(0);
        self.out()
    }

    /// It must have ended with this code.
    #[track_caller]
    pub fn ends(&self, code: i32) -> &Self {
        assert!(!self.err().contains("panicked at"), "a panic\n{self}");
        assert_eq!(self.code, code, "another exit code\n{self}");
        self
    }

    /// It must have failed with this code and an error in the house's form: `box: ` and what, no stack of causes, no
    /// debug print, nothing on stdout.
    #[track_caller]
    pub fn fails(&self, code: i32) -> &Self {
        self.ends(code);
        let err = self.err();
        let first = err.lines().find(|line| line.starts_with("box: "));
        let first = first.unwrap_or_else(|| panic!("no line with `box: `\n{self}"));
        assert!(!first.ends_with('.') && !err.contains("Error {") && !err.contains("Os {"), "not a sentence\n{self}");
        assert!(self.stdout.is_empty(), "an error with something on stdout\n{self}");
        self
    }

    /// Stderr must hold this.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.err().contains(text), "stderr does not say `{text}`\n{self}");
        self
    }

    /// Stderr must end with a hint that holds this.
    #[track_caller]
    pub fn hints(&self, text: &str) -> &Self {
        let found = self.err().lines().any(|line| line.starts_with("hint: ") && line.contains(text));
        assert!(found, "no hint with `{text}`\n{self}");
        self
    }

    /// Stderr must be empty.
    #[track_caller]
    pub fn quiet(&self) -> &Self {
        assert!(self.stderr.is_empty(), "stderr is not empty\n{self}");
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        self.ends(0);
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"))
    }

    /// Everything, with ids, digests and times replaced, must be this.
    #[track_caller]
    pub fn shows(&self, expected: &str) -> &Self {
        let actual = redact(&format!("{self}"));
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&actual), lines(expected.trim_matches('\n')), "shown otherwise:\n{actual}");
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ box {}", self.args)?;
        f.write_str(&String::from_utf8_lossy(&self.stdout))?;
        if !self.stdout.is_empty() && !self.stdout.ends_with(b"\n") {
            writeln!(f, "[no line feed]")?;
        }
        for line in self.err().lines() {
            writeln!(f, "2> {line}")?;
        }
        write!(f, "exit {}", self.code)
    }
}

/// Replace what differs from run to run: 64 and 12 hexadecimal digits, and the test's own folder.
pub fn redact(text: &str) -> String {
    let mut redacted = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_digit() || ('a'..='f').contains(&c) {
            run.push(c);
            continue;
        }
        match run.len() {
            64 => redacted.push_str("[ID]"),
            12 => redacted.push_str("[id]"),
            _ => redacted.push_str(&run),
        }
        run.clear();
        redacted.push(c);
    }
    redacted.pop();
    let mut shown = String::new();
    let mut rest = redacted.as_str();
    while let Some(at) = rest.find(crate::env::PREFIX) {
        shown.push_str(&rest[..at]);
        shown.push_str("[TEST]");
        let after = &rest[at + crate::env::PREFIX.len()..];
        rest = &after[after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(after.len())..];
    }
    shown + rest
}

#[test]
fn ids_are_redacted() {
    let id = "0123456789abcdef".repeat(4);
    assert_eq!(redact(&format!("sha256:{id} {} beef", &id[..12])), "sha256:[ID] [id] beef");
    assert_eq!(redact(&format!("in {}77-1/home", crate::env::PREFIX)), "in [TEST]/home");
}
