//! Other people's formats, on the oci-spec crate: image references, manifests, configs. No I/O.

pub mod bundle;
pub mod change;
pub mod contents;
pub mod image;
pub mod json;
pub mod manifest;
pub mod platform;
pub mod reference;
pub mod seccomp;
