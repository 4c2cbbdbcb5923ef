//! Lines of passwd(5) and group(5) that a container's own files lack: for a user or group that is given by number, and
//! for users of the host that were asked for.
//!
//! Everything goes through the confined resolver, into regular files only. The image is never trusted to say where.

use super::user::{self, Missing};
use crate::base::error::{Kind, fault};
use crate::sys::root::Root;
use anyhow::{Context, Result};
use oci_spec::runtime::Process;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// What is added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    /// The line for the user, if it has none: podman's `--passwd-entry` with its variables replaced here. `None`: a
    /// made-up one.
    pub user_line: Option<String>,
    /// The same for the group.
    pub group_line: Option<String>,
    /// What the user is called; its number if not given.
    pub name: Option<String>,
    /// Whole lines of passwd for further users.
    pub further: Vec<String>,
}

/// Add what is missing. What cannot be written, as in a root without changes of its own, is left out unless it was
/// asked for.
pub(super) fn complete(accounts: &Accounts, root: &Root, process: &Process) -> Result<()> {
    for line in &accounts.further {
        let name = line.split(':').next().unwrap_or_default();
        if user::is_missing_user(root, name)? {
            append(root, "/etc/passwd", line).context("cannot add a user of the host")?;
        }
    }
    let Some(text) = process.user().username() else { return Ok(()) };
    let Missing { user, group } = user::missing(root, text)?;
    let home = process.cwd().display().to_string();
    let home = if home.contains(':') { "/" } else { &home };
    if let Some((uid, gid)) = user {
        let number = uid.to_string();
        let name = accounts.name.as_deref().unwrap_or(&number);
        let made_up = "$USERNAME:*:$UID:$GID:$NAME:$HOME:/bin/sh";
        let line = accounts.user_line.as_deref().unwrap_or(made_up);
        let values = [
            ("$USERNAME", name),
            ("$UID", &number),
            ("$GID", &gid.to_string()),
            ("$NAME", "container user"),
            ("$HOME", home),
        ];
        added(append(root, "/etc/passwd", &filled(line, &values)), accounts.user_line.is_some())?;
    }
    if let Some(gid) = group {
        let number = gid.to_string();
        let line = accounts.group_line.as_deref().unwrap_or("$GROUPNAME:x:$GID:$USERLIST");
        let members = accounts.name.clone().or_else(|| user.map(|(uid, _)| uid.to_string())).unwrap_or_default();
        let values = [("$GROUPNAME", number.as_str()), ("$GID", &number), ("$USERLIST", &members)];
        added(append(root, "/etc/group", &filled(line, &values)), accounts.group_line.is_some())?;
    }
    Ok(())
}

/// A line nobody asked for may be missing.
fn added(result: Result<()>, asked: bool) -> Result<()> {
    match result {
        Err(_) if !asked => Ok(()),
        result => result.context("cannot add the container's user"),
    }
}

/// A line with its variables replaced; longer names first.
fn filled(line: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value))
}

/// Append a line to a regular file, which is made if missing.
fn append(root: &Root, path: &str, line: &str) -> Result<()> {
    if line.chars().any(char::is_control) {
        return Err(fault(Kind::BadData, format!("`{}` is not a line", line.escape_debug())));
    }
    let path = Path::new(path);
    let deed = || format!("cannot write to the container's `{}`", path.display());
    let before = match root.open_at(path, OFlags::PATH, Mode::empty()) {
        Ok(found) => {
            if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::RegularFile {
                return Err(fault(Kind::BadData, "it is not a regular file").context(deed()));
            }
            root.read(path).with_context(deed)?
        }
        Err(Errno::NOENT) => {
            drop(root.make_file(path, Mode::from_raw_mode(0o644)).with_context(deed)?);
            Vec::new()
        }
        Err(error) => return Err(error).with_context(deed),
    };
    let start = if before.last().is_some_and(|byte| *byte != b'\n') { "\n" } else { "" };
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = root.open_at(path, flags, Mode::empty()).with_context(deed)?;
    rustix::io::write(&file, format!("{start}{line}\n").as_bytes()).with_context(deed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::remove_tree;
    use crate::base::id::ContainerId;
    use oci_spec::runtime::{ProcessBuilder, UserBuilder};

    #[test]
    fn what_is_missing_is_added_once() {
        let dir = std::env::temp_dir().join(format!("box-accounts-{}", ContainerId::random()));
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        let root = Root::open(&dir).unwrap();
        let text = |name: &str| std::fs::read_to_string(dir.join("etc").join(name)).unwrap_or_default();
        let run = |user: &str, accounts: &Accounts| {
            std::fs::write(dir.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nann:x:7:50::/:/bin/sh").unwrap();
            std::fs::write(dir.join("etc/group"), "root:x:0:\n").unwrap();
            let user = UserBuilder::default().username(user).build().unwrap();
            let process = ProcessBuilder::default().user(user).cwd("/srv").build().unwrap();
            complete(accounts, &root, &process).map(|()| (text("passwd"), text("group")))
        };
        let added = |user: &str, accounts: &Accounts| {
            let (passwd, group) = run(user, accounts).unwrap();
            format!(
                "{} | {}",
                passwd.lines().skip(2).collect::<Vec<_>>().join(","),
                group.lines().skip(1).collect::<Vec<_>>().join(",")
            )
        };
        let plain = Accounts::default();
        for (user, expected) in [
            ("", " | "),
            ("0", " | "),
            ("ann", " | "),
            ("7", " | "),
            ("4242", "4242:*:4242:0:container user:/srv:/bin/sh | "),
            ("4242:17", "4242:*:4242:17:container user:/srv:/bin/sh | 17:x:17:4242"),
            ("0:17", " | 17:x:17:"),
            ("4242\n99", "4242:*:4242:0:container user:/srv:/bin/sh | "),
        ] {
            assert_eq!(added(user, &plain), expected, "{user:?}");
        }
        let own = Accounts {
            user_line: Some("me:x:$UID:$GID::$HOME:/bin/ash".into()),
            group_line: Some("us:x:$GID:".into()),
            name: None,
            further: vec!["bob:*:1234:1234::/home/bob:/bin/sh".into(), "ann:*:1:1::/:/x".into()],
        };
        assert_eq!(added("4242:17", &own), "bob:*:1234:1234::/home/bob:/bin/sh,me:x:4242:17::/srv:/bin/ash | us:x:17:");
        let forged = Accounts { user_line: Some("a:x:1:1::/:/x\nroot2:x:0:0::/:/x".into()), ..Accounts::default() };
        assert!(run("4242", &forged).is_err());
        remove_tree(&dir).unwrap();
    }
}
