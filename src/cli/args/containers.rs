//! Commands on containers that exist.

use super::descriptors::DescriptorFlags;
use super::run::EXIT_STATUS as COMMAND_STATUS;
use super::{EXIT_STATUS, GoBool, switches};
use crate::cli::complete;
use clap::{ArgAction, Args, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

/// Which containers: names and ids, or all, or the latest, or those that fit.
#[derive(Debug, Clone, Default, Args)]
pub struct Chosen {
    /// All of them
    #[arg(short, long, conflicts_with_all = ["latest", "names"])]
    pub all: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "names")]
    pub latest: bool,
    /// Those that fit, as with `box ps`: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", conflicts_with_all = ["latest", "names"],
          add = ArgValueCandidates::new(complete::filters))]
    pub filter: Vec<String>,
    /// The one whose id is in this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["all", "latest", "filter"])]
    pub cidfile: Vec<PathBuf>,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest", "filter", "cidfile"],
          add = ArgValueCandidates::new(complete::containers))]
    pub names: Vec<String>,
}

const START_EXAMPLES: &str = "\
Examples:
  box start web          in the background
  box start -ai shell    with its terminal, until it ends";

/// Start containers that are not running
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box start [OPTIONS] CONTAINER...",
    after_help = START_EXAMPLES,
    after_long_help = format!("{START_EXAMPLES}\n\n{EXIT_STATUS}\n  With -a it is the command's own, as with `box run`."),
    long_about = "Starts containers that were made before and prints what was typed for each. One that is running \
                  already is left as it is."
)]
pub struct Start {
    /// Connect its output, and wait until it ends
    #[arg(short, long)]
    pub attach: bool,
    /// Connect stdin too, with -a
    #[arg(short, long)]
    pub interactive: bool,
    /// The keys that leave the container running [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Whether signals to box go to the command, with -a [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", hide_default_value = true,
          default_missing_value = "true", value_parser = GoBool, hide_possible_values = true, action = ArgAction::Set)]
    pub sig_proxy: bool,
    /// All that are not running
    #[arg(long, conflicts_with_all = ["latest", "names"])]
    pub all: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "names")]
    pub latest: bool,
    /// Those that fit, as with `box ps`: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE", conflicts_with_all = ["latest", "names"],
          add = ArgValueCandidates::new(complete::filters))]
    pub filter: Vec<String>,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest", "filter"],
          add = ArgValueCandidates::new(complete::containers))]
    pub names: Vec<String>,
}

const STOP_EXAMPLES: &str = "\
Examples:
  box stop web           SIGTERM, and SIGKILL after 10 seconds
  box stop -t 1 -a       everything, with little patience";

/// Stop containers: a signal, some patience, then SIGKILL
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    mut_arg("filter", |arg| arg.short('f')),
    override_usage = "box stop [OPTIONS] CONTAINER...",
    after_help = STOP_EXAMPLES,
    after_long_help = format!("{STOP_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Sends the container's stop signal, waits, sends SIGKILL, and prints what was typed for each. One \
                  that is not running is left as it is.\n\nA command that runs as process 1 without a handler of its \
                  own ignores SIGTERM; `box run --init` is the cure."
)]
pub struct Stop {
    /// How long to wait before SIGKILL; -1 for ever [default: the container's, else 10]
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", allow_negative_numbers = true)]
    pub time: Option<i64>,
    /// Send this signal first [default: the container's stop signal]
    #[arg(short, long, value_name = "SIGNAL", add = ArgValueCandidates::new(complete::signals))]
    pub signal: Option<String>,
    /// What does not exist is no error
    #[arg(short, long)]
    pub ignore: bool,
    /// Which.
    #[command(flatten)]
    pub chosen: Chosen,
}

const KILL_EXAMPLES: &str = "\
Examples:
  box kill web
  box kill -s HUP web    have it read its configuration again";

/// Send a signal to containers
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box kill [OPTIONS] CONTAINER...",
    after_help = KILL_EXAMPLES,
    after_long_help = format!("{KILL_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Sends a signal to process 1 of containers and prints what was typed for each. It is an error if one \
                  is not running."
)]
pub struct Kill {
    /// A name or a number [default: KILL]
    #[arg(short, long, value_name = "SIGNAL", add = ArgValueCandidates::new(complete::signals))]
    pub signal: Option<String>,
    /// Which.
    #[command(flatten)]
    pub chosen: Chosen,
}

const RM_EXAMPLES: &str = "\
Examples:
  box rm web
  box rm -f web          even if it is running
  box rm -fa             all of them";

const RM_STATUS: &str = "\
Exit status:
  0    All were removed.
  1    One did not exist.
  2    One is running; -f stops it first.
  125  Another failure.";

/// Remove containers
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box rm [OPTIONS] CONTAINER...",
    after_help = RM_EXAMPLES,
    after_long_help = format!("{RM_EXAMPLES}\n\n{RM_STATUS}"),
    long_about = "Removes containers with all that they have written, and prints what was typed for each."
)]
pub struct Rm {
    /// Stop it first if it is running; what does not exist is no error
    #[arg(short, long)]
    pub force: bool,
    /// What does not exist is no error
    #[arg(short, long)]
    pub ignore: bool,
    /// How long -f waits before SIGKILL; -1 for ever [default: the container's, else 10]
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", allow_negative_numbers = true, requires = "force")]
    pub time: Option<i64>,
    /// The anonymous volumes that were made for it go too
    #[arg(short, long)]
    pub volumes: bool,
    /// Those that require it (`--requires`) go too; with --all they do in any case
    #[arg(long)]
    pub depend: bool,
    /// Which.
    #[command(flatten)]
    pub chosen: Chosen,
}

const PS_EXAMPLES: &str = "\
Examples:
  box ps -a
  box ps -aq --filter status=exited
  box ps --format '{{.Names}}\\t{{.Ports}}'
  box ps --format json | jq -r '.[].Id'";

const PS_DETAILS: &str = "\
Filters:
  id=PREFIX       status=running|exited|created    label=K[=V]
  exited=CODE     ancestor=IMAGE                   label!=K[=V]
  name=REGEX      command=PART of its first word   volume=PATH
  before=CONTAINER, since=CONTAINER                until=TIME (made before it)
  network=NAME    publish=PORT, expose=PORT        pod=NAME (there are none yet)
  health=starting|healthy|unhealthy|none           should-start-on-boot=true|false
  restart-policy=no|always|on-failure|unless-stopped
  The same key twice means either (labels: both); different keys mean both.

Fields of --format:
  .AutoRemove .CIDFile .Command .Created .CreatedAt .CreatedHuman .ExitCode .Exited .ExitedAt
  .ExposedPorts .Health .ID .Image .ImageID .Label NAME .Labels .Mounts .Names .Networks .Pid
  .Ports .Restarts .RunningFor .Size .StartedAt .State .Status
  .Cgroup .IPC .MNT .NET .PIDNS .User .UTS: its namespaces";

/// List containers
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = PS_EXAMPLES,
    after_long_help = format!("{PS_EXAMPLES}\n\n{PS_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Lists containers: those that are running, or with -a all."
)]
pub struct Ps {
    /// Those that are not running, too
    #[arg(short, long)]
    pub all: bool,
    /// Only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// Only the container made last, in whatever state
    #[arg(short, long)]
    pub latest: bool,
    /// Only so many that were made last, in whatever state
    #[arg(short = 'n', long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub last: Option<i64>,
    /// Print ids and commands in full
    #[arg(long, alias = "notruncate")]
    pub no_trunc: bool,
    /// Only those that fit: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE", add = ArgValueCandidates::new(complete::filters))]
    pub filter: Vec<String>,
    /// json, or a Go template for each; `table` before it for headings
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// No line of headings
    #[arg(long)]
    pub noheading: bool,
    /// By what they are sorted [default: created]
    #[arg(long, value_name = "FIELD", hide_possible_values = true,
          value_parser = ["command", "created", "id", "image", "names", "runningfor", "size", "status"])]
    pub sort: Option<String>,
    /// Add the column SIZE: what the container has written, and with its image
    #[arg(short, long)]
    pub size: bool,
    /// Show pids and namespaces in place of the other columns
    #[arg(long, visible_alias = "namespace", conflicts_with_all = ["size", "quiet"])]
    pub ns: bool,
    /// Show it anew every so many seconds, until Ctrl-C
    #[arg(short, long, value_name = "SECONDS")]
    pub watch: Option<u64>,
}

const LOGS_EXAMPLES: &str = "\
Examples:
  box logs -f web                        what it writes, until it ends
  box logs --tail 20 -t web              the last lines, with times
  box logs --since 10m web 2>/dev/null   stdout of the last ten minutes";

/// Print what containers have written
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box logs [OPTIONS] CONTAINER...",
    after_help = LOGS_EXAMPLES,
    after_long_help = format!("{LOGS_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Prints what containers have written: their stdout to stdout, their stderr to stderr."
)]
pub struct Logs {
    /// Go on until the container ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only so many lines from the end; -1 or all for all
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    pub tail: Option<String>,
    /// Only from this time on: 2026-11-21T09:30:00Z, 2026-11-21, unix seconds, or 10m for ten minutes ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only until this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Put the time before each line
    #[arg(short, long)]
    pub timestamps: bool,
    /// Put the container's name before each line
    #[arg(short, long)]
    pub names: bool,
    /// Print each container's lines in a colour of its own, with its name or id before them
    #[arg(long)]
    pub color: bool,
    /// Accepted for docker's sake
    #[arg(long, hide = true)]
    pub details: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "containers")]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present = "latest", add = ArgValueCandidates::new(complete::containers))]
    pub containers: Vec<String>,
}

const EXEC_EXAMPLES: &str = "\
Examples:
  box exec -it web sh
  box exec -u nobody -w /tmp -e A=b web env
  box exec -i db psql < dump.sql";

/// Run a command in a running container
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box exec [OPTIONS] CONTAINER COMMAND [ARG...]",
    after_help = EXEC_EXAMPLES,
    after_long_help = format!("{EXEC_EXAMPLES}\n\n{COMMAND_STATUS}"),
    long_about = "Runs a command in a running container, with the container's environment and rights. What stands \
                  after CONTAINER is the command with its arguments."
)]
pub struct Exec {
    /// Descriptors.
    #[command(flatten)]
    pub preserve: DescriptorFlags,
    /// Accepted for podman's sake: box keeps no sessions
    #[arg(long, hide = true)]
    pub no_session: bool,
    /// Run in the background
    #[arg(short, long)]
    pub detach: bool,
    /// The keys that leave the command running [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Set a variable: NAME=VALUE, NAME to copy it from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub env_file: Vec<PathBuf>,
    /// Keep stdin open and pass it to the command
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Who it runs as [default: as the container]
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// The folder in which it begins [default: as the container]
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Give it all capabilities that the container's user namespace has
    #[arg(long)]
    pub privileged: bool,
    /// In the container made last
    #[arg(short, long)]
    pub latest: bool,
    /// In the container whose id is in this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "latest")]
    pub cidfile: Option<PathBuf>,
    /// A name or id; then the command and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "CONTAINER",
          add = ArgValueCandidates::new(complete::containers))]
    pub words: Vec<String>,
}

const ATTACH_EXAMPLES: &str = "\
Examples:
  box attach web         ctrl-p ctrl-q leaves it running (if it has a terminal)";

/// Connect the terminal to a running container
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box attach [OPTIONS] CONTAINER",
    after_help = ATTACH_EXAMPLES,
    after_long_help = format!("{ATTACH_EXAMPLES}\n\n{COMMAND_STATUS}"),
    long_about = "Connects the terminal to a running container: its output from now on, and its stdin if it was made \
                  with -i."
)]
pub struct Attach {
    /// The keys that leave the container running [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Do not pass stdin
    #[arg(long)]
    pub no_stdin: bool,
    /// Whether signals to box go to the command [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", hide_default_value = true,
          default_missing_value = "true", value_parser = GoBool, hide_possible_values = true, action = ArgAction::Set)]
    pub sig_proxy: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "container")]
    pub latest: bool,
    /// A name or id
    #[arg(value_name = "CONTAINER", required_unless_present = "latest", add = ArgValueCandidates::new(complete::containers))]
    pub container: Option<String>,
}

const WAIT_EXAMPLES: &str = "\
Examples:
  box wait job && echo done
  code=$(box wait job)";

/// Wait until containers end; print their exit codes
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box wait [OPTIONS] CONTAINER...",
    after_help = WAIT_EXAMPLES,
    after_long_help = format!("{WAIT_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Waits until containers have ended and prints the exit code of each, a line each, in the order of the \
                  arguments."
)]
pub struct Wait {
    /// What to wait for; several mean any of them; -1 is printed for another than an end [default: stopped]
    ///
    /// configured, created, initialized, running, paused, stopping, stopped, exited, removing, healthy or unhealthy.
    #[arg(long, value_name = "STATE", hide_possible_values = true,
          value_parser = ["configured", "created", "initialized", "running", "paused", "stopping", "stopped", "exited",
                          "removing", "healthy", "unhealthy"])]
    pub condition: Vec<String>,
    /// How long to sleep between two looks, where there is nothing to wait on: 250ms, 1s or milliseconds
    #[arg(short, long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// Go as soon as one of the containers is so
    #[arg(long)]
    pub exit_first_match: bool,
    /// What does not exist is no error; -1 is printed
    #[arg(long)]
    pub ignore: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "containers")]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present = "latest", add = ArgValueCandidates::new(complete::containers))]
    pub containers: Vec<String>,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  box inspect web | jq '.[0].State'
  box inspect -f '{{.State.Running}}' web
  box inspect -f '{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}' web
  box inspect -f '{{json .Config.Labels}}' web";

/// Print all that is known of containers, images, volumes and networks, as JSON
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box inspect [OPTIONS] NAME...",
    after_help = INSPECT_EXAMPLES,
    after_long_help = format!("{INSPECT_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Prints a JSON array with all that is known of each name: a container's, an image's, a volume's or a network's. What is \
                  found is printed even if another name is not."
)]
pub struct Inspect {
    /// json, or a Go template for each
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Add how much a container has written (SizeRw), and that with its image (SizeRootFs), in bytes
    #[arg(short, long)]
    pub size: bool,
    /// Look only for: container, image, volume, network or all [default: all, in this order]
    #[arg(short = 't', long = "type", value_name = "TYPE", hide_possible_values = true,
          value_parser = ["container", "image", "volume", "network", "all"])]
    pub kind: Option<String>,
    /// The container made last
    #[arg(short, long, conflicts_with = "names")]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "NAME", required_unless_present = "latest", add = ArgValueCandidates::new(complete::containers_and_images))]
    pub names: Vec<String>,
}

/// Print all that is known of containers, as JSON
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box container inspect [OPTIONS] CONTAINER...",
    after_long_help = EXIT_STATUS,
    long_about = "Prints a JSON array with all that is known of each container."
)]
pub struct InspectContainer {
    /// json, or a Go template for each
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Add how much it has written (SizeRw), and that with its image (SizeRootFs), in bytes
    #[arg(short, long)]
    pub size: bool,
    /// The container made last
    #[arg(short, long, conflicts_with = "names")]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present = "latest", add = ArgValueCandidates::new(complete::containers))]
    pub names: Vec<String>,
}

const EXISTS_STATUS: &str = "\
Exit status:
  0    It is there.
  1    It is not.
  125  That could not be found out.";

/// Exit with 0 if the container is there, with 1 if not
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box container exists CONTAINER",
    after_long_help = EXISTS_STATUS,
    long_about = "Says by its exit status whether there is such a container. Prints nothing."
)]
pub struct Exists {
    /// A name or id
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub name: String,
}
