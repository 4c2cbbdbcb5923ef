//! What can be typed: the declarations that parsing, help, man pages and completions are all made from.
//!
//! Only flags that work are declared. Each subcommand's flags are built when that subcommand is used (`defer`), which
//! keeps the start of the program short. The text after `Examples:` and `Exit status:` becomes man page sections.

pub mod access;
pub mod build;
pub mod builder;
pub mod containers;
pub mod descriptors;
pub mod host;
pub mod image;
pub mod images;
pub mod life;
pub mod network_options;
pub mod networks;
pub mod rights;
pub mod making;
pub mod login;
pub mod manifest;
pub mod platform;
pub mod mount;
pub mod push;
pub mod search;
pub mod limits;
pub mod oci;
pub mod run;
pub mod secrets;
pub mod seldom;
pub mod system;
pub mod tree;
pub mod trust;
pub mod volumes;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, ArgAction, Args, Command, Parser, Subcommand};
use std::path::PathBuf;
use tree::Family;
pub use tree::{for_people, help, parse};

/// The words before each help text's list of flags.
pub const EXIT_STATUS: &str = "\
Exit status:
  0    The deed was done.
  125  It was not; stderr says why, and what to type.";

/// A command line.
#[derive(Debug)]
pub struct Cli {
    /// What every command has.
    pub globals: Globals,
    /// The verb.
    pub command: Verb,
}

/// What stands before the verb.
#[derive(Debug, Parser)]
#[command(
    name = "box",
    version,
    disable_version_flag = true,
    args_override_self = true,
    infer_subcommands = false,
    subcommand_required = true,
    arg_required_else_help = true,
    help_template = TOP,
    mut_args = switches,
    about = "Containers for people who are not root",
    long_about = "box runs Linux containers for an ordinary user: no daemon, no root, one program. The words that \
                  work with podman and docker work here."
)]
struct Root {
    #[command(flatten)]
    _globals: Globals,
}

/// The flags that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Keep images and containers in this folder
    ///
    /// The default is $BOX_DATA, else what storage.conf says, else $XDG_DATA_HOME/box.
    #[arg(long, value_name = "DIR", global = true, hide_short_help = true, value_hint = clap::ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// How layers are put together: overlay, fuse-overlayfs or copy
    ///
    /// The default is $STORAGE_DRIVER, else what storage.conf says, else what a probe of this host has found to work.
    #[arg(long, value_name = "DRIVER", global = true, hide_short_help = true,
          value_parser = ["overlay", "fuse-overlayfs", "copy"], hide_possible_values = true)]
    pub storage_driver: Option<String>,
    /// Print where the time went, on stderr, when the command is done
    ///
    /// Each line is the end of a phase: when it was reached and how long it took, in milliseconds.
    #[arg(long, global = true, hide_short_help = true)]
    pub timing: bool,
    /// Print the version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    pub version: Option<bool>,
}

/// The top level's help: commands in groups. A test keeps the list complete.
const TOP: &str = "\
{about}

Usage: box [OPTIONS] COMMAND [ARG...]

Containers:
  run        Make a container from an image and run a command in it
  create     Make a container without starting it
  start      Start containers that are not running
  init       Make sure that containers can be started
  stop       Stop containers: a signal, some patience, then SIGKILL
  restart    Stop containers and start them again
  pause      Stop all processes of containers where they are
  unpause    Let paused containers go on
  stats      Show what containers use: processors, memory, network, disks
  update     Change the limits and published ports of containers, and what holds for later starts
  kill       Send a signal to containers
  rm         Remove containers
  rename     Give a container another name
  ps         List containers
  port       Print which ports of the host lead into containers
  top        List the processes of a container
  cp         Copy files between the host and containers
  healthcheck Check a container's health
  logs       Print what containers have written
  exec       Run a command in a running container
  attach     Connect the terminal to a running container
  wait       Wait until containers end; print their exit codes
  inspect    Print all that is known of containers, images, volumes and networks, as JSON

Images:
  pull       Fetch images from registries
  push       Send images to registries
  images     List images
  rmi        Remove images
  tag        Give an image another name
  untag      Take names away from an image
  history    Show how an image was made
  load       Read images from an archive
  import     Make an image of the archive of a root file system
  save       Write images into an archive
  search     Search registries for images
  manifest   All commands for manifest lists
  login      Keep name and password for a registry
  logout     Forget name and password for a registry
  build      Make an image from a Dockerfile
  builder    What is around builds: their cache, images of registries
  commit     Make an image of a container
  export     Write all files of a container as an archive
  diff       Show what a container has changed
  mount      Mount the files of containers and print where
  unmount    Unmount the files of containers
  image      All commands for images

Files that outlive containers:
  volume     Make, list and remove volumes
  secret     Make, list and remove secrets
  network    Make networks in which containers find each other by name

The host:
  events     Print what happens to containers and images
  doctor     Say what this host lacks, and what to type
  info       Print what this host and this box can do
  version    Print versions
  system     Disk usage, tidying up
  unshare    Run a command as root in the user's own namespace
  oci        Be the OCI runtime of podman, containerd or CRI-O
  completion Print the script that completes box's words in a shell
  container  All commands for containers

Options:
{options}

Examples:
  box run -it --rm alpine sh             a shell in Alpine, gone when you leave it
  box run -d --name web -p 8080:80 IMAGE a server in the background
  box logs -f web                        what it writes
  box exec -it web sh                    a look inside
  box rm -f web                          stop and remove it

`box COMMAND --help` explains a command, `man box-COMMAND` all of it.
";

/// The verbs.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Verb {
    /// Make a container from an image and run a command in it
    Run(run::Run),
    /// Make a container without starting it
    Create(run::Create),
    /// Start containers that are not running
    Start(containers::Start),
    /// Make sure that containers can be started
    Init(seldom::Init),
    /// Stop containers: a signal, some patience, then SIGKILL
    Stop(containers::Stop),
    /// Stop containers and start them again
    Restart(life::Restart),
    /// Change the limits of containers, and what holds for later starts
    Update(limits::Update),
    /// Show what containers use: processors, memory, network, disks
    Stats(limits::Stats),
    /// Let paused containers go on
    Unpause(limits::Unpause),
    /// Stop all processes of containers where they are
    Pause(limits::Pause),
    /// Send a signal to containers
    Kill(containers::Kill),
    /// Remove containers
    Rm(containers::Rm),
    /// Give a container another name
    Rename(life::Rename),
    /// List containers
    Ps(containers::Ps),
    /// Print which ports of the host lead into containers
    Port(life::Port),
    /// List the processes of a container
    Top(life::Top),
    /// Copy files between the host and containers
    Cp(life::Cp),
    /// Print what containers have written
    Logs(containers::Logs),
    /// Run a command in a running container
    Exec(containers::Exec),
    /// Connect the terminal to a running container
    Attach(containers::Attach),
    /// Wait until containers end; print their exit codes
    Wait(containers::Wait),
    /// Print all that is known of containers, images, volumes and networks, as JSON
    Inspect(containers::Inspect),
    /// Fetch images from registries
    Pull(images::Pull),
    /// Send images to registries
    Push(push::Push),
    /// Keep name and password for a registry
    Login(login::Login),
    /// Forget name and password for a registry
    Logout(login::Logout),
    /// List images
    Images(images::Images),
    /// Remove images
    Rmi(images::Rmi),
    /// Give an image another name
    Tag(images::Tag),
    /// Take names away from an image
    Untag(image::Untag),
    /// Show how an image was made
    History(image::History),
    /// Read images from an archive
    Load(images::Load),
    /// Make an image of the archive of a root file system
    Import(making::Import),
    /// Write images into an archive
    Save(push::Save),
    /// Search registries for images
    Search(search::Search),
    /// All commands for manifest lists
    Manifest(Family<manifest::ManifestVerb>),
    /// Make an image from a Dockerfile
    Build(Box<build::Build>),
    /// What is around builds: their cache, images of registries
    #[command(visible_alias = "buildx")]
    Builder(Family<builder::BuilderVerb>),
    /// Make an image of a container
    Commit(making::Commit),
    /// Write all files of a container as an archive
    Export(making::Export),
    /// Show what a container has changed
    Diff(image::Diff),
    /// All commands for images
    Image(Family<ImageVerb>),
    /// All commands for containers
    Container(Family<ContainerVerb>),
    /// Make, list and remove secrets
    Secret(Family<secrets::SecretVerb>),
    /// Make, list and remove volumes
    Volume(Family<volumes::VolumeVerb>),
    /// Make networks in which containers find each other by name
    Network(Family<networks::NetworkVerb>),
    /// Check a container's health
    Healthcheck(Family<life::HealthcheckVerb>),
    /// Mount the files of containers and print where
    Mount(mount::Mount),
    /// Unmount the files of containers
    #[command(visible_alias = "umount")]
    Unmount(mount::Unmount),
    /// Print what happens to containers and images
    Events(host::Events),
    /// Say what this host lacks, and what to type
    Doctor(host::Doctor),
    /// Print what this host and this box can do
    Info(host::Info),
    /// Print versions
    Version(host::Version),
    /// Disk usage, tidying up
    System(Family<system::SystemVerb>),
    /// Run a command as root in the user's own namespace
    Unshare(host::Unshare),
    /// Be the OCI runtime of podman, containerd or CRI-O
    Oci(oci::Oci),
    /// Print the script that completes box's words in a shell
    #[command(hide = true)]
    Completion(host::Completion),
}

/// `box container …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum ContainerVerb {
    /// Make a container from an image and run a command in it
    Run(run::Run),
    /// Make a container without starting it
    Create(run::Create),
    /// Start containers that are not running
    Start(containers::Start),
    /// Make sure that containers can be started
    Init(seldom::Init),
    /// Make a container with the configuration of another
    Clone(seldom::Clone),
    /// Tidy up after containers that have ended
    Cleanup(seldom::Cleanup),
    /// Run the command that a label of an image holds
    Runlabel(seldom::Runlabel),
    /// Stop containers: a signal, some patience, then SIGKILL
    Stop(containers::Stop),
    /// Stop containers and start them again
    Restart(life::Restart),
    /// Change the limits of containers, and what holds for later starts
    Update(limits::Update),
    /// Show what containers use: processors, memory, network, disks
    Stats(limits::Stats),
    /// Let paused containers go on
    Unpause(limits::Unpause),
    /// Stop all processes of containers where they are
    Pause(limits::Pause),
    /// Send a signal to containers
    Kill(containers::Kill),
    /// Remove containers
    Rm(containers::Rm),
    /// Give a container another name
    Rename(life::Rename),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(containers::Ps),
    /// Print which ports of the host lead into containers
    Port(life::Port),
    /// List the processes of a container
    Top(life::Top),
    /// Copy files between the host and containers
    Cp(life::Cp),
    /// Remove all containers that do not run
    Prune(life::Prune),
    /// Check a container's health now
    Healthcheck(life::HealthcheckRun),
    /// Print what containers have written
    Logs(containers::Logs),
    /// Run a command in a running container
    Exec(containers::Exec),
    /// Connect the terminal to a running container
    Attach(containers::Attach),
    /// Wait until containers end; print their exit codes
    Wait(containers::Wait),
    /// Print all that is known of containers, as JSON
    Inspect(containers::InspectContainer),
    /// Make an image of a container
    Commit(making::Commit),
    /// Write all files of a container as an archive
    Export(making::Export),
    /// Show what a container has changed
    Diff(image::Diff),
    /// Mount the files of containers and print where
    Mount(mount::Mount),
    /// Unmount the files of containers
    #[command(visible_alias = "umount")]
    Unmount(mount::Unmount),
    /// Exit with 0 if the container is there, with 1 if not
    Exists(containers::Exists),
}

/// `box image …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum ImageVerb {
    /// Make an image from a Dockerfile
    Build(Box<build::Build>),
    /// Fetch images from registries
    Pull(images::Pull),
    /// Send images to registries
    Push(push::Push),
    /// Write images into an archive
    Save(push::Save),
    /// Search registries for images
    Search(search::Search),
    /// Sign images that a registry has
    Sign(trust::Sign),
    /// Which images may come in
    Trust(Family<trust::TrustVerb>),
    /// List or read what is attached to an image of a registry
    Attestation(trust::AttestationArgs),
    /// List images
    #[command(visible_alias = "list")]
    Ls(images::Images),
    /// Print all that is known of images, as JSON
    Inspect(images::InspectImage),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(images::Rmi),
    /// Give an image another name
    Tag(images::Tag),
    /// Read images from an archive
    Load(images::Load),
    /// Make an image of the archive of a root file system
    Import(making::Import),
    /// Take names away from an image
    Untag(image::Untag),
    /// Show how an image was made
    History(image::History),
    /// Show what the last layer of an image changes, or what differs between two
    Diff(image::Diff),
    /// Show the layers of an image as a tree
    Tree(image::Tree),
    /// Copy an image to another host, or from one, over ssh
    Scp(image::Scp),
    /// Remove images that are not used
    Prune(image::Prune),
    /// Mount images, read-only, and print where
    Mount(mount::MountImage),
    /// Unmount images
    #[command(visible_alias = "umount")]
    Unmount(mount::UnmountImage),
    /// Exit with 0 if the image is there, with 1 if not
    Exists(images::Exists),
}

/// Let a switch take a value as Go's flags do; last one wins.
pub(super) fn switches(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) || tree::is_for_people() {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .value_parser(GoBool)
}

/// `true`, `1`, `t`, `false`, `0`, `f` and their capitals: what Go's `ParseBool` takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoBool;

impl TypedValueParser for GoBool {
    type Value = bool;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &std::ffi::OsStr) -> Result<bool, clap::Error> {
        match value.to_str() {
            Some("true" | "True" | "TRUE" | "t" | "T" | "1") => Ok(true),
            Some("false" | "False" | "FALSE" | "f" | "F" | "0") => Ok(false),
            _ => clap::builder::BoolValueParser::new().parse_ref(command, arg, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(["true", "false"].into_iter().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_level_help_has_every_command() {
        for command in for_people().get_subcommands().filter(|command| command.get_name() != "help") {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let line = format!("\n  {:<10} {about}\n", command.get_name());
            assert!(TOP.contains(&line), "{line}");
        }
    }

    #[test]
    fn every_command_and_flag_is_explained() {
        fn check(command: &Command) {
            assert!(command.get_about().is_some() || command.get_long_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&for_people());
    }
}
