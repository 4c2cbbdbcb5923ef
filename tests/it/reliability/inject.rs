//! A command under strace(1), which makes one of its system calls go wrong.

use super::deeds::Deed;
use super::in_full;
use crate::env::TestEnv;
use crate::outcome::Outcome;
use std::collections::BTreeMap;
use std::path::Path;

/// One call: its name, and the how many-th of this name it is in its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// As strace has it.
    pub call: String,
    /// From 1.
    pub number: usize,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} number {}", self.call, self.number)
    }
}

/// Run the deed under strace with these options; how it ended, and what was traced.
fn trace(env: &TestEnv, deed: &Deed, options: &[String]) -> (Outcome, String) {
    let file = env.base.join("trace");
    let mut cmd = env.other(Path::new("strace"));
    cmd.args(&["-f", "-qq", "-o"]).arg(&file);
    for option in options {
        cmd.arg("-e").arg(option);
    }
    let mut outcome = cmd.arg(crate::env::program()).args(deed.words).run();
    let text = std::fs::read_to_string(&file).unwrap();
    // Calls are counted in each process anew, so what is refused may be the message itself.
    let is_message = |line: &&str| line.contains("write(2, \"box: ") && line.contains("(INJECTED)");
    if let Some(line) = text.lines().find(is_message) {
        outcome.stderr.extend_from_slice(format!("box: (refused) {line}\n").as_bytes());
    }
    let _ = std::fs::remove_file(&file);
    (outcome, text)
}

/// The points of a deed at these calls, in the order in which they come: all of them, or in the short form some.
pub fn points(env: &TestEnv, deed: &Deed, calls: &str, some: usize) -> Vec<Point> {
    let (outcome, text) = trace(env, deed, &[format!("trace={calls}")]);
    outcome.ends(0);
    let (mut points, mut counts): (Vec<Point>, BTreeMap<(&str, &str), usize>) = Default::default();
    for line in text.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(').filter(|(call, _)| !call.contains(' ')) else {
            continue;
        };
        let count = counts.entry((pid, call)).or_default();
        *count += 1;
        let point = Point { call: call.to_owned(), number: *count };
        if !points.contains(&point) {
            points.push(point);
        }
    }
    let all = points.len();
    assert!(all > 0, "{}: nothing to be met", deed.name);
    let step = if in_full() { 1 } else { all.div_ceil(some) };
    points.into_iter().step_by(step).collect()
}

/// Do the deed with something injected at one point; how it ended, and whether that was met.
pub fn inject(env: &TestEnv, deed: &Deed, point: &Point, what: &str) -> (Outcome, bool) {
    let Point { call, number } = point;
    let (outcome, text) = trace(env, deed, &[format!("trace={call}"), format!("inject={call}:{what}:when={number}")]);
    (outcome, text.contains("+++ killed by SIGKILL +++") || text.contains("(INJECTED)"))
}
