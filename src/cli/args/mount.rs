//! `mount` and `unmount`, of images and of containers.

use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

const IMAGE_EXAMPLES: &str = "\
Examples:
  box unshare
  ls $(box image mount alpine)      in the shell that this gives
  box unshare sh -c 'cp $(box image mount alpine)/etc/os-release .'";

/// Mount images, read-only, and print where
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box image mount [OPTIONS] [IMAGE...]",
    after_help = IMAGE_EXAMPLES,
    after_long_help = format!("{IMAGE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Mounts images, read-only, and prints where; without names it lists what is mounted. An ordinary user's \
                  mounts live in the shell of `box unshare` and go with it."
)]
pub struct MountImage {
    /// All images
    #[arg(short, long, conflicts_with = "names")]
    pub all: bool,
    /// json, of what is mounted
    #[arg(long, value_name = "FORMAT", value_parser = ["json"], hide_possible_values = true)]
    pub format: Option<String>,
    /// Names or ids
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub names: Vec<String>,
}

/// Unmount images
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box image unmount [OPTIONS] IMAGE...",
    after_long_help = EXIT_STATUS,
    long_about = "Unmounts images that `box image mount` has mounted, and prints their ids."
)]
pub struct UnmountImage {
    /// All that are mounted
    #[arg(short, long, conflicts_with = "names")]
    pub all: bool,
    /// At once, even if somebody is at work there
    #[arg(short, long)]
    pub force: bool,
    /// Names or ids
    #[arg(value_name = "IMAGE", required_unless_present = "all", add = ArgValueCandidates::new(complete::images))]
    pub names: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  box unshare
  vi $(box mount web)/etc/nginx/nginx.conf     in the shell that this gives";

/// Mount the files of containers and print where
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box mount [OPTIONS] [CONTAINER...]",
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Mounts the files of containers and prints where; without names it lists what is mounted. Of a container \
                  that runs, the place is where the kernel shows them. What is written there is the container's, which is not to be \
                  started as long as it is mounted. An ordinary user's mounts live in the shell of `box unshare` and go \
                  with it."
)]
pub struct Mount {
    /// All containers
    #[arg(short, long, conflicts_with_all = ["names", "latest"])]
    pub all: bool,
    /// json, of what is mounted
    #[arg(long, value_name = "FORMAT", value_parser = ["json"], hide_possible_values = true)]
    pub format: Option<String>,
    /// The container made last
    #[arg(short, long, conflicts_with = "names")]
    pub latest: bool,
    /// Print ids in full
    #[arg(long, alias = "notruncate")]
    pub no_trunc: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub names: Vec<String>,
}

/// Unmount the files of containers
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box unmount [OPTIONS] CONTAINER...",
    after_long_help = EXIT_STATUS,
    long_about = "Unmounts what `box mount` has mounted, and prints the containers' ids."
)]
pub struct Unmount {
    /// All that are mounted
    #[arg(short, long, conflicts_with_all = ["names", "latest"])]
    pub all: bool,
    /// At once, even if somebody is at work there
    #[arg(short, long)]
    pub force: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "names")]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest"],
          add = ArgValueCandidates::new(complete::containers))]
    pub names: Vec<String>,
}
