//! Errors: a sentence about a deed, a kind where somebody branches on it, and advice kept apart.
//!
//! `anyhow` carries errors upwards; `.context("cannot …")` adds the deed. Where a caller branches or an exit code
//! depends on the error, or where there is something that the user can type, a [`Fault`] is the error (or a context
//! of it). `cli` finds the outermost fault by `downcast_ref` and maps its kind to an exit code in one table.

use std::fmt;

/// What went wrong, as far as a caller or an exit code cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// The words on the command line make no sense.
    Usage,
    /// There is no such container, image or process.
    NotFound,
    /// The object is used by another, or is running.
    InUse,
    /// The name is taken.
    NameInUse,
    /// The container is not in the state that the deed needs.
    WrongState,
    /// The command does not exist in the container: exit code 127.
    CommandNotFound,
    /// The command exists but cannot be invoked: exit code 126.
    CommandNotExecutable,
    /// A command of a build failed with this exit code.
    CommandFailed(u8),
    /// The registry, or the way to it.
    Registry,
    /// Data from outside that is damaged, hostile or not what its digest says.
    BadData,
    /// The host lacks something that box needs.
    Host,
    /// There is no room on the disk, or in the user's quota of it.
    DiskFull,
    /// Stopped by the user, with this signal.
    Interrupted(i32),
    /// Anything else.
    Other,
}

/// An error with a kind and advice.
///
/// Displays its sentence; its cause, if any, is the error it is a context of.
#[derive(Debug)]
pub struct Fault {
    /// What went wrong, for whoever branches.
    pub kind: Kind,
    /// The sentence: what was attempted, on which named thing. Lower case, no full stop, names in backticks.
    pub text: String,
    /// Lines of what the user wrote that show where it is wrong; printed under the sentence.
    pub shown: Vec<String>,
    /// What the user can do, each line something to type; printed last.
    pub hints: Vec<String>,
}

impl Fault {
    /// A fault of this kind.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), shown: Vec::new(), hints: Vec::new() }
    }

    /// Add a line of advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// This fault as an error that `cause` led to.
    pub fn because(self, cause: impl Into<anyhow::Error>) -> anyhow::Error {
        cause.into().context(self)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// The kind of an error: that of its outermost fault.
pub fn kind(error: &anyhow::Error) -> Kind {
    error.downcast_ref::<Fault>().map_or(Kind::Other, |fault| fault.kind)
}

/// Whether an error came of a full disk, or of a quota that is used up.
pub fn is_disk_full(error: &anyhow::Error) -> bool {
    use rustix::io::Errno;
    kind(error) == Kind::DiskFull
        || error.chain().any(|cause| {
            let number = cause.downcast_ref::<Errno>().copied();
            let number = number.or_else(|| Errno::from_io_error(cause.downcast_ref()?));
            matches!(number, Some(Errno::NOSPC | Errno::DQUOT))
        })
}

/// Shorthand: an error that is a fault without advice.
pub fn fault(kind: Kind, text: impl Into<String>) -> anyhow::Error {
    Fault::new(kind, text).into()
}

/// Sentences, hints and characters of each that go to another process: a message has to fit into a packet.
const MAX_ENCODED: (usize, usize) = (8, 512);

/// An error as bytes, for another process: its kind, its sentences from the outermost, its hints. At most 60 kB.
pub fn encode(error: &anyhow::Error) -> Vec<u8> {
    let (count, length) = MAX_ENCODED;
    let cut = |text: String| text.chars().take(length).collect::<String>();
    let fault = error.downcast_ref::<Fault>();
    let mut sentences: Vec<String> = error.chain().take(count).map(|cause| cut(cause.to_string())).collect();
    // The same sentence twice in a row says nothing more.
    sentences.dedup();
    let hints = fault.map(|fault| fault.hints.as_slice()).unwrap_or_default();
    let hints: Vec<String> = hints.iter().take(count).cloned().map(cut).collect();
    serde_json::to_vec(&(kind(error), sentences, hints)).unwrap_or_default()
}

/// The error that [`encode`] was given. Bytes that are none become an error that says so.
pub fn decode(bytes: &[u8]) -> anyhow::Error {
    let Ok((kind, mut sentences, hints)) = serde_json::from_slice::<(Kind, Vec<String>, Vec<String>)>(bytes) else {
        return fault(Kind::Other, "another process of box failed, and its error cannot be read");
    };
    let mut error = fault(kind, sentences.pop().unwrap_or_default());
    while let Some(sentence) = sentences.pop() {
        error = error.context(Fault::new(kind, sentence));
    }
    match error.downcast_mut::<Fault>() {
        Some(fault) => {
            fault.hints = hints;
            error
        }
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_below_contexts() {
        let error =
            Fault::new(Kind::NotFound, "no such image `x`").hint("box pull x").because(std::io::Error::other("y"));
        let error = error.context("cannot start container `web`");
        assert_eq!(kind(&error), Kind::NotFound);
        assert_eq!(format!("{error:#}"), "cannot start container `web`: no such image `x`: y");
        assert_eq!(error.downcast_ref::<Fault>().unwrap().hints, ["box pull x"]);
    }

    #[test]
    fn an_error_survives_the_way_to_another_process() {
        let error =
            Fault::new(Kind::CommandNotFound, "no `x`").hint("h").because(std::io::Error::other("y")).context("z");
        let told = decode(&encode(&error));
        assert_eq!(format!("{told:#}"), "z: no `x`: y");
        assert_eq!(kind(&told), Kind::CommandNotFound);
        assert_eq!(told.downcast_ref::<Fault>().unwrap().hints, ["h"]);
        assert_eq!(kind(&decode(b"{")), Kind::Other);
    }
}
