//! Whole containers against the real kernel: as root, as root of a user namespace with one id, and with many.
//!
//! The root is made of the machine's static busybox. Each test forks a single-threaded process that becomes what the
//! mode says, runs the container, and tells what came of it.

use super::*;
use crate::base::error::kind;
use crate::base::fs::remove_tree;
use crate::base::id::ContainerId;
use crate::sys::process::{self, Ended, Fork};
use rustix::fs::{Mode as FileMode, OFlags};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

mod conformance;
mod with_agent;
mod with_attacks;
mod with_hooks;
mod with_mounts;
mod with_properties;

const BUSYBOX: &str = "/bin/busybox";

#[derive(Debug, Clone, Copy, PartialEq)]
enum As {
    /// No user namespace.
    Root,
    /// A user namespace that maps one id, made without help.
    OneId,
    /// A user namespace with all ids, its maps written from outside.
    ManyIds,
}

/// The modes that this process may take: making a map of many ids needs root.
fn modes() -> Vec<As> {
    if !Path::new(BUSYBOX).exists() {
        let _ = std::io::stderr().write_all(b"skipped: no static busybox on this machine\n");
        return Vec::new();
    }
    if !rustix::process::geteuid().is_root() {
        return vec![As::OneId];
    }
    // In a user namespace already, a map of many ids may not fit into one line of ours.
    let outermost = std::fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295");
    if outermost { vec![As::Root, As::OneId, As::ManyIds] } else { vec![As::Root, As::OneId] }
}

/// A root file system of busybox, with a user.
struct Rootfs(PathBuf);

impl Rootfs {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("box-runtime-{}", ContainerId::random().short()));
        for part in ["lower/bin", "lower/etc", "upper", "work", "root"] {
            std::fs::create_dir_all(dir.join(part)).unwrap();
        }
        let bin = dir.join("lower/bin");
        std::fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
        for name in [
            "sh", "cat", "id", "ls", "stat", "grep", "true", "sleep", "kill", "readlink", "stty", "touch", "ionice",
            "uname", "head",
        ] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        std::fs::write(dir.join("lower/etc/passwd"), "root:x:0:0::/root:/bin/sh\nu:x:1000:50::/home/u:\n").unwrap();
        std::fs::write(dir.join("lower/etc/group"), "root:x:0:\nfifty:x:50:\nsixty:x:60:u\n").unwrap();
        std::fs::write(dir.join("lower/bin/plain"), "text").unwrap();
        script(&dir.join("lower/bin/lost"), "#!/nowhere/interpreter -x\n");
        script(&dir.join("lower/bin/garbage"), "\x7fnothing");
        Self(dir)
    }
}

fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        let _ = remove_tree(&self.0);
    }
}

/// A specification as `container::spec` makes them, with what `change` does to it.
fn spec(args: &[&str], change: impl Fn(&mut Value)) -> Spec {
    let caps: Vec<String> = capabilities::DEFAULT.iter().map(|cap| format!("CAP_{cap}")).collect();
    let mut spec = json!({
        "ociVersion": "1.2.0", "hostname": "testbox",
        "root": { "path": "root" },
        "process": {
            "user": { "uid": 0, "gid": 0, "username": "" }, "args": args, "cwd": "/", "env": ["PATH=/bin"],
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            { "destination": "/dev/shm", "type": "tmpfs", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/sys", "type": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"] },
        ],
        "linux": {
            "namespaces": [ { "type": "mount" }, { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
                            { "type": "uts" }, { "type": "cgroup" } ],
            "maskedPaths": defaults::masked_paths(), "readonlyPaths": defaults::readonly_paths(),
            "sysctl": { "net.ipv4.ping_group_range": "0 0" },
        },
    });
    change(&mut spec);
    serde_json::from_value(spec).unwrap()
}

/// Fork, become what the mode says, and return what the child says.
fn inside(mode: As, body: impl FnOnce() -> String) -> String {
    let (reader, writer) = std::io::pipe().unwrap();
    let (ready_reader, mut ready_writer) = std::io::pipe().unwrap();
    let (mut go_reader, mut go_writer) = std::io::pipe().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            drop((reader, ready_reader));
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                become_mode(mode, &mut ready_writer, &mut go_reader);
                body()
            }));
            let text = result.unwrap_or_else(|_| "panicked".to_owned());
            let _ = (&writer).write_all(text.as_bytes());
            process::exit_now(0)
        }
        Fork::Parent(pid) => {
            drop((writer, ready_writer));
            if mode == As::ManyIds {
                let mut ready = ready_reader;
                ready.read_exact(&mut [0]).unwrap();
                std::fs::write(format!("/proc/{pid}/uid_map"), "0 0 65536").unwrap();
                std::fs::write(format!("/proc/{pid}/gid_map"), "0 0 65536").unwrap();
            }
            let _ = go_writer.write_all(b"g");
            let mut text = String::new();
            (&reader).read_to_string(&mut text).unwrap();
            process::wait(pid).unwrap();
            text
        }
    }
}

fn become_mode(mode: As, ready: &mut impl Write, go: &mut impl Read) {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if mode != As::Root {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).unwrap();
    }
    match mode {
        As::Root => {}
        As::OneId => {
            std::fs::write("/proc/self/setgroups", "deny").unwrap();
            std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
            std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
        }
        As::ManyIds => {
            ready.write_all(b"r").unwrap();
            go.read_exact(&mut [0]).unwrap();
        }
    }
}

fn owner() -> hooks::Owner<'static> {
    hooks::Owner { id: "test", bundle: Path::new("/") }
}

fn null() -> OwnedFd {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, FileMode::empty()).unwrap()
}

fn bundle<'a>(rootfs: &'a Rootfs, paths: &'a [PathBuf; 4], spec: &'a Spec) -> Bundle<'a> {
    Bundle {
        spec,
        root: RootFs::Overlay { lower: &paths[..1], data: None, upper: &paths[1], work: &paths[2], volatile: true },
        mount_point: &paths[3],
        init: false,
        filter: Filter::Default,
        owner: hooks::Owner { id: "test", bundle: &rootfs.0 },
        cgroup: None,
        trees: &[],
        accounts: None,
        emulator: None,
        preserved: &[],
        unmonitored: None,
    }
}

fn paths(rootfs: &Rootfs) -> [PathBuf; 4] {
    ["lower", "upper", "work", "root"].map(|part| rootfs.0.join(part))
}

fn told(error: &anyhow::Error) -> String {
    format!("{:?}: {error:#}", kind(error))
}

/// Start with pipes, and return the output with the code, or the error with its kind.
fn run_with(bundle: &Bundle<'_>, mut beside: impl FnMut(&Running) -> String) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stdout: OwnedFd = writer.into();
    let stdio = Stdio::Pipes { stdin: null(), stderr: stdout.try_clone().unwrap(), stdout };
    let running = create(bundle, stdio).and_then(|mut starting| {
        starting.ready()?;
        starting.start()
    });
    let running = match running {
        Ok(running) => running,
        Err(error) => return told(&error),
    };
    let mut text = beside(&running);
    reader.read_to_string(&mut text).unwrap();
    match process::wait(running.pid).unwrap() {
        Ended::Exited(0) => text,
        ended => format!("{text}[{ended:?}]"),
    }
}

/// Run a command in every mode.
fn check(args: &[&str], change: impl Fn(&mut Value), prepare: impl Fn(&Path), expect: impl Fn(As, &str)) {
    for mode in modes() {
        let rootfs = Rootfs::new();
        prepare(&rootfs.0.join("lower"));
        let paths = paths(&rootfs);
        let spec = spec(args, &change);
        expect(mode, &inside(mode, || run_with(&bundle(&rootfs, &paths, &spec), |_| String::new())));
    }
}

fn plain(_: &mut Value) {}
fn untouched(_: &Path) {}

#[test]
fn a_process_has_what_it_should_and_no_more() {
    alone!();
    let text = "echo pid $$; hostname; readlink /proc/self/fd/9; ls /proc/self/fd; grep -E '^(Cap|Seccomp:)' /proc/self/status;
        stat -c '%t:%T' /dev/null /dev/zero /proc/interrupts; ls -A /sys/firmware; echo x > /proc/sys/kernel/panic;
        cat /proc/sys/net/ipv4/ping_group_range; touch /x && echo written; readlink /dev/fd; echo $HOME; umask";
    check(&["/bin/busybox", "sh", "-c", text], plain, untouched, |mode, found| {
        let expected = "pid 1\ntestbox\n0\n1\n2\n3\nCapInh:\t0000000000000000\nCapPrm:\t00000000800405fb\n\
            CapEff:\t00000000800405fb\nCapBnd:\t00000000800405fb\nCapAmb:\t0000000000000000\nSeccomp:\t2\n\
            1:3\n1:5\n1:3\n\
            sh: can't create /proc/sys/kernel/panic: Read-only file system\n0\t0\nwritten\n/proc/self/fd\n/root\n0022\n";
        let found = found.replace("/bin/busybox: ", "");
        assert_eq!(found, expected, "{mode:?}");
    });
}

#[test]
fn why_a_command_cannot_run() {
    alone!();
    for (command, expected) in [
        ("nope", "CommandNotFound: cannot run `nope`: no such command in the container"),
        ("/bin/nope", "CommandNotFound: cannot run `/bin/nope`: no such file in the container"),
        ("plain", "CommandNotExecutable: cannot run `/bin/plain`: it is not executable (permission denied)"),
        ("/etc", "CommandNotExecutable: cannot run `/etc`: it is a folder"),
        ("lost", "CommandNotExecutable: cannot run `/bin/lost`: its interpreter `/nowhere/interpreter` is missing"),
        ("garbage", "CommandNotExecutable: cannot run `/bin/garbage`: exec format error"),
        ("", "CommandNotFound: cannot run ``: the command is empty"),
    ] {
        check(&[command], plain, untouched, |mode, found| assert_eq!(found, expected, "{mode:?}"));
    }
}

#[test]
fn users() {
    alone!();
    let user = |name: &'static str| move |spec: &mut Value| spec["process"]["user"]["username"] = json!(name);
    let text = "id -u; id -g; id -G; echo $HOME; grep -E 'Cap(Eff|Prm)' /proc/self/status";
    check(&["sh", "-c", text], user("u"), untouched, |mode, found| match mode {
        As::OneId => assert!(
            found.starts_with("Host: cannot become group 50 in the container: it is not among your ids"),
            "{found}"
        ),
        _ => assert_eq!(
            found, "1000\n50\n50 60\n/home/u\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n",
            "{mode:?}"
        ),
    });
    check(&["id"], user("nobody"), untouched, |_, found| {
        assert!(found.starts_with("Usage: there is no user `nobody`"), "{found}")
    });
}

#[test]
fn links_in_the_image_lead_nowhere() {
    alone!();
    for name in ["dev", "proc", "sys"] {
        let canary = std::env::temp_dir().join(format!("box-canary-{}", ContainerId::random().short()));
        std::fs::create_dir(&canary).unwrap();
        let link = |root: &Path| std::os::unix::fs::symlink(&canary, root.join(name)).unwrap();
        check(&["true"], plain, link, |mode, found| {
            assert!(found.ends_with(&format!("`/{name}` in the image is a symbolic link")), "{mode:?} {found}");
        });
        assert_eq!(std::fs::read_dir(&canary).unwrap().count(), 0);
        std::fs::remove_dir(&canary).unwrap();
    }
    for folder in ["/proc/self/fd/5", "/proc/self/cwd/../..", "/x\ny", "relative"] {
        let change = |spec: &mut Value| spec["process"]["cwd"] = json!(folder);
        check(&["/bin/busybox", "pwd"], change, untouched, |mode, found| {
            let refused = found.starts_with("CommandNotExecutable: cannot enter the working folder");
            assert!(refused, "{mode:?} {folder} {found}");
        });
    }
}

#[test]
fn nothing_is_mounted_inside_proc() {
    alone!();
    for folder in ["/proc/sys", "/proc/self"] {
        let change = |spec: &mut Value| {
            let mount = json!({ "destination": folder, "type": "tmpfs", "options": [] });
            spec["mounts"].as_array_mut().unwrap().push(mount);
        };
        check(&["true"], change, untouched, |mode, found| {
            let expected = format!("Usage: cannot mount a tmpfs on `{folder}`: nothing can be mounted inside `/proc`");
            assert_eq!(found, expected, "{mode:?}");
        });
    }
}

#[test]
fn volumes_and_a_read_only_root() {
    alone!();
    let host = std::env::temp_dir().join(format!("box-volume-{}", ContainerId::random().short()));
    std::fs::create_dir_all(host.join("dir")).unwrap();
    std::fs::write(host.join("file"), "content\n").unwrap();
    let change = |spec: &mut Value| {
        spec["root"]["readonly"] = json!(true);
        spec["process"]["cwd"] = json!("/new/folder");
        let mounts = spec["mounts"].as_array_mut().unwrap();
        for (from, to, options) in
            [("file", "/etc/resolv.conf", "rbind"), ("dir", "/a/b", "rbind"), ("dir", "/ro", "rbind,ro")]
        {
            let options: Vec<&str> = options.split(',').collect();
            mounts.push(json!({ "destination": to, "source": host.join(from), "type": "bind", "options": options }));
        }
        mounts.push(json!({ "destination": "/etc/copy", "type": "tmpfs", "options": ["tmpcopyup", "mode=700"] }));
    };
    // A link at the mount point is followed inside the root.
    let prepare = |root: &Path| {
        std::os::unix::fs::symlink("/etc/real", root.join("etc/resolv.conf")).unwrap();
        std::fs::write(root.join("etc/real"), "").unwrap();
        std::fs::create_dir(root.join("etc/copy")).unwrap();
        std::fs::write(root.join("etc/copy/kept"), "kept\n").unwrap();
    };
    let text = "cat /etc/resolv.conf /etc/copy/kept; touch /a/b/x; touch /ro/y; touch /z; touch /dev/w; pwd";
    check(&["sh", "-c", text], change, prepare, |mode, found| {
        let expected =
            "content\nkept\ntouch: /ro/y: Read-only file system\ntouch: /z: Read-only file system\n/new/folder\n";
        assert_eq!(found, expected, "{mode:?}");
        assert!(host.join("dir/x").exists());
    });
    remove_tree(&host).unwrap();
}

#[test]
fn a_terminal_is_the_containers_own() {
    alone!();
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let spec =
            spec(&["sh", "-c", "stty size; readlink /proc/self/fd/0; stat -c %t /dev/console; echo > /dev/tty"], plain);
        let found = inside(mode, || {
            let mut starting =
                create(&bundle(&rootfs, &paths, &spec), Stdio::Terminal { size: Some((33, 77)) }).unwrap();
            let master = match starting.ready() {
                Ok(master) => File::from(master.unwrap()),
                Err(error) => return told(&error),
            };
            let running = match starting.start() {
                Ok(running) => running,
                Err(error) => return told(&error),
            };
            process::wait(running.pid).unwrap();
            read_terminal(master)
        });
        assert_eq!(found, "33 77\n/dev/pts/0\n88\n\n", "{mode:?}");
    }
}

/// What a terminal has shown; its end is EIO.
fn read_terminal(mut master: File) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(text).unwrap().replace('\r', "")
}

#[test]
fn pid_1_of_ours_passes_signals_on_and_reaps() {
    alone!();
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let text =
            "trap 'echo caught; exit 9' TERM; (sleep 0 & ) ; echo pid $$; kill -TERM 1; while :; do sleep 1; done";
        let spec = spec(&["sh", "-c", text], plain);
        let found =
            inside(mode, || run_with(&Bundle { init: true, ..bundle(&rootfs, &paths, &spec) }, |_| String::new()));
        assert_eq!(found, "pid 2\ncaught\n[Exited(9)]", "{mode:?}");
    }
}

#[test]
fn one_more_process() {
    alone!();
    for mode in modes() {
        let rootfs = Rootfs::new();
        let paths = paths(&rootfs);
        let spec = spec(&["sleep", "100"], plain);
        let found = inside(mode, || {
            run_with(&bundle(&rootfs, &paths, &spec), |running| {
                let told = exec_all(running, &spec);
                let _ = rustix::process::pidfd_send_signal(&running.pidfd, rustix::process::Signal::KILL);
                told
            })
        });
        let expected = "hostname testbox\n0\nCapEff:\t00000000800405fb\nSeccomp:\t2\n/etc\nExited(3)\n\
            CommandNotFound: cannot run `nope`: no such command in the container\n\
            CommandNotExecutable: cannot enter the working folder `/nowhere`: No such file or directory (os error 2)\n\
            5 6\n/dev/pts/0\n[Signaled(9)]";
        assert_eq!(found, expected, "{mode:?}");
    }
}

fn exec_all(running: &Running, spec: &Spec) -> String {
    let target = ExecTarget {
        pidfd: running.pidfd.as_fd(),
        cgroup: None,
        filter: Filter::Default,
        owner: owner(),
        preserved: &[],
    };
    let process = |args: &[&str], cwd: &str| {
        let mut process = spec.process().clone().unwrap();
        process.set_args(Some(args.iter().map(ToString::to_string).collect())).set_cwd(cwd.into());
        process
    };
    let piped = |args: &[&str], cwd: &str| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let stdout: OwnedFd = writer.into();
        let stdio = Stdio::Pipes { stdin: null(), stderr: stdout.try_clone().unwrap(), stdout };
        let child = match exec(target, &process(args, cwd), spec, stdio) {
            Ok(child) => child,
            Err(error) => return told(&error) + "\n",
        };
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        format!("{text}{:?}\n", process::wait(child.pid).unwrap())
    };
    let script = "echo hostname $(hostname); id -u; grep -E 'CapEff|Seccomp:' /proc/self/status; pwd; exit 3";
    let mut text = piped(&["sh", "-c", script], "/etc");
    text += &piped(&["nope"], "/");
    text += &piped(&["true"], "/nowhere");
    let script = process(&["sh", "-c", "stty size; readlink /proc/self/fd/0"], "/");
    match exec(target, &script, spec, Stdio::Terminal { size: Some((5, 6)) }) {
        Ok(child) => {
            process::wait(child.pid).unwrap();
            text += &read_terminal(File::from(child.master.unwrap()));
        }
        Err(error) => text += &told(&error),
    }
    text
}
