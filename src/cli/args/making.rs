//! Commands that make images of what is not one.

use super::{EXIT_STATUS, switches};
use clap::{Args, ValueHint};

/// What `--change` takes.
const CHANGES: &str = "\
Instructions of --change:
  CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR
  as in a Dockerfile: -c 'CMD [\"nginx\", \"-g\", \"daemon off;\"]' -c 'ENV A=1 B=2'";

const IMPORT_EXAMPLES: &str = "\
Examples:
  box import rootfs.tar.gz localhost/base
  debootstrap --variant=minbase stable root && tar -C root -c . | box import - debian
  box import -c 'CMD [\"/bin/sh\"]' https://example.org/rootfs.tar.zst base:1";

/// Make an image of the archive of a root file system
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box import [OPTIONS] FILE|URL|- [NAME]",
    after_help = IMPORT_EXAMPLES,
    after_long_help = format!("{IMPORT_EXAMPLES}\n\n{CHANGES}\n\n{EXIT_STATUS}"),
    long_about = "Makes an image of one layer from a tar archive of a root file system, packed with gzip or zstd or not at \
                  all, and prints its id. A short name belongs to localhost/."
)]
pub struct Import {
    /// The processor it is for [default: this host's]
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<String>,
    /// Set how it is run, by an instruction of a Dockerfile
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// A remark for its history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// The operating system it is for [default: linux]
    #[arg(long, value_name = "OS")]
    pub os: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// The variant of the processor it is for
    #[arg(long, value_name = "VARIANT")]
    pub variant: Option<String>,
    /// The archive: a file, a URL, or `-` for stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub source: String,
    /// A name
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}
