//! The steps of a build: a graph. What a step is, not how it is done.

/// A step of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub usize);
