//! More commands on containers: restart, rename, port, top, prune and what belongs to `box container`.

use super::containers::Chosen;
use super::{EXIT_STATUS, GoBool, switches};
use crate::cli::complete;
use clap::{Args, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

/// How a container lives: what `run` and `create` say of its restarts, health, log and end.
#[derive(Debug, Clone, Default, Args)]
pub struct LifeOptions {
    /// Start it again when it ends: no, on-failure[:TIMES], always or unless-stopped [default: no]
    ///
    /// The pause before is 100 ms, twice as long after each further run that lasts less than ten seconds, at most a
    /// minute. `box stop` and `box kill` end it for good. After a reboot: `box system boot enable`.
    #[arg(long, value_name = "POLICY", help_heading = "The container")]
    pub restart: Option<String>,
    /// Remove a container of the same name first
    #[arg(long, requires = "name", help_heading = "The container")]
    pub replace: bool,
    /// Read labels from a file, KEY=VALUE in each line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "The container")]
    pub label_file: Vec<PathBuf>,
    /// Write the pid of the command, as the host counts, to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "The container")]
    pub pidfile: Option<PathBuf>,
    /// Write the pid of the process that stays with the container to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true, help_heading = "The container")]
    pub conmon_pidfile: Option<PathBuf>,
    /// Kill the container after so many seconds
    #[arg(long, value_name = "SECONDS", help_heading = "The container")]
    pub timeout: Option<u64>,
    /// How the log is kept: max-size=, max-file=, path=, tag=, labels=, env= [default: max-size=10m, max-file=3]
    ///
    /// max-size=BYTES (-1: no limit) and max-file=NUMBER say when files are rotated and how many there are, path=FILE
    /// where the first one is (of journald: its socket). tag=TEXT, in which {{.Name}}, {{.ID}}, {{.FullID}},
    /// {{.ImageName}} and {{.ImageID}} are replaced, labels=KEY,... and env=NAME,... are put into each record of
    /// json-file and journald.
    #[arg(long, value_name = "KEY=VALUE", help_heading = "The container")]
    pub log_opt: Vec<String>,
    /// Start these containers first, if they do not run; they cannot be removed before it
    #[arg(long, value_name = "CONTAINER,...", value_delimiter = ',', help_heading = "The container",
          add = ArgValueCandidates::new(complete::containers))]
    pub requires: Vec<String>,
    /// Who tells systemd that a unit of Type=notify is up: container, conmon, healthy or ignore [default: container]
    ///
    /// Only where systemd has set NOTIFY_SOCKET. With container the command gets it and says READY=1 itself; with
    /// conmon box does when the command runs, with healthy when its health check has succeeded. But for ignore, box
    /// tells which process is to be watched: the one that stays with the container.
    #[arg(long, value_name = "WHO", value_parser = ["container", "conmon", "healthy", "ignore"], hide_short_help = true,
          hide_possible_values = true, help_heading = "The container")]
    pub sdnotify: Option<String>,
    /// There are no pods yet
    #[arg(long, hide = true)]
    pub pod: Option<String>,

    /// How its health is checked.
    #[command(flatten)]
    pub health: HealthOptions,
}

/// How a container's health is checked.
#[derive(Debug, Clone, Default, Args)]
pub struct HealthOptions {
    /// Check the health by this command: a line for the shell, or a JSON array; none for no check
    #[arg(long, alias = "healthcheck-command", value_name = "COMMAND", help_heading = "Health")]
    pub health_cmd: Option<String>,
    /// How long to wait between checks; disable for none by themselves [default: the image's, else 30s]
    #[arg(long, alias = "healthcheck-interval", value_name = "DURATION", help_heading = "Health")]
    pub health_interval: Option<String>,
    /// How long a check may take [default: the image's, else 30s]
    #[arg(long, alias = "healthcheck-timeout", value_name = "DURATION", help_heading = "Health")]
    pub health_timeout: Option<String>,
    /// How long after the start failures do not count [default: the image's, else 0s]
    #[arg(long, alias = "healthcheck-start-period", value_name = "DURATION", help_heading = "Health")]
    pub health_start_period: Option<String>,
    /// How long to wait between checks in that time [default: the image's, else 5s]
    #[arg(long, value_name = "DURATION", help_heading = "Health")]
    pub health_start_interval: Option<String>,
    /// So many failures in a row make it unhealthy [default: the image's, else 3]
    #[arg(long, alias = "healthcheck-retries", value_name = "NUMBER", help_heading = "Health")]
    pub health_retries: Option<u32>,
    /// What happens then: none, kill, restart or stop [default: none]
    #[arg(long, value_name = "ACTION", value_parser = ["none", "kill", "restart", "stop"], hide_possible_values = true,
          help_heading = "Health")]
    pub health_on_failure: Option<String>,
    /// How many results are kept; 0 for all [default: 5]
    #[arg(long, value_name = "NUMBER", hide_short_help = true, help_heading = "Health")]
    pub health_max_log_count: Option<usize>,
    /// Where results are written besides: a folder, events_logger for the events, or local for nowhere [default: local]
    #[arg(long, value_name = "WHERE", hide_short_help = true, help_heading = "Health")]
    pub health_log_destination: Option<String>,
    /// How many bytes of each are kept; 0 for all [default: 500]
    #[arg(long, value_name = "BYTES", hide_short_help = true, help_heading = "Health")]
    pub health_max_log_size: Option<usize>,
    /// Leave out the image's health check
    #[arg(long, help_heading = "Health")]
    pub no_healthcheck: bool,
    /// The check while it comes up.
    #[command(flatten)]
    pub startup: StartupOptions,
}

/// The check of a container that comes up.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Health")]
pub struct StartupOptions {
    /// Check with this command until it succeeds, and only then as --health-cmd says
    #[arg(long, value_name = "COMMAND")]
    pub health_startup_cmd: Option<String>,
    /// How long to wait between these checks [default: 30s]
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub health_startup_interval: Option<String>,
    /// How long such a check may take [default: 30s]
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub health_startup_timeout: Option<String>,
    /// So many failures in all start the container anew; 0 for never [default: 0]
    #[arg(long, value_name = "NUMBER", hide_short_help = true)]
    pub health_startup_retries: Option<u32>,
    /// It has to succeed so often [default: 1]
    #[arg(long, value_name = "NUMBER", hide_short_help = true)]
    pub health_startup_success: Option<u32>,
}

/// `box healthcheck …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum HealthcheckVerb {
    /// Check a container's health now
    Run(HealthcheckRun),
}

const HEALTHCHECK_STATUS: &str = "\
Exit status:
  0    The check succeeded.
  1    It failed.
  125  There is no check, or the container does not run.";

/// Check a container's health now
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "box healthcheck run CONTAINER",
    after_long_help = HEALTHCHECK_STATUS,
    long_about = "Runs the container's health check once and keeps the result as if its time had come."
)]
pub struct HealthcheckRun {
    /// A name or id
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub container: String,
}

const RESTART_EXAMPLES: &str = "\
Examples:
  box restart web
  box restart -t 1 -a    all that run, with little patience";

/// Stop containers and start them again
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    mut_arg("filter", |arg| arg.short('f')),
    override_usage = "box restart [OPTIONS] CONTAINER...",
    after_help = RESTART_EXAMPLES,
    after_long_help = format!("{RESTART_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Stops containers as `box stop` does, starts them again, and prints what was typed for each. One that \
                  does not run is started."
)]
pub struct Restart {
    /// How long to wait before SIGKILL; -1 for ever [default: the container's, else 10]
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", allow_negative_numbers = true)]
    pub time: Option<i64>,
    /// Send this signal first [default: the container's stop signal]
    #[arg(short, long, value_name = "SIGNAL", add = ArgValueCandidates::new(complete::signals))]
    pub signal: Option<String>,
    /// Of those that are chosen, only the ones that run
    #[arg(long)]
    pub running: bool,
    /// Which.
    #[command(flatten)]
    pub chosen: Chosen,
}

const RENAME_EXAMPLES: &str = "\
Examples:
  box rename web old-web";

/// Give a container another name
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "box rename CONTAINER NAME",
    after_help = RENAME_EXAMPLES,
    after_long_help = format!("{RENAME_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Gives a container another name; it may run. Prints nothing."
)]
pub struct Rename {
    /// A name or id
    #[arg(value_name = "CONTAINER", add = ArgValueCandidates::new(complete::containers))]
    pub container: String,
    /// The new name
    pub name: String,
}

const PORT_EXAMPLES: &str = "\
Examples:
  box port web           80/tcp -> 0.0.0.0:8080
  box port web 80        0.0.0.0:8080
  box port -a            of all that run";

/// Print which ports of the host lead into containers
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box port [OPTIONS] CONTAINER [PORT[/PROTOCOL]]",
    after_help = PORT_EXAMPLES,
    after_long_help = format!("{PORT_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Prints the published ports of a container, a line each; with PORT only where that one is reached. It \
                  is an error if PORT is not published."
)]
pub struct Port {
    /// Of all that run
    #[arg(short, long, conflicts_with_all = ["latest", "words"])]
    pub all: bool,
    /// Of the container made last
    #[arg(short, long)]
    pub latest: bool,
    /// A name or id; then a port of the container's
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest"], num_args = 1..=2,
          add = ArgValueCandidates::new(complete::containers))]
    pub words: Vec<String>,
}

const TOP_EXAMPLES: &str = "\
Examples:
  box top web
  box top web pid hpid user huser args    these columns
  box top web -eo pid,comm                arguments of ps(1), which is the host's";

const TOP_DETAILS: &str = "\
Columns:
  args comm etime group hgroup hpid huser nice pcpu pgid pid ppid rss state stime time tty user vsz
  capamb capbnd capeff capinh capprm seccomp label
  hpid, huser and hgroup are as the host sees them, the others as the container does.";

/// List the processes of a container
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box top [OPTIONS] CONTAINER [COLUMN...|PS-OPTION...]",
    after_help = TOP_EXAMPLES,
    after_long_help = format!("{TOP_EXAMPLES}\n\n{TOP_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Lists the processes of a running container. What stands after CONTAINER are columns, or options of \
                  the host's ps(1), of whose lines those of the container are shown; without either: user pid ppid \
                  pcpu etime tty time comm. On a terminal the table stays and is drawn anew until Ctrl-C, or until the \
                  container ends."
)]
pub struct Top {
    /// Of the container made last
    #[arg(short, long)]
    pub latest: bool,
    /// Once, on a terminal, too
    #[arg(long)]
    pub no_stream: bool,
    /// Seconds between two looks, on a terminal [default: 2]
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub interval: Option<u32>,
    /// A name or id; then columns, or options of ps(1)
    #[arg(required_unless_present = "latest", num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true, value_name = "CONTAINER",
          add = ArgValueCandidates::new(complete::containers))]
    pub words: Vec<String>,
}

const CP_EXAMPLES: &str = "\
Examples:
  box cp ./site web:/srv/           the folder into /srv
  box cp ./site/. web:/srv/www      what is in it
  box cp web:/etc/passwd .
  box cp one:/data two:/data
  box cp web:/var/log - | tar t     as a tar stream; the other way with - first";

const CP_DETAILS: &str = "\
Rules:
  A file goes to a new name, over a file, or into a folder. A folder goes to a new name, or into
  a folder; FOLDER/. means what is in it. A new name's folder must be there.
  Links are copied as links; -L follows the one that is named.";

/// Copy files between the host and containers
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box cp [OPTIONS] [CONTAINER:]FROM [CONTAINER:]TO",
    after_help = CP_EXAMPLES,
    after_long_help = format!("{CP_EXAMPLES}\n\n{CP_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Copies a file or folder into a container, out of one, or from one to another; - is a tar stream. A \
                  container need not run."
)]
pub struct Cp {
    /// What comes into a container belongs to the container's user; with =false, to whom it belonged [default: true]
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", hide_default_value = true,
          default_missing_value = "true", value_parser = GoBool, hide_possible_values = true,
          action = clap::ArgAction::Set)]
    pub archive: bool,
    /// Follow a link that is named as FROM
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// A folder may take the place of a file, and a file that of a folder
    #[arg(long)]
    pub overwrite: bool,
    /// A path, CONTAINER:PATH, or -
    #[arg(value_name = "FROM", value_hint = ValueHint::AnyPath, add = ArgValueCandidates::new(complete::containers))]
    pub from: String,
    /// A path, CONTAINER:PATH, or -
    #[arg(value_name = "TO", value_hint = ValueHint::AnyPath, add = ArgValueCandidates::new(complete::containers))]
    pub to: String,
}

const PRUNE_EXAMPLES: &str = "\
Examples:
  box container prune
  box container prune -f --filter until=24h";

/// Remove all containers that do not run
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box container prune [OPTIONS]",
    after_help = PRUNE_EXAMPLES,
    after_long_help = format!("{PRUNE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Removes all containers that do not run, after a question, and prints their ids."
)]
pub struct Prune {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only those that fit, as with `box ps`: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", add = ArgValueCandidates::new(complete::filters))]
    pub filter: Vec<String>,
}
