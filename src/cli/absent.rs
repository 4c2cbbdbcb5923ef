//! Data table: options and commands of podman and docker that box does not have, and why: said in place of "no such".

/// The options and commands, why they are not there, and what to type.
type Absent = (&'static [&'static str], &'static str, &'static str);

const ABSENT: [Absent; 78] = [
    (&["--link"], "containers of one network find each other by name", "box network create lan, then --network lan"),
    (&["--link-local-ip"], "podman takes it and does nothing", "leave it out"),
    (&["--isolation"], "it is for Windows", "leave it out"),
    (&["--cpu-count", "--cpu-percent"], "it is for Windows", "--cpus NUMBER"),
    (&["--io-maxbandwidth"], "it is for Windows", "--device-read-bps, --device-write-bps"),
    (&["--io-maxiops"], "it is for Windows", "--device-read-iops, --device-write-iops"),
    (&["--cpu-rt-period", "--cpu-rt-runtime"], "cgroup v2 has no such limit", "--cpus NUMBER"),
    (&["--kernel-memory"], "the kernel has it no more", "--memory SIZE"),
    (&["--init-path"], "box is the init itself", "--init"),
    (&["--volume-driver"], "volumes without a name are folders of box's", "box volume create --driver NAME data"),
    (&["--use-api-socket"], "box has no server that could be asked", "leave it out"),
    (&["--rdt-class"], "it needs root and resctrl", "leave it out"),
    (&["--seccomp-policy"], "images bring no profile of their own", "--security-opt seccomp=FILE"),
    (&["--decryption-key"], "encrypted images cannot be read", "pull it decrypted: skopeo copy --decryption-key"),
    (&["--encryption-key"], "images are not encrypted", "encrypt it on the way: skopeo copy --encryption-key"),
    (&["--encrypt-layer"], "images are not encrypted", "encrypt it on the way: skopeo copy --encrypt-layer"),
    (&["--sign-by-sq-fingerprint"], "it signs with GnuPG and with keys in PEM", "--sign-by KEY"),
    (&["--sign-by-sigstore"], "it takes a key, not a file of parameters", "--sign-by-sigstore-private-key FILE"),
    (
        &[
            "--artifact",
            "--artifact-type",
            "--artifact-config",
            "--artifact-config-type",
            "--artifact-exclude-titles",
            "--artifact-layer-type",
            "--artifact-subject",
        ],
        "lists name images only",
        "oras push REGISTRY/NAME FILE",
    ),
    (&["--subject"], "a list refers to nothing else", "oras attach REGISTRY/NAME FILE"),
    (&["--insecure"], "how registries are asked has one flag everywhere", "--tls-verify=false"),
    (&["--estargz"], "zstd:chunked does the same, and is smaller", "--compression-format zstd:chunked"),
    (&["--cosign-key"], "it is called as podman calls it", "--sign-by-sigstore-private-key FILE"),
    (&["--max", "box system check -m"], "the store keeps nothing that nobody names", "box system prune"),
    (&["--all-platforms"], "the store has an image for one platform each", "once for each: --platform OS/ARCH"),
    (&["--init-ctr", "--pod", "--pod-id-file", "box ps -p"], "this release has no pods", "leave it out"),
    (&["--external"], "nobody else keeps containers in box's store", "leave it out"),
    (&["--sync"], "box asks the kernel each time", "leave it out"),
    (&["--disable-content-trust"], "signatures are a matter of policy.json", "leave it out"),
    (&["--attach"], "it starts nothing", "box start -a CONTAINER"),
    (&["--detach"], "it starts nothing", "box start CONTAINER, or box run -d IMAGE"),
    (&["--detach-keys"], "it starts nothing", "box start -a --detach-keys KEYS CONTAINER"),
    (&["--sig-proxy"], "it starts nothing", "box start -a --sig-proxy=BOOL CONTAINER"),
    (&["--rmi"], "nobody waits for the end", "box run --rmi IMAGE, or later box rmi IMAGE"),
    (&["--storage-opt"], "storage.conf says how images are kept", "box info --config"),
    (
        &["--runroot", "--tmpdir"],
        "sockets and locks of what runs are in $XDG_RUNTIME_DIR/box",
        "XDG_RUNTIME_DIR=DIR box COMMAND",
    ),
    (
        &["--log-level", "--syslog", "box -D", "--debug"],
        "a command of box says what is wrong, and keeps no log",
        "--timing prints where the time went",
    ),
    (&["--out"], "what is printed goes where the shell says", "box COMMAND >FILE"),
    (&["--module"], "no folders of modules are looked into", "CONTAINERS_CONF_OVERRIDE=FILE box COMMAND"),
    (&["--hooks-dir"], "only the hooks of a bundle's config.json are run", "box oci run --bundle DIR NAME"),
    (
        &["--cdi-spec-dir"],
        "CDI files are in /etc/cdi, /var/run/cdi and your own folder",
        "box run --device VENDOR/CLASS=NAME",
    ),
    (
        &["--cgroup-manager"],
        "systemd is asked where it answers, else the folder is used that is ours",
        "box info --format '{{.Host.CgroupManager}}'",
    ),
    (&["--events-backend"], "events are kept in a file, or not at all", "events_logger in containers.conf"),
    (&["--conmon"], "box is the monitor itself", "leave it out"),
    (&["--runtime", "--runtime-flag"], "a container has its own", "box run --runtime NAME"),
    (
        &["--network-cmd-path", "--network-config-dir"],
        "programs are found in PATH, and networks are in the store",
        "--root DIR",
    ),
    (&["--imagestore", "--transient-store", "--volumepath"], "a store is one folder", "--root DIR"),
    (&["--config"], "the folder of auth files is DOCKER_CONFIG's", "DOCKER_CONFIG=DIR box COMMAND"),
    (
        &[
            "--remote",
            "--url",
            "--connection",
            "--context",
            "--host",
            "--identity",
            "--ssh",
            "--tls-ca",
            "--tls-cert",
            "--tls-key",
            "box -c",
            "box -H",
            "box -r",
        ],
        "box asks no server",
        "ssh HOST box COMMAND",
    ),
    (&["--exec"], "a command that `box exec` ran leaves nothing", "leave it out"),
    (&["--rootless-netns"], "each container has a network namespace of its own", "box exec CONTAINER, or nsenter"),
    (&["--build"], "a build that ends leaves no container", "box builder prune"),
    (&["--build-cache"], "what is known of builds is apart from images", "box builder prune"),
    (
        &["--ipam-opt"],
        "host-local, which gives the addresses, has no options",
        "--ip-range RANGE, --aux-address NAME=ADDRESS",
    ),
    (&["--attachable"], "every network of box can be joined by containers", "leave it out"),
    (&["--limit-bytes"], "it is for swarms", "-o size=SIZE"),
    (
        &[
            "--availability",
            "--config-from",
            "--config-only",
            "--group",
            "--ingress",
            "--required-bytes",
            "--scope",
            "--sharing",
            "--topology-preferred",
            "--topology-required",
        ],
        "it is for swarms",
        "leave it out",
    ),
    (&["--checkpoint", "--checkpoint-dir"], "this release makes no checkpoints", "leave it out"),
    (&["checkpoint", "restore"], "CRIU needs root", "box commit CONTAINER keeps its files, box pause its processes"),
    (&["renumber"], "box keeps no numbers of locks", "leave it out"),
    (&["service"], "this release answers no API", "box COMMAND --format json for programs"),
    (&["pod"], "this release has no pods", "box run --network container:NAME shares a network"),
    (&["kube"], "this release has no pods", "box run, a container each"),
    (
        &["generate"],
        "box keeps containers over a reboot by itself",
        "box run --restart always, then box system boot enable",
    ),
    (
        &["auto-update"],
        "no units of systemd are made that could be restarted",
        "box pull IMAGE, then box run --replace",
    ),
    (&["artifact"], "the store keeps images only", "oras pull REGISTRY/NAME"),
    (&["quadlet"], "units of systemd are not made", "box run --restart always, then box system boot enable"),
    (&["compose"], "this release has no compose", "box builder bake builds what a compose file describes"),
    (&["connection", "context", "dial-stdio", "farm", "remote"], "box asks no server", "ssh HOST box COMMAND"),
    (
        &["convert"],
        "layers are packed otherwise as they are pushed",
        "box push --compression-format zstd IMAGE oci:FOLDER",
    ),
    (&["encrypt"], "images are not encrypted", "skopeo copy --encryption-key KEY"),
    (&["decrypt"], "encrypted images cannot be read", "skopeo copy --decryption-key KEY"),
    (&["plugin"], "there are no plugins", "leave it out"),
    (&["swarm", "stack", "node", "config"], "it is for swarms", "leave it out"),
    (&["trust"], "signatures are a matter of policy.json", "box image trust show"),
    (&["play"], "this release has no pods", "box run, a container each"),
    (&["podmansh"], "a container is no login shell", "box exec -it CONTAINER sh"),
    (&["machine"], "box runs where Linux does, without a machine of its own", "leave it out"),
];

/// The same of `build` alone.
const BUILD: [Absent; 25] = [
    (&["--buildkit-host"], "no server builds", "leave it out"),
    (&["--cgroupns", "--ipc", "--pid", "--uts"], "steps have a namespace of each kind of their own", "leave it out"),
    (
        &["--userns", "--userns-gid-map", "--userns-gid-map-group", "--userns-uid-map", "--userns-uid-map-user"],
        "steps run as the image's users, in your own range of ids",
        "leave it out",
    ),
    (&["--runtime", "--runtime-flag", "--hooks-dir"], "steps run in box's own sandbox", "leave it out"),
    (&["--compat-volumes"], "what a step changes in a volume is kept, as docker has it", "leave it out"),
    (&["--cpp-flag"], "a Dockerfile is not preprocessed", "cpp -E Dockerfile.in | box build -f - ."),
    (
        &["--created-annotation"],
        "nothing tells the time of a build",
        "--annotation org.opencontainers.image.created=TIME",
    ),
    (&["--cw"], "it needs hardware that keeps secrets from its owner", "leave it out"),
    (&["--disable-compression"], "layers are not compressed here", "leave it out"),
    (&["--identity-label"], "box puts no label of its own on images", "--label NAME=VALUE"),
    (&["--inherit-annotations"], "annotations of the base are of the base", "--annotation NAME=VALUE"),
    (&["--ipfs"], "images are in registries", "leave it out"),
    (&["--layer-label"], "steps leave layers, which have no labels", "--label NAME=VALUE"),
    (&["--logfile"], "the shell does that", "box build … 2> FILE"),
    (&["--logsplit"], "the shell does that", "box build … 2> FILE, once for each platform"),
    (&["--os-feature"], "an image says what its base says", "box manifest annotate --features NAME LIST IMAGE"),
    (&["--os-version"], "an image says what its base says", "box manifest annotate --os-version VERSION LIST IMAGE"),
    (&["--policy", "--source-policy-file"], "what may be pulled is a matter of policy.json", "box image trust set"),
    (&["--resource"], "each limit has an option of its own", "--memory SIZE, --cpus NUMBER"),
    (&["--sbom-image-output", "--sbom-image-purl-output"], "the document is attached to the image", "--sbom=true"),
    (&["--sbom-merge-strategy"], "there is one scan an image", "--sbom=true"),
    (
        &["--sbom-scanner-command", "--sbom-scanner-image"],
        "a scanner is an image of BuildKit's protocol",
        "--sbom=generator=IMAGE",
    ),
    (&["--sign-by"], "an image is signed where it goes to a registry", "box push --sign-by KEY IMAGE"),
    (&["--stdin"], "a step that asks somebody is another each time", "--build-arg NAME=VALUE, --secret id=NAME"),
    (&["--unsetannotation"], "annotations of the base are of the base", "leave it out"),
];

/// Why there is no such option, or no such command, and what to type; `None` for what nobody has.
///
/// A name in the table is that of any command, or of the one before it.
pub fn why(path: &str, name: &str) -> Option<(&'static str, &'static str)> {
    let full = format!("{path} {name}");
    let builds: &[Absent] = if path.ends_with(" build") { &BUILD } else { &[] };
    let found =
        builds.iter().chain(&ABSENT).find(|(names, ..)| names.iter().any(|known| *known == name || *known == full));
    found.map(|(_, why, hint)| (*why, *hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_message_among_the_failures() {
        let failures = include_str!("../../tests/it/golden/failures.txt");
        let tried: Vec<&str> = failures.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
        for name in ABSENT.iter().chain(&BUILD).flat_map(|(names, ..)| names.iter()) {
            let is_tried = |line: &&str| match name.strip_prefix("box ") {
                Some(_) => line.starts_with(name),
                None => line.split(' ').any(|word| word == *name),
            };
            assert!(tried.iter().any(is_tried), "`{name}` is not in tests/it/golden/failures.txt");
        }
    }
}
