//! Data table: every property of config.json, as the OCI runtime specification 1.3 has them for Linux.
//!
//! Sources: config.md, config-linux.md and `schema/` of the specification. The parser, the tests of bad input and
//! docs/conformance.md are made from this table.

/// What a value may be.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// Any text.
    Text,
    /// A variable of the environment, `NAME=value` (environ(7)): what is not is nothing that a program could ask for.
    Variable,
    /// A path that begins with `/`.
    AbsolutePath,
    /// Numbers and ranges of them, as `0-3,7`.
    Numbers,
    /// A whole number between these.
    Number(i64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words; others are left out with a warning, as the specification wants it.
    Known(fn(&str) -> bool),
    /// A list.
    List(&'static Kind),
    /// An object with any names.
    Map(&'static Kind),
    /// An object with these properties.
    Object(&'static [Property]),
    /// For another platform: left out with a warning.
    Foreign,
}

/// One property of an object.
#[derive(Debug)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
}

const fn may(name: &'static str, kind: Kind) -> Property {
    Property { name, kind, required: false }
}

const fn must(name: &'static str, kind: Kind) -> Property {
    Property { name, kind, required: true }
}

use Kind::{AbsolutePath, Flag, Foreign, Known, List, Map, Number, Numbers, Object, Text, Variable, Word};

const TEXTS: Kind = List(&Text);
const PATHS: Kind = List(&AbsolutePath);
const U16: Kind = Number(0, u16::MAX as u64);
const U32: Kind = Number(0, u32::MAX as u64);
const U64: Kind = Number(0, u64::MAX);
const I64: Kind = Number(i64::MIN, i64::MAX as u64);
const CAPABILITIES: Kind = List(&Known(is_capability));

fn is_capability(name: &str) -> bool {
    let known = name.strip_prefix("CAP_").and_then(|name| name.parse::<oci_spec::runtime::Capability>().ok());
    known.is_some()
}

/// The whole document.
pub const CONFIG: &[Property] = &[
    must("ociVersion", Text),
    must("root", Object(ROOT)),
    may("mounts", List(&Object(MOUNT))),
    may("process", Object(PROCESS)),
    may("hostname", Text),
    may("domainname", Text),
    may("hooks", Object(HOOKS)),
    may("annotations", Map(&Text)),
    may("linux", Object(LINUX)),
    may("solaris", Foreign),
    may("windows", Foreign),
    may("vm", Foreign),
    may("zos", Foreign),
    may("freebsd", Foreign),
];

const ROOT: &[Property] = &[must("path", Text), may("readonly", Flag)];

const MOUNT: &[Property] = &[
    must("destination", AbsolutePath),
    may("type", Text),
    may("source", Text),
    may("options", TEXTS),
    may("uidMappings", List(&Object(ID_MAPPING))),
    may("gidMappings", List(&Object(ID_MAPPING))),
];

const ID_MAPPING: &[Property] =
    &[must("containerID", U32), must("hostID", U32), must("size", Number(1, u32::MAX as u64))];

/// `process`.
pub const PROCESS: &[Property] = &[
    may("terminal", Flag),
    may("consoleSize", Object(&[must("height", U16), must("width", U16)])),
    must("cwd", AbsolutePath),
    may("env", List(&Variable)),
    may("args", TEXTS),
    may("commandLine", Foreign),
    may("rlimits", List(&Object(RLIMIT))),
    may("user", Object(USER)),
    may("capabilities", Object(CAPABILITY_SETS)),
    may("noNewPrivileges", Flag),
    may("apparmorProfile", Text),
    may("selinuxLabel", Text),
    may("oomScoreAdj", Number(-1000, 1000)),
    may("scheduler", Object(SCHEDULER)),
    may("ioPriority", Object(IO_PRIORITY)),
    may("execCPUAffinity", Object(&[may("initial", Numbers), may("final", Numbers)])),
];

const RLIMIT: &[Property] = &[must("type", Word(RLIMITS)), must("soft", U64), must("hard", U64)];

const RLIMITS: &[&str] = &[
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
];

const USER: &[Property] = &[
    may("uid", U32),
    may("gid", U32),
    may("umask", Number(0, 0o777)),
    may("additionalGids", List(&U32)),
    may("username", Foreign),
];

const CAPABILITY_SETS: &[Property] = &[
    may("bounding", CAPABILITIES),
    may("effective", CAPABILITIES),
    may("inheritable", CAPABILITIES),
    may("permitted", CAPABILITIES),
    may("ambient", CAPABILITIES),
];

const SCHEDULER: &[Property] = &[
    must(
        "policy",
        Word(&["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"]),
    ),
    may("nice", Number(-20, 19)),
    may("priority", Number(0, 99)),
    may(
        "flags",
        List(&Word(&[
            "SCHED_FLAG_RESET_ON_FORK",
            "SCHED_FLAG_RECLAIM",
            "SCHED_FLAG_DL_OVERRUN",
            "SCHED_FLAG_KEEP_POLICY",
            "SCHED_FLAG_KEEP_PARAMS",
            "SCHED_FLAG_UTIL_CLAMP_MIN",
            "SCHED_FLAG_UTIL_CLAMP_MAX",
        ])),
    ),
    may("runtime", U64),
    may("deadline", U64),
    may("period", U64),
];

const IO_PRIORITY: &[Property] =
    &[must("class", Word(&["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"])), may("priority", Number(0, 7))];

const HOOKS: &[Property] = &[
    may("prestart", List(&Object(HOOK))),
    may("createRuntime", List(&Object(HOOK))),
    may("createContainer", List(&Object(HOOK))),
    may("startContainer", List(&Object(HOOK))),
    may("poststart", List(&Object(HOOK))),
    may("poststop", List(&Object(HOOK))),
];

const HOOK: &[Property] = &[
    must("path", AbsolutePath),
    may("args", TEXTS),
    may("env", List(&Variable)),
    may("timeout", Number(1, i32::MAX as u64)),
];

const LINUX: &[Property] = &[
    may("namespaces", List(&Object(NAMESPACE))),
    may("uidMappings", List(&Object(ID_MAPPING))),
    may("gidMappings", List(&Object(ID_MAPPING))),
    may("timeOffsets", Object(TIME_OFFSETS)),
    may("devices", List(&Object(DEVICE))),
    may("netDevices", Map(&Object(&[may("name", Text)]))),
    may("cgroupsPath", Text),
    may("resources", Object(RESOURCES)),
    may("intelRdt", Object(INTEL_RDT)),
    may("sysctl", Map(&Text)),
    may("seccomp", Object(SECCOMP)),
    may(
        "rootfsPropagation",
        Word(&["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable", ""]),
    ),
    may("maskedPaths", PATHS),
    may("readonlyPaths", PATHS),
    may("mountLabel", Text),
    may("personality", Object(PERSONALITY)),
    may("memoryPolicy", Object(MEMORY_POLICY)),
];

const NAMESPACE: &[Property] = &[
    must("type", Word(&["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"])),
    may("path", AbsolutePath),
];

const TIME_OFFSET: &[Property] = &[may("secs", I64), may("nanosecs", Number(0, 999_999_999))];
const TIME_OFFSETS: &[Property] = &[may("monotonic", Object(TIME_OFFSET)), may("boottime", Object(TIME_OFFSET))];

const DEVICE: &[Property] = &[
    must("type", Word(&["c", "b", "u", "p"])),
    must("path", AbsolutePath),
    may("major", Number(0, 4095)),
    may("minor", Number(0, 1_048_575)),
    may("fileMode", Number(0, 0o7777)),
    may("uid", U32),
    may("gid", U32),
];

/// `linux.resources`.
pub const RESOURCES: &[Property] = &[
    may("unified", Map(&Text)),
    may("devices", List(&Object(DEVICE_RULE))),
    may("pids", Object(&[must("limit", I64)])),
    may("blockIO", Object(BLOCK_IO)),
    may("cpu", Object(CPU)),
    may("hugepageLimits", List(&Object(&[must("pageSize", Text), must("limit", Number(0, i64::MAX as u64))]))),
    may("memory", Object(MEMORY)),
    may("network", Object(NETWORK)),
    may("rdma", Map(&Object(&[may("hcaHandles", U32), may("hcaObjects", U32)]))),
];

const DEVICE_RULE: &[Property] = &[
    must("allow", Flag),
    may("type", Word(&["a", "c", "b"])),
    may("major", I64),
    may("minor", I64),
    may("access", Text),
];

const BLOCK_IO: &[Property] = &[
    may("weight", U16),
    may("leafWeight", U16),
    may(
        "weightDevice",
        List(&Object(&[must("major", I64), must("minor", I64), may("weight", U16), may("leafWeight", U16)])),
    ),
    may("throttleReadBpsDevice", THROTTLES),
    may("throttleWriteBpsDevice", THROTTLES),
    may("throttleReadIOPSDevice", THROTTLES),
    may("throttleWriteIOPSDevice", THROTTLES),
];

const THROTTLES: Kind = List(&Object(&[must("major", I64), must("minor", I64), must("rate", U64)]));

const CPU: &[Property] = &[
    may("shares", U64),
    may("quota", I64),
    may("burst", U64),
    may("period", U64),
    may("realtimeRuntime", I64),
    may("realtimePeriod", U64),
    may("cpus", Text),
    may("mems", Text),
    may("idle", I64),
];

const MEMORY: &[Property] = &[
    may("limit", I64),
    may("reservation", I64),
    may("swap", I64),
    may("kernel", I64),
    may("kernelTCP", I64),
    may("swappiness", Number(0, 100)),
    may("disableOOMKiller", Flag),
    may("useHierarchy", Flag),
    may("checkBeforeUpdate", Flag),
];

const NETWORK: &[Property] =
    &[may("classID", U32), may("priorities", List(&Object(&[must("name", Text), must("priority", U32)])))];

const INTEL_RDT: &[Property] = &[
    may("closID", Text),
    may("schemata", TEXTS),
    may("l3CacheSchema", Text),
    may("memBwSchema", Text),
    may("enableCMT", Flag),
    may("enableMBM", Flag),
    may("enableMonitoring", Flag),
];

const SECCOMP: &[Property] = &[
    must("defaultAction", Word(ACTIONS)),
    may("defaultErrnoRet", Number(0, 4095)),
    may("architectures", List(&Word(ARCHITECTURES))),
    may("flags", List(&Word(SECCOMP_FLAGS))),
    may("listenerPath", AbsolutePath),
    may("listenerMetadata", Text),
    may("syscalls", List(&Object(SYSCALL))),
];

/// `linux.seccomp`: what becomes of a call.
pub const ACTIONS: &[&str] = &[
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
];

/// `linux.seccomp.flags`.
pub const SECCOMP_FLAGS: &[&str] = &[
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// Those that box knows the system calls of come first; of the others no call can reach this kernel.
pub const ARCHITECTURES: &[&str] = &[
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

const SYSCALL: &[Property] = &[
    must("names", TEXTS),
    must("action", Word(ACTIONS)),
    may("errnoRet", Number(0, 4095)),
    may("args", List(&Object(SYSCALL_ARGUMENT))),
];

/// `linux.seccomp.syscalls[].args[].op`.
pub const OPERATORS: &[&str] =
    &["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"];

const SYSCALL_ARGUMENT: &[Property] =
    &[must("index", Number(0, 5)), must("value", U64), may("valueTwo", U64), must("op", Word(OPERATORS))];

const PERSONALITY: &[Property] = &[must("domain", Word(&["LINUX", "LINUX32"])), may("flags", List(&Word(&[])))];

/// `linux.memoryPolicy.mode`.
pub const MEMORY_MODES: &[&str] = &[
    "MPOL_DEFAULT",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_LOCAL",
];

/// `linux.memoryPolicy.flags`.
pub const MEMORY_FLAGS: &[&str] = &["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

const MEMORY_POLICY: &[Property] =
    &[must("mode", Word(MEMORY_MODES)), may("nodes", Numbers), may("flags", List(&Word(MEMORY_FLAGS)))];
