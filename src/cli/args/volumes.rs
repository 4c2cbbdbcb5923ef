//! `box volume …`.

use super::{EXIT_STATUS, switches};
use crate::cli::complete;
use clap::{Args, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

const REMOVE_STATUS: &str = "\
Exit status:
  0    All were removed.
  1    One did not exist, and nothing else failed.
  2    One is used by a container; -f removes that too.
  125  Another failure.";

/// `box volume …`.
#[derive(Debug, Subcommand)]
#[command(defer = true, disable_help_subcommand = true)]
pub enum VolumeVerb {
    /// Make a volume
    Create(Create),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Print all that is known of volumes, as JSON
    Inspect(Inspect),
    /// Remove volumes
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Remove the volumes that no container uses
    Prune(Prune),
    /// Exit with 0 if the volume is there, with 1 if not
    Exists(One),
    /// Write all files of a volume as an archive
    Export(Export),
    /// Read an archive into a volume
    Import(Import),
    /// Check that what volumes stand for is there
    #[command(
        after_long_help = EXIT_STATUS,
        long_about = "Looks at the folder or image that each volume stands for, and names those that are gone. There are \
                      no plugins for volumes, so none are added or taken away."
    )]
    Reload,
    /// Print where a volume's files are
    Mount(Many),
    /// Undo `volume mount`
    #[command(visible_alias = "umount")]
    Unmount(Many),
}

const CREATE_EXAMPLES: &str = "\
Examples:
  box volume create data
  box volume create --label app=db --opt o=uid=999,gid=999 pgdata
  box volume create --opt type=tmpfs --opt o=size=64m cache
  box volume create --opt type=bind --opt device=/srv/media media
  box volume create --driver image --opt image=docker.io/library/alpine rootfs";

const CREATE_DETAILS: &str = "\
Options of the driver local:
  type=, device=, o=     as mount(8) has them: a bind, a tmpfs, or what the kernel mounts
  o=uid=N,gid=N          who owns the volume's own folder
  A file system that only root may mount (nfs, ext4) is refused to an ordinary user when a container
  starts: mount it on the host, and lend that folder with -v.";

/// Make a volume
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box volume create [OPTIONS] [NAME]",
    after_help = CREATE_EXAMPLES,
    after_long_help = format!("{CREATE_EXAMPLES}\n\n{CREATE_DETAILS}\n\n{EXIT_STATUS}"),
    long_about = "Makes a volume and prints its name. Containers mount it with -v NAME:/PLACE; the first one that does \
                  fills it with what its image has there."
)]
pub struct Create {
    /// local or image [default: local]
    #[arg(short, long, value_name = "DRIVER")]
    pub driver: Option<String>,
    /// Attach a label: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Set an option of the driver: KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub opt: Vec<String>,
    /// Who owns its files, in the container's ids
    #[arg(long, value_name = "ID")]
    pub uid: Option<u32>,
    /// Which group owns its files
    #[arg(long, value_name = "ID")]
    pub gid: Option<u32>,
    /// A volume that is there already is no error
    #[arg(long)]
    pub ignore: bool,
    /// Its name [default: 64 random digits]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

const LS_EXAMPLES: &str = "\
Examples:
  box volume ls
  box volume ls -q --filter dangling=true
  box volume ls --format '{{.Name}}\\t{{.Mountpoint}}'";

/// What `volume ls` and `volume prune` filter by.
const FILTERS: &str = "\
Filters:
  name=PART   label=K[=V]   label!=K[=V]   opt=K[=V]   driver=NAME   scope=local
  dangling=true|false (used by no container)   anonymous=true|false
  since=VOLUME   until=TIME
  The same key twice means either (labels: both); different keys mean both.";

/// List volumes
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_help = LS_EXAMPLES,
    after_long_help = format!(
        "{LS_EXAMPLES}\n\n{FILTERS}\n\nFields of --format:\n  .Name .Driver .Mountpoint .CreatedAt .Labels .Scope \
         .Options .Anonymous .MountCount\n\n{EXIT_STATUS}"
    ),
    long_about = "Lists volumes by name."
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
    /// Only names
    #[arg(short, long)]
    pub quiet: bool,
}

/// Print all that is known of volumes, as JSON
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box volume inspect [OPTIONS] VOLUME...",
    after_long_help = EXIT_STATUS,
)]
pub struct Inspect {
    /// All of them
    #[arg(short, long, conflicts_with = "names")]
    pub all: bool,
    /// A Go template for each, or json
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Names, or their beginnings
    #[arg(value_name = "VOLUME", required_unless_present = "all", add = ArgValueCandidates::new(complete::volumes))]
    pub names: Vec<String>,
}

/// Remove volumes
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box volume rm [OPTIONS] VOLUME...",
    after_long_help = REMOVE_STATUS,
    long_about = "Removes volumes with everything in them, and prints what was typed for each."
)]
pub struct Rm {
    /// All of them
    #[arg(short, long, conflicts_with = "names")]
    pub all: bool,
    /// Remove the containers that use it, too; what does not exist is no error
    #[arg(short, long)]
    pub force: bool,
    /// How long -f waits for a container before SIGKILL [default: 0]
    #[arg(short, long, alias = "timeout", value_name = "SECONDS", allow_negative_numbers = true, requires = "force")]
    pub time: Option<i64>,
    /// Names, or their beginnings
    #[arg(value_name = "VOLUME", required_unless_present = "all", add = ArgValueCandidates::new(complete::volumes))]
    pub names: Vec<String>,
}

/// Remove the volumes that no container uses
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    after_long_help = format!("{FILTERS}\n\n{EXIT_STATUS}"),
    long_about = "Removes the anonymous volumes that no container uses, as docker does; with -a the named ones too. \
                  Prints the name of each."
)]
pub struct Prune {
    /// The named ones too
    #[arg(short, long)]
    pub all: bool,
    /// Print what would go, and leave it
    #[arg(long)]
    pub dry_run: bool,
    /// Only those that fit: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}

const MOVE_EXAMPLES: &str = "\
Examples:
  box volume export -o data.tar data
  box volume import data data.tar
  box volume export data | ssh host 'box volume create --ignore data && box volume import data -'";

/// Write all files of a volume as an archive
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box volume export [OPTIONS] VOLUME",
    after_help = MOVE_EXAMPLES,
    after_long_help = format!("{MOVE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Writes a tar archive of a volume's files, with their owners as containers see them, their modes and \
                  their attributes."
)]
pub struct Export {
    /// Where to [default: stdout]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Its name, or the beginning of it
    #[arg(value_name = "VOLUME", required = true, add = ArgValueCandidates::new(complete::volumes))]
    pub volume: String,
}

/// Read an archive into a volume
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box volume import VOLUME [FILE]",
    after_help = MOVE_EXAMPLES,
    after_long_help = format!("{MOVE_EXAMPLES}\n\n{EXIT_STATUS}"),
    long_about = "Reads a tar archive, packed or not, into a volume that is there already. Files of the same name are \
                  replaced, others stay. A volume that no container has used yet gets all of the archive or nothing."
)]
pub struct Import {
    /// Its name, or the beginning of it
    #[arg(value_name = "VOLUME", required = true, add = ArgValueCandidates::new(complete::volumes))]
    pub volume: String,
    /// The archive; - or nothing for stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub source: Option<String>,
}

/// Exit with 0 if the volume is there, with 1 if not
#[derive(Debug, Clone, Default, Args)]
pub struct One {
    /// Its name, or the beginning of it
    #[arg(value_name = "VOLUME", required = true, add = ArgValueCandidates::new(complete::volumes))]
    pub name: String,
}

/// Print where volumes' files are, or undo `volume mount`
#[derive(Debug, Clone, Default, Args)]
#[command(
    long_about = "Prints where each volume's files are. A volume of a folder is always there, so nothing is mounted or \
                  unmounted; files of other ids can be changed inside `box unshare`. One that only containers mount \
                  (tmpfs, nfs) is refused."
)]
pub struct Many {
    /// Names, or their beginnings
    #[arg(value_name = "VOLUME", required = true, add = ArgValueCandidates::new(complete::volumes))]
    pub names: Vec<String>,
}
