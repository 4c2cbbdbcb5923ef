//! Commands on manifest lists.

use super::access::{AccessFlags, RetryFlags};
use super::trust::SigningFlags;
use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::{Args, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

/// `box manifest …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum ManifestVerb {
    /// Make a manifest list, of images or empty
    Create(Create),
    /// Add images to a manifest list
    Add(Add),
    /// Change what a manifest list says of an image
    Annotate(Annotate),
    /// Print a manifest list, or a manifest of a registry, as JSON
    Inspect(Inspect),
    /// Send a manifest list with its images to a registry
    Push(Push),
    /// Remove manifest lists
    Rm(Rm),
    /// Take an image out of a manifest list
    Remove(Remove),
    /// Exit with 0 if the manifest list is there, with 1 if not
    Exists(Exists),
}

const EXAMPLES: &str = "\
Examples:
  box manifest create app
  box manifest add app localhost/app-amd64
  box manifest add --all app docker://quay.io/team/app:arm
  box manifest push app docker://quay.io/team/app:1
  box run --rm quay.io/team/app:1";

/// Make a manifest list, of images or empty
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box manifest create [OPTIONS] LIST [IMAGE...]",
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Makes a manifest list in the store: one name for images for several platforms. Prints its id."
)]
pub struct Create {
    /// From lists, take all images
    #[arg(long)]
    pub all: bool,
    /// Use a list of that name if there is one
    #[arg(short, long)]
    pub amend: bool,
    /// Annotate the list: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// A name
    #[arg(value_name = "LIST", required = true)]
    pub list: String,
    /// Names or ids of images of the store, or docker://NAME
    #[arg(value_name = "IMAGE", add = ArgValueCandidates::new(complete::images))]
    pub images: Vec<String>,
}

/// What is said of an image.
#[derive(Debug, Clone, Default, Args)]
pub struct MarkFlags {
    /// Annotate the image: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// The processor, such as arm64
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<String>,
    /// What the processor must offer
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub features: Vec<String>,
    /// The operating system
    #[arg(long, value_name = "OS")]
    pub os: Option<String>,
    /// What the operating system must offer
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub os_features: Vec<String>,
    /// The operating system's version
    #[arg(long, value_name = "VERSION")]
    pub os_version: Option<String>,
    /// The processor's variant, such as v7
    #[arg(long, value_name = "VARIANT")]
    pub variant: Option<String>,
}

/// Add images to a manifest list
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box manifest add [OPTIONS] LIST IMAGE...",
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Adds images to a manifest list. One that the store does not have is fetched from its registry, to be \
                  sent when the list is. Prints the list's id."
)]
pub struct Add {
    /// From lists, add all images
    #[arg(long)]
    pub all: bool,
    /// What is said of them.
    #[command(flatten)]
    pub marks: MarkFlags,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// The list
    #[arg(value_name = "LIST", required = true, add = ArgValueCandidates::new(complete::images))]
    pub list: String,
    /// Names or ids of images of the store, or docker://NAME
    #[arg(value_name = "IMAGE", required = true, add = ArgValueCandidates::new(complete::images))]
    pub images: Vec<String>,
}

/// Change what a manifest list says of an image
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box manifest annotate [OPTIONS] LIST IMAGE",
    after_long_help = EXIT_STATUS,
    long_about = "Changes platform and annotations of an image in a manifest list, or, with --index, annotations of the \
                  list itself. Prints the list's id."
)]
pub struct Annotate {
    /// Annotate the list itself
    #[arg(long, conflicts_with_all = ["arch", "os", "variant", "image", "features", "os_features", "os_version"])]
    pub index: bool,
    /// What is said.
    #[command(flatten)]
    pub marks: MarkFlags,
    /// The list
    #[arg(value_name = "LIST", required = true, add = ArgValueCandidates::new(complete::images))]
    pub list: String,
    /// A digest, or an image of the store
    #[arg(value_name = "IMAGE", required_unless_present = "index")]
    pub image: Option<String>,
}

/// Print a manifest list, or a manifest of a registry, as JSON
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box manifest inspect [OPTIONS] LIST",
    after_long_help = EXIT_STATUS,
    long_about = "Prints a manifest list of the store, or what a registry has under a name."
)]
pub struct Inspect {
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// A list, or a name in a registry
    #[arg(value_name = "LIST", required = true, add = ArgValueCandidates::new(complete::images))]
    pub list: String,
}

/// Send a manifest list with its images to a registry
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box manifest push [OPTIONS] LIST [DESTINATION]",
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Sends a manifest list, and the images that it lists, to a registry."
)]
pub struct Push {
    /// With the images that it lists [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = super::GoBool, hide_possible_values = true)]
    pub all: Option<bool>,
    /// Add a variant of each image that is packed so: gzip, zstd or zstd:chunked
    #[arg(long, value_name = "FORMAT", value_parser = ["gzip", "zstd", "zstd:chunked"], hide_possible_values = true)]
    pub add_compression: Vec<String>,
    /// How layers are packed.
    #[command(flatten)]
    pub packing: super::push::Packing,
    /// Write the list's digest into this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub digestfile: Option<PathBuf>,
    /// The list's form: oci or v2s2 [default: as it is]
    #[arg(short, long, value_name = "FORMAT", value_parser = ["oci", "v2s2"], hide_possible_values = true)]
    pub format: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Send no signatures along (none are)
    #[arg(long)]
    pub remove_signatures: bool,
    /// Remove the list from the store when it is sent
    #[arg(short_alias = 'p', long, alias = "purge")]
    pub rm: bool,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// What to do about failures that pass.
    #[command(flatten)]
    pub retry: RetryFlags,
    /// The list
    #[arg(value_name = "LIST", required = true, add = ArgValueCandidates::new(complete::images))]
    pub list: String,
    /// [docker://]REGISTRY/NAME[:TAG] [default: where the name says]
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// With what to sign it.
    #[command(flatten)]
    pub signing: SigningFlags,
}

/// Remove manifest lists
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box manifest rm [OPTIONS] LIST...",
    after_long_help = EXIT_STATUS,
    long_about = "Removes manifest lists from the store. Images that have names of their own stay."
)]
pub struct Rm {
    /// What does not exist is no error
    #[arg(short, long)]
    pub ignore: bool,
    /// Lists
    #[arg(value_name = "LIST", required = true, add = ArgValueCandidates::new(complete::images))]
    pub lists: Vec<String>,
}

/// Take an image out of a manifest list
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "box manifest remove LIST DIGEST",
    after_long_help = EXIT_STATUS,
    long_about = "Takes the image with this digest out of a manifest list. Prints the list's id."
)]
pub struct Remove {
    /// The list
    #[arg(value_name = "LIST", required = true, add = ArgValueCandidates::new(complete::images))]
    pub list: String,
    /// The digest of the image's manifest
    #[arg(value_name = "DIGEST", required = true)]
    pub digest: String,
}

/// Exit with 0 if the manifest list is there, with 1 if not
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "box manifest exists LIST",
    after_long_help = "Exit status:\n  0    It is there.\n  1    It is not.\n  125  That could not be found out.",
    long_about = "Says by its exit status whether there is such a manifest list. Prints nothing."
)]
pub struct Exists {
    /// The list
    #[arg(value_name = "LIST", required = true, add = ArgValueCandidates::new(complete::images))]
    pub list: String,
}
