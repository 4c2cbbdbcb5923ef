//! What a container sees of its surroundings, all at once: the default, `--hardened` and `--privileged`, a container each.
//!
//! The expectations are those of podman's and docker's defaults, united. Where a kernel lacks a path, nothing is there
//! to be seen, and that is as good.

use crate::env::TestEnv;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// podman's eleven capabilities.
const DEFAULT: u64 = 0x8004_05fb;

/// Hidden: empty, whatever is there.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];
/// Not to be written.
const READ_ONLY: [&str; 6] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys"];
/// The nodes of `/dev` and their numbers.
const NODES: [(&str, &str); 6] = [
    ("/dev/null", "1:3"),
    ("/dev/zero", "1:5"),
    ("/dev/full", "1:7"),
    ("/dev/random", "1:8"),
    ("/dev/urandom", "1:9"),
    ("/dev/tty", "5:0"),
];
/// What is tried, and what comes of it: by default, hardened, privileged. `no` is any error.
const DEEDS: [(&str, &str, &str, &str); 24] = [
    ("mount", "no", "no", "ok"),
    ("umount=/proc/sys", "no", "no", "no"),
    ("fsopen", "no", "no", "ok"),
    ("mountns", "no", "no", "ok"),
    ("mknod=/tmp/node", "no", "no", "no"),
    ("sethostname", "no", "no", "ok"),
    ("socket=40", "no", "no", "any"),
    ("socket=38", "no", "no", "any"),
    ("socket=16/9", "no", "no", "any"),
    ("socket=17/3", "no", "no", "ok"),
    ("ping", "ok", "ok", "ok"),
    ("setgroups", "ok", "no", "ok"),
    ("chown=/data", "ok", "no", "ok"),
    ("remount-rw=/sys", "no", "no", "any"),
    ("write=/proc/sysrq-trigger", "no", "no", "no"),
    ("write=/proc/sys/kernel/core_pattern", "no", "no", "no"),
    ("create=/sys/x", "no", "no", "no"),
    ("create=/x", "ok", "no", "ok"),
    ("create=/tmp/x", "ok", "ok", "ok"),
    ("create=/dev/shm/x", "ok", "ok", "ok"),
    ("write=/dev/null", "ok", "ok", "ok"),
    ("open=/proc/1/environ", "ok", "ok", "ok"),
    // They change what tries: last.
    ("userns", "no", "no", "ok"),
    ("chroot=/tmp", "ok", "no", "ok"),
];

/// What a container told of itself.
struct Seen {
    info: Value,
    /// By the words that were asked.
    answers: BTreeMap<String, String>,
}

/// Ask everything in one container.
fn ask(env: &TestEnv, options: &[&str]) -> Seen {
    let mut words = vec!["do", "info"];
    let ask = |words: &mut Vec<&'static str>, question: &[&'static str]| {
        words.extend([";", "echo", "@"]);
        words.extend(question);
        words.push(";");
        words.extend(question);
    };
    for path in MASKED.iter().chain(&READ_ONLY).copied().chain(NODES.map(|node| node.0)) {
        ask(&mut words, &["stat", path]);
    }
    for path in MASKED {
        ask(&mut words, &["ls", path]);
    }
    ask(&mut words, &["ls", "/dev"]);
    ask(&mut words, &["interfaces"]);
    ask(&mut words, &["stat", "/etc/resolv.conf"]);
    for (deed, ..) in DEEDS {
        ask(&mut words, &["try", deed]);
    }
    let text = env.inside(options, &words).out();
    let mut parts = text.split("@ ");
    let info = serde_json::from_str(parts.next().unwrap_or_default()).unwrap_or_else(|_| panic!("{text}"));
    let answer = |part: &str| part.split_once('\n').map(|(asked, told)| (asked.to_owned(), told.trim().to_owned()));
    Seen { info, answers: parts.filter_map(answer).collect() }
}

/// Expectations, counted; what does not hold is told all at once.
#[derive(Default)]
struct Checks {
    count: usize,
    failed: Vec<String>,
}

impl Checks {
    fn is(&mut self, what: &str, actual: &Value, expected: Value) {
        self.holds(&format!("{what} is {actual}, not {expected}"), *actual == expected);
    }

    fn holds(&mut self, what: &str, held: bool) {
        self.count += 1;
        if !held {
            self.failed.push(what.to_owned());
        }
    }

    fn done(self, at_least: usize) {
        assert!(self.failed.is_empty(), "{} of {} fail:\n{}", self.failed.len(), self.count, self.failed.join("\n"));
        assert!(self.count >= at_least, "only {} checks", self.count);
    }
}

impl Seen {
    fn answer(&self, question: &str) -> &str {
        self.answers.get(question).map_or("", String::as_str)
    }

    fn mount(&self, path: &str) -> Option<&Value> {
        // The last one is on top.
        self.info["mounts"].as_array().unwrap().iter().rfind(|mount| mount["at"] == path)
    }

    /// Whether the mount at a path has all of these options.
    fn has(&self, path: &str, options: &[&str]) -> bool {
        let found = self.mount(path).and_then(|mount| mount["options"].as_str());
        let found: Vec<&str> = found.unwrap_or_default().split(',').collect();
        options.iter().all(|option| found.contains(option))
    }
}

/// What every container has in common.
fn common(seen: &Seen, checks: &mut Checks) {
    let info = &seen.info;
    for (name, expected) in [
        ("pid", json!(1)),
        ("ppid", json!(0)),
        ("sid", json!(1)),
        ("uid", json!([0, 0, 0, 0])),
        ("gid", json!([0, 0, 0, 0])),
        ("groups", json!([0])),
        ("umask", json!("0022")),
        ("cwd", json!("/")),
        ("oom_score_adj", json!("0")),
    ] {
        checks.is(name, &info[name], expected);
    }
    checks.is("blocked signals", &info["signals"]["blocked"], json!("0000000000000000"));
    for set in ["inheritable", "ambient"] {
        checks.is(set, &info["caps"][set], json!(0));
    }
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    checks.holds(&format!("descriptors {}", info["fds"]), keys(&info["fds"]) == ["0", "1", "2"]);
    let variables: BTreeSet<String> = keys(&info["env"]).into_iter().collect();
    let known = ["HOME", "HOSTNAME", "IMAGE", "PATH", "container"].map(str::to_owned);
    checks.holds(&format!("variables {variables:?}"), variables == BTreeSet::from(known));
    checks.holds("the host name is the id", info["hostname"].as_str().is_some_and(|name| name.len() == 12));
    for name in ["ipc", "mnt", "net", "pid", "uts", "cgroup"] {
        let own = fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
        checks.holds(&format!("the {name} namespace is its own"), info["ns"][name] != json!(own));
    }
    for (path, number) in NODES {
        let stat = seen.answer(&format!("stat {path}"));
        checks
            .holds(&format!("{path}: {stat}"), stat.starts_with("char 0666 ") && stat.contains(&format!(" {number} ")));
    }
    checks.is("interfaces", &json!(seen.answer("interfaces")), json!("lo up"));
    let tags = |mount: &Value| mount["tags"].as_str().unwrap_or_default().contains("shared:");
    checks.holds("no mount is shared", !info["mounts"].as_array().unwrap().iter().any(tags));
    for path in ["/proc", "/dev/shm", "/dev/mqueue", "/sys"] {
        checks.holds(&format!("{path} is safe"), seen.has(path, &["nosuid", "nodev", "noexec"]));
    }
    for path in ["/dev", "/dev/pts"] {
        checks.holds(&format!("{path} is safe"), seen.has(path, &["nosuid"]));
    }
    let shm = seen.mount("/dev/shm").and_then(|mount| mount["super"].as_str()).unwrap_or_default();
    checks.holds(&format!("/dev/shm is bounded: {shm}"), shm.contains("size=65536k") || shm.contains("size=64000k"));
    let nofile = info["nofile"].as_u64().unwrap_or(u64::MAX);
    checks.holds("the limit of open files", nofile <= 1 << 20);
}

/// What is hidden and read-only where a container is not privileged.
fn covered(seen: &Seen, checks: &mut Checks) {
    for path in MASKED {
        let (stat, listed) = (seen.answer(&format!("stat {path}")), seen.answer(&format!("ls {path}")));
        let hidden = stat.is_empty() || stat.starts_with("dir ") && listed.is_empty() || stat.contains(" 1:3 ");
        checks.holds(&format!("{path} is hidden: {stat} {listed}"), hidden);
    }
    for path in READ_ONLY {
        let missing = seen.answer(&format!("stat {path}")).is_empty();
        checks.holds(&format!("{path} is read-only"), missing || seen.has(path, &["ro"]));
    }
    let listed = seen.answer("ls /dev");
    let others = listed.lines().filter(|name| !["console", "core"].contains(name)).count();
    checks.holds(&format!("nothing else in /dev: {listed}"), others == 14);
}

fn deeds(
    seen: &Seen,
    checks: &mut Checks,
    expected: impl Fn(&(&str, &'static str, &'static str, &'static str)) -> &'static str,
) {
    for deed in &DEEDS {
        let answer = seen.answer(&format!("try {}", deed.0));
        let held = match expected(deed) {
            "ok" => answer.ends_with(": ok"),
            "no" => answer.contains(": E"),
            _ => answer.contains(": "),
        };
        checks.holds(&format!("try {answer}, expected {}", expected(deed)), held);
    }
}

#[test]
fn by_default() {
    let env = TestEnv::with_image();
    let seen = ask(&env, &[]);
    let mut checks = Checks::default();
    common(&seen, &mut checks);
    covered(&seen, &mut checks);
    for set in ["effective", "permitted", "bounding"] {
        checks.is(set, &seen.info["caps"][set], json!(DEFAULT));
    }
    checks.is("no_new_privs", &seen.info["no_new_privs"], json!("0"));
    checks.is("seccomp", &seen.info["seccomp"], json!("2"));
    deeds(&seen, &mut checks, |deed| deed.1);
    checks.done(60);
}

#[test]
fn hardened() {
    let env = TestEnv::with_image();
    let seen = ask(&env, &["--hardened"]);
    let mut checks = Checks::default();
    common(&seen, &mut checks);
    covered(&seen, &mut checks);
    for set in ["effective", "permitted", "bounding"] {
        checks.is(set, &seen.info["caps"][set], json!(0));
    }
    checks.is("no_new_privs", &seen.info["no_new_privs"], json!("1"));
    checks.is("seccomp", &seen.info["seccomp"], json!("2"));
    checks.holds("the root is read-only", seen.has("/", &["ro"]));
    deeds(&seen, &mut checks, |deed| deed.2);
    checks.done(60);
}

#[test]
fn privileged() {
    let env = TestEnv::with_image();
    let seen = ask(&env, &["--privileged"]);
    let mut checks = Checks::default();
    common(&seen, &mut checks);
    for set in ["effective", "permitted", "bounding"] {
        let held = seen.info["caps"][set].as_u64().is_some_and(|caps| caps & 1 << 21 != 0 && caps > DEFAULT);
        checks.holds(&format!("{set} has all"), held);
    }
    checks.is("seccomp", &seen.info["seccomp"], json!("0"));
    for path in ["/proc/interrupts", "/sys/firmware", "/proc/sys"] {
        checks.holds(&format!("{path} is not covered"), seen.mount(path).is_none());
    }
    checks.holds("/sys can be written", seen.has("/sys", &["rw"]));
    deeds(&seen, &mut checks, |deed| deed.3);
    checks.done(50);
}
