//! Pulls that break off and go on: what has come is never fetched again.

use crate::env::{TestEnv, eventually};
use crate::image::{Built, Image, Packed};
use crate::leak;
use crate::registry::{Answer, Asked, Body, Registry, part};
use crate::tarball::Tar;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes that do not pack.
fn noise(seed: u32, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..size).map(next).collect()
}

/// An image of three layers beside the payload's, in all packings, of so many bytes each.
fn large(size: usize) -> Built {
    above(Image::payload(), size)
}

fn above(image: Image, size: usize) -> Built {
    let layer = |name: &str, seed| Tar::new().file(name, 0o644, noise(seed, size)).finish();
    image.packed(layer("one", 1), Packed::Gzip).packed(layer("two", 2), Packed::Zstd).layer(layer("three", 3)).build()
}

/// A registry that sends its large blobs slowly enough to be interrupted: 16 MB a second each, at most.
fn slow_registry(built: &Built) -> (Registry, TestEnv, String) {
    paced_registry(built, 16 << 10)
}

/// The same, with so many kB a second for each blob, at most.
fn paced_registry(built: &Built, pace: usize) -> (Registry, TestEnv, String) {
    let registry = Registry::start();
    registry.push("app", "v1", built);
    let blobs: Vec<_> = built.layers.clone();
    registry.misbehave(move |asked, _| {
        let blob = blobs.iter().find(|blob| asked.path.ends_with(blob.digest.as_str()))?;
        let mut answer = part(asked, &blob.bytes);
        let Body::Whole(bytes) = answer.body else { return None };
        answer.body = Body::Paced(bytes, pace);
        Some(answer)
    });
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    let name = registry.name("app:v1");
    (registry, env, name)
}

/// The bytes of blobs that have come in part, or whole.
fn came(env: &TestEnv) -> u64 {
    let folders = [env.data().join("partial"), env.data().join("oci/blobs/sha256")];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    files.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Kill everything that runs, and see it dead.
fn kill_all(env: &TestEnv) {
    env.processes_but_holder().iter().for_each(|process| leak::kill(process.pid));
    eventually("all to be dead", || env.processes_but_holder().is_empty());
}

/// The next command takes away what the dead have left, once the last of their threads is gone.
fn clean(env: &TestEnv) {
    let left = || fs::read_dir(env.data().join("tmp")).into_iter().flatten().count();
    eventually("the work of the dead to go", || env.box_(&["images"]).code == 0 && left() == 0);
}

/// What is kept of each blob: name of the file and length.
fn kept(env: &TestEnv) -> Vec<(String, u64)> {
    let entries = fs::read_dir(env.data().join("partial")).into_iter().flatten().flatten();
    let parts = entries.filter(|entry| entry.path().extension().is_none());
    parts.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect()
}

#[test]
fn a_pull_that_is_killed_goes_on() {
    // In the long form at the speed of a line of 100 Mbit/s. What is sent to a process while it dies is its only loss.
    let kills = std::env::var("BOX_TEST_ROUNDS").ok().and_then(|kills| kills.parse().ok());
    let (built, pace) = if kills.is_some() { (large(64 << 20), 4 << 10) } else { (large(2 << 20), 16 << 10) };
    let (registry, env, name) = paced_registry(&built, pace);
    let whole: u64 = built.layers.iter().map(|blob| blob.bytes.len() as u64).sum();
    let mut left: Vec<(String, u64)> = Vec::new();
    let rounds = kills.unwrap_or(6);
    for kill in 0..rounds {
        let running = env.cmd(&["pull", "-q", &name]).start();
        let until = whole * (kill + 1) / (rounds + 2);
        eventually("bytes to come", || came(&env) > until);
        kill_all(&env);
        drop(running);
        left.extend(kept(&env));
    }
    env.box_(&["pull", "-q", &name]).ok();
    // Each request goes on exactly where a file ended: nothing that had come is asked for again.
    let mut resumed = 0;
    for asked in registry.asked() {
        let Some((digits, from)) = resumed_at(&asked) else { continue };
        assert!(left.contains(&(format!("sha256-{digits}"), from)), "{digits} from {from}: {left:?}");
        resumed += 1;
    }
    assert!(resumed > 0);
    let ratio = registry.paced() as f64 / whole as f64;
    eprintln!("{rounds} kills, {resumed} resumed: {} bytes sent for {whole}, {ratio:.3}", registry.paced());
    assert!(kills.is_none() || ratio <= 1.05, "{ratio}");
    assert!(kept(&env).is_empty(), "nothing is left in part");
    assert_eq!(env.box_(&["run", "--rm", "--network", "none", &name, "stat", "/one", "/two", "/three"]).code, 0);
    assert_eq!(env.box_(&["system", "check"]).ok(), "");
    clean(&env);
}

/// The blob of a request that goes on with one, and the byte that it begins with.
fn resumed_at(asked: &Asked) -> Option<(String, u64)> {
    let range = asked.header("range")?;
    let from = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    Some((asked.path.rsplit(':').next().unwrap().to_owned(), from))
}

#[test]
fn of_what_was_sent_nothing_is_fetched_twice() {
    let built = above(Image::empty(), 300_000);
    let registry = Registry::start();
    registry.push("app", "v1", &built);
    let whole: u64 = built.layers.iter().map(|blob| blob.bytes.len() as u64).sum();
    let (blobs, sent, last) = (built.layers.clone(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, is_last) = (Arc::clone(&sent), Arc::clone(&last));
    // A blob goes out up to some byte, and then no further: it is certain what has been sent when the blow falls.
    registry.misbehave(move |asked, seen| {
        let blob = blobs.iter().find(|blob| asked.path.ends_with(blob.digest.as_str()))?;
        let mut answer = part(asked, &blob.bytes);
        let Body::Whole(bytes) = answer.body else { return None };
        let some = noise(seen as u32 + 7, 2).iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
        // The last time all of it comes, on a connection that goes on to serve.
        let all = is_last.load(Ordering::Relaxed);
        let goes = if all { bytes.len() } else { some.min(bytes.len() - 1) };
        counted.fetch_add(goes as u64, Ordering::Relaxed);
        answer.body = if all { Body::Whole(bytes) } else { Body::Stall(bytes[..goes].to_vec(), bytes.len()) };
        Some(answer)
    });
    let env = TestEnv::new();
    env.file("config/containers/registries.conf", registry.conf());
    let name = registry.name("app:v1");
    for round in 1..=5 {
        let running = env.cmd(&["pull", "-q", &name]).start();
        let asked = || registry.asked().iter().filter(|asked| asked.path.contains("/blobs/")).count();
        // Its config, once in each round, and three layers.
        eventually("all layers to be asked for", || asked() == 4 * round);
        let in_files = || kept(&env).iter().map(|(_, length)| length).sum::<u64>();
        eventually("all of it to come", || in_files() == sent.load(Ordering::Relaxed));
        kill_all(&env);
        drop(running);
    }
    last.store(true, Ordering::Relaxed);
    env.box_(&["pull", "-q", &name]).ok();
    assert_eq!(sent.load(Ordering::Relaxed), whole);
    assert_eq!(env.box_(&["system", "check"]).ok(), "");
    clean(&env);
}

#[test]
fn an_interrupted_pull_goes_on_and_says_so() {
    let built = large(1 << 20);
    let (registry, env, name) = slow_registry(&built);
    let running = env.cmd(&["pull", &name]).start();
    eventually("bytes to come", || came(&env) > 500_000);
    running.signal(nix::sys::signal::Signal::SIGINT);
    let outcome = running.finish();
    assert_eq!((outcome.code, outcome.out()), (130, String::new()), "{outcome}");
    assert_eq!(env.box_(&["images", "-q"]).ok(), "");
    let df = env.box_(&["system", "df", "--format", "{{.Type}} {{.Total}} {{.RawSize}}"]).ok();
    let left: Vec<&str> = df.lines().last().unwrap().split(' ').collect();
    assert!(left[0] == "Leftovers" && left[1] != "0" && left[2].parse::<u64>().unwrap() > 400_000, "{df}");
    // Removing something else leaves it alone; a prune does not.
    env.box_(&["load", "-q", "-i", crate::image::shared_archive().to_str().unwrap()]).ok();
    env.box_(&["rmi", "t"]).ok();
    eventually("the collection", || !env.data().join("garbage").exists());
    assert!(came(&env) > 500_000);
    let outcome = env.box_(&["pull", &name]);
    outcome.ok();
    let froms = registry.asked().iter().filter(|asked| asked.header("range").is_some()).count();
    assert!(froms > 0 && outcome.err().contains("goes on after"), "{outcome}");
    env.box_(&["system", "prune", "-af"]).ok();
    eventually("all to be gone", || came(&env) == 0);
    clean(&env);
}

#[test]
fn what_was_damaged_meanwhile_is_fetched_again() {
    let built = large(1 << 20);
    let (_registry, env, name) = slow_registry(&built);
    let running = env.cmd(&["pull", "-q", &name]).start();
    let partial = env.data().join("partial");
    let parts = || {
        let entries = fs::read_dir(&partial).into_iter().flatten().flatten();
        entries.filter(|e| e.path().extension().is_none() && e.metadata().is_ok_and(|meta| meta.len() > 200_000))
    };
    eventually("a part", || parts().count() > 0);
    kill_all(&env);
    drop(running);
    // As after a power loss: the length is right, the end is zeros.
    for part in parts() {
        let length = part.metadata().unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(part.path()).unwrap();
        file.set_len(length - 100_000).unwrap();
        file.set_len(length).unwrap();
    }
    let outcome = env.box_(&["pull", &name]);
    outcome.ok();
    assert!(outcome.err().contains("is damaged: it is fetched again"), "{outcome}");
    assert_eq!(env.box_(&["system", "check"]).ok(), "");
    clean(&env);
}

#[test]
fn two_that_pull_the_same_share_the_work() {
    let built = large(1 << 20);
    let (registry, env, name) = slow_registry(&built);
    let one = env.cmd(&["pull", "-q", &name]).start();
    eventually("bytes to come", || came(&env) > 300_000);
    let two = env.cmd(&["pull", "-q", &name]).start();
    let id = env.cmd(&["pull", "-q", &name]).run().ok();
    assert_eq!((one.finish().ok(), two.finish().ok()), (id.clone(), id));
    for blob in &built.layers {
        assert_eq!(registry.count(blob.digest.as_str()), 1, "each blob is fetched once");
    }
}

#[test]
fn when_the_first_dies_the_other_goes_on() {
    let built = large(1 << 20);
    let (registry, env, name) = slow_registry(&built);
    let first = env.cmd(&["pull", "-q", &name]).start();
    eventually("bytes to come", || came(&env) > 300_000);
    let mine: Vec<i32> = env.processes_but_holder().iter().map(|process| process.pid).collect();
    let second = env.cmd(&["pull", "-q", &name]).start();
    eventually("the second to ask", || registry.count("/manifests/") >= 2);
    mine.iter().for_each(|pid| leak::kill(*pid));
    drop(first);
    second.finish().ok();
    let resumed = registry.asked().iter().filter(|asked| asked.header("range").is_some()).count();
    assert!(resumed > 0, "with what the first had");
    clean(&env);
}

#[test]
fn a_server_without_ranges_is_asked_for_all() {
    let built = large(1 << 20);
    let (registry, env, name) = slow_registry(&built);
    let running = env.cmd(&["pull", "-q", &name]).start();
    eventually("bytes to come", || came(&env) > 300_000);
    kill_all(&env);
    drop(running);
    let blobs = built.layers.clone();
    registry.misbehave(move |asked, _| {
        let blob = blobs.iter().find(|blob| asked.path.ends_with(blob.digest.as_str()))?;
        Some(Answer::new(200, blob.bytes.clone()))
    });
    env.box_(&["pull", "-q", &name]).ok();
    clean(&env);
}
