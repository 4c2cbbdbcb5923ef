//! Builds that are killed, interrupted, or find the disk full: the next one works, and uses what was finished.
//!
//! `BOX_TEST_ROUNDS=100` kills so often.

use super::site::Site;
use crate::env::eventually;
use crate::hosts::in_namespace;
use crate::leak;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::Instant;

/// Two stages side by side, a cache, a copy of many files; all of it depends on the argument.
const DOCKERFILE: &str = "FROM base AS one
ARG ROUND
COPY many /many
RUN --mount=type=cache,target=/cache echo $ROUND >> /cache/log && cat /many/* > /one && rm -r /many
FROM base AS two
ARG ROUND
RUN mkdir /t && echo $ROUND > /t/two
RUN i=0; while [ $i -lt 300 ]; do echo $i > /t/$i; i=$((i + 1)); done
FROM base
COPY --from=one /one /
COPY --from=two /t /t
RUN cat /t/two > /made
";

/// The steps that a build, as it was shown, said to have finished.
fn finished(shown: &str) -> BTreeSet<String> {
    let ended = |line: &&str| line.contains(" DONE ") || line.ends_with(" CACHED");
    let numbers = shown.lines().filter(ended).filter_map(|line| line.split(' ').next());
    numbers.filter_map(|number| name_of(shown, number)).collect()
}

fn name_of(shown: &str, number: &str) -> Option<String> {
    let mut lines = shown.lines().filter_map(|line| line.strip_prefix(number)?.strip_prefix(" ["));
    lines.next().map(str::to_owned)
}

/// That nothing is left of any build.
#[track_caller]
fn nothing_left(site: &Site, moment: &str) {
    eventually(&format!("the end of all ({moment})"), || site.env.processes_but_holder().is_empty());
    assert_eq!(site.env.box_(&["ps", "-aq"]).ok(), "", "{moment}");
    let left = leak::files(&site.env.data(), &site.env.run_dir());
    assert!(left.is_empty(), "{moment}: {left:?}");
}

#[test]
fn builds_are_killed_at_many_moments() {
    let rounds: u32 = std::env::var("BOX_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let site = Site::new();
    for number in 0..200 {
        site.file(&format!("many/{number}"), format!("{number}\n"));
    }
    let round = |number: u32| format!("ROUND={number}");
    site.file("many/changed", "first");
    let begin = Instant::now();
    site.build(DOCKERFILE, &["--build-arg", &round(1000)]).ok();
    let all = begin.elapsed();
    for number in 0..rounds {
        // Spread over the whole of a build, and in another order each time.
        let part = f64::from(number) * 0.618_034 % 1.0;
        let after = all.mul_f64(part);
        let moment = format!("round {number}, killed after {after:?}");
        site.file("many/changed", round(number));
        let args =
            ["build", "--progress", "plain", "--network", "none", "-t", "t", "--build-arg", &round(number), "ctx"];
        let killed = site.env.cmd(&args).start();
        std::thread::sleep(after);
        leak::kill(killed.pid());
        let shown = killed.finish().err();
        let next = site.build(DOCKERFILE, &["--build-arg", &round(number)]);
        next.ok();
        let err = next.err();
        let cached: BTreeSet<String> = (err.lines().filter_map(|line| line.strip_suffix(" CACHED")))
            .filter_map(|number| name_of(&err, number))
            .collect();
        for step in finished(&shown) {
            assert!(cached.contains(&step), "{moment}: `{step}` was done twice\n{shown}\n\n{next}");
        }
        nothing_left(&site, &moment);
        let said = site.sh(
            "cat /made; wc -l < /one; ls /t | wc -l; tail -c 8 /one | grep -c ROUND; ls -d /many 2>&1 | grep -c No",
        );
        assert!(said.starts_with(&format!("{number}\n")) && said.ends_with("\n301\n1\n1"), "{moment}: {said}");
    }
    site.env.box_(&["system", "check"]).ok();
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    let site = Site::new();
    let dockerfile = "FROM base AS one\nRUN echo first > /f\nFROM base AS two\nRUN echo be''gun; sleep 1000\n\
                      FROM one\nRUN echo al''so; sleep 1000\nCOPY --from=two / /\n";
    site.file("Dockerfile", dockerfile);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let running = site.env.cmd(&["build", "--progress", "plain", "--network", "none", "-t", "t", "ctx"]).start();
        eventually("both commands", || running.err().contains(" begun") && running.err().contains(" also"));
        running.signal(signal);
        let outcome = running.finish();
        assert_eq!(outcome.code, 128 + signal as i32, "{outcome}");
        nothing_left(&site, signal.as_str());
    }
    assert!(site.env.box_(&["images", "-q", "t"]).out().is_empty());
    // What was finished is used.
    let other = dockerfile.replace("sleep 1000", "true").replace("be''gun", "done");
    let outcome = site.build(&other, &[]);
    outcome.ok();
    assert_eq!(super::site::cached(&outcome), 1, "{outcome}");
}

#[test]
fn a_build_that_finds_the_disk_full() {
    let site = Site::new();
    site.file("large", vec![7; 30_000_000]);
    site.file("copy/Dockerfile", "FROM base\nCOPY --from=ctx large /\n");
    site.file("run/Dockerfile", "FROM base\nRUN head -c 90000000 /dev/zero > /large\n");
    site.file("small/Dockerfile", "FROM base\nRUN echo fits > /f\n");
    let prepare = format!("mount -t tmpfs -o size=40m x {}/disk", site.env.base.display());
    let build = "build -q --network none --build-context ctx=ctx";
    let words = format!(
        "cd {base}; box import -q base.tar base >/dev/null; head -c 10000000 /dev/zero > disk/filler; \
         box {build} ctx/copy; echo \"copy $?\"; box {build} ctx/run; echo \"run $?\"; box {build} -t t ctx/small >/dev/null; \
         echo \"small $?\"; box run --rm --network none t cat /f; box ps -aq; box system check >/dev/null; echo \"check $?\"; \
         box builder prune -af >/dev/null; rm disk/filler; box system prune -f >/dev/null; echo \"prune $?\"",
        base = site.env.base.display()
    );
    let Some(outcome) = in_namespace(&site.env, &prepare, &words) else { skip!("no user namespaces here") };
    let out = outcome.out();
    assert!(out.starts_with("copy 125\nrun 1\nsmall 0\nfits\ncheck 0\nprune 0"), "{outcome}");
    outcome.says("cannot write the layer").says("No space left on device").hints("make room");
}
