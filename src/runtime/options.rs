//! Mount options as the OCI specification has them: attributes, propagation, and what the file system understands.

use crate::base::error::{Kind, fault};
use anyhow::Result;
use rustix::mount::{MountAttrFlags as Attr, MountPropagationFlags as Propagation};

/// The options of one mount, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `MOUNT_ATTR_…` to set.
    pub set: u64,
    /// `MOUNT_ATTR_…` to clear (only a class of its own, as the access time, or what was set by an earlier option).
    pub clear: u64,
    /// As `set`, but for all mounts below too.
    pub set_recursive: u64,
    /// `MS_PRIVATE` and its kin; `None` if not said.
    pub propagation: Option<u64>,
    /// A bind mount, and how far it goes.
    pub bind: Option<Bind>,
    /// Copy what the mount covers into it (tmpfs).
    pub copy_up: bool,
    /// For the file system: `key` or `key=value`.
    pub data: Vec<(String, Option<String>)>,
}

/// How far a bind goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bind {
    /// One mount.
    Single,
    /// With the mounts below it.
    Recursive,
}

/// The attributes that have a name; the flag tells whether the name sets or clears them.
const ATTRIBUTES: [(&str, Attr, bool); 13] = [
    ("ro", Attr::MOUNT_ATTR_RDONLY, true),
    ("rw", Attr::MOUNT_ATTR_RDONLY, false),
    ("nosuid", Attr::MOUNT_ATTR_NOSUID, true),
    ("suid", Attr::MOUNT_ATTR_NOSUID, false),
    ("nodev", Attr::MOUNT_ATTR_NODEV, true),
    ("dev", Attr::MOUNT_ATTR_NODEV, false),
    ("noexec", Attr::MOUNT_ATTR_NOEXEC, true),
    ("exec", Attr::MOUNT_ATTR_NOEXEC, false),
    ("nodiratime", Attr::MOUNT_ATTR_NODIRATIME, true),
    ("diratime", Attr::MOUNT_ATTR_NODIRATIME, false),
    ("nosymfollow", NOSYMFOLLOW, true),
    ("symfollow", NOSYMFOLLOW, false),
    ("atime", Attr::MOUNT_ATTR_NOATIME, false),
];

/// `MOUNT_ATTR_NOSYMFOLLOW`, Linux 5.14.
const NOSYMFOLLOW: Attr = Attr::from_bits_retain(0x0020_0000);

/// The access time modes, which exclude each other.
const ACCESS_TIMES: [(&str, Attr); 3] = [
    ("relatime", Attr::MOUNT_ATTR_RELATIME),
    ("noatime", Attr::MOUNT_ATTR_NOATIME),
    ("strictatime", Attr::MOUNT_ATTR_STRICTATIME),
];

const PROPAGATIONS: [(&str, Propagation); 4] = [
    ("private", Propagation::PRIVATE),
    ("slave", Propagation::DOWNSTREAM),
    ("shared", Propagation::SHARED),
    ("unbindable", Propagation::UNBINDABLE),
];

/// Options that say nothing here: defaults, and what only a higher layer means something by.
const IGNORED: [&str; 8] =
    ["defaults", "async", "norelatime", "nomand", "noiversion", "notmpcopyup", "loud", "nolazytime"];

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
            "tmpcopyup" => self.copy_up = true,
            _ if IGNORED.contains(&option) => {}
            _ => return self.take_attribute(option) || self.take_propagation(option),
        }
        true
    }

    fn take_attribute(&mut self, option: &str) -> bool {
        let (name, recursive) = match option.strip_prefix('r') {
            // `ro`, `rw` and `relatime` begin with an r of their own.
            Some(name) if ATTRIBUTES.iter().any(|known| known.0 == name) => (name, true),
            _ => (option, false),
        };
        if let Some((_, attribute, sets)) = ATTRIBUTES.iter().find(|known| known.0 == name) {
            let bits = u64::from(attribute.bits());
            self.set &= !bits;
            self.set_recursive &= !bits;
            match (sets, recursive) {
                (true, true) => self.set_recursive |= bits,
                (true, false) => self.set |= bits,
                // Clearing is the default of a fresh mount; of a bind it would undo what its source has locked.
                (false, _) => {}
            }
            return true;
        }
        if let Some((_, time)) = ACCESS_TIMES.iter().find(|known| known.0 == option) {
            let class = u64::from(Attr::MOUNT_ATTR__ATIME.bits());
            self.set = self.set & !class | u64::from(time.bits());
            self.clear |= class;
            return true;
        }
        false
    }

    fn take_propagation(&mut self, option: &str) -> bool {
        let exact = PROPAGATIONS.iter().find(|known| known.0 == option);
        let recursive = option.strip_prefix('r').and_then(|name| PROPAGATIONS.iter().find(|known| known.0 == name));
        let Some((_, kind)) = exact.or(recursive) else { return false };
        self.propagation = Some(kind.bits().into());
        true
    }
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
    fn attributes_and_data() {
        let options = parse("nosuid,noexec,mode=755,size=64k,noswap,strictatime");
        assert_eq!(options.set, 2 | 8 | 0x20);
        assert_eq!(options.clear, 0x70);
        assert_eq!(options.data.len(), 3);
        assert_eq!(options.data[0], ("mode".to_owned(), Some("755".to_owned())));
        assert_eq!(options.data[2], ("noswap".to_owned(), None));
    }

    #[test]
    fn the_last_word_counts() {
        assert_eq!(parse("ro,rw").set, 0);
        assert_eq!(parse("rw,ro").set, 1);
        assert_eq!(parse("noatime,relatime").set, 0);
    }

    #[test]
    fn binds() {
        let options = parse("rbind,rro,rslave");
        assert_eq!((options.bind, options.set, options.set_recursive), (Some(Bind::Recursive), 0, 1));
        assert_eq!(options.propagation, Some(1 << 19));
        assert!(Options::parse(&["bind".to_owned(), "size=1".to_owned()]).is_err());
        assert!(follows_host(&["rslave".to_owned()]));
    }
}
