//! Secrets: small values that containers are given and that are shown nowhere. Knows no container.
//!
//! ```text
//! secrets/<name>/
//!   secret.json    what was decided when it was made; written once
//!   data           the value, mode 0600; with the driver `file` only
//! ```
//!
//! The driver `pass` keeps the value encrypted by gpg in the user's password store (pass(1)); `shell` leaves it to
//! commands of the user's. As with volumes, a secret is made aside and renamed to its name.

use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::{create_new, read_limited, sync_dir};
use crate::base::id::ContainerId;
use crate::base::temp::TempDir;
use crate::base::{env, program};
use crate::events;
use anyhow::{Context, Result};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of `secret.json` that this program writes.
const VERSION: u32 = 1;
/// `secret.json` is smaller.
const LIMIT: u64 = 1 << 20;
/// A value is smaller, in bytes: podman's limit.
pub const MAX_VALUE: usize = 512_000;

/// What is kept of a secret, but for its value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// 25 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `file`, `pass` or `shell`.
    pub driver: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When the name was first made, in nanoseconds since 1970.
    pub created: i64,
    /// When its value was last replaced.
    pub updated: i64,
}

/// A secret that exists.
#[derive(Debug, Clone)]
pub struct Secret {
    /// What is kept of it.
    pub record: Record,
    dir: PathBuf,
}

/// What a new secret shall be.
#[derive(Debug, Clone, Default)]
pub struct New {
    /// Its name.
    pub name: String,
    /// The driver; empty for `file`.
    pub driver: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether one of this name is replaced.
    pub replace: bool,
}

impl Secret {
    /// Its value. Errors: the driver's, without a word of the value.
    pub fn value(&self) -> Result<Vec<u8>> {
        let record = &self.record;
        let value = match record.driver.as_str() {
            "pass" => run(gpg(record)?.arg("--decrypt").arg(pass_file(record)?), None),
            "shell" => run(&mut shell(record, "lookup")?, None),
            _ => read_limited(&self.dir.join("data"), MAX_VALUE as u64),
        };
        value.with_context(|| format!("cannot read secret `{}`", record.name))
    }

    /// Take it away, the value first.
    pub fn remove(self, dirs: &Dirs) -> Result<()> {
        let deed = || format!("cannot remove secret `{}`", self.record.name);
        forget(&self.record).with_context(deed)?;
        let scratch = TempDir::new(dirs).with_context(deed)?;
        std::fs::rename(&self.dir, scratch.path().join("secret")).with_context(deed)?;
        events::tell(dirs, "secret", "remove", &self.record.id, &self.record.name);
        Ok(())
    }
}

/// Make a secret of a value.
///
/// Errors: [`Kind::NameInUse`]; [`Kind::Usage`] for a name, a driver, options or a value that cannot be.
pub fn create(dirs: &Dirs, new: New, value: &[u8]) -> Result<Secret> {
    check(&new, value)?;
    let old = load(dirs, &new.name);
    if let Some(old) = old.as_ref().filter(|_| !new.replace) {
        return Err(taken(&old.record.name));
    }
    let now = crate::base::time::now();
    let record = Record {
        version: VERSION,
        id: ContainerId::random().as_str()[..25].to_owned(),
        driver: if new.driver.is_empty() { "file".to_owned() } else { new.driver },
        options: new.options,
        labels: new.labels,
        created: old.as_ref().map_or(now, |old| old.record.created),
        updated: now,
        name: new.name,
    };
    let deed = || format!("cannot make secret `{}`", record.name);
    let scratch = TempDir::new(dirs).with_context(deed)?;
    let made = scratch.path().join("secret");
    std::fs::create_dir(&made).with_context(deed)?;
    keep(&record, &made, value).with_context(deed)?;
    create_new(&made.join("secret.json"), &serde_json::to_vec(&record)?).with_context(deed)?;
    for name in ["secret.json", "data"] {
        if let Ok(file) = std::fs::File::open(made.join(name)) {
            file.sync_all().with_context(deed)?;
        }
    }
    crate::base::fs::ensure_private_dir(&dirs.secrets()).with_context(deed)?;
    let dir = dirs.secrets().join(&record.name);
    let flags = if old.is_some() { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
    match rustix::fs::renameat_with(CWD, &made, CWD, &dir, flags) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(taken(&record.name)),
        Err(error) => return Err(error).with_context(deed),
    }
    sync_dir(&dirs.secrets()).with_context(deed)?;
    if let Some(old) = old {
        let _ = forget(&old.record);
    }
    events::tell(dirs, "secret", "create", &record.id, &record.name);
    Ok(Secret { record, dir })
}

fn taken(name: &str) -> anyhow::Error {
    let fault = Fault::new(Kind::NameInUse, format!("there is a secret `{name}` already"));
    fault.hint(format!("box secret create --replace {name} FILE")).into()
}

fn check(new: &New, value: &[u8]) -> Result<()> {
    let first = new.name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !first || new.name.len() > 253 || !new.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
        let text = format!("`{}` cannot be the name of a secret", new.name.escape_debug());
        return Err(fault(Kind::Usage, format!("{text}: use letters, digits and `_.-`, a letter or digit first")));
    }
    if value.is_empty() || value.len() > MAX_VALUE {
        let text = format!("a secret holds 1 to {MAX_VALUE} bytes, not {}", value.len());
        return Err(fault(Kind::Usage, text));
    }
    let known: &[&str] = match new.driver.as_str() {
        "" | "file" => &[],
        "pass" => &["root", "key", "gpghomedir"],
        "shell" => &["lookup", "store", "delete", "list"],
        other => {
            let text = format!("there is no secret driver `{}`", other.escape_debug());
            return Err(Fault::new(Kind::Usage, text).hint("the drivers are: file pass shell").into());
        }
    };
    if let Some(key) = new.options.keys().find(|key| !known.contains(&key.as_str())) {
        let text = format!("the secret driver `{}` has no option `{}`", new.driver, key.escape_debug());
        return Err(Fault::new(Kind::Usage, text).hint(format!("the options are: {}", known.join(" "))).into());
    }
    if new.driver == "shell"
        && let Some(missing) = known[..3].iter().find(|key| !new.options.contains_key(**key))
    {
        let text = format!("the secret driver `shell` needs the option `{missing}`, a command");
        let hint =
            "box secret create --driver shell --driver-opts 'lookup=cat ~/.s/$SECRET_ID,store=…,delete=…' NAME FILE";
        return Err(Fault::new(Kind::Usage, text).hint(hint).into());
    }
    Ok(())
}

/// Give the value to the driver; the driver `file` keeps it in `dir`.
fn keep(record: &Record, dir: &Path, value: &[u8]) -> Result<()> {
    match record.driver.as_str() {
        "pass" => {
            let file = pass_file(record)?;
            let mut gpg = gpg(record)?;
            gpg.args(["--encrypt", "--recipient", &pass_key(record)?, "--output"]).arg(file);
            run(&mut gpg, Some(value)).map(drop)
        }
        "shell" => run(&mut shell(record, "store")?, Some(value)).map(drop),
        _ => create_new(&dir.join("data"), value),
    }
}

/// Have the driver forget the value, where it is not in our own folder.
fn forget(record: &Record) -> Result<()> {
    match record.driver.as_str() {
        "pass" => match std::fs::remove_file(pass_file(record)?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        },
        "shell" => run(&mut shell(record, "delete")?, None).map(drop),
        _ => Ok(()),
    }
}

/// The password store's folder.
fn pass_root(record: &Record) -> Result<PathBuf> {
    if let Some(root) = record.options.get("root") {
        return Ok(root.into());
    }
    let store = env::by_name("PASSWORD_STORE_DIR").map(PathBuf::from);
    store.or_else(|| ::dirs::home_dir().map(|home| home.join(".password-store"))).context("there is no home folder")
}

fn pass_file(record: &Record) -> Result<PathBuf> {
    Ok(pass_root(record)?.join(format!("{}.gpg", record.id)))
}

/// For whom the value is encrypted: the option `key`, or the password store's own.
fn pass_key(record: &Record) -> Result<String> {
    if let Some(key) = record.options.get("key") {
        return Ok(key.clone());
    }
    let file = pass_root(record)?.join(".gpg-id");
    let text = read_limited(&file, 4096).map_err(|error| {
        Fault::new(
            Kind::Host,
            format!("there is no password store at `{}`", pass_root(record).unwrap_or_default().display()),
        )
        .hint("pass init KEY")
        .because(error)
    })?;
    let text = String::from_utf8_lossy(&text);
    text.lines().next().map(|line| line.trim().to_owned()).filter(|key| !key.is_empty()).context("it names no key")
}

fn gpg(record: &Record) -> Result<Command> {
    let missing = || Fault::new(Kind::Host, "gpg is missing").hint(program::how_to_install("gnupg", &[]));
    let mut command = Command::new(program::find("gpg").ok_or_else(missing)?);
    command.args(["--batch", "--quiet", "--yes"]);
    if let Some(home) = record.options.get("gpghomedir") {
        command.args(["--homedir", home]);
    }
    Ok(command)
}

/// A command of the user's, which finds the secret's id in `SECRET_ID`.
fn shell(record: &Record, deed: &str) -> Result<Command> {
    let text = record.options.get(deed).with_context(|| format!("it has no command for `{deed}`"))?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", text]).env("SECRET_ID", &record.id);
    Ok(command)
}

/// Run a program with the value on its stdin; its stdout.
fn run(command: &mut Command, input: Option<&[u8]>) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let deed = || format!("cannot run `{name}`");
    let stdin = input.map_or_else(|| Ok(Stdio::null()), program::input).with_context(deed)?;
    let output = command.stdin(stdin).stderr(Stdio::inherit()).output().with_context(deed)?;
    if !output.status.success() {
        return Err(fault(Kind::Other, format!("`{name}` failed ({})", output.status)));
    }
    if output.stdout.len() > MAX_VALUE {
        return Err(fault(Kind::BadData, format!("`{name}` gave more than {MAX_VALUE} bytes")));
    }
    Ok(output.stdout)
}

/// The secret of a name, an id or the beginning of one id.
///
/// Errors: [`Kind::NotFound`]; [`Kind::Usage`] for the beginning of several ids.
pub fn find(dirs: &Dirs, text: &str) -> Result<Secret> {
    if let Some(secret) = load(dirs, text) {
        return Ok(secret);
    }
    let mut found: Vec<Secret> =
        all(dirs).into_iter().filter(|secret| !text.is_empty() && secret.record.id.starts_with(text)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(secret), true) => Ok(secret),
        (Some(_), false) => Err(fault(Kind::Usage, format!("`{text}` is the beginning of several secrets' ids"))),
        (None, _) => {
            let fault = Fault::new(Kind::NotFound, format!("no such secret `{}`", text.escape_debug()));
            let all = all(dirs);
            let names = all.iter().map(|secret| secret.record.name.as_str());
            Err(fault.meant(text, names).hint("box secret ls").into())
        }
    }
}

fn load(dirs: &Dirs, name: &str) -> Option<Secret> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let dir = dirs.secrets().join(name);
    let record: Record = serde_json::from_slice(&read_limited(&dir.join("secret.json"), LIMIT).ok()?).ok()?;
    (record.version == VERSION && record.name == name).then_some(Secret { record, dir })
}

/// All secrets, by name.
pub fn all(dirs: &Dirs) -> Vec<Secret> {
    let entries = std::fs::read_dir(dirs.secrets()).into_iter().flatten().flatten();
    let mut all: Vec<Secret> = entries.filter_map(|entry| load(dirs, entry.file_name().to_str()?)).collect();
    all.sort_by(|a, b| a.record.name.cmp(&b.record.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> Dirs {
        let data = std::env::temp_dir().join(format!("box-secret-{}", ContainerId::random()));
        std::fs::create_dir(&data).unwrap();
        Dirs { run: data.join("run"), data }
    }

    fn new(name: &str, driver: &str, options: &[(&str, &str)]) -> New {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        New { name: name.into(), driver: driver.into(), options, ..New::default() }
    }

    #[test]
    fn made_replaced_and_removed() {
        let dirs = scratch();
        let first = create(&dirs, new("a", "", &[]), b"one").unwrap();
        assert_eq!(first.value().unwrap(), b"one");
        assert!(create(&dirs, new("a", "", &[]), b"two").is_err());
        let second = create(&dirs, New { replace: true, ..new("a", "", &[]) }, b"two").unwrap();
        assert_eq!(find(&dirs, "a").unwrap().value().unwrap(), b"two");
        assert_eq!(second.record.created, first.record.created);
        assert_eq!(find(&dirs, &second.record.id[..6]).unwrap().record.name, "a");
        second.remove(&dirs).unwrap();
        assert!(all(&dirs).is_empty() && find(&dirs, "a").is_err());
        assert_eq!(std::fs::read_dir(dirs.tmp()).unwrap().count(), 0);
        std::fs::remove_dir_all(&dirs.data).unwrap();
    }

    #[test]
    fn commands_of_the_users_own() {
        let dirs = scratch();
        let path = |verb: &str| format!("{verb} {}/$SECRET_ID", dirs.data.display());
        let options = [("store", path("cat >")), ("lookup", path("cat")), ("delete", path("rm"))];
        let options: Vec<(&str, &str)> = options.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let secret = create(&dirs, new("s", "shell", &options), b"value").unwrap();
        assert_eq!(secret.value().unwrap(), b"value");
        let kept = dirs.data.join(&secret.record.id);
        assert!(kept.exists());
        secret.remove(&dirs).unwrap();
        assert!(!kept.exists());
        std::fs::remove_dir_all(&dirs.data).unwrap();
    }

    #[test]
    fn what_cannot_be() {
        let dirs = scratch();
        for (name, driver, options, value) in [
            ("", "", &[][..], &b"x"[..]),
            ("a/b", "", &[], b"x"),
            (".a", "", &[], b"x"),
            ("a", "", &[], b""),
            ("a", "", &[], &[0; MAX_VALUE + 1]),
            ("a", "nope", &[], b"x"),
            ("a", "file", &[("path", "x")], b"x"),
            ("a", "shell", &[("lookup", "x")], b"x"),
        ] {
            let error = create(&dirs, new(name, driver, options), value).unwrap_err();
            assert_eq!(crate::base::error::kind(&error), Kind::Usage, "{name} {driver}");
        }
        std::fs::remove_dir_all(&dirs.data).unwrap();
    }
}
