//! Commands on images.

use super::access::{AccessFlags, RetryFlags};
use super::platform::PlatformFlags;
use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

const PULL_EXAMPLES: &str = "\
Examples:
  box pull alpine                              docker.io/library/alpine:latest
  box pull quay.io/fedora/fedora:42
  box pull alpine@sha256:DIGEST                exactly this one
  box pull --all-tags quay.io/team/app
  box pull oci:./folder:tag                    from an OCI layout
  box pull docker-archive:image.tar            from an archive";

/// Fetch images from registries
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box pull [OPTIONS] IMAGE...",
    after_help = PULL_EXAMPLES,
    after_long_help = format!("{PULL_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Fetches images and prints the id of each on stdout; progress goes to stderr. Registries, mirrors and \
                  short names are those of registries.conf; credentials are those of auth.json and docker's \
                  config.json. Everything is verified against its digest before it gets a name."
)]
pub struct Pull {
    /// All tags of the repositories
    #[arg(short, long)]
    pub all_tags: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Which of several images.
    #[command(flatten)]
    pub platform: PlatformFlags,
    /// When to ask the registry: always, missing, newer or never [default: always]
    #[arg(long, value_name = "POLICY", ignore_case = true, hide_possible_values = true,
          value_parser = ["always", "missing", "never", "newer", "ifmissing", "ifnotpresent", "ifnewer"])]
    pub policy: Option<String>,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// What to do about failures that pass.
    #[command(flatten)]
    pub retry: RetryFlags,
    /// Names
    #[arg(value_name = "IMAGE", required = true, add = ArgValueCandidates::new(complete::images))]
    pub images: Vec<String>,
}

const IMAGES_EXAMPLES: &str = "\
Examples:
  box images
  box images -q --filter dangling=true
  box images --format '{{.Repository}}:{{.Tag}}'";

const IMAGES_DETAILS: &str = "\
Filters:
  reference=GLOB  dangling=true|false    id=PREFIX        label=K[=V]
  before=IMAGE    since=IMAGE            until=TIME       digest=PREFIX
  containers=true|false                  intermediate=true|false
  readonly=true|false                    manifest=true|false
  The same key twice means either (labels: both); different keys mean both. KEY!=VALUE means that it does not fit.

Fields of --format:
  .ID .Id .Repository .Tag .Digest .Created .CreatedAt .CreatedSince .Size .VirtualSize .Labels
  .Names .RepoTags .RepoDigests .Containers .Dangling .Arch .Os";

/// List images
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = IMAGES_EXAMPLES,
    after_long_help = format!("{IMAGES_EXAMPLES}\n\n{IMAGES_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Lists images, those made last first, a line for each name."
)]
pub struct Images {
    /// All images (there are no hidden ones)
    #[arg(short, long, hide = true)]
    pub all: bool,
    /// Show digests
    #[arg(long)]
    pub digests: bool,
    /// Only those that fit: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// json, or a Go template for each; `table` before it for headings
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Show the names that each image has had
    #[arg(long)]
    pub history: bool,
    /// Print ids in full
    #[arg(long, alias = "notruncate")]
    pub no_trunc: bool,
    /// No line of headings
    #[arg(short = 'n', long)]
    pub noheading: bool,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// By created, id, repository, size or tag [default: created]
    #[arg(long, value_name = "KEY", value_parser = ["created", "id", "repository", "size", "tag"],
          hide_possible_values = true)]
    pub sort: Option<String>,
    /// Show below each image for which platforms it is, and what of it is here
    #[arg(long, conflicts_with_all = ["format", "history", "no_trunc", "quiet", "digests", "sort"])]
    pub tree: bool,
    /// Only those with this name
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::images))]
    pub name: Option<String>,
}

const RMI_EXAMPLES: &str = "\
Examples:
  box rmi alpine
  box rmi -f alpine      with the containers that use it";

const RMI_STATUS: &str = "\
Exit status:
  0    All were removed.
  1    One did not exist, and nothing else failed.
  2    One is used by a container; -f removes that too.
  125  Another failure.";

/// Remove images
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box rmi [OPTIONS] IMAGE...",
    after_help = RMI_EXAMPLES,
    after_long_help = format!("{RMI_EXAMPLES}\n\n{RMI_STATUS}"),
    long_about = "Takes names away from images; an image without a name is deleted, with all layers that no other \
                  image or container uses."
)]
pub struct Rmi {
    /// All of them
    #[arg(short, long, conflicts_with = "images")]
    pub all: bool,
    /// Remove the containers that use it, too
    #[arg(short, long)]
    pub force: bool,
    /// What does not exist is no error
    #[arg(short, long)]
    pub ignore: bool,
    /// Keep untagged parents (there are none here)
    #[arg(long, hide = true)]
    pub no_prune: bool,
    /// Only the image for this platform, of those of one list: OS/ARCH[/VARIANT]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', conflicts_with = "all")]
    pub platform: Vec<String>,
    /// Names or ids
    #[arg(value_name = "IMAGE", required_unless_present = "all", add = ArgValueCandidates::new(complete::images))]
    pub images: Vec<String>,
}

const TAG_EXAMPLES: &str = "\
Examples:
  box tag alpine localhost/base:1 localhost/base:latest";

/// Give an image another name
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "box tag IMAGE NAME...",
    after_help = TAG_EXAMPLES,
    after_long_help = format!("{TAG_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Gives an image more names. A name that another image has is taken from it."
)]
pub struct Tag {
    /// A name or id
    #[arg(value_name = "IMAGE", required = true, add = ArgValueCandidates::new(complete::images))]
    pub image: String,
    /// New names
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}

const LOAD_EXAMPLES: &str = "\
Examples:
  box load -i alpine.tar.gz
  skopeo copy docker://alpine docker-archive:/dev/stdout:alpine | box load";

/// Read images from an archive
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = LOAD_EXAMPLES,
    after_long_help = format!("{LOAD_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Reads images from an archive of `docker save`, `podman save` or an OCI layout, compressed or not."
)]
pub struct Load {
    /// The archive, or the folder of an OCI layout [default: stdin]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub input: Option<PathBuf>,
    /// The image for this platform, of those that there are: OS/ARCH[/VARIANT] [default: this host's]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// Print all that is known of images, as JSON
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box image inspect [OPTIONS] IMAGE...",
    after_long_help = EXIT_STATUS,
    long_about = "Prints a JSON array with all that is known of each image."
)]
pub struct InspectImage {
    /// json, or a Go template for each
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Of images for several platforms, the one for this: OS/ARCH[/VARIANT] [default: this host's]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Names or ids
    #[arg(value_name = "IMAGE", required = true, add = ArgValueCandidates::new(complete::images))]
    pub names: Vec<String>,
}

/// Exit with 0 if the image is there, with 1 if not
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "box image exists IMAGE",
    after_long_help = "Exit status:\n  0    It is there.\n  1    It is not.\n  125  That could not be found out.",
    long_about = "Says by its exit status whether there is such an image. Prints nothing."
)]
pub struct Exists {
    /// A name or id
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub name: String,
}
