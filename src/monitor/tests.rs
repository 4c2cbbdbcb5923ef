//! The whole room at work: monitors with real processes, clients with real pipes and terminals.

use super::*;
use crate::base::error::{Kind, kind};
use crate::base::id::ContainerId;
use crate::sys::process::{self, Fork};
use crate::sys::tty;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A process under a monitor, in a folder of its own.
struct Container {
    folder: PathBuf,
    first: Option<UnixStream>,
    log: LogConfig,
}

#[derive(Clone, Copy)]
struct How {
    stdin: bool,
    stdin_once: bool,
    tty: bool,
    driver: Driver,
    max_size: u64,
}

const PLAIN: How = How { stdin: false, stdin_once: false, tty: false, driver: Driver::K8sFile, max_size: 0 };
const TERMINAL: How = How { tty: true, ..PLAIN };

const ALL: AttachOptions =
    AttachOptions { stdin: true, stdout: true, stderr: true, tty: false, detach_keys: Vec::new(), sig_proxy: false };

impl Container {
    #[expect(clippy::zombie_processes, reason = "the monitor reaps its children by itself")]
    fn run(script: &str, how: How) -> Self {
        let folder = std::env::temp_dir().join(format!("box-mon-{}", ContainerId::random()));
        std::fs::create_dir(&folder).unwrap();
        let log =
            LogConfig { max_size: how.max_size, max_files: 60, ..LogConfig::new(how.driver, &folder.join("ctr.log")) };
        let socket = folder.join("attach");
        let (script, kept) = (script.to_owned(), log.clone());
        let mut first = fork(move |caller| {
            let listener = listen(&socket).unwrap();
            let (mut command, streams) = command(&script, how);
            let child = command.spawn().unwrap();
            drop(command);
            let pid = rustix::process::Pid::from_child(&child);
            let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
            report_started(&caller);
            let finished = serve(Session {
                pidfd: pidfd.as_fd(),
                pid: pid.as_raw_nonzero().get(),
                streams,
                log: &kept,
                listener,
                first: Some(caller),
                stdin_once: how.stdin_once,
                attendant: &mut Nobody,
            });
            let finished = finished.unwrap();
            let code = finished.ended.code();
            finished.announce(end(code));
            0
        })
        .unwrap();
        await_started(&mut first).unwrap();
        Self { folder, first: Some(first), log }
    }

    fn connect(&self) -> UnixStream {
        connect(&self.folder.join("attach")).unwrap()
    }

    fn detach(&mut self) {
        self.first = None;
    }

    /// Attach with these as stdin and stdout; stderr goes to the returned file.
    fn attach(&mut self, stdin: impl AsFd, stdout: impl AsFd) -> anyhow::Result<Outcome> {
        let null = null();
        attach(self.first.take().unwrap(), &ALL, stdin.as_fd(), stdout.as_fd(), null.as_fd())
    }

    fn logged(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        logs::read(&self.log, &logs::LogQuery::default(), &|| false, &mut |_, part| {
            bytes.extend_from_slice(part);
            Ok(())
        })
        .unwrap();
        bytes
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn end(code: i32) -> End {
    End { code, out_of_memory: false }
}

fn command(script: &str, how: How) -> (Command, Streams) {
    if how.tty {
        let (master, slave) = tty::open_pty().unwrap();
        // A session of its own, with the terminal as its controlling one.
        let mut command = Command::new("setsid");
        command.args(["-c", "sh", "-c", script]);
        let again = || slave.try_clone().unwrap();
        command.stdin(again()).stdout(again()).stderr(again());
        return (command, Streams::Terminal(master));
    }
    let (theirs, streams) = pipes(how.stdin).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(theirs.stdin).stdout(theirs.stdout).stderr(theirs.stderr);
    command.process_group(0);
    (command, streams)
}

fn null() -> File {
    File::options().read(true).write(true).open("/dev/null").unwrap()
}

fn pipe() -> (File, File) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (read.into(), write.into())
}

fn collect(mut from: File) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Read from a terminal until this text has come.
fn expect(master: &OwnedFd, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        let mut bytes = [0; 1024];
        let count = rustix::io::read(master, &mut bytes).unwrap();
        assert!(count > 0, "{all}");
        all.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    all
}

/// Cares for nothing.
struct Nobody;

impl super::serve::Attendant for Nobody {
    fn child_ended(&mut self, _: i32, _: crate::sys::process::Ended) {}
}

#[test]
fn output_code_and_log() {
    alone!();
    for driver in [Driver::K8sFile, Driver::JsonFile, Driver::None] {
        let how = How { driver, ..PLAIN };
        let mut container = Container::run("echo out; echo err >&2; printf end; exit 7", how);
        let ((read, write), (read_err, write_err)) = (pipe(), pipe());
        let (out, err) = (collect(read), collect(read_err));
        let outcome =
            attach(container.first.take().unwrap(), &ALL, null().as_fd(), write.as_fd(), write_err.as_fd()).unwrap();
        drop((write, write_err));
        assert_eq!(outcome, Outcome::Exited(end(7)));
        assert_eq!((out.join().unwrap(), err.join().unwrap()), (b"out\nend".to_vec(), b"err\n".to_vec()));
        if driver != Driver::None {
            let logged = String::from_utf8(container.logged()).unwrap();
            assert!(logged.contains("err\n") && logged.replace("err\n", "") == "out\nend", "{logged}");
        }
    }
}

#[test]
fn bytes_pass_unchanged_both_ways() {
    alone!();
    let mut data = Vec::with_capacity(50_000_000);
    let mut state = 88_172_645_463_325_252_u64;
    while data.len() < 50_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    // A pipe and a file on either side; the file is one that splice refuses (O_APPEND).
    for (piped, driver) in [(true, Driver::K8sFile), (false, Driver::K8sFile), (true, Driver::None)] {
        let mut container = Container::run("cat", How { stdin: true, stdin_once: true, driver, ..PLAIN });
        let path = container.folder.join("data");
        std::fs::write(&path, &data).unwrap();
        let (result, outcome) = if piped {
            let ((stdin, mut feed), (read, write)) = (pipe(), pipe());
            let copy = data.clone();
            let feeder = std::thread::spawn(move || feed.write_all(&copy).unwrap());
            let out = collect(read);
            let outcome = container.attach(&stdin, &write).unwrap();
            drop(write);
            feeder.join().unwrap();
            (out.join().unwrap(), outcome)
        } else {
            let out = container.folder.join("out");
            let file = File::options().append(true).create(true).open(&out).unwrap();
            let outcome = container.attach(File::open(&path).unwrap(), &file).unwrap();
            (std::fs::read(&out).unwrap(), outcome)
        };
        assert_eq!(outcome, Outcome::Exited(end(0)));
        assert!(result == data, "{} bytes of {}, piped: {piped}", result.len(), data.len());
        if driver == Driver::K8sFile {
            assert!(container.logged() == data, "the log has them too");
        }
    }
}

#[test]
fn stdin_stays_open_for_later_clients_unless_it_is_for_one() {
    alone!();
    let mut container = Container::run("read a; read b; echo $a $b", How { stdin: true, ..PLAIN });
    let attach_with = |connection: UnixStream, text: &str| {
        let (stdin, mut feed) = pipe();
        feed.write_all(text.as_bytes()).unwrap();
        drop(feed);
        let (read, write) = pipe();
        let out = collect(read);
        // Its stdin ends; it stays until the container does.
        let task =
            std::thread::spawn(move || attach(connection, &ALL, stdin.as_fd(), write.as_fd(), null().as_fd()).unwrap());
        (task, out)
    };
    let (one, first) = attach_with(container.first.take().unwrap(), "1\n");
    let (two, second) = attach_with(container.connect(), "2\n");
    assert_eq!((one.join().unwrap(), two.join().unwrap()), (Outcome::Exited(end(0)), Outcome::Exited(end(0))));
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    assert!(first == second && (first == b"1 2\n" || first == b"2 1\n"), "{first:?} {second:?}");
}

#[test]
fn a_killed_client_harms_nobody() {
    alone!();
    for round in 0..6 {
        let script = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; read a; echo got $a";
        let how = How { stdin: true, ..PLAIN };
        let mut container = Container::run(script, how);
        let connection = container.first.take().unwrap();
        match process::fork().unwrap() {
            Fork::Child => {
                let _ = attach(connection, &ALL, null().as_fd(), null().as_fd(), null().as_fd());
                process::exit_now(0)
            }
            Fork::Parent(pid) => {
                drop(connection);
                // At a different place each time, from before the greeting on.
                let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: round * 400_000 };
                let _ = rustix::thread::nanosleep(&pause);
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
                process::wait(pid).unwrap();
            }
        }
        let (stdin, mut feed) = pipe();
        let (read, write) = pipe();
        let out = collect(read);
        feed.write_all(b"it\n").unwrap();
        let outcome = attach(container.connect(), &ALL, stdin.as_fd(), write.as_fd(), null().as_fd()).unwrap();
        drop(write);
        assert_eq!(outcome, Outcome::Exited(end(0)));
        assert!(out.join().unwrap().ends_with(b"got it\n"));
        let logged = String::from_utf8(container.logged()).unwrap();
        assert_eq!(logged.lines().count(), 301);
    }
}

#[test]
fn a_reader_that_sleeps_slows_the_container_and_gets_all() {
    alone!();
    // More than one pipe, less than what the pipes and the monitor hold together: ends while nobody reads.
    let mut container = Container::run("head -c 100000 /dev/zero", PLAIN);
    let (read, write) = pipe();
    let waiter = container.connect();
    let connection = container.first.take().unwrap();
    let client =
        std::thread::spawn(move || attach(connection, &ALL, null().as_fd(), write.as_fd(), null().as_fd()).unwrap());
    assert_eq!(wait(&waiter, None).unwrap(), Waited::Exited(0));
    assert_eq!(collect(read).join().unwrap().len(), 100_000);
    assert_eq!(client.join().unwrap(), Outcome::Exited(end(0)));
    // Without an end: it is held up, until the reader goes.
    let mut container = Container::run("head -c 3000000 /dev/zero", PLAIN);
    let connection = container.connect();
    // Nothing is read before the first client has said what it wants or has gone.
    wire_hello(&connection);
    container.detach();
    let waiter = container.connect();
    assert_eq!(wait(&waiter, Some(Duration::from_millis(100))).unwrap(), Waited::TimedOut);
    drop(connection);
    assert_eq!(wait(&waiter, Some(Duration::from_secs(60))).unwrap(), Waited::Exited(0));
    assert_eq!(container.logged().len(), 3_000_000);
}

/// Ask for output and never read it.
fn wire_hello(connection: &UnixStream) {
    wire::send(connection, wire::Type::Hello, &[6, 0, 0, 0, 0], &[]).unwrap();
    let mut inbox = wire::Inbox::new(wire::MAX_REPLY);
    inbox.fill(connection.as_fd()).unwrap();
    std::mem::forget(inbox.take_fds());
}

#[test]
fn waiting_and_signalling() {
    alone!();
    let mut container = Container::run("trap 'exit 5' USR1; echo up; while :; do sleep 0.01; done", PLAIN);
    container.detach();
    let connection = container.connect();
    assert_eq!(wait(&connection, Some(Duration::ZERO)).unwrap(), Waited::TimedOut);
    while container.logged().is_empty() {
        assert_eq!(wait(&connection, Some(Duration::from_millis(2))).unwrap(), Waited::TimedOut);
    }
    signal(&connection, 10).unwrap();
    assert_eq!(wait(&connection, None).unwrap(), Waited::Exited(5));
    let mut container = Container::run("exec sleep 1000", PLAIN);
    container.detach();
    let connection = container.connect();
    // Nonsense ends the connection that it comes from, and no other.
    container.connect().write_all(b"nonsense nonsense nonsense").unwrap();
    signal(&connection, 9).unwrap();
    assert_eq!(wait(&connection, None).unwrap(), Waited::Exited(137));
    assert_eq!(wait(&connection, None).unwrap(), Waited::MonitorGone);
}

#[test]
fn nobody_reads_the_output() {
    alone!();
    let mut container = Container::run("while :; do echo y; done", PLAIN);
    let (read, write) = pipe();
    drop(read);
    let waiter = container.connect();
    let error = container.attach(null(), &write).unwrap_err();
    assert_eq!(kind(&error), Kind::Interrupted(13));
    signal(&waiter, 9).unwrap();
    assert_eq!(wait(&waiter, None).unwrap(), Waited::Exited(137));
}

#[test]
fn signals_are_passed_on_or_kill() {
    alone!();
    for (sig_proxy, code) in [(true, 9), (false, 128 + 15)] {
        let mut container = Container::run("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done", PLAIN);
        let (mut read, write) = pipe();
        let connection = container.first.take().unwrap();
        let Fork::Parent(pid) = process::fork().unwrap() else {
            let options = AttachOptions { sig_proxy, ..ALL };
            let outcome = attach(connection, &options, null().as_fd(), write.as_fd(), null().as_fd());
            process::exit_now(if let Ok(Outcome::Exited(end)) = outcome { end.code } else { 99 });
        };
        drop((connection, write));
        let mut up = [0; 3];
        read.read_exact(&mut up).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(process::wait(pid).unwrap().code(), code);
        // A client that died left the container running.
        if !sig_proxy {
            signal(&container.connect(), 9).unwrap();
        }
    }
}

#[test]
fn a_terminal_has_keys_a_size_and_a_way_out() {
    alone!();
    let script = "trap 'echo now $(stty size)' WINCH; stty size; while :; do sleep 0.01; done";
    let mut container = Container::run(script, TERMINAL);
    let (ours, slave) = tty::open_pty().unwrap();
    tty::set_size(ours.as_fd(), tty::Size { rows: 30, cols: 91 }).unwrap();
    let options =
        AttachOptions { tty: true, detach_keys: parse_detach_keys("ctrl-p,ctrl-q").unwrap(), sig_proxy: true, ..ALL };
    let connection = container.first.take().unwrap();
    let terminal = slave.try_clone().unwrap();
    let waiter = container.connect();
    let client = std::thread::spawn(move || {
        attach(connection, &options, terminal.as_fd(), terminal.as_fd(), terminal.as_fd()).unwrap()
    });
    expect(&ours, "30 91\r\n");
    let raw = || {
        let modes = rustix::termios::tcgetattr(&slave).unwrap().local_modes;
        !modes.contains(rustix::termios::LocalModes::ICANON)
    };
    assert!(raw());
    rustix::io::write(&ours, b"x\x10y\x10\x11").unwrap();
    assert_eq!(client.join().unwrap(), Outcome::Detached);
    assert!(!raw(), "the terminal is given back");
    // Another client sees what is typed through the container's echo, and its Ctrl-C reaches the container.
    let options = AttachOptions { tty: true, ..ALL };
    let (connection, terminal) = (container.connect(), slave.try_clone().unwrap());
    tty::set_size(ours.as_fd(), tty::Size { rows: 5, cols: 6 }).unwrap();
    let client = std::thread::spawn(move || {
        attach(connection, &options, terminal.as_fd(), terminal.as_fd(), terminal.as_fd()).unwrap()
    });
    expect(&ours, "now 5 6");
    rustix::io::write(&ours, b"\x03").unwrap();
    assert_eq!(client.join().unwrap(), Outcome::Exited(end(130)));
    assert_eq!(wait(&waiter, None).unwrap_or(Waited::MonitorGone), Waited::Exited(130));
    assert!(!raw());
}

#[test]
fn the_last_words_on_a_terminal_arrive() {
    alone!();
    for _ in 0..10 {
        let mut container = Container::run("seq 1 2000", TERMINAL);
        let (read, write) = pipe();
        let out = collect(read);
        let options = AttachOptions { tty: true, ..ALL };
        let outcome = attach(container.first.take().unwrap(), &options, null().as_fd(), write.as_fd(), null().as_fd());
        drop(write);
        assert_eq!(outcome.unwrap(), Outcome::Exited(end(0)));
        let text = String::from_utf8(out.join().unwrap()).unwrap();
        assert!(text.ends_with("1999\r\n2000\r\n"), "{} bytes", text.len());
    }
}

#[test]
fn a_pump_serves_a_child_with_and_without_a_terminal() {
    for tty in [true, false] {
        let how = How { tty, stdin: true, ..PLAIN };
        let (mut command, streams) = command("read a; echo got $a; exit 3", how);
        let mut child = command.spawn().unwrap();
        drop(command);
        let pid = rustix::process::Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let ((stdin, mut feed), (read, write)) = (pipe(), pipe());
        feed.write_all(b"it\n").unwrap();
        let out = collect(read);
        let options = AttachOptions { tty, ..ALL };
        let pumped =
            terminal::pump(streams, pidfd.as_fd(), &options, stdin.as_fd(), write.as_fd(), null().as_fd()).unwrap();
        drop(write);
        assert_eq!(pumped, terminal::Pumped::Ended);
        assert_eq!(child.wait().unwrap().code(), Some(3));
        let text = String::from_utf8(out.join().unwrap()).unwrap();
        assert!(text.replace('\r', "").ends_with("got it\n"), "{text}");
    }
}

#[test]
fn a_follower_sees_all_across_rotations_and_ends_with_the_container() {
    alone!();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done";
    // Rotated some 37 times.
    let mut container = Container::run(script, How { max_size: 30_000, ..PLAIN });
    let (log, waiter) = (container.log.clone(), container.connect());
    container.detach();
    let alive = std::cell::Cell::new(true);
    let mut text = Vec::new();
    let query = logs::LogQuery { follow: true, ..logs::LogQuery::default() };
    let check = || {
        if matches!(wait(&waiter, Some(Duration::ZERO)).unwrap(), Waited::Exited(_) | Waited::MonitorGone) {
            alive.set(false);
        }
        alive.get()
    };
    logs::read(&log, &query, &check, &mut |_, bytes| {
        text.extend_from_slice(bytes);
        Ok(())
    })
    .unwrap();
    let expected: String = (0..20000).map(|number| format!("line {number}\n")).collect();
    assert!(text == expected.as_bytes(), "{} of {}", text.len(), expected.len());
}

#[test]
fn a_long_line_and_many_clients() {
    alone!();
    let script = "head -c 2000000 /dev/zero; echo; echo end";
    let mut container = Container::run(script, PLAIN);
    let mut readers = Vec::new();
    let connections = [container.connect(), container.connect(), container.first.take().unwrap()];
    for connection in connections {
        let (read, write) = pipe();
        readers.push(collect(read));
        std::thread::spawn(move || attach(connection, &ALL, null().as_fd(), write.as_fd(), null().as_fd()).unwrap());
    }
    for reader in readers {
        let bytes = reader.join().unwrap();
        assert!(bytes.ends_with(b"end\n"));
    }
    let raw = std::fs::read(&container.log.path).unwrap();
    let longest = raw.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
    assert!(longest <= 16 * 1024 + 64, "{longest}");
    assert_eq!(container.logged().len(), 2_000_000 + 5);
}
