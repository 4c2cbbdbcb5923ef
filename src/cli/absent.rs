//! Data table: options and commands of podman and docker that box does not have, and why: said in place of "no such".

/// The option, why it is not there, and what to type.
type Absent = (&'static str, &'static str, &'static str);

const ABSENT: [Absent; 58] = [
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
    ("--encryption-key", "images are not encrypted", "encrypt it on the way: skopeo copy --encryption-key"),
    ("--encrypt-layer", "images are not encrypted", "encrypt it on the way: skopeo copy --encrypt-layer"),
    ("--sign-by-sq-fingerprint", "it signs with GnuPG and with keys in PEM", "--sign-by KEY"),
    ("--sign-by-sigstore", "it takes a key, not a file of parameters", "--sign-by-sigstore-private-key FILE"),
    ("--artifact", "lists name images only", "oras push REGISTRY/NAME FILE"),
    ("--artifact-type", "lists name images only", "oras push REGISTRY/NAME FILE"),
    ("--artifact-config", "lists name images only", "oras push REGISTRY/NAME FILE"),
    ("--artifact-layer-type", "lists name images only", "oras push REGISTRY/NAME FILE"),
    ("--artifact-subject", "lists name images only", "oras push REGISTRY/NAME FILE"),
    ("--max", "the store keeps nothing that nobody names", "box system prune"),
    ("--all-platforms", "the store has an image for one platform each", "once for each: --platform OS/ARCH"),
    ("--init-ctr", "this release has no pods", "leave it out"),
    ("--pod-id-file", "this release has no pods", "leave it out"),
    ("--external", "nobody else keeps containers in box's store", "leave it out"),
    ("--sync", "box asks the kernel each time", "leave it out"),
    ("--disable-content-trust", "signatures are a matter of policy.json", "leave it out"),
    ("--attach", "it starts nothing", "box start -a CONTAINER"),
    ("--detach", "it starts nothing", "box start CONTAINER, or box run -d IMAGE"),
    ("--detach-keys", "it starts nothing", "box start -a --detach-keys KEYS CONTAINER"),
    ("--sig-proxy", "it starts nothing", "box start -a --sig-proxy=BOOL CONTAINER"),
    ("--rmi", "nobody waits for the end", "box run --rmi IMAGE, or later box rmi IMAGE"),
    (
        "--storage-opt",
        "a size of its own needs quotas that only root can set",
        "--tmpfs /data:size=1g for what is large",
    ),
    ("--pod", "this release has no pods", "leave it out"),
    ("--exec", "a command that `box exec` ran leaves nothing", "leave it out"),
    ("--rootless-netns", "each container has a network namespace of its own", "box exec CONTAINER, or nsenter"),
    ("--build", "a build that ends leaves no container", "box builder prune"),
    ("--build-cache", "what is known of builds is apart from images", "box builder prune"),
    ("--attachable", "every network of box can be joined by containers", "leave it out"),
    (
        "--ipam-opt",
        "host-local, which gives the addresses, has no options",
        "--ip-range RANGE, --aux-address NAME=ADDRESS",
    ),
    ("--config-from", "it is for swarms", "leave it out"),
    ("--config-only", "it is for swarms", "leave it out"),
    ("--ingress", "it is for swarms", "leave it out"),
    ("--scope", "it is for swarms", "leave it out"),
    ("--availability", "it is for swarms", "leave it out"),
    ("--group", "it is for swarms", "leave it out"),
    ("--limit-bytes", "it is for swarms", "-o size=SIZE"),
    ("--required-bytes", "it is for swarms", "leave it out"),
    ("--sharing", "it is for swarms", "leave it out"),
    ("--topology-preferred", "it is for swarms", "leave it out"),
    ("--topology-required", "it is for swarms", "leave it out"),
    ("--checkpoint", "this release makes no checkpoints", "leave it out"),
    ("--checkpoint-dir", "this release makes no checkpoints", "leave it out"),
];

/// Commands of podman and docker that box does not have, why, and what to type.
const COMMANDS: [Absent; 9] = [
    ("checkpoint", "CRIU needs root", "box commit CONTAINER keeps its files, box pause its processes"),
    ("restore", "CRIU needs root", "box commit CONTAINER keeps its files, box pause its processes"),
    ("migrate", "nothing has to be: each command reads what an older one has written", "box system check"),
    ("renumber", "box keeps no numbers of locks", "leave it out"),
    ("service", "this release answers no API", "box COMMAND --format json for programs"),
    ("pod", "this release has no pods", "box run --network container:NAME shares a network"),
    ("kube", "this release has no pods", "box run, a container each"),
    (
        "generate",
        "box keeps containers over a reboot by itself",
        "box run --restart always, then box system boot enable",
    ),
    ("machine", "box runs where Linux does, without a machine of its own", "leave it out"),
];

/// Why there is no such option, and what to type; `None` for one that nobody has.
pub fn why(flag: &str) -> Option<(&'static str, &'static str)> {
    ABSENT.iter().find(|(name, ..)| *name == flag).map(|(_, why, hint)| (*why, *hint))
}

/// The same for a command, by the word that is unknown.
pub fn why_command(word: &str) -> Option<(&'static str, &'static str)> {
    COMMANDS.iter().find(|(name, ..)| *name == word).map(|(_, why, hint)| (*why, *hint))
}
