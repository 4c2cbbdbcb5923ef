//! `-p` and the default network: in from the host, out to it, and who sees whom.

use crate::env::{TestEnv, eventually};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// What a server behind this port answers, once it does.
#[track_caller]
fn ask(port: u16, text: &str) -> String {
    let mut answer = String::new();
    eventually(&format!("an answer on port {port}"), || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        answer.clear();
        stream.write_all(text.as_bytes()).is_ok() && stream.read_to_string(&mut answer).is_ok() && !answer.is_empty()
    });
    answer
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_published_port() {
    let env = TestEnv::with_image();
    let port = free_port();
    let publish = format!("{port}:8080");
    env.box_(&["run", "-d", "--name", "web", "-p", &publish, "t", "listen", "tcp", "8080"]).ok();
    let answer = ask(port, "hello");
    assert!(answer.ends_with("\nhello"), "{answer}");
    // Who asks is not taken for the container itself (CVE-2021-20199).
    assert!(!answer.contains("from 127."), "{answer}");
    let listed = env.box_(&["ps", "--format", "{{.Ports}}"]).ok();
    assert!(listed.contains(&format!("{port}->8080/tcp")), "{listed}");
    let template = "{{(index (index .NetworkSettings.Ports \"8080/tcp\") 0).HostPort}}";
    assert_eq!(env.inspect("web", template), port.to_string());
    env.box_(&["rm", "-f", "-t", "0", "web"]).ok();
    assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "the port is still taken");
}

#[test]
fn a_port_of_the_hosts_choice_and_udp() {
    let env = TestEnv::with_image();
    env.box_(&["run", "-d", "--name", "web", "-p", "127.0.0.1::7000", "t", "listen", "tcp", "7000"]).ok();
    let port: u16 =
        env.inspect("web", "{{(index (index .NetworkSettings.Ports \"7000/tcp\") 0).HostPort}}").parse().unwrap();
    assert!(ask(port, "x").ends_with("\nx"));
    let port = free_port();
    env.box_(&["run", "-d", "--name", "dns", "-p", &format!("127.0.0.1:{port}:53/udp"), "t", "listen", "udp", "53"])
        .ok();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 100];
    eventually("an answer over UDP", || {
        socket.send_to(b"ping", ("127.0.0.1", port)).unwrap();
        socket.recv(&mut buffer).is_ok_and(|length| buffer[..length].ends_with(b"ping"))
    });
}

#[test]
fn a_range_and_an_address() {
    let env = TestEnv::with_image();
    let port = free_port() / 2 * 2;
    let range = format!("127.0.0.1:{port}-{}:7000-7001", port + 1);
    let outcome = env.box_(&["run", "-d", "--name", "web", "-p", &range, "t", "listen", "tcp", "7001"]);
    if outcome.code != 0 {
        // Another program may hold the second of the two.
        outcome.says("in use");
        return;
    }
    assert!(ask(port + 1, "x").ends_with("\nx"));
    // Bound to that address alone.
    assert!(TcpStream::connect(("127.0.0.2", port + 1)).is_err());
}

#[test]
fn a_taken_port_names_its_owner() {
    let env = TestEnv::with_image();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let publish = format!("127.0.0.1:{port}:80");
    let outcome = env.box_(&["run", "--rm", "-p", &publish, "t", "true"]);
    outcome
        .fails(125)
        .says(&format!("port {port} is already in use"))
        .says(&std::process::id().to_string())
        .hints("-p");
    drop(listener);
    env.box_(&["run", "-d", "--name", "first", "-p", &publish, "t", "pause"]).ok();
    let outcome = env.box_(&["run", "--name", "second", "-p", &publish, "t", "true"]);
    outcome.fails(125).says(&port.to_string()).says("first");
    assert_eq!(env.box_(&["ps", "-q"]).ok().lines().count(), 1);
}

#[test]
fn bad_ports() {
    let env = TestEnv::with_image();
    for port in
        ["x", "0", "70000", "80:70000", "1.2.3:80:80", "80:80/sctp", "80:80/x", "80-70:80-70", "80-82:80-81", "::", ""]
    {
        env.box_(&["run", "--rm", "-p", port, "t", "true"]).ends(125);
    }
    env.box_(&["run", "--rm", "--network", "none", "-p", "8080:80", "t", "true"]).ends(125);
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
}

#[test]
fn the_default_network_leads_out_but_not_to_the_hosts_loopback() {
    let env = TestEnv::with_image();
    let interfaces = env.box_(&["run", "--rm", "t", "interfaces"]).ok();
    assert_eq!(interfaces, "lo up\ntap0 up");
    let resolver = env.box_(&["run", "--rm", "t", "cat", "/etc/resolv.conf"]).ok();
    assert!(resolver.contains("nameserver"), "{resolver}");
    // A server on the host's loopback is out of reach (slirp4netns's 10.0.2.2 leads there unless forbidden).
    let local = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = local.local_addr().unwrap().port().to_string();
    env.box_(&["run", "--rm", "t", "connect", "tcp", "10.0.2.2", &port]).ends(1);
    // One on an address of the host is reached.
    let Some(address) = outer_address() else { skip!("this host has no address but loopback") };
    let server = TcpListener::bind((address, 0)).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        stream.write_all(b"of the host").unwrap();
    });
    let seen = env.box_(&["run", "--rm", "t", "connect", "tcp", &address.to_string(), &port]);
    assert_eq!(seen.ok(), "of the host");
    serving.join().unwrap();
}

/// A client that leaves amid an answer is nobody else's concern: the forwarder lives, and with it their connections.
#[test]
fn a_client_that_leaves_takes_nobody_with_it() {
    let env = TestEnv::with_image();
    env.box_(&["run", "-d", "--name", "c", "-p", "127.0.0.1::80", "t", "listen", "tcp", "80"]).ok();
    env.await_log("c", "ready");
    let port = crate::network::host_port(&env, "c", "80/tcp");
    for _ in 0..20 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"much").unwrap();
        // Its last word is heard before it goes with much unread: that is a broken pipe, no reset (tcp_reset in Linux).
        stream.read_exact(&mut vec![0; 4 << 20]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.read_exact(&mut vec![0; 4 << 20]).unwrap();
    }
    ask(port, "x");
    let restarts = env.box_(&["events", "--stream=false", "--filter", "event=helper_restart"]).ok();
    assert_eq!(restarts, "");
}

/// Helpers that are killed come back, however often: the way out and the way in work again, and each is told.
#[test]
fn killed_helpers_come_back() {
    let env = TestEnv::with_image();
    let rounds: usize = std::env::var("BOX_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    for mode in ["slirp4netns", "pasta"] {
        if mode == "pasta" && !std::path::Path::new("/usr/bin/pasta").exists() {
            skip!("pasta is not installed");
        }
        let run = ["run", "-d", "--name", mode, "--network", mode, "-p", "127.0.0.1::80", "t", "listen", "tcp", "80"];
        env.box_(&run).ok();
        let monitor: i32 = env.inspect(mode, "{{.State.ConmonPid}}").parse().unwrap();
        let port = crate::network::host_port(&env, mode, "80/tcp");
        // The forwarder is a fork of the monitor, with its words.
        let child = |word: &str| {
            let fits = |process: &crate::leak::Process| {
                parent(process.pid) == monitor && process.words.starts_with(word) == (word == mode)
            };
            let words = |process: &crate::leak::Process| word == mode || process.words.contains(" run ");
            env.processes().into_iter().find(|process| fits(process) && words(process)).map(|process| process.pid)
        };
        let interface = if mode == "pasta" { "eth0 up" } else { "tap0 up" };
        let answers = || {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
            let mut answer = String::new();
            stream.write_all(b"x").is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.ends_with("\nx")
        };
        // Whoever asks is told of each death, once the helper is there again.
        let told = |helper: &str| {
            let filter = format!("container={mode}");
            let words = ["events", "--stream=false", "--filter", "event=helper_restart", "--filter", &filter];
            let told = env.box_(&[&words[..], &["--format", "{{.Attributes.helper}}"]].concat()).ok();
            told.lines().filter(|line| *line == helper).count()
        };
        eventually("the port to answer", answers);
        for round in 1..=rounds {
            for helper in [mode, "ports"] {
                let first = child(helper).unwrap_or_else(|| panic!("no {helper}"));
                crate::leak::kill(first);
                eventually(&format!("word of another {helper}"), || told(helper) == round);
                assert_ne!(child(helper), Some(first));
                eventually("the port to answer again", answers);
            }
            assert!(env.box_(&["exec", mode, "interfaces"]).ok().contains(interface));
        }
        // The storage driver may have one of its own.
        let is_its = |pid, words: &str| parent(pid) == monitor && !words.starts_with("fuse-overlayfs");
        let processes = env.processes();
        assert!(processes.iter().filter(|process| is_its(process.pid, &process.words)).count() <= 3, "leaked");
        env.box_(&["rm", "-f", "-t", "0", mode]).ok();
        eventually("their end", || child(mode).is_none() && child("ports").is_none());
    }
}

fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok()).unwrap_or(0)
}

/// The address that the host would use to reach others; nothing is sent.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

#[test]
fn published_ports_below_1024_say_what_is_needed() {
    if crate::skip::is_root() {
        skip!("wants an ordinary user");
    }
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if start.trim() != "1024" {
        skip!("this host lets everyone bind low ports");
    }
    let env = TestEnv::with_image();
    let outcome = env.box_(&["run", "--rm", "-p", "80:80", "t", "true"]);
    outcome.fails(125).hints("net.ipv4.ip_unprivileged_port_start=80");
}
