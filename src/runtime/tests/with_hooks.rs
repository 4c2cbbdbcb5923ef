//! Hooks: when they run, where, with what, and what becomes of a container whose hook fails.

use super::*;
use crate::runtime::hooks::{Owner, Point};

/// A hook that runs a shell script.
fn hook(script: &str) -> Value {
    json!({ "path": BUSYBOX, "args": ["busybox", "sh", "-c", script] })
}

fn tell(rootfs: &Rootfs) -> PathBuf {
    rootfs.0.join("told")
}

/// Run with these hooks; what the container printed, and what hooks left in the file `told` of the host.
fn run_hooks(mode: As, make: impl Fn(&str) -> Value) -> (String, String) {
    let rootfs = Rootfs::new();
    let paths = paths(&rootfs);
    let told = tell(&rootfs);
    std::fs::write(&told, "").unwrap();
    let hooks = make(told.to_str().unwrap());
    let spec = spec(&["cat", "/inside"], |spec| {
        spec["hooks"] = hooks.clone();
        spec["annotations"] = json!({ "some": "note" });
    });
    let text = inside(mode, || {
        run_with(&bundle(&rootfs, &paths, &spec), |running| {
            let owner = Owner { id: "test", bundle: &rootfs.0 };
            match crate::runtime::hooks::run(&spec, owner, Point::Poststart, Some(running.pid)) {
                Ok(()) => String::new(),
                Err(error) => format!("poststart: {error:#}\n"),
            }
        })
    });
    (text, std::fs::read_to_string(&told).unwrap())
}

#[test]
fn run_in_order_where_they_should() {
    alone!();
    for mode in modes() {
        let (printed, told) = run_hooks(mode, |told| {
            let outside = |name: &str| hook(&format!("echo {name} $(readlink /proc/self/ns/uts) >> {told}"));
            json!({
                "prestart": [outside("prestart")],
                "createRuntime": [outside("createRuntime"), outside("second")],
                // The container's namespaces, but the host's files.
                "createContainer": [outside("createContainer")],
                "startContainer": [hook("echo startContainer $(readlink /proc/self/ns/uts) $$ > /inside; ls -d /proc/1")],
                "poststart": [outside("poststart")],
            })
        });
        let ours = std::fs::read_link("/proc/self/ns/uts").unwrap().display().to_string();
        let words: Vec<Vec<&str>> = told.lines().map(|line| line.split(' ').collect()).collect();
        let names: Vec<&str> = words.iter().map(|line| line[0]).collect();
        assert_eq!(
            names,
            ["prestart", "createRuntime", "second", "createContainer", "poststart"],
            "{mode:?} {told} {printed}"
        );
        let is_ours: Vec<bool> = words.iter().map(|line| line[1] == ours).collect();
        assert_eq!(is_ours, [true, true, true, false, true], "{mode:?}");
        let inside: Vec<&str> = printed.split_whitespace().collect();
        assert_eq!((inside[0], inside[1]), ("startContainer", words[3][1]), "{mode:?} {printed}");
    }
}

#[test]
fn get_the_state_and_their_own_environment_only() {
    alone!();
    for mode in modes() {
        let (printed, told) = run_hooks(mode, |told| {
            let tell = |more: &str| {
                let mut hook = hook(&format!("{more}cat >> {told}; echo \" $A $HOME $0 $1\" >> {told}"));
                hook["args"].as_array_mut().unwrap().extend([json!("name"), json!("one")]);
                hook["env"] = json!(["A=b=c"]);
                hook
            };
            json!({
                // The namespaces can be found by the pid.
                "createRuntime": [tell("p=$(cat); n=${p#*pid\\\":}; ls -l /proc/${n%%,*}/ns/net > /dev/null || echo lost; echo $p |")],
                "startContainer": [hook("cat > /inside")],
            })
        });
        let (state, rest) = told.split_once("}\n ").unwrap_or_else(|| panic!("{mode:?} {told:?} {printed}"));
        assert_eq!(rest, "b=c  name one\n", "{mode:?}");
        let state: Value = serde_json::from_str(&format!("{state}}}")).unwrap();
        assert_eq!(state["status"], "creating");
        assert_eq!((&state["id"], &state["ociVersion"]), (&json!("test"), &json!("1.2.0")));
        assert_eq!(state["annotations"], json!({ "some": "note" }));
        assert!(state["pid"].as_i64().unwrap() > 1 && state["bundle"].as_str().unwrap().starts_with('/'));
        let inside: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{mode:?} {printed}"));
        assert_eq!((&inside["status"], &inside["pid"]), (&json!("created"), &json!(1)));
    }
}

#[test]
fn that_fail_are_the_end_of_the_container() {
    alone!();
    for mode in modes() {
        for point in ["prestart", "createRuntime", "createContainer", "startContainer"] {
            for (hook, expected) in [
                (hook("echo because >&2; exit 7"), "it ended with code 7: because"),
                (hook("kill -9 $$"), "it ended with SIGKILL"),
                (json!({ "path": "/nowhere" }), "it cannot be run: No such file or directory (os error 2)"),
            ] {
                let path = hook["path"].as_str().unwrap().to_owned();
                let (printed, told) = run_hooks(mode, |told| {
                    let after = json!({ "path": BUSYBOX, "args": ["sh", "-c", format!("echo after >> {told}")] });
                    json!({ point: [hook, after] })
                });
                let deed = format!("hook `hooks.{point}[0]` (`{path}`) failed");
                assert!(printed.ends_with(&format!("{deed}: {expected}")), "{mode:?} {printed}");
                assert_eq!(told, "", "{mode:?}");
            }
        }
        let (printed, _) = run_hooks(mode, |_| json!({ "poststart": [hook("exit 1")] }));
        assert!(printed.starts_with("poststart: hook `hooks.poststart[0]`"), "{printed}");
    }
}

#[test]
fn that_do_not_end_are_killed_with_all_that_they_have_started() {
    alone!();
    for mode in modes() {
        let (printed, _) = run_hooks(mode, |_| {
            let mut hook = hook("sleep 1000 & sleep 1000");
            hook["timeout"] = json!(1);
            json!({ "createRuntime": [hook] })
        });
        assert!(printed.ends_with("failed: it did not end within 1 s"), "{mode:?} {printed}");
    }
    // One that leaves a process with its output open does not keep the container waiting.
    let state = |script: &str| {
        let spec = spec(&["true"], |spec| spec["hooks"] = json!({ "poststop": [hook(script), hook("exit 3")] }));
        let owner = Owner { id: "test", bundle: Path::new("/") };
        crate::runtime::hooks::run_all(&spec, owner, Point::Poststop, None)
    };
    assert_eq!(state("sleep 3 &").len(), 1);
    assert_eq!(state("exit 2").len(), 2, "one that fails does not keep the others from running");
}
