//! Descriptors that are handed on.

use clap::Args;
use std::os::fd::RawFd;

/// Shared by `run` and `exec`.
#[derive(Debug, Clone, Default, Args)]
pub struct DescriptorFlags {
    /// Hand on so many open descriptors beside the three streams: 3 and the following
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub preserve_fds: u32,
    /// Hand on these open descriptors, by their numbers
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',', hide_short_help = true)]
    pub preserve_fd: Vec<RawFd>,
}
