//! The flags that choose among the images of a list.

use crate::oci::platform::Platform;
use anyhow::Result;
use clap::Args;

/// Shared by `pull`, `run` and `create`.
#[derive(Debug, Clone, Default, Args)]
pub struct PlatformFlags {
    /// The platform: OS/ARCH[/VARIANT] [default: this host's]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// The processor, such as arm64 [default: this host's]
    #[arg(long, value_name = "ARCH", alias = "override-arch")]
    pub arch: Option<String>,
    /// The operating system [default: linux]
    #[arg(long, value_name = "OS", alias = "override-os")]
    pub os: Option<String>,
    /// The processor's variant, such as v7 [default: this host's]
    #[arg(long, value_name = "VARIANT", alias = "override-variant")]
    pub variant: Option<String>,
}

impl PlatformFlags {
    /// What they say together; `None` if none is given.
    pub fn chosen(&self) -> Result<Option<Platform>> {
        let (os, arch, variant) = (self.os.as_deref(), self.arch.as_deref(), self.variant.as_deref());
        Platform::chosen(self.platform.as_deref(), os, arch, variant)
    }
}
