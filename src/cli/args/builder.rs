//! `builder` and `buildx`: what is around builds.

use super::access::{AccessFlags, RetryFlags};
use super::build::Build;
use super::tree::Family;
use super::{EXIT_STATUS, switches};
use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

/// `box builder …`, `box buildx …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum BuilderVerb {
    /// Make an image from a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<Build>),
    /// Build what a file describes
    #[command(visible_alias = "f")]
    Bake(Box<Bake>),
    /// List what builds have left for later ones
    Du(Du),
    /// Remove what builds have left for later ones
    Prune(Prune),
    /// Look at images of registries, and put lists of them together there
    Imagetools(Family<ImagetoolsVerb>),
    /// List the builders: there is one
    Ls(Ls),
    /// Show what the builder can do
    Inspect(Inspect),
    /// Choose the builder: there is one
    Use(Use),
    /// Print the version
    Version(Version),
}

const DU_EXAMPLES: &str = "\
Examples:
  box builder du
  box builder du --filter until=24h --verbose
  box builder du --format json";

const FILTERS: &str = "\
Filters:
  id=DIGITS         the beginning of its id
  type=KIND         regular, source.local or exec.cachemount
  until=DURATION    not used for so long: 24h
  shared=BOOL       whether an image or a container has its layer, too
  description~=TEXT the step that made it, with this text in it";

/// List what builds have left for later ones
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box builder du [OPTIONS]",
    after_help = DU_EXAMPLES,
    after_long_help = format!("{DU_EXAMPLES}\n\n{FILTERS}\n\n{EXIT_STATUS}"),
    long_about = "Lists the results of steps and the folders of cache mounts that builds have left, what was used last \
                  first. What an image has, too, is not reclaimable: to let it go frees nothing."
)]
pub struct Du {
    /// Only these; see `box builder du --help`
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// json, or a Go template, perhaps with `table` before it
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Show all that is known of each
    #[arg(long)]
    pub verbose: bool,
    /// Only there for docker's habit.
    #[arg(long, value_name = "NAME", hide = true, value_parser = ["default"])]
    pub builder: Option<String>,
}

const PRUNE_EXAMPLES: &str = "\
Examples:
  box builder prune
  box builder prune -f --filter until=168h
  box builder prune -f --max-used-space 10gb";

/// Remove what builds have left for later ones
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box builder prune [OPTIONS]",
    after_help = PRUNE_EXAMPLES,
    after_long_help = format!("{PRUNE_EXAMPLES}\n\n{FILTERS}\n\n{EXIT_STATUS}"),
    long_about = "Removes results of steps and folders of cache mounts, what was used longest ago first. What a build \
                  works on at the moment stays."
)]
pub struct Prune {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only these; see `box builder prune --help`
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Keep what was used last, up to this size: 10gb
    #[arg(long, alias = "keep-storage", alias = "reserved-space", value_name = "SIZE")]
    pub max_used_space: Option<String>,
    /// Remove no more when so much is free on the disk
    #[arg(long, value_name = "SIZE")]
    pub min_free_space: Option<String>,
    /// Show all that is known of each
    #[arg(long)]
    pub verbose: bool,
    /// All are removed that fit, also without it
    #[arg(short, long, hide = true)]
    pub all: bool,
    /// Only there for docker's habit.
    #[arg(long, value_name = "NAME", hide = true, value_parser = ["default"])]
    pub builder: Option<String>,
}

/// `box buildx imagetools …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum ImagetoolsVerb {
    /// Show what a registry has under a name
    Inspect(ImagetoolsInspect),
    /// Make a manifest list of images, in a registry
    Create(ImagetoolsCreate),
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  box buildx imagetools inspect alpine
  box buildx imagetools inspect --raw alpine
  box buildx imagetools inspect --format '{{json .Manifest}}' alpine";

/// Show what a registry has under a name
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box builder imagetools inspect [OPTIONS] NAME",
    after_help = INSPECT_EXAMPLES,
    after_long_help = format!("{INSPECT_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Shows the manifest or the manifest list that a registry has under a name, without fetching the image."
)]
pub struct ImagetoolsInspect {
    /// Print the bytes as they are
    #[arg(long, conflicts_with = "format")]
    pub raw: bool,
    /// A Go template: .Name and .Manifest
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// The image
    #[arg(value_name = "NAME")]
    pub name: String,
}

const CREATE_EXAMPLES: &str = "\
Examples:
  box buildx imagetools create -t quay.io/team/app:1 quay.io/team/app:1-amd64 quay.io/team/app:1-arm64
  box buildx imagetools create -t quay.io/team/app:latest quay.io/team/app:1";

/// Make a manifest list of images, in a registry
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box builder imagetools create [OPTIONS] -t NAME SOURCE...",
    after_help = CREATE_EXAMPLES,
    after_long_help = format!("{CREATE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Makes a manifest list of images that registries have, and sends it under the names of -t. The images go \
                  through this host, as they are stored, if they are not in the same repository."
)]
pub struct ImagetoolsCreate {
    /// A name for the list
    #[arg(short, long, value_name = "NAME", required = true)]
    pub tag: Vec<String>,
    /// Annotate the list: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Add to the list that has the first name already
    #[arg(long)]
    pub append: bool,
    /// Only print the list
    #[arg(long)]
    pub dry_run: bool,
    /// Read names of sources from a file, one in each line
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Vec<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// What to do about failures that pass.
    #[command(flatten)]
    pub retry: RetryFlags,
    /// Images and lists of registries
    #[arg(value_name = "SOURCE", required_unless_present_any = ["file", "append"])]
    pub sources: Vec<String>,
}

/// List the builders: there is one
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = EXIT_STATUS, long_about = "Lists the one builder, which is box itself.")]
pub struct Ls {
    /// json, or a Go template, perhaps with `table` before it
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Show what the builder can do
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_long_help = EXIT_STATUS,
    long_about = "Shows the platforms that can be built for: this machine's, and those that programs of binfmt_misc run."
)]
pub struct Inspect {
    /// Nothing has to be started
    #[arg(long, hide = true)]
    pub bootstrap: bool,
    /// Only `default`
    #[arg(value_name = "NAME", value_parser = ["default"], hide_possible_values = true)]
    pub name: Option<String>,
}

/// Choose the builder: there is one
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = EXIT_STATUS, long_about = "Does nothing: there is one builder, `default`, which is box itself.")]
pub struct Use {
    /// It is the default anyway
    #[arg(long, hide = true)]
    pub default: bool,
    /// Only `default`
    #[arg(value_name = "NAME", value_parser = ["default"], hide_possible_values = true)]
    pub name: String,
}

/// Print the version
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, after_long_help = EXIT_STATUS, long_about = "Prints the version of the builder, which is box itself.")]
pub struct Version {}

const BAKE_EXAMPLES: &str = "\
Examples:
  box buildx bake
  box buildx bake -f docker-bake.hcl web db
  box buildx bake --set '*.platform=linux/arm64' --print";

/// Build what a file describes
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box buildx bake [OPTIONS] [TARGET...]",
    after_help = BAKE_EXAMPLES,
    after_long_help = format!("{BAKE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Builds the targets of docker-bake.hcl, docker-bake.json or a compose file in this folder, or of the \
                  files that are given, one after the other; without names, the group `default`."
)]
pub struct Bake {
    /// A file, or `-`; several lie over each other
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Vec<String>,
    /// Change a target: TARGET.KEY=VALUE, with `*` in its name; += adds
    #[arg(long, value_name = "TARGET.KEY=VALUE")]
    pub set: Vec<String>,
    /// Show what would be built, as JSON, and build nothing
    #[arg(long)]
    pub print: bool,
    /// Send the images to their registries
    #[arg(long)]
    pub push: bool,
    /// Keep the images in the store, as is done anyway
    #[arg(long, hide = true)]
    pub load: bool,
    /// Do all steps anew
    #[arg(long)]
    pub no_cache: bool,
    /// Ask the registry for newer base images
    #[arg(long)]
    pub pull: bool,
    /// auto, plain, tty, rawjson, quiet or none
    #[arg(long, value_name = "FORM")]
    pub progress: Option<String>,
    /// Write what was made to this file, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metadata_file: Option<PathBuf>,
    /// Only there for docker's habit.
    #[arg(long, value_name = "NAME", hide = true, value_parser = ["default"])]
    pub builder: Option<String>,
    /// Targets and groups
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
}
