//! Examines the host: what box needs, whether it is there, and what to type where it is not. Changes nothing itself but
//! what [`Check::mend`] says, which an ordinary user may do.

use crate::base::program;
use crate::engine::Engine;
use crate::store::driver::Driver;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
    let user = user_name(engine.caller().0);
    let is_root = engine.caller().0 == 0;
    let mut checks = vec![kernel()];
    if !is_root {
        checks.extend([namespaces(), app_armor(), subordinate(&user, engine.caller().0), id_mappers()]);
    }
    checks.push(entering(engine));
    checks.extend([
        storage(engine),
        disk(&engine.dirs.data),
        mount_options(&engine.dirs.data),
        tun(),
        slirp(),
        resolver(),
    ]);
    checks.push(clock());
    checks.push(cgroup(&user, engine.caller().0));
    if !is_root {
        checks.push(lingering(&user));
    }
    checks
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

fn kernel() -> Check {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version {
        (major, minor) if (major, minor) < (5, 13) => {
            Check::new("kernel", State::Bad, format!("{release}: box needs 5.13 or newer"))
        }
        (major, minor) if (major, minor) < (6, 5) => {
            Check::new("kernel", State::Good, format!("{release} (6.5 lifts the limit of layers in an image)"))
        }
        _ => Check::new("kernel", State::Good, release),
    }
}

fn namespaces() -> Check {
    let most: u64 = text("/proc/sys/user/max_user_namespaces").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let allowed = text("/proc/sys/kernel/unprivileged_userns_clone").is_none_or(|text| text != "0");
    match (most, allowed) {
        (0, _) => Check::new("user namespaces", State::Bad, "user.max_user_namespaces is 0")
            .root("sysctl -w user.max_user_namespaces=15000"),
        (_, false) => Check::new("user namespaces", State::Bad, "kernel.unprivileged_userns_clone is 0")
            .root("sysctl -w kernel.unprivileged_userns_clone=1"),
        (most, true) => Check::new("user namespaces", State::Good, format!("allowed, at most {most}")),
    }
}

fn app_armor() -> Check {
    match text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() {
        Some("1") => Check::new("AppArmor", State::Poor, "it keeps programs without a profile out of user namespaces")
            .root("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        Some(_) => Check::new("AppArmor", State::Good, "it does not restrict user namespaces"),
        None => Check::new("AppArmor", State::Good, "it has no rule for user namespaces"),
    }
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

fn subordinate(user: &str, uid: u32) -> Check {
    let (uids, gids) = (given("/etc/subuid", user, uid), given("/etc/subgid", user, uid));
    let fix = format!("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}");
    match uids.min(gids) {
        0 => Check::new("subordinate ids", State::Poor, format!("{user} has none, so containers have one user only"))
            .root(fix),
        count if count < 65_536 => {
            Check::new("subordinate ids", State::Poor, format!("{count}: some images need 65536")).root(fix)
        }
        count => Check::new("subordinate ids", State::Good, format!("{count} for {user}")),
    }
}

fn id_mappers() -> Check {
    let mut without = Vec::new();
    for name in ["newuidmap", "newgidmap"] {
        let Some(path) = program::find(name) else {
            let found = format!("{name} is missing, so subordinate ids cannot be used");
            let how = program::how_to_install("uidmap", &[("dnf", "shadow-utils"), ("pacman", "shadow")]);
            return Check::new("newuidmap", State::Poor, found).root(how.trim_start_matches("sudo "));
        };
        if !is_privileged(&path) {
            without.push(path.display().to_string());
        }
    }
    match without.is_empty() {
        true => Check::new("newuidmap", State::Good, "newuidmap and newgidmap may map ids"),
        false => Check::new("newuidmap", State::Poor, format!("{} may not map ids", without.join(", ")))
            .root(format!("chmod u+s {}", without.join(" "))),
    }
}

/// Set-user-id root, or with file capabilities.
fn is_privileged(path: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(path) else { return false };
    let set_id = meta.permissions().mode() & 0o4000 != 0 && meta.uid() == 0;
    let mut value = [0; 64];
    set_id || rustix::fs::getxattr(path, "security.capability", &mut value).is_ok()
}

fn entering(engine: &Engine) -> Check {
    match engine.enter() {
        Ok(membership) => match membership.warning() {
            None => Check::new("own namespace", State::Good, "joined"),
            Some(warning) => Check::new("own namespace", State::Poor, warning.text),
        },
        Err(error) => Check::new("own namespace", State::Bad, format!("{error:#}")),
    }
}

fn storage(engine: &Engine) -> Check {
    match engine.driver() {
        Ok(Driver::Overlay) => Check::new("storage", State::Good, "the kernel's overlay"),
        Ok(Driver::FuseOverlayfs) => Check::new(
            "storage",
            State::Poor,
            "fuse-overlayfs: the kernel's overlay does not work here, so files are slower",
        ),
        Ok(Driver::Copy) => {
            let check = Check::new(
                "storage",
                State::Poor,
                "copies: no overlay works here, so each container needs the room of its image",
            );
            let fuse = if Path::new("/dev/fuse").exists() { "" } else { "modprobe fuse; " };
            check.root(format!("{fuse}{}", program::how_to_install("fuse-overlayfs", &[]).trim_start_matches("sudo ")))
        }
        Err(error) => Check::new("storage", State::Bad, format!("{error:#}")),
    }
}

/// The nearest folder that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

fn disk(data: &Path) -> Check {
    let place = existing(data);
    let Ok(stat) = rustix::fs::statvfs(&place) else {
        return Check::new("disk", State::Poor, format!("cannot ask for the room at {}", place.display()));
    };
    let (free, files) = (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_favail);
    let shown = format!("{} free at {}", crate::base::units::human_size(free, 3), place.display());
    match () {
        () if free < 100 << 20 || (stat.f_files > 0 && files < 1000) => Check::new("disk", State::Bad, shown),
        () if free < 2 << 30 => Check::new("disk", State::Poor, shown),
        () => Check::new("disk", State::Good, shown),
    }
}

fn mount_options(data: &Path) -> Check {
    let place = existing(data);
    let flags = rustix::fs::statvfs(&place).map(|stat| stat.f_flag);
    let kind = rustix::fs::statfs(&place).map(|stat| stat.f_type as u64).unwrap_or(0);
    let elsewhere = "export BOX_DATA=/var/tmp/box-$(id -u)";
    match flags {
        Ok(flags) if flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC) => {
            Check::new("data folder", State::Bad, format!("{} is mounted noexec: {elsewhere}", place.display()))
        }
        // NFS_SUPER_MAGIC (statfs(2)): subordinate ids mean nothing to the server.
        _ if kind == 0x6969 => {
            Check::new("data folder", State::Bad, format!("{} is on NFS: {elsewhere}", place.display()))
        }
        _ => Check::new("data folder", State::Good, data.display().to_string()),
    }
}

fn tun() -> Check {
    let usable = rustix::fs::access("/dev/net/tun", rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK).is_ok();
    match (usable, Path::new("/dev/net/tun").exists()) {
        (true, _) => Check::new("/dev/net/tun", State::Good, "may be opened"),
        (false, true) => {
            Check::new("/dev/net/tun", State::Bad, "may not be opened, so only --network none and host work")
                .root("chmod 0666 /dev/net/tun")
        }
        (false, false) => Check::new("/dev/net/tun", State::Bad, "is missing, so only --network none and host work")
            .root("modprobe tun"),
    }
}

fn slirp() -> Check {
    match program::find("slirp4netns") {
        Some(path) => Check::new("slirp4netns", State::Good, path.display().to_string()),
        None => Check::new("slirp4netns", State::Bad, "is missing, so only --network none and host work")
            .root(program::how_to_install("slirp4netns", &[]).trim_start_matches("sudo ")),
    }
}

fn resolver() -> Check {
    let lines = text("/etc/resolv.conf").unwrap_or_default();
    let servers: Vec<&str> = lines.lines().filter_map(|line| line.strip_prefix("nameserver ")).map(str::trim).collect();
    match servers.first() {
        None => Check::new("DNS", State::Poor, "/etc/resolv.conf names no server"),
        Some(_) => Check::new("DNS", State::Good, servers.join(" ")),
    }
}

fn clock() -> Check {
    // Certificates of registries and dates of images make no sense before box was written (2026-01-01).
    match crate::base::time::now() / 1_000_000_000 > 1_767_225_600 {
        true => Check::new("clock", State::Good, chrono::Local::now().format("%Y-%m-%d %H:%M:%S %z").to_string()),
        false => Check::new("clock", State::Bad, "it is wrong, so certificates cannot be checked")
            .root("timedatectl set-ntp true"),
    }
}

fn cgroup(user: &str, uid: u32) -> Check {
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return Check::new("cgroups", State::Poor, "version 2 is not mounted, so limits cannot be set");
    }
    let own = text("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
    let slice = format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service");
    let folder = if Path::new(&slice).exists() { slice } else { format!("/sys/fs/cgroup{own}") };
    let controllers = text(&format!("{folder}/cgroup.controllers")).unwrap_or_default();
    let writable = rustix::fs::access(&folder, rustix::fs::Access::WRITE_OK).is_ok();
    let missing: Vec<&str> =
        ["cpu", "memory", "pids"].into_iter().filter(|name| !controllers.split(' ').any(|c| c == *name)).collect();
    match (writable, missing.is_empty()) {
        (true, true) => Check::new("cgroups", State::Good, format!("delegated: {controllers}")),
        (true, false) => Check::new("cgroups", State::Poor, format!("{} not delegated to {user}", missing.join(", "))).root(
            "mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' \
             > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload",
        ),
        (false, _) => Check::new("cgroups", State::Poor, format!("none is delegated to {user}, so limits cannot be set")),
    }
}

fn lingering(user: &str) -> Check {
    if !Path::new("/run/systemd/system").exists() {
        return Check::new("lingering", State::Good, "there is no systemd that would end containers at logout");
    }
    match Path::new("/var/lib/systemd/linger").join(user).exists() {
        true => Check::new("lingering", State::Good, format!("on for {user}: containers outlive the login")),
        false => {
            let found = format!("off for {user}: the last logout ends containers");
            let mut check = Check::new("lingering", State::Poor, found);
            check.mend = Some(["loginctl", "enable-linger"].map(str::to_owned).to_vec());
            check.root(format!("loginctl enable-linger {user}"))
        }
    }
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
