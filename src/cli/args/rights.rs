//! The options of `run` and `create` for security and namespaces.

use clap::{Args, ValueHint};

const HEADING: &str = "Rights and namespaces";

/// What `run` and `create` have of them.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub struct RightsOptions {
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
    /// Give a device: HOST[:CTR][:rwm]; a folder for all devices in it
    ///
    /// The container may do with it what you may.
    #[arg(long, value_name = "DEVICE", value_hint = ValueHint::AnyPath)]
    pub device: Vec<String>,
    /// Allow devices by number: 'c 189:* rwm'. box forbids none by number; what counts is whether you may open it
    #[arg(long, value_name = "RULE", hide_short_help = true)]
    pub device_cgroup_rule: Vec<String>,
    /// Set a kernel setting of the container's own: net.*, fs.mqueue.*, kernel.sem, kernel.msg*, kernel.shm*
    #[arg(long, value_name = "KEY=VALUE")]
    pub sysctl: Vec<String>,
    /// Add a group by name or number; keep-groups keeps yours
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Whose ids it has: host (root inside is you) or keep-id (you are you inside) [default: host]
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// Whose processes it sees: private, host, container:NAME or ns:PATH [default: private]
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// Whose shared memory and queues it has: private, host, none (no /dev/shm), container:NAME or ns:PATH
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// Whose host name it has: private, host, container:NAME or ns:PATH [default: private]
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// The mask of modes of new files [default: 0022]
    #[arg(long, value_name = "OCTAL")]
    pub umask: Option<String>,
    /// Attach an annotation: KEY=VALUE, for the runtime
    #[arg(long, value_name = "KEY=VALUE", hide_short_help = true)]
    pub annotation: Vec<String>,
}
