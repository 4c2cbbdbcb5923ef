//! `--passwd`, `--passwd-entry`, `--group-entry` and `--hostuser`: users that the image does not know.

use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use crate::container::config::Config;
use crate::runtime::Accounts;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What was asked; after creation, what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// `--passwd`: whether a user that is given by number gets a line.
    pub passwd: bool,
    /// `--passwd-entry`.
    pub user_line: Option<String>,
    /// `--group-entry`.
    pub group_line: Option<String>,
    /// `--hostuser`: names; after creation, their lines.
    pub host_users: Vec<String>,
    /// What the user is called, under keep-id.
    pub name: Option<String>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { passwd: true, user_line: None, group_line: None, host_users: Vec::new(), name: None }
    }
}

/// Look up the host's users, and refuse what would be more than a line.
pub fn decide(wishes: &mut Wishes) -> Result<()> {
    for (flag, line) in [("--passwd-entry", &wishes.user_line), ("--group-entry", &wishes.group_line)] {
        let Some(line) = line else { continue };
        let fields = if flag == "--passwd-entry" { 7 } else { 4 };
        if line.chars().any(char::is_control) || line.split(':').count() != fields {
            let text =
                format!("`{flag} {}` is not a line of {fields} fields with colons between them", line.escape_debug());
            return Err(fault(Kind::Usage, text));
        }
        if !wishes.passwd {
            return Err(fault(Kind::Usage, format!("`--passwd=false` and `{flag}` do not go together")));
        }
    }
    if wishes.host_users.is_empty() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&read_limited(Path::new("/etc/passwd"), 16 << 20)?).into_owned();
    for name in &mut wishes.host_users {
        let line = text.lines().find(|line| {
            let mut fields = line.split(':');
            let (known, _, uid) = (fields.next(), fields.next(), fields.next());
            known == Some(name) || uid == Some(name)
        });
        let line = line.ok_or_else(|| {
            Fault::new(Kind::Usage, format!("`--hostuser {}`: the host has no such user", name.escape_debug()))
        })?;
        let mut fields: Vec<&str> = line.split(':').collect();
        if let Some(password) = fields.get_mut(1) {
            *password = "*";
        }
        *name = fields.join(":");
    }
    Ok(())
}

/// What the runtime adds to a container's own files; `None` where its user has no number, as root by default.
pub fn of(config: &Config) -> Option<Accounts> {
    let wishes = &config.rights.accounts;
    let numbered = config.user.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let grouped = config.user.split_once(':').is_some_and(|(_, group)| group.bytes().all(|byte| byte.is_ascii_digit()));
    // A folder that is used as it is stays so.
    let lent = matches!(config.root, crate::container::config::RootSource::Rootfs { overlay: false, .. });
    if lent || !wishes.passwd || !(numbered || grouped) && wishes.host_users.is_empty() {
        return None;
    }
    Some(Accounts {
        user_line: wishes.user_line.clone(),
        group_line: wishes.group_line.clone(),
        name: wishes.name.clone(),
        further: wishes.host_users.clone(),
    })
}
