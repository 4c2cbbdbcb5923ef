//! Which ids a container has: the maps of `--userns`, and the words of `--uidmap` and `--gidmap`. Pure.
//!
//! Outer ids here are those of the user's namespace U0, where the caller is 0 and the subordinate ids follow: podman's
//! "intermediate" ids. For real root they are the host's. See podman-run(1), `--uidmap`.

use super::userns::Userns;
use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder};
use serde::{Deserialize, Serialize};

/// A range of ids and what they are outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// The first id in the container.
    pub inner: u32,
    /// What it is in U0.
    pub outer: u32,
    /// How many follow it, itself included.
    pub size: u32,
}

/// Both maps of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Maps {
    /// Of users.
    pub uids: Vec<Map>,
    /// Of groups.
    pub gids: Vec<Map>,
}

/// Users or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// `--uidmap`.
    Users,
    /// `--gidmap`.
    Groups,
}

/// The ids that there are: the caller's and how many subordinate ones follow it.
#[derive(Debug, Clone, Copy)]
pub struct Available {
    /// The caller's uid and gid outside.
    pub caller: (u32, u32),
    /// How many ids above 0 U0 maps.
    pub subordinate: u32,
}

/// The maps of a mode; `None` where there is no user namespace to be mapped. `decided` are those found at creation.
pub fn maps(userns: &Userns, decided: Option<&Maps>, available: Available) -> Result<Option<Maps>> {
    Ok(match userns {
        Userns::Host | Userns::Container(_) | Userns::Path(_) => None,
        Userns::KeepId { size, .. } => {
            let (uid, gid) = caller_inside(userns, available.caller);
            let subordinate = size.map_or(available.subordinate, |size| available.subordinate.min(size - 1));
            Some(Maps { uids: keep_id(uid, subordinate), gids: keep_id(gid, subordinate) })
        }
        Userns::NoMap if available.subordinate == 0 => {
            return Err(Fault::new(Kind::Host, "`--userns nomap` needs subordinate ids, and there are none")
                .hint("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER")
                .into());
        }
        Userns::NoMap => {
            let all = vec![Map { inner: 0, outer: 1, size: available.subordinate }];
            Some(Maps { uids: all.clone(), gids: all })
        }
        Userns::Auto { .. } | Userns::Private => {
            let beyond = |map: &&Map| map.outer.saturating_add(map.size - 1) > available.subordinate;
            let mut both = decided.iter().flat_map(|maps| maps.uids.iter().chain(&maps.gids));
            if let (Some(map), false) = (both.find(beyond), available.caller.0 == 0) {
                let (last, most) = (map.outer.saturating_add(map.size - 1), available.subordinate);
                return Err(fault(Kind::Usage, format!("its ids reach to {last}, and yours only to {most}")));
            }
            decided.cloned()
        }
    })
}

/// The ids that the caller has inside, under `keep-id`.
pub fn caller_inside(userns: &Userns, caller: (u32, u32)) -> (u32, u32) {
    match userns {
        Userns::KeepId { uid, gid, .. } => (uid.unwrap_or(caller.0), gid.unwrap_or(caller.1)),
        _ => caller,
    }
}

/// The caller is `own` inside, ids below and above are subordinate ones.
fn keep_id(own: u32, subordinate: u32) -> Vec<Map> {
    let below = own.min(subordinate);
    let all = [
        Map { inner: 0, outer: 1, size: below },
        Map { inner: own, outer: 0, size: 1 },
        Map { inner: own.saturating_add(1), outer: below + 1, size: subordinate - below },
    ];
    all.into_iter().filter(|map| map.size > 0).collect()
}

/// One word of `--uidmap` or `--gidmap`.
struct Word {
    extends: bool,
    users: bool,
    groups: bool,
    /// The outer id is one of the host's.
    of_host: bool,
    map: Map,
}

/// Parse `[+ug]INNER:[@]OUTER[:SIZE]`.
fn parse(text: &str) -> Result<Word> {
    let wrong = || {
        Fault::new(Kind::Usage, format!("the id map `{}` is not [+ug]INNER:[@]OUTER[:SIZE]", text.escape_debug()))
            .hint("--uidmap 0:1:1000 --uidmap 1000:0:1")
    };
    let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let (flags, rest) = text.split_at(digits);
    let parts: Vec<&str> = rest.split(':').collect();
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let (inner, outer, size) = match parts[..] {
        [inner, outer] => (inner, outer, "1"),
        [inner, outer, size] => (inner, outer, size),
        _ => return Err(wrong().into()),
    };
    let (of_host, outer) = outer.strip_prefix('@').map_or((false, outer), |outer| (true, outer));
    let (Some(inner), Some(outer), Some(size)) = (number(inner), number(outer), number(size)) else {
        return Err(wrong().into());
    };
    let fits = inner.checked_add(size).is_some() && outer.checked_add(size).is_some() && size > 0;
    if !fits || flags.chars().any(|flag| !"+ug".contains(flag)) {
        return Err(wrong().into());
    }
    let (users, groups) = (flags.contains('u'), flags.contains('g'));
    Ok(Word {
        extends: flags.contains('+'),
        users: users || !groups,
        groups: groups || !users,
        of_host,
        map: Map { inner, outer, size },
    })
}

/// The map that words make. `own` is what U0 maps: its ids as `inner`, the host's as `outer`.
///
/// With `+` a word replaces what it contradicts; if the first one has it, all other ids are filled in.
pub fn explicit(words: &[String], of: Of, own: &[Map]) -> Result<Vec<Map>> {
    let (mut found, mut fills) = (Vec::new(), false);
    for text in words {
        let word = parse(text)?;
        if !(if of == Of::Users { word.users } else { word.groups }) {
            continue;
        }
        let pieces = if word.of_host { of_host(word.map, own, text)? } else { vec![word.map] };
        for piece in pieces {
            if word.extends {
                fills |= found.is_empty();
                found = replaced(&found, piece);
            } else {
                found.push(piece);
            }
        }
    }
    if fills {
        found = filled(found, own);
    }
    let found = merged(found);
    check(&found)?;
    Ok(found)
}

/// A map whose outer ids are the host's, as U0 has them.
fn of_host(map: Map, own: &[Map], text: &str) -> Result<Vec<Map>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < map.size {
        let id = map.outer + at;
        let part = own.iter().find(|part| id >= part.outer && id - part.outer < part.size).ok_or_else(|| {
            fault(Kind::Usage, format!("the id map `{}`: the host's id {id} is not yours", text.escape_debug()))
        })?;
        let offset = id - part.outer;
        let size = (map.size - at).min(part.size - offset);
        pieces.push(Map { inner: map.inner + at, outer: part.inner + offset, size });
        at += size;
    }
    Ok(pieces)
}

/// The maps with a further one, and without what contradicts it.
pub fn replaced(maps: &[Map], new: Map) -> Vec<Map> {
    let inner = |map: &Map| (map.inner, new.inner);
    let outer = |map: &Map| (map.outer, new.outer);
    let without = |maps: &[Map], side: &dyn Fn(&Map) -> (u32, u32)| -> Vec<Map> {
        maps.iter().flat_map(|map| cut(*map, side(map), new.size)).collect()
    };
    let mut left = without(&without(maps, &inner), &outer);
    left.push(new);
    left
}

/// A map without the ids from `other` on, on the side on which it starts at `start`.
fn cut(map: Map, (start, other): (u32, u32), size: u32) -> Vec<Map> {
    let from = other.saturating_sub(start).min(map.size);
    let to = (u64::from(other) + u64::from(size)).saturating_sub(u64::from(start)).min(u64::from(map.size)) as u32;
    if from >= to {
        return vec![map];
    }
    let after = Map { inner: map.inner + to, outer: map.outer + to, size: map.size - to };
    [Map { size: from, ..map }, after].into_iter().filter(|map| map.size > 0).collect()
}

/// All ids of U0 that are left over, on the ids of the container that are free, from 0 on.
fn filled(mut maps: Vec<Map>, own: &[Map]) -> Vec<Map> {
    maps.sort_by_key(|map| map.inner);
    let mut left: Vec<Map> = own.iter().map(|part| Map { outer: part.inner, ..*part }).collect();
    for map in &maps {
        left = left.iter().flat_map(|part| cut(*part, (part.outer, map.outer), map.size)).collect();
    }
    left.sort_by_key(|part| part.outer);
    let (mut all, mut next) = (Vec::new(), 0);
    let mut taken = maps.iter().peekable();
    for part in left {
        let mut at = 0;
        while at < part.size {
            while let Some(map) = taken.next_if(|map| map.inner <= next) {
                next = next.max(map.inner.saturating_add(map.size));
            }
            let room = taken.peek().map_or(u32::MAX - next, |map| map.inner - next);
            let size = (part.size - at).min(room);
            if size == 0 {
                break;
            }
            all.push(Map { inner: next, outer: part.outer + at, size });
            (at, next) = (at + size, next + size);
        }
    }
    all.extend(maps);
    all
}

/// In order, neighbours joined.
fn merged(mut maps: Vec<Map>) -> Vec<Map> {
    maps.sort_by_key(|map| map.inner);
    let mut joined: Vec<Map> = Vec::new();
    for map in maps {
        match joined.last_mut() {
            Some(last) if last.inner + last.size == map.inner && last.outer + last.size == map.outer => {
                last.size += map.size;
            }
            _ => joined.push(map),
        }
    }
    joined
}

/// What the kernel would refuse without a word: ids that are mapped twice, or too many lines (user_namespaces(7)).
fn check(maps: &[Map]) -> Result<()> {
    let clash = |side: fn(&Map) -> u32| {
        let mut sorted: Vec<&Map> = maps.iter().collect();
        sorted.sort_by_key(|map| side(map));
        sorted.windows(2).find(|pair| side(pair[0]) + pair[0].size > side(pair[1])).map(|pair| side(pair[1]))
    };
    if let Some(id) = clash(|map| map.inner) {
        return Err(Fault::new(Kind::Usage, format!("the id maps give the container's id {id} two meanings"))
            .hint("a `+` before a map replaces what it contradicts: --uidmap +1000:0:1")
            .into());
    }
    if let Some(id) = clash(|map| map.outer) {
        return Err(fault(Kind::Usage, format!("the id maps give id {id} to two ids of the container")));
    }
    if maps.len() > 340 {
        return Err(fault(Kind::Usage, "the id maps have more than 340 ranges, the kernel's limit"));
    }
    Ok(())
}

/// The first range of `size` ids in the pools that nobody has taken.
pub fn free_range(pools: &[Map], taken: &[Map], size: u32) -> Option<Map> {
    pools.iter().find_map(|pool| {
        let mut start = pool.outer;
        let end = pool.outer + pool.size;
        while start.checked_add(size)? <= end {
            let last = start + size;
            match taken.iter().find(|map| map.outer < last && map.outer + map.size > start) {
                Some(map) => start = map.outer + map.size,
                None => return Some(Map { inner: 0, outer: start, size }),
            }
        }
        None
    })
}

/// Where an id of the container lies in U0.
pub fn place(maps: &[Map], id: u32) -> Option<u32> {
    maps.iter().find(|map| id >= map.inner && id - map.inner < map.size).map(|map| map.outer + (id - map.inner))
}

/// As a specification has them.
pub fn specified(maps: &[Map]) -> Result<Vec<LinuxIdMapping>> {
    let map =
        |map: &Map| LinuxIdMappingBuilder::default().container_id(map.inner).host_id(map.outer).size(map.size).build();
    Ok(maps.iter().map(map).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(maps: &[Map]) -> String {
        maps.iter().map(|map| format!("{}:{}:{}", map.inner, map.outer, map.size)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn modes() {
        let text = |mode: &str, caller, subordinate| {
            let available = Available { caller: (caller, caller), subordinate };
            let found = maps(&Userns::parse(mode).unwrap(), None, available);
            found.map_or("error".to_owned(), |maps| maps.map_or("none".to_owned(), |maps| shown(&maps.uids)))
        };
        for (mode, caller, subordinate, expected) in [
            ("host", 1000, 65536, "none"),
            ("keep-id", 1000, 65536, "0:1:1000 1000:0:1 1001:1001:64536"),
            ("keep-id", 0, 65536, "0:0:1 1:1:65536"),
            ("keep-id", 70000, 65536, "0:1:65536 70000:0:1"),
            ("keep-id", 1000, 0, "1000:0:1"),
            ("keep-id:uid=7", 1000, 65536, "0:1:7 7:0:1 8:8:65529"),
            ("keep-id:uid=0,size=10", 1000, 65536, "0:0:1 1:1:9"),
            ("keep-id:size=10", 1000, 65536, "0:1:9 1000:0:1"),
            ("nomap", 1000, 65536, "0:1:65536"),
            ("nomap", 1000, 0, "error"),
        ] {
            assert_eq!(text(mode, caller, subordinate), expected, "{mode} {caller} {subordinate}");
        }
    }

    #[test]
    fn words() {
        let own = [Map { inner: 0, outer: 1000, size: 1 }, Map { inner: 1, outer: 100_000, size: 65536 }];
        let text = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            explicit(&words, Of::Users, &own).map_or("error".to_owned(), |maps| shown(&maps))
        };
        for (words, expected) in [
            (&["0:1:10"][..], "0:1:10"),
            (&["5:0"], "5:0:1"),
            (&["1:1:9", "0:0:1"], "0:0:10"),
            (&["0:1:1000", "1000:0:1"], "0:1:1000 1000:0:1"),
            (&["u0:1:10", "g0:5:10"], "0:1:10"),
            (&["0:@100000:10"], "0:1:10"),
            (&["0:@1000"], "0:0:1"),
            (&["0:@99999"], "error"),
            (&["0:0:65000", "+100000:1:1"], "0:0:1 2:2:64998 100000:1:1"),
            (&["+1000:0:1"], "0:1:1000 1000:0:1 1001:1001:64536"),
            (&["+0:@1000"], "0:0:65537"),
            (&["0:0:10", "5:20:1"], "error"),
            (&["0:0:10", "20:5:1"], "error"),
            (&["0"], "error"),
            (&["x0:0:1"], "error"),
            (&["0:0:0"], "error"),
            (&["4294967295:0:2"], "error"),
            (&["0:-1:1"], "error"),
            (&["0:0:1:1"], "error"),
        ] {
            assert_eq!(text(words), expected, "{words:?}");
        }
        let groups = explicit(&["u0:1:10".into(), "g0:5:10".into()], Of::Groups, &own).unwrap();
        assert_eq!(shown(&groups), "0:5:10");
    }

    #[test]
    fn ranges_that_nobody_has() {
        let map = |outer, size| Map { inner: 0, outer, size };
        let pools = [map(1, 100), map(1000, 100)];
        let start = |taken: &[Map], size| free_range(&pools, taken, size).map(|map| map.outer);
        assert_eq!(start(&[], 100), Some(1));
        assert_eq!(start(&[map(1, 1)], 100), Some(1000));
        assert_eq!(start(&[map(1, 10), map(31, 10)], 20), Some(11));
        assert_eq!(start(&[map(1, 10), map(21, 10)], 20), Some(31));
        assert_eq!(start(&[], 101), None);
        assert_eq!(start(&[map(50, 1), map(1050, 1)], 60), None);
    }

    #[test]
    fn places() {
        let maps = keep_id(5, 10);
        assert_eq!(
            (place(&maps, 0), place(&maps, 5), place(&maps, 6), place(&maps, 11)),
            (Some(1), Some(0), Some(6), None)
        );
    }
}
