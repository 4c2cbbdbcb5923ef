//! What limits a container: for `run` and `create`, and `update`, `stats`, `pause`, `unpause`.

use super::containers::Chosen;
use super::life::HealthOptions;
use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

const HEADING: &str = "Limits";

/// What can be set at first and changed later.
#[derive(Debug, Clone, Default, Args)]
pub struct ResourceFlags {
    /// The most memory: 64m, 1.5g; 0 for no limit
    ///
    /// Units are b, k, m, g and t, in steps of 1024. Who takes more is killed by the kernel (exit code 137), after as
    /// much swap again has been used, if there is any.
    #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true, help_heading = HEADING)]
    pub memory: Option<String>,
    /// Memory and swap together; the same as --memory for no swap, -1 for no limit [default: twice --memory]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = HEADING)]
    pub memory_swap: Option<String>,
    /// Memory that is left to it when the host runs short
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = HEADING)]
    pub memory_reservation: Option<String>,
    /// How many processors it may use, such as 0.5; 0 for no limit
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true,
          conflicts_with_all = ["cpu_quota", "cpu_period"], help_heading = HEADING)]
    pub cpus: Option<String>,
    /// Its share when processors are short, 2 to 262144 [default: 1024]
    #[arg(short = 'c', long, value_name = "SHARES", help_heading = HEADING)]
    pub cpu_shares: Option<u64>,
    /// Microseconds of processor time in each period; -1 for no limit
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true, help_heading = HEADING)]
    pub cpu_quota: Option<i64>,
    /// The period of --cpu-quota [default: 100000]
    #[arg(long, value_name = "MICROSECONDS", help_heading = HEADING)]
    pub cpu_period: Option<u64>,
    /// The processors it may run on: 0-3,7
    #[arg(long, value_name = "LIST", help_heading = HEADING)]
    pub cpuset_cpus: Option<String>,
    /// The memory nodes it may use: 0,1
    #[arg(long, value_name = "LIST", help_heading = HEADING)]
    pub cpuset_mems: Option<String>,
    /// The most processes and threads; -1 for no limit [default: 2048, where cgroups allow]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, help_heading = HEADING)]
    pub pids_limit: Option<String>,
    /// Its share when disks are short, 10 to 1000
    #[arg(long, value_name = "WEIGHT", help_heading = HEADING)]
    pub blkio_weight: Option<u64>,
    /// The same of one disk: /dev/sda:200
    #[arg(long, value_name = "DEVICE:WEIGHT", help_heading = HEADING)]
    pub blkio_weight_device: Vec<String>,
    /// The most bytes read from a disk in a second: /dev/sda:1mb
    #[arg(long, value_name = "DEVICE:RATE", help_heading = HEADING)]
    pub device_read_bps: Vec<String>,
    /// The most bytes written to a disk in a second
    #[arg(long, value_name = "DEVICE:RATE", help_heading = HEADING)]
    pub device_write_bps: Vec<String>,
    /// The most reads from a disk in a second: /dev/sda:1000
    #[arg(long, value_name = "DEVICE:RATE", help_heading = HEADING)]
    pub device_read_iops: Vec<String>,
    /// The most writes to a disk in a second
    #[arg(long, value_name = "DEVICE:RATE", help_heading = HEADING)]
    pub device_write_iops: Vec<String>,
    /// Only there to be refused: cgroup v2 has none.
    #[arg(long, value_name = "PERCENT", hide = true, help_heading = HEADING)]
    pub memory_swappiness: Option<String>,
}

/// What can be set only at first.
#[derive(Debug, Clone, Default, Args)]
pub struct LimitFlags {
    /// What can be changed later.
    #[command(flatten)]
    pub resources: ResourceFlags,
    /// Write to a file of its cgroup: memory.high=1073741824
    #[arg(long, value_name = "FILE=VALUE", help_heading = HEADING)]
    pub cgroup_conf: Vec<String>,
    /// Limit what each process may use: nofile=1024:4096, core=-1; host keeps the limits of box itself
    ///
    /// NAME=SOFT[:HARD], as setrlimit(2) has them: as core cpu data fsize locks memlock msgqueue nice nofile nproc rss
    /// rtprio rttime sigpending stack. -1 is as much as is allowed.
    #[arg(long, value_name = "LIMIT", help_heading = HEADING)]
    pub ulimit: Vec<String>,
    /// The size of /dev/shm; 0 for as much as there is [default: 64m]
    #[arg(long, value_name = "SIZE", help_heading = HEADING)]
    pub shm_size: Option<String>,
    /// Who is killed first when the host runs out of memory, -1000 (never) to 1000
    ///
    /// An ordinary user can only raise it.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000),
          help_heading = HEADING)]
    pub oom_score_adj: Option<i32>,
    /// Only there to be refused: the kernel cannot.
    #[arg(long, hide = true, help_heading = HEADING)]
    pub oom_kill_disable: bool,
    /// Where its cgroup is: a slice with systemd, else a path
    #[arg(long, value_name = "PARENT", help_heading = HEADING)]
    pub cgroup_parent: Option<String>,
    /// Who gets a cgroup: enabled, disabled, no-conmon (not the monitor) or split (within this service's) [default: enabled]
    #[arg(long, value_name = "MODE", value_parser = ["enabled", "disabled", "no-conmon", "split"],
          hide_possible_values = true, help_heading = HEADING)]
    pub cgroups: Option<String>,
    /// Whether it sees its own cgroup as the root (private) or the host's tree (host) [default: private]
    #[arg(long, value_name = "MODE", value_parser = ["private", "host"], hide_possible_values = true,
          help_heading = HEADING)]
    pub cgroupns: Option<String>,
}

const UPDATE_EXAMPLES: &str = "\
Examples:
  box update --memory 256m --cpus 0.5 web
  box update --pids-limit -1 web    no limit any more
  box update --restart always web   from its next start on
  box update --publish-add 8080:80 web   at once; --publish-rm 8080:80 takes it away";

/// Change the limits and published ports of containers, and what holds for later starts
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box update [OPTIONS] CONTAINER",
    after_help = UPDATE_EXAMPLES,
    after_long_help = format!("{UPDATE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Changes a container and prints what was typed for it: its limits and published ports at once if it is \
                  running and for later starts; its variables, ulimits and health check from its next start on, and so its restart policy, \
                  unless it has one already. What is not mentioned stays as it is."
)]
pub struct Update {
    /// The limits.
    #[command(flatten)]
    pub resources: ResourceFlags,
    /// Start it again when it ends: no, on-failure[:TIMES], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    pub restart: Option<String>,
    /// Publish one more port, as `run -p` does; connections that are there go on
    #[arg(long, value_name = "[[IP:]HOST:]PORT[/PROTOCOL]")]
    pub publish_add: Vec<String>,
    /// Publish a port no more: the container's, or more of what was published
    #[arg(long, value_name = "[[IP:]HOST:]PORT[/PROTOCOL]")]
    pub publish_rm: Vec<String>,
    /// Set a variable: NAME=VALUE, or NAME to copy it from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Take a variable away
    #[arg(long, value_name = "NAME")]
    pub unsetenv: Vec<String>,
    /// Limit each process: NAME=SOFT[:HARD]
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// How its health is checked.
    #[command(flatten)]
    pub health: HealthOptions,
    /// The container made last
    #[arg(short, long, conflicts_with = "names")]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER", required_unless_present = "latest",
          add = ArgValueCandidates::new(complete::containers))]
    pub names: Vec<String>,
}

const PAUSE_EXAMPLES: &str = "\
Examples:
  box pause web
  box pause --all";

/// Stop all processes of containers where they are
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    mut_arg("filter", |arg| arg.short('f')),
    override_usage = "box pause [OPTIONS] CONTAINER...",
    after_help = PAUSE_EXAMPLES,
    after_long_help = format!("{PAUSE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Stops all processes of running containers where they are, by the freezer of their cgroups, and prints \
                  what was typed for each. They keep their memory; `box unpause` lets them go on."
)]
pub struct Pause {
    /// Which.
    #[command(flatten)]
    pub chosen: Chosen,
}

const UNPAUSE_EXAMPLES: &str = "\
Examples:
  box unpause web
  box unpause --all";

/// Let paused containers go on
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    mut_arg("filter", |arg| arg.short('f')),
    override_usage = "box unpause [OPTIONS] CONTAINER...",
    after_help = UNPAUSE_EXAMPLES,
    after_long_help = format!("{UNPAUSE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Lets the processes of paused containers go on, and prints what was typed for each."
)]
pub struct Unpause {
    /// Which.
    #[command(flatten)]
    pub chosen: Chosen,
}

const STATS_EXAMPLES: &str = "\
Examples:
  box stats
  box stats --no-stream --format json
  box stats --format '{{.Name}}: {{.MemUsage}}' web";

const STATS_DETAILS: &str = "\
Fields of --format:
  .AVGCPU .AvgCPU .BlockIO .BlockInput .BlockOutput .CPU .CPUNano .CPUPerc .CPUSystemNano .Container .ContainerID
  .Duration .ID .MemLimit .MemPerc .MemUsage .MemUsageBytes .Name .NetIO .NetInput .NetOutput .PIDS .PIDs
  .SystemNano .Up .UpTime

A container without a cgroup is measured by its processes: what those have used that have ended is missing. What
cannot be known is shown as --.";

/// Show what containers use: processors, memory, network, disks
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box stats [OPTIONS] [CONTAINER...]",
    after_help = STATS_EXAMPLES,
    after_long_help = format!("{STATS_EXAMPLES}\n\n{STATS_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Shows what running containers use, again and again until Ctrl-C; on a terminal the table is drawn in \
                  place."
)]
pub struct Stats {
    /// Those that are not running, too
    #[arg(short, long)]
    pub all: bool,
    /// Once
    #[arg(long)]
    pub no_stream: bool,
    /// Below the last table, not in its place
    #[arg(long)]
    pub no_reset: bool,
    /// Seconds between two looks [default: 5]
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub interval: Option<u32>,
    /// Print ids in full
    #[arg(long, alias = "notruncate")]
    pub no_trunc: bool,
    /// json, or a Go template, perhaps with `table` before it
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// The container made last
    #[arg(short, long, conflicts_with_all = ["names", "all"])]
    pub latest: bool,
    /// Names or ids [default: all that are running]
    #[arg(value_name = "CONTAINER", conflicts_with = "all", add = ArgValueCandidates::new(complete::containers))]
    pub names: Vec<String>,
}
