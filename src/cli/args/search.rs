//! `search`.

use super::access::AccessFlags;
use super::{EXIT_STATUS, switches};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  box search quay.io/fedora
  box search --filter is-official --limit 5 alpine
  box search --list-tags --limit 100 quay.io/fedora/fedora";

const DETAILS: &str = "\
Filters:
  stars=NUMBER  is-official[=BOOL]  is-automated[=BOOL]

Fields of --format:
  .Index .Name .Description .Stars .Official .Automated .Tag";

/// Search registries for images
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Searches a registry, or, for a short word, all those that registries.conf names for short names. A \
                  registry without a search is asked for the list of its repositories."
)]
pub struct Search {
    /// Like docker: no column with the registry
    #[arg(long)]
    pub compatible: bool,
    /// Only those that fit: KEY[=VALUE]
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// json, or a Go template for each; `table` before it for headings
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// The most results of each registry, or tags
    #[arg(long, value_name = "NUMBER", default_value_t = 25)]
    pub limit: usize,
    /// The tags of a repository
    #[arg(long)]
    pub list_tags: bool,
    /// Print descriptions in full
    #[arg(long)]
    pub no_trunc: bool,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// [REGISTRY/]WORD
    #[arg(value_name = "TERM", required = true)]
    pub term: String,
}
