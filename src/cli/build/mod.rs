//! `build` and its family: from words to a request, and how a build is shown.

pub mod progress;
