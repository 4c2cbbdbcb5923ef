//! Which ids a new container gets, where that depends on the host: on subordinate ids, on other containers, on the image.

use super::idmap::{self, Map, Maps, Of};
use super::userns::Userns;
use crate::base::error::{Fault, Kind, fault};
use crate::base::lock::{Lock, Share};
use crate::container::config::RootSource;
use crate::container::record;
use crate::container::request::Request;
use crate::engine::Engine;
use crate::rootless::{self, Range};
use crate::runtime::user;
use crate::sys::root::Root;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What an image needs at least, as containers/storage has it.
const AUTO_SIZE: u32 = 1024;

/// `--uidmap`, `--gidmap`, `--subuidname` and `--subgidname`, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Words {
    /// `--uidmap`.
    pub uids: Vec<String>,
    /// `--gidmap`.
    pub gids: Vec<String>,
    /// `--subuidname`.
    pub users_of: Option<String>,
    /// `--subgidname`.
    pub groups_of: Option<String>,
}

/// Held from the choice of ids until they are in a record, so that no two containers choose the same.
pub fn reserve(engine: &Engine, request: &Request) -> Result<Option<Lock>> {
    match request.userns {
        Userns::Auto { .. } => Lock::acquire(&engine.dirs.data.join("userns.lock"), Share::Exclusive).map(Some),
        _ => Ok(None),
    }
}

/// The mode, with names as ids, and the maps that are decided now: those that do not follow from the mode alone.
pub fn decide(engine: &Engine, request: &Request, root: &RootSource, user: &str) -> Result<(Userns, Option<Maps>)> {
    let words = &request.rights.id_words;
    Ok(match &request.userns {
        Userns::Container(name) => {
            let deed = || format!("cannot use `--userns container:{name}`");
            let other = crate::container::find(engine, name).with_context(deed)?;
            (Userns::Container(other.config.id.to_string()), None)
        }
        Userns::Path(path) if !path.exists() => {
            return Err(fault(Kind::Usage, format!("cannot use `--userns {}`: there is no such file", request.userns)));
        }
        Userns::Private if words.users_of.is_some() || words.groups_of.is_some() => {
            (Userns::Private, Some(named(engine, words)?))
        }
        Userns::Private => (Userns::Private, Some(typed(engine, &words.uids, &words.gids)?)),
        auto @ Userns::Auto { size, uid_maps, gid_maps } => {
            (auto.clone(), Some(free(engine, size.unwrap_or_else(|| needed(engine, root, user)), uid_maps, gid_maps)?))
        }
        other => (other.clone(), None),
    })
}

/// What U0 maps: its ids as `inner`, the host's as `outer`.
fn own(engine: &Engine) -> Maps {
    let (users, groups) = rootless::own_ranges(engine.caller());
    Maps { uids: in_turn(&users), gids: in_turn(&groups) }
}

/// Ranges one after the other, from 0 on.
fn in_turn(ranges: &[Range]) -> Vec<Map> {
    let mut next = 0u32;
    let mut maps = Vec::new();
    for range in ranges {
        let size = range.count.min(u32::MAX - next);
        maps.push(Map { inner: next, outer: range.start, size });
        next += size;
    }
    maps
}

/// `--uidmap` and `--gidmap`: one that is not given is as the other.
fn typed(engine: &Engine, uids: &[String], gids: &[String]) -> Result<Maps> {
    let own = own(engine);
    let (uids, gids) = match (uids, gids) {
        (uids, []) => (uids, uids),
        ([], gids) => (gids, gids),
        both => both,
    };
    let maps = Maps {
        uids: idmap::explicit(uids, Of::Users, &own.uids)?,
        gids: idmap::explicit(gids, Of::Groups, &own.gids)?,
    };
    // With the flags u and g one of them may be left without any word: it is as outside.
    let or_own = |maps: Vec<Map>, own: &[Map]| match maps.is_empty() {
        true => own.iter().map(|map| Map { outer: map.inner, ..*map }).collect(),
        false => maps,
    };
    Ok(Maps { uids: or_own(maps.uids, &own.uids), gids: or_own(maps.gids, &own.gids) })
}

/// `--subuidname` and `--subgidname`: somebody's subordinate ids, which must be among ours.
fn named(engine: &Engine, words: &Words) -> Result<Maps> {
    let (Some(users), Some(groups)) =
        (words.users_of.as_ref().or(words.groups_of.as_ref()), words.groups_of.as_ref().or(words.users_of.as_ref()))
    else {
        return Err(fault(Kind::Usage, "there is no name"));
    };
    let own = own(engine);
    let (uids, gids) = rootless::named_ranges(users, groups);
    let map = |ranges: &[Range], own: &[Map], of: Of, name: &str, file: &str| -> Result<Vec<Map>> {
        if ranges.is_empty() {
            return Err(fault(Kind::Usage, format!("`{file}` has no range for `{}`", name.escape_debug())));
        }
        let words: Vec<String> =
            in_turn(ranges).iter().map(|map| format!("{}:@{}:{}", map.inner, map.outer, map.size)).collect();
        idmap::explicit(&words, of, own).with_context(|| format!("cannot use the ids of `{}`", name.escape_debug()))
    };
    Ok(Maps {
        uids: map(&uids, &own.uids, Of::Users, users, "/etc/subuid")?,
        gids: map(&gids, &own.gids, Of::Groups, groups, "/etc/subgid")?,
    })
}

/// How many ids an image needs: as far as its own files of users and groups know any.
fn needed(engine: &Engine, root: &RootSource, user: &str) -> u32 {
    let folders = root.lower(&engine.store);
    let known = folders.iter().filter_map(|folder| Root::open(folder).ok()).map(|root| user::largest_id(&root));
    let asked = user.split(':').filter_map(|part| part.parse::<u32>().ok());
    known.chain(asked).max().unwrap_or(0).saturating_add(1).max(AUTO_SIZE)
}

/// A range of ids that no other container has: of the subordinate ones, for real root of those of `containers`.
fn free(engine: &Engine, size: u32, uid_maps: &[String], gid_maps: &[String]) -> Result<Maps> {
    let own = own(engine);
    let pools = |own: &[Map]| -> Vec<Map> {
        let all = own.iter().map(|map| Map { inner: 0, outer: map.inner, size: map.size });
        all.filter(|pool| pool.outer > 0).collect()
    };
    let (users, groups) = match engine.caller().0 {
        0 => {
            let (users, groups) = rootless::named_ranges("containers", "containers");
            let pool = |range: &Range| Map { inner: 0, outer: range.start, size: range.count };
            (users.iter().map(pool).collect::<Vec<_>>(), groups.iter().map(pool).collect::<Vec<_>>())
        }
        _ => (pools(&own.uids), pools(&own.gids)),
    };
    let others = record::all(&engine.dirs);
    let taken = others.iter().filter(|other| matches!(other.config.userns, Userns::Auto { .. }));
    let taken: Vec<&Maps> = taken.filter_map(|other| other.config.rights.maps.as_ref()).collect();
    let choose = |pools: &[Map], taken: Vec<Map>| {
        idmap::free_range(pools, &taken, size).ok_or_else(|| {
            let who = if engine.caller().0 == 0 { "containers" } else { "$USER" };
            Fault::new(Kind::Host, format!("there are no {size} ids that no other container has"))
                .hint("take fewer: --userns auto:size=1024")
                .hint(format!("sudo usermod --add-subuids 200000-1200000 --add-subgids 200000-1200000 {who}"))
        })
    };
    let uids = choose(&users, taken.iter().flat_map(|maps| maps.uids.iter().copied()).collect())?;
    let gids = choose(&groups, taken.iter().flat_map(|maps| maps.gids.iter().copied()).collect())?;
    let with = |base: Map, words: &[String], of: Of, own: &[Map]| -> Result<Vec<Map>> {
        let further = idmap::explicit(words, of, own)?;
        Ok(further.into_iter().fold(vec![base], |maps, new| idmap::replaced(&maps, new)))
    };
    Ok(Maps { uids: with(uids, uid_maps, Of::Users, &own.uids)?, gids: with(gids, gid_maps, Of::Groups, &own.gids)? })
}
