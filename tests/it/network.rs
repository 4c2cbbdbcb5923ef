//! `--network` and its neighbours: modes, names, and whose address a server sees.

use crate::env::{TestEnv, eventually};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// The address that the host would use to reach others; nothing is sent.
pub fn outer_address(towards: &str) -> Option<IpAddr> {
    let any = if towards.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(towards.parse::<SocketAddr>().unwrap()).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

/// What a server that is reached by this address says, once it does.
#[track_caller]
pub fn ask(address: SocketAddr, text: &str) -> String {
    let mut answer = String::new();
    eventually(&format!("an answer from {address}"), || {
        let Ok(mut stream) = TcpStream::connect(address) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        answer.clear();
        stream.write_all(text.as_bytes()).is_ok() && stream.read_to_string(&mut answer).is_ok() && !answer.is_empty()
    });
    answer
}

/// The host's port that a container's is published on.
#[track_caller]
pub fn host_port(env: &TestEnv, name: &str, port: &str) -> u16 {
    let template = format!("{{{{(index (index .NetworkSettings.Ports \"{port}\") 0).HostPort}}}}");
    env.inspect(name, &template).parse().unwrap()
}

/// Whether pasta is there, which contrib/test installs.
fn has_pasta() -> bool {
    std::path::Path::new("/usr/bin/pasta").exists()
}

#[test]
fn a_server_sees_its_clients_own_address() {
    let env = TestEnv::with_image();
    let Some(address) = outer_address("192.0.2.1:9") else { skip!("this host has no address but loopback") };
    for mode in ["slirp4netns", "pasta"] {
        if mode == "pasta" && !has_pasta() {
            skip!("pasta is not installed");
        }
        let run = ["run", "-d", "--name", mode, "--network", mode, "-p", "7000", "t", "listen", "tcp", "7000"];
        env.box_(&run).ok();
        let port = host_port(&env, mode, "7000/tcp");
        let answer = ask(SocketAddr::new(address, port), "x");
        assert_eq!(answer, format!("from {address}\nx"), "{mode}");
        // A client of the loopback is not local to the server (CVE-2021-20199).
        let answer = ask(SocketAddr::new([127, 0, 0, 1].into(), port), "x");
        assert!(!answer.contains("from 127."), "{mode}: {answer}");
    }
}

#[test]
fn a_udp_server_sees_its_clients_own_address() {
    let env = TestEnv::with_image();
    let Some(address) = outer_address("192.0.2.1:9") else { skip!("this host has no address but loopback") };
    env.box_(&["run", "-d", "--name", "web", "-p", "7000/udp", "t", "listen", "udp", "7000"]).ok();
    let port = host_port(&env, "web", "7000/udp");
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 100];
    eventually("an answer over UDP", || {
        socket.send_to(b"x", (address, port)).unwrap();
        socket.recv(&mut buffer).is_ok_and(|length| buffer[..length] == *format!("from {address}\nx").as_bytes())
    });
}

#[test]
fn ipv6_by_slirp4netns() {
    let env = TestEnv::with_image();
    let mode = "slirp4netns:enable_ipv6=true";
    env.box_(&["run", "-d", "--name", "web", "--network", mode, "-p", "7000", "t", "listen", "tcp", "7000"]).ok();
    let port = host_port(&env, "web", "7000/tcp");
    // The server has IPv4 alone, and is reached all the same.
    if TcpStream::connect(("::1", port)).is_ok() {
        assert!(ask(SocketAddr::new("::1".parse().unwrap(), port), "x").ends_with("\nx"));
    }
}

#[test]
fn slirp4netns_in_another_network() {
    let env = TestEnv::with_image();
    let mode = "slirp4netns:cidr=10.77.0.0/24,mtu=1500";
    env.box_(&["run", "-d", "--name", "web", "--network", mode, "-p", "7000", "t", "listen", "tcp", "7000"]).ok();
    let port = host_port(&env, "web", "7000/tcp");
    assert!(ask(SocketAddr::new([127, 0, 0, 1].into(), port), "x").ends_with("\nx"));
    assert_eq!(env.inspect("web", "{{.NetworkSettings.IPAddress}}"), "10.77.0.100");
    let files = env.box_(&["exec", "web", "cat", "/etc/hosts", "/etc/resolv.conf"]).ok();
    assert!(files.contains("10.77.0.100\t") && files.contains("nameserver 10.77.0.3"), "{files}");
    env.box_(&["run", "--rm", "--network", "slirp4netns:x=y", "t", "true"]).fails(125).says("no option `x`");
}

#[test]
fn a_missing_pasta_names_the_package_and_the_mode_that_works() {
    let env = TestEnv::with_image();
    if has_pasta() {
        // What pasta itself refuses is told by its name.
        let outcome = env.box_(&["run", "--rm", "--network", "pasta:--nonsense", "t", "true"]);
        outcome.fails(125).says("pasta");
    } else {
        let outcome = env.box_(&["run", "--rm", "--network", "pasta", "t", "true"]);
        outcome.fails(125).hints("passt").hints("slirp4netns");
    }
}

#[test]
fn the_network_of_another_container() {
    let env = TestEnv::with_image();
    env.box_(&["run", "-d", "--name", "web", "--hostname", "www", "t", "listen", "tcp", "7000"]).ok();
    env.await_log("web", "ready");
    let shared = ["run", "--rm", "--network", "container:web", "t"];
    let beside = |words: &[&str]| env.box_(&[&shared[..], words].concat());
    // Its loopback, its interfaces, its names.
    assert_eq!(beside(&["connect", "tcp", "127.0.0.1", "7000", "x"]).ok(), "from 127.0.0.1\nx");
    assert_eq!(beside(&["interfaces"]).ok(), "lo up\ntap0 up");
    let hosts = |outcome: crate::outcome::Outcome| outcome.ok();
    assert_eq!(hosts(beside(&["cat", "/etc/hosts"])), hosts(env.box_(&["exec", "web", "cat", "/etc/hosts"])));
    assert_eq!(beside(&["cat", "/etc/hostname"]).ok(), "www");
    for flag in [&["-p", "80"][..], &["--dns", "1.1.1.1"], &["--add-host", "a:1.2.3.4"], &["--hostname", "x"]] {
        let words = [&["run", "--rm", "--network", "container:web"], flag, &["t", "true"]].concat();
        env.box_(&words).fails(125);
    }
    env.box_(&["create", "--name", "beside", "--network", "container:web", "t", "true"]).ok();
    env.box_(&["rm", "-f", "-t", "0", "web"]).ok();
    env.box_(&["start", "beside"]).fails(125).says("no such container");
    env.box_(&["run", "--rm", "--network", "container:none", "t", "true"]).fails(125).says("no such container `none`");
}

#[test]
fn names_and_name_servers() {
    let env = TestEnv::with_image();
    let words = ["--dns", "192.0.2.9", "--dns-search", "a.example", "--dns-option", "ndots:3"];
    let resolver = env.inside(&words, &["cat", "/etc/resolv.conf"]).ok();
    for line in ["search a.example", "options ndots:3", "nameserver 192.0.2.9"] {
        assert!(resolver.contains(line), "{resolver}");
    }
    let file = env.file("names", "192.0.2.7 base\n");
    let words = ["--add-host", "db;store:192.0.2.8", "--hosts-file", file.to_str().unwrap()];
    let hosts = env.inside(&words, &["cat", "/etc/hosts"]).ok();
    assert!(hosts.starts_with("192.0.2.7 base\n") && hosts.contains("192.0.2.8\tdb store"), "{hosts}");
    let hosts = env.box_(&["run", "--rm", "--add-host", "me:host-gateway", "t", "cat", "/etc/hosts"]).ok();
    assert!(hosts.contains("\tme"), "{hosts}");
    env.inside(&["--add-host", "me:host-gateway"], &["true"]).fails(125).says("host-gateway");
    env.inside(&["--no-hosts", "--add-host", "a:1.1.1.1"], &["true"]).fails(125);
    // What is kept is the image's, which has none of these.
    let kept = env.inside(&["--no-hosts", "--dns", "none", "--no-hostname"], &["ls", "/etc"]).ok();
    assert!(!kept.contains("hosts") && !kept.contains("resolv.conf") && !kept.contains("hostname"), "{kept}");
}

#[test]
fn proxy_variables_of_the_host() {
    let mut env = TestEnv::with_image();
    env.set("https_proxy", "http://proxy.example:3128");
    assert_eq!(env.inside(&[], &["printenv", "https_proxy"]).ok(), "http://proxy.example:3128");
    env.inside(&["--http-proxy=false"], &["printenv", "https_proxy"]).ends(1);
    assert_eq!(env.inside(&["-e", "https_proxy=own"], &["printenv", "https_proxy"]).ok(), "own");
}

#[test]
fn all_exposed_ports() {
    let env = TestEnv::with_image();
    env.box_(&["run", "-d", "--name", "web", "-P", "--expose", "7000", "t", "listen", "tcp", "7000"]).ok();
    let port = host_port(&env, "web", "7000/tcp");
    assert!(ask(SocketAddr::new([127, 0, 0, 1].into(), port), "x").ends_with("\nx"));
}

#[test]
fn root_an_existing_namespace() {
    if !crate::skip::is_root() {
        skip!("wants root");
    }
    let env = TestEnv::with_image();
    let name = format!("boxtest{}", std::process::id());
    let ip = |words: &[&str]| std::process::Command::new("ip").args(words).status().unwrap().success();
    assert!(ip(&["netns", "add", &name]));
    let path = format!("ns:/run/netns/{name}");
    assert!(ip(&["-n", &name, "link", "add", "b0", "type", "bridge"]));
    let seen = env.box_(&["run", "--rm", "--network", &path, "t", "interfaces"]);
    assert!(ip(&["netns", "del", &name]));
    assert!(seen.ok().contains("b0"), "{seen}");
}

#[test]
fn a_missing_namespace() {
    let env = TestEnv::with_image();
    env.box_(&["run", "--rm", "--network", "ns:/nonexistent/ns", "t", "true"]).fails(125).says("/nonexistent/ns");
}
