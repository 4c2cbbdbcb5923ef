//! Commands that send images away: `push` and `save`.

use super::access::{AccessFlags, RetryFlags};
use super::trust::SigningFlags;
use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

const PUSH_EXAMPLES: &str = "\
Examples:
  box push quay.io/team/app:1                      where its name says
  box push app quay.io/team/app:1                  somewhere else
  box push --digestfile digest quay.io/team/app:1
  box push app oci:./folder:1                      into an OCI layout
  box push app dir:./folder                        into a folder of blobs";

const PUSH_DETAILS: &str = "\
Destinations:
  [docker://]REGISTRY/NAME[:TAG]   a registry
  oci:FOLDER[:TAG]                 a folder with an OCI layout
  oci-archive:FILE[:TAG]           an archive of one
  docker-archive:FILE[:NAME]       an archive for `docker load`
  dir:FOLDER                       a folder with manifest.json and blobs

Layers are sent as they are stored, so that digests stay what they are. --compression-format packs those that are not \
packed at all; with --force-compression those that are packed otherwise, too.";

/// Send images to registries
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box push [OPTIONS] IMAGE [DESTINATION]",
    after_help = PUSH_EXAMPLES,
    after_long_help = format!("{PUSH_EXAMPLES}\n\n{PUSH_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Sends an image to a registry, an archive or a folder. What the registry has is not sent again; what \
                  another of its repositories has is mounted there. Progress goes to stderr."
)]
pub struct Push {
    /// All images of the store that have this repository in their name
    #[arg(short, long, conflicts_with = "destination")]
    pub all_tags: bool,
    /// How layers are packed.
    #[command(flatten)]
    pub packing: Packing,
    /// Pack layers with gzip: the same as --compression-format gzip
    #[arg(long, conflicts_with = "compression_format")]
    pub compress: bool,
    /// Write the manifest's digest into this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub digestfile: Option<PathBuf>,
    /// The manifest's form: oci or v2s2 [default: as it is]
    #[arg(short, long, value_name = "FORMAT", value_parser = ["oci", "v2s2"], hide_possible_values = true)]
    pub format: Option<String>,
    /// The image for this platform, of those that there are: OS/ARCH[/VARIANT] [default: all of a list]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Send no signatures along (none are, unless asked for)
    #[arg(long)]
    pub remove_signatures: bool,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// What to do about failures that pass.
    #[command(flatten)]
    pub retry: RetryFlags,
    /// A name or id
    #[arg(value_name = "IMAGE", required = true, add = ArgValueCandidates::new(complete::images))]
    pub image: String,
    /// Where to [default: where the name says]
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// With what to sign it.
    #[command(flatten)]
    pub signing: SigningFlags,
}

const SAVE_EXAMPLES: &str = "\
Examples:
  box save -o alpine.tar alpine
  box save alpine debian | ssh HOST box load
  box save --format oci-dir -o ./layout alpine";

/// Write images into an archive
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box save [OPTIONS] IMAGE...",
    after_help = SAVE_EXAMPLES,
    after_long_help = format!("{SAVE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Writes images into an archive that `docker load`, `podman load` and `box load` read, with the layers as \
                  they are stored, so that digests stay what they are."
)]
pub struct Save {
    /// Pack layers with gzip that are not packed
    #[arg(long, conflicts_with = "uncompressed")]
    pub compress: bool,
    /// docker-archive, oci-archive, or the folders oci-dir and docker-dir
    #[arg(long, value_name = "FORMAT", default_value = "docker-archive", hide_possible_values = true,
          value_parser = ["docker-archive", "oci-archive", "oci-dir", "docker-dir"])]
    pub format: String,
    /// Several images (they may be several without it, too)
    #[arg(short, long)]
    pub multi_image_archive: bool,
    /// The file or folder [default: stdout]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub output: Option<PathBuf>,
    /// The image for this platform, of those that there are: OS/ARCH[/VARIANT] [default: this host's]
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Unpack layers
    #[arg(long)]
    pub uncompressed: bool,
    /// Names or ids
    #[arg(value_name = "IMAGE", required = true, add = ArgValueCandidates::new(complete::images))]
    pub images: Vec<String>,
}

/// How layers are packed on their way to a registry.
#[derive(Debug, Clone, Default, Args)]
pub struct Packing {
    /// Pack layers: gzip, zstd or zstd:chunked
    #[arg(long, value_name = "FORMAT", value_parser = ["gzip", "zstd", "zstd:chunked"], hide_possible_values = true)]
    pub compression_format: Option<String>,
    /// How hard to pack: 1 to 9 for gzip, 1 to 20 for zstd
    #[arg(long, value_name = "LEVEL", requires = "compression_format",
          value_parser = clap::value_parser!(i32).range(1..=20))]
    pub compression_level: Option<i32>,
    /// Pack layers anew that are packed otherwise
    #[arg(long, requires = "compression_format")]
    pub force_compression: bool,
}
