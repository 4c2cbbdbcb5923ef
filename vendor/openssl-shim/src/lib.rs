//! The hash functions of the `openssl` crate that `ocidir` calls, implemented on `ring`.
//!
//! `ocidir` 0.8 links libssl and libcrypto only to compute SHA-256. A static binary with OpenSSL is 4.6 MB larger
//! and starts 0.7 ms later (measured), and every release would carry OpenSSL's advisories. `ring` is linked anyway
//! for TLS, so this crate stands in for `openssl` through `[patch.crates-io]`. It has no other users.

/// Errors; hashing with `ring` has none, so these are never constructed.
pub mod error {
    use std::fmt;

    /// One error of a stack.
    #[derive(Debug, Clone)]
    pub struct Error(());

    /// What OpenSSL would have collected.
    #[derive(Debug, Clone)]
    pub struct ErrorStack(());

    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("digest error")
        }
    }

    impl fmt::Display for ErrorStack {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("digest error")
        }
    }

    impl std::error::Error for Error {}
    impl std::error::Error for ErrorStack {}

    impl From<ErrorStack> for std::io::Error {
        fn from(_: ErrorStack) -> Self {
            std::io::Error::other("digest error")
        }
    }
}

/// Streaming digests.
pub mod hash {
    use crate::error::ErrorStack;
    use ring::digest::{Context, SHA256};

    /// The algorithm; only SHA-256 exists here.
    pub struct MessageDigest(());

    impl MessageDigest {
        /// SHA-256.
        pub fn sha256() -> Self {
            Self(())
        }
    }

    /// A running digest.
    pub struct Hasher(Context);

    /// A finished digest, 32 bytes.
    pub struct DigestBytes([u8; 32]);

    impl AsRef<[u8]> for DigestBytes {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Hasher {
        /// A fresh digest.
        pub fn new(_: MessageDigest) -> Result<Self, ErrorStack> {
            Ok(Self(Context::new(&SHA256)))
        }

        /// Take in more bytes.
        pub fn update(&mut self, bytes: &[u8]) -> Result<(), ErrorStack> {
            self.0.update(bytes);
            Ok(())
        }

        /// The digest so far; the hasher begins anew.
        pub fn finish(&mut self) -> Result<DigestBytes, ErrorStack> {
            let done = std::mem::replace(&mut self.0, Context::new(&SHA256)).finish();
            let mut out = [0; 32];
            out.copy_from_slice(done.as_ref());
            Ok(DigestBytes(out))
        }
    }

    impl std::io::Write for Hasher {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}

/// One-algorithm digests.
pub mod sha {
    use ring::digest::{Context, SHA256};

    /// A running SHA-256.
    pub struct Sha256(Context);

    impl Default for Sha256 {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Sha256 {
        /// A fresh digest.
        pub fn new() -> Self {
            Self(Context::new(&SHA256))
        }

        /// Take in more bytes.
        pub fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        /// The digest, 32 bytes.
        pub fn finish(self) -> [u8; 32] {
            let mut out = [0; 32];
            out.copy_from_slice(self.0.finish().as_ref());
            out
        }
    }
}
