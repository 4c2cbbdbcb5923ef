//! The same bundles run by box, by crun and by runc: what comes of them, and what the command sees.
//!
//! Runs where `BOX_TEST_ENGINES` is set, by root in a mount namespace whose `/sys/fs/cgroup` is cgroup v2 alone, which
//! crun and runc want; an ordinary user cannot give it to them.

use crate::oci::Bundle;
use crate::outcome::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The runtimes; box is the first.
const RUNTIMES: [&str; 3] = ["box", "crun", "runc"];

/// A script in which `run` is `RUNTIME run` of the bundle and `oci` the runtime, in that namespace.
fn script(bundle: &Bundle, runtime: &str, text: &str) -> Outcome {
    let program = match runtime {
        "box" => format!("{} oci", crate::env::program().display()),
        other => other.to_owned(),
    };
    let (base, folder) = (bundle.env.base.display(), bundle.folder.display());
    let text = format!(
        "oci() {{ {program} --root {base}/{runtime} \"$@\"; }}\nrun() {{ oci run --bundle {folder} \"$@\" c </dev/null; }}\n\
         code() {{ \"$@\" 2>/dev/null; echo \"code $?\"; }}\n{text}"
    );
    let prologue = "mount --make-rprivate /; umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup\n";
    let file = bundle.env.file("script", prologue.to_owned() + &text);
    let mut cmd = bundle.env.other(Path::new("/usr/bin/unshare"));
    cmd.args(&["--mount", "bash"]).arg(file);
    cmd.run()
}

/// A bundle that all three understand.
fn bundle(args: &[&str], change: impl Fn(&mut Value)) -> Bundle {
    let bundle = Bundle::new(args, |spec| {
        spec["ociVersion"] = json!("1.0.2");
        // What none of the three can do on a host whose controllers are cgroup v1's.
        spec["linux"].as_object_mut().unwrap().remove("resources");
        change(spec);
    });
    // By default crun and runc call it as the container, and so as that of another test.
    let name = bundle.env.base.file_name().unwrap().display().to_string();
    bundle.change(|spec| spec["linux"]["cgroupsPath"] = json!(format!("/{name}")));
    bundle
}

/// The answers of all three must be the same.
#[track_caller]
fn all_say_the_same(what: &str, bundle: &Bundle, text: &str) {
    let answers: BTreeMap<&str, String> = RUNTIMES
        .iter()
        .map(|runtime| {
            let outcome = script(bundle, runtime, text);
            (*runtime, outcome.out())
        })
        .collect();
    for other in &RUNTIMES[1..] {
        assert_eq!(answers["box"], answers[other], "{what}: box and {other}");
    }
}

macro_rules! engines {
    () => {
        if !crate::skip::is_root() {
            skip!("wants root");
        }
        if std::env::var_os("BOX_TEST_ENGINES").is_none() {
            skip!("wants BOX_TEST_ENGINES");
        }
    };
}

#[test]
fn root_exit_codes_and_streams() {
    engines!();
    for (args, signal) in [(&["exit", "0"][..], ""), (&["exit", "7"], ""), (&["exit", "255"], ""), (&["true"], "")] {
        all_say_the_same(&format!("{args:?} {signal}"), &bundle(args, |_| ()), "code run");
    }
    let both = bundle(&["both", "to out\n", "to err\n"], |_| ());
    all_say_the_same("streams", &both, "run 2>/dev/null; run 2>&1 >/dev/null");
    all_say_the_same("killed", &bundle(&["kill", "KILL", "self"], |_| ()), "code run");
}

#[test]
fn root_the_command_sees_the_same() {
    engines!();
    // What covers a masked path is each runtime's own affair: of these only the place counts.
    let mounts = r#"run | cut -d" " -f5,6 | sed -E "s,^(/proc/(acpi|asound|interrupts|k[a-z]+|latency_stats|timer_[a-z]+|sch?[a-z_]+)|/sys/(firmware|devices)[^ ]*) .*,\1," | grep -v "^/ " | sort"#;
    let process = |text: &str| format!("run | grep -E '{text}'");
    let profile = |spec: &mut Value| {
        spec["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99 }],
        });
        spec["process"]["rlimits"] = json!([
            { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }, { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
        ]);
        spec["process"]["oomScoreAdj"] = json!(300);
        spec["hostname"] = json!("same");
    };
    // Not `Groups`: box counts the primary group among them, so that it cannot be dropped (CVE-2022-2989). Not
    // `SigIgn`: box resets what its caller ignores.
    let fields = "^(Uid|Gid|Cap|NoNewPrivs|Seccomp:|Umask|SigBlk|NSpid)";
    all_say_the_same("status", &bundle(&["cat", "/proc/self/status"], profile), &process(fields));
    all_say_the_same("limits", &bundle(&["cat", "/proc/self/limits"], profile), "run");
    all_say_the_same("mounts", &bundle(&["cat", "/proc/self/mountinfo"], profile), mounts);
    let files =
        ["cat", "/proc/self/oom_score_adj", "/proc/sys/kernel/hostname", "/proc/self/uid_map", "/proc/self/cgroup"];
    all_say_the_same("files", &bundle(&files, profile), "run");
    all_say_the_same("variables", &bundle(&["printenv"], profile), "run | sort");
    let deeds =
        ["mount", "mknod=/tmp/n", "create=/proc/x", "open=/dev/null", "write=/proc/sysrq-trigger", "chroot=/tmp"];
    all_say_the_same("deeds", &bundle(&[&["try"][..], &deeds].concat(), profile), "run");
    all_say_the_same("devices", &bundle(&["ls", "/dev"], profile), "run | grep -vxE 'console|core'");
}

#[test]
fn root_a_life_has_the_same_states() {
    engines!();
    let bundle = bundle(&["sleep", "600"], |spec| spec["annotations"] = json!({ "a": "b" }));
    let (folder, base) = (bundle.folder.display(), bundle.env.base.display());
    // A second container of that name is left out: crun of Debian 12 refuses it, and takes the first one's cgroup away.
    // Of the state what the specification has; `sed` leaves out the pid, which is its own.
    let state = r#"oci state c | python3 -c 'import json, sys
state = json.load(sys.stdin)
print([state.get(key) for key in ("id", "status", "bundle", "annotations")], state["pid"] > 0)'"#;
    all_say_the_same(
        "life",
        &bundle,
        &format!(
            "oci create --bundle {folder} --pid-file {base}/pid c </dev/null >/dev/null 2>&1; echo created $?
                {state}
                test $(cat {base}/pid) -gt 0 && echo pid
                code oci delete c2
                oci start c; echo started $?
                {state}
                code oci start c
                code oci delete c
                oci exec c echo inside; code oci exec c exit 5
                oci kill c KILL; for i in $(seq 300); do oci state c | grep -q stopped && break; sleep 0.1; done
                {state}
                code oci kill c TERM
                oci delete c; echo deleted $?
                code oci state c
                code oci delete --force c"
        ),
    );
}

#[test]
fn root_what_is_wrong_is_wrong_for_all() {
    engines!();
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 7] = [
        ("a command that is not there", |spec| spec["process"]["args"] = json!(["nope"])),
        ("a folder for a command", |spec| spec["process"]["args"] = json!(["/etc"])),
        ("no root", |spec| spec["root"]["path"] = json!("nowhere")),
        ("a source that is not there", |spec| {
            let mount = json!({ "destination": "/x", "type": "bind", "source": "/nowhere", "options": ["bind"] });
            spec["mounts"].as_array_mut().unwrap().push(mount);
        }),
        ("a hook that fails", |spec| spec["hooks"] = json!({ "createRuntime": [{ "path": "/bin/false" }] })),
        ("a working folder that is a file", |spec| spec["process"]["cwd"] = json!("/bin/payload")),
        ("a namespace that is not there", |spec| {
            let list = spec["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|namespace| namespace["type"] != "ipc");
            list.push(json!({ "type": "ipc", "path": "/nowhere" }));
        }),
    ];
    for (what, change) in cases {
        // Which number is each runtime's own affair; that nothing is left is not.
        let text = "run >/dev/null 2>&1; test $? -ne 0 && echo failed; oci list -q | wc -l";
        all_say_the_same(what, &bundle(&["true"], change), text);
    }
}
