//! `RUN --mount`: what is there while a command runs, and in no layer.
//!
//! <https://docs.docker.com/reference/dockerfile/#run---mount>; moby/buildkit `instructions/commands_runmount.go`.

use super::csv;
use super::directives::go_bool;
use super::mistake::Mistake;
use super::path::clean;
use crate::base::units;
use serde::Serialize;

/// A mount. A target is relative to `WORKDIR`; an empty one is that folder itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Mount {
    /// A folder or file of the context, a stage or an image.
    Bind {
        /// The stage, image or named context; the context if `None`.
        from: Option<String>,
        /// The path in there.
        source: String,
        /// Where to.
        target: String,
        /// Whether it can be written to, for nobody to see.
        writable: bool,
    },
    /// A folder that later builds find again.
    Cache {
        /// What it is found by; the cleaned target if not given.
        id: String,
        /// The stage, image or named context that it begins with; empty if `None`.
        from: Option<String>,
        /// The path in there.
        source: String,
        /// Where to.
        target: String,
        /// Whether it cannot be written to.
        read_only: bool,
        /// Who else may use it meanwhile.
        sharing: Sharing,
        /// Who owns a new one.
        owner: Owner,
    },
    /// Memory.
    Tmpfs {
        /// Where to.
        target: String,
        /// Bytes; 0 for the kernel's own limit.
        size: u64,
        /// Whether it cannot be written to.
        read_only: bool,
    },
    /// A secret of the build.
    Secret {
        /// What the build calls it.
        id: String,
        /// The file; `None` if it is only in the environment.
        target: Option<String>,
        /// The variable.
        env: Option<String>,
        /// Whether its absence is an error.
        required: bool,
        /// Who owns the file; its mode is 0400 if not given.
        owner: Owner,
    },
    /// An SSH agent's socket.
    Ssh {
        /// What the build calls it.
        id: String,
        /// The socket, if it is to be at a certain place.
        target: Option<String>,
        /// Whether its absence is an error.
        required: bool,
        /// Who owns the socket; its mode is 0600 if not given.
        owner: Owner,
    },
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Nobody else: they get another.
    Private,
    /// Nobody else: they wait.
    Locked,
}

/// Owner and mode, where given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Owner {
    /// The user's number.
    pub uid: Option<u32>,
    /// The group's number.
    pub gid: Option<u32>,
    /// The mode.
    pub mode: Option<u32>,
}

/// A mount as its fields, `key=value` or `key` alone. Values are expanded one by one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "String")]
pub struct MountWords(pub Vec<(String, Option<String>)>);

impl From<MountWords> for String {
    /// The flag's value.
    fn from(words: MountWords) -> Self {
        let field = |(key, value): (String, Option<String>)| match value {
            Some(value) => format!("{key}={value}"),
            None => key,
        };
        let fields: Vec<String> = words.0.into_iter().map(field).collect();
        csv::line(fields.iter().map(String::as_str))
    }
}

/// The keys, with their other names.
const KEYS: &[&str] = &[
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
];
/// The types.
const TYPES: &[&str] = &["bind", "cache", "tmpfs", "secret", "ssh"];

impl MountWords {
    /// Parse a flag's value. What does not depend on variables is checked.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let fields = csv::fields(text)?.into_iter().map(|field| match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
            None => (field.to_ascii_lowercase(), None),
        });
        let words = Self(fields.collect());
        if words.from().is_some_and(|from| from.trim_end_matches('$').contains('$')) {
            return Err(Mistake::new("variables are not expanded in `from`").hint("name a stage: FROM $IMAGE AS name"));
        }
        let varies = words.0.iter().any(|(_, value)| value.as_deref().is_some_and(|value| value.contains('$')));
        if !varies {
            words.mount()?;
        }
        Ok(words)
    }

    /// The stage, image or named context that it takes files from.
    pub fn from(&self) -> Option<&str> {
        let from = self.0.iter().rfind(|(key, _)| key == "from").and_then(|(_, value)| value.as_deref());
        from.filter(|from| !from.is_empty())
    }

    /// The mount. The values must be expanded.
    pub fn mount(&self) -> Result<Mount, Mistake> {
        let mut raw = Raw { kind: "bind".to_owned(), ..Raw::default() };
        for (key, value) in &self.0 {
            match value {
                Some(value) => raw.set(key, value)?,
                None => raw.switch(key)?,
            }
        }
        raw.check()?;
        raw.mount()
    }
}

/// The fields of a mount of any type.
#[derive(Debug, Default)]
struct Raw {
    kind: String,
    from: Option<String>,
    source: String,
    target: String,
    id: String,
    env: Option<String>,
    read_only: Option<bool>,
    required: bool,
    size: Option<u64>,
    sharing: Option<Sharing>,
    owner: Owner,
}

impl Raw {
    fn switch(&mut self, key: &str) -> Result<(), Mistake> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => {
                self.only("required", &["secret", "ssh"])?;
                self.required = true;
            }
            _ if KEYS.contains(&key) => return Err(Mistake::new(format!("`{key}` needs a value: {key}=VALUE"))),
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Mistake> {
        let wrong = |what: &str| Mistake::new(format!("`{key}={value}`: {what}"));
        let bool = || go_bool(value).ok_or_else(|| wrong("it is either true or false"));
        let number = || value.parse::<u32>().map_err(|_| wrong("it is a number, not a name"));
        match key {
            "type" => {
                let kind = value.to_ascii_lowercase();
                if !TYPES.contains(&kind.as_str()) {
                    let text = format!("there is no mount type `{value}`: one of {}", TYPES.join(", "));
                    return Err(Mistake::new(text).did_you_mean(&kind, TYPES.iter().copied()));
                }
                self.kind = kind;
            }
            "from" => self.from = (!value.is_empty()).then(|| value.to_owned()),
            "source" | "src" => self.source = value.to_owned(),
            "target" | "dst" | "destination" => self.target = value.to_owned(),
            "readonly" | "ro" => self.read_only = Some(bool()?),
            "readwrite" | "rw" => self.read_only = Some(!bool()?),
            "required" => {
                self.only(key, &["secret", "ssh"])?;
                self.required = bool()?;
            }
            "size" => {
                self.only(key, &["tmpfs"])?;
                self.size = Some(units::parse_bytes(value).map_err(|_| wrong("it is a size, such as 512m"))?);
            }
            "id" => self.id = value.to_owned(),
            "sharing" => {
                self.sharing = Some(match value.to_ascii_lowercase().as_str() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => return Err(wrong("it is shared, private or locked")),
                });
            }
            "mode" => {
                let mode = u32::from_str_radix(value, 8).map_err(|_| wrong("it is an octal number, such as 0755"))?;
                self.owner.mode = Some(mode);
            }
            "uid" => self.owner.uid = Some(number()?),
            "gid" => self.owner.gid = Some(number()?),
            "env" => self.env = Some(value.to_owned()),
            _ => return Err(unknown(key)),
        }
        Ok(())
    }

    /// A key that only these types have. The type must stand before it.
    fn only(&self, key: &str, kinds: &[&str]) -> Result<(), Mistake> {
        if kinds.contains(&self.kind.as_str()) {
            return Ok(());
        }
        let text = format!("a mount of type {} has no `{key}`: that is for type {}", self.kind, kinds.join(", "));
        Err(Mistake::new(text).hint(format!("write `type={}` before it", kinds[0])))
    }

    fn check(&self) -> Result<(), Mistake> {
        if self.owner != Owner::default() {
            let given = [("mode", self.owner.mode), ("uid", self.owner.uid), ("gid", self.owner.gid)];
            let key = given.iter().find(|(_, value)| value.is_some()).map_or("mode", |(key, _)| key);
            self.only(key, &["cache", "secret", "ssh"])?;
        }
        if self.sharing.is_some() {
            self.only("sharing", &["cache"])?;
        }
        if self.env.is_some() {
            self.only("env", &["secret"])?;
        }
        match self.kind.as_str() {
            "secret" if self.from.is_some() => Err(Mistake::new("a secret comes from the build: it has no `from`")),
            "secret" if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() => {
                Err(Mistake::new("a secret needs an `id`, or a `target`"))
            }
            "secret" if !self.source.is_empty() && !self.id.is_empty() => {
                Err(Mistake::new("`source` and `id` of a secret are the same: only one can be given"))
            }
            "ssh" if !self.source.is_empty() => {
                Err(Mistake::new("an ssh mount has no `source`: its agent has an `id`"))
            }
            _ => Ok(()),
        }
    }

    fn mount(self) -> Result<Mount, Mistake> {
        let Self { from, source, target, owner, required, .. } = self;
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(match self.kind.as_str() {
            "cache" => Mount::Cache {
                id: given(&self.id).unwrap_or_else(|| clean(&target)),
                from,
                source,
                target,
                read_only: self.read_only.unwrap_or(false),
                sharing: self.sharing.unwrap_or_default(),
                owner,
            },
            "tmpfs" => {
                Mount::Tmpfs { target, size: self.size.unwrap_or(0), read_only: self.read_only.unwrap_or(false) }
            }
            "secret" => {
                let named = given(&source).or(given(&self.id));
                let id = named.unwrap_or_else(|| last_part(&target).to_owned());
                let env = self.env.filter(|env| !env.is_empty());
                let file = given(&target);
                let file = if env.is_some() { file } else { file.or(Some(format!("/run/secrets/{}", last_part(&id)))) };
                Mount::Secret { id, target: file, env, required, owner }
            }
            "ssh" => {
                let id = given(&self.id).unwrap_or_else(|| "default".to_owned());
                Mount::Ssh { id, target: given(&target), required, owner }
            }
            _ => Mount::Bind { from, source, target, writable: self.read_only == Some(false) },
        })
    }
}

fn unknown(key: &str) -> Mistake {
    Mistake::new(format!("a mount has no key `{key}`")).did_you_mean(key, KEYS.iter().copied())
}

/// The last part of a path (Go's `path.Base`).
fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
