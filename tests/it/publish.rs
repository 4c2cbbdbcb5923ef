//! `update --publish-add` and `--publish-rm`: ports that change while the container runs.

use crate::env::{TestEnv, eventually};
use crate::network::{ask, host_port, outer_address};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

fn local(port: u16) -> SocketAddr {
    SocketAddr::new([127, 0, 0, 1].into(), port)
}

#[test]
fn ports_come_and_go_while_it_runs() {
    let env = TestEnv::with_image();
    env.box_(&["network", "create", "back"]).ok();
    let pasta = std::path::Path::new("/usr/bin/pasta").exists();
    for mode in ["slirp4netns", "pasta", "back"] {
        if mode == "pasta" && !pasta {
            skip!("pasta is not installed");
        }
        env.box_(&["run", "-d", "--name", mode, "--network", mode, "t", "listen", "tcp", "7000"]).ok();
        env.await_log(mode, "ready");
        assert_eq!(env.box_(&["port", mode]).ok(), "");
        assert_eq!(env.box_(&["update", "--publish-add", "7000", mode]).ok(), mode);
        let first = host_port(&env, mode, "7000/tcp");
        let answer = ask(local(first), "x");
        assert!(answer.ends_with("\nx") && !answer.contains("from 127."), "{mode}: {answer}");
        if let Some(host) = outer_address("192.0.2.1:9") {
            assert_eq!(ask(SocketAddr::new(host, first), "x"), format!("from {host}\nx"), "{mode}");
        }
        // A connection that is there goes on, whatever becomes of its port.
        let mut open = TcpStream::connect(local(first)).unwrap();
        env.box_(&["update", "--publish-add", "127.0.0.1::7000", mode]).ok();
        assert_eq!(env.box_(&["port", mode]).ok().lines().count(), 2);
        env.box_(&["update", "--publish-rm", &format!("{first}:7000"), mode]).ok();
        assert!(TcpStream::connect(local(first)).is_err(), "{mode}: still published");
        assert!(TcpListener::bind(("0.0.0.0", first)).is_ok(), "{mode}: the port is still taken");
        open.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        open.write_all(b"late").unwrap();
        let mut answer = String::new();
        open.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\nlate"), "{mode}: {answer}");
        let second = host_port(&env, mode, "7000/tcp");
        assert_ne!(first, second);
        let shown = env.box_(&["ps", "--filter", &format!("name={mode}"), "--format", "{{.Ports}}"]).ok();
        assert_eq!(shown, format!("127.0.0.1:{second}->7000/tcp"));
        // What holds now holds after a start.
        env.box_(&["restart", "-t", "0", mode]).ok();
        let answer = ask(local(host_port(&env, mode, "7000/tcp")), "x");
        assert!(answer.ends_with("\nx"), "{mode}: {answer}");
        env.box_(&["update", "--publish-rm", "7000", mode]).ok();
        assert_eq!(env.box_(&["port", mode]).ok(), "");
        // The forwarders of before end with their last connections.
        eventually("no forwarder to be left", || {
            let of_run =
                env.processes().into_iter().filter(|process| process.words.contains(&format!("--name {mode}")));
            of_run.count() <= 2
        });
        env.box_(&["rm", "-f", "-t", "0", mode]).ok();
    }
}

#[test]
fn udp_goes_over_to_the_next_forwarder() {
    let env = TestEnv::with_image();
    env.box_(&["run", "-d", "--name", "dns", "-p", "127.0.0.1::53/udp", "t", "listen", "udp", "53"]).ok();
    env.await_log("dns", "ready");
    let port = host_port(&env, "dns", "53/udp");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 100];
    let mut answered = |text: &str| {
        socket.send_to(text.as_bytes(), local(port)).unwrap();
        socket.recv(&mut buffer).is_ok_and(|length| buffer[..length].ends_with(text.as_bytes()))
    };
    eventually("an answer over UDP", || answered("a"));
    env.box_(&["update", "--publish-add", "80", "dns"]).ok();
    eventually("an answer by the next one", || answered("b"));
    env.box_(&["update", "--publish-rm", "53/udp", "dns"]).ok();
    assert!(UdpSocket::bind(local(port)).is_ok(), "the port is still taken");
}

#[test]
fn what_cannot_be_had_changes_nothing() {
    let env = TestEnv::with_image();
    env.box_(&["run", "-d", "--name", "web", "-p", "127.0.0.1::80", "t", "listen", "tcp", "80"]).ok();
    let port = host_port(&env, "web", "80/tcp");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("127.0.0.1:{}:80", held.local_addr().unwrap().port());
    // A child of ours that has yet to become a program holds it, too, for a moment.
    let refused = |words: &[&str]| {
        eventually("the holder to be named", || {
            let outcome = env.box_(words);
            outcome.fails(125).says("already in use");
            outcome.err().contains(&std::process::id().to_string())
        });
    };
    refused(&["update", "--publish-add", &taken, "web"]);
    // One that was to be taken away is there again.
    refused(&["update", "--publish-rm", "80", "--publish-add", &taken, "web"]);
    assert!(ask(local(port), "x").ends_with("\nx"));
    env.box_(&["update", "--publish-rm", "81", "web"]).fails(125).says("81/tcp is not published").hints("box port web");
    env.box_(&["update", "--publish-add", "x", "web"]).fails(125).says("cannot publish `x`");
    // The same port of the host, for another of the container's.
    let other = format!("127.0.0.1:{port}:81");
    env.box_(&["update", "--publish-rm", "80", "--publish-add", &other, "web"]).ok();
    assert_eq!(env.box_(&["port", "web"]).ok(), format!("81/tcp -> 127.0.0.1:{port}"));
    env.box_(&["run", "-d", "--name", "quiet", "--network", "none", "t", "pause"]).ok();
    env.box_(&["update", "--publish-add", "80", "quiet"]).fails(125).says("no published ports");
    // One that does not run publishes them when it starts.
    env.box_(&["create", "--name", "later", "t", "listen", "tcp", "80"]).ok();
    env.box_(&["update", "--publish-add", "127.0.0.1::80", "later"]).ok();
    env.box_(&["start", "later"]).ok();
    assert!(ask(local(host_port(&env, "later", "80/tcp")), "x").ends_with("\nx"));
}
