//! Whether this slirp4netns is one that may be fed with a container's packets: its versions, asked once for each file.
//!
//! ```text
//! $RUN/slirp4netns.checked     the file that was asked: device, inode, size, time of change
//! ```
//!
//! libslirp before 4.6.0 could be broken by packets (CVE-2021-3592 to 3595, CVE-2020-29129, CVE-2020-10756).

use crate::base::error::{Fault, Kind};
use crate::base::fs::{Durability, replace};
use crate::base::program;
use anyhow::Result;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// slirp4netns that can lock itself in (`--enable-sandbox`, `--enable-seccomp`).
const SLIRP4NETNS: (u32, u32, u32) = (0, 4, 0);
/// libslirp without known holes.
const LIBSLIRP: (u32, u32, u32) = (4, 6, 0);

/// Refuse a slirp4netns that is too old. One that is not there is somebody else's error.
///
/// Costs two system calls and a small file when it was asked before. Errors: [`Kind::Host`], with what to type.
pub fn check_slirp(run: &Path) -> Result<()> {
    let Some(path) = program::find("slirp4netns") else { return Ok(()) };
    let Ok(meta) = std::fs::metadata(&path) else { return Ok(()) };
    let stamp = format!("{} {} {} {}.{}\n", meta.dev(), meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec());
    let known = run.join("slirp4netns.checked");
    if std::fs::read(&known).is_ok_and(|text| text == stamp.as_bytes()) {
        return Ok(());
    }
    let asked = Command::new(&path).arg("--version").env_clear().stdin(Stdio::null()).output();
    check(&asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default())?;
    // Without it, the next one asks again.
    let _ = replace(&known, stamp.as_bytes(), Durability::Cached);
    Ok(())
}

/// What `slirp4netns --version` says. A version that is not told is not held against it.
fn check(said: &str) -> Result<()> {
    let told = |name: &str| said.lines().find_map(|line| version(line.strip_prefix(name)?));
    for (name, words, least) in
        [("slirp4netns", "slirp4netns version ", SLIRP4NETNS), ("libslirp", "libslirp: ", LIBSLIRP)]
    {
        if let Some(has) = told(words).filter(|has| *has < least) {
            let shown = |(a, b, c)| format!("{a}.{b}.{c}");
            let text = format!("{name} {} is too old to be fed with a container's packets safely", shown(has));
            return Err(Fault::new(Kind::Host, format!("{text}: {} is the first that is not", shown(least)))
                .hint(program::how_to_install("slirp4netns", &[]))
                .hint("or use pasta, where that is installed: `--network pasta`")
                .into());
        }
    }
    Ok(())
}

fn version(text: &str) -> Option<(u32, u32, u32)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut numbers = text.get(..end)?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_refused() {
        for (said, refused) in [
            ("slirp4netns version 1.2.0\ncommit: 65\nlibslirp: 4.7.0\nSLIRP_CONFIG_VERSION_MAX: 4\n", None),
            ("slirp4netns version 1.0.1+dev\nlibslirp: 4.6.0\n", None),
            ("slirp4netns version 1.0.1\nlibslirp: 4.4.0\n", Some("libslirp 4.4.0 is too old")),
            ("slirp4netns version 0.3.3\n", Some("slirp4netns 0.3.3 is too old")),
            ("slirp4netns version 0.4\n", None),
            ("something else", None),
            ("", None),
        ] {
            let error = check(said).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), refused.is_some(), "{said}");
            assert!(refused.is_none_or(|text| error.unwrap().starts_with(text)), "{said}");
        }
    }
}
