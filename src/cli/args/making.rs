//! Commands that make images of what is not one.

use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

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
    /// The platform it is for: OS/ARCH[/VARIANT]
    #[arg(long, value_name = "PLATFORM", conflicts_with_all = ["arch", "os", "variant"])]
    pub platform: Option<String>,
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

const COMMIT_EXAMPLES: &str = "\
Examples:
  box commit web localhost/web:patched
  box commit -c 'CMD [\"nginx\"]' -a 'Ann <ann@example.org>' -m 'with a patch' web web:2";

/// Make an image of a container
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box commit [OPTIONS] CONTAINER [NAME]",
    after_help = COMMIT_EXAMPLES,
    after_long_help = format!("{COMMIT_EXAMPLES}\n\n{CHANGES}\n\n{EXIT_STATUS}"),
    long_about = "Makes an image of what a container has changed, on top of its own image, and prints its id. It is run as \
                  the container is. What is mounted in the container (volumes, binds) is not part of it. A short name belongs to \
                  localhost/."
)]
pub struct Commit {
    /// Who made it
    #[arg(short, long, value_name = "TEXT")]
    pub author: Option<String>,
    /// Set how it is run, by an instruction of a Dockerfile
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// Take settings from this file: JSON, as `box inspect --format '{{json .Config}}'` prints it; they win
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The form of its manifest: oci or docker [default: oci]
    #[arg(short, long, value_name = "FORMAT", value_parser = ["oci", "docker"], hide_possible_values = true)]
    pub format: Option<String>,
    /// Write its id to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub iidfile: Option<PathBuf>,
    /// Declare a volume wherever the container has something mounted
    #[arg(long)]
    pub include_volumes: bool,
    /// A remark for its history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Let its processes go on meanwhile: docker's word for --pause=false
    #[arg(long, hide = true, conflicts_with = "pause")]
    pub no_pause: bool,
    /// Let its processes stand still meanwhile
    #[arg(short, long)]
    pub pause: bool,
    /// Show no progress (there is none)
    #[arg(short, long, hide = true)]
    pub quiet: bool,
    /// One layer of everything, instead of one more
    #[arg(short, long)]
    pub squash: bool,
    /// A name or id
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub container: String,
    /// A name for the image
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  box export -o web.tar web
  box export web | tar -x -C folder";

/// Write all files of a container as an archive
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box export [OPTIONS] CONTAINER",
    after_help = EXPORT_EXAMPLES,
    after_long_help = format!("{EXPORT_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Writes a tar archive of all files of a container, as they are now, without what is mounted in it."
)]
pub struct Export {
    /// Where to [default: stdout]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// A name or id
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub container: String,
}
