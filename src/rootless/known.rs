//! Which of the host's ids the store's files belong to: noted when the user's namespace is made, so that another map is
//! told of, and not found out by files that have lost their owner.
//!
//! ```text
//! data/ids     1 0:1000:1,1:100000:65536 0:1000:1,1:100000:65536      users, groups: inside, outside, how many
//! ```

use super::subid::user_name;
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind};
use crate::base::fs::{Durability, read_limited, replace};
use std::path::Path;

/// Note the map of this namespace, or say that it is another than the store's files were written with. In U0, just made.
///
/// A map that goes on where the old one ended is none: all old files keep their owners.
pub fn changed(dirs: &Dirs, caller: u32) -> Option<Fault> {
    let file = dirs.data.join("ids");
    let map = |name: &str| std::fs::read_to_string(name).ok().map(|text| written(&text));
    let now = format!("1 {} {}\n", map("/proc/self/uid_map")?, map("/proc/self/gid_map")?);
    let before = read_limited(&file, 1 << 16).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    if before == now {
        return None;
    }
    if let Some(lost) = lost(&before, &now).filter(|_| has_files(dirs)) {
        let data = dirs.data.display();
        let name = user_name(caller).unwrap_or_else(|| caller.to_string());
        let (first, last) = (lost.0, lost.0 + u64::from(lost.1.saturating_sub(1)));
        let text = format!(
            "files in `{data}` belong to the user ids {first} to {last}, which are others in containers by now, or \
             nobody's: /etc/subuid or /etc/subgid has changed"
        );
        let back = format!("`{name}:{first}:{}` as your only line in both, then `box system migrate`", lost.1);
        return Some(
            Fault::new(Kind::Host, text).hint(format!("as it was: {back}")).hint("or begin anew: box system reset"),
        );
    }
    // On a read-only disk it is noted another time.
    let _ = replace(&file, now.as_bytes(), Durability::Cached);
    None
}

/// A map of user_namespaces(7) in one word.
fn written(map: &str) -> String {
    let lines = map.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(":"));
    lines.collect::<Vec<_>>().join(",")
}

/// The first range of a map that another does not have in the same place: where it began on the host, and how long it was.
fn lost(before: &str, now: &str) -> Option<(u64, u32)> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (before, now) = (words(before), words(now));
    for (old, new) in before.iter().zip(&now).skip(1) {
        let mut kept = new.split(',');
        if let Some(range) = old.split(',').find(|range| kept.next() != Some(range)) {
            let mut numbers = range.split(':').skip(1);
            return Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?));
        }
    }
    None
}

/// Whether there is anything yet that has an owner.
fn has_files(dirs: &Dirs) -> bool {
    let any = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    any(&dirs.layers()) || any(&dirs.volumes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(written(map), "0:1000:1,1:100000:65536");
        let one = "1 0:5:1,1:100:10 0:6:1,1:100:10\n";
        for (now, expected) in [
            (one, None),
            ("1 0:5:1,1:100:10,11:500:9 0:6:1,1:100:10\n", None),
            ("1 0:5:1,1:200:10 0:6:1,1:200:10\n", Some((100, 10))),
            ("1 0:5:1,1:500:9,10:100:10 0:6:1,1:100:10\n", Some((100, 10))),
            ("1 0:5:1,1:100:10 0:6:1\n", Some((100, 10))),
            ("1 0:7:1,1:100:10 0:6:1,1:100:10\n", Some((5, 1))),
        ] {
            assert_eq!(lost(one, now), expected, "{now}");
        }
        assert_eq!(lost("", one), None);
    }
}
