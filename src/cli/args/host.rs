//! Commands about box itself and its host.

use super::{EXIT_STATUS, GoBool, switches};
use clap::{Args, Subcommand};

const INFO_EXAMPLES: &str = "\
Examples:
  box info
  box info --format '{{.Host.Security.Rootless}}'
  box info --format '{{.Store.GraphDriverName}}'
  box info --config      what containers.conf says, and from where";

/// Print what this host and this box can do
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = INFO_EXAMPLES,
    after_long_help = format!("{INFO_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Prints, as YAML, what this host offers, what box uses of it, and what it keeps."
)]
pub struct Info {
    /// json, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Instead: what containers.conf says, whether box goes by it, and which file it is from
    #[arg(long, conflicts_with = "format")]
    pub config: bool,
}

const EVENTS_EXAMPLES: &str = "\
Examples:
  box events                                        what happens from now on, until Ctrl-C
  box events --since 1h --stream=false              what has happened in the last hour
  box events --filter event=died --format '{{.Name}} {{.ContainerExitCode}}'";

const EVENTS_DETAILS: &str = "\
Filters:
  container=NAME  event=WORD  image=NAME  label=K[=V]  type=container|image|volume|network|secret
  The same key twice means either; different keys mean both.

Fields of --format:
  .Attributes .ContainerExitCode .HealthStatus .ID .Image .Name .Status .Time .Type";

/// Print what happens to containers and images
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = EVENTS_EXAMPLES,
    after_long_help = format!("{EVENTS_EXAMPLES}\n\n{EVENTS_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Prints what happens to containers and images, a line each, as it happens; with --since what has \
                  happened before, too."
)]
pub struct Events {
    /// Also what has happened from this time on: 2026-11-21T09:30:00Z, unix seconds, or 10m for ten minutes ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// End at this time; a duration counts from now
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only those that fit: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// json for a line of JSON each, or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Print ids in full [default: true]
    #[arg(long, alias = "notruncate", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          hide_default_value = true, default_missing_value = "true", value_parser = GoBool, hide_possible_values = true,
          action = clap::ArgAction::Set)]
    pub no_trunc: bool,
    /// Go on when what has happened is printed [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", hide_default_value = true,
          default_missing_value = "true", value_parser = GoBool, hide_possible_values = true,
          action = clap::ArgAction::Set)]
    pub stream: bool,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  box doctor
  box doctor --fix       do what an ordinary user may do about it";

const DOCTOR_STATUS: &str = "\
Exit status:
  0    Everything works, if with notes.
  1    Something does not work.
  125  The host could not be examined.";

/// Say what this host lacks, and what to type
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = DOCTOR_EXAMPLES,
    after_long_help = format!("{DOCTOR_EXAMPLES}\n\n{DOCTOR_STATUS}"),
    long_about = "Examines the host and prints a line for each thing that box needs: ok, note (it works, but something is \
                  slower or missing) or bad, with the command that mends it, and last one command for root that does all."
)]
pub struct Doctor {
    /// Do what an ordinary user may do about it
    #[arg(long)]
    pub fix: bool,
}

/// `box system boot …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum BootVerb {
    /// Start containers with a restart policy after each reboot
    Enable,
    /// Start none
    Disable,
    /// Say which it is
    Status,
}

const VERSION_EXAMPLES: &str = "\
Examples:
  box version --format '{{.Client.Version}}'";

/// Print versions
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = VERSION_EXAMPLES,
    after_long_help = format!("{VERSION_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Prints the versions of box. There is no server; the fields that scripts ask one for are the same."
)]
pub struct Version {
    /// json, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
}

const UNSHARE_EXAMPLES: &str = "\
Examples:
  box unshare                          a root shell among one's own files
  box unshare cat /proc/self/uid_map   which ids those are
  box unshare rm -r ./data             what a container's other users have left";

/// Run a command as root in the user's own namespace
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "box unshare [COMMAND [ARG...]]",
    after_help = UNSHARE_EXAMPLES,
    after_long_help = format!("{UNSHARE_EXAMPLES}\n\nExit status:\n  The command's own; 126 if it cannot be invoked, 127 if \
                               there is none, 125 if box could not do it."),
    long_about = "Runs a command ($SHELL if none is given) in the user's own user namespace, in which the user is root \
                  and has the subordinate ids that containers use."
)]
pub struct Unshare {
    /// The command and its arguments
    #[arg(num_args = 0.., trailing_var_arg = true, value_name = "COMMAND", value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<std::ffi::OsString>,
}

/// Print the script that completes box's words in a shell
#[derive(Debug, Clone, Default, Args)]
#[command(
    long_about = "Prints the script that completes box's commands, flags, containers and images in a shell.",
    after_help = "Examples:\n  source <(box completion bash)\n  box completion fish > ~/.config/fish/completions/box.fish"
)]
pub struct Completion {
    /// Write it to this file [default: stdout]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<std::path::PathBuf>,
    /// Candidates without what they are for
    #[arg(long)]
    pub no_desc: bool,
    /// bash, zsh or fish
    #[arg(value_name = "SHELL", required = true, value_parser = ["bash", "zsh", "fish"])]
    pub shell: String,
}
