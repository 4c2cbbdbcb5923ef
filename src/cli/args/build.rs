//! `build`, and its names in docker's family.

use super::access::{AccessFlags, RetryFlags};
use super::limits::ResourceFlags;
use super::{GoBool, switches};
use crate::cli::complete;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  box build -t app .                                the Dockerfile in this folder
  box build -t app -f docker/app.Dockerfile .       another one
  box build --target test --build-arg VERSION=2 .
  box build -o out .                                the files, not an image
  box build -t quay.io/team/app:1 --push .
  box build https://github.com/me/app.git#main:src  a folder of a git repository
  box build - < Dockerfile                          no context at all";

const DETAILS: &str = "\
Contexts:
  FOLDER                     its files, but for those in .dockerignore or .containerignore
  -                          stdin: an archive, packed or not, or a Dockerfile alone
  URL.git#REF:FOLDER         a git repository; git://, ssh://, USER@HOST:PATH, and ?ref=, ?subdir=, ?checksum=
  https://HOST/FILE          an archive, or a Dockerfile alone

Outputs (-o):
  FOLDER, type=local,dest=FOLDER            the files
  -, type=tar,dest=FILE                     the files, as an archive
  type=oci,dest=FILE[,tar=false]            an OCI layout, as an archive or a folder
  type=docker,dest=FILE                     an archive for `docker load`
  type=image,name=NAME[,push=true]          an image; compression=gzip|zstd|uncompressed,compression-level=N for a push
  type=registry,name=NAME                   the same with push=true
  type=cacheonly                            nothing

Exit status:
  0    The build is done.
  125  It is not: stderr says why. A command of RUN that failed gives its own code.";

const SOURCE: &str = "What is built";
const IMAGE: &str = "The image";
const OUTPUT: &str = "Output";
const CACHE: &str = "Cache";
const RUN: &str = "Commands of RUN";
const ACCESS: &str = "Registries";

/// Make an image from a Dockerfile
#[derive(Debug, Clone, Default, Args)]
#[command(
    mut_args = switches,
    override_usage = "box build [OPTIONS] [CONTEXT]",
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{DETAILS}"),
    long_about = "Makes an image by the instructions of a Dockerfile, from the files of a context (this folder, if \
                  nothing else is said). Stages and steps that do not wait for each other run side by side, and what \
                  has been done before is not done again. Progress goes to stderr, the image's id to stdout."
)]
pub struct Build {
    /// The Dockerfile: a path, a URL, or - for stdin [default: Containerfile or Dockerfile in the context]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = SOURCE)]
    pub file: Option<String>,
    /// Build this stage, and what it needs [default: the last]
    #[arg(long, value_name = "STAGE", help_heading = SOURCE, add = ArgValueCandidates::new(complete::stages))]
    pub target: Option<String>,
    /// Set an ARG: NAME=VALUE, or NAME to copy it from here
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = SOURCE)]
    pub build_arg: Vec<String>,
    /// Read ARGs from a file, NAME=VALUE in each line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = SOURCE)]
    pub build_arg_file: Vec<PathBuf>,
    /// Another context: NAME=FOLDER, a URL, docker-image://IMAGE or oci-layout://FOLDER[:TAG]
    ///
    /// NAME is what `COPY --from=NAME`, `RUN --mount=from=NAME` and `FROM NAME` say; it wins over stages and images.
    #[arg(long, value_name = "NAME=VALUE", help_heading = SOURCE)]
    pub build_context: Vec<String>,
    /// What is not to be seen of the context [default: .dockerignore or .containerignore]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = SOURCE)]
    pub ignorefile: Option<PathBuf>,
    /// Take this image in place of the first FROM's
    #[arg(long, value_name = "IMAGE", help_heading = SOURCE, add = ArgValueCandidates::new(complete::images))]
    pub from: Option<String>,
    /// Build for OS/ARCH[/VARIANT]; several make a manifest list [default: this machine's]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', help_heading = SOURCE)]
    pub platform: Vec<String>,
    /// The processor of --platform
    #[arg(long, conflicts_with = "platform", hide_short_help = true, help_heading = SOURCE)]
    pub arch: Option<String>,
    /// The operating system of --platform
    #[arg(long, conflicts_with = "platform", hide_short_help = true, help_heading = SOURCE)]
    pub os: Option<String>,
    /// The processor's variant of --platform
    #[arg(long, conflicts_with = "platform", hide_short_help = true, help_heading = SOURCE)]
    pub variant: Option<String>,
    /// A secret for `RUN --mount=type=secret`: id=ID[,src=FILE|,env=NAME]
    #[arg(long, value_name = "FIELDS", help_heading = SOURCE)]
    pub secret: Vec<String>,
    /// An ssh agent or keys for `RUN --mount=type=ssh`: default, or ID[=SOCKET|KEY[,KEY...]]
    #[arg(long, value_name = "ID[=PATHS]", help_heading = SOURCE)]
    pub ssh: Vec<String>,
    /// Only check the Dockerfile, and print what could be better
    #[arg(long, help_heading = SOURCE)]
    pub check: bool,
    /// What to do: build, check, outline or targets [default: build]
    #[arg(long, value_name = "METHOD", hide_short_help = true, help_heading = SOURCE)]
    pub call: Option<String>,

    /// A name for the image; a short one belongs to localhost/
    #[arg(short, long, value_name = "NAME[:TAG]", help_heading = IMAGE, add = ArgValueCandidates::new(complete::images))]
    pub tag: Vec<String>,
    /// Attach a label: KEY=VALUE or KEY
    #[arg(long, value_name = "KEY[=VALUE]", help_heading = IMAGE)]
    pub label: Vec<String>,
    /// Attach an annotation to the manifest: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", help_heading = IMAGE)]
    pub annotation: Vec<String>,
    /// Set a variable in the image: NAME=VALUE, or NAME to copy it from here
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = IMAGE)]
    pub env: Vec<String>,
    /// Leave a variable out of the image
    #[arg(long, value_name = "NAME", hide_short_help = true, help_heading = IMAGE)]
    pub unsetenv: Vec<String>,
    /// Whether the image has the labels of what it is built on [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true, hide_short_help = true, help_heading = IMAGE)]
    pub inherit_labels: Option<bool>,
    /// Leave a label out of the image
    #[arg(long, value_name = "KEY", hide_short_help = true, help_heading = IMAGE)]
    pub unsetlabel: Vec<String>,
    /// The form of the manifest: oci or docker [default: oci]
    #[arg(long, value_name = "FORMAT", value_parser = ["oci", "docker"], hide_possible_values = true, help_heading = IMAGE)]
    pub format: Option<String>,
    /// Make one layer of all that the build adds
    #[arg(long, help_heading = IMAGE)]
    pub squash: bool,
    /// Make one layer of everything, the base's too
    #[arg(long, conflicts_with = "squash", help_heading = IMAGE)]
    pub squash_all: bool,
    /// Whether each step is a layer; false is --squash [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true, hide_short_help = true, help_heading = IMAGE)]
    pub layers: Option<bool>,
    /// When the image was made, seconds since 1970 [default: $SOURCE_DATE_EPOCH, else the newest of what it is made of]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, help_heading = IMAGE)]
    pub source_date_epoch: Option<i64>,
    /// No file in the image's own layers is younger than --source-date-epoch
    #[arg(long, help_heading = IMAGE)]
    pub rewrite_timestamp: bool,
    /// Both: --source-date-epoch and --rewrite-timestamp
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true,
          conflicts_with_all = ["source_date_epoch", "rewrite_timestamp"], help_heading = IMAGE)]
    pub timestamp: Option<i64>,
    /// Add the result to this manifest list, made if it is not there
    #[arg(long, value_name = "NAME", help_heading = IMAGE)]
    pub manifest: Option<String>,
    /// Attach how it was built: true, false, or mode=min|max
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = IMAGE)]
    pub provenance: Option<String>,
    /// Only false: box does not scan images for their parts
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true, help_heading = IMAGE)]
    pub sbom: Option<String>,
    /// The same by docker's other name: type=provenance,mode=max
    #[arg(long, value_name = "FIELDS", hide_short_help = true, help_heading = IMAGE)]
    pub attest: Vec<String>,

    /// What becomes of the result; see `box build --help` [default: an image in the store]
    #[arg(short, long, value_name = "FOLDER|FIELDS", help_heading = OUTPUT)]
    pub output: Vec<String>,
    /// Send the image to where its name says
    #[arg(long, help_heading = OUTPUT)]
    pub push: bool,
    /// Put the image into the store, also if --output says something else
    #[arg(long, help_heading = OUTPUT)]
    pub load: bool,
    /// How it is shown: auto, plain, tty, rawjson, quiet or none [default: $BUILDKIT_PROGRESS, else auto]
    #[arg(long, value_name = "MODE", help_heading = OUTPUT)]
    pub progress: Option<String>,
    /// Show nothing but what failed; print the id
    #[arg(short, long, help_heading = OUTPUT)]
    pub quiet: bool,
    /// Write the image's id to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = OUTPUT)]
    pub iidfile: Option<PathBuf>,
    /// Write what was built to this file, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = OUTPUT)]
    pub metadata_file: Option<PathBuf>,

    /// Execute all steps, whatever is known
    #[arg(long, help_heading = CACHE)]
    pub no_cache: bool,
    /// Execute all steps of these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',', conflicts_with = "no_cache", help_heading = CACHE)]
    pub no_cache_filter: Vec<String>,
    /// Results of others: type=registry,ref=IMAGE (or just IMAGE), or type=local,src=FOLDER
    #[arg(long, value_name = "IMAGE|FIELDS", help_heading = CACHE)]
    pub cache_from: Vec<String>,
    /// Results for others: type=registry,ref=IMAGE, type=local,dest=FOLDER or type=inline; mode=max for all stages
    #[arg(long, value_name = "IMAGE|FIELDS", help_heading = CACHE)]
    pub cache_to: Vec<String>,
    /// Do not use results that are older: 24h
    #[arg(long, value_name = "DURATION", help_heading = CACHE)]
    pub cache_ttl: Option<String>,
    /// Fill cache mounts that are not there yet: type=registry,ref=IMAGE (or just IMAGE), or type=local,src=FOLDER; id=ID
    /// for one of them
    #[arg(long, value_name = "IMAGE|FIELDS", help_heading = CACHE)]
    pub cache_mount_from: Vec<String>,
    /// Keep cache mounts for others: type=registry,ref=IMAGE or type=local,dest=FOLDER; id=ID for one of them
    #[arg(long, value_name = "IMAGE|FIELDS", help_heading = CACHE)]
    pub cache_mount_to: Vec<String>,
    /// How many steps run at a time; 0 for as many as can [default: 0]
    #[arg(long, value_name = "NUMBER", help_heading = CACHE)]
    pub jobs: Option<usize>,

    /// What the commands of RUN get.
    #[command(flatten)]
    pub run: BuildRun,

    /// When to ask registries for bases: missing, always, newer or never; --pull alone is always [default: missing]
    #[arg(long, value_name = "POLICY", num_args = 0..=1, require_equals = true, default_missing_value = "always",
          ignore_case = true, hide_possible_values = true, help_heading = ACCESS,
          value_parser = ["always", "missing", "never", "newer", "ifmissing", "ifnotpresent", "ifnewer", "true", "false"])]
    pub pull: Option<String>,
    /// How to talk to registries.
    #[command(flatten)]
    pub access: AccessFlags,
    /// What to do about failures that pass.
    #[command(flatten)]
    pub retry: RetryFlags,
    /// What habit types, and means nothing here.
    #[command(flatten)]
    pub habit: Habit,
    /// Where the files come from: a folder, -, a git repository or a URL [default: this folder]
    #[arg(value_name = "CONTEXT", value_hint = ValueHint::DirPath)]
    pub context: Option<String>,
}

/// How the containers of RUN are made: the options of `run`, as far as they make sense for a step.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = RUN)]
pub struct BuildRun {
    /// How they reach the network, as in `box run` [default: as `box run`]
    #[arg(long, alias = "net", value_name = "MODE", help_heading = RUN)]
    pub network: Option<String>,
    /// Add a line to /etc/hosts: HOST:IP; host-gateway is the host
    #[arg(long, value_name = "HOST:IP", help_heading = RUN)]
    pub add_host: Vec<String>,
    /// A name server; none keeps the image's resolv.conf
    #[arg(long, value_name = "IP", help_heading = RUN)]
    pub dns: Vec<String>,
    /// A line for the options of resolv.conf
    #[arg(long, value_name = "OPTION", hide_short_help = true, help_heading = RUN)]
    pub dns_option: Vec<String>,
    /// A domain that names are looked for in
    #[arg(long, value_name = "DOMAIN", hide_short_help = true, help_heading = RUN)]
    pub dns_search: Vec<String>,
    /// Leave the image's /etc/hosts
    #[arg(long, hide_short_help = true, help_heading = RUN)]
    pub no_hosts: bool,
    /// Leave the image's /etc/hostname
    #[arg(long, hide_short_help = true, help_heading = RUN)]
    pub no_hostname: bool,
    /// Whether http_proxy and its like are passed from here [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true, hide_short_help = true, help_heading = RUN)]
    pub http_proxy: Option<bool>,
    /// Lend a folder, as `box run -v`
    #[arg(short, long, value_name = "SOURCE:CTR[:OPTIONS]", value_hint = ValueHint::AnyPath, help_heading = RUN)]
    pub volume: Vec<String>,
    /// Give a device, as `box run --device`
    #[arg(long, value_name = "DEVICE", value_hint = ValueHint::AnyPath, help_heading = RUN)]
    pub device: Vec<String>,
    /// Give a capability, such as NET_RAW
    #[arg(long, value_name = "CAP", value_delimiter = ',', help_heading = RUN)]
    pub cap_add: Vec<String>,
    /// Take a capability away
    #[arg(long, value_name = "CAP", value_delimiter = ',', help_heading = RUN)]
    pub cap_drop: Vec<String>,
    /// Change what separates them from the host, as in `box run`
    #[arg(long, value_name = "OPTION", help_heading = RUN)]
    pub security_opt: Vec<String>,
    /// Add a group by name or number
    #[arg(long, value_name = "GROUP", hide_short_help = true, help_heading = RUN)]
    pub group_add: Vec<String>,
    /// What `RUN --network=host`, `--security=insecure` and `--device` need: network.host, security.insecure, device[=NAME]
    #[arg(long, value_name = "RIGHT", help_heading = RUN)]
    pub allow: Vec<String>,
    /// What separates them from the host: oci, rootless and default all mean box's own sandbox
    #[arg(long, value_name = "TYPE", hide_short_help = true, help_heading = RUN)]
    pub isolation: Option<String>,
    /// Limit what each process may use: nofile=1024:4096
    #[arg(long, value_name = "LIMIT", help_heading = RUN)]
    pub ulimit: Vec<String>,
    /// The size of /dev/shm [default: 64m]
    #[arg(long, value_name = "SIZE", help_heading = RUN)]
    pub shm_size: Option<String>,
    /// Where their cgroups are, as in `box run`
    #[arg(long, value_name = "PARENT", hide_short_help = true, help_heading = RUN)]
    pub cgroup_parent: Option<String>,
    /// Memory, processors, processes.
    #[command(flatten)]
    pub resources: ResourceFlags,
}

/// Options without a meaning here that scripts written for docker have.
#[derive(Debug, Clone, Default, Args)]
pub struct Habit {
    /// The builder: only `default`
    #[arg(long, value_name = "NAME", hide = true)]
    pub builder: Option<String>,
    /// Nothing is sent anywhere
    #[arg(long, hide = true)]
    pub compress: bool,
    /// Containers of steps are always removed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, hide = true)]
    pub rm: Option<bool>,
    /// The same
    #[arg(long, hide = true)]
    pub force_rm: bool,
    /// Trust is what policy.json says
    #[arg(long, hide = true)]
    pub disable_content_trust: bool,
    /// Stages that the target does not need are always skipped
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = GoBool, hide = true)]
    pub skip_unused_stages: Option<bool>,
}
