//! podman and box read what the other has made, and so does skopeo between them: the same ids, digests and files.
//!
//! podman works in box's namespace, as root there: it then needs no helper that would stay behind.

use crate::env::TestEnv;
use crate::interop::{Server, start};
use crate::outcome::Outcome;
use std::collections::HashMap;

/// What begins each script: podman with a store below the test's folder.
const PODMAN: &str = "set -e
export CONTAINERS_CONF=$PWD/podman.conf XDG_RUNTIME_DIR=$PWD/podmanrun
mkdir -p podmanrun $HOME/.config/containers/registries.d
printf 'default-docker:\\n  lookaside: file://%s/none\\n' $PWD > $HOME/.config/containers/registries.d/default.yaml
printf '[engine]\\ntmp_dir = \"%s/podmantmp\"\\nlock_type = \"file\"\\nevents_logger = \"none\"\\n' $PWD > podman.conf
pod() { podman --root $PWD/pod --runroot $PWD/podroot --storage-driver vfs --cgroup-manager cgroupfs \"$@\"; }
";

/// Two images, each in every form that podman and skopeo write: `two` has removed and hidden what `one` has.
const MAKE: &str = r#"
mkdir -p tree/etc tree/gone tree/hidden
echo one > tree/etc/word; echo x > tree/gone/x; echo y > tree/hidden/y
ln tree/etc/word tree/etc/hard; ln -s word tree/etc/soft; truncate -s 9M tree/sparse; printf z > "tree/$(printf 'n\351')"
tar -C tree -cf tree.tar .
pod import -q -c 'CMD ["x"]' tree.tar localhost/one >/dev/null
c=$(pod create --network none localhost/one); m=$(pod mount $c)
rm -r $m/gone $m/hidden; mkdir $m/hidden; echo new > $m/hidden/new; chown -h 5:6 $m/etc/soft; chmod 4711 $m/etc/word
pod umount $c >/dev/null
pod commit -q -f docker --author me --message why -c 'ENV A=b' $c localhost/two >/dev/null
pod rm $c >/dev/null
for name in one two; do
    for form in docker-archive oci-archive docker-dir oci-dir; do
        pod save -q --format $form -o $name-$form localhost/$name >&2
    done
    pod push -q --tls-verify=false localhost/$name REGISTRY/podman/$name:1 >&2
    pod push -q --tls-verify=false -f v2s2 localhost/$name REGISTRY/podman/$name:2 >&2
done
copy() { skopeo --insecure-policy copy -q "$@" >&2; }
copy docker-archive:two-docker-archive oci:zstd:x --dest-compress-format zstd
copy docker-archive:two-docker-archive oci:gzip:x
copy docker-archive:two-docker-archive oci-archive:archive:x
copy docker-archive:two-docker-archive dir:folder
copy oci:gzip:x docker-archive:docker:x
copy oci:zstd:x --src-tls-verify=false docker://REGISTRY/skopeo/two:1 --dest-tls-verify=false
for form in oci:zstd:x oci:gzip:x oci-archive:archive:x dir:folder docker-archive:docker docker://REGISTRY/skopeo/two:1 \
    {docker-archive,oci-archive}:{one,two}-FORM dir:{one,two}-docker-dir oci:{one,two}-oci-dir \
    docker://REGISTRY/podman/{one,two}:{1,2}; do
    form=${form/FORM/${form%%:*}}
    echo $form $(skopeo inspect --tls-verify=false --config --raw $form | sha256sum | cut -d' ' -f1)
done
"#;

/// What box has made, read by podman.
const READ: &str = r"
for file in saved-*; do
    name=$(pod load -q -i $file); name=${name##* }
    echo $file $(pod image inspect --format '{{.Id}}' $name)
    pod rmi -f $name >/dev/null
done
pod pull -q --tls-verify=false REGISTRY/box/two:1
skopeo inspect --tls-verify=false --format 'ours {{.Digest}}' docker://REGISTRY/box/two:1
skopeo inspect --tls-verify=false --format 'theirs {{.Digest}}' docker://REGISTRY/podman/two:2
m=$(pod image mount REGISTRY/box/two:1)
(cd $m; find . LIST | sort)
pod image umount -a >/dev/null
";

/// What `find` says of a file; a folder's links and size are the file system's own.
const LIST: &str = r"-type d -printf '%P %y %m %U:%G\n' -o -printf '%P %y %m %U:%G %n %s %l\n'";

fn inside(env: &TestEnv, server: &Server, script: &str) -> Outcome {
    env.file("script", format!("{PODMAN}{}", script.replace("REGISTRY", &server.host).replace("LIST", LIST)));
    env.box_(&["unshare", "bash", "script"])
}

#[test]
fn podman_skopeo_and_box() {
    let env = TestEnv::new();
    if ["podman", "skopeo"]
        .iter()
        .any(|name| env.other("/bin/sh".as_ref()).args(&["-c", &format!("command -v {name}")]).run().code != 0)
    {
        skip!("podman or skopeo is missing");
    }
    let Some(server) = start(&env, false) else { skip!("docker-registry or openssl is missing") };
    let there = |name: &str| format!("{}/{name}", server.host);
    env.file("config/containers/policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#);
    let made = inside(&env, &server, MAKE).ok();
    let ids: HashMap<&str, &str> = made.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(ids.len(), 18, "{made}");
    for (source, id) in &ids {
        let source = source.trim_start_matches("docker://");
        assert_eq!(env.box_(&["pull", "-q", source]).ok(), *id, "{source}");
    }
    // And back: the same ids from archives, the same digest from a registry, and every file as it was.
    let (one, two) = (there("podman/one:2"), there("podman/two:2"));
    for format in ["docker-archive", "oci-archive"] {
        for (name, image) in [("one", &one), ("two", &two)] {
            env.box_(&["save", "-q", "--format", format, "-o", &format!("saved-{format}-{name}"), image]).ok();
        }
    }
    env.box_(&["push", "-q", &two, &there("box/two:1")]).ok();
    let back = inside(&env, &server, READ).ok();
    for format in ["docker-archive", "oci-archive"] {
        for name in ["one", "two"] {
            let id = ids[format!("docker://{}", there(&format!("podman/{name}:2"))).as_str()];
            assert!(back.contains(&format!("saved-{format}-{name} {id}")), "{format} {name}, {id}: {back}");
        }
    }
    let digest = |of: &str| back.lines().find_map(|line| line.strip_prefix(of)).map(str::to_owned);
    assert!(digest("ours ").is_some() && digest("ours ") == digest("theirs "), "{back}");
    let list = "cd $(BOX image mount TWO); find . LIST | sort; cd /; BOX image unmount -a >/dev/null";
    let list = list.replace("BOX", &crate::env::program().display().to_string());
    let list = list.replace("TWO", &two).replace("LIST", LIST);
    let files = env.box_(&["unshare", "sh", "-c", &list]).ok();
    assert!(files.contains("hidden/new f") && !files.contains("gone") && !files.contains("hidden/y"), "{files}");
    assert!(back.ends_with(&files), "podman:\n{back}\nbox:\n{files}");
}
