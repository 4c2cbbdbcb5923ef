//! How far a pull or push is, told to the leader.

use super::worker::Reporter;
use crate::base::digest::Digest;
use crate::image::Progress;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A worker's layers on their way.
pub struct Pulling<'a> {
    reporter: &'a Reporter,
    layers: Mutex<HashMap<Digest, (u64, Option<u64>)>>,
}

impl<'a> Pulling<'a> {
    /// Tell this one's leader.
    pub fn new(reporter: &'a Reporter) -> Self {
        Self { reporter, layers: Mutex::default() }
    }

    fn add(&self, digest: &Digest, bytes: u64) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, total) = layers.entry(digest.clone()).or_default();
        let before = *done >> 20;
        *done += bytes;
        // A line a mebibyte, and one at the end.
        if before != *done >> 20 || *total == Some(*done) {
            self.reporter.progress(digest.as_str(), *done, *total);
        }
    }
}

impl Progress for Pulling<'_> {
    fn layer(&self, digest: &Digest, size: Option<u64>) {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).entry(digest.clone()).or_default().1 = size;
    }

    fn advance(&self, digest: &Digest, bytes: u64) {
        self.add(digest, bytes);
    }

    fn resumed(&self, digest: &Digest, bytes: u64) {
        self.add(digest, bytes);
    }
}
