//! Commands on signatures: `image sign`, `image trust`, `image attestation`.

use super::access::AccessFlags;
use super::{EXIT_STATUS, switches};
use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

const SIGN_EXAMPLES: &str = "\
Examples:
  box image sign --sign-by-sigstore-private-key key.pem quay.io/team/app:1
  box image sign --sign-by ann@example.org --directory ./signatures quay.io/team/app:1";

/// With what to sign what is pushed.
#[derive(Debug, Clone, Default, Args)]
pub struct SigningFlags {
    /// Sign it with a key of the caller's ring of GnuPG, into the lookaside of registries.d
    #[arg(long, value_name = "KEY", conflicts_with = "sign_by_sigstore_private_key")]
    pub sign_by: Option<String>,
    /// Sign it with a private key in PEM, as cosign does
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sign_by_sigstore_private_key: Option<PathBuf>,
    /// A file with the passphrase of the key [default: GnuPG's agent, or $COSIGN_PASSWORD]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sign_passphrase_file: Option<PathBuf>,
}

/// Sign images that a registry has
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box image sign [OPTIONS] IMAGE...",
    after_help = SIGN_EXAMPLES,
    after_long_help = format!("{SIGN_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Signs what a registry has under a name: with a key of GnuPG into a folder (a lookaside), or with a \
                  private key in PEM into the registry, where cosign and podman find it."
)]
pub struct Sign {
    /// The images of a manifest list, too
    #[arg(short, long)]
    pub all: bool,
    /// Put signatures of GnuPG into this folder [default: the lookaside of registries.d]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// A key of the caller's ring of GnuPG
    #[arg(
        long,
        value_name = "KEY",
        required_unless_present = "sign_by_sigstore_private_key",
        conflicts_with = "sign_by_sigstore_private_key"
    )]
    pub sign_by: Option<String>,
    /// A file with a private key, as cosign makes it or in PKCS#8; ECDSA P-256 or Ed25519
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sign_by_sigstore_private_key: Option<PathBuf>,
    /// A file with the passphrase of the key [default: GnuPG's agent, or $COSIGN_PASSWORD]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sign_passphrase_file: Option<PathBuf>,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// Names in registries
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}

/// `box image trust …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum TrustVerb {
    /// Show which images may come in
    Show(Show),
    /// Set which images of a registry may come in
    Set(Set),
}

/// Show which images may come in
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_long_help = EXIT_STATUS,
    long_about = "Shows what policy.json asks of images: ~/.config/containers/policy.json, else \
                  /etc/containers/policy.json. Without either, all are accepted."
)]
pub struct Show {
    /// As JSON
    #[arg(short, long)]
    pub json: bool,
    /// No line of headings
    #[arg(short, long)]
    pub noheading: bool,
    /// The file as it is
    #[arg(long)]
    pub raw: bool,
    /// Only what holds for this registry or repository
    #[arg(value_name = "SCOPE")]
    pub scope: Option<String>,
}

const SET_EXAMPLES: &str = "\
Examples:
  box image trust set --type reject default
  box image trust set --type accept quay.io/fedora
  box image trust set --type sigstoreSigned --pubkeysfile key.pub quay.io/team";

/// Set which images of a registry may come in
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = SET_EXAMPLES,
    after_long_help = format!("{SET_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Sets what policy.json asks of the images of a registry, namespace or repository; `default` is all \
                  that is not named. An ordinary user's file is ~/.config/containers/policy.json."
)]
pub struct Set {
    /// Files with public keys
    #[arg(short = 'f', long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pubkeysfile: Vec<PathBuf>,
    /// accept, reject, signedBy (GnuPG) or sigstoreSigned (cosign)
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "signedBy", hide_possible_values = true,
          value_parser = ["accept", "reject", "signedBy", "sigstoreSigned"])]
    pub kind: String,
    /// A registry, a namespace, a repository, or `default`
    #[arg(value_name = "SCOPE", required = true)]
    pub scope: String,
}

const ATTESTATION_EXAMPLES: &str = "\
Examples:
  box image attestation quay.io/team/app:1             what is attached
  box image attestation quay.io/team/app:1 3f2a91      read one of them";

/// List or read what is attached to an image of a registry
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = ATTESTATION_EXAMPLES,
    after_long_help = format!("{ATTESTATION_EXAMPLES}\n\nFields of --format:\n  .Digest .Type .MediaType .Predicate .Size\n\n{EXIT_STATUS}"),
    long_about = "Lists the signatures, attestations and SBOMs that a registry has for an image, or prints one of them as \
                  it is."
)]
pub struct AttestationArgs {
    /// json, or a Go template for each; `table` before it for headings
    #[arg(long, value_name = "FORMAT", conflicts_with = "digest")]
    pub format: Option<String>,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// A name in a registry
    #[arg(value_name = "IMAGE", required = true)]
    pub image: String,
    /// The beginning of a digest from the list
    #[arg(value_name = "DIGEST")]
    pub digest: Option<String>,
}
