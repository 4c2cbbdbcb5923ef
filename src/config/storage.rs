//! storage.conf: where the store lies, how layers are put together, and which stores are read besides.
//!
//! One file counts: that of CONTAINERS_STORAGE_CONF, else the user's, else the host's. What `/usr/share` has are
//! podman's own defaults. Places where podman's files lie by default are podman's; in any other, box keeps what is its
//! own in a folder `box`. <https://github.com/containers/storage/blob/main/docs/containers-storage.conf.5.md>

use super::containers::{read, without_comments};
use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const HOST: &str = "/etc/containers/storage.conf";
/// Where podman keeps things of its own, unless told otherwise.
const PODMANS: [&str; 3] = ["/var/lib/containers/storage", "/run/containers/storage", "/var/run/containers/storage"];

/// What is configured; empty where no file is.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    /// The file that counts.
    pub file: Option<PathBuf>,
    /// `driver`: how layers are put together.
    pub driver: Option<String>,
    /// From `graphroot` or `rootless_storage_path`: the data folder.
    pub data: Option<PathBuf>,
    /// From `runroot`: the run folder.
    pub run: Option<PathBuf>,
    /// `additionalimagestores`: data folders that are only read.
    pub additional: Vec<PathBuf>,
    /// `mount_program`: what mounts an overlay in place of the kernel.
    pub mount_program: Option<PathBuf>,
    settings: Vec<Setting>,
}

/// A key of the file.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key with its tables, divided by points.
    pub key: String,
    /// Its value in one line.
    pub value: String,
    /// Whether box goes by it.
    pub used: bool,
}

/// Whose file it is: the host's says nothing of where a user's things lie, but for `rootless_storage_path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Of whoever calls.
    Own,
    /// Of root, for a caller who is not.
    Host,
}

impl Storage {
    /// Read what is configured. Errors: a file that a variable names and that is not there; one that is not TOML; a
    /// value of the wrong kind.
    pub fn load() -> Result<Self> {
        if let Some(path) = env::containers_storage_conf() {
            return Self::parse(&read(&path)?, &path, Scope::Own);
        }
        let is_root = rustix::process::getuid().is_root();
        let user = super::user_folder().filter(|_| !is_root).map(|folder| (folder.join("storage.conf"), Scope::Own));
        let host = (PathBuf::from(HOST), if is_root { Scope::Own } else { Scope::Host });
        for (path, scope) in user.into_iter().chain([host]) {
            if rustix::fs::access(&path, rustix::fs::Access::EXISTS).is_ok() {
                return Self::parse(&read(&path)?, &path, scope);
            }
        }
        Ok(Self::default())
    }

    /// All keys of the file.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    fn parse(text: &str, path: &Path, scope: Scope) -> Result<Self> {
        let deed = || Fault::new(Kind::Host, format!("cannot use `{}`", path.display()));
        let table: Table = toml::from_str(&without_comments(text)).with_context(deed)?;
        let mut found = Self { file: Some(path.to_owned()), ..Self::default() };
        found.take(&table, "", scope).with_context(deed)?;
        Ok(found)
    }

    fn take(&mut self, table: &Table, above: &str, scope: Scope) -> Result<()> {
        for (name, value) in table {
            let key = format!("{above}{name}");
            match value {
                Value::Table(inner) => self.take(inner, &format!("{key}."), scope)?,
                value => {
                    let used = self.set(&key, value, scope).with_context(|| format!("cannot use `{key}`"))?;
                    let value = serde_json::to_string(value).unwrap_or_default();
                    self.settings.push(Setting { key, value, used });
                }
            }
        }
        Ok(())
    }

    /// Go by a key, if box does. An empty text says nothing.
    fn set(&mut self, key: &str, value: &Value, scope: Scope) -> Result<bool> {
        let text = || {
            let text = value.as_str().context("it is no text")?;
            Ok::<_, anyhow::Error>(Some(text.to_owned()).filter(|text| !text.is_empty()))
        };
        match key {
            "storage.driver" => self.driver = text()?,
            // Whatever the order, the one for users wins.
            "storage.graphroot" if scope == Scope::Own => {
                let place = text()?.map(|text| own_place(&text)).transpose()?.flatten();
                self.data = self.data.take().or(place);
            }
            "storage.rootless_storage_path" if !rustix::process::getuid().is_root() => {
                if let Some(text) = text()? {
                    self.data = own_place(&text)?;
                }
            }
            "storage.runroot" if scope == Scope::Own => {
                self.run = text()?.map(|text| own_place(&text)).transpose()?.flatten();
            }
            "storage.options.additionalimagestores" => {
                let list = value.as_array().context("it is no list")?;
                let paths =
                    list.iter().map(|value| expand(value.as_str().context("it has something else than texts")?));
                self.additional = paths.collect::<Result<_>>()?;
            }
            "storage.options.mount_program"
            | "storage.options.overlay.mount_program"
            | "storage.options.overlay2.mount_program" => {
                self.mount_program = text()?.map(|text| expand(&text)).transpose()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The folder of box's own in a place that is configured; `None` where that is podman's by default.
fn own_place(text: &str) -> Result<Option<PathBuf>> {
    let place = expand(text)?;
    let users = dirs::home_dir().map(|home| home.join(".local/share/containers/storage"));
    let is_podmans = PODMANS.iter().any(|podmans| place == Path::new(podmans)) || users.is_some_and(|it| it == place);
    Ok((!is_podmans).then(|| place.join("box")))
}

/// A path with `~/`, `$HOME`, `$UID` or `$USER` in it.
fn expand(text: &str) -> Result<PathBuf> {
    let home = || dirs::home_dir().context("there is no home folder").map(|home| home.display().to_string());
    let mut path = match text.strip_prefix("~/") {
        Some(rest) => format!("{}/{rest}", home()?),
        None => text.to_owned(),
    };
    if path.contains("$HOME") {
        path = path.replace("$HOME", &home()?);
    }
    path = path.replace("$UID", &rustix::process::getuid().as_raw().to_string());
    if path.contains("$USER") {
        path = path.replace("$USER", &env::user().context("the variable USER is not set")?);
    }
    if !path.starts_with('/') || path.contains('$') {
        return Err(fault(Kind::Host, format!("`{text}` is no absolute path; $HOME, $UID and $USER may be in it")));
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, scope: Scope) -> Result<Storage> {
        Storage::parse(text, Path::new("/x.conf"), scope)
    }

    #[test]
    fn what_applies_is_taken_and_the_rest_listed() {
        let text = "[storage]\ndriver = \"overlay\"\ngraphroot = \"/big/$UID\"\nrunroot = \"/fast\"\n\
                    transient_store = true\n[storage.options]\nadditionalimagestores = [\"/a\", \"/b\"]\n\
                    [storage.options.overlay]\nmount_program = \"/bin/f\"\nmountopt = \"nodev\"\nsize = \"1g\"";
        let found = parse(text, Scope::Own).unwrap();
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(found.data, Some(format!("/big/{uid}/box").into()));
        assert_eq!((found.run, found.driver.as_deref()), (Some("/fast/box".into()), Some("overlay")));
        assert_eq!(found.additional, [PathBuf::from("/a"), "/b".into()]);
        assert_eq!(found.mount_program, Some("/bin/f".into()));
        let unused: Vec<_> = found.settings.iter().filter(|setting| !setting.used).map(|s| s.key.as_str()).collect();
        assert_eq!(
            unused,
            ["storage.options.overlay.mountopt", "storage.options.overlay.size", "storage.transient_store"]
        );
    }

    #[test]
    fn places_of_podman_and_of_root_are_left_to_them() {
        for (text, scope, data) in [
            ("graphroot = \"/var/lib/containers/storage\"", Scope::Own, None),
            ("graphroot = \"~/.local/share/containers/storage\"", Scope::Own, None),
            ("graphroot = \"/big\"", Scope::Host, None),
            ("graphroot = \"\"", Scope::Own, None),
            ("graphroot = \"/big\"", Scope::Own, Some("/big/box")),
        ] {
            let found = parse(&format!("[storage]\n{text}"), scope).unwrap();
            assert_eq!(found.data, data.map(PathBuf::from), "{text}");
        }
    }

    #[test]
    fn errors_name_file_and_key() {
        for (text, error) in [
            ("[storage]\ndriver = 1", "cannot use `/x.conf`: cannot use `storage.driver`: it is no text"),
            (
                "[storage]\ngraphroot = \"big\"",
                "cannot use `/x.conf`: cannot use `storage.graphroot`: `big` is no absolute path; $HOME, $UID and $USER \
                 may be in it",
            ),
            (
                "[storage.options]\nadditionalimagestores = \"/a\"",
                "cannot use `/x.conf`: cannot use `storage.options.additionalimagestores`: it is no list",
            ),
        ] {
            assert_eq!(format!("{:#}", parse(text, Scope::Own).unwrap_err()), error);
        }
        assert!(parse("[storage", Scope::Own).is_err());
    }
}
