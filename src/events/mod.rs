//! What has happened: a journal as files, appended to by whoever did it.
//!
//! ```text
//! $DATA/events/journal     a line of JSON an event ([`Event`]), newest last
//! $DATA/events/journal.1   the same, older; written no more
//! ```
//!
//! A line is one write(2) to a file opened with `O_APPEND`, so lines of several processes never mix; nobody takes a
//! lock to write. A journal that has grown too long is renamed, and the one before it is gone. The journal is a record
//! for people and scripts: nothing of box depends on it, and a full disk only costs the line. Where it is and whether
//! there is one, containers.conf may say ([`Settings`]).

mod follow;
mod read;
mod settings;

pub use follow::follow;
pub use read::{Query, read};
pub use settings::{Settings, configure, load_with, settings};

use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind};
use crate::base::time;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// `container`, `image`, `network`, `secret`, `system` or `volume`.
    #[serde(rename = "type")]
    pub kind: String,
    /// podman's word for it: `create`, `start`, `died`, …
    pub action: String,
    /// The container's or image's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The container's image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The code of what has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The container's health, for `health_status`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub health: String,
    /// The container's labels, and what else belongs to the event.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// An event of now.
    pub fn new(kind: &str, action: &str, id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            time: time::now(),
            kind: kind.to_owned(),
            action: action.to_owned(),
            id: id.into(),
            name: name.into(),
            image: String::new(),
            code: None,
            health: String::new(),
            attributes: BTreeMap::new(),
        }
    }
}

/// The folder of the journal, which is made with the first event.
pub fn folder(dirs: &Dirs) -> PathBuf {
    journal(dirs).parent().map(PathBuf::from).unwrap_or_default()
}

fn journal(dirs: &Dirs) -> PathBuf {
    settings().path.clone().unwrap_or_else(|| dirs.data.join("events/journal"))
}

/// The journal that was renamed.
fn older(dirs: &Dirs) -> PathBuf {
    let mut name = journal(dirs).into_os_string();
    name.push(".1");
    name.into()
}

/// Append events, by one write. What cannot be written is lost: no deed fails for its record.
pub fn record(dirs: &Dirs, events: &[Event]) {
    if !settings().kept {
        return;
    }
    let mut bytes = Vec::with_capacity(512);
    for event in events {
        if serde_json::to_writer(&mut bytes, event).is_ok() {
            bytes.push(b'\n');
        }
    }
    let _ = append(dirs, &bytes);
}

/// [`record`] of one thing that has a name.
pub fn tell(dirs: &Dirs, kind: &str, action: &str, id: &str, name: &str) {
    record(dirs, &[Event::new(kind, action, id, name)]);
}

fn append(dirs: &Dirs, bytes: &[u8]) -> std::io::Result<()> {
    let path = journal(dirs);
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let mut file = match open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder(dirs))?;
            open()?
        }
        file => file?,
    };
    file.write_all(bytes)?;
    let max = settings().max_size;
    if max > 0 && file.metadata()?.len() > max {
        // Two who find it so at once rename twice; the second would lose a young journal but for the check.
        let length = std::fs::metadata(&path)?.len();
        if length > max {
            std::fs::rename(&path, older(dirs))?;
        }
    }
    Ok(())
}

/// The words of `--filter` and what they select.
#[derive(Debug, Clone, Default)]
pub struct Filters(Vec<(String, String)>);

impl Filters {
    /// Read `KEY=VALUE`s. Errors: [`Kind::Usage`].
    pub fn parse(texts: &[String]) -> Result<Self> {
        let keys = "container event image label network pod secret type volume";
        let parse = |text: &String| -> Result<(String, String)> {
            let hint = || format!("the keys are: {keys}");
            let Some((key, value)) = text.split_once('=') else {
                let text = format!("`--filter {}` is not KEY=VALUE", text.escape_debug());
                return Err(Fault::new(Kind::Usage, text).hint(hint()).into());
            };
            if !keys.split(' ').any(|known| known == key) {
                let text = format!("`--filter`: there is no filter `{}`", key.escape_debug());
                return Err(Fault::new(Kind::Usage, text).hint(hint()).into());
            }
            // docker's word.
            let value = if (key, value) == ("event", "die") { "died" } else { value };
            Ok((key.to_owned(), value.to_owned()))
        };
        Ok(Self(texts.iter().map(parse).collect::<Result<_>>()?))
    }

    /// The same key twice means either; different keys mean both.
    fn fit(&self, event: &Event) -> bool {
        self.0.iter().all(|(key, _)| {
            self.0.iter().filter(|(other, _)| other == key).any(|(key, value)| matches(event, key, value))
        })
    }
}

fn matches(event: &Event, key: &str, value: &str) -> bool {
    let named = |kind: &str| event.kind == kind && (event.name == value || event.id.starts_with(value));
    match key {
        "container" | "network" | "secret" | "volume" => named(key),
        "event" => event.action == value,
        "image" => {
            named("image") || event.image == value || event.image.rsplit_once(':').is_some_and(|(n, _)| n == value)
        }
        "label" => match value.split_once('=') {
            Some((key, value)) => event.attributes.get(key).is_some_and(|is| is == value),
            None => event.attributes.contains_key(value),
        },
        "type" => event.kind == value,
        // There are no pods.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let mut event = Event::new("container", "died", "abc123", "web");
        event.image = "docker.io/library/alpine:latest".into();
        event.attributes.insert("a".into(), "b".into());
        let fits = |texts: &[&str]| {
            Filters::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap().fit(&event)
        };
        for texts in [
            &[][..],
            &["container=web"],
            &["container=abc"],
            &["event=die"],
            &["event=start", "event=died"],
            &["image=docker.io/library/alpine"],
            &["label=a"],
            &["label=a=b", "type=container"],
        ] {
            assert!(fits(texts), "{texts:?}");
        }
        for texts in [&["container=x"][..], &["event=start"], &["label=a=c"], &["type=image"], &["pod=web"]] {
            assert!(!fits(texts), "{texts:?}");
        }
        for text in ["x", "nope=1"] {
            assert!(Filters::parse(&[text.to_owned()]).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_are_read_as_written_and_the_journal_stays_short() {
        let base = std::env::temp_dir().join(format!("box-events-{}", crate::base::id::ContainerId::random()));
        let dirs = Dirs { data: base.clone(), run: base.join("run") };
        let event =
            |number: i64| Event { time: number, ..Event::new("container", "start", "x".repeat(64), "n".repeat(900)) };
        for number in 0..10_000 {
            record(&dirs, &[event(number)]);
        }
        let files =
            ["journal", "journal.1"].map(|name| std::fs::metadata(base.join("events").join(name)).unwrap().len());
        assert!(files.iter().all(|length| *length <= settings().max_size + 2048), "{files:?}");
        let mut times = Vec::new();
        let query = Query { since: Some(9_000), until: Some(9_500), ..Query::default() };
        read(&dirs, &query, &mut |event| {
            times.push(event.time);
            Ok(())
        })
        .unwrap();
        assert_eq!(times, (9_000..=9_500).collect::<Vec<_>>());
        std::fs::remove_dir_all(base).unwrap();
    }
}
