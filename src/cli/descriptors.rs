//! `--preserve-fds` and `--preserve-fd` of `run` and `exec`: which of our open descriptors the command gets.

use super::args::descriptors::DescriptorFlags;
use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use std::os::fd::RawFd;
use std::path::Path;

/// The numbers, each of an open descriptor. To be called before anything is opened, which would be taken for one.
///
/// Errors: [`Kind::Usage`] for one that is not open, or not from 3 on.
pub fn preserved(flags: &DescriptorFlags, verb: &str) -> Result<Vec<RawFd>> {
    let is_open = |number: RawFd| Path::new(&format!("/proc/self/fd/{number}")).exists();
    let words = if verb == "run" { "IMAGE" } else { "CONTAINER COMMAND" };
    let hint = format!("box {verb} --preserve-fds 1 {words} 3<FILE");
    let last = 2 + i64::from(flags.preserve_fds);
    if let Some(number) = (3..=last).find(|number| RawFd::try_from(*number).is_ok_and(|number| !is_open(number))) {
        let count = flags.preserve_fds;
        let text = format!("`--preserve-fds {count}` hands on descriptors 3 to {last}, but {number} is not open");
        return Err(Fault::new(Kind::Usage, text).hint(hint).into());
    }
    if let Some(number) = flags.preserve_fd.iter().find(|number| **number < 3) {
        return Err(fault(Kind::Usage, format!("`--preserve-fd {number}`: 0, 1 and 2 go along in any case")));
    }
    if let Some(number) = flags.preserve_fd.iter().find(|number| !is_open(**number)) {
        let text = format!("`--preserve-fd {number}` hands on a descriptor that is not open");
        return Err(Fault::new(Kind::Usage, text)
            .hint(format!("box {verb} --preserve-fd {number} {words} {number}<FILE"))
            .into());
    }
    let mut numbers: Vec<RawFd> = (3..=last).filter_map(|number| RawFd::try_from(number).ok()).collect();
    numbers.extend(&flags.preserve_fd);
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}
