//! What a container sends to break the network for others: forged advertisements, hostile packets, a name server besieged.

use crate::env::{TestEnv, eventually};
use crate::network::outer_address;
use std::io::Write;
use std::net::TcpListener;

/// The process of this test that has this word among its own.
fn process(env: &TestEnv, word: &str) -> Option<i32> {
    env.processes().into_iter().find(|process| process.words.contains(word)).map(|process| process.pid)
}

/// `run -d --name NAME OPTION… t WORD…`.
#[track_caller]
fn background(env: &TestEnv, name: &str, options: &[&str], words: &[&str]) {
    env.box_(&[&["run", "-d", "--name", name], options, &["t"], words].concat()).ok();
}

/// Nobody takes addresses or routes from whoever says to be the router (CVE-2020-13401, CVE-2024-32473), and an ordinary
/// container cannot even say so.
#[test]
fn advertisements_are_not_believed() {
    let env = TestEnv::with_image();
    env.box_(&["network", "create", "--ipv6", "six"]).ok();
    background(&env, "victim", &["--network", "six"], &["listen", "tcp", "7000"]);
    env.await_log("victim", "ready");
    env.box_(&["run", "--rm", "--network", "six", "t", "advertise", "eth0"]).ends(1).says("not permitted");
    // What is heard after it shows that it has been heard.
    let attack = ["do", "advertise", "eth0", ";", "connect", "tcp", "victim", "7000", "x"];
    let attack = [&["run", "--rm", "--cap-add", "NET_RAW", "--network", "six", "t"][..], &attack].concat();
    let seen = env.box_(&attack).ok();
    assert!(seen.starts_with("advertised\nfrom "), "{seen}");
    for file in ["if_inet6", "ipv6_route"] {
        let known = env.box_(&["exec", "victim", "cat", &format!("/proc/net/{file}")]).ok();
        assert!(known.contains("fd") && !known.contains("fd000bad"), "{file}: {known}");
    }
}

/// A client that lies, loops and stays does not keep the name server from others (CVE-2024-8418, CVE-2026-35406).
#[test]
fn a_besieged_name_server_answers_others() {
    let env = TestEnv::with_image();
    env.box_(&["network", "create", "--internal", "back"]).ok();
    background(&env, "db", &["--network", "back"], &["listen", "tcp", "7000"]);
    env.await_log("db", "ready");
    let (hub, gateway) = (process(&env, "box-net").expect("a hub"), env.inspect("db", "{{.NetworkSettings.Gateway}}"));
    background(&env, "enemy", &["--network", "back"], &["besiege", &gateway]);
    env.await_log("enemy", "besieged by");
    for _ in 0..3 {
        let answer = env.box_(&["run", "--rm", "--network", "back", "t", "connect", "tcp", "db", "7000", "x"]).ok();
        assert!(answer.starts_with("from "), "{answer}");
    }
    assert_eq!(process(&env, "box-net"), Some(hub), "the same hub all along");
}

/// Packets made to break a stack in user space: the helper takes them, or is there again.
///
/// `BOX_TEST_ROUNDS=N`: so many rounds in place of one.
#[test]
fn hostile_packets_do_not_take_the_network_away() {
    let env = TestEnv::with_image();
    let Some(address) = outer_address("192.0.2.1:9") else { skip!("this host has no address but loopback") };
    let rounds: u64 = std::env::var("BOX_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let server = TcpListener::bind((address, 0)).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let _ = stream.write_all(b"of the host");
        }
    });
    background(&env, "enemy", &["--cap-add", "NET_RAW"], &["pause"]);
    let ordinary = env.box_(&["run", "--rm", "t", "packets", "1", "1", "10.0.2.2"]);
    ordinary.ends(1).says("not permitted");
    for round in 0..rounds {
        // To slirp4netns itself and to nobody: none leaves for another machine.
        let seed = (round * 7919 + 1).to_string();
        let to = ["10.0.2.2", "10.0.2.4", "10.0.2.255", "255.255.255.255"];
        let words = [&["exec", "enemy", "packets", "20000", &seed][..], &to].concat();
        let sent = env.box_(&words).ok();
        // libslirp 4.7 does not live through many of them: what comes after its end reaches nobody.
        assert!(sent.strip_prefix("sent ").and_then(|count| count.parse().ok()).is_some_and(|n: u32| n > 0), "{sent}");
        let ask = ["exec", "enemy", "connect", "tcp", &address.to_string(), &port];
        eventually("the way out", || env.box_(&ask).out().contains("of the host"));
    }
}

/// The kind of a network is a word out of a list, never a program (CVE-2021-20206).
#[test]
fn a_networks_kind_is_no_program() {
    let env = TestEnv::with_image();
    for kind in ["../../../bin/sh", "/bin/sh", "bridge/../sh", ""] {
        env.box_(&["network", "create", "--driver", kind, "x"]).fails(125).says("no network driver");
        env.box_(&["network", "create", "--ipam-driver", kind, "x"]).fails(125).says("only by host-local");
    }
    // Nor is one whose file somebody has edited.
    env.box_(&["network", "create", "edited"]).ok();
    let path = env.data().join("networks/edited.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let program = env.file("program", "#!/bin/sh\ntouch ran\n");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["driver"] = program.display().to_string().into();
    std::fs::write(&path, record.to_string()).unwrap();
    env.box_(&["run", "--rm", "--network", "edited", "t", "true"]).ends(125);
    assert!(!env.base.join("ran").exists());
}
