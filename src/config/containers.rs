//! containers.conf: the defaults of options, and which file each of them is from.
//!
//! The files of the distribution, of the host and of the user are read in this order, each with its drop-ins; a later
//! one's keys replace an earlier one's. CONTAINERS_CONF stands in place of them all, CONTAINERS_CONF_OVERRIDE comes
//! last. A list with `{append=true}` in it goes on where the earlier one ended. What the keys mean is not known here.
//! <https://github.com/containers/common/blob/main/docs/containers.conf.5.md>

use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use anyhow::{Context, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Value;

/// A file larger than this is none.
const FILE_LIMIT: u64 = 4 << 20;
const NAME: &str = "containers.conf";

/// The merged configuration.
#[derive(Debug, Clone, Default)]
pub struct Containers {
    settings: BTreeMap<String, Setting>,
}

/// A key's value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// As written, but for a list's `{append=…}`.
    pub value: Value,
    /// The files that it is from; several where one goes on with another's list.
    pub files: Vec<PathBuf>,
    /// Whether later lists go on with this one.
    append: bool,
}

impl Containers {
    /// Read what is configured. Errors: a file that a variable names and that is not there; one that is not TOML.
    pub fn load() -> Result<Self> {
        let mut found = Self::default();
        match env::containers_conf() {
            Some(path) => found.merge(&read(&path)?, &path)?,
            None => {
                let folders = ["/usr/share/containers".into(), "/etc/containers".into()];
                for folder in folders.into_iter().chain(super::user_folder()) {
                    found.merge_folder(&folder)?;
                }
            }
        }
        if let Some(path) = env::containers_conf_override() {
            found.merge(&read(&path)?, &path)?;
        }
        Ok(found)
    }

    fn merge_folder(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        if path.exists() {
            self.merge(&read(&path)?, &path)?;
        }
        let Ok(entries) = std::fs::read_dir(folder.join("containers.conf.d")) else { return Ok(()) };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        paths.sort();
        paths.iter().try_for_each(|path| self.merge(&read(path)?, path))
    }

    /// Take in the text of a file.
    fn merge(&mut self, text: &str, path: &Path) -> Result<()> {
        let deed = || Fault::new(Kind::Host, format!("cannot use `{}`", path.display()));
        let text = without_comments(text);
        let file: toml::Table = toml::from_str(&text).map_err(|error| {
            // In one line: the parser would draw the place.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            deed().because(anyhow::anyhow!("line {line}: {}", error.message().replace('\n', ", ")))
        })?;
        for (table, keys) in file {
            let Value::Table(keys) = keys else {
                let text = format!("`{table}` stands in no table, such as [containers]");
                return Err(fault(Kind::Host, text)).with_context(deed);
            };
            for (key, value) in keys {
                self.set(format!("{table}.{key}"), value, path);
            }
        }
        Ok(())
    }

    fn set(&mut self, key: String, value: Value, path: &Path) {
        let older = self.settings.get(&key);
        let (value, append) = match value {
            Value::Array(list) => {
                let said = list.iter().rev().find_map(|item| item.get("append")?.as_bool());
                let append = said.unwrap_or_else(|| older.is_some_and(|older| older.append));
                let earlier = older.filter(|_| append).and_then(|older| older.value.as_array()).cloned();
                let strings = list.into_iter().filter(|item| item.get("append").is_none());
                (Value::Array(earlier.unwrap_or_default().into_iter().chain(strings).collect()), append)
            }
            other => (other, false),
        };
        let mut files = older.filter(|_| append).map(|older| older.files.clone()).unwrap_or_default();
        files.push(path.to_owned());
        self.settings.insert(key, Setting { value, files, append });
    }

    /// Whether nothing is configured.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// All keys, as `table.key`, with their values.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(key, setting)| (key.as_str(), setting))
    }

    /// A key's setting.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    /// What a key says as words, one or a list of them; none if it is missing or empty.
    ///
    /// Errors: a value that is neither text, a number, true or false nor a list of these.
    pub fn words(&self, key: &str) -> Result<Vec<String>> {
        let Some(setting) = self.get(key) else { return Ok(Vec::new()) };
        setting.words().with_context(|| setting.deed(key))
    }

    /// What a key says in one word; `None` if it is missing or empty.
    pub fn word(&self, key: &str) -> Result<Option<String>> {
        Ok(self.words(key)?.pop())
    }
}

impl Setting {
    fn words(&self) -> Result<Vec<String>> {
        let word = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Float(number) => Ok(number.to_string()),
            Value::Boolean(flag) => Ok(flag.to_string()),
            _ => Err(fault(Kind::Host, format!("it cannot be a value of type {}", value.type_str()))),
        };
        match &self.value {
            Value::Array(list) => list.iter().map(word).collect(),
            Value::String(text) if text.is_empty() => Ok(Vec::new()),
            value => word(value).map(|word| vec![word]),
        }
    }

    /// The beginning of a sentence about why it cannot be used.
    pub fn deed(&self, key: &str) -> Fault {
        let name = key.split_once('.').map_or(key, |(_, name)| name);
        Fault::new(Kind::Host, format!("cannot use `{name}` of `{}`", self.shown_files()))
    }

    /// The value in one line, whatever it is.
    pub fn value_text(&self) -> String {
        serde_json::to_string(&self.value).unwrap_or_default()
    }

    /// The files that it is from, to stand between backticks.
    pub fn shown_files(&self) -> String {
        self.files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("`, `")
    }
}

pub(super) fn read(path: &Path) -> Result<String> {
    // As scripts have it: `CONTAINERS_CONF=/dev/null` for no configuration.
    if path == Path::new("/dev/null") {
        return Ok(String::new());
    }
    let bytes = read_limited(path, FILE_LIMIT)?;
    String::from_utf8(bytes).with_context(|| format!("cannot use `{}`", path.display()))
}

/// Lines that begin with `#` left empty: distributions' files consist of them, and a parser of TOML takes its time.
///
/// A line that begins so can be part of a text in triple quotes; a file with one is left as it is.
pub(super) fn without_comments(text: &str) -> Cow<'_, str> {
    if text.contains("\"\"\"") || text.contains("'''") {
        return text.into();
    }
    text.lines().flat_map(|line| [if line.trim_start().starts_with('#') { "" } else { line }, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(files: &[&str]) -> Containers {
        let mut found = Containers::default();
        for (number, text) in files.iter().enumerate() {
            found.merge(text, Path::new(&format!("/{number}.conf"))).unwrap_or_else(|error| panic!("{error:#}"));
        }
        found
    }

    #[test]
    fn later_files_replace_key_by_key() {
        let found = merged(&[
            "[containers]\nshm_size = \"1m\"\npids_limit = 5\n[engine]\ndetach_keys = \"\"",
            "[containers]\n# shm_size = \"3m\"\nshm_size = \"2m\" # two\ninit = true",
        ]);
        assert_eq!(found.word("containers.shm_size").unwrap().as_deref(), Some("2m"));
        assert_eq!(found.word("containers.pids_limit").unwrap().as_deref(), Some("5"));
        assert_eq!(found.word("containers.init").unwrap().as_deref(), Some("true"));
        assert_eq!(found.word("engine.detach_keys").unwrap(), None);
        assert_eq!(found.get("containers.shm_size").unwrap().shown_files(), "/1.conf");
    }

    #[test]
    fn lists_go_on_where_they_say_so() {
        let list = |files: &[&str]| merged(files).words("containers.env").unwrap().join(" ");
        let (one, two) = ("[containers]\nenv=[\"1=t\"]", "[containers]\nenv=[\"2=t\"]");
        let (three, four) = ("[containers]\nenv=[\"3=t\", {append=true}]", "[containers]\nenv=[\"4=t\"]");
        let five = "[containers]\nenv=[\"5=t\", {append=false}]";
        assert_eq!(list(&[one, two]), "2=t");
        assert_eq!(list(&[one, two, three, four]), "2=t 3=t 4=t", "as containers.conf(5) has it");
        assert_eq!(list(&[one, three, five]), "5=t");
        assert_eq!(list(&[three]), "3=t");
        assert_eq!(merged(&[one, three]).get("containers.env").unwrap().files.len(), 2);
    }

    #[test]
    fn errors_name_file_and_key() {
        let error = Containers::default().merge("shm_size = 1", Path::new("/x")).unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot use `/x`: `shm_size` stands in no table, such as [containers]");
        let error = Containers::default().merge("# x\n[engine]\na = 1\na = 2", Path::new("/x")).unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot use `/x`: line 4: duplicate key");
        let found = merged(&["[containers]\nenv = [[1]]\ninit = {}"]);
        let error = found.words("containers.env").unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot use `env` of `/0.conf`: it cannot be a value of type array");
        assert!(found.word("containers.init").is_err());
    }

    #[test]
    fn comments_cost_nothing_and_change_nothing() {
        assert_eq!(without_comments("# a\n[b]\n  #c\nd = \"#\""), "\n[b]\n\nd = \"#\"\n");
        assert_eq!(without_comments("a = '''\n# text\n'''"), "a = '''\n# text\n'''");
    }
}
