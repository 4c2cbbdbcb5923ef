//! Mount options as the OCI specification has them: attributes, propagation, and what the file system understands.

use crate::base::error::{Kind, fault};
use anyhow::Result;
use rustix::mount::{MountAttrFlags as Attr, MountPropagationFlags as Propagation};
use std::path::PathBuf;

/// The options of one mount, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// For the mount itself.
    pub here: Change,
    /// For it and all mounts below it.
    pub below: Change,
    /// `MS_PRIVATE` and its kin, and whether for all mounts below too; `None` if not said.
    pub propagation: Option<(u64, bool)>,
    /// A bind mount, and how far it goes.
    pub bind: Option<Bind>,
    /// The files' owners are mapped, and how far.
    pub id_map: Option<Bind>,
    /// Copy what the mount covers into it (tmpfs).
    pub copy_up: bool,
    /// Only this part of a bind's source. An option of our own: `X-box.subpath=PATH`.
    pub subpath: Option<PathBuf>,
    /// For the file system: `key` or `key=value`.
    pub data: Vec<(String, Option<String>)>,
}

/// Attributes to change (`MOUNT_ATTR_…`), as mount_setattr(2) takes them: cleared first, then set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub set: u64,
    pub clear: u64,
}

impl Change {
    fn add(&mut self, attribute: &Attribute) {
        self.set = self.set & !attribute.class | attribute.set;
        // Several bits are one field, which is cleared before it is set (`MOUNT_ATTR__ATIME`).
        let is_field = attribute.class.count_ones() > 1;
        self.clear = self.clear & !attribute.class | attribute.class & !if is_field { 0 } else { attribute.set };
    }
}

/// How far a bind goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bind {
    /// One mount.
    Single,
    /// With the mounts below it.
    Recursive,
}

/// What an option's name says about attributes.
struct Attribute {
    name: &'static str,
    /// The bits that it decides about.
    class: u64,
    /// Those of them that it sets; the others it clears.
    set: u64,
}

const fn sets(name: &'static str, bits: Attr) -> Attribute {
    Attribute { name, class: bits.bits() as u64, set: bits.bits() as u64 }
}

const fn clears(name: &'static str, bits: Attr) -> Attribute {
    Attribute { name, class: bits.bits() as u64, set: 0 }
}

const fn access_time(name: &'static str, bits: Attr) -> Attribute {
    Attribute { name, class: Attr::MOUNT_ATTR__ATIME.bits() as u64, set: bits.bits() as u64 }
}

/// The options that are attributes of a mount; with an `r` before the name, of all mounts below it too.
const ATTRIBUTES: [Attribute; 16] = [
    sets("ro", Attr::MOUNT_ATTR_RDONLY),
    clears("rw", Attr::MOUNT_ATTR_RDONLY),
    sets("nosuid", Attr::MOUNT_ATTR_NOSUID),
    clears("suid", Attr::MOUNT_ATTR_NOSUID),
    sets("nodev", Attr::MOUNT_ATTR_NODEV),
    clears("dev", Attr::MOUNT_ATTR_NODEV),
    sets("noexec", Attr::MOUNT_ATTR_NOEXEC),
    clears("exec", Attr::MOUNT_ATTR_NOEXEC),
    sets("nodiratime", Attr::MOUNT_ATTR_NODIRATIME),
    clears("diratime", Attr::MOUNT_ATTR_NODIRATIME),
    sets("nosymfollow", NOSYMFOLLOW),
    clears("symfollow", NOSYMFOLLOW),
    access_time("relatime", Attr::MOUNT_ATTR_RELATIME),
    access_time("atime", Attr::MOUNT_ATTR_RELATIME),
    access_time("noatime", Attr::MOUNT_ATTR_NOATIME),
    access_time("strictatime", Attr::MOUNT_ATTR_STRICTATIME),
];

/// `MOUNT_ATTR_NOSYMFOLLOW`, Linux 5.14.
const NOSYMFOLLOW: Attr = Attr::from_bits_retain(0x0020_0000);

const PROPAGATIONS: [(&str, Propagation); 4] = [
    ("private", Propagation::PRIVATE),
    ("slave", Propagation::DOWNSTREAM),
    ("shared", Propagation::SHARED),
    ("unbindable", Propagation::UNBINDABLE),
];

/// Options that say nothing here: defaults, and what only a higher layer means something by.
const IGNORED: [&str; 14] = [
    "defaults",
    "silent",
    "async",
    "norelatime",
    "nostrictatime",
    "rnorelatime",
    "rnostrictatime",
    "nomand",
    "noiversion",
    "notmpcopyup",
    "loud",
    "nolazytime",
    "noauto",
    "nofail",
];

/// mount(8) leaves options that begin with `X-` to whoever knows them.
pub const SUBPATH: &str = "X-box.subpath=";

impl Options {
    /// Understand a list of options. Unknown ones go to the file system, which refuses what it does not know; for a
    /// bind there is none, and they are refused here.
    pub fn parse(options: &[String]) -> Result<Self> {
        let mut found = Self::default();
        for option in options {
            if !found.take(option) {
                let (key, value) = match option.split_once('=') {
                    Some((key, value)) => (key, Some(value.to_owned())),
                    None => (option.as_str(), None),
                };
                found.data.push((key.to_owned(), value));
            }
        }
        if found.bind.is_some()
            && let Some((key, _)) = found.data.first()
        {
            return Err(fault(Kind::Usage, format!("a bind mount has no option `{}`", key.escape_debug())));
        }
        Ok(found)
    }

    /// One option, if it is not the file system's.
    fn take(&mut self, option: &str) -> bool {
        match option {
            "bind" => self.bind = Some(Bind::Single),
            "rbind" => self.bind = Some(Bind::Recursive),
            "idmap" => self.id_map = Some(Bind::Single),
            "ridmap" => self.id_map = Some(Bind::Recursive),
            // Callers write it for what is just not `ro`; what the source has locked stays so.
            "rw" => self.here.set &= !u64::from(Attr::MOUNT_ATTR_RDONLY.bits()),
            "tmpcopyup" => self.copy_up = true,
            _ if option.starts_with(SUBPATH) => self.subpath = option.strip_prefix(SUBPATH).map(PathBuf::from),
            _ if IGNORED.contains(&option) => {}
            _ => return self.take_attribute(option) || self.take_propagation(option),
        }
        true
    }

    fn take_attribute(&mut self, option: &str) -> bool {
        let known = |name: &str| ATTRIBUTES.iter().find(|known| known.name == name);
        // `ro`, `rw` and `relatime` begin with an r of their own.
        if let Some(attribute) = known(option) {
            self.here.add(attribute);
        } else if let Some(attribute) = option.strip_prefix('r').and_then(known) {
            self.below.add(attribute);
        } else {
            return false;
        }
        true
    }

    /// What a new file system is mounted with: there is nothing to clear, and nothing below it.
    pub fn fresh(&self) -> u64 {
        self.below.set & !self.here.clear | self.here.set
    }

    fn take_propagation(&mut self, option: &str) -> bool {
        let exact = PROPAGATIONS.iter().find(|known| known.0 == option);
        let recursive = option.strip_prefix('r').and_then(|name| PROPAGATIONS.iter().find(|known| known.0 == name));
        let Some((_, kind)) = exact.or(recursive) else { return false };
        self.propagation = Some((kind.bits().into(), exact.is_none()));
        true
    }
}

/// The names of all options that mean something for every file system.
pub(super) fn names() -> Vec<String> {
    let mut names: Vec<String> = ["bind", "rbind", "idmap", "ridmap", "tmpcopyup"].map(str::to_owned).into();
    names.extend(IGNORED.map(str::to_owned));
    let both = ATTRIBUTES.iter().map(|attribute| attribute.name).chain(PROPAGATIONS.map(|(name, _)| name));
    names.extend(both.flat_map(|name| [name.to_owned(), format!("r{name}")]));
    names.sort();
    names
}

/// Whether a mount's options need the host's mounts to go on reaching it.
pub(super) fn follows_host(options: &[String]) -> bool {
    options.iter().any(|option| matches!(option.as_str(), "slave" | "rslave" | "shared" | "rshared"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Options {
        let list: Vec<String> = text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Options::parse(&list).unwrap()
    }

    #[test]
    fn all_names_are_understood() {
        for name in names() {
            assert_eq!(parse(&name).data, [], "{name}");
        }
    }

    #[test]
    fn attributes_and_data() {
        let options = parse("nosuid,noexec,mode=755,size=64k,noswap,strictatime");
        assert_eq!(options.here, Change { set: 2 | 8 | 0x20, clear: 0x70 });
        assert_eq!(options.fresh(), 2 | 8 | 0x20);
        assert_eq!(options.data.len(), 3);
        assert_eq!(options.data[0], ("mode".to_owned(), Some("755".to_owned())));
        assert_eq!(options.data[2], ("noswap".to_owned(), None));
    }

    #[test]
    fn the_last_word_counts() {
        for (text, set, clear) in [
            ("ro,rw", 0, 0),
            ("rw,ro", 1, 0),
            ("noatime,relatime", 0, 0x70),
            ("nosuid,suid", 0, 2),
            ("suid,nosuid", 2, 0),
            ("nodiratime,diratime,nosymfollow", 0x20_0000, 0x80),
        ] {
            assert_eq!(parse(text).here, Change { set, clear }, "{text}");
        }
    }

    #[test]
    fn with_an_r_all_that_is_below_is_meant() {
        let options = parse("rbind,rro,rexec,rnoatime,nosuid");
        assert_eq!(options.below, Change { set: 1 | 0x10, clear: 8 | 0x70 });
        assert_eq!(options.here, Change { set: 2, clear: 0 });
        for word in ["rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec", "rnodiratime", "rdiratime"]
        {
            assert_ne!(parse(word).below, Change::default(), "{word}");
        }
        for word in ["rrelatime", "rnoatime", "ratime", "rstrictatime", "rnosymfollow", "rsymfollow"] {
            assert_ne!(parse(word).below, Change::default(), "{word}");
        }
    }

    #[test]
    fn binds() {
        let options = parse("rbind,rro,rslave,ridmap");
        assert_eq!((options.bind, options.id_map), (Some(Bind::Recursive), Some(Bind::Recursive)));
        assert_eq!(options.propagation, Some((1 << 19, true)));
        assert_eq!(parse("bind,slave,idmap").propagation, Some((1 << 19, false)));
        assert!(Options::parse(&["bind".to_owned(), "size=1".to_owned()]).is_err());
        assert!(follows_host(&["rslave".to_owned()]));
    }
}
