//! What a process sees of itself, as JSON.

use crate::{Code, word};
use rustix::termios::{isatty, tcgetwinsize};
use serde_json::{Map, Value, json};
use std::fs;

/// Everything, one JSON object.
pub fn info() -> Code {
    println!("{}", all());
    Ok(0)
}

/// Some fields of it, one a line, by JSON pointer without the first slash; text without quotes.
pub fn field(args: &[String]) -> Code {
    word(args, 0)?;
    let all = all();
    for name in args {
        match all.pointer(&format!("/{name}")) {
            Some(Value::String(text)) => println!("{text}"),
            Some(value) => println!("{value}"),
            None => println!("-"),
        }
    }
    Ok(0)
}

/// One variable's value, or all as `K=V`, sorted.
pub fn printenv(args: &[String]) -> Code {
    if let Some(name) = args.first() {
        return Ok(match std::env::var(name) {
            Ok(value) => {
                println!("{value}");
                0
            }
            Err(_) => 1,
        });
    }
    let mut all: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    all.sort();
    all.iter().for_each(|line| println!("{line}"));
    Ok(0)
}

/// What the standard streams are, and the terminal's size.
pub fn tty() -> Code {
    println!("{}", terminal());
    Ok(0)
}

fn terminal() -> Value {
    let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
    let size = tcgetwinsize(stdin).map(|size| json!([size.ws_col, size.ws_row])).unwrap_or(Value::Null);
    json!({"stdin": isatty(stdin), "stdout": isatty(stdout), "stderr": isatty(stderr), "size": size})
}

fn all() -> Value {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("").trim().to_owned()
    };
    let numbers = |name: &str| -> Vec<u64> { line(name).split_whitespace().filter_map(|n| n.parse().ok()).collect() };
    let caps = |name: &str| u64::from_str_radix(&line(name), 16).unwrap_or(u64::MAX);
    let env: Map<String, Value> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned().into()))
        .collect();
    let this = rustix::process::getpid();
    let number = |pid: rustix::io::Result<rustix::process::Pid>| pid.map_or(0, |pid| pid.as_raw_nonzero().get());
    json!({
        "pid": this.as_raw_nonzero().get(),
        "ppid": rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get()),
        "sid": number(rustix::process::getsid(None)),
        "pgid": number(rustix::process::getpgid(None)),
        "uid": numbers("Uid"),
        "gid": numbers("Gid"),
        "groups": numbers("Groups"),
        "caps": {
            "inheritable": caps("CapInh"), "permitted": caps("CapPrm"), "effective": caps("CapEff"),
            "bounding": caps("CapBnd"), "ambient": caps("CapAmb"),
        },
        "no_new_privs": line("NoNewPrivs"),
        "seccomp": line("Seccomp"),
        "umask": line("Umask"),
        "signals": {"blocked": line("SigBlk"), "ignored": line("SigIgn")},
        "argv": std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "cwd": std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default(),
        "hostname": fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim(),
        "env": env,
        "ns": namespaces(),
        "fds": descriptors(),
        "mounts": mounts(),
        "uid_map": fs::read_to_string("/proc/self/uid_map").unwrap_or_default(),
        "cgroup": fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
        "oom_score_adj": fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default().trim(),
        "nofile": rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        "tty": terminal(),
    })
}

fn link(path: &str) -> String {
    fs::read_link(path).map(|target| target.display().to_string()).unwrap_or_default()
}

fn namespaces() -> Map<String, Value> {
    ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
        .into_iter()
        .map(|name| (name.to_owned(), link(&format!("/proc/self/ns/{name}")).into()))
        .collect()
}

fn descriptors() -> Map<String, Value> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Map::new() };
    let numbers: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // The descriptor of the listing itself is closed by now.
    numbers
        .into_iter()
        .map(|number| (number.clone(), link(&format!("/proc/self/fd/{number}"))))
        .filter(|(_, target)| !target.is_empty())
        .map(|(number, target)| (number, target.into()))
        .collect()
}

fn mounts() -> Vec<Value> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let left: Vec<&str> = left.split(' ').collect();
            let right: Vec<&str> = right.split(' ').collect();
            let tags = left.get(6..).unwrap_or_default().join(" ");
            Some(json!({"at": left.get(4)?, "options": left.get(5)?, "tags": tags,
                "type": right.first()?, "source": right.get(1)?, "super": right.get(2)?}))
        })
        .collect()
}

/// `peak FILE COMMAND ARGS…`: run it; into the file goes the most memory (kB) that it, or one of the processes that it
/// has waited for, had at once (`ru_maxrss`, getrusage(2)).
pub fn peak(args: &[String]) -> Code {
    let status = std::process::Command::new(word(args, 1)?).args(&args[2..]).status().map_err(|e| e.to_string())?;
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    let most = usage.map_err(|errno| errno.to_string())?.max_rss();
    std::fs::write(word(args, 0)?, most.to_string()).map_err(|error| error.to_string())?;
    Ok(status.code().unwrap_or(128))
}
