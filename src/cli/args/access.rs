//! The flags that say how to talk to registries.

use super::GoBool;
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// Shared by all commands that ask a registry.
#[derive(Debug, Clone, Default, Args)]
pub struct AccessFlags {
    /// Whether the registry must have a certificate that can be verified [default: as registries.conf says]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true)]
    pub tls_verify: Option<bool>,
    /// Read credentials from this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub authfile: Option<PathBuf>,
    /// The user's name and password, asked for if it is left out; others see them in the list of processes
    #[arg(long, value_name = "USER[:PASSWORD]")]
    pub creds: Option<String>,
    /// Use the certificates (*.crt, *.cert, *.key) in this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cert_dir: Option<PathBuf>,
}

/// Shared by those that move content.
#[derive(Debug, Clone, Default, Args)]
pub struct RetryFlags {
    /// How often to try again what fails in passing [default: 3]
    #[arg(long, value_name = "NUMBER")]
    pub retry: Option<String>,
    /// How long to wait before the first time, such as 500ms; it doubles [default: 1s, or what the registry says]
    #[arg(long, value_name = "DURATION")]
    pub retry_delay: Option<String>,
}
