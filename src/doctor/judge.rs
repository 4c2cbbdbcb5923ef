//! What a host's facts mean: a row each, with what to type. Pure; who gathers the facts is the module above.

use super::{Check, State};
use crate::store::driver::Driver;
use std::path::{Path, PathBuf};

/// The kernel's release, `6.18.2-arch1`.
pub fn kernel(release: &str) -> Check {
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

/// `user.max_user_namespaces`, and Debian's `kernel.unprivileged_userns_clone`.
pub fn namespaces(most: u64, allowed: bool) -> Check {
    match (most, allowed) {
        (0, _) => Check::new("user namespaces", State::Bad, "user.max_user_namespaces is 0")
            .root("sysctl -w user.max_user_namespaces=15000"),
        (_, false) => Check::new("user namespaces", State::Bad, "kernel.unprivileged_userns_clone is 0")
            .root("sysctl -w kernel.unprivileged_userns_clone=1"),
        (most, true) => Check::new("user namespaces", State::Good, format!("allowed, at most {most}")),
    }
}

/// `kernel.apparmor_restrict_unprivileged_userns`, where there is one.
pub fn app_armor(rule: Option<&str>) -> Check {
    match rule {
        Some("1") => Check::new("AppArmor", State::Poor, "it keeps programs without a profile out of user namespaces")
            .root("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        Some(_) => Check::new("AppArmor", State::Good, "it does not restrict user namespaces"),
        None => Check::new("AppArmor", State::Good, "it has no rule for user namespaces"),
    }
}

/// How many subordinate ids the user has: the smaller of both numbers.
pub fn subordinate(user: &str, count: u64) -> Check {
    let fix = format!("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}");
    match count {
        0 => Check::new("subordinate ids", State::Poor, format!("{user} has none, so containers have one user only"))
            .root(fix),
        count if count < 65_536 => {
            Check::new("subordinate ids", State::Poor, format!("{count}: some images need 65536")).root(fix)
        }
        count => Check::new("subordinate ids", State::Good, format!("{count} for {user}")),
    }
}

/// newuidmap and newgidmap: where they are, and whether they may map ids. `install` is what root types.
pub fn id_mappers(programs: &[(&str, Option<(PathBuf, bool)>)], install: &str) -> Check {
    if let Some((name, _)) = programs.iter().find(|(_, found)| found.is_none()) {
        let found = format!("{name} is missing, so subordinate ids cannot be used");
        return Check::new("newuidmap", State::Poor, found).root(install);
    }
    let powerless = programs.iter().flat_map(|(_, found)| found).filter(|(_, privileged)| !privileged);
    let without: Vec<String> = powerless.map(|(path, _)| path.display().to_string()).collect();
    match without.is_empty() {
        true => Check::new("newuidmap", State::Good, "newuidmap and newgidmap may map ids"),
        false => Check::new("newuidmap", State::Poor, format!("{} may not map ids", without.join(", ")))
            .root(format!("chmod u+s {}", without.join(" "))),
    }
}

/// How the user's own namespace was joined: with a warning, or not at all.
pub fn entering(joined: Result<Option<String>, String>) -> Check {
    match joined {
        Ok(None) => Check::new("own namespace", State::Good, "joined"),
        Ok(Some(warning)) => Check::new("own namespace", State::Poor, warning),
        Err(error) => Check::new("own namespace", State::Bad, error),
    }
}

/// The storage driver that works here. `install` is how root gets fuse-overlayfs.
pub fn storage(driver: Result<Driver, String>, has_fuse: bool, install: &str) -> Check {
    match driver {
        Ok(Driver::Overlay) => Check::new("storage", State::Good, "the kernel's overlay"),
        Ok(Driver::FuseOverlayfs) => Check::new(
            "storage",
            State::Poor,
            "fuse-overlayfs: the kernel's overlay does not work here, so files are slower",
        ),
        Ok(Driver::Copy) => {
            let found = "copies: no overlay works here, so each container needs the room of its image";
            let fuse = if has_fuse { "" } else { "modprobe fuse; " };
            Check::new("storage", State::Poor, found).root(format!("{fuse}{install}"))
        }
        Err(error) => Check::new("storage", State::Bad, error),
    }
}

/// Bytes and inodes that are free at a place; `None` for a file system that does not count inodes.
pub fn disk(place: &Path, free: u64, files: Option<u64>) -> Check {
    let shown = format!("{} free at {}", crate::base::units::human_size(free, 3), place.display());
    match () {
        () if free < 100 << 20 || files.is_some_and(|files| files < 1000) => Check::new("disk", State::Bad, shown),
        () if free < 2 << 30 => Check::new("disk", State::Poor, shown),
        () => Check::new("disk", State::Good, shown),
    }
}

/// What a place is mounted with, and its file system's magic number (statfs(2)).
pub fn data_folder(place: &Path, noexec: bool, kind: u64) -> Check {
    let elsewhere = "export BOX_DATA=/var/tmp/box-$(id -u)";
    let bad = |what: &str| Check::new("data folder", State::Bad, format!("{} is {what}: {elsewhere}", place.display()));
    match kind {
        _ if noexec => bad("mounted noexec"),
        // NFS_SUPER_MAGIC: subordinate ids mean nothing to the server.
        0x6969 => bad("on NFS"),
        _ => Check::new("data folder", State::Good, place.display().to_string()),
    }
}

/// `/dev/net/tun`.
pub fn tun(exists: bool, usable: bool) -> Check {
    match (usable, exists) {
        (true, _) => Check::new("/dev/net/tun", State::Good, "may be opened"),
        (false, true) => {
            Check::new("/dev/net/tun", State::Bad, "may not be opened, so only --network none and host work")
                .root("chmod 0666 /dev/net/tun")
        }
        (false, false) => Check::new("/dev/net/tun", State::Bad, "is missing, so only --network none and host work")
            .root("modprobe tun"),
    }
}

/// Where slirp4netns is. `install` is how root gets it.
pub fn slirp(path: Option<PathBuf>, install: &str) -> Check {
    match path {
        Some(path) => Check::new("slirp4netns", State::Good, path.display().to_string()),
        None => Check::new("slirp4netns", State::Bad, "is missing, so only --network none and host work").root(install),
    }
}

/// The text of resolv.conf(5).
pub fn resolver(text: &str) -> Check {
    let servers: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("nameserver ")).map(str::trim).collect();
    match servers.first() {
        None => Check::new("DNS", State::Poor, "/etc/resolv.conf names no server"),
        Some(_) => Check::new("DNS", State::Good, servers.join(" ")),
    }
}

/// Seconds since 1970, and how they are shown.
pub fn clock(seconds: i64, shown: &str) -> Check {
    // Certificates of registries and dates of images make no sense before box was written (2026-01-01).
    match seconds > 1_767_225_600 {
        true => Check::new("clock", State::Good, shown),
        false => Check::new("clock", State::Bad, "it is wrong, so certificates cannot be checked")
            .root("timedatectl set-ntp true"),
    }
}

/// The controllers of the user's cgroup and whether it is the user's to write; `None` without version 2.
pub fn cgroups(user: &str, delegated: Option<(&str, bool)>) -> Check {
    let Some((controllers, writable)) = delegated else {
        return Check::new("cgroups", State::Poor, "version 2 is not mounted, so limits cannot be set");
    };
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

/// Whether the user's processes outlive the login; `None` without systemd.
pub fn lingering(user: &str, on: Option<bool>) -> Check {
    match on {
        None => Check::new("lingering", State::Good, "there is no systemd that would end containers at logout"),
        Some(true) => Check::new("lingering", State::Good, format!("on for {user}: containers outlive the login")),
        Some(false) => {
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

    /// A row as a user reads it: `state|subject|what was found|what root types|what the user types`.
    fn row(check: &Check) -> String {
        let state = format!("{:?}", check.state).to_lowercase();
        let mend = check.mend.clone().unwrap_or_default().join(" ");
        [&state, check.subject, &check.found, check.as_root.as_deref().unwrap_or_default(), &mend].join("|")
    }

    fn mappers(found: [Option<bool>; 2]) -> Check {
        let names = ["newuidmap", "newgidmap"];
        let path = |name: &str, privileged: bool| (Path::new("/usr/bin").join(name), privileged);
        let programs: Vec<_> =
            names.into_iter().zip(found).map(|(name, found)| (name, found.map(|yes| path(name, yes)))).collect();
        id_mappers(&programs, "apt-get install uidmap")
    }

    fn check<const N: usize>(rows: [(Check, &str); N]) {
        rows.iter().for_each(|(check, expected)| assert_eq!(row(check), *expected));
    }

    #[test]
    fn the_kernel_and_ids_in_each_state() {
        check([
            (kernel("5.10.0-9-amd64"), "bad|kernel|5.10.0-9-amd64: box needs 5.13 or newer||"),
            (kernel("6.1.0"), "good|kernel|6.1.0 (6.5 lifts the limit of layers in an image)||"),
            (kernel("6.18.2-arch1"), "good|kernel|6.18.2-arch1||"),
            (
                namespaces(0, true),
                "bad|user namespaces|user.max_user_namespaces is 0|sysctl -w user.max_user_namespaces=15000|",
            ),
            (
                namespaces(9, false),
                "bad|user namespaces|kernel.unprivileged_userns_clone is 0|sysctl -w kernel.unprivileged_userns_clone=1|",
            ),
            (namespaces(9, true), "good|user namespaces|allowed, at most 9||"),
            (
                app_armor(Some("1")),
                "poor|AppArmor|it keeps programs without a profile out of user namespaces|\
                 sysctl -w kernel.apparmor_restrict_unprivileged_userns=0|",
            ),
            (app_armor(Some("0")), "good|AppArmor|it does not restrict user namespaces||"),
            (app_armor(None), "good|AppArmor|it has no rule for user namespaces||"),
            (
                subordinate("ann", 0),
                "poor|subordinate ids|ann has none, so containers have one user only|\
                 usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann|",
            ),
            (
                subordinate("ann", 1000),
                "poor|subordinate ids|1000: some images need 65536|\
                 usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann|",
            ),
            (subordinate("ann", 65_536), "good|subordinate ids|65536 for ann||"),
            (
                mappers([Some(true), None]),
                "poor|newuidmap|newgidmap is missing, so subordinate ids cannot be used|apt-get install uidmap|",
            ),
            (
                mappers([Some(false), Some(false)]),
                "poor|newuidmap|/usr/bin/newuidmap, /usr/bin/newgidmap may not map ids|\
                 chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap|",
            ),
            (mappers([Some(true), Some(true)]), "good|newuidmap|newuidmap and newgidmap may map ids||"),
        ]);
    }

    #[test]
    fn the_store_in_each_state() {
        let (home, install) = (Path::new("/home/ann"), "apt-get install it");
        check([
            (entering(Ok(None)), "good|own namespace|joined||"),
            (entering(Ok(Some("one id only".into()))), "poor|own namespace|one id only||"),
            (entering(Err("cannot join".into())), "bad|own namespace|cannot join||"),
            (storage(Ok(Driver::Overlay), true, install), "good|storage|the kernel's overlay||"),
            (
                storage(Ok(Driver::FuseOverlayfs), true, install),
                "poor|storage|fuse-overlayfs: the kernel's overlay does not work here, so files are slower||",
            ),
            (
                storage(Ok(Driver::Copy), true, install),
                "poor|storage|copies: no overlay works here, so each container needs the room of its image|\
                 apt-get install it|",
            ),
            (
                storage(Ok(Driver::Copy), false, install),
                "poor|storage|copies: no overlay works here, so each container needs the room of its image|\
                 modprobe fuse; apt-get install it|",
            ),
            (storage(Err("it is full".into()), true, install), "bad|storage|it is full||"),
            (disk(home, 5_000_000, None), "bad|disk|5MB free at /home/ann||"),
            (disk(home, 50_000_000_000, Some(7)), "bad|disk|50GB free at /home/ann||"),
            (disk(home, 1_000_000_000, Some(70_000)), "poor|disk|1GB free at /home/ann||"),
            (disk(home, 50_000_000_000, None), "good|disk|50GB free at /home/ann||"),
            (
                data_folder(home, true, 0),
                "bad|data folder|/home/ann is mounted noexec: export BOX_DATA=/var/tmp/box-$(id -u)||",
            ),
            (
                data_folder(home, false, 0x6969),
                "bad|data folder|/home/ann is on NFS: export BOX_DATA=/var/tmp/box-$(id -u)||",
            ),
            (data_folder(home, false, 0xef53), "good|data folder|/home/ann||"),
        ]);
    }

    #[test]
    fn networks_and_the_rest_in_each_state() {
        let install = "apt-get install it";
        check([
            (tun(true, true), "good|/dev/net/tun|may be opened||"),
            (
                tun(true, false),
                "bad|/dev/net/tun|may not be opened, so only --network none and host work|chmod 0666 /dev/net/tun|",
            ),
            (tun(false, false), "bad|/dev/net/tun|is missing, so only --network none and host work|modprobe tun|"),
            (slirp(Some("/usr/bin/slirp4netns".into()), install), "good|slirp4netns|/usr/bin/slirp4netns||"),
            (
                slirp(None, install),
                "bad|slirp4netns|is missing, so only --network none and host work|apt-get install it|",
            ),
            (resolver("search example\n"), "poor|DNS|/etc/resolv.conf names no server||"),
            (resolver("nameserver 192.0.2.1\nnameserver 192.0.2.2 \n"), "good|DNS|192.0.2.1 192.0.2.2||"),
            (
                clock(0, "1970-01-01 00:00:00 +0000"),
                "bad|clock|it is wrong, so certificates cannot be checked|timedatectl set-ntp true|",
            ),
            (clock(1_800_000_000, "2027-01-15 08:00:00 +0000"), "good|clock|2027-01-15 08:00:00 +0000||"),
            (cgroups("ann", None), "poor|cgroups|version 2 is not mounted, so limits cannot be set||"),
            (
                cgroups("ann", Some(("memory pids", true))),
                "poor|cgroups|cpu not delegated to ann|mkdir -p /etc/systemd/system/user@.service.d && \
                 printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > \
                 /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload|",
            ),
            (
                cgroups("ann", Some(("cpu memory pids", false))),
                "poor|cgroups|none is delegated to ann, so limits cannot be set||",
            ),
            (cgroups("ann", Some(("cpu memory pids", true))), "good|cgroups|delegated: cpu memory pids||"),
            (lingering("ann", None), "good|lingering|there is no systemd that would end containers at logout||"),
            (lingering("ann", Some(true)), "good|lingering|on for ann: containers outlive the login||"),
            (
                lingering("ann", Some(false)),
                "poor|lingering|off for ann: the last logout ends containers|loginctl enable-linger ann|\
                 loginctl enable-linger",
            ),
        ]);
    }
}
