//! Many at once: nobody gets a wrong answer, nobody waits for ever.

use super::{in_full, the_truth};
use crate::env::TestEnv;
use crate::image::Image;
use crate::registry::Registry;
use crate::tarball::Tar;
use std::time::{Duration, Instant};

/// Numbers that look random and are the same in each run (xorshift64*).
pub struct Random(u64);

impl Random {
    /// Of a seed other than 0.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// One below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

#[test]
fn containers_are_started_at_once() {
    let env = TestEnv::with_image();
    let count = if in_full() { 200 } else { 40 };
    let words = ["run", "-d", "--network", "none", "t", "pause"];
    let started: Vec<_> = (0..count).map(|_| env.cmd(&words).start()).collect();
    let ids: Vec<String> = started.into_iter().map(|running| running.finish().ok()).collect();
    let listed = env.box_(&["ps", "-q", "--no-trunc"]).ok();
    assert_eq!(listed.lines().count(), count);
    assert!(ids.iter().all(|id| listed.contains(id.as_str())));
    the_truth(&env, "all of them");
}

#[test]
fn pulls_of_one_image_are_one_download() {
    let mut env = TestEnv::new();
    let registry = Registry::start();
    let layer = Tar::new().file("file", 0o644, "x".repeat(300_000)).finish();
    let built = Image::payload().layer(layer).build();
    registry.push("one", "latest", &built);
    let conf = env.file("registries.conf", registry.conf());
    env.set("CONTAINERS_REGISTRIES_CONF", conf.display().to_string());
    let name = registry.name("one");
    let count = if in_full() { 32 } else { 12 };
    let started: Vec<_> = (0..count).map(|_| env.cmd(&["pull", "-q", &name]).start()).collect();
    let ids: std::collections::BTreeSet<String> = started.into_iter().map(|running| running.finish().ok()).collect();
    assert_eq!(ids.len(), 1);
    for layer in &built.layers {
        let asked = registry.asked();
        let gets = asked.iter().filter(|asked| asked.method == "GET" && asked.path.contains(layer.digest.as_str()));
        assert_eq!(gets.count(), 1, "a layer was downloaded again");
    }
    env.box_(&["run", "--rm", "--network", "none", &name, "true"]).ok();
}

/// What one worker knows to be so.
#[derive(Default)]
struct Model {
    /// The name of its container, if it has one.
    container: Option<String>,
    volume: bool,
    tag: bool,
    committed: bool,
}

/// One step of worker `me`: a deed, and what it must answer.
fn step(env: &TestEnv, me: u64, round: u64, random: &mut Random, model: &mut Model) {
    let (volume, tag, made) = (format!("v{me}-"), format!("localhost/t{me}:x"), format!("localhost/made{me}:x"));
    match (random.below(12), model.container.clone()) {
        (0 | 1, None) => {
            let (name, mount) = (format!("c{me}"), format!("{volume}:/v"));
            env.background(&name, &["-v", &mount], &["pause"]);
            (model.container, model.volume) = (Some(name), true);
        }
        (0, Some(name)) => assert_eq!(env.box_(&["exec", &name, "echo", "x"]).ok(), "x"),
        (1, Some(name)) => {
            let other = format!("c{me}-{round}");
            env.box_(&["rename", &name, &other]).ok();
            model.container = Some(other);
        }
        (2, Some(name)) => {
            env.box_(&["rm", "-f", "-t", "0", &name]).ok();
            model.container = None;
        }
        (3, Some(name)) => {
            env.box_(&["commit", "-q", &name, &made]).ok();
            model.committed = true;
        }
        (4, _) => {
            env.box_(&["tag", "t", &tag]).ok();
            model.tag = true;
        }
        (5, _) if model.tag => {
            env.box_(&["untag", "t", &tag]).ok();
            model.tag = false;
        }
        (6, None) if model.volume => {
            env.box_(&["volume", "rm", &volume]).ok();
            model.volume = false;
        }
        (7, None) if model.committed => {
            env.box_(&["rmi", &made]).ok();
            model.committed = false;
        }
        (8, _) => drop(env.box_(&["image", "prune", "-f"]).ok()),
        (9, _) => drop(env.box_(&["pull", "-q", "oci:layout:x"]).ok()),
        (10, _) => assert_eq!(env.inside(&[], &["echo", "y"]).ok(), "y"),
        _ => drop(env.box_(&["system", "prune", "-f"]).ok()),
    }
    let all = env.box_(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok();
    let mine = all.lines().find(|line| line.starts_with(&format!("c{me} ")) || line.starts_with(&format!("c{me}-")));
    assert_eq!(mine.map(str::to_owned), model.container.as_ref().map(|name| format!("{name} running")), "worker {me}");
    assert_eq!(env.box_(&["volume", "exists", &volume]).code == 0, model.volume, "{volume}");
    assert_eq!(env.box_(&["image", "exists", &tag]).code == 0, model.tag, "{tag}");
    assert_eq!(env.box_(&["image", "exists", &made]).code == 0, model.committed, "{made}");
}

#[test]
fn workers_against_a_model() {
    let env = TestEnv::with_image();
    let layer = Tar::new().file("file", 0o644, "x".repeat(100_000)).finish();
    Image::payload().layer(layer).build().layout(&env.base.join("layout"), "x");
    env.inside(&[], &["true"]).ok();
    let until = Instant::now() + Duration::from_secs(if in_full() { 600 } else { 6 });
    let steps: u64 = std::thread::scope(|scope| {
        let worker = |me: u64| {
            let env = &env;
            move || {
                let (mut random, mut model, mut round) = (Random::new(me + 1), Model::default(), 0);
                while Instant::now() < until {
                    step(env, me, round, &mut random, &mut model);
                    round += 1;
                }
                round
            }
        };
        let workers: Vec<_> = (0..16).map(|me| scope.spawn(worker(me))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker was told something wrong")).sum()
    });
    eprintln!("{steps} steps of 16 workers");
    the_truth(&env, "all workers");
}
