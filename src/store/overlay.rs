//! What to mount for a container: a plan, not a deed. The runtime mounts it, in the container's mount namespace.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The folders of an overlay mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayPlan {
    /// The unpacked layers, topmost first.
    pub lower: Vec<PathBuf>,
    /// Where the container's own changes go. Its mode and owner are those of the container's `/`.
    pub upper: PathBuf,
    /// Overlay's work folder: on the same file system as `upper`.
    pub work: PathBuf,
    /// Whether to skip the syncs of the container (`volatile`), for one that is removed after its exit.
    pub volatile: bool,
}

impl OverlayPlan {
    /// The mount options as one string, for fuse-overlayfs and for kernels without `lowerdir+`.
    ///
    /// Colons, commas and backslashes in paths are escaped.
    pub fn options(&self) -> OsString {
        let mut text = b"lowerdir=".to_vec();
        for (i, path) in self.lower.iter().enumerate() {
            if i > 0 {
                text.push(b':');
            }
            escape(path.as_os_str().as_bytes(), b"\\:,", &mut text);
        }
        for (key, path) in [("upperdir", &self.upper), ("workdir", &self.work)] {
            text.extend_from_slice(format!(",{key}=").as_bytes());
            escape(path.as_os_str().as_bytes(), b"\\,", &mut text);
        }
        OsString::from_vec(text)
    }
}

fn escape(bytes: &[u8], special: &[u8], text: &mut Vec<u8>) {
    for byte in bytes {
        if special.contains(byte) {
            text.push(b'\\');
        }
        text.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_escape_what_separates() {
        let plan = OverlayPlan {
            lower: vec!["/l/b".into(), "/l/a:1,2".into()],
            upper: "/c/u,p".into(),
            work: "/c/work".into(),
            volatile: false,
        };
        assert_eq!(plan.options(), r"lowerdir=/l/b:/l/a\:1\,2,upperdir=/c/u\,p,workdir=/c/work");
    }
}
