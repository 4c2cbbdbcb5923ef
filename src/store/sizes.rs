//! How large unpacked layers are: `layers/<digits>.size`, a decimal number beside the layer.
//!
//! Only a remark for `images`: a missing one is no error, and it is never synced.

use super::Store;
use crate::base::digest::Digest;

impl Store {
    /// The bytes of file content in an unpacked layer, if known.
    pub fn layer_size(&self, diff_id: &Digest) -> Option<u64> {
        std::fs::read_to_string(self.layer_path(diff_id).with_extension("size")).ok()?.trim().parse().ok()
    }

    /// Note the size of a layer that was just unpacked. The caller holds the layer's lock.
    pub fn note_layer_size(&self, diff_id: &Digest, bytes: u64) {
        let _ = std::fs::write(self.layer_path(diff_id).with_extension("size"), bytes.to_string());
    }
}
