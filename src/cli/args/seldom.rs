//! Commands that are seldom typed: `init`, and `container clone`, `cleanup` and `runlabel`.

use super::access::AccessFlags;
use super::limits::ResourceFlags;
use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

/// Make sure that containers can be started
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box init [OPTIONS] CONTAINER...",
    after_long_help = EXIT_STATUS,
    long_about = "Does all that a start does before it makes processes, and prints what was typed for each container. A \
                  start that would fail for a missing layer, folder, device, secret or port fails here. box keeps nothing \
                  of it ready: `box start` does it again."
)]
pub struct Init {
    /// All containers that were never started
    #[arg(short, long, conflicts_with_all = ["latest", "containers"])]
    pub all: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "containers")]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest"],
          add = ArgValueCandidates::new(complete::containers))]
    pub containers: Vec<String>,
}

const CLONE_EXAMPLES: &str = "\
Examples:
  box container clone web                      web-clone, with the same configuration
  box container clone --run -m 1g web big      another one with more memory, started
  box container clone --destroy web web alpine:3.21   the same on another image, in its place";

/// Make a container with the configuration of another
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box container clone [OPTIONS] CONTAINER [NAME [IMAGE]]",
    after_help = CLONE_EXAMPLES,
    after_long_help = format!("{CLONE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Makes a container with the configuration of another one and prints its id. Volumes with names are \
                  shared; those without are made anew; what the other has written is not copied."
)]
pub struct Clone {
    /// Limits of its own.
    #[command(flatten)]
    pub resources: ResourceFlags,
    /// Remove the other container
    #[arg(long)]
    pub destroy: bool,
    /// With --destroy: even if it runs
    #[arg(short, long, requires = "destroy")]
    pub force: bool,
    /// Its name [default: the other's with -clone after it]
    #[arg(long, value_name = "NAME", conflicts_with = "clone_name")]
    pub name: Option<String>,
    /// Start it
    #[arg(long)]
    pub run: bool,
    /// A name or id
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub container: String,
    /// Its name
    #[arg(value_name = "NAME", id = "clone_name")]
    pub clone_name: Option<String>,
    /// Another image for it
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub image: Option<String>,
}

/// Tidy up after containers that have ended
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box container cleanup [OPTIONS] CONTAINER...",
    after_long_help = EXIT_STATUS,
    long_about = "Tidies up after containers that have ended, and prints what was typed for each. A container's monitor \
                  does that, and after a monitor that was killed, the next command of box: what is left to do is --rm and \
                  --rmi."
)]
pub struct Cleanup {
    /// All containers that do not run
    #[arg(short, long, conflicts_with_all = ["latest", "containers"])]
    pub all: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "containers")]
    pub latest: bool,
    /// Remove the container
    #[arg(long)]
    pub rm: bool,
    /// Remove its image, too, if nothing else uses it; implies --rm
    #[arg(long)]
    pub rmi: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest"],
          add = ArgValueCandidates::new(complete::containers))]
    pub containers: Vec<String>,
}

const RUNLABEL_EXAMPLES: &str = "\
Examples:
  box container runlabel --display run example.org/app    what would be run
  box container runlabel run example.org/app";

/// Run the command that a label of an image holds
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box container runlabel [OPTIONS] LABEL IMAGE [ARG...]",
    after_help = RUNLABEL_EXAMPLES,
    after_long_help = format!("{RUNLABEL_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Runs the command that a label of an image holds, with IMAGE and NAME, as words, ${IMAGE} or $IMAGE, \
                  replaced. It must be a command of box, docker or podman, and is run by box; anything else is refused, \
                  as is a shell."
)]
pub struct Runlabel {
    /// Only print the command
    #[arg(long)]
    pub display: bool,
    /// What NAME is replaced by [default: the last part of the image's name]
    #[arg(short, long, value_name = "NAME")]
    pub name: Option<String>,
    /// Do not print the command
    #[arg(short, long)]
    pub quiet: bool,
    /// Remove a container of this name first
    #[arg(long)]
    pub replace: bool,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// The label's key, such as run or install
    #[arg(value_name = "LABEL")]
    pub label: String,
    /// A name or id
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub image: String,
    /// Further words for the command
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}
