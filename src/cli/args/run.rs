//! `run` and `create`.

use super::access::{AccessFlags, RetryFlags};
use super::descriptors::DescriptorFlags;
use super::life::LifeOptions;
use super::limits::LimitFlags;
use super::network_options::NetworkOptions;
use super::platform::PlatformFlags;
use super::rights::RightsOptions;
use super::{GoBool, switches};
use crate::cli::complete;
use crate::cli::defaults::Configured;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

/// The exit codes of `run`, which `exec` and `start -a` share.
pub const EXIT_STATUS: &str = "\
Exit status:
  The command's own, or 128 and the signal's number if a signal ended it. And:
  0    The container was left running with the detach keys.
  125  box could not do it: a wrong flag, no such image, a name in use.
  126  The command is in the container but cannot be invoked.
  127  The command is not in the container.";

const RUN_EXAMPLES: &str = "\
Examples:
  box run -it --rm alpine sh                          a shell, gone when you leave it
  box run -d --name web -p 8080:80 -v ./www:/www:ro docker.io/library/busybox httpd -f -h /www
  box run --rm -v \"$PWD\":/src -w /src alpine ls -l    a command on this folder
  box run --rm -e GREETING=hi alpine sh -c 'echo $GREETING'
  tar c . | box run -i --rm alpine tar t              bytes in, bytes out";

const CREATE_EXAMPLES: &str = "\
Examples:
  id=$(box create -v ./data:/data alpine touch /data/x) && box start -a \"$id\"";

/// Who can keep the output.
pub const LOG_DRIVERS: [&str; 6] = ["k8s-file", "json-file", "journald", "none", "passthrough", "passthrough-tty"];

/// The options that `run` and `create` share.
#[derive(Debug, Clone, Default, Args)]
pub struct ContainerOptions {
    /// What containers.conf says besides.
    #[arg(skip)]
    pub configured: Configured,
    /// Keep stdin open and pass it to the command
    #[arg(short, long, help_heading = "Terminal and process")]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long, help_heading = "Terminal and process")]
    pub tty: bool,
    /// Set a variable: NAME=VALUE, NAME to copy it from here, PREFIX* to copy all that begin so
    #[arg(short, long, value_name = "NAME[=VALUE]", help_heading = "Terminal and process")]
    pub env: Vec<String>,
    /// Read variables from a file, NAME=VALUE in each line
    ///
    /// Values are taken as they are, quotes included. Lines that begin with # are left out. `-e` wins over this.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Terminal and process")]
    pub env_file: Vec<PathBuf>,
    /// Give it all variables that box has
    #[arg(long, help_heading = "Terminal and process")]
    pub env_host: bool,
    /// The folder in which the command begins; made if it is missing
    #[arg(short, long, value_name = "DIR", help_heading = "Terminal and process")]
    pub workdir: Option<String>,
    /// Who the command runs as: a name of the image's own, or numbers
    #[arg(short, long, value_name = "USER[:GROUP]", help_heading = "Terminal and process")]
    pub user: Option<String>,
    /// Run this in place of the image's entrypoint: a word, or a JSON array; "" for none
    #[arg(long, value_name = "COMMAND", help_heading = "Terminal and process")]
    pub entrypoint: Option<String>,
    /// Run a small init as process 1, which passes signals on and reaps
    #[arg(long, help_heading = "Terminal and process")]
    pub init: bool,
    /// The signal that `box stop` sends [default: the image's, else SIGTERM]
    #[arg(long, value_name = "SIGNAL", help_heading = "Terminal and process")]
    pub stop_signal: Option<String>,
    /// How long `box stop` waits before SIGKILL [default: 10]
    #[arg(long, value_name = "SECONDS", help_heading = "Terminal and process")]
    pub stop_timeout: Option<u64>,

    /// The container's name [default: one is made up]
    #[arg(long, help_heading = "The container")]
    pub name: Option<String>,
    /// Remove the container when it has ended
    #[arg(long, help_heading = "The container")]
    pub rm: bool,
    /// Attach a label: KEY=VALUE or KEY
    #[arg(short, long, value_name = "KEY[=VALUE]", help_heading = "The container")]
    pub label: Vec<String>,
    /// Write the container's id to this file, which must not exist yet
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "The container")]
    pub cidfile: Option<PathBuf>,
    /// The time zone, such as Europe/Berlin, or local for the host's [default: the image's]
    #[arg(long, value_name = "ZONE", help_heading = "The container")]
    pub tz: Option<String>,
    /// Check all and print what the container would be, without making it
    #[arg(long, help_heading = "The container")]
    pub dry_run: bool,
    /// With --dry-run: where each value comes from
    #[arg(long, requires = "dry_run", help_heading = "The container")]
    pub explain: bool,
    /// Who keeps the output for `box logs`: k8s-file, json-file, journald, none or passthrough [default: k8s-file]
    ///
    /// With passthrough the command has box's own stdout and stderr, and nothing is kept; for services whose output
    /// somebody else keeps. They must be no terminal, as the command could type into it; passthrough-tty allows that.
    #[arg(long, value_name = "DRIVER", value_parser = LOG_DRIVERS, hide_possible_values = true,
          help_heading = "The container")]
    pub log_driver: Option<String>,

    /// Restarts, health, the log and the end.
    #[command(flatten)]
    pub life: LifeOptions,

    /// When to ask the registry: missing, always, newer or never [default: missing]
    #[arg(long, value_name = "POLICY", ignore_case = true, hide_possible_values = true, help_heading = "The image",
          value_parser = ["always", "missing", "never", "newer", "ifmissing", "ifnotpresent", "ifnewer"])]
    pub pull: Option<String>,
    /// Which of several images.
    #[command(flatten, next_help_heading = "The image")]
    pub platform: PlatformFlags,
    /// Show no progress of a pull
    #[arg(short, long, help_heading = "The image")]
    pub quiet: bool,
    /// How to talk to the registry.
    #[command(flatten, next_help_heading = "The image")]
    pub access: AccessFlags,
    /// How often.
    #[command(flatten, next_help_heading = "The image")]
    pub retry: RetryFlags,
    /// The first argument is a folder to use as the root file system, not an image; DIR:O keeps it unchanged
    ///
    /// DIR:idmap shows its files with the owners that the container's own map of ids means, for root only.
    #[arg(long, help_heading = "The image")]
    pub rootfs: bool,

    /// Lend a folder, a file or a volume: [HOST|VOLUME:]CONTAINER[:OPTIONS]
    ///
    /// HOST begins with / or a dot and must exist. Another word is a volume's name; it is made if it is not there, and
    /// filled with what the image has at that place. CONTAINER alone makes a volume that goes with the container (--rm,
    /// `box rm -v`). Options, separated by commas: ro, rw; bind (without the mounts below HOST); exec, suid, dev and
    /// noexec, nosuid, nodev; nocopy (do not fill); U (give the files to the container's user); O (changes stay above
    /// HOST; upperdir=, workdir= say where); idmap (root); rshared, rslave, rprivate; z, Z.
    #[arg(short, long, value_name = "SOURCE:CTR[:OPTIONS]", value_hint = ValueHint::AnyPath, help_heading = "Files")]
    pub volume: Vec<String>,
    /// Mount something: type=bind|volume|image|tmpfs|devpts|glob,src=SOURCE,dst=CTR[,ro]
    ///
    /// Besides: subpath=DIR (bind, volume, image: only this part of it), bind-propagation, bind-nonrecursive, idmap, U;
    /// volume-nocopy, volume-driver, volume-opt, volume-label; tmpfs-size, tmpfs-mode, notmpcopyup; rw (image: changes
    /// stay with the container). A field with a comma is quoted. type=glob takes a pattern as src.
    #[arg(long, value_name = "FIELDS", help_heading = "Files")]
    pub mount: Vec<String>,
    /// Mount memory: CTR[:size=64m,mode=1777,exec]
    ///
    /// What the image has there is copied in, unless notmpcopyup is given.
    #[arg(long, value_name = "CTR[:OPTIONS]", help_heading = "Files")]
    pub tmpfs: Vec<String>,
    /// Mount the volumes and folders of another container on the same places: CONTAINER[:ro]
    #[arg(long, value_name = "CONTAINER[:OPTIONS]", value_delimiter = ',', help_heading = "Files",
          add = ArgValueCandidates::new(complete::containers))]
    pub volumes_from: Vec<String>,
    /// What becomes of the volumes that the image declares: anonymous, tmpfs or ignore [default: anonymous]
    #[arg(long, value_name = "MODE", help_heading = "Files")]
    pub image_volume: Option<String>,
    /// Give a secret: NAME[,type=mount|env][,target=PATH|VARIABLE][,uid=,gid=,mode=]
    ///
    /// By default as the file /run/secrets/NAME, mode 0444. The value is read at each start; it is in no record and no
    /// image of the container.
    #[arg(long, value_name = "NAME[,OPTIONS]", help_heading = "Files", add = ArgValueCandidates::new(complete::secrets))]
    pub secret: Vec<String>,
    /// Make the root file system read-only; /run, /tmp and /var/tmp stay writable, in memory
    #[arg(long, help_heading = "Files")]
    pub read_only: bool,
    /// Limit what it may write to its root: size=64m
    ///
    /// With --rm only: what it writes stays in memory then, of at most that size. A quota on a disk only root could set.
    #[arg(long, value_name = "size=SIZE", help_heading = "Files")]
    pub storage_opt: Vec<String>,

    /// The network.
    #[command(flatten)]
    pub net: NetworkOptions,

    /// Rights and namespaces.
    #[command(flatten)]
    pub rights: RightsOptions,

    /// Memory, processors, processes and all else that is limited.
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// Make a container from an image and run a command in it
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    disable_help_flag = true,
    override_usage = "box run [OPTIONS] IMAGE [COMMAND [ARG...]]\n       box run [OPTIONS] --rootfs DIR[:O|:idmap] [COMMAND [ARG...]]",
    after_help = RUN_EXAMPLES,
    after_long_help = format!("{RUN_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Makes a container from an image and runs a command in it. The image is pulled if it is not there. \
                  What stands after IMAGE is the command with its arguments; without it, the image's own is run.\n\n\
                  In the foreground the command has box's stdout and stderr, with -i its stdin, with -t a terminal; \
                  signals are passed on. With -d the container's id is printed and the container runs on."
)]
pub struct Run {
    /// Options of both.
    #[command(flatten)]
    pub container: ContainerOptions,
    /// Run in the background; print the container's id
    #[arg(short, long, help_heading = "Terminal and process")]
    pub detach: bool,
    /// Connect only these streams: stdin, stdout, stderr [default: stdout and stderr; stdin with -i]
    #[arg(short, long, value_name = "STREAM", ignore_case = true, value_parser = ["stdin", "stdout", "stderr"],
          hide_possible_values = true, conflicts_with = "detach", help_heading = "Terminal and process")]
    pub attach: Vec<String>,
    /// Descriptors.
    #[command(flatten, next_help_heading = "Terminal and process")]
    pub preserve: DescriptorFlags,
    /// Remove the image, too, when the container has ended and nothing else uses it; implies --rm
    #[arg(long, conflicts_with = "detach", help_heading = "The container")]
    pub rmi: bool,
    /// The keys that leave the container running: a,ctrl-b,...; "" for none [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", help_heading = "Terminal and process")]
    pub detach_keys: Option<String>,
    /// Whether signals to box go to the command [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true", hide_default_value = true,
          default_missing_value = "true", value_parser = GoBool, hide_possible_values = true,
          action = clap::ArgAction::Set, help_heading = "Terminal and process")]
    pub sig_proxy: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    pub(in crate::cli) help: Option<bool>,
    /// An image's name, id or digest; then the command and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "IMAGE",
          add = ArgValueCandidates::new(complete::images))]
    pub words: Vec<String>,
}

/// Make a container without starting it
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    disable_help_flag = true,
    override_usage = "box create [OPTIONS] IMAGE [COMMAND [ARG...]]\n       box create [OPTIONS] --rootfs DIR[:O|:idmap] [COMMAND [ARG...]]",
    after_help = CREATE_EXAMPLES,
    after_long_help = format!("{CREATE_EXAMPLES}\n\n{}", super::EXIT_STATUS),
    long_about = "Makes a container as `box run` does, prints its id and leaves it. `box start` starts it."
)]
pub struct Create {
    /// Options of both.
    #[command(flatten)]
    pub container: ContainerOptions,
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    pub(in crate::cli) help: Option<bool>,
    /// An image's name, id or digest; then the command and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "IMAGE",
          add = ArgValueCandidates::new(complete::images))]
    pub words: Vec<String>,
}
