//! A full disk: how much room is wanted, and how much there is.

use crate::base::error::{Fault, Kind, is_disk_full};
use crate::base::units::human_size;
use std::path::Path;

/// The error; if it is that the disk is full, with how much room there is at `place` and how much is wanted at least.
pub(super) fn told(error: anyhow::Error, place: &Path, wanted: Option<u64>) -> anyhow::Error {
    if !is_disk_full(&error) {
        return error;
    }
    let free = rustix::fs::statvfs(place).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    let wanted = wanted.map(|wanted| format!("at least {} more are needed, and ", human_size(wanted, 4)));
    let text = format!(
        "the disk is full: {}{} are free for `{}`",
        wanted.unwrap_or_default(),
        human_size(free, 4),
        place.display()
    );
    Fault::new(Kind::DiskFull, text).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::kind;

    #[test]
    fn only_a_full_disk() {
        let full = || anyhow::Error::from(std::io::Error::from_raw_os_error(28)).context("cannot keep blob");
        let error = told(full(), Path::new("/"), Some(5_000_000));
        assert_eq!(kind(&error), Kind::DiskFull);
        assert!(error.to_string().starts_with("the disk is full: at least 5MB more are needed, and "), "{error}");
        let quota = told(rustix::io::Errno::DQUOT.into(), Path::new("/"), None);
        assert_eq!(kind(&quota), Kind::DiskFull);
        assert_eq!(told(anyhow::anyhow!("else"), Path::new("/"), None).to_string(), "else");
    }
}
