//! Verbs that are only below `box image`.

mod filters;
mod prune;
mod tree;

pub use filters::Selection;
pub use prune::{Filters, prune, warn_if_busy};
pub use tree::tree;
