//! Subordinate ids: `/etc/subuid` and `/etc/subgid` (subuid(5)), and the caller's name for them.

use crate::base::fs::read_limited;
use std::path::Path;

/// The files hold a line a user; this is far more than any host has.
const LIMIT: u64 = 16 << 20;

/// A range of ids of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// The caller's ranges in one of the two files, in its order.
pub fn ranges(file: &Path, uid: u32, name: Option<&str>) -> Vec<Range> {
    let uid = uid.to_string();
    parse(&read(file), |who| who == uid || Some(who) == name)
}

/// The ranges of a name, as it stands in the file.
pub fn named(file: &Path, name: &str) -> Vec<Range> {
    parse(&read(file), |who| who == name)
}

fn read(file: &Path) -> String {
    read_limited(file, LIMIT).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn parse(text: &str, is_ours: impl Fn(&str) -> bool) -> Vec<Range> {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.trim().split(':');
            let who = parts.next()?;
            let range = Range { start: parts.next()?.parse().ok()?, count: parts.next()?.parse().ok()? };
            (is_ours(who) && range.count > 0 && range.start.checked_add(range.count).is_some()).then_some(range)
        })
        .collect()
}

/// The caller's name by `/etc/passwd`; elsewhere (LDAP, sssd) by `getent`.
pub fn user_name(uid: u32) -> Option<String> {
    let text = read_limited(Path::new("/etc/passwd"), LIMIT).ok()?;
    name_of(&String::from_utf8_lossy(&text), uid).or_else(|| {
        let output = std::process::Command::new("getent")
            .args(["passwd", &uid.to_string()])
            .env_clear()
            .env("PATH", crate::base::program::search_path())
            .output()
            .ok()?;
        name_of(&String::from_utf8_lossy(&output.stdout), uid)
    })
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid))?.split(':').next().map(str::to_owned)
}

/// The arguments of newuidmap(1) after the pid: the caller as 0, the ranges above it.
pub fn map_arguments(caller: u32, ranges: &[Range]) -> Vec<String> {
    let mut arguments = vec!["0".to_owned(), caller.to_string(), "1".to_owned()];
    let mut inside = 1u32;
    for range in ranges {
        let Some(next) = inside.checked_add(range.count) else { break };
        arguments.extend([inside.to_string(), range.start.to_string(), range.count.to_string()]);
        inside = next;
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_by_name_and_by_number() {
        let text = "ann:100000:65536\nbob:165536:65536\n1000:300000:10\nann:x:1\nann:5\n\nann:4294967295:2\nann:7:0\n";
        let expected = [Range { start: 100000, count: 65536 }, Range { start: 300000, count: 10 }];
        assert_eq!(parse(text, |who| who == "1000" || who == "ann"), expected);
        assert_eq!(parse(text, |who| who == "1"), []);
    }

    #[test]
    fn the_map_begins_with_the_caller() {
        let map = map_arguments(1000, &[Range { start: 100000, count: 65536 }, Range { start: 5, count: 2 }]);
        assert_eq!(map.join(" "), "0 1000 1 1 100000 65536 65537 5 2");
    }

    #[test]
    fn names_come_from_the_third_field() {
        let passwd = "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(name_of(passwd, 7), None);
    }
}
