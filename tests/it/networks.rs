//! `box network`: containers that find each other by name, and what keeps networks apart.

use crate::env::{TestEnv, eventually};
use crate::network::{ask, host_port, outer_address};
use std::net::{IpAddr, SocketAddr};

/// `run -d --name NAME --network NETWORK… t listen tcp 7000`.
#[track_caller]
fn server(env: &TestEnv, name: &str, options: &[&str]) {
    let words = [&["run", "-d", "--name", name], options, &["t", "listen", "tcp", "7000"]].concat();
    env.box_(&words).ok();
    env.await_log(name, "ready");
}

/// What a container's server says to another container, by a name or an address.
fn ask_from(env: &TestEnv, container: &str, name: &str) -> crate::outcome::Outcome {
    env.box_(&["exec", container, "connect", "tcp", name, "7000", "x"])
}

#[track_caller]
fn address(env: &TestEnv, container: &str, network: &str) -> String {
    env.inspect(container, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"))
}

#[test]
fn containers_find_each_other_by_name() {
    let env = TestEnv::with_image();
    assert_eq!(env.box_(&["network", "create", "back"]).ok(), "back");
    server(&env, "db", &["--network", "back:alias=store", "--hostname", "data"]);
    server(&env, "web", &["--network", "back", "-p", "7000"]);
    let own = address(&env, "web", "back");
    let id = env.inspect("db", "{{.Id}}");
    for name in ["db", "DB", "store", "data", &id[..12], &address(&env, "db", "back")] {
        assert_eq!(ask_from(&env, "web", name).ok(), format!("from {own}\nx"), "{name}");
    }
    // One that goes is not known any more, one that comes is at once.
    env.box_(&["rm", "-f", "-t", "0", "db"]).ok();
    eventually("the name to go", || ask_from(&env, "web", "db").code != 0);
    server(&env, "db", &["--network", "back"]);
    assert_eq!(ask_from(&env, "web", "db").ok(), format!("from {own}\nx"));
    // Another name holds at once.
    env.box_(&["rename", "db", "base"]).ok();
    assert_eq!(ask_from(&env, "web", "base").ok(), format!("from {own}\nx"));
    assert_ne!(ask_from(&env, "web", "db").code, 0);
    env.box_(&["rename", "base", "db"]).ok();
    // Published ports show the client's own address here, too.
    let port = host_port(&env, "web", "7000/tcp");
    if let Some(host) = outer_address("192.0.2.1:9") {
        assert_eq!(ask(SocketAddr::new(host, port), "x"), format!("from {host}\nx"));
    }
    let hosts = env.box_(&["exec", "web", "cat", "/etc/hosts"]).ok();
    assert!(hosts.contains(&format!("{own}\t")), "{hosts}");
    // In use: by whom, and podman's code.
    env.box_(&["network", "rm", "back"]).fails(2).says("db").says("web");
    env.box_(&["network", "rm", "-f", "-t", "0", "back"]).ok();
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
    env.box_(&["network", "rm", "back"]).fails(1).says("no network `back`");
}

#[test]
fn networks_are_kept_apart() {
    let env = TestEnv::with_image();
    for words in [
        &["one"][..],
        &["two"],
        &["--internal", "vault"],
        &["--opt", "isolate=false", "open"],
        &["--opt", "isolate=false", "wide"],
    ] {
        env.box_(&[&["network", "create"], words].concat()).ok();
    }
    for name in ["one", "two", "vault", "open", "wide"] {
        server(&env, name, &["--network", name]);
    }
    let of = |name: &str| address(&env, name, name);
    // By name and by address: out of reach.
    for (from, to) in [("one", "two"), ("vault", "one"), ("one", "vault"), ("one", "open")] {
        ask_from(&env, from, to).ends(1);
        ask_from(&env, from, &of(to)).ends(1);
    }
    assert_eq!(ask_from(&env, "open", &of("wide")).ok(), format!("from {}\nx", of("open")));
    // The name server of another network is none of ours.
    let gateway = env.inspect("two", "{{.NetworkSettings.Gateway}}");
    env.box_(&["exec", "one", "connect", "tcp", &gateway, "53"]).ends(1);
    // An internal network leads nowhere, and asks nobody for names (CVE-2024-29018).
    let routes = env.box_(&["exec", "vault", "cat", "/proc/net/route"]).ok();
    assert!(!routes.lines().any(|line| line.split_whitespace().nth(1) == Some("00000000")), "{routes}");
    ask_from(&env, "vault", "www.example").ends(1);
    // Networks of IPv4 alone have no IPv6 (CVE-2020-10749).
    assert_eq!(env.box_(&["exec", "one", "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"]).ok(), "1");
}

#[test]
fn joining_and_leaving_while_running() {
    let env = TestEnv::with_image();
    for name in ["one", "two"] {
        env.box_(&["network", "create", name]).ok();
    }
    server(&env, "web", &["--network", "one"]);
    server(&env, "db", &["--network", "two"]);
    ask_from(&env, "web", "db").ends(1);
    env.box_(&["network", "connect", "--alias", "www", "two", "web"]).ok();
    eventually("the name server of the new network", || ask_from(&env, "web", "db").code == 0);
    let own = address(&env, "db", "two");
    assert_eq!(ask_from(&env, "db", "www").ok(), format!("from {own}\nx"));
    assert_eq!(env.box_(&["exec", "web", "interfaces"]).ok(), "eth0 up\neth1 up\nlo up");
    eventually("the hosts file", || {
        let hosts = env.box_(&["exec", "web", "cat", "/etc/hosts"]).ok();
        hosts.contains(&address(&env, "web", "two"))
    });
    env.box_(&["network", "connect", "two", "web"]).fails(125).says("already");
    env.box_(&["network", "disconnect", "one", "web"]).ok();
    assert_eq!(env.box_(&["exec", "web", "interfaces"]).ok(), "eth1 up\nlo up");
    env.box_(&["network", "disconnect", "one", "web"]).fails(125).says("not in network");
    // It is kept over a restart.
    env.box_(&["stop", "-t", "0", "web"]).ok();
    env.box_(&["start", "web"]).ok();
    assert_eq!(env.box_(&["exec", "web", "interfaces"]).ok(), "eth0 up\nlo up");
    eventually("the server", || ask_from(&env, "db", "www").out().contains(&format!("from {own}")));
    let listed = env.box_(&["network", "inspect", "one", "--format", "{{json .containers}}"]).ok();
    assert_eq!(listed, "{}");
    env.box_(&["run", "-d", "--name", "alone", "t", "pause"]).ok();
    env.box_(&["network", "connect", "one", "alone"]).fails(125).says("slirp4netns");
}

#[test]
fn chosen_addresses() {
    let env = TestEnv::with_image();
    let words = [
        "network",
        "create",
        "--subnet",
        "10.213.7.0/24",
        "--gateway",
        "10.213.7.9",
        "--ip-range",
        "10.213.7.64/30",
        "lab",
    ];
    env.box_(&words).ok();
    server(&env, "web", &["--network", "lab", "--ip", "10.213.7.77", "--mac-address", "02:00:00:00:00:07"]);
    assert_eq!(address(&env, "web", "lab"), "10.213.7.77");
    assert_eq!(env.inspect("web", "{{.NetworkSettings.MacAddress}}"), "02:00:00:00:00:07");
    let taken = ["run", "--rm", "--network", "lab", "--ip", "10.213.7.77", "t", "true"];
    env.box_(&taken).fails(125).says("10.213.7.77 is taken");
    let outside = ["run", "--rm", "--network", "lab", "--ip", "10.213.8.1", "t", "true"];
    env.box_(&outside).fails(125).says("no address of network `lab`");
    // The range has four, and goes round.
    for name in ["a", "b", "c", "d"] {
        env.box_(&["run", "-d", "--name", name, "--network", "lab", "t", "pause"]).ok();
        assert!(address(&env, name, "lab").starts_with("10.213.7.6"));
    }
    env.box_(&["run", "--rm", "--network", "lab", "t", "true"]).fails(125).says("all addresses");
    env.box_(&["rm", "-f", "-t", "0", "b"]).ok();
    eventually("an address to be free", || env.box_(&["run", "--rm", "--network", "lab", "t", "true"]).code == 0);
    // Addresses that are somebody else's, and networks without IPv4.
    let words = ["network", "create", "--subnet", "10.214.9.0/29", "--aux-address", "printer=10.214.9.2", "few"];
    env.box_(&words).ok();
    let first = ["run", "--rm", "--network", "few", "t", "cat", "/etc/hosts"];
    assert!(env.box_(&first).ok().contains("10.214.9.3\t"));
    env.box_(&["run", "--rm", "--network", "few:ip=10.214.9.2", "t", "true"]).fails(125).says("is taken");
    for words in [&["--aux-address", "a=10.9.9.9"][..], &["--aux-address", "a"], &["--aux-address", "a=b"]] {
        env.box_(&[&["network", "create"], words, &["x"]].concat()).fails(125).says("--aux-address");
    }
    env.box_(&["network", "create", "--ipam-opt", "a=b", "x"]).fails(125).says("no options");
    env.box_(&["network", "create", "--ipv4=false", "x"]).fails(125).says("needs `--ipv6`");
    env.box_(&["network", "create", "--ipv4=false", "--ipv6", "six"]).ok();
    let hosts = env.box_(&["run", "--rm", "--network", "six", "t", "cat", "/etc/hosts"]).ok();
    assert!(hosts.contains("\nfd") && !hosts.contains("\n10."), "{hosts}");
    // What is in use is nobody's network.
    env.box_(&["network", "create", "--subnet", "10.213.0.0/16", "more"]).fails(125).says("in use by network `lab`");
    env.box_(&["network", "create", "lab"]).fails(125).says("already");
    env.box_(&["network", "create", "--ignore", "lab"]).ok();
    env.box_(&["network", "create", "--driver", "macvlan", "x"]).fails(125).says("interface of the host");
    for words in [&["--subnet", "x"][..], &["--opt", "x=y"], &["--gateway", "10.1.1.1"], &["host"]] {
        env.box_(&[&["network", "create"], words].concat()).ends(125);
    }
    env.box_(&["run", "--rm", "--network", "nope", "t", "true"]).fails(125).says("no network `nope`");
}

#[test]
fn ipv6_in_a_network() {
    let env = TestEnv::with_image();
    env.box_(&["network", "create", "--ipv6", "six"]).ok();
    server(&env, "db", &["--network", "six"]);
    let address = env.inspect("db", "{{.NetworkSettings.GlobalIPv6Address}}");
    assert!(address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()), "{address}");
    let hosts = env.box_(&["exec", "db", "cat", "/etc/hosts"]).ok();
    assert!(hosts.contains(&address), "{hosts}");
}

#[test]
fn listing_and_pruning() {
    let env = TestEnv::with_image();
    env.box_(&["network", "create", "--label", "a=b", "one"]).ok();
    env.box_(&["network", "create", "two"]).ok();
    env.box_(&["create", "--network", "two", "--name", "c", "t", "true"]).ok();
    let ls = env.box_(&["network", "ls"]).ok();
    assert!(ls.starts_with("NETWORK ID") && ls.contains("one"), "{ls}");
    assert_eq!(env.box_(&["network", "ls", "-q", "--filter", "label=a"]).ok(), "one");
    assert_eq!(
        env.box_(&["network", "ls", "--format", "{{.Name}} {{.Driver}}", "--filter", "name=tw"]).ok(),
        "two bridge"
    );
    env.box_(&["network", "exists", "one"]).ok();
    env.box_(&["network", "exists", "nope"]).ends(1);
    env.box_(&["network", "update", "--dns-add", "192.0.2.1", "one"]).ok();
    assert_eq!(env.box_(&["network", "inspect", "one", "-f", "{{json .network_dns_servers}}"]).ok(), "[\"192.0.2.1\"]");
    assert_eq!(env.box_(&["network", "prune", "-f"]).ok(), "one");
    assert_eq!(env.box_(&["network", "ls", "-q"]).ok(), "two");
    assert_eq!(env.box_(&["ps", "-a", "--format", "{{.Networks}}"]).ok(), "two");
}

/// The hub, its way out and the monitor's connection: each may be killed.
#[test]
fn whoever_is_killed_service_comes_back() {
    let env = TestEnv::with_image();
    env.box_(&["network", "create", "back"]).ok();
    for name in ["db", "web"] {
        server(&env, name, &["--network", "back"]);
    }
    let process = |word: &str| env.processes().into_iter().find(|process| process.words.contains(word)).map(|p| p.pid);
    let answers = || ask_from(&env, "web", "db").code == 0;
    assert!(answers());
    let rounds: u32 = std::env::var("BOX_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    for _ in 0..rounds {
        let way_out = process("slirp4netns").expect("a way out");
        crate::leak::kill(way_out);
        eventually("another way out", || process("slirp4netns").is_some_and(|pid| pid != way_out));
        let hub = process("box-net").expect("a hub");
        crate::leak::kill(hub);
        eventually("another hub", || process("box-net").is_some_and(|pid| pid != hub));
        eventually("names to be answered again", answers);
        // A newcomer gets an address that nobody has.
        let own = env.box_(&["run", "--rm", "--network", "back", "t", "cat", "/etc/hosts"]).ok();
        for other in ["web", "db"] {
            assert!(!own.contains(&format!("\n{}\t", address(&env, other, "back"))), "{own}");
        }
    }
    let told = env.box_(&["events", "--stream=false", "--filter", "event=helper_restart"]).ok();
    assert!(told.contains("networks") && told.contains("way out"), "{told}");
    // A hub is told the names of now.
    env.box_(&["rename", "db", "base"]).ok();
    let hub = process("box-net").expect("a hub");
    crate::leak::kill(hub);
    eventually("the new name", || ask_from(&env, "web", "base").code == 0);
    env.box_(&["rename", "base", "db"]).ok();
    // A monitor that is killed takes its container's place in the network with it.
    let monitor: i32 = env.inspect("db", "{{.State.ConmonPid}}").parse().unwrap();
    crate::leak::kill(monitor);
    eventually("the name to go", || !answers());
    env.box_(&["rm", "-f", "-a", "-t", "0"]).ok();
    eventually("the hub to end", || process("box-net").is_none() && process("slirp4netns").is_none());
}

/// Containers come and go on several networks, and no question for a name is lost or answered wrongly meanwhile.
///
/// `BOX_TEST_CYCLES=N`: that many rounds of 50 containers on 5 networks, in place of a short one.
#[test]
fn names_are_answered_while_containers_come_and_go() {
    let env = TestEnv::with_image();
    let cycles: Option<usize> = std::env::var("BOX_TEST_CYCLES").ok().and_then(|text| text.parse().ok());
    let (networks, each, rounds) = if cycles.is_some() { (5, 10, cycles.unwrap_or(0)) } else { (2, 3, 1) };
    for network in 0..networks {
        let name = format!("n{network}");
        env.box_(&["network", "create", &name]).ok();
        env.box_(&["run", "-d", "--name", &format!("stays{network}"), "--network", &name, "t", "pause"]).ok();
        let asker = format!("asker{network}");
        let stays = format!("stays{network}");
        let words = ["run", "-d", "--name", &asker, "--network", &name, "-v", "/end", "t"];
        env.box_(&[&words[..], &["questions", "/end/now", &stays, &asker]].concat()).ok();
        env.await_log(&asker, "ready");
    }
    let come_and_go = |network: usize| {
        let (name, word) = (format!("n{network}"), |number: usize| format!("guest{network}-{number}"));
        for _ in 0..rounds {
            for number in 0..each {
                env.box_(&["run", "-d", "--name", &word(number), "--network", &name, "t", "pause"]).ok();
            }
            // One of them visits the next network.
            let next = format!("n{}", (network + 1) % networks);
            env.box_(&["network", "connect", &next, &word(0)]).ok();
            let all: Vec<String> = (0..each).map(word).collect();
            let words = ["rm", "-f", "-t", "0"].into_iter().chain(all.iter().map(String::as_str));
            env.box_(&words.collect::<Vec<_>>()).ok();
        }
    };
    std::thread::scope(|scope| {
        (0..networks).for_each(|network| drop(scope.spawn(move || come_and_go(network))));
    });
    for network in 0..networks {
        let asker = format!("asker{network}");
        // The container ends as soon as the file is there, and may take the command with it.
        env.box_(&["exec", &asker, "touch", "/end/now"]);
        env.box_(&["wait", &asker]).ok();
        let log = env.box_(&["logs", &asker]).ok();
        let asked = log.lines().find_map(|line| line.strip_prefix("asked ")?.split(',').next()?.parse::<u32>().ok());
        assert!(asked.is_some_and(|asked| asked > 0) && log.contains("wrong [], lost []"), "{log}");
        if cycles.is_some() {
            eprintln!("{log}");
        }
    }
}

/// Names, as dig asks for them; hostile questions; several addresses in turn.
#[test]
fn the_name_server_as_dig_sees_it() {
    let env = TestEnv::with_image();
    if !std::path::Path::new("/usr/bin/dig").exists() {
        skip!("dig is not installed");
    }
    env.box_(&["network", "create", "back"]).ok();
    for name in ["a", "b"] {
        server(&env, name, &["--network", "back:alias=both"]);
    }
    let pid = env.inspect("a", "{{.State.Pid}}");
    let gateway = env.inspect("a", "{{.NetworkSettings.Gateway}}");
    let dig = |words: &[&str]| {
        let server = format!("@{gateway}");
        let all = [&["unshare", "nsenter", "-t", &pid, "-n", "dig", "+tries=1", "+time=5", &server], words].concat();
        env.box_(&all).ok()
    };
    let (a, b) = (address(&env, "a", "back"), address(&env, "b", "back"));
    assert_eq!(dig(&["+short", "b"]), b);
    assert_eq!(dig(&["+short", "+tcp", "b"]), b);
    assert_eq!(dig(&["+short", "-x", &b]), "b.");
    assert!(dig(&["AAAA", "b"]).contains("NOERROR"));
    let first: Vec<String> =
        (0..2).map(|_| dig(&["+short", "both"]).lines().next().unwrap_or_default().to_owned()).collect();
    assert!(first.contains(&a) && first.contains(&b), "in turn: {first:?}");
    // Half a message over TCP, a lie about its length, a question that loops: others are answered all the same.
    let hostile = env.box_(&["exec", "a", "connect", "tcp", &gateway, "53", "\u{7f}\u{7f}\u{1}"]);
    assert!(hostile.code <= 1, "{hostile}");
    assert_eq!(dig(&["+short", "b"]), b);
}

/// Limits of bandwidth, as tc sees them: at the bridge for what comes in, in the container for what goes out.
#[test]
fn bandwidth_is_limited() {
    let env = TestEnv::with_image();
    if !std::path::Path::new("/usr/sbin/tc").exists() {
        skip!("tc is not installed");
    }
    env.box_(&["network", "create", "slow"]).ok();
    let network = "slow:bandwidth-in=8mbit,bandwidth-out=2mbit";
    env.box_(&["run", "-d", "--name", "c", "--network", network, "t", "pause"]).ok();
    let pid = env.inspect("c", "{{.State.Pid}}");
    let inside = ["unshare", "nsenter", "-t", &pid, "-n", "/usr/sbin/tc", "qdisc", "show", "dev", "eth0"];
    let shown = env.box_(&inside).ok();
    assert!(shown.contains("tbf") && shown.contains("rate 2Mbit"), "{shown}");
    env.box_(&["run", "--rm", "--network", "slow:bandwidth-in=1", "t", "true"]).fails(125).says("bits a second");
}

/// A network without anything, and a VLAN within a bridge.
#[test]
fn other_kinds_of_networks() {
    let env = TestEnv::with_image();
    env.box_(&["network", "create", "--driver", "none", "quiet"]).ok();
    env.box_(&["network", "create", "--driver", "none", "--subnet", "10.9.9.0/24", "x"]).fails(125).says("but a name");
    assert_eq!(
        env.box_(&["network", "ls", "--filter", "driver=none", "--format", "{{.Driver}} {{.Name}}"]).ok(),
        "none quiet"
    );
    assert_eq!(env.box_(&["run", "--rm", "--network", "quiet", "t", "interfaces"]).ok(), "lo up");
    // One may be in it beside another network.
    env.box_(&["network", "create", "back"]).ok();
    env.box_(&["run", "-d", "--name", "both", "--network", "back", "t", "pause"]).ok();
    env.box_(&["network", "connect", "quiet", "both"]).ok();
    env.box_(&["network", "rm", "quiet"]).fails(2).says("both");
    env.box_(&["network", "disconnect", "quiet", "both"]).ok();
    env.box_(&["network", "rm", "quiet"]).ok();
    env.box_(&["network", "create", "--opt", "vlan=7", "tagged"]).ok();
    env.box_(&["network", "create", "--opt", "vlan=4095", "x"]).fails(125).says("not a number from 1 to 4094");
    let first = env.box_(&["run", "-d", "--name", "first", "--network", "tagged", "t", "pause"]);
    if first.code != 0 {
        // Not every kernel's bridges know VLANs.
        first.fails(125).says("no VLANs in its bridges");
        return;
    }
    for name in ["db", "web"] {
        server(&env, name, &["--network", "tagged"]);
    }
    assert_eq!(ask_from(&env, "web", "db").ok(), format!("from {}\nx", address(&env, "web", "tagged")));
    let hub = env.processes().into_iter().find(|process| process.words.contains("box-net")).expect("a hub").pid;
    // As bridge(8) sees it, in the namespace that the hub holds open.
    let is_netns =
        |path: &std::path::PathBuf| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("net:["));
    let shown =
        std::fs::read_dir(format!("/proc/{hub}/fd")).map(|all| all.flatten().map(|entry| entry.path()).find(is_netns));
    if let Ok(Some(netns)) = shown {
        let inside = format!("--net={}", netns.display());
        let vlans = env.box_(&["unshare", "nsenter", &inside, "/usr/sbin/bridge", "vlan", "show"]).ok();
        assert_eq!(vlans.matches("7 PVID").count(), 4, "{vlans}");
    }
}

/// Clients of another machine: their own addresses are what servers see, in every mode. The machine is a namespace.
#[test]
fn root_clients_of_another_machine() {
    if !crate::skip::is_root() {
        skip!("wants root");
    }
    let env = TestEnv::with_image();
    let id = std::process::id() % 10_000;
    let (name, here, there) = (format!("boxm{id}"), format!("{}{id}", crate::leak::MACHINE), format!("bxt{id}"));
    let ip = |words: &[&str]| {
        let output = std::process::Command::new("ip").args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    ip(&["netns", "add", &name]);
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ip(&["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &name]);
        ip(&["address", "add", "198.51.100.1/24", "dev", &here]);
        ip(&["link", "set", &here, "up"]);
        ip(&["-n", &name, "address", "add", "198.51.100.7/24", "dev", &there]);
        ip(&["-n", &name, "link", "set", &there, "up"]);
        env.box_(&["network", "create", "back"]).ok();
        for mode in ["slirp4netns", "pasta", "back"] {
            if mode == "pasta" && !std::path::Path::new("/usr/bin/pasta").exists() {
                continue;
            }
            let run = ["run", "-d", "--name", mode, "--network", mode, "-p", "198.51.100.1::7000"];
            env.box_(&[&run[..], &["-p", "198.51.100.1::7001/udp", "t", "listen", "tcp", "7000"]].concat()).ok();
            env.await_log(mode, "ready");
            env.box_(&["exec", "-d", mode, "listen", "udp", "7001"]).ok();
            let payload = crate::image::payload_program();
            let ask = |kind: &str, port: u16| {
                let words = ["netns", "exec", &name, payload.to_str().unwrap(), "connect", kind, "198.51.100.1"];
                let output = std::process::Command::new("ip").args(words).args([&port.to_string(), "x"]).output();
                let output = output.unwrap();
                let said = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&said).trim_end().to_owned()
            };
            let (tcp, udp) = (host_port(&env, mode, "7000/tcp"), host_port(&env, mode, "7001/udp"));
            assert_eq!(ask("tcp", tcp), "from 198.51.100.7\nx", "{mode}");
            eventually("an answer over UDP", || ask("udp", udp) == "from 198.51.100.7\nx");
            env.box_(&["rm", "-f", "-t", "0", mode]).ok();
        }
    }));
    let _ = std::process::Command::new("ip").args(["link", "del", &here]).status();
    ip(&["netns", "del", &name]);
    if let Err(panic) = made {
        std::panic::resume_unwind(panic);
    }
}
