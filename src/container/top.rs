//! `top`: the processes of a container, from `/proc`.
//!
//! Which they are is told by the kernel: those in the pid namespace of process 1, or, if that is the host's, process 1
//! and its descendants. Columns are those of AIX ps as podman has them.

use super::record::Container;
use crate::base::error::{Fault, Kind, fault};
use crate::base::time;
use crate::engine::Engine;
use crate::runtime::capabilities::{ALL, number};
use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// A column, by podman's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// What is typed.
    pub name: &'static str,
    /// The heading.
    pub heading: &'static str,
}

/// All columns.
pub const COLUMNS: [Column; 26] = {
    const fn column(name: &'static str, heading: &'static str) -> Column {
        Column { name, heading }
    }
    [
        column("args", "COMMAND"),
        column("capamb", "AMBIENT CAPS"),
        column("capbnd", "BOUNDING CAPS"),
        column("capeff", "EFFECTIVE CAPS"),
        column("capinh", "INHERITED CAPS"),
        column("capprm", "PERMITTED CAPS"),
        column("comm", "COMMAND"),
        column("etime", "ELAPSED"),
        column("group", "GROUP"),
        column("hgroup", "HGROUP"),
        column("hpid", "HPID"),
        column("huser", "HUSER"),
        column("label", "LABEL"),
        column("nice", "NI"),
        column("pcpu", "%CPU"),
        column("pgid", "PGID"),
        column("pid", "PID"),
        column("ppid", "PPID"),
        column("rss", "RSS"),
        column("seccomp", "SECCOMP"),
        column("state", "STATE"),
        column("stime", "STIME"),
        column("time", "TIME"),
        column("tty", "TTY"),
        column("user", "USER"),
        column("vsz", "VSZ"),
    ]
};

/// podman's choice where nothing is asked for.
const DEFAULT: [&str; 8] = ["user", "pid", "ppid", "pcpu", "etime", "tty", "time", "comm"];

/// The columns that words name, with or without commas between; `None` if one is no column: then they are for ps(1).
pub fn columns(words: &[String]) -> Option<Vec<Column>> {
    let known = |name: &str| COLUMNS.iter().find(|column| column.name == name.trim_start_matches('%')).copied();
    if words.is_empty() {
        return DEFAULT.iter().map(|name| known(name)).collect();
    }
    words.iter().flat_map(|word| word.split(',')).map(known).collect()
}

/// The processes of a running container, on the host's numbers, oldest first.
///
/// Errors: [`Kind::WrongState`] if it does not run.
pub fn processes(engine: &Engine, container: &Container) -> Result<Vec<i32>> {
    let deed = || format!("cannot list the processes of container `{}`", container.config.name);
    let run = container.running().with_context(deed)?;
    // In U0 its namespaces can be read whatever ids its processes have.
    engine.enter()?;
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(run.pid).ok_or_else(|| fault(Kind::WrongState, "its process has ended").context(deed()))?;
    let all = all();
    let mut found: Vec<i32> = match container.config.pid.is_own() {
        true => all.into_iter().filter(|pid| namespace(*pid).as_ref() == Some(&own)).collect(),
        false => descendants(run.pid, &all),
    };
    found.sort_by_key(|pid| (crate::sys::proc::start_time(*pid), *pid));
    Ok(found)
}

fn all() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn descendants(root: i32, all: &[i32]) -> Vec<i32> {
    let parents: HashMap<i32, i32> = all.iter().filter_map(|pid| Some((*pid, stat(*pid)?.number(1) as i32))).collect();
    let mut found = HashSet::from([root]);
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|pid| !found.contains(pid) && parents.get(pid).is_some_and(|parent| found.contains(parent)))
            .copied()
            .collect();
        if more.is_empty() {
            return found.into_iter().collect();
        }
        found.extend(more);
    }
}

/// A row of a table for each process, with these columns. Processes that have ended meanwhile are left out.
pub fn table(engine: &Engine, container: &Container, columns: &[Column]) -> Result<Vec<Vec<String>>> {
    let pids = processes(engine, container)?;
    let users = Names::of(pids.first().copied().unwrap_or(0), "passwd");
    let groups = Names::of(pids.first().copied().unwrap_or(0), "group");
    let row = |pid: &i32| {
        let process = Process::read(*pid)?;
        Some(columns.iter().map(|column| process.cell(column.name, &users, &groups)).collect())
    };
    Ok(pids.iter().filter_map(row).collect())
}

/// The fields of `/proc/PID/stat` after the name (proc_pid_stat(5)), the first being the state.
struct Stat(Vec<String>);

impl Stat {
    fn number(&self, at: usize) -> i64 {
        self.0.get(at).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(Stat(text.rsplit_once(") ")?.1.split_whitespace().map(str::to_owned).collect()))
}

/// What is read of one process.
struct Process {
    pid: i32,
    stat: Stat,
    status: HashMap<String, String>,
    comm: String,
    args: String,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let file = |name: &str| std::fs::read(format!("/proc/{pid}/{name}"));
        let text = |name: &str| Some(String::from_utf8_lossy(&file(name).ok()?).trim_end().to_owned());
        let status = text("status")?;
        let status = status.lines().filter_map(|line| line.split_once(':'));
        let status = status.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
        let comm = text("comm")?;
        let args =
            String::from_utf8_lossy(&file("cmdline").unwrap_or_default()).trim_end_matches('\0').replace('\0', " ");
        let args = if args.is_empty() { format!("[{comm}]") } else { args };
        Some(Self { pid, stat: stat(pid)?, status, comm, args })
    }

    /// The last of a field's numbers: the innermost namespace's.
    fn inner(&self, key: &str) -> String {
        self.word(key, usize::MAX)
    }

    fn word(&self, key: &str, at: usize) -> String {
        let words: Vec<&str> = self.status.get(key).map(|text| text.split_whitespace().collect()).unwrap_or_default();
        words.get(at).or(words.last()).map_or_else(|| "?".to_owned(), |word| (*word).to_owned())
    }

    fn cell(&self, column: &str, users: &Names, groups: &Names) -> String {
        let ticks = rustix::param::clock_ticks_per_second() as i64;
        let cpu = self.stat.number(11) + self.stat.number(12);
        let boot = boot_time();
        let started = boot + self.stat.number(19) / ticks;
        let lived = (time::now() / 1_000_000_000 - started).max(0);
        match column {
            "args" => self.args.clone(),
            "comm" => self.comm.clone(),
            "capamb" => self.capabilities("CapAmb"),
            "capbnd" => self.capabilities("CapBnd"),
            "capeff" => self.capabilities("CapEff"),
            "capinh" => self.capabilities("CapInh"),
            "capprm" => self.capabilities("CapPrm"),
            "etime" => time::format_duration(lived * 1_000_000_000),
            "group" => groups.name(self.id("Gid", "gid_map")),
            "hgroup" => host_name("/etc/group", self.host_id("Gid", "gid_map")),
            "hpid" => self.pid.to_string(),
            "huser" => host_name("/etc/passwd", self.host_id("Uid", "uid_map")),
            "label" => std::fs::read_to_string(format!("/proc/{}/attr/current", self.pid))
                .map(|text| text.trim_end_matches(['\0', '\n']).to_owned())
                .unwrap_or_else(|_| "?".to_owned()),
            "nice" => self.stat.number(16).to_string(),
            "pcpu" => format!("{:.3}", cpu as f64 / ticks as f64 / lived.max(1) as f64 * 100.0),
            "pgid" => self.inner("NSpgid"),
            "pid" => self.inner("NSpid"),
            // The parent's number in the same namespace; 0 for one outside.
            "ppid" => Self::read(self.stat.number(1) as i32)
                .filter(|parent| {
                    let depth =
                        |process: &Self| process.status.get("NSpid").map_or(0, |t| t.split_whitespace().count());
                    depth(parent) == depth(self)
                })
                .map_or_else(|| "0".to_owned(), |parent| parent.inner("NSpid")),
            "rss" => self.word("VmRSS", 0),
            "seccomp" => match self.word("Seccomp", 0).as_str() {
                "0" => "disabled".to_owned(),
                "1" => "strict".to_owned(),
                "2" => "filter".to_owned(),
                other => other.to_owned(),
            },
            "state" => self.word("State", 0),
            "stime" => chrono::DateTime::from_timestamp(started, 0)
                .map(|at| at.with_timezone(&chrono::Local).format("%H:%M").to_string())
                .unwrap_or_default(),
            "time" => time::format_duration(cpu / ticks * 1_000_000_000),
            "tty" => tty(self.stat.number(4)),
            "user" => users.name(self.id("Uid", "uid_map")),
            "vsz" => self.word("VmSize", 0),
            _ => String::new(),
        }
    }

    /// The effective id as the container counts: our own, through the container's map.
    fn id(&self, key: &str, map: &str) -> u32 {
        let outer: u32 = self.word(key, 1).parse().unwrap_or(u32::MAX);
        // The map as seen from here: container, ours, count.
        into(&maps(self.pid, map), outer)
    }

    /// The effective id as the host counts: ours, out through our own map.
    fn host_id(&self, key: &str, map: &str) -> u32 {
        let ours: u32 = self.word(key, 1).parse().unwrap_or(u32::MAX);
        out_of(&maps(rustix::process::getpid().as_raw_nonzero().get(), map), ours)
    }

    fn capabilities(&self, key: &str) -> String {
        let bits = u64::from_str_radix(&self.word(key, 0), 16).unwrap_or(0);
        let all = ALL.iter().filter(|capability| bits & 1 << number(**capability) != 0);
        let names: Vec<String> = all.map(ToString::to_string).collect();
        match names.len() {
            0 => "none".to_owned(),
            count if count == ALL.len() => "full".to_owned(),
            _ => names.join(","),
        }
    }
}

fn maps(pid: i32, name: &str) -> Vec<[u32; 3]> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split_whitespace().map(|word| word.parse().ok());
        Some([words.next()??, words.next()??, words.next()??])
    };
    text.lines().filter_map(line).collect()
}

/// The id inside that an id outside is.
fn into(map: &[[u32; 3]], outer: u32) -> u32 {
    let found = map.iter().find(|[_, first, count]| outer >= *first && outer - first < *count);
    found.map_or(outer, |[inner, first, _]| inner + (outer - first))
}

/// The id outside that an id inside is.
fn out_of(map: &[[u32; 3]], inner: u32) -> u32 {
    let found = map.iter().find(|[first, _, count]| inner >= *first && inner - first < *count);
    found.map_or(inner, |[first, outer, _]| outer + (inner - first))
}

/// Seconds since 1970 when the host was started (`btime` of proc_stat(5)).
fn boot_time() -> i64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0)
}

/// A terminal by its device number: `pts/0`, `?` for none.
fn tty(number: i64) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00));
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        4 => format!("tty{minor}"),
        _ => format!("{major}:{minor}"),
    }
}

/// The names of a container's users or groups, from its own files.
struct Names(HashMap<u32, String>);

impl Names {
    fn of(pid: i32, file: &str) -> Self {
        // Through the container's root, confined: its files may be links to anywhere.
        let bytes = crate::sys::root::Root::open(&PathBuf::from(format!("/proc/{pid}/root")))
            .ok()
            .and_then(|root| root.read(&PathBuf::from(format!("/etc/{file}"))).ok())
            .unwrap_or_default();
        Self(names(&String::from_utf8_lossy(&bytes)))
    }

    fn name(&self, id: u32) -> String {
        self.0.get(&id).cloned().unwrap_or_else(|| if id == 0 { "root".to_owned() } else { id.to_string() })
    }
}

fn names(text: &str) -> HashMap<u32, String> {
    let mut found = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1).and_then(|id| id.parse().ok())) {
            found.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    found
}

fn host_name(file: &str, id: u32) -> String {
    names(&std::fs::read_to_string(file).unwrap_or_default()).remove(&id).unwrap_or_else(|| id.to_string())
}

/// Of what ps(1) prints, the heading and the lines whose column PID is one of these.
///
/// Errors: output without that column.
pub fn own_lines(output: &str, pids: &[i32]) -> Result<Vec<String>> {
    let mut lines = output.lines();
    let heading = lines.next().unwrap_or_default();
    let at = heading.split_whitespace().position(|word| word == "PID").ok_or_else(|| {
        Fault::new(Kind::Usage, "ps(1) shows no column PID, so nobody can tell whose lines those are")
            .hint("box top CONTAINER -eo pid,args")
    })?;
    let own = |line: &&str| {
        line.split_whitespace().nth(at).and_then(|word| word.parse().ok()).is_some_and(|pid: i32| pids.contains(&pid))
    };
    Ok(std::iter::once(heading).chain(lines.filter(own)).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn columns_or_words_for_ps() {
        let names = |text: &str| columns(&words(text)).map(|all| all.iter().map(|c| c.name).collect::<Vec<_>>());
        assert_eq!(names(""), Some(DEFAULT.to_vec()));
        assert_eq!(names("pid,hpid comm"), Some(vec!["pid", "hpid", "comm"]));
        assert_eq!(names("%cpu"), None);
        assert_eq!(names("-ef"), None);
    }

    #[test]
    fn ids_through_maps() {
        let map = [[0, 1000, 1], [1, 100_000, 65536]];
        assert_eq!((into(&map, 1000), into(&map, 100_004), into(&map, 7)), (0, 5, 7));
        assert_eq!((out_of(&map, 0), out_of(&map, 5)), (1000, 100_004));
    }

    #[test]
    fn terminals() {
        assert_eq!((tty(0), tty(34_816), tty(34_819)), ("?".into(), "pts/0".into(), "pts/3".into()));
    }

    #[test]
    fn lines_of_ps() {
        let text = "USER PID CMD\nroot 1 init\nme 77 sleep 1 77\nme 78 x";
        assert_eq!(own_lines(text, &[77]).unwrap(), ["USER PID CMD", "me 77 sleep 1 77"]);
        assert!(own_lines("CMD\nx", &[1]).is_err());
    }
}
