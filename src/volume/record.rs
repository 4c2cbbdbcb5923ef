//! A volume's folder: making it, finding it, removing it, and who may do so when.

use super::driver::{Driver, owner};
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::{create_new, read_limited, sync_dir};
use crate::base::id::ContainerId;
use crate::base::lock::{Lock, Share};
use crate::base::temp::TempDir;
use crate::events;
use anyhow::{Context, Result};
use rustix::fs::{CWD, Gid, RenameFlags, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of `volume.json` that this program writes.
const VERSION: u32 = 1;
/// `volume.json` is smaller.
const LIMIT: u64 = 1 << 20;

/// The driver of a volume whose record cannot be read: it is listed and can be removed, but not used.
const DAMAGED: &str = "damaged";

/// What is kept of a volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// Its name.
    pub name: String,
    /// `local` or `image`.
    pub driver: String,
    /// When it was made, in nanoseconds since 1970.
    pub created: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Made for one container, and removed with it by `--rm` and `rm -v`.
    pub anonymous: bool,
    /// The owner of the files, if one was asked for.
    pub owner: (Option<u32>, Option<u32>),
}

/// A volume that exists.
#[derive(Debug, Clone)]
pub struct Volume {
    /// What is kept of it.
    pub record: Record,
    dir: PathBuf,
}

/// What a new volume shall be.
#[derive(Debug, Clone, Default)]
pub struct New {
    /// Its name; `None` for 64 random digits.
    pub name: Option<String>,
    /// The driver, empty for `local`.
    pub driver: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// For one container.
    pub anonymous: bool,
    /// The owner of the files; over what the options say.
    pub owner: (Option<u32>, Option<u32>),
}

impl Record {
    /// Stands for one that cannot be read.
    fn damaged(name: &str) -> Self {
        Self {
            version: VERSION,
            name: name.to_owned(),
            driver: DAMAGED.to_owned(),
            created: 0,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            // Only such a one has a name like this.
            anonymous: ContainerId::parse(name).is_some(),
            owner: (None, None),
        }
    }
}

impl Volume {
    /// Where its files are, for a volume that has them in a folder of its own.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where the files are that containers see: its own folder, or the one of the host that it stands for.
    pub fn mount_point(&self) -> PathBuf {
        match self.driver() {
            Ok(Driver::Bind { device, .. }) => device,
            _ => self.data(),
        }
    }

    /// Whether its record cannot be read.
    pub fn is_damaged(&self) -> bool {
        self.record.driver == DAMAGED
    }

    /// What it stands for. Errors: [`Kind::BadData`] if that cannot be read.
    pub fn driver(&self) -> Result<Driver> {
        if self.is_damaged() {
            let (name, dir) = (&self.record.name, self.dir.display());
            let text = format!("cannot use volume `{name}`: its record `{dir}/volume.json` is damaged");
            let keep = format!("its files: box unshare tar -C {dir}/data -cf {name}.tar .");
            return Err(Fault::new(Kind::BadData, text).hint(keep).hint(format!("box volume rm {name}")).into());
        }
        Driver::parse(&self.record.driver, &self.record.options)
            .with_context(|| format!("cannot use volume `{}`", self.record.name))
    }

    /// Wait for the volume: shared to begin to use it, exclusive to fill or remove it.
    ///
    /// Errors: [`Kind::NotFound`] if it has been removed meanwhile.
    pub fn lock(&self, share: Share) -> Result<Lock> {
        let path = self.dir.join("volume.json");
        if path.exists() || self.is_damaged() {
            let lock = Lock::acquire(&path, share)?;
            if lock.is_at(&path) {
                return Ok(lock);
            }
        }
        Err(fault(Kind::NotFound, format!("volume `{}` has just been removed", self.record.name)))
    }

    /// Whether no container has used it yet.
    pub fn is_fresh(&self) -> bool {
        self.dir.join("fresh").exists()
    }

    /// The first container uses it now. `fill` puts the image's files into a folder that then becomes the volume's, if
    /// the volume is empty. The caller is root in its namespace.
    pub fn first_use(&self, dirs: &Dirs, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let _lock = self.lock(Share::Exclusive)?;
        if !self.is_fresh() {
            return Ok(());
        }
        let data = self.data();
        if std::fs::read_dir(&data).is_ok_and(|mut entries| entries.next().is_none()) {
            let scratch = TempDir::new(dirs)?;
            let filled = scratch.path().join("data");
            std::fs::create_dir(&filled)?;
            fill(&filled)?;
            self.own(&filled)?;
            // Onto the empty folder, at once; nobody has it mounted, as it is fresh.
            std::fs::rename(&filled, &data).with_context(|| format!("cannot fill volume `{}`", self.record.name))?;
        }
        std::fs::remove_file(self.dir.join("fresh"))
            .with_context(|| format!("cannot begin to use volume `{}`", self.record.name))
    }

    /// From now on its files are its own: nothing of an image is copied in.
    pub fn settle(&self) {
        let _ = std::fs::remove_file(self.dir.join("fresh"));
    }

    fn own(&self, folder: &Path) -> Result<()> {
        chown(folder, self.record.owner).with_context(|| format!("cannot own volume `{}`", self.record.name))
    }

    /// Take it away. The caller has made sure that nobody uses it, under `lock`, and is root in its namespace.
    pub fn remove(self, dirs: &Dirs, _lock: Lock) -> Result<()> {
        let deed = || format!("cannot remove volume `{}`", self.record.name);
        let scratch = TempDir::new(dirs).with_context(deed)?;
        let away = scratch.path().join("volume");
        std::fs::rename(&self.dir, &away).with_context(deed)?;
        events::tell(dirs, "volume", "remove", &self.record.name, &self.record.name);
        // What is large goes behind the next command.
        crate::base::temp::discard(dirs, &away).map(drop).with_context(deed)
    }
}

fn chown(path: &Path, owner: (Option<u32>, Option<u32>)) -> Result<()> {
    if owner != (None, None) {
        rustix::fs::chown(path, owner.0.map(Uid::from_raw), owner.1.map(Gid::from_raw))?;
    }
    Ok(())
}

/// What a new volume would stand for. Errors: as of [`create`], for words that make no sense.
pub fn check(new: &New) -> Result<Driver> {
    if let Some(name) = &new.name {
        check_name(name)?;
    }
    owner(&new.options)?;
    Driver::parse(&new.driver, &new.options)
}

/// Make a volume.
///
/// Errors: [`Kind::NameInUse`]; [`Kind::Usage`] for a name, a driver or options that make no sense. With an owner the
/// caller is root in its namespace.
pub fn create(dirs: &Dirs, new: New) -> Result<Volume> {
    check(&new)?;
    let name = new.name.unwrap_or_else(|| ContainerId::random().to_string());
    let asked = owner(&new.options)?;
    let record = Record {
        version: VERSION,
        name,
        driver: if new.driver.is_empty() { "local".to_owned() } else { new.driver },
        created: crate::base::time::now(),
        labels: new.labels,
        options: new.options,
        anonymous: new.anonymous,
        owner: (new.owner.0.or(asked.0), new.owner.1.or(asked.1)),
    };
    let dir = dirs.volumes().join(&record.name);
    let deed = || format!("cannot make volume `{}`", record.name);
    let scratch = TempDir::new(dirs).with_context(deed)?;
    let made = scratch.path().join("volume");
    build(&made, &record).with_context(deed)?;
    if let Err(error) = std::fs::create_dir(dirs.volumes())
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error).with_context(deed);
    }
    match rustix::fs::renameat_with(CWD, &made, CWD, &dir, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            let fault = Fault::new(Kind::NameInUse, format!("there is a volume `{}` already", record.name));
            return Err(fault.hint(format!("box volume inspect {}", record.name)).into());
        }
        Err(error) => return Err(error).with_context(deed),
    }
    if !record.anonymous {
        sync_dir(&dirs.volumes()).with_context(deed)?;
    }
    events::tell(dirs, "volume", "create", &record.name, &record.name);
    Ok(Volume { record, dir })
}

/// The whole folder, before it has its name.
fn build(dir: &Path, record: &Record) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::create_dir(dir)?;
    let data = dir.join("data");
    std::fs::DirBuilder::new().mode(0o755).create(&data)?;
    chown(&data, record.owner)?;
    let file = dir.join("volume.json");
    create_new(&file, &serde_json::to_vec(record)?)?;
    create_new(&dir.join("fresh"), b"")?;
    // An anonymous one is as durable as its container, which is made right after.
    if !record.anonymous {
        std::fs::File::open(&file)?.sync_all()?;
        sync_dir(dir)?;
    }
    Ok(())
}

/// A name: letters, digits and `_.-`, beginning with a letter or digit.
pub fn check_name(name: &str) -> Result<()> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if first && rest && name.len() <= 255 {
        return Ok(());
    }
    let text = format!("`{}` cannot be the name of a volume", name.escape_debug());
    Err(fault(Kind::Usage, format!("{text}: use letters, digits and `_.-`, a letter or digit first")))
}

/// The volume of a name, or of the beginning of one that no other has.
///
/// Errors: [`Kind::NotFound`]; [`Kind::Usage`] for the beginning of several names.
pub fn find(dirs: &Dirs, text: &str) -> Result<Volume> {
    if check_name(text).is_err() {
        return Err(missing(dirs, text));
    }
    if let Some(volume) = load(dirs, text) {
        return Ok(volume);
    }
    let mut found: Vec<Volume> = all(dirs).into_iter().filter(|volume| volume.record.name.starts_with(text)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(volume), true) => Ok(volume),
        (Some(_), false) => Err(fault(Kind::Usage, format!("`{text}` is the beginning of several volumes' names"))),
        (None, _) => Err(missing(dirs, text)),
    }
}

/// The volume of exactly this name.
pub fn load(dirs: &Dirs, name: &str) -> Option<Volume> {
    let dir = dirs.volumes().join(name);
    let record = || serde_json::from_slice::<Record>(&read_limited(&dir.join("volume.json"), LIMIT).ok()?).ok();
    match record().filter(|record| record.version == VERSION && record.name == name) {
        Some(record) => Some(Volume { record, dir }),
        // What has files is there, whatever has become of its record.
        None => dir.join("data").is_dir().then(|| Volume { record: Record::damaged(name), dir }),
    }
}

/// All volumes, by name.
pub fn all(dirs: &Dirs) -> Vec<Volume> {
    let entries = std::fs::read_dir(dirs.volumes()).into_iter().flatten().flatten();
    let mut all: Vec<Volume> = entries.filter_map(|entry| load(dirs, entry.file_name().to_str()?)).collect();
    all.sort_by(|a, b| a.record.name.cmp(&b.record.name));
    all
}

fn missing(dirs: &Dirs, name: &str) -> anyhow::Error {
    let text = format!("no such volume `{}`", name.escape_debug());
    let all = all(dirs);
    let names = all.iter().map(|volume| volume.record.name.as_str());
    Fault::new(Kind::NotFound, text).meant(name, names).hint("box volume ls").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> Dirs {
        let data = std::env::temp_dir().join(format!("box-volume-{}", ContainerId::random()));
        std::fs::create_dir(&data).unwrap();
        Dirs { run: data.join("run"), data }
    }

    fn named(name: &str) -> New {
        New { name: Some(name.to_owned()), ..New::default() }
    }

    #[test]
    fn a_name_is_taken_once() {
        let dirs = scratch();
        create(&dirs, named("a")).unwrap();
        let error = create(&dirs, named("a")).unwrap_err();
        assert_eq!(crate::base::error::kind(&error), Kind::NameInUse);
        assert!(create(&dirs, named("../a")).is_err() && create(&dirs, named("")).is_err());
        create(&dirs, named("abc")).unwrap();
        assert_eq!(find(&dirs, "a").unwrap().record.name, "a");
        assert_eq!(find(&dirs, "ab").unwrap().record.name, "abc");
        assert_eq!(all(&dirs).len(), 2);
        // Nothing is left of the one that failed.
        assert_eq!(std::fs::read_dir(dirs.tmp()).unwrap().count(), 0);
        std::fs::remove_dir_all(&dirs.data).unwrap();
    }

    #[test]
    fn the_image_fills_an_empty_volume_once() {
        let dirs = scratch();
        let volume = create(&dirs, named("v")).unwrap();
        let put = |path: &Path| Ok(std::fs::write(path.join("file"), "1")?);
        volume.first_use(&dirs, put).unwrap();
        assert_eq!(std::fs::read(volume.data().join("file")).unwrap(), b"1");
        std::fs::remove_file(volume.data().join("file")).unwrap();
        volume.first_use(&dirs, put).unwrap();
        assert!(!volume.data().join("file").exists());
        std::fs::remove_dir_all(&dirs.data).unwrap();
    }

    #[test]
    fn who_waits_for_a_removed_volume_finds_none() {
        let dirs = scratch();
        let volume = create(&dirs, named("v")).unwrap();
        let again = volume.clone();
        let lock = volume.lock(Share::Exclusive).unwrap();
        volume.remove(&dirs, lock).unwrap();
        assert_eq!(crate::base::error::kind(&again.lock(Share::Shared).unwrap_err()), Kind::NotFound);
        assert!(all(&dirs).is_empty());
        std::fs::remove_dir_all(&dirs.data).unwrap();
    }

    #[test]
    fn one_whose_record_is_damaged_is_listed_and_can_be_removed() {
        let dirs = scratch();
        for text in [Some(""), Some("{}"), Some("{\"version\":9}"), None] {
            let record = dirs.volumes().join("v/volume.json");
            create(&dirs, named("v")).unwrap();
            match text {
                Some(text) => std::fs::write(&record, text).unwrap(),
                None => std::fs::remove_file(&record).unwrap(),
            }
            assert_eq!(all(&dirs).len(), 1);
            let volume = find(&dirs, "v").unwrap();
            assert_eq!(crate::base::error::kind(&volume.driver().unwrap_err()), Kind::BadData);
            assert!(create(&dirs, named("v")).is_err());
            let lock = volume.lock(Share::Exclusive).unwrap();
            volume.remove(&dirs, lock).unwrap();
            assert!(all(&dirs).is_empty());
        }
        std::fs::remove_dir_all(&dirs.data).unwrap();
    }
}
