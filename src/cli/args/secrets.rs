//! `box secret …`.

use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

const REMOVE_STATUS: &str = "\
Exit status:
  0    All were removed.
  1    One did not exist, and nothing else failed.
  125  Another failure.";

/// `box secret …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum SecretVerb {
    /// Make a secret
    Create(Create),
    /// List secrets
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Print what is known of secrets, but for their values, as JSON
    Inspect(Inspect),
    /// Remove secrets
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Exit with 0 if the secret is there, with 1 if not
    Exists(Exists),
}

const CREATE_EXAMPLES: &str = "\
Examples:
  box secret create key ./id_ed25519
  printf '%s' \"$TOKEN\" | box secret create token -
  box secret create --env token TOKEN
  box run --rm --secret key,mode=0400 --secret token,type=env,target=API_TOKEN IMAGE";

const CREATE_DETAILS: &str = "\
Drivers:
  file   In the data folder, mode 0600. The default.
  pass   Encrypted by gpg in the password store of pass(1). Options: root, key, gpghomedir.
  shell  Kept by commands of your own, which find the secret's id in $SECRET_ID: store (the value on
         stdin), lookup (the value on stdout), delete.";

/// Make a secret
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box secret create [OPTIONS] NAME FILE|-",
    after_help = CREATE_EXAMPLES,
    after_long_help = format!("{CREATE_EXAMPLES}\n\n{CREATE_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Makes a secret of a file's bytes, or of stdin's for -, and prints its id. Containers are given it with \
                  --secret."
)]
pub struct Create {
    /// file, pass or shell [default: file]
    #[arg(short, long, value_name = "DRIVER")]
    pub driver: Option<String>,
    /// Set options of the driver: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub driver_opts: Vec<String>,
    /// Take the value from the variable that FILE names
    #[arg(long)]
    pub env: bool,
    /// One that is there already is no error, and stays as it is
    #[arg(long, conflicts_with = "replace")]
    pub ignore: bool,
    /// Attach a label: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Replace one that is there already
    #[arg(long)]
    pub replace: bool,
    /// Its name
    #[arg(value_name = "NAME", required = true)]
    pub name: String,
    /// Where its value is
    #[arg(value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    pub file: String,
}

/// List secrets
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_long_help = format!(
        "Filters:\n  name=PATTERN (a regular expression)   id=PREFIX\n\nFields of --format:\n  .ID .Name .Driver \
         .CreatedAt .UpdatedAt .Labels\n\n{EXIT_STATUS}"
    ),
    long_about = "Lists secrets by name."
)]
pub struct Ls {
    /// Only those that fit: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// json, or a Go template for each; `table` before it for headings
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// No line of headings
    #[arg(short, long)]
    pub noheading: bool,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
}

/// Print what is known of secrets, but for their values, as JSON
#[derive(Debug, Clone, Default, Args)]
#[command(mut_args = switches, override_usage = "box secret inspect [OPTIONS] SECRET...", after_long_help = EXIT_STATUS)]
pub struct Inspect {
    /// A Go template for each, or json
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// A line a field, for people
    #[arg(long, conflicts_with = "format")]
    pub pretty: bool,
    /// The values, too
    #[arg(long)]
    pub showsecret: bool,
    /// Names or ids
    #[arg(value_name = "SECRET", required = true, add = ArgValueCandidates::new(complete::secrets))]
    pub names: Vec<String>,
}

/// Remove secrets
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box secret rm [OPTIONS] SECRET...",
    after_long_help = REMOVE_STATUS,
    long_about = "Removes secrets and prints the id of each. A container that is given one runs on, but does not start again."
)]
pub struct Rm {
    /// All of them
    #[arg(short, long, conflicts_with = "names")]
    pub all: bool,
    /// What does not exist is no error
    #[arg(short, long)]
    pub ignore: bool,
    /// Names or ids
    #[arg(value_name = "SECRET", required_unless_present = "all", add = ArgValueCandidates::new(complete::secrets))]
    pub names: Vec<String>,
}

/// Exit with 0 if the secret is there, with 1 if not
#[derive(Debug, Clone, Default, Args)]
pub struct Exists {
    /// Its name or id
    #[arg(value_name = "SECRET", required = true, add = ArgValueCandidates::new(complete::secrets))]
    pub name: String,
}
