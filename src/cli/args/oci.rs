//! `oci`: box as the OCI runtime of other engines, with the words of runc and crun.

use super::switches;
use clap::{ArgAction, Args, Subcommand, ValueHint};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  podman --runtime /usr/local/bin/box-oci run --rm alpine true    box-oci is a link to box
  box oci spec && box oci run demo                                a bundle in this folder, by hand
  box oci create demo && box oci start demo && box oci state demo";

/// What follows the program's name for `--version`, in the form of runc's.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

/// Be the OCI runtime of podman, containerd or CRI-O
#[derive(Debug, Clone, Args)]
#[command(
    mut_args = switches,
    version = VERSION,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES,
    long_about = "The command line that containerd, podman and CRI-O drive an OCI runtime with. A program name \
                  `box-oci`, as by a link to box, means the same. Its containers are not those of `box ps`: each has a \
                  folder below --root (by default $XDG_RUNTIME_DIR/box/oci, for root /run/box/oci), and no process of \
                  box stays with it."
)]
pub struct Oci {
    /// Append errors to this file, too
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,
    /// How they are written there: text or json [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], hide_possible_values = true)]
    pub log_format: Option<String>,
    /// Log each command as it begins, too
    #[arg(long)]
    pub debug: bool,
    /// systemd makes the cgroups: linux.cgroupsPath is SLICE:PREFIX:NAME
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Who makes them: cgroupfs, systemd or disabled [default: cgroupfs]
    #[arg(long, value_name = "MANAGER", value_parser = ["cgroupfs", "systemd", "disabled"], hide_possible_values = true,
          conflicts_with = "systemd_cgroup")]
    pub cgroup_manager: Option<String>,
    /// Print the version, and that of the specification
    #[arg(short = 'v', long, action = ArgAction::Version)]
    pub version: Option<bool>,
    /// What to do
    #[command(subcommand)]
    pub verb: OciVerb,
}

/// The verbs of an OCI runtime.
#[derive(Debug, Clone, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum OciVerb {
    /// Make the container of a bundle; its command waits to be started
    Create(Create),
    /// Start the command of a created container
    Start(Id),
    /// Create and start a container; stay until it ends
    Run(Run),
    /// Print a container's state, as JSON
    State(Id),
    /// Send a signal to a container's process 1
    Kill(Kill),
    /// Delete a container that has stopped
    Delete(Delete),
    /// Run one more process in a container
    Exec(Exec),
    /// Stop all processes of a container, for a while
    Pause(Id),
    /// Let the processes of a paused container go on
    Resume(Id),
    /// Change the limits of a container
    Update(Update),
    /// Print what a container uses, as JSON
    Events(Events),
    /// List the processes of a container
    Ps(Ps),
    /// List containers
    List(List),
    /// Write a config.json to begin with
    Spec(Spec),
    /// Print what this runtime can do, as JSON
    Features,
    /// Refused: saving a running container needs criu
    Checkpoint(Checkpoint),
    /// Refused: see checkpoint
    Restore(Checkpoint),
}

/// A container.
#[derive(Debug, Clone, Args)]
pub struct Id {
    /// The container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Where a new process's terminal and pid go.
#[derive(Debug, Clone, Args)]
pub struct Ends {
    /// Send the terminal's master to this socket
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    pub console_socket: Option<PathBuf>,
    /// Write the process's pid to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pid_file: Option<PathBuf>,
    /// Hand on this many descriptors from 3 on, beside those of LISTEN_FDS
    #[arg(long, value_name = "COUNT")]
    pub preserve_fds: Option<u16>,
}

/// What `create` and `run` share.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct Making {
    /// The folder with config.json [default: this folder]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub bundle: Option<PathBuf>,
    /// Where things go.
    #[command(flatten)]
    pub ends: Ends,
    /// Enter the root by chroot, where the host's root cannot be pivoted; what is below it is not out of reach
    #[arg(long)]
    pub no_pivot: bool,
    /// Leave the caller's session keyring to the command
    #[arg(long)]
    pub no_new_keyring: bool,
    /// The container's name
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `oci create`.
#[derive(Debug, Clone, Args)]
pub struct Create {
    /// All of it.
    #[command(flatten)]
    pub making: Making,
}

/// `oci run`.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct Run {
    /// What create has.
    #[command(flatten)]
    pub making: Making,
    /// Leave when the command runs
    #[arg(short, long)]
    pub detach: bool,
    /// Leave the container when it has stopped, to be looked at and deleted
    #[arg(long)]
    pub keep: bool,
}

/// `oci kill`.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct Kill {
    /// To all its processes
    #[arg(short, long)]
    pub all: bool,
    /// The container
    #[arg(value_name = "ID")]
    pub id: String,
    /// A name or number
    #[arg(value_name = "SIGNAL", default_value = "TERM")]
    pub signal: String,
}

/// `oci delete`.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct Delete {
    /// Kill it first if it runs; it need not exist
    #[arg(short, long)]
    pub force: bool,
    /// The container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `oci exec`.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct Exec {
    /// Read the process from this file, a `process` object of config.json; most flags below change it
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub process: Option<PathBuf>,
    /// Where things go.
    #[command(flatten)]
    pub ends: Ends,
    /// Leave when the command runs
    #[arg(short, long)]
    pub detach: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// The folder in which it begins [default: the container's]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Set a variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Who it runs as, by number
    #[arg(short, long, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// One more group, by number
    #[arg(short = 'g', long, value_name = "GID")]
    pub additional_gids: Vec<u32>,
    /// Give one more capability
    #[arg(short, long, value_name = "CAP")]
    pub cap: Vec<String>,
    /// Confine it by this AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    pub apparmor: Option<String>,
    /// Give it this SELinux label
    #[arg(long, value_name = "LABEL")]
    pub process_label: Option<String>,
    /// Let it gain no privileges
    #[arg(long)]
    pub no_new_privs: bool,
    /// The container, then the command and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "ID")]
    pub words: Vec<String>,
}

/// `oci update`.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct Update {
    /// Read the limits from this file (- for stdin), a `linux.resources` object of config.json
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub resources: Option<PathBuf>,
    /// Bytes of memory; -1 for no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory: Option<String>,
    /// Bytes of memory that are left to it under pressure
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_reservation: Option<String>,
    /// Bytes of memory and swap together; -1 for no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// Microseconds of a period of processor time
    #[arg(long, value_name = "USECS")]
    pub cpu_period: Option<u64>,
    /// Microseconds of processor time in each period; -1 for no limit
    #[arg(long, value_name = "USECS", allow_hyphen_values = true)]
    pub cpu_quota: Option<i64>,
    /// Its share of processor time beside others
    #[arg(long, alias = "cpu-share", value_name = "SHARES")]
    pub cpu_shares: Option<u64>,
    /// Processors that it may use
    #[arg(long, value_name = "CPUS")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes that it may use
    #[arg(long, value_name = "NODES")]
    pub cpuset_mems: Option<String>,
    /// Its share of the disks' time beside others, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<u16>,
    /// Processes and threads; -1 for no limit
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub pids_limit: Option<i64>,
    /// The container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `oci events`.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct Events {
    /// Print once; without it, again and again until the container stops
    #[arg(long)]
    pub stats: bool,
    /// Seconds between two prints [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub interval: Option<String>,
    /// The container
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `oci ps`.
#[derive(Debug, Clone, Args)]
pub struct Ps {
    /// table or json (their pids) [default: table]
    #[arg(short, long, value_name = "FORMAT", value_parser = ["table", "json"], hide_possible_values = true)]
    pub format: Option<String>,
    /// The container, then flags for ps(1) [default: -ef]
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true, value_name = "ID")]
    pub words: Vec<String>,
}

/// `oci list`.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct List {
    /// table or json [default: table]
    #[arg(short, long, value_name = "FORMAT", value_parser = ["table", "json"], hide_possible_values = true)]
    pub format: Option<String>,
    /// Print only ids
    #[arg(short, long)]
    pub quiet: bool,
}

/// `oci spec`.
#[derive(Debug, Clone, Args)]
#[command(mut_args = switches)]
pub struct Spec {
    /// The folder to write to [default: this folder]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub bundle: Option<PathBuf>,
    /// For an ordinary user: with a user namespace that maps you to root
    #[arg(long)]
    pub rootless: bool,
}

/// `oci checkpoint` and `oci restore`: every word is taken, for one answer.
#[derive(Debug, Clone, Args)]
pub struct Checkpoint {
    /// Whatever
    #[arg(num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    pub words: Vec<String>,
}
