//! `box system …`: the host and all of the store at once.

use super::image::{PRUNE_FILTERS, PruneArgs};
use super::{EXIT_STATUS, switches};
use clap::{Args, Subcommand};

/// `box system …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum SystemVerb {
    /// Verify what is stored
    Check(Check),
    /// Show what images, containers and volumes take on the disk
    Df(Df),
    /// Stop everything, so that the next command begins with the host as it is now
    Migrate(Migrate),
    /// Remove all that is not used
    Prune(Prune),
    /// Remove everything
    Reset(Reset),
    /// Start containers with a restart policy after a reboot
    #[command(subcommand)]
    Boot(super::host::BootVerb),
    /// Print what happens to containers and images
    Events(super::host::Events),
    /// Print what this host and this box can do
    Info(super::host::Info),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  box system check
  box system check --repair   fetch again what is damaged";

/// Verify what is stored
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box system check [OPTIONS]",
    after_help = CHECK_EXAMPLES,
    after_long_help = format!("{CHECK_EXAMPLES}\n\nExit status:\n  0    All is well, or was put right.\n  125  Something is damaged."),
    long_about = "Reads every blob of every image and compares it with its digest, unpacks every layer once more and compares \
                  the files, and prints a line for what is not as it should be. With --repair, layers are unpacked anew, and \
                  what cannot be put right from the store is fetched again from where it came."
)]
pub struct Check {
    /// Only look whether everything is there
    #[arg(short, long)]
    pub quick: bool,
    /// Put right what is damaged
    #[arg(short, long)]
    pub repair: bool,
    /// Remove images that cannot be repaired, and the containers made of them
    #[arg(short, long, requires = "repair")]
    pub force: bool,
}

const DF_EXAMPLES: &str = "\
Examples:
  box system df
  box system df -v
  box system df --format '{{.Type}} {{.Size}}'";

const DF_DETAILS: &str = "\
Fields of --format:
  .Type .Total .Active .Size .Reclaimable .RawSize .RawReclaimable .TotalCount";

/// Show what images, containers and volumes take on the disk
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box system df [OPTIONS]",
    after_help = DF_EXAMPLES,
    after_long_help = format!("{DF_EXAMPLES}\n\n{DF_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Shows what is used on the disk, in allocated blocks: the compressed blobs of images as well as their \
                  unpacked layers. What several images share is counted once. RECLAIMABLE is what `box image prune -a` \
                  and `box container prune` would free. Leftovers are what is kept of pulls that were broken off, and \
                  content that is not collected yet."
)]
pub struct Df {
    /// Each image, container and volume
    #[arg(short, long, conflicts_with = "format")]
    pub verbose: bool,
    /// json, or a Go template for each line; `table` before it for headings
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

const PRUNE_EXAMPLES: &str = "\
Examples:
  box system prune                containers that do not run, and images without a name
  box system prune -a --dry-run   how much room could be made";

/// Remove all that is not used
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box system prune [OPTIONS]",
    after_help = PRUNE_EXAMPLES,
    after_long_help = format!("{PRUNE_EXAMPLES}\n\n{PRUNE_FILTERS}\n\n{EXIT_STATUS}"),
    long_about = "Removes containers that do not run, images that have no name and that no container uses (with -a those \
                  that have one too), and all content that nothing reaches."
)]
pub struct Prune {
    /// What.
    #[command(flatten)]
    pub prune: PruneArgs,
    /// Anonymous volumes that no container has, too
    #[arg(long)]
    pub volumes: bool,
}

/// Stop everything, so that the next command begins with the host as it is now
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box system migrate",
    after_long_help = EXIT_STATUS,
    long_about = "Stops all containers, with the patience that each has, and prints a line for each; lets go of the user \
                  namespace that they shared, and forgets which storage driver works. The next command reads /etc/subuid \
                  and /etc/subgid anew and tries the drivers again: for after a change of subordinate ids, a new kernel \
                  or the installation of fuse-overlayfs. Files keep the ids that they have. Stores of earlier versions \
                  need no migration: they are read as they are."
)]
pub struct Migrate {}

/// Remove everything
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box system reset [OPTIONS]",
    after_long_help = EXIT_STATUS,
    long_about = "Stops and removes all containers, and removes all images, volumes, secrets and networks: what remains is as \
                  before box was first used. Configuration and credentials stay."
)]
pub struct Reset {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}
