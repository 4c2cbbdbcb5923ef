//! Against the real kernel and the real slirp4netns, in a forked child that is root of its own user namespace, as the
//! monitor is.

use super::*;
use crate::network::{Program, SlirpOptions, bind_ports, host_address, parse_ports, start_slirp};
use crate::sys::process::{Cloned, Ended, Fork, clone3, exit_now, fork, wait};
use rustix::thread::UnshareFlags;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

/// Longer than anything here takes on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Run `test` in a forked child, root of a new user namespace, in the host's network namespace.
fn as_monitor(test: impl FnOnce() + std::panic::UnwindSafe) {
    in_child(|| {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).unwrap();
        std::fs::write("/proc/self/setgroups", "deny").unwrap();
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
        test();
    });
}

/// Run `test` in a forked child, whose panic is ours.
fn in_child(test: impl FnOnce() + std::panic::UnwindSafe) {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    match fork().unwrap() {
        Fork::Child => {
            let outcome = std::panic::catch_unwind(test);
            if let Err(panic) = outcome {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let _ = rustix::io::write(&write, text.unwrap_or_default().as_bytes());
                exit_now(1);
            }
            exit_now(0)
        }
        Fork::Parent(pid) => {
            drop(write);
            let mut text = String::new();
            std::fs::File::from(read).read_to_string(&mut text).unwrap();
            assert_eq!(wait(pid).unwrap(), Ended::Exited(0), "{text}");
        }
    }
}

/// A container without anything but a network namespace: a child that runs `inside` in it.
struct Container {
    child: Cloned,
    slirp: Program,
    netns: OwnedFd,
}

fn container(inside: impl FnOnce()) -> Container {
    let (ready, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    let Some(child) = clone3(libc_newnet(), None).unwrap() else {
        process::set_parent_death_signal(SIGKILL).unwrap();
        drop(go);
        crate::sys::net::loopback_up().unwrap();
        // The gate: the end of the file is the word to go.
        let _ = rustix::io::read(&ready, &mut [0; 1]);
        inside();
        exit_now(0)
    };
    let netns = OwnedFd::from(std::fs::File::open(format!("/proc/{}/ns/net", child.pid)).unwrap());
    let mut slirp = start_slirp(netns.as_fd(), &SlirpOptions::default(), None).unwrap();
    slirp.wait_ready().unwrap();
    drop(go);
    Container { child, slirp, netns }
}

/// `CLONE_NEWNET`.
fn libc_newnet() -> u64 {
    u64::from(UnshareFlags::NEWNET.bits())
}

impl Container {
    fn end(self) {
        let _ = rustix::process::pidfd_send_signal(&self.child.pidfd, rustix::process::Signal::KILL);
        wait(self.child.pid).unwrap();
        self.slirp.stop();
    }
}

/// Listen inside, and keep trying to reach it from outside until it listens.
fn connect(port: u16) -> TcpStream {
    for _ in 0..2000 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server in here says a byte first, so that a reset can be told from a connection.
        if matches!(stream.read(&mut [0; 1]), Ok(1)) {
            return stream;
        }
        rest();
    }
    panic!("nothing listens in the container");
}

fn rest() {
    let _ = rustix::event::poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 5_000_000 }));
}

/// Greets, takes everything, answers with the peer's address, all it took, and the last word.
fn echo_server(connections: usize) {
    let listener = TcpListener::bind("0.0.0.0:80").unwrap();
    for _ in 0..connections {
        let (mut stream, peer) = listener.accept().unwrap();
        stream.write_all(b"!").unwrap();
        let mut taken = Vec::new();
        if stream.read_to_end(&mut taken).is_ok() {
            let _ = stream.write_all(format!("{} ", peer.ip()).as_bytes());
            let _ = stream.write_all(&taken);
        }
    }
}

#[test]
fn tcp_is_forwarded_with_half_close_and_without_loopback_as_source() {
    alone!();
    as_monitor(talk_over_tcp);
    if rustix::process::geteuid().is_root() {
        // The real root needs no user namespace.
        in_child(talk_over_tcp);
    }
}

fn talk_over_tcp() {
    let mut ports = parse_ports("127.0.0.1::80,127.0.0.1::81").unwrap();
    let listeners = bind_ports(&mut ports, &|_| None).unwrap();
    let container = container(|| echo_server(100));
    let forwarder = forward(&listeners, container.netns.as_fd(), false).unwrap();
    for size in [0, 5, 3_000_000] {
        let sent: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let mut stream = connect(ports[0].host_port);
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert!(received.starts_with(b"10.0.2.100 "), "{:?}", &received[..received.len().min(20)]);
        assert!(received[11..] == sent[..], "{size} bytes came back as others");
    }
    // Many at once.
    let mut streams: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(("127.0.0.1", ports[0].host_port)).unwrap()).collect();
    for (i, stream) in streams.iter_mut().enumerate() {
        stream.write_all(format!("number {i}").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        let mut received = String::new();
        stream.read_to_string(&mut received).unwrap();
        assert_eq!(received, format!("!10.0.2.100 number {i}"));
    }
    // Nobody listens on 81: refused soon, by a reset.
    let mut stream = TcpStream::connect(("127.0.0.1", ports[1].host_port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let limits = std::fs::read_dir(format!("/proc/{}/fd", forwarder.pid));
    if let Ok(descriptors) = limits {
        let count = descriptors.count();
        assert!(count < 30, "{count} descriptors at rest");
    }
    forwarder.stop();
    container.end();
}

#[test]
fn a_server_on_the_containers_loopback_is_not_published() {
    alone!();
    as_monitor(|| {
        let mut ports = parse_ports("127.0.0.1::80").unwrap();
        let listeners = bind_ports(&mut ports, &|_| None).unwrap();
        let (listens, word) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        let container = container(|| {
            let listener = TcpListener::bind("127.0.0.1:80").unwrap();
            rustix::io::write(&word, b"x").unwrap();
            let _ = listener.accept();
        });
        let forwarder = forward(&listeners, container.netns.as_fd(), false).unwrap();
        assert_eq!(rustix::io::read(&listens, &mut [0; 1]), Ok(1));
        let mut stream = TcpStream::connect(("127.0.0.1", ports[0].host_port)).unwrap();
        assert!(stream.read(&mut [0; 1]).is_err());
        forwarder.stop();
        container.end();
    });
}

#[test]
fn udp_is_forwarded_with_a_socket_for_each_client() {
    alone!();
    as_monitor(|| {
        let mut ports = parse_ports("53/udp").unwrap();
        let listeners = bind_ports(&mut ports, &|_| None).unwrap();
        let container = container(|| {
            let socket = UdpSocket::bind("0.0.0.0:53").unwrap();
            let mut buffer = [0; 65536];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let answer = [format!("{} ", peer.ip()).as_bytes(), &buffer[..length]].concat();
                let _ = socket.send_to(&answer, peer);
            }
        });
        let forwarder = forward(&listeners, container.netns.as_fd(), false).unwrap();
        // 127.0.0.2: the answer has to come from where the question went to.
        for target in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)] {
            let clients: Vec<UdpSocket> = (0..5).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
            for (i, client) in clients.iter().enumerate() {
                client.connect(SocketAddr::new(IpAddr::V4(target), ports[0].host_port)).unwrap();
                client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                let question = format!("question {i} {}", "x".repeat(i * 5000));
                let mut buffer = [0; 65536];
                let answer = (0..1000).find_map(|_| {
                    client.send(question.as_bytes()).unwrap();
                    client.recv(&mut buffer).ok()
                });
                let answer = String::from_utf8_lossy(&buffer[..answer.unwrap()]).into_owned();
                assert_eq!(answer, format!("10.0.2.100 {question}"));
            }
        }
        forwarder.stop();
        container.end();
    });
}

#[test]
fn the_way_out_leads_to_the_host_but_not_to_its_loopback() {
    alone!();
    as_monitor(|| {
        let outside = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = outside.local_addr().unwrap().port();
        let host = host_address();
        let (answers, word) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        let container = container(|| {
            let reach = |ip| TcpStream::connect_timeout(&SocketAddr::new(IpAddr::V4(ip), port), PATIENCE).is_ok();
            let answer = [u8::from(host.is_none_or(reach)), u8::from(reach(Ipv4Addr::new(10, 0, 2, 2)))];
            rustix::io::write(&word, &answer).unwrap();
        });
        let mut answer = [9; 2];
        assert_eq!(rustix::io::read(&answers, &mut answer), Ok(2));
        assert_eq!(answer, [1, 0], "the host at {host:?}, the gateway");
        container.end();
    });
}

#[test]
fn slirp4netns_can_be_started_again() {
    alone!();
    as_monitor(|| {
        let mut container = container(|| {
            let _ = rustix::event::poll(&mut [], None);
        });
        for _ in 0..2 {
            container.slirp.stop();
            container.slirp = start_slirp(container.netns.as_fd(), &SlirpOptions::default(), None).unwrap();
            container.slirp.wait_ready().unwrap();
        }
        container.end();
    });
}

#[test]
fn a_network_that_cannot_be_set_up_says_why() {
    alone!();
    as_monitor(|| {
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = start_slirp(file.as_fd(), &SlirpOptions::default(), None).unwrap().wait_ready().unwrap_err();
        assert_eq!(crate::base::error::kind(&error), Kind::Host);
        assert!(error.to_string().starts_with("slirp4netns cannot set up the network: "), "{error:#}");
        let error = forward(&[], file.as_fd(), false).unwrap_err();
        assert!(format!("{error:#}").contains("cannot join the container's network namespace"), "{error:#}");
    });
}

#[test]
fn helpers_end_with_the_monitor() {
    alone!();
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    as_monitor(move || {
        let mut ports = parse_ports("127.0.0.1::80").unwrap();
        let listeners = bind_ports(&mut ports, &|_| None).unwrap();
        let container = container(|| {
            let _ = rustix::event::poll(&mut [], None);
        });
        let forwarder = forward(&listeners, container.netns.as_fd(), false).unwrap();
        let text = format!("{} {}", container.slirp.pid, forwarder.pid);
        rustix::io::write(&write, text.as_bytes()).unwrap();
        // And leave without ending anything, as after SIGKILL.
        exit_now(0);
    });
    let mut text = String::new();
    std::fs::File::from(read).read_to_string(&mut text).unwrap();
    let pids: Vec<i32> = text.split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        let gone = (0..2000).any(|_| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let gone = stat.is_empty() || stat.contains(") Z ");
            if !gone {
                rest();
            }
            gone
        });
        assert!(gone, "process {pid} lives on");
    }
}
