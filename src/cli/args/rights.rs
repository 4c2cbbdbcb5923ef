//! The options of `run` and `create` for security and namespaces.

use super::GoBool;
use clap::{Args, ValueHint};

const HEADING: &str = "Rights and namespaces";

/// What `run` and `create` have of them.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub struct RightsOptions {
    /// Another OCI runtime that makes the container, as crun or runc: a name or a path
    ///
    /// box prepares a bundle for it, and stays its monitor; streams, logs, exec and the rest go as always.
    #[arg(long, value_name = "RUNTIME", value_hint = ValueHint::AnyPath)]
    pub runtime: Option<String>,
    /// Give all capabilities and devices that the user has; no seccomp filter, no masked files
    #[arg(long)]
    pub privileged: bool,
    /// Give a capability, such as NET_RAW; ALL for all
    #[arg(long, value_name = "CAP", value_delimiter = ',')]
    pub cap_add: Vec<String>,
    /// Take a capability away; ALL for all
    #[arg(long, value_name = "CAP", value_delimiter = ',')]
    pub cap_drop: Vec<String>,
    /// Change what separates it from the host: seccomp=FILE, no-new-privileges, unmask=ALL, ...
    ///
    /// seccomp=FILE: a profile as docker and podman have them; seccomp=unconfined: none; seccomp=nested: what container
    /// engines inside need. no-new-privileges: setuid programs give nothing. mask=/A:/B hides paths; unmask=ALL or
    /// unmask=/A:/B shows those that are hidden or read-only, with * and ? as in a shell. proc-opts=OPTIONS: mount
    /// options of /proc, such as hidepid=2. apparmor=PROFILE and label=type:TYPE (user, role, level, filetype; disable)
    /// where the host has AppArmor or SELinux.
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Little trust: no capabilities, no new privileges, a read-only root, no user namespaces inside
    ///
    /// Capabilities can be given back with --cap-add, but not SYS_ADMIN, with which namespaces could be made.
    #[arg(long)]
    pub hardened: bool,
    /// Give a device: HOST[:CTR][:rwm], a folder for all devices in it, or a CDI name as vendor.com/class=name
    ///
    /// The container may do with it what you may. CDI files are looked for in /etc/cdi, /var/run/cdi and
    /// ~/.config/cdi.
    #[arg(long, value_name = "DEVICE", value_hint = ValueHint::AnyPath)]
    pub device: Vec<String>,
    /// Give Nvidia's GPUs: all, a number, or device=0,1: the same as --device nvidia.com/gpu=...
    #[arg(long, value_name = "GPUS")]
    pub gpus: Vec<String>,
    /// Allow devices by number: 'c 189:* rwm'. box forbids none by number; what counts is whether you may open it
    #[arg(long, value_name = "RULE", hide_short_help = true)]
    pub device_cgroup_rule: Vec<String>,
    /// Set a kernel setting of the container's own: net.*, fs.mqueue.*, kernel.sem, kernel.msg*, kernel.shm*
    #[arg(long, value_name = "KEY=VALUE")]
    pub sysctl: Vec<String>,
    /// Add a group by name or number; keep-groups keeps yours
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Whose ids it has: host (root inside is you), keep-id (you are you inside), auto, nomap, ... [default: host]
    ///
    /// keep-id[:uid=U,gid=G,size=N]: you are you inside, or these ids. auto[:size=N,uidmapping=MAP,gidmapping=MAP]: ids
    /// that no other container has. nomap: nobody inside is you. container:NAME and ns:PATH: an existing namespace.
    /// The default is $BOX_USERNS or $PODMAN_USERNS.
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// Map user ids: [+ug]INNER:[@]OUTER[:SIZE]; 0 outside is you, 1 your first subordinate id
    ///
    /// With @, OUTER is an id of the host. With +, the map replaces what it contradicts; if the first has it, all your
    /// other ids are filled in. u and g: only for users, only for groups. Without --gidmap this is the map of groups, too.
    #[arg(long, value_name = "MAP", hide_short_help = true)]
    pub uidmap: Vec<String>,
    /// Map group ids, as --uidmap
    #[arg(long, value_name = "MAP", hide_short_help = true)]
    pub gidmap: Vec<String>,
    /// Map the ids that /etc/subuid gives to this name
    #[arg(long, value_name = "NAME", hide_short_help = true, conflicts_with_all = ["uidmap", "gidmap"])]
    pub subuidname: Option<String>,
    /// Map the ids that /etc/subgid gives to this name
    #[arg(long, value_name = "NAME", hide_short_help = true, conflicts_with_all = ["uidmap", "gidmap"])]
    pub subgidname: Option<String>,
    /// Whose processes it sees: private, host, container:NAME or ns:PATH [default: private]
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// Whose shared memory and queues it has: private, host, none (no /dev/shm), container:NAME or ns:PATH
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// Whose host name it has: private, host, container:NAME or ns:PATH [default: private]
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// Whose clocks it has: host, private[:boottime=SECONDS,monotonic=SECONDS], container:NAME or ns:PATH [default: host]
    ///
    /// Its own clocks differ by so many seconds from the host's; the time of day is the host's in any case.
    #[arg(long, value_name = "MODE", hide_short_help = true)]
    pub time: Option<String>,
    /// The mask of modes of new files [default: 0022]
    #[arg(long, value_name = "OCTAL")]
    pub umask: Option<String>,
    /// What kind of machine programs see: LINUX, or LINUX32 for a 32-bit one
    #[arg(long, value_name = "PERSONA", hide_short_help = true, ignore_case = true, value_parser = ["LINUX", "LINUX32"],
          hide_possible_values = true)]
    pub personality: Option<String>,
    /// Be ready for systemd as the command: true (if it is systemd), always or false [default: true]
    ///
    /// Memory on /run, /run/lock, /tmp and /var/log/journal, a cgroup to write to, container_uuid, and SIGRTMIN+3 as
    /// stop signal.
    #[arg(long, value_name = "WHEN", ignore_case = true, value_parser = ["true", "false", "always"],
          hide_possible_values = true)]
    pub systemd: Option<String>,
    /// With --systemd: the size of each of the four [default: half of the memory]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub shm_size_systemd: Option<String>,
    /// Show the files that box makes in /etc in this folder's etc, too, into which the command changes its root
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub chrootdirs: Vec<String>,
    /// With --read-only, whether /run, /tmp and /var/tmp are writable, in memory, and /dev, too [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true, hide_short_help = true)]
    pub read_only_tmpfs: Option<bool>,
    /// Whether a user that is given by number, and unknown, gets a line in the container's passwd [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = GoBool, hide_possible_values = true, hide_short_help = true)]
    pub passwd: Option<bool>,
    /// That line, with $USERNAME, $UID, $GID, $NAME and $HOME
    #[arg(long, value_name = "LINE", hide_short_help = true)]
    pub passwd_entry: Option<String>,
    /// The line in the container's group, with $GROUPNAME, $GID and $USERLIST
    #[arg(long, value_name = "LINE", hide_short_help = true)]
    pub group_entry: Option<String>,
    /// Add a user of the host to the container's passwd
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub hostuser: Vec<String>,
    /// Set a variable from others: PATH=/opt/bin:${PATH}
    #[arg(long, value_name = "NAME=VALUE", hide_short_help = true)]
    pub env_merge: Vec<String>,
    /// Leave a variable of the image out
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub unsetenv: Vec<String>,
    /// Leave all variables of the image and of box out
    #[arg(long, hide_short_help = true)]
    pub unsetenv_all: bool,
    /// Attach an annotation: KEY=VALUE, for the runtime
    #[arg(long, value_name = "KEY=VALUE", hide_short_help = true)]
    pub annotation: Vec<String>,
}
