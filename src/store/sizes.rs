//! How large content is: `layers/<digits>.size` beside each layer, two numbers: file content, and blocks on the disk.
//!
//! Only a remark: a missing one is no error, and it is never synced. A layer does not change, so what was counted once
//! stays right.

use super::Store;
use super::usage::{allocated, disk_usage};
use crate::base::digest::Digest;
use std::path::PathBuf;

impl Store {
    /// The bytes of file content in an unpacked layer, if known.
    pub fn layer_size(&self, diff_id: &Digest) -> Option<u64> {
        self.noted_sizes(diff_id).0
    }

    /// What an unpacked layer takes on the disk; counted by the first who asks, who is root in the namespace.
    pub fn layer_usage(&self, diff_id: &Digest) -> u64 {
        let (content, usage) = self.noted_sizes(diff_id);
        usage.unwrap_or_else(|| {
            let usage = disk_usage(&self.layer_path(diff_id)).unwrap_or(0);
            if let Some(content) = content.filter(|_| usage > 0) {
                self.write_sizes(diff_id, &format!("{content} {usage}"));
            }
            usage
        })
    }

    /// What a blob takes on the disk.
    pub fn blob_usage(&self, digest: &Digest) -> u64 {
        rustix::fs::lstat(self.blob_path(digest)).map_or(0, |stat| allocated(&stat))
    }

    /// Note the size of a layer that was just unpacked. The caller holds the layer's lock.
    pub fn note_layer_size(&self, diff_id: &Digest, content: u64) {
        self.write_sizes(diff_id, &content.to_string());
    }

    fn noted_sizes(&self, diff_id: &Digest) -> (Option<u64>, Option<u64>) {
        let read = |layer: PathBuf| std::fs::read_to_string(layer.with_extension("size"));
        let text = read(self.own_layer(diff_id)).or_else(|_| read(self.layer_path(diff_id))).unwrap_or_default();
        let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
        (numbers.next(), numbers.next())
    }

    fn write_sizes(&self, diff_id: &Digest, text: &str) {
        let _ = std::fs::write(self.own_layer(diff_id).with_extension("size"), text);
    }
}
