//! A home of its own for each test, and the check that nothing is left of it.

use crate::image;
use crate::leak;
use crate::outcome::Outcome;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the names of all test folders begin with; short, for the sockets below them.
pub const PREFIX: &str = "/tmp/bx-";
/// What a command may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home, a store, a run folder and a configuration that no other test sees.
pub struct TestEnv {
    /// The folder of it all.
    pub base: PathBuf,
    vars: Vec<(String, String)>,
    interfaces: BTreeSet<String>,
    sessions: Mutex<BTreeSet<i32>>,
}

/// The program under test: `BOX_TEST_BIN`, or the one that cargo built.
pub fn program() -> PathBuf {
    std::env::var_os("BOX_TEST_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_box")), PathBuf::from)
}

impl TestEnv {
    /// An empty one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The last letter keeps one name from being the beginning of another.
        let base = format!("{PREFIX}{}-{}x", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let base = PathBuf::from(base);
        let _ = fs::remove_dir_all(&base);
        for folder in ["home", "data", "run", "config"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(base.join("run"), private).unwrap();
        fs::write(base.join("containers.conf"), "").unwrap();
        let path = |name: &str| base.join(name).display().to_string();
        let vars = [
            ("HOME", path("home")),
            ("XDG_DATA_HOME", path("data")),
            ("XDG_RUNTIME_DIR", path("run")),
            ("XDG_CONFIG_HOME", path("config")),
            ("CONTAINERS_CONF", path("containers.conf")),
            ("BOX_TEST", base.display().to_string()),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("LANG", "C.UTF-8".into()),
        ];
        let mut vars = vars.map(|(name, value)| (name.to_owned(), value)).to_vec();
        if let Ok(driver) = std::env::var("BOX_TEST_DRIVER") {
            vars.push(("STORAGE_DRIVER".to_owned(), driver));
        }
        Self { base, vars, interfaces: leak::interfaces(), sessions: Mutex::default() }
    }

    /// One whose store holds the payload image, as `t`.
    pub fn with_image() -> Self {
        let env = Self::new();
        env.load(&image::shared_archive());
        env
    }

    /// Load an archive.
    #[track_caller]
    pub fn load(&self, archive: &Path) {
        self.cmd(&["load", "-q", "-i"]).arg(archive).run().ok();
    }

    /// The store.
    pub fn data(&self) -> PathBuf {
        self.base.join("data/box")
    }

    /// The run folder.
    pub fn run_dir(&self) -> PathBuf {
        self.base.join("run/box")
    }

    /// Write a file below the test's folder.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.base.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Set a variable for all commands from here on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.unset(name);
        self.vars.push((name.to_owned(), value.into()));
    }

    /// Take a variable away from all commands from here on.
    pub fn unset(&mut self, name: &str) {
        self.vars.retain(|(known, _)| known != name);
    }

    /// A command of box, to be added to.
    pub fn cmd(&self, args: &[&str]) -> Cmd<'_> {
        let mut cmd = self.other(&program());
        cmd.args(args);
        cmd
    }

    /// Another program in the same environment.
    pub fn other(&self, program: &Path) -> Cmd<'_> {
        let mut command = Command::new(program);
        command.env_clear().envs(self.vars.iter().map(|(name, value)| (name, value))).current_dir(&self.base);
        Cmd { env: self, command, words: String::new(), input: None }
    }

    /// The variables as `K=V`, for a shell.
    pub fn vars(&self) -> Vec<String> {
        self.vars.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// Run box to its end.
    pub fn box_(&self, args: &[&str]) -> Outcome {
        self.cmd(args).run()
    }

    /// Run box to its end, within the memory that bad input may take at most: 256 MiB, in box and in each process that it
    /// waits for.
    #[track_caller]
    pub fn frugal(&self, args: &[&str]) -> Outcome {
        let peak = self.base.join("peak");
        let mut cmd = self.other(&image::payload_program());
        let outcome = cmd.arg("peak").arg(&peak).arg(program()).args(args).run();
        let most: u64 = fs::read_to_string(&peak).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
        assert!(most <= 256 << 10, "{most} kB of memory\n{outcome}");
        outcome
    }

    /// `run --rm --network none t …`, the everyday one; its stdout.
    #[track_caller]
    pub fn inside(&self, options: &[&str], command: &[&str]) -> Outcome {
        let mut args = vec!["run", "--rm", "--network", "none"];
        args.extend(options);
        args.push("t");
        args.extend(command);
        self.box_(&args)
    }

    /// `run -d --network none --name NAME t …`; its id.
    #[track_caller]
    pub fn background(&self, name: &str, options: &[&str], command: &[&str]) -> String {
        let mut args = vec!["run", "-d", "--network", "none", "--name", name];
        args.extend(options);
        args.push("t");
        args.extend(command);
        let outcome = self.box_(&args);
        let id = outcome.ok();
        assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "not an id\n{outcome}");
        id
    }

    /// `inspect --format FORMAT NAME`; its stdout.
    #[track_caller]
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.box_(&["inspect", "--format", format, name]).ok()
    }

    /// Wait until a container's log holds a text.
    #[track_caller]
    pub fn await_log(&self, name: &str, text: &str) {
        eventually(&format!("`{text}` in the log of {name}"), || {
            let outcome = self.box_(&["logs", name]);
            (outcome.out() + &outcome.err()).contains(text)
        });
    }

    /// The living processes of this test.
    pub fn processes(&self) -> Vec<leak::Process> {
        leak::processes_of(&self.base, &mut self.sessions.lock().unwrap())
    }

    /// The living processes of this test, but for the holder of the namespace.
    pub fn processes_but_holder(&self) -> Vec<leak::Process> {
        let holder = leak::holder(&self.run_dir());
        self.processes().into_iter().filter(|process| Some(process.pid) != holder).collect()
    }

    /// Take all containers away, the holder and the files, and say what should not have been there.
    fn clean(&self) -> Vec<String> {
        let mut left = Vec::new();
        let unwinding = std::thread::panicking();
        if self.data().join("containers").exists() && !unwinding {
            let outcome = self.box_(&["rm", "-f", "-a", "-v", "-t", "0"]);
            if outcome.code != 0 {
                left.push(format!("cannot remove the containers\n{outcome}"));
            }
        }
        // What is about to end gets its time: a collection of garbage is polite to all others.
        let until = Instant::now() + Duration::from_secs(if unwinding { 0 } else { 30 });
        while !self.processes_but_holder().is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let processes = self.processes_but_holder();
        left.extend(processes.iter().map(|process| format!("process {}: {}", process.pid, process.words)));
        left.extend(leak::mounts_and_sockets(&self.base));
        left.extend(leak::files(&self.data(), &self.run_dir()));
        left.extend(leak::interfaces().difference(&self.interfaces).map(|name| format!("interface {name}")));
        // Monitors first, which would only announce the end of what they watch.
        processes.iter().for_each(|process| leak::kill(process.pid));
        self.remove_files();
        if let Some(holder) = leak::holder(&self.run_dir()) {
            leak::kill(holder);
        }
        self.processes().iter().for_each(|process| leak::kill(process.pid));
        let _ = fs::remove_dir_all(&self.base);
        left
    }

    /// The store may hold files of subordinate ids, which only root in the namespace may delete.
    fn remove_files(&self) {
        if fs::remove_dir_all(self.base.join("data")).is_err() {
            let data = self.base.join("data");
            let mut cmd = self.cmd(&["unshare", "rm", "-rf"]);
            cmd.set("BOX_DATA", &self.base.join("gone").display().to_string());
            let outcome = cmd.arg(data).run();
            if outcome.code != 0 {
                eprintln!("{outcome}");
            }
        }
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if std::env::var_os("BOX_TEST_KEEP").is_some() {
            eprintln!("kept: {}", self.base.display());
            return;
        }
        let left = self.clean();
        if !left.is_empty() && !std::thread::panicking() {
            panic!("left behind:\n{}", left.join("\n"));
        }
    }
}

/// A command being put together.
pub struct Cmd<'a> {
    env: &'a TestEnv,
    command: Command,
    words: String,
    input: Option<Vec<u8>>,
}

impl<'a> Cmd<'a> {
    /// One more argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        if !self.words.is_empty() {
            self.words.push(' ');
        }
        self.words.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        args.iter().for_each(|arg| {
            self.arg(arg);
        });
        self
    }

    /// What comes on stdin; without it, stdin is /dev/null.
    pub fn stdin(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.input = Some(bytes.as_ref().to_vec());
        self
    }

    /// A variable of the environment.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.command.env(name, value);
        self
    }

    /// Run it to its end.
    #[track_caller]
    pub fn run(&mut self) -> Outcome {
        let input = self.input.take();
        let mut running = self.start_with(input.is_some());
        if let (Some(input), Some(mut stdin)) = (input, running.stdin.take()) {
            // In a thread: a command that does not read all of it must not stop us.
            std::thread::spawn(move || stdin.write_all(&input));
        }
        running.finish()
    }

    /// Start it, with a pipe for stdin, and go on.
    pub fn start(&mut self) -> Running<'a> {
        self.start_with(true)
    }

    fn start_with(&mut self, stdin: bool) -> Running<'a> {
        self.command.stdin(if stdin { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running {
            env: self.env,
            words: self.words.clone(),
            stdin: child.stdin.take(),
            stdout: Reader::of(child.stdout.take().unwrap()),
            stderr: Reader::of(child.stderr.take().unwrap()),
            child,
        }
    }
}

/// Bytes as they come, read by a thread of its own.
struct Reader {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
    _thread: JoinHandle<()>,
}

impl Reader {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (sender, ended) = channel();
        let kept = bytes.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length) = stream.read(&mut buffer) {
                if length == 0 {
                    break;
                }
                kept.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
            let _ = sender.send(());
        });
        Self { bytes, ended, _thread: thread }
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

/// A command that runs.
pub struct Running<'a> {
    env: &'a TestEnv,
    words: String,
    /// Its stdin; dropped, it ends.
    pub stdin: Option<ChildStdin>,
    stdout: Reader,
    stderr: Reader,
    child: Child,
}

impl Running<'_> {
    /// Its number.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Write to its stdin.
    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).unwrap();
    }

    /// Send it a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Wait until it has connected to a monitor.
    #[track_caller]
    pub fn await_connection(&self) {
        eventually(&format!("the connection of `box {}`", self.words), || {
            let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid())).into_iter().flatten().flatten();
            let targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
            targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count() > 0
        });
    }

    /// Wait until it would not die of SIGUSR1 any more, but pass it on.
    #[track_caller]
    pub fn await_signals(&self) {
        eventually("the signals to be caught", || {
            let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
            let held = status.lines().filter_map(|line| line.strip_prefix("SigCgt:").or(line.strip_prefix("SigBlk:")));
            let bit = 1 << (nix::sys::signal::Signal::SIGUSR1 as u64 - 1);
            held.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & bit != 0)
        });
    }

    /// Wait until its stdout holds a text.
    #[track_caller]
    pub fn await_out(&self, text: &str) {
        eventually(&format!("`{text}` from `box {}`: {}", self.words, self.err()), || self.out().contains(text));
    }

    /// Stdout so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far()).into_owned()
    }

    /// Stderr so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Close stdin and wait for its end and for the end of its output.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        self.stdin = None;
        let until = Instant::now() + PATIENCE;
        let Some(status) = self.wait(until) else { self.hung("does not end") };
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_secs(5));
        let ended = |reader: &Reader| reader.ended.recv_timeout(left).is_ok();
        if !ended(&self.stdout) || !ended(&self.stderr) {
            self.hung("has ended, but somebody keeps its stdout or stderr open");
        }
        let (stdout, stderr) = (self.stdout.so_far(), self.stderr.so_far());
        Outcome { args: self.words.clone(), code: code(status), stdout, stderr }
    }

    fn wait(&mut self, until: Instant) -> Option<ExitStatus> {
        let pid = rustix::process::Pid::from_raw(self.pid())?;
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
        let left = until.saturating_duration_since(Instant::now());
        let left = rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut wanted = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        let _ = rustix::event::poll(&mut wanted, Some(&left));
        self.child.try_wait().ok()?
    }

    #[track_caller]
    fn hung(&mut self, what: &str) -> ! {
        let tree: Vec<String> = self
            .env
            .processes()
            .iter()
            .map(|process| {
                let wchan = fs::read_to_string(format!("/proc/{}/wchan", process.pid)).unwrap_or_default();
                format!("{} [{wchan}] {}", process.pid, process.words)
            })
            .collect();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let (out, err) = (self.out(), self.err());
        panic!("`box {}` {what}\n{}\nstdout: {out}\nstderr: {err}", self.words, tree.join("\n"));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// How often to try what depends on the moment: `BOX_TEST_ROUNDS`, or that often.
pub fn rounds(otherwise: u32) -> u32 {
    std::env::var("BOX_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Wait until something is so; fail after 30 s.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
