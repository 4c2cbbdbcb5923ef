//! What a test left behind: processes, mounts, files, interfaces, sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A process, as far as a leak check cares.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    parent: i32,
    session: i32,
    state: char,
    /// Its name, or its command line where that can be read.
    pub words: String,
}

fn read(pid: i32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn process(pid: i32) -> Option<Process> {
    let stat = String::from_utf8_lossy(&read(pid, "stat")).into_owned();
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse().ok();
    let line = String::from_utf8_lossy(&read(pid, "cmdline")).replace('\0', " ").trim().to_owned();
    let words = if line.is_empty() { format!("[{name}]") } else { line };
    Some(Process { pid, parent: number(1)?, session: number(3)?, state: fields.first()?.chars().next()?, words })
}

/// Every process there is.
pub fn processes() -> BTreeMap<i32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    pids.filter_map(|pid| Some((pid, process(pid)?))).collect()
}

/// Those living that belong to the test whose folder is `base`: by the mark in their environment, by an overlay in
/// their mount namespace, or as child or session of such a one. `sessions` are those seen before, whose leader may be
/// gone.
pub fn processes_of(base: &Path, sessions: &mut BTreeSet<i32>) -> Vec<Process> {
    let all = processes();
    let mark = base.as_os_str().as_encoded_bytes();
    let own_mounts = fs::read_link("/proc/self/ns/mnt").ok();
    let me = std::process::id() as i32;
    let mut found: BTreeSet<i32> = BTreeSet::new();
    for process in all.values().filter(|process| process.state != 'Z' && process.pid != me) {
        let marked = || holds(&read(process.pid, "environ"), mark) || holds(&read(process.pid, "cmdline"), mark);
        let mounted = || {
            let mounts = fs::read_link(format!("/proc/{}/ns/mnt", process.pid)).ok();
            mounts.is_some() && mounts != own_mounts && holds(&read(process.pid, "mountinfo"), mark)
        };
        if sessions.contains(&process.session) || marked() || mounted() {
            found.insert(process.pid);
        }
    }
    // Sessions that box made: their leader is one of ours.
    sessions.extend(found.iter().filter(|pid| all[pid].session == **pid));
    loop {
        let more: Vec<i32> = all
            .values()
            .filter(|process| process.state != 'Z' && !found.contains(&process.pid) && process.pid != me)
            .filter(|process| found.contains(&process.parent) || sessions.contains(&process.session))
            .map(|process| process.pid)
            .collect();
        if more.is_empty() {
            return found.into_iter().map(|pid| all[&pid].clone()).collect();
        }
        found.extend(more);
    }
}

/// Kill by number, if it still is there.
pub fn kill(pid: i32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

/// Mounts and unix sockets of this namespace that name the folder.
pub fn mounts_and_sockets(base: &Path) -> Vec<String> {
    let text = |path: &str| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let mark = base.to_string_lossy().into_owned();
    let mounts = text("/proc/self/mountinfo");
    let sockets = text("/proc/net/unix");
    let mounts = mounts.lines().filter(|line| line.contains(&mark)).map(|line| format!("mount: {line}"));
    let sockets = sockets.lines().filter(|line| line.contains(&mark)).map(|line| format!("socket: {line}"));
    mounts.chain(sockets).collect()
}

/// How the interface to another machine of a test is called, before that test's own digits.
pub const MACHINE: &str = "bxh";

/// The network interfaces of this namespace, without those to the other machines that tests make beside this one.
pub fn interfaces() -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return BTreeSet::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with(MACHINE)).collect()
}

/// Files of containers, names and work in progress in a store, and of containers in a run folder.
pub fn files(data: &Path, run: &Path) -> Vec<String> {
    let mut left: Vec<PathBuf> =
        ["containers", "names", "tmp"].iter().flat_map(|name| list(&data.join(name))).collect();
    left.extend(list(run).into_iter().filter(|path| {
        path.file_name().is_none_or(|name| {
            !["holder", "slirp4netns.checked"].iter().any(|known| name.to_string_lossy().starts_with(known))
        })
    }));
    // Anonymous volumes, which go with their containers: a name of 64 digits.
    left.extend(
        list(&data.join("volumes")).into_iter().filter(|path| path.file_name().is_some_and(|name| name.len() == 64)),
    );
    left.into_iter().map(|path| format!("file: {}", path.display())).collect()
}

fn list(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

/// The holder of a run folder's namespace, if one is named.
pub fn holder(run: &Path) -> Option<i32> {
    let text = fs::read_to_string(run.join("holder")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
