//! Commands that look at one image, and those that are only below `box image`.

use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::{ArgAction, Args};
use clap_complete::engine::ArgValueCandidates;

const HISTORY_EXAMPLES: &str = "\
Examples:
  box history alpine
  box history --no-trunc --format '{{.CreatedBy}}' alpine";

const HISTORY_DETAILS: &str = "\
Fields of --format:
  .ID .Created .CreatedAt .CreatedSince .CreatedBy .Size .Comment .Tags";

/// Show how an image was made
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box history [OPTIONS] IMAGE",
    after_help = HISTORY_EXAMPLES,
    after_long_help = format!("{HISTORY_EXAMPLES}\n\n{HISTORY_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Shows the steps by which an image was made, the last first, with the size of the layer that each made."
)]
pub struct History {
    /// json, or a Go template for each step; `table` before it for headings
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Sizes and times for people; `--human=false`: bytes and RFC 3339 [default: true]
    #[arg(short = 'H', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          hide_default_value = true, default_missing_value = "true", value_parser = super::GoBool,
          hide_possible_values = true, action = ArgAction::Set)]
    pub human: bool,
    /// Print ids and commands in full
    #[arg(long, alias = "notruncate")]
    pub no_trunc: bool,
    /// Of images for several platforms, the one for this: OS/ARCH[/VARIANT] [default: this host's]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// A name or id
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub image: String,
}

const UNTAG_EXAMPLES: &str = "\
Examples:
  box untag alpine                    all its names
  box untag alpine localhost/base:1   this one";

/// Take names away from an image
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "box untag IMAGE [NAME...]",
    after_help = UNTAG_EXAMPLES,
    after_long_help = format!("{UNTAG_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Takes names away from an image, all if none is given. The image stays, under its id."
)]
pub struct Untag {
    /// A name or id
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub image: String,
    /// Names of that image
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::images))]
    pub names: Vec<String>,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  box diff web
  box image diff debian:12 debian:11";

/// Show what a container has changed
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box diff [OPTIONS] CONTAINER|IMAGE [IMAGE]",
    after_help = DIFF_EXAMPLES,
    after_long_help = format!("{DIFF_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Shows what a container has changed of its image, or what the last layer of an image changes of those below, or \
                  what one image has changed of another: a line for each path, with A for added, C for changed and D for \
                  deleted."
)]
pub struct Diff {
    /// json: the paths of each kind
    #[arg(long, value_name = "FORMAT", value_parser = ["json"], hide_possible_values = true)]
    pub format: Option<String>,
    /// The container made last
    #[arg(short, long, conflicts_with = "names")]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "NAME", required_unless_present = "latest", num_args = 1..=2,
          add = ArgValueCandidates::new(complete::containers_and_images))]
    pub names: Vec<String>,
}

const TREE_EXAMPLES: &str = "\
Examples:
  box image tree alpine
  box image tree --whatrequires alpine   the images made on top of it";

/// Show the layers of an image as a tree
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box image tree [OPTIONS] IMAGE",
    after_help = TREE_EXAMPLES,
    after_long_help = format!("{TREE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Shows the layers of an image from the lowest up, each with its size and the names of the images that \
                  end there."
)]
pub struct Tree {
    /// The layers that other images put on top of it, instead
    #[arg(long)]
    pub whatrequires: bool,
    /// A name or id
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub image: String,
}

const SCP_EXAMPLES: &str = "\
Examples:
  box image scp alpine ann@example.org::          from here to there
  box image scp ann@example.org::alpine           from there to here
  box image scp one::alpine two:2222::            from there to there";

/// Copy an image to another host, or from one, over ssh
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box image scp [OPTIONS] [[USER@]HOST[:PORT]::]IMAGE [[USER@]HOST[:PORT]::]",
    after_help = SCP_EXAMPLES,
    after_long_help = format!("{SCP_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Copies an image from host to host: `save` on one side of ssh, `load` on the other. The other host needs \
                  box, podman or docker. How it is reached is a matter of ~/.ssh/config."
)]
pub struct Scp {
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Where it is, and its name or id
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub image: String,
    /// Where it goes [default: here]
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,
}

/// What both prunes of content have.
#[derive(Debug, Clone, Default, Args)]
pub struct PruneArgs {
    /// All images that no container uses, not only those without a name
    #[arg(short, long)]
    pub all: bool,
    /// Only what fits: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Say what would go and how much that frees, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// The filters of both.
pub const PRUNE_FILTERS: &str = "\
Filters:
  until=TIME    made before this time, or longer ago than this duration (24h)
  label=K[=V]   with this label
  label!=K[=V]  without it";

const PRUNE_EXAMPLES: &str = "\
Examples:
  box image prune                 images without a name
  box image prune -a --dry-run    what would go if all unused images went
  box image prune -af --filter until=240h";

/// Remove images that are not used
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box image prune [OPTIONS]",
    after_help = PRUNE_EXAMPLES,
    after_long_help = format!("{PRUNE_EXAMPLES}\n\n{PRUNE_FILTERS}\n\n{EXIT_STATUS}"),
    long_about = "Removes images that have no name and that no container uses, with -a those that have one too, and all \
                  content that nothing reaches. Prints their ids."
)]
pub struct Prune {
    /// What.
    #[command(flatten)]
    pub prune: PruneArgs,
}
