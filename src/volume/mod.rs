//! What is lent to containers besides the image: volumes, which outlive them, and secrets. Knows no container.
//!
//! ```text
//! volumes/<name>/
//!   volume.json    what was decided when it was made; written once. flock(2) on it: shared by whoever begins to use
//!                  the volume, exclusive to fill or remove it
//!   data/          the files
//!   fresh          there until the first container has used it: what the image has at the mount point is copied in
//! ```
//!
//! A volume is made below `tmp/`, synced, and renamed to its name, which fails if the name is taken; removed by renaming
//! it away. What is half made or half removed has no name.

pub mod driver;
pub mod record;
pub mod secret;

pub use driver::Driver;
pub use record::{New, Record, Volume, all, check, check_name, create, find};
