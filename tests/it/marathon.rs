//! Long runs, short by default: SIGKILL at random moments of all verbs, and many cycles after which nothing is left.
//!
//! `BOX_TEST_ROUNDS=200` kills so often; `BOX_TEST_CYCLES=10000` runs so many containers, and a tenth as many execs.

use crate::env::{TestEnv, eventually};
use crate::kill::the_truth;
use crate::leak;
use std::time::Duration;

fn number(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Verbs in an order that keeps most of them busy with something that is there; `{n}` counts.
const VERBS: [&str; 42] = [
    "create --name a --network none -v data:/d t pause",
    "start a",
    "exec a true",
    "restart -t 0 a",
    "container clone --name b a",
    "cp b:/bin/payload /dev/null",
    "logs b",
    "diff b",
    "stop -t 0 b",
    "commit -q b made:{n}",
    "export -o /dev/null b",
    "start b",
    "kill b",
    "init b",
    "container clone --name c b",
    "start c",
    "rm -f -t 0 b c",
    "run -d --name a --network none t pause",
    "run --rm --network none t true",
    "run -d --rm --name r --network none t pause",
    "inspect a",
    "ps -a --size",
    "top a",
    "rename a z",
    "rename z a",
    "rm -f -t 0 -v a r",
    "volume create v{n}",
    "volume prune -f",
    "network create n{n}",
    "network prune -f",
    "tag t u{n}",
    "rmi u{n}",
    "image prune -f",
    "save -o /dev/null t",
    "run -d --name a --network none --restart always t true",
    "wait --condition running a",
    "stop -t 0 a",
    "start a",
    "container prune -f",
    "rm -f -t 0 -a",
    "system prune -f",
    "events --since 1h --stream=false",
];

#[test]
fn kills_at_random_moments_of_all_verbs() {
    let rounds = number("BOX_TEST_ROUNDS", 40);
    let env = TestEnv::with_image();
    env.inside(&[], &["true"]).ok();
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    for round in 0..rounds {
        let line = VERBS[round as usize % VERBS.len()].replace("{n}", &round.to_string());
        let words: Vec<&str> = line.split(' ').collect();
        let running = env.cmd(&words).start();
        std::thread::sleep(Duration::from_micros(random(25_000)));
        // Every third time a monitor, if there is one.
        let monitors = || env.processes_but_holder().into_iter().filter(|process| process.pid != running.pid());
        let monitor = (round % 3 == 2).then(|| monitors().find(|process| process.words.contains("box"))).flatten();
        match monitor {
            Some(process) => leak::kill(process.pid),
            None => leak::kill(running.pid()),
        }
        drop(running);
        // Whatever has been killed: what was there before and nobody has touched is there.
        let images = env.box_(&["images", "--format", "{{.Repository}}"]);
        assert!(images.ok().lines().any(|line| line == "localhost/t"), "`{line}` in round {round}: {images}");
        if round % 5 == 4 || round + 1 == rounds {
            the_truth(&env, &format!("`{line}` in round {round}"));
        }
    }
    env.box_(&["volume", "rm", "-f", "-a"]).ok();
    env.box_(&["network", "prune", "-f"]).ok();
    env.box_(&["system", "check"]).ok();
}

#[test]
fn many_cycles_leave_nothing() {
    let cycles = number("BOX_TEST_CYCLES", 40);
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    env.await_log("c", "ready");
    env.inside(&[], &["true"]).ok();
    env.box_(&["exec", "c", "true"]).ok();
    let seen = || {
        let files = leak::files(&env.data(), &env.run_dir());
        let processes: Vec<String> = env.processes().into_iter().map(|process| process.words).collect();
        (files, processes)
    };
    let monitor = env.inspect("c", "{{.State.ConmonPid}}");
    let descriptors = || std::fs::read_dir(format!("/proc/{monitor}/fd")).map(|entries| entries.count()).unwrap_or(0);
    let size = || entries(&env.data()) + entries(&env.run_dir());
    eventually("the last to go", || seen().1.len() <= 3);
    let (before, open, count) = (seen(), descriptors(), size());
    for cycle in 0..cycles {
        env.inside(&[], &["true"]).ok();
        if cycle % 10 == 0 {
            env.box_(&["exec", "c", "true"]).ok();
        }
    }
    eventually("nothing more than before", || seen() == before);
    // Removal is done behind one's back.
    eventually("a store as large as before", || size() <= count);
    assert_eq!(descriptors(), open);
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
}

/// Files and folders below a folder, but for the journal of what has happened, which begins anew when it is long.
fn entries(folder: &std::path::Path) -> usize {
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
    below
        .map(|entry| match entry.file_type() {
            _ if entry.file_name() == "events" => 0,
            Ok(kind) if kind.is_dir() => 1 + entries(&entry.path()),
            _ => 1,
        })
        .sum()
}
