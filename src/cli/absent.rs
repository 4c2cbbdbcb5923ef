//! Data table: options of podman and docker that box does not have, and why: said in place of "no such flag".

/// The option, why it is not there, and what to type.
type Absent = (&'static str, &'static str, &'static str);

const ABSENT: [Absent; 21] = [
    ("--link", "containers of one network find each other by name", "box network create lan, then --network lan"),
    ("--link-local-ip", "podman takes it and does nothing", "leave it out"),
    ("--isolation", "it is for Windows", "leave it out"),
    ("--cpu-count", "it is for Windows", "--cpus NUMBER"),
    ("--cpu-percent", "it is for Windows", "--cpus NUMBER"),
    ("--io-maxbandwidth", "it is for Windows", "--device-read-bps, --device-write-bps"),
    ("--io-maxiops", "it is for Windows", "--device-read-iops, --device-write-iops"),
    ("--cpu-rt-period", "cgroup v2 has no such limit", "--cpus NUMBER"),
    ("--cpu-rt-runtime", "cgroup v2 has no such limit", "--cpus NUMBER"),
    ("--kernel-memory", "the kernel has it no more", "--memory SIZE"),
    ("--init-path", "box is the init itself", "--init"),
    ("--volume-driver", "volumes without a name are folders of box's", "box volume create --driver NAME data"),
    ("--use-api-socket", "box has no server that could be asked", "leave it out"),
    ("--rdt-class", "it needs root and resctrl", "leave it out"),
    ("--seccomp-policy", "images bring no profile of their own", "--security-opt seccomp=FILE"),
    ("--decryption-key", "encrypted images cannot be read", "pull it decrypted: skopeo copy --decryption-key"),
    ("--init-ctr", "this release has no pods", "leave it out"),
    ("--pod-id-file", "this release has no pods", "leave it out"),
    ("--external", "nobody else keeps containers in box's store", "leave it out"),
    ("--sync", "box asks the kernel each time", "leave it out"),
    ("--disable-content-trust", "signatures are a matter of policy.json", "leave it out"),
];

/// Why there is no such option, and what to type; `None` for one that nobody has.
pub fn why(flag: &str) -> Option<(&'static str, &'static str)> {
    ABSENT.iter().find(|(name, ..)| *name == flag).map(|(_, why, hint)| (*why, *hint))
}
