//! What the user and the host have configured, merged once: containers.conf, storage.conf, registries.conf, auth files,
//! certificates of registries.

pub mod auth;
pub mod certs;
pub mod containers;
pub mod credential_helper;
pub mod login;
pub mod policy;
pub mod registries;
pub mod registries_d;
pub mod storage;

use std::path::PathBuf;

/// The user's `containers` folder, usually `~/.config/containers`.
fn user_folder() -> Option<PathBuf> {
    crate::base::env::xdg_config_home().or_else(dirs::config_dir).map(|dir| dir.join("containers"))
}
