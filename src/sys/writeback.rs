//! Writing to the disk in the background: sync_file_range(2).

use std::os::fd::{AsFd, AsRawFd};

/// Bytes after which the disk is set to work. Large enough that its requests are, small enough that little is left to wait
/// for when all has been written.
const STEP: u64 = 8 << 20;

/// Follows a file that is written from its beginning to its end, and has the kernel write it to the disk meanwhile, so that
/// a later sync finds most of it done.
///
/// Only a wish: what the file system cannot do is not missed, and errors of the disk are told by the sync
/// (`SYNC_FILE_RANGE_WRITE` alone waits for nothing and takes no error away).
#[derive(Debug, Default)]
pub struct Writeback {
    begun: u64,
}

impl Writeback {
    /// One for a file of which so many bytes are nobody's concern.
    pub fn after(begun: u64) -> Self {
        Self { begun }
    }

    /// The file is written up to here.
    pub fn written(&mut self, file: impl AsFd, end: u64) {
        if end.saturating_sub(self.begun) < STEP {
            return;
        }
        let (from, length) = (self.begun as i64, (end - self.begun) as i64);
        let descriptor = file.as_fd().as_raw_fd();
        // SAFETY: takes numbers only; the descriptor is borrowed for the call.
        let _ = unsafe { libc::sync_file_range(descriptor, from, length, libc::SYNC_FILE_RANGE_WRITE) };
        self.begun = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn whole_steps_are_begun() {
        let mut file =
            std::fs::File::from(rustix::fs::memfd_create("writeback", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        let mut writeback = Writeback::default();
        file.write_all(&[7; 100]).unwrap();
        writeback.written(&file, 100);
        assert_eq!(writeback.begun, 0, "too little to begin with");
        writeback.written(&file, STEP);
        assert_eq!(writeback.begun, STEP);
        writeback.written(&file, STEP + 1);
        assert_eq!(writeback.begun, STEP);
        assert_eq!(Writeback::after(5).begun, 5);
    }
}
