//! Verbs that are only below `box image`.

mod filters;
mod platforms;
mod prune;
mod scp;
mod tree;

pub use filters::Selection;
pub use platforms::platforms;
pub use prune::{Filters, prune, warn_if_busy};
pub use scp::scp;
pub use tree::tree;
