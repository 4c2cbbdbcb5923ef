//! box under other engines, and other runtimes under box: Debian's podman, containerd, crun and runc, by root in a mount
//! namespace whose `/sys/fs/cgroup` is cgroup v2 alone, which they want.
//!
//! They are large, so these tests run where `BOX_TEST_ENGINES` is set: `apt-get install podman containerd crun runc`.

use crate::env::{TestEnv, program};
use crate::outcome::Outcome;
use crate::skip::is_root;
use std::fs;
use std::path::Path;

macro_rules! engines {
    () => {
        if !is_root() {
            skip!("wants root");
        }
        if std::env::var_os("BOX_TEST_ENGINES").is_none() {
            skip!("wants BOX_TEST_ENGINES");
        }
    };
}

/// Run a script in that namespace.
fn script(env: &TestEnv, text: &str) -> Outcome {
    let prologue =
        "set -eu; mount --make-rprivate /; umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup\n";
    let file = env.file("script", format!("{prologue}{text}"));
    let mut cmd = env.other(Path::new("/usr/bin/unshare"));
    cmd.args(&["--mount", "bash"]).arg(file);
    cmd.run()
}

#[test]
fn root_podman_drives_box() {
    engines!();
    let env = TestEnv::new();
    let Some((tar, _)) = crate::real::root_file_system() else { skip!("there is no busybox") };
    let archive = env.file("root.tar", tar);
    std::os::unix::fs::symlink(program(), env.base.join("box-oci")).unwrap();
    // pids.max cannot be set where the controller is cgroup v1's.
    env.file(
        "containers.conf",
        "[containers]\npids_limit = 0\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
         [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n",
    );
    let base = env.base.display();
    let outcome = script(
        &env,
        &format!(
            "export CONTAINERS_CONF={base}/containers.conf
            pod() {{ podman --root {base}/store --runroot {base}/podrun --storage-driver vfs \
                --runtime {base}/box-oci --runtime-flag root={base}/oci \"$@\"; }}
            code() {{ set +e; \"$@\" >/dev/null 2>&1; echo \"code $?\"; set -e; }}
            pod import -q {} alpine >/dev/null
            pod run --rm --network none alpine sh -c 'echo hello; id -u'
            code pod run --rm --network none alpine nope
            code pod run --rm --network none alpine /etc
            code pod run --rm --network none alpine sh -c 'exit 7'
            pod run --rm --network none -t alpine sh -c 'test -t 0 && echo terminal'
            echo typed | pod run --rm -i --network none alpine cat
            pod run -d --name d --network none alpine sh -c 'echo begun; trap \"exit 3\" TERM; while :; do sleep 0.1; done' \
                >/dev/null
            pod exec d sh -c 'echo inside; exit 0'
            code pod exec d nope
            code pod exec d sh -c 'exit 4'
            pod logs d
            pod pause d >/dev/null; pod inspect d --format '{{{{.State.Status}}}}'; pod unpause d >/dev/null
            pod stop -t 5 d >/dev/null
            pod inspect d --format '{{{{.State.Status}}}} {{{{.State.ExitCode}}}}'
            pod rm d >/dev/null
            rm -rf {base}/store {base}/podrun",
            archive.display()
        ),
    );
    let expected =
        "hello\n0\ncode 127\ncode 126\ncode 7\nterminal\ntyped\ninside\ncode 127\ncode 4\nbegun\npaused\nexited 3";
    assert_eq!(outcome.ok().replace('\r', ""), expected, "{outcome}");
}

#[test]
fn root_containerd_drives_box() {
    engines!();
    let env = TestEnv::new();
    let archive = env.base.join("image.tar");
    crate::image::Image::payload().build().oci_archive(&archive, "localhost/t:1");
    std::os::unix::fs::symlink(program(), env.base.join("box-oci")).unwrap();
    let base = env.base.display();
    env.file(
        "containerd.toml",
        format!(
            "version = 2\nroot = \"{base}/ctd/root\"\nstate = \"{base}/ctd/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{base}/ctd.sock\"\n"
        ),
    );
    let outcome = script(
        &env,
        &format!(
            "containerd -c {base}/containerd.toml >{base}/ctd.log 2>&1 & server=$!
            trap 'kill $server; wait $server' EXIT
            ctr() {{ command ctr -a {base}/ctd.sock \"$@\"; }}
            # Weights are cgroup v1's here.
            start() {{ ctr run --cpu-shares 0 --runc-binary {base}/box-oci \"$@\"; }}
            code() {{ set +e; \"$@\" >/dev/null 2>&1; echo \"code $?\"; set -e; }}
            until ctr version >/dev/null 2>&1; do kill -0 $server; done
            ctr images import {base}/image.tar >/dev/null
            start --rm localhost/t:1 a do echo hello ';' field uid/0
            code start --rm localhost/t:1 b exit 7
            start --rm localhost/t:1 c nope 2>&1 | grep -o 'executable file not found'
            start --rm --seccomp localhost/t:1 d field seccomp
            start -d localhost/t:1 e sleep 600
            state() {{ ctr tasks ls | awk '$1 == \"e\" {{ print $3 }}'; }}
            state
            ctr tasks exec --exec-id x e echo inside
            ctr tasks pause e; state; ctr tasks resume e; state
            ctr tasks kill -s KILL e
            until [ \"$(state)\" = STOPPED ]; do :; done; state
            ctr tasks delete e 2>&1 | grep -o 'exit code 137'
            ctr containers delete e; ctr containers ls -q"
        ),
    );
    let expected =
        "hello\n0\ncode 7\nexecutable file not found\n2\nRUNNING\ninside\nPAUSED\nRUNNING\nSTOPPED\nexit code 137";
    assert_eq!(outcome.ok(), expected, "{outcome}{}", fs::read_to_string(env.base.join("ctd.log")).unwrap_or_default());
}

#[test]
fn root_a_bundle_has_its_cgroup() {
    if !is_root() {
        skip!("wants root");
    }
    let env = TestEnv::new();
    let bundle = env.base.join("bundle");
    fs::create_dir_all(bundle.join("rootfs")).unwrap();
    tar::Archive::new(&*crate::image::payload_layer()).unpack(bundle.join("rootfs")).unwrap();
    let (base, program) = (env.base.display(), program().display().to_string());
    let outcome = script(
        &env,
        &format!(
            "oci() {{ {program} oci --root {base}/oci \"$@\"; }}
            cd {base}/bundle; oci spec
            sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"$/\"do\",\"cat\",\"\\/proc\\/self\\/cgroup\",\";\",\"sleep\",\"600\"/' config.json
            sed -i 's/\"linux\": {{/\"linux\": {{ \"cgroupsPath\": \"\\/box-test-{id}\\/c\",/' config.json
            oci create c </dev/null >{base}/out 2>&1
            oci start c
            test $(cat /sys/fs/cgroup/box-test-{id}/c/cgroup.procs) = $(oci ps -f json c | tr -d '[]')
            oci pause c; oci state c | grep -c paused
            oci exec c true 2>&1 | grep -c 'it is paused'
            oci resume c
            until grep -q 0:: {base}/out; do :; done; grep 0:: {base}/out
            oci exec c cat /proc/self/cgroup | grep 0::
            oci events --stats c | grep -c usage
            oci kill c KILL
            until oci delete c 2>/dev/null; do :; done
            rmdir /sys/fs/cgroup/box-test-{id}",
            id = std::process::id(),
        ),
    );
    // In its own cgroup namespace, its cgroup is the root.
    assert_eq!(outcome.ok(), "1\n1\n0::/\n0::/\n1", "{outcome}");
}

#[test]
fn root_box_drives_crun_and_runc() {
    engines!();
    let env = TestEnv::new();
    let Some((tar, _)) = crate::real::root_file_system() else { skip!("there is no busybox") };
    let rootfs = env.base.join("rootfs");
    fs::create_dir(&rootfs).unwrap();
    tar::Archive::new(&*tar).unpack(&rootfs).unwrap();
    let (program, rootfs) = (program().display().to_string(), rootfs.display());
    for runtime in ["crun", "runc"] {
        let outcome = script(
            &env,
            &format!(
                "box() {{ {program} \"$@\"; }}
                run=\"--runtime {runtime} --network none --rootfs\"
                code() {{ set +e; \"$@\" >/dev/null 2>&1; echo \"code $?\"; set -e; }}
                box run --rm $run {rootfs}:O sh -c 'echo hello; id -u; grep Seccomp: /proc/self/status'
                box run --rm -u 5:6 $run {rootfs}:O id -g
                echo typed | box run --rm -i $run {rootfs}:O cat
                box run --rm -t $run {rootfs}:O sh -c 'test -t 0 && echo terminal'
                code box run --rm $run {rootfs}:O nope
                code box run --rm $run {rootfs}:O sh -c 'exit 7'
                box run -d --name d $run {rootfs}:O sh -c 'echo begun; trap \"exit 3\" TERM; while :; do sleep 0.1; done' \
                    >/dev/null
                until box logs d | grep begun; do :; done
                box exec d sh -c 'echo inside'
                box stop d >/dev/null
                box inspect d --format '{{{{.State.Status}}}} {{{{.State.ExitCode}}}}'
                box rm d >/dev/null"
            ),
        );
        let expected = "hello\n0\nSeccomp:\t2\n6\ntyped\nterminal\ncode 127\ncode 7\nbegun\ninside\nexited 3";
        assert_eq!(outcome.ok().replace('\r', ""), expected, "{runtime} {outcome}");
    }
}
