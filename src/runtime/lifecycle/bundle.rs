//! A bundle on disk: a folder with a config.json and, as a rule, the root file system.
//!
//! See <https://github.com/opencontainers/runtime-spec/blob/main/bundle.md>.

use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use crate::oci::{self, bundle::Read};
use anyhow::{Context, Result};
use oci_spec::runtime::Spec;
use std::path::{Path, PathBuf};

/// A bundle, read.
#[derive(Debug)]
pub struct Bundle {
    /// The folder, absolute and without links.
    pub folder: PathBuf,
    /// The root file system, absolute and without links.
    pub rootfs: PathBuf,
    /// Its config.json.
    pub spec: Spec,
    /// What of it is left out, as nobody here knows it: sentences for a log.
    pub warnings: Vec<String>,
    /// The same as written.
    pub(super) bytes: Vec<u8>,
}

impl Bundle {
    /// Read the bundle in `folder`.
    ///
    /// Errors: no config.json, one that is not of this specification, no root file system.
    pub fn read(folder: &Path) -> Result<Self> {
        let deed = || format!("cannot use bundle `{}`", folder.display());
        let absolute = std::fs::canonicalize(folder).with_context(deed)?;
        let path = absolute.join("config.json");
        if !path.exists() {
            let fault = Fault::new(Kind::Usage, "there is no config.json in it").hint("box oci spec writes one");
            return Err(anyhow::Error::from(fault).context(deed()));
        }
        let bytes = read_limited(&path, super::LIMIT).with_context(deed)?;
        let Read { value: spec, warnings } =
            oci::bundle::parse(&bytes).context("config.json is wrong").with_context(deed)?;
        let root = spec.root().as_ref().ok_or_else(|| fault(Kind::Usage, "config.json: `root` is missing"));
        let root = absolute.join(root.with_context(deed)?.path());
        let rootfs = std::fs::canonicalize(&root)
            .map_err(|error| {
                Fault::new(Kind::Usage, format!("config.json: `root.path` is `{}`", root.display())).because(error)
            })
            .with_context(deed)?;
        if !rootfs.is_dir() {
            let text = format!("config.json: `root.path` is `{}`, which is not a folder", root.display());
            return Err(fault(Kind::Usage, text).context(deed()));
        }
        Ok(Self { folder: absolute, rootfs, spec, warnings, bytes })
    }
}
