//! `oci`: a bundle's life by one command each, as runc's callers type them.

use crate::env::{Cmd, TestEnv, eventually};
use crate::image;
use crate::outcome::Outcome;
use crate::skip::is_root;
use serde_json::{Value, json};
use std::fs;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A bundle of the payload program, and a folder for the containers made of it.
pub struct Bundle {
    /// Its test's home.
    pub env: TestEnv,
    /// The folder with config.json and rootfs.
    pub folder: PathBuf,
}

impl Bundle {
    /// One whose process runs this, as `box oci spec` has it but for what `change` does.
    pub fn new(args: &[&str], change: impl Fn(&mut Value)) -> Self {
        let env = TestEnv::new();
        let folder = env.base.join("bundle");
        fs::create_dir_all(folder.join("rootfs")).unwrap();
        tar::Archive::new(&*image::payload_layer()).unpack(folder.join("rootfs")).unwrap();
        let bundle = Self { env, folder };
        let mut spec = vec!["spec", "-b", bundle.folder.to_str().unwrap()];
        if !is_root() {
            spec.push("--rootless");
        }
        bundle.oci(&spec).ok();
        bundle.change(|spec| {
            spec["process"]["args"] = json!(args);
            spec["process"]["terminal"] = json!(false);
            spec["process"]["env"] = json!(["PATH=/bin"]);
            spec["root"]["readonly"] = json!(false);
            change(spec);
        });
        bundle
    }

    /// Change its config.json.
    pub fn change(&self, change: impl Fn(&mut Value)) {
        let path = self.folder.join("config.json");
        let mut spec = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut spec);
        fs::write(&path, spec.to_string()).unwrap();
    }

    /// A command of `box oci`, to be added to.
    pub fn cmd(&self, args: &[&str]) -> Cmd<'_> {
        let root = self.env.base.join("oci");
        let mut cmd = self.env.cmd(&["oci", "--root", root.to_str().unwrap()]);
        cmd.args(args);
        cmd
    }

    /// Run one to its end.
    pub fn oci(&self, args: &[&str]) -> Outcome {
        self.cmd(args).run()
    }

    /// `create`, with its streams in files: they outlive it.
    #[track_caller]
    pub fn create(&self, id: &str, options: &str) {
        let shell = format!(
            "exec {} oci --root {}/oci create --bundle {} {options} {id} </dev/null >>{2}/out 2>>{2}/err",
            crate::env::program().display(),
            self.env.base.display(),
            self.folder.display()
        );
        let outcome = self.env.other(Path::new("/bin/sh")).args(&["-c", &shell]).run();
        assert_eq!(outcome.code, 0, "{outcome}{}", fs::read_to_string(self.folder.join("err")).unwrap_or_default());
    }

    /// `run`, with these options; the container is `c`.
    pub fn run(&self, options: &[&str]) -> Outcome {
        let folder = self.folder.display().to_string();
        let mut args = vec!["run", "--bundle", &folder];
        args.extend(options);
        args.push("c");
        self.oci(&args)
    }

    fn out(&self) -> String {
        fs::read_to_string(self.folder.join("out")).unwrap_or_default()
    }

    /// `state`.
    #[track_caller]
    pub fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.oci(&["state", id]).ok()).unwrap()
    }

    #[track_caller]
    pub fn is(&self, id: &str, status: &str) {
        eventually(&format!("{id} to be {status}"), || self.state(id)["status"] == status);
    }

    /// Nothing may be left below `--root`.
    #[track_caller]
    pub fn is_empty(&self) {
        let root = self.env.base.join("oci");
        let left: Vec<_> = fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// What a test does to a config.json.
type Change = fn(&mut Value);

fn plain(_: &mut Value) {}

both! {
    a_life root_a_life;
    run_is_all_of_it root_run_is_all_of_it;
    what_is_wrong_leaves_nothing root_what_is_wrong_leaves_nothing;
    a_command_that_is_not_there root_a_command_that_is_not_there;
    a_terminal_goes_over_the_console_socket root_a_terminal_goes_over_the_console_socket;
    descriptors_are_handed_on root_descriptors_are_handed_on;
    one_more_process root_one_more_process;
    who_is_killed_at_the_gate_has_stopped root_who_is_killed_at_the_gate_has_stopped;
    hooks_come_in_their_order root_hooks_come_in_their_order;
}

mod checks {
    use super::*;

    pub fn hooks_come_in_their_order() {
        const KINDS: [&str; 5] = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
        let bundle = Bundle::new(&["sleep", "600"], plain);
        let log = bundle.env.base.join("log");
        let heard = |kinds: usize| {
            let statuses = ["creating", "creating", "creating", "running", "stopped"];
            let lines = KINDS.iter().zip(statuses).take(kinds);
            assert_eq!(
                fs::read_to_string(&log).unwrap(),
                lines.map(|(kind, status)| format!("{kind} c {status}\n")).collect::<String>()
            );
        };
        bundle.change(|spec| {
            for kind in KINDS {
                // The state comes by stdin, in one line.
                let value = |key: &str| format!(r#"$(printf %s "$state" | sed 's/.*"{key}":"\([^"]*\)".*/\1/')"#);
                let line =
                    format!("state=$(cat); echo {kind} {} {} >> {}", value("id"), value("status"), log.display());
                // One that fails is told of, and keeps nothing from its end.
                let end = if kind == "poststop" { "; exit 3" } else { "" };
                spec["hooks"][kind] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", format!("{line}{end}")],
                    "env": ["PATH=/usr/bin:/bin"] }]);
            }
        });
        bundle.create("c", "");
        heard(3);
        bundle.oci(&["start", "c"]).ok();
        heard(4);
        bundle.oci(&["kill", "c", "KILL"]).ok();
        bundle.is("c", "stopped");
        heard(4);
        let outcome = bundle.oci(&["delete", "c"]);
        heard(5);
        assert_eq!(outcome.code, 0, "{outcome}");
        outcome.says("poststop");
        bundle.is_empty();
    }

    pub fn a_life() {
        let bundle = Bundle::new(&["do", "echo", "started", ";", "sleep", "600"], |spec| {
            spec["annotations"] = json!({"a": "b"});
        });
        let pid_file = bundle.env.base.join("pid");
        bundle.create("c", &format!("--pid-file {}", pid_file.display()));
        let state = bundle.state("c");
        assert_eq!(state["status"], "created");
        assert_eq!((&state["ociVersion"], &state["id"]), (&json!("1.3.0"), &json!("c")));
        assert_eq!(state["bundle"], json!(bundle.folder));
        assert_eq!(state["annotations"], json!({"a": "b"}));
        assert_eq!(fs::read_to_string(&pid_file).unwrap(), state["pid"].to_string());
        assert_eq!(bundle.out(), "", "the command runs before its start");
        bundle
            .oci(&["create", "-b", bundle.folder.to_str().unwrap(), "c"])
            .fails(1)
            .says("container `c` exists already");
        bundle.oci(&["start", "c"]).ok();
        eventually("the command", || bundle.out() == "started\n");
        assert_eq!(bundle.state("c")["status"], "running");
        bundle.oci(&["start", "c"]).fails(1).says("it is running, not created");
        bundle.oci(&["delete", "c"]).fails(1).says("it is running, not stopped");
        let pids: Vec<i64> = serde_json::from_str(&bundle.oci(&["ps", "-f", "json", "c"]).ok()).unwrap();
        assert_eq!(json!(pids), json!([state["pid"]]));
        assert!(bundle.oci(&["list"]).ok().contains("running"));
        assert_eq!(bundle.oci(&["list", "-q"]).ok(), "c");
        bundle.oci(&["kill", "c", "KILL"]).ok();
        bundle.is("c", "stopped");
        assert_eq!(bundle.state("c")["pid"], 0);
        bundle.oci(&["kill", "c", "KILL"]).fails(1).says("container not running");
        bundle.oci(&["start", "c"]).fails(1).says("it is stopped, not created");
        bundle.oci(&["exec", "c", "true"]).fails(1).says("it is stopped, not running");
        bundle.oci(&["delete", "c"]).ok();
        for verb in ["state", "start", "kill", "delete"] {
            bundle.oci(&[verb, "c"]).fails(1).says("container `c` does not exist");
        }
        bundle.oci(&["delete", "--force", "c"]).ok();
        assert_eq!(bundle.oci(&["list", "-f", "json"]).ok(), "[]");
        bundle.is_empty();
    }

    pub fn run_is_all_of_it() {
        let bundle = Bundle::new(&["do", "both", "to out\n", "to err\n", ";", "exit", "7"], plain);
        let outcome = bundle.run(&[]);
        assert_eq!((outcome.code, outcome.out(), outcome.err()), (7, "to out".into(), "to err\n".into()));
        bundle.is_empty();
        bundle.run(&["--keep"]).ends(7);
        assert_eq!(bundle.state("c")["status"], "stopped");
        bundle.oci(&["delete", "c"]).ok();
        bundle.change(|spec| spec["process"]["args"] = json!(["sleep", "600"]));
        let running = bundle.cmd(&["run", "-b", bundle.folder.to_str().unwrap(), "c"]).start();
        running.await_signals();
        bundle.is_running_soon();
        running.signal(nix::sys::signal::Signal::SIGTERM);
        bundle.oci(&["kill", "c", "9"]).ok();
        assert_eq!(running.finish().code, 137);
        bundle.is_empty();
    }

    pub fn what_is_wrong_leaves_nothing() {
        let bundle = Bundle::new(&["true"], plain);
        let config = bundle.folder.join("config.json");
        let good = fs::read(&config).unwrap();
        let folder = bundle.folder.display().to_string();
        let create = |id: &str| bundle.oci(&["create", "-b", &folder, id]);
        create("../c").fails(1).says("cannot be a container's id");
        create("").fails(1).says("cannot be a container's id");
        bundle.oci(&["create", "-b", "/nowhere", "c"]).fails(1).says("cannot use bundle `/nowhere`");
        let pieces: [(Change, &str); 6] = [
            (|spec| spec["ociVersion"] = json!("2.0.0"), "`ociVersion` is 2.0.0"),
            (|spec| spec["root"]["path"] = json!("gone"), "`root.path` is"),
            (|spec| spec["root"] = Value::Null, "`root` is missing"),
            (|spec| spec["process"]["args"] = json!(7), "config.json is wrong"),
            (|spec| spec["process"] = Value::Null, "process"),
            (|spec| spec["process"]["terminal"] = json!(true), "--console-socket"),
        ];
        for (change, says) in pieces {
            fs::write(&config, &good).unwrap();
            bundle.change(change);
            create("c").fails(1).says(says);
            bundle.is_empty();
        }
        fs::write(&config, b"{").unwrap();
        create("c").fails(1).says("config.json is wrong");
        fs::remove_file(&config).unwrap();
        create("c").fails(1).says("there is no config.json in it");
        fs::write(&config, &good).unwrap();
        bundle.run(&["--console-socket", "/nowhere"]).fails(1).says("needs a process with a terminal");
        bundle.run(&["--preserve-fds", "9"]).fails(1).says("cannot preserve descriptor 3: it is not open");
        bundle.oci(&["spec", "-b", &folder]).fails(1).says("exists already");
        bundle.oci(&["checkpoint", "c", "--image-path", "x"]).fails(1).says("criu");
        bundle.is_empty();
    }

    pub fn a_command_that_is_not_there() {
        let bundle = Bundle::new(&["nope"], plain);
        let log = bundle.env.base.join("log");
        let folder = bundle.folder.display().to_string();
        let create = ["--log", log.to_str().unwrap(), "--log-format=json", "create", "-b", &folder, "c"];
        bundle.oci(&create).fails(1).says("executable file not found in $PATH");
        let line: Value = serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();
        assert_eq!(line["level"], "error");
        assert!(line["msg"].as_str().unwrap().contains("cannot run `nope`"), "{line}");
        bundle.run(&[]).fails(127);
        bundle.change(|spec| spec["process"]["args"] = json!(["/etc"]));
        bundle.oci(&["create", "-b", &folder, "c"]).fails(1).says("it is a folder (permission denied)");
        // Of a file without meaning only its execution tells.
        bundle.change(|spec| spec["process"]["args"] = json!(["broken"]));
        bundle.create("c", "");
        bundle.oci(&["start", "c"]).fails(1).says("exec format error");
        bundle.is("c", "stopped");
        bundle.oci(&["delete", "c"]).ok();
        bundle.run(&[]).fails(126);
        bundle.is_empty();
    }

    pub fn a_terminal_goes_over_the_console_socket() {
        let bundle = Bundle::new(&["tty"], |spec| {
            spec["process"]["terminal"] = json!(true);
            spec["process"]["consoleSize"] = json!({"height": 33, "width": 77});
        });
        let deep = bundle.env.base.join("x".repeat(100));
        fs::create_dir(&deep).unwrap();
        // Through a short path: the standard library's bind takes no longer one.
        let short = bundle.env.base.join("s");
        std::os::unix::fs::symlink(&deep, &short).unwrap();
        let listener = UnixListener::bind(short.join("console")).unwrap();
        bundle.create("c", &format!("--console-socket {}", deep.join("console").display()));
        let (connection, _) = listener.accept().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = rustix::net::RecvAncillaryBuffer::new(&mut space);
        let mut name = [0; 64];
        let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
        rustix::net::recvmsg(&connection, &mut [IoSliceMut::new(&mut name)], &mut ancillary, flags).unwrap();
        let master = ancillary.drain().find_map(|message| match message {
            rustix::net::RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        bundle.oci(&["start", "c"]).ok();
        let (mut text, mut buffer) = (Vec::new(), [0; 1024]);
        let mut master = fs::File::from(master.unwrap());
        while let Ok(length @ 1..) = master.read(&mut buffer) {
            text.extend_from_slice(&buffer[..length]);
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("33") && text.contains("77"), "{text}");
        bundle.oci(&["delete", "--force", "c"]).ok();
    }

    pub fn descriptors_are_handed_on() {
        let bundle = Bundle::new(&["do", "ls", "/proc/self/fd", ";", "printenv"], plain);
        let shell = |words: &str, flags: &str| {
            let (program, root, folder) = (crate::env::program(), bundle.env.base.join("oci"), &bundle.folder);
            let (program, root, folder) = (program.display(), root.display(), folder.display());
            let line =
                format!("exec 3</dev/null 4</dev/zero; {words} {program} oci --root {root} run -b {folder} {flags} c");
            bundle.env.other(Path::new("/bin/sh")).args(&["-c", &line]).run().ok()
        };
        let count = |text: &str| text.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).count();
        let (none, one) = (shell("", ""), shell("", "--preserve-fds 1"));
        assert_eq!(count(&one), count(&none) + 1, "{none} / {one}");
        let listening = shell("LISTEN_FDS=2", "");
        assert!(listening.contains("LISTEN_FDS=2\nLISTEN_PID=1"), "{listening}");
        assert_eq!(count(&listening), count(&none) + 2, "{listening}");
    }

    pub fn one_more_process() {
        let bundle = Bundle::new(&["sleep", "600"], plain);
        bundle.create("c", "");
        bundle.oci(&["start", "c"]).ok();
        let exec = |args: &[&str]| bundle.oci(&[&["exec"], args].concat());
        assert_eq!(exec(&["c", "echo", "hello"]).ok(), "hello");
        exec(&["c", "exit", "3"]).ends(3);
        exec(&["c", "nope"]).fails(127).says("executable file not found");
        assert!(exec(&["-e", "A=b", "--cwd", "/bin", "c", "printenv", "A"]).ok().contains('b'));
        let process =
            json!({"args": ["printenv", "B"], "cwd": "/", "env": ["PATH=/bin", "B=c"], "user": {"uid": 0, "gid": 0}});
        let file = bundle.env.file("process.json", process.to_string());
        assert!(exec(&["--process", file.to_str().unwrap(), "c"]).ok().contains('c'));
        bundle.env.file("bad.json", "[]");
        exec(&["-p", bundle.env.base.join("bad.json").to_str().unwrap(), "c"]).fails(1).says("is not a process");
        exec(&["c"]).fails(1).says("needs a command");
        let pid_file = bundle.env.base.join("pid");
        let words = ["-d", "--pid-file", pid_file.to_str().unwrap(), "c", "sleep", "600"];
        // Its streams are ours: in a shell that gives it others.
        let line = format!(
            "exec {} oci --root {}/oci exec {} </dev/null >/dev/null 2>&1",
            crate::env::program().display(),
            bundle.env.base.display(),
            words.join(" ")
        );
        bundle.env.other(Path::new("/bin/sh")).args(&["-c", &line]).run().ok();
        let pid: i64 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
        let pids: Vec<i64> = serde_json::from_str(&bundle.oci(&["ps", "--format", "json", "c"]).ok()).unwrap();
        assert!(pids.contains(&pid), "{pids:?} {pid}");
        assert!(bundle.oci(&["ps", "c"]).ok().contains("sleep"));
        bundle.oci(&["kill", "--all", "c", "KILL"]).ok();
        bundle.is("c", "stopped");
        bundle.oci(&["delete", "c"]).ok();
    }

    pub fn who_is_killed_at_the_gate_has_stopped() {
        let bundle = Bundle::new(&["true"], plain);
        bundle.create("c", "");
        bundle.oci(&["kill", "c", "KILL"]).ok();
        bundle.is("c", "stopped");
        bundle.oci(&["start", "c"]).fails(1).says("it is stopped, not created");
        bundle.oci(&["delete", "c"]).ok();
        // runc deletes one that was never started, and containerd relies on it.
        bundle.create("c", "");
        bundle.oci(&["delete", "c"]).ok();
        bundle.is_empty();
    }

    impl Bundle {
        pub(super) fn is_running_soon(&self) {
            eventually("it to run", || self.oci(&["state", "c"]).out().contains("running"));
        }
    }
}

#[test]
fn ids_beyond_ones_own_come_by_newuidmap() {
    if is_root() {
        skip!("wants an ordinary user");
    }
    let caller = rustix::process::getuid().as_raw();
    let ranges = fs::read_to_string("/etc/subuid").unwrap();
    let name = std::env::var("USER").unwrap_or_default();
    let ours = |line: &&str| line.starts_with(&format!("{name}:")) || line.starts_with(&format!("{caller}:"));
    let Some(first) = ranges.lines().find(ours).and_then(|line| line.split(':').nth(1)) else {
        skip!("there are no subordinate ids");
    };
    let first: u32 = first.parse().unwrap();
    let bundle = Bundle::new(&["cat", "/proc/self/uid_map"], |spec| {
        let more = json!({"containerID": 1, "hostID": first, "size": 10});
        spec["linux"]["uidMappings"].as_array_mut().unwrap().push(more);
        spec["process"]["user"]["uid"] = json!(5);
    });
    let map = bundle.run(&[]).ok();
    let map: Vec<Vec<&str>> = map.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(map.len(), 2, "{map:?}");
    assert_eq!(map[1], ["1", &first.to_string(), "10"]);
    bundle.change(|spec| spec["linux"]["uidMappings"][1]["hostID"] = json!(7));
    bundle.run(&[]).fails(1).says("cannot map the container's ids: newuidmap");
    // crun's `spec --rootless` leaves them out, and means all that one has.
    for property in ["uidMappings", "gidMappings"] {
        bundle.run(&[]).fails(1);
        bundle.change(|spec| drop(spec["linux"].as_object_mut().unwrap().remove(property)));
    }
    let map = bundle.run(&[]).ok();
    let map: Vec<Vec<&str>> = map.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(map[0], ["0", &caller.to_string(), "1"]);
    assert_eq!(map[1][..2], ["1", &first.to_string()]);
}

#[test]
fn the_name_of_the_link_is_the_command() {
    let env = TestEnv::new();
    let link = env.base.join("box-oci");
    std::os::unix::fs::symlink(crate::env::program(), &link).unwrap();
    let version = env.other(&link).args(&["--version"]).run().ok();
    assert!(version.starts_with("box-oci version ") && version.contains("\nspec: 1."), "{version}");
    let features = env.other(&link).args(&["features"]).run().ok();
    let features: Value = serde_json::from_str(&features).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    env.other(&link).args(&["list"]).run().ok();
}
