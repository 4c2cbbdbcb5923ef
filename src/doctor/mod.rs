//! Examines the host: what box needs, whether it is there, and what to type where it is not. Changes nothing itself but
//! what [`Check::mend`] says, which an ordinary user may do.

mod judge;

use crate::base::program;
use crate::engine::Engine;
use rustix::fs::{Access, StatVfsMountFlags};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Ubuntu's rule about user namespaces.
const APP_ARMOR: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// box works, but something is slower or missing.
    Poor,
    /// Something does not work at all.
    Bad,
}

/// A result.
#[derive(Debug, Clone)]
pub struct Check {
    /// What was looked at.
    pub subject: &'static str,
    /// How it went.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What root would type.
    pub as_root: Option<String>,
    /// What the user would type, and `--fix` does.
    pub mend: Option<Vec<String>>,
}

impl Check {
    fn new(subject: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { subject, state, found: found.into(), as_root: None, mend: None }
    }

    fn root(mut self, command: impl Into<String>) -> Self {
        self.as_root = Some(command.into());
        self
    }
}

/// Everything, in the order in which a container's start would meet it. Joins the user's namespace.
pub fn examine(engine: &Engine) -> Vec<Check> {
    let uid = engine.caller().0;
    let user = user_name(uid);
    let mut checks = vec![judge::kernel(&rustix::system::uname().release().to_string_lossy())];
    if uid != 0 {
        checks.extend([namespaces(), judge::app_armor(text(APP_ARMOR).as_deref())]);
        checks.push(judge::subordinate(&user, given("/etc/subuid", &user, uid).min(given("/etc/subgid", &user, uid))));
        checks.push(id_mappers());
    }
    checks.push(judge::entering(match engine.enter() {
        Ok(membership) => Ok(membership.warning().map(|warning| warning.text)),
        Err(error) => Err(format!("{error:#}")),
    }));
    let driver = engine.driver().map_err(|error| format!("{error:#}"));
    checks.push(judge::storage(driver, Path::new("/dev/fuse").exists(), &install("fuse-overlayfs", &[])));
    checks.extend(folder(&engine.dirs.data));
    let tun = Path::new("/dev/net/tun");
    let usable = rustix::fs::access(tun, Access::READ_OK | Access::WRITE_OK).is_ok();
    checks.push(judge::tun(tun.exists(), usable));
    checks.push(judge::slirp(program::find("slirp4netns"), &install("slirp4netns", &[])));
    checks.push(judge::resolver(&text("/etc/resolv.conf").unwrap_or_default()));
    let shown = chrono::Local::now().format("%Y-%m-%d %H:%M:%S %z").to_string();
    checks.push(judge::clock(crate::base::time::now() / 1_000_000_000, &shown));
    checks.push(cgroups(&user, uid));
    if uid != 0 {
        let linger = Path::new("/var/lib/systemd/linger").join(&user).exists();
        checks.push(judge::lingering(&user, Path::new("/run/systemd/system").exists().then_some(linger)));
    }
    checks
}

/// What root types to install a package.
fn install(name: &str, others: &[(&str, &str)]) -> String {
    program::how_to_install(name, others).trim_start_matches("sudo ").to_owned()
}

fn text(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The name of a user, or the number where none is known.
fn user_name(uid: u32) -> String {
    let passwd = text("/etc/passwd").unwrap_or_default();
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(of).unwrap_or_else(|| uid.to_string())
}

fn namespaces() -> Check {
    let most = text("/proc/sys/user/max_user_namespaces").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let allowed = text("/proc/sys/kernel/unprivileged_userns_clone").is_none_or(|text| text != "0");
    judge::namespaces(most, allowed)
}

/// How many ids a file such as `/etc/subuid` gives to a user.
fn given(file: &str, user: &str, uid: u32) -> u64 {
    let lines = text(file).unwrap_or_default();
    let count = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (name == user || name.parse() == Ok(uid)).then(|| fields.nth(1)?.parse::<u64>().ok())?
    };
    lines.lines().filter_map(count).sum()
}

fn id_mappers() -> Check {
    let found = ["newuidmap", "newgidmap"].map(|name| {
        let path = program::find(name);
        (name, path.map(|path| (path.clone(), is_privileged(&path))))
    });
    judge::id_mappers(&found, &install("uidmap", &[("dnf", "shadow-utils"), ("pacman", "shadow")]))
}

/// Set-user-id root, or with file capabilities.
fn is_privileged(path: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(path) else { return false };
    let set_id = meta.permissions().mode() & 0o4000 != 0 && meta.uid() == 0;
    let mut value = [0; 64];
    set_id || rustix::fs::getxattr(path, "security.capability", &mut value).is_ok()
}

/// The nearest folder that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

/// The room where the store is, and what its file system allows.
fn folder(data: &Path) -> Vec<Check> {
    let place = existing(data);
    let Ok(stat) = rustix::fs::statvfs(&place) else {
        return vec![Check::new("disk", State::Poor, format!("cannot ask for the room at {}", place.display()))];
    };
    let files = (stat.f_files > 0).then_some(stat.f_favail);
    let kind = rustix::fs::statfs(&place).map(|stat| stat.f_type as u64).unwrap_or(0);
    let noexec = stat.f_flag.contains(StatVfsMountFlags::NOEXEC);
    vec![
        judge::disk(&place, stat.f_bavail.saturating_mul(stat.f_frsize), files),
        judge::data_folder(data, noexec, kind),
    ]
}

fn cgroups(user: &str, uid: u32) -> Check {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return judge::cgroups(user, None);
    }
    let own = text("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
    let slice = format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service");
    let folder = if Path::new(&slice).exists() { slice } else { format!("/sys/fs/cgroup{own}") };
    let controllers = text(&format!("{folder}/cgroup.controllers")).unwrap_or_default();
    let writable = rustix::fs::access(&folder, Access::WRITE_OK).is_ok();
    judge::cgroups(user, Some((&controllers, writable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_by_name_and_number() {
        let path = std::env::temp_dir().join(format!("box-subuid-{}", crate::base::id::ContainerId::random()));
        std::fs::write(&path, "a:100000:65536\n# x\n1000:200000:10\nb:1:1\na:300000:4\nbroken\n").unwrap();
        let file = path.to_str().unwrap();
        assert_eq!((given(file, "a", 1), given(file, "x", 1000), given(file, "none", 7)), (65540, 10, 0));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn folders_that_are_not_there_have_parents_that_are() {
        assert_eq!(existing(Path::new("/nonexistent/a/b")), Path::new("/"));
    }
}
