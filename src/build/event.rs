//! What a build tells while it runs, to whoever shows it.

use super::step::StepId;
use std::time::Duration;

/// Who shows a build. Called by the one thread that leads it.
pub trait Observer {
    /// Something happened.
    fn tell(&mut self, event: Event<'_>);
    /// Descriptors and times apart, `tell` may want to draw again (times that run): called at least four times a
    /// second while steps run.
    fn tick(&mut self) {}
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step has begun. Steps are numbered as they are told; one that came from the cache begins, too.
    Began {
        /// Which.
        step: StepId,
        /// As BuildKit shows it: `[builder 2/5] RUN make`, `[internal] load build context`, `exporting to image`.
        name: &'a str,
    },
    /// Its result was known.
    Cached {
        /// Which.
        step: StepId,
    },
    /// A command has written; `bytes` is whatever came, not a line.
    Output {
        /// Which.
        step: StepId,
        /// Where to.
        stream: Stream,
        /// What.
        bytes: &'a [u8],
    },
    /// How far something is, that takes long: a layer, a download, an export.
    Progress {
        /// Which.
        step: StepId,
        /// Of what: `sha256:…`, `transferring context`, a name.
        what: &'a str,
        /// Bytes done.
        done: u64,
        /// Of so many, if that is known.
        total: Option<u64>,
    },
    /// It has ended well.
    Done {
        /// Which.
        step: StepId,
        /// How long it took.
        took: Duration,
    },
    /// It has failed, and the build will.
    Failed {
        /// Which.
        step: StepId,
        /// Why, in a line.
        error: &'a str,
        /// The Dockerfile's lines that it came from.
        excerpt: Option<&'a Excerpt>,
    },
    /// It was ended, as another has failed or the user wants no more.
    Cancelled {
        /// Which.
        step: StepId,
    },
    /// Something in the Dockerfile could be better.
    Warning {
        /// A sentence.
        text: &'a str,
        /// Where.
        excerpt: Option<&'a Excerpt>,
    },
}

/// Where a command has written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Out,
    /// Its standard error.
    Err,
}

/// Lines of a Dockerfile, some of them meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The file's name.
    pub file: String,
    /// Number, text, and whether it is meant.
    pub lines: Vec<(usize, String, bool)>,
}
