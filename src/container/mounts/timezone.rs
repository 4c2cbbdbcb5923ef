//! `--tz`: the host's file of a time zone as the container's `/etc/localtime`. localtime(5).

use super::{Mount, Source};
use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use std::path::{Component, Path};

/// Where the zones are.
const ZONES: &str = "/usr/share/zoneinfo";
/// The zone that holds.
const LOCAL: &str = "/etc/localtime";

/// The mount that a zone's name, or `local`, means; none where `mounts` has something there already.
///
/// Errors: there is no such zone on the host.
pub fn timezone(zone: &str, mounts: &[Mount]) -> Result<Option<Mount>> {
    if mounts.iter().any(|mount| mount.target == Path::new(LOCAL)) {
        return Ok(None);
    }
    let shown = zone.escape_debug();
    let plain = Path::new(zone).components().all(|part| matches!(part, Component::Normal(_)));
    let path = match zone {
        "local" => Path::new(LOCAL).to_owned(),
        _ if !plain || zone.is_empty() => {
            return Err(fault(Kind::Usage, format!("`--tz {shown}` is no time zone: use a name like Europe/Berlin")));
        }
        _ => Path::new(ZONES).join(zone),
    };
    let source = std::fs::canonicalize(&path).ok().filter(|path| path.is_file());
    let Some(source) = source else {
        let text = format!("`--tz {shown}`: there is no `{}` on this host", path.display());
        let hint = if Path::new(ZONES).is_dir() { "timedatectl list-timezones" } else { "sudo apt-get install tzdata" };
        return Err(Fault::new(Kind::Usage, text).hint(hint).into());
    };
    let mut mount = Mount::new(Source::Bind { source }, LOCAL);
    mount.options.read_only = true;
    Ok(Some(mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_among_the_zones() {
        for wrong in ["", "../../etc/passwd", "/etc/passwd", "Europe/../../x", "./x", "No/Where"] {
            assert!(timezone(wrong, &[]).is_err(), "{wrong}");
        }
        let there = Mount::new(Source::Tmpfs, "/etc/localtime");
        assert!(timezone("No/Where", &[there]).unwrap().is_none());
    }
}
