//! Who the command runs as: `user[:group]`, looked up in the container's own passwd and group files.
//!
//! As docker does it: digits are always a number, never a name (CVE-2016-3697), and a number that does not fit is an
//! error, never 0 (CVE-2024-40635). Further groups stand in lines of their own below it: [`with_groups`]. The files are read through the confined resolver, regular files only and at most
//! a mebibyte of them (CVE-2024-9676).

use crate::base::error::{Fault, Kind, fault};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use rustix::io::Errno;
use std::path::Path;

/// The largest id: what docker takes, and what a signed 32-bit number holds.
const MAX_ID: u64 = i32::MAX as u64;
/// Further lines of a file are not looked at.
const MAX_LINES: usize = 65_536;

/// A user, in the container's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The groups that the group file adds.
    pub groups: Vec<u32>,
    /// Groups that were asked for.
    pub required: Vec<u32>,
    /// The caller's groups stay, none is set.
    pub keep_groups: bool,
    /// The home folder; `/` if not known.
    pub home: String,
}

/// A line of passwd(5).
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// What keeps the groups that the caller of box has, instead of setting any.
const KEEP_GROUPS: &str = "keep-groups";

/// A user with further groups, as [`resolve`] takes it: names of the container's own, numbers, or `keep-groups`.
pub fn with_groups(user: &str, groups: &[String]) -> String {
    [user].into_iter().chain(groups.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
}

/// Whether this can be a group: a name, or a number that is an id.
pub fn is_group(text: &str) -> bool {
    let name = |c: char| !c.is_control() && !c.is_whitespace() && c != ':';
    !text.is_empty() && text.chars().all(name) && parse_id(text).is_ok()
}

/// Find `user[:group]`, empty for root, with the groups of the lines below it.
pub fn resolve(root: &Root, text: &str) -> Result<User> {
    let mut lines = text.split('\n');
    let mut user = resolve_user(root, lines.next().unwrap_or_default())?;
    for group in lines {
        match group == KEEP_GROUPS {
            true => user.keep_groups = true,
            false => user.required.push(resolve_group(root, group)?),
        }
    }
    Ok(user)
}

fn resolve_group(root: &Root, text: &str) -> Result<u32> {
    if let Some(gid) = parse_id(text)? {
        return Ok(gid);
    }
    let groups = read(root, "/etc/group")?;
    let found = group_lines(&groups).find(|(name, _, _)| *name == text).map(|(_, gid, _)| gid);
    found.ok_or_else(|| unknown("group", text, "/etc/group"))
}

fn resolve_user(root: &Root, text: &str) -> Result<User> {
    let (name, group) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    if group.is_some_and(|group| group.contains(':')) || (name.is_empty() && text.contains(':')) {
        let text = format!("`{}` is not a user: it should be `user` or `user:group`", text.escape_debug());
        return Err(fault(Kind::Usage, text));
    }
    let passwd = read(root, "/etc/passwd")?;
    let number = if name.is_empty() { Some(0) } else { parse_id(name)? };
    let account = accounts(&passwd).find(|account| match number {
        Some(uid) => account.uid == uid,
        None => account.name == name,
    });
    let uid = match (number, &account) {
        (Some(uid), _) => uid,
        (None, Some(account)) => account.uid,
        (None, None) => return Err(unknown("user", name, "/etc/passwd")),
    };
    let mut user = User {
        uid,
        gid: account.as_ref().map_or(0, |account| account.gid),
        groups: Vec::new(),
        required: Vec::new(),
        keep_groups: false,
        home: home(account.as_ref()),
    };
    // A group that is given replaces all that the user has (docker, podman).
    if let Some(group) = group {
        user.gid = resolve_group(root, group)?;
    } else if let Some(account) = account {
        let groups = read(root, "/etc/group")?;
        user.groups = group_lines(&groups)
            .filter(|(_, _, members)| members.split(',').any(|member| member == account.name))
            .map(|(_, gid, _)| gid)
            .collect();
    }
    Ok(user)
}

/// What a container's own files do not know of a user that is given by number.
pub(super) struct Missing {
    /// The user, with its group.
    pub user: Option<(u32, u32)>,
    /// The group, where it was asked for.
    pub group: Option<u32>,
}

/// Which of the numbers in `user[:group]` have no line of their own. What is no user at all is left to [`resolve`].
pub(super) fn missing(root: &Root, text: &str) -> Result<Missing> {
    let text = text.split('\n').next().unwrap_or_default();
    let (name, group) = text.split_once(':').unwrap_or((text, ""));
    let (uid, gid) = (parse_id(name)?, parse_id(group)?);
    let groups = if gid.is_some() { read(root, "/etc/group")? } else { String::new() };
    let known = |gid: u32| group_lines(&groups).any(|line| line.1 == gid);
    let group = gid.filter(|gid| !known(*gid));
    let passwd = if uid.is_some() { read(root, "/etc/passwd")? } else { String::new() };
    let user = uid.filter(|uid| !accounts(&passwd).any(|account| account.uid == *uid));
    let own = match (gid, group) {
        (Some(gid), _) => gid,
        _ => 0,
    };
    Ok(Missing { user: user.filter(|uid| *uid != 0).map(|uid| (uid, own)), group: group.filter(|gid| *gid != 0) })
}

/// Whether the container's passwd has no user of this name.
pub(super) fn is_missing_user(root: &Root, name: &str) -> Result<bool> {
    let passwd = read(root, "/etc/passwd")?;
    Ok(!accounts(&passwd).any(|account| account.name == name))
}

/// The largest id that passwd and group know, nobody's aside; what cannot be read has none.
pub fn largest_id(root: &Root) -> u32 {
    let passwd = read(root, "/etc/passwd").unwrap_or_default();
    let group = read(root, "/etc/group").unwrap_or_default();
    let users = accounts(&passwd).map(|account| (account.name, account.uid.max(account.gid)));
    let all = users.chain(group_lines(&group).map(|(name, gid, _)| (name, gid)));
    all.filter(|(name, _)| !["nobody", "nogroup"].contains(name)).map(|(_, id)| id).max().unwrap_or(0)
}

/// The home folder of a user that is given by number.
pub(super) fn home_of(root: &Root, uid: u32) -> Result<String> {
    let passwd = read(root, "/etc/passwd")?;
    Ok(home(accounts(&passwd).find(|account| account.uid == uid).as_ref()))
}

fn home(account: Option<&Account<'_>>) -> String {
    account
        .map(|account| account.home)
        .filter(|home| home.starts_with('/') && !home.chars().any(char::is_control))
        .unwrap_or("/")
        .to_owned()
}

fn unknown(what: &str, name: &str, file: &str) -> anyhow::Error {
    Fault::new(Kind::Usage, format!("there is no {what} `{}` in the container's `{file}`", name.escape_debug()))
        .hint(format!("give the {what} by number"))
        .into()
}

/// A number, `None` for a name, an error for a number that is none of an id.
fn parse_id(text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u64>() {
        Ok(id) if id <= MAX_ID => Ok(Some(id as u32)),
        _ => Err(fault(Kind::Usage, format!("the id `{text}` is larger than {MAX_ID}"))),
    }
}

/// The text of a file; empty if it is missing.
fn read(root: &Root, path: &str) -> Result<String> {
    match root.read(Path::new(path)) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.downcast_ref::<Errno>(), Some(&Errno::NOENT | &Errno::NOTDIR)) => {
            Ok(String::new())
        }
        Err(error) => Err(error).with_context(|| format!("cannot look up the user in the container's `{path}`")),
    }
}

/// The well-formed lines of passwd(5). A line with an id that does not fit is none.
fn accounts(text: &str) -> impl Iterator<Item = Account<'_>> {
    text.lines().take(MAX_LINES).filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let uid = parse_id(fields.next()?).ok()??;
        let gid = parse_id(fields.next()?).ok()??;
        let (_comment, home) = (fields.next(), fields.next().unwrap_or_default());
        (!name.is_empty()).then_some(Account { name, uid, gid, home })
    })
}

/// The well-formed lines of group(5): name, number, members.
fn group_lines(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().take(MAX_LINES).filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let gid = parse_id(fields.next()?).ok()??;
        (!name.is_empty()).then_some((name, gid, fields.next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::remove_tree;
    use crate::base::id::ContainerId;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nu:x:1000:50::/home/u:/bin/sh\n\
        4294967296:x:0:0::/:/bin/sh\nbad line\nhuge:x:4294967296:0::/:\nctl:x:7:7::relative:\n";
    const GROUP: &str = "root:x:0:\nfifty:x:50:\nsixty:x:60:u,other\nseventy:x:70:other,u\nhuge:x:4294967296:u\n";

    fn with_root(check: impl Fn(&Root)) {
        let dir = std::env::temp_dir().join(format!("box-user-{}", ContainerId::random()));
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        std::fs::write(dir.join("etc/passwd"), PASSWD).unwrap();
        std::fs::write(dir.join("etc/group"), GROUP).unwrap();
        check(&Root::open(&dir).unwrap());
        remove_tree(&dir).unwrap();
    }

    #[test]
    fn users_and_groups() {
        with_root(|root| {
            for (text, uid, gid, groups, home) in [
                ("", 0, 0, vec![], "/root"),
                ("root", 0, 0, vec![], "/root"),
                ("u", 1000, 50, vec![60, 70], "/home/u"),
                ("1000", 1000, 50, vec![60, 70], "/home/u"),
                ("01000:", 1000, 50, vec![60, 70], "/home/u"),
                ("1000:50", 1000, 50, vec![], "/home/u"),
                ("u:sixty", 1000, 60, vec![], "/home/u"),
                ("4242", 4242, 0, vec![], "/"),
                ("4242:17", 4242, 17, vec![], "/"),
                ("2147483647", 2_147_483_647, 0, vec![], "/"),
                ("ctl", 7, 7, vec![], "/"),
            ] {
                let user = resolve(root, text).unwrap();
                assert_eq!((user.uid, user.gid, user.groups, user.home.as_str()), (uid, gid, groups, home), "{text:?}");
            }
        });
    }

    #[test]
    fn further_groups() {
        with_root(|root| {
            let found = |groups: &[&str]| {
                let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
                resolve(root, &with_groups("u:50", &groups)).map(|user| (user.required, user.keep_groups))
            };
            assert_eq!(found(&[]).unwrap(), (vec![], false));
            assert_eq!(found(&["sixty", "7"]).unwrap(), (vec![60, 7], false));
            assert_eq!(found(&["keep-groups"]).unwrap(), (vec![], true));
            assert!(found(&["nogroup"]).is_err() && found(&["4294967296"]).is_err());
        });
        for (text, expected) in [("wheel", true), ("7", true), ("4294967296", false), ("", false), ("a\nb", false)] {
            assert_eq!(is_group(text), expected, "{text:?}");
        }
    }

    #[test]
    fn never_root_by_accident() {
        with_root(|root| {
            for text in [
                "4294967296",
                "2147483648",
                "4294967295",
                "-1",
                "0x0",
                ":0",
                "a:b:c",
                "u:-1",
                "u:4294967296",
                "huge",
                "bad line",
                " 0",
                "u:nogroup",
            ] {
                assert!(resolve(root, text).is_err(), "{text:?}");
            }
        });
    }

    #[test]
    fn hostile_files_are_refused_at_once() {
        let dir = std::env::temp_dir().join(format!("box-user-{}", ContainerId::random()));
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        let passwd = dir.join("etc/passwd");
        let root = Root::open(&dir).unwrap();
        assert_eq!(resolve(&root, "").unwrap().uid, 0, "no passwd at all");
        rustix::fs::mknodat(rustix::fs::CWD, &passwd, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(resolve(&root, "").is_err());
        std::fs::remove_file(&passwd).unwrap();
        std::fs::File::create(&passwd).unwrap().set_len(10 << 30).unwrap();
        assert!(resolve(&root, "0").is_err());
        std::fs::remove_file(&passwd).unwrap();
        std::fs::create_dir(&passwd).unwrap();
        assert!(resolve(&root, "0").is_err());
        remove_tree(&dir).unwrap();
    }
}
