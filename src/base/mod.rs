//! The words that everything is written in. Knows nothing of containers.

#[cfg(test)]
#[macro_use]
pub mod alone;
pub mod base64;
pub mod digest;
pub mod dirs;
pub mod env;
pub mod error;
pub mod fs;
pub mod glob;
pub mod id;
pub mod lock;
pub mod nearest;
pub mod program;
pub mod signal;
pub mod temp;
pub mod time;
pub mod timing;
pub mod units;
