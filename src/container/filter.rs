//! `--filter`: which containers are meant, by what they are and what they do. Parsing is pure; so is matching, but for
//! what [`Filters::resolve`] has looked up before.

use super::list::Summary;
use super::mounts::Source;
use super::record::Status;
use crate::base::digest::Digest;
use crate::base::error::{Fault, Kind, fault};
use crate::base::time;
use crate::engine::Engine;
use crate::image;
use anyhow::Result;
use chrono::DateTime;
use regex::Regex;
use std::collections::BTreeMap;

/// The keys, as the message for a wrong one lists them.
const KEYS: &str = "ancestor before command exited expose health id label label! name network pod publish \
                    restart-policy should-start-on-boot since status until volume";

/// The words of `status`.
const STATES: [&str; 10] = [
    "created",
    "initialized",
    "running",
    "paused",
    "restarting",
    "stopping",
    "stopped",
    "exited",
    "removing",
    "unknown",
];

/// What one filter looks at, and for what.
#[derive(Debug, Clone)]
enum Test {
    Ancestor(String),
    Before(String),
    Command(String),
    Exited(i32),
    Expose(String),
    Health(String),
    Id(String),
    Label(String),
    NotLabel(String),
    Name(Regex),
    Network(String),
    Pod,
    Publish(String),
    RestartPolicy(String),
    StartOnBoot(bool),
    Since(String),
    Status(String),
    Until(i64),
    Volume(String),
}

/// All `--filter`s of a command: the same key twice means either (labels: both); different keys mean both.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    tests: Vec<Test>,
    /// Ids of images that `ancestor` names.
    ancestors: Vec<(String, String)>,
    /// When the containers that `before` and `since` name were made.
    moments: Vec<(String, i64)>,
}

impl Filters {
    /// Read `KEY=VALUE`s. Errors: [`Kind::Usage`].
    pub fn parse(texts: &[String]) -> Result<Self> {
        let now = time::now();
        let tests = texts.iter().map(|text| test(text, now)).collect::<Result<_>>()?;
        Ok(Self { tests, ..Self::default() })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    /// Whether a state is asked for, which may be another than running.
    pub fn asks_for_state(&self) -> bool {
        self.tests.iter().any(|test| matches!(test, Test::Status(_) | Test::Exited(_) | Test::Health(_)))
    }

    /// Look up the images and containers that filters name. Errors: `before` or `since` of a container that is not.
    pub fn resolve(mut self, engine: &Engine) -> Result<Self> {
        for test in &self.tests {
            match test {
                Test::Ancestor(name) => {
                    if let Some(image) = image::find(&engine.store, name)? {
                        self.ancestors.push((name.clone(), image.id.digits().to_owned()));
                    }
                }
                Test::Before(name) | Test::Since(name) => {
                    self.moments.push((name.clone(), super::find(engine, name)?.config.created));
                }
                _ => {}
            }
        }
        Ok(self)
    }

    /// Whether a container fits.
    pub fn fit(&self, row: &Summary) -> bool {
        self.tests.iter().all(|test| match test {
            Test::Label(_) | Test::NotLabel(_) => self.fits(row, test),
            test => {
                let same = |other: &&Test| std::mem::discriminant(*other) == std::mem::discriminant(test);
                self.tests.iter().filter(same).any(|other| self.fits(row, other))
            }
        })
    }

    fn fits(&self, row: &Summary, test: &Test) -> bool {
        let config = &row.container.config;
        let made = |name: &str| self.moments.iter().find(|(known, _)| known == name).map_or(0, |(_, at)| *at);
        match test {
            Test::Ancestor(name) => {
                let id = config.root.image().map_or("", Digest::digits);
                config.image_name() == *name || self.ancestors.iter().any(|(known, of)| known == name && of == id)
            }
            Test::Before(name) => config.created < made(name),
            Test::Since(name) => config.created > made(name),
            Test::Until(at) => config.created < *at,
            Test::Command(part) => config.args.first().is_some_and(|word| word.contains(part.as_str())),
            Test::Exited(code) => row.exit().is_some_and(|exit| exit.code == *code),
            Test::Expose(port) => {
                config.exposed.iter().any(|known| known == port || known.split('/').next() == Some(port))
            }
            Test::Health(word) => row.health() == *word,
            Test::Id(prefix) => config.id.as_str().starts_with(prefix.as_str()),
            Test::Label(wanted) => has_label(&config.labels, wanted),
            Test::NotLabel(wanted) => !has_label(&config.labels, wanted),
            Test::Name(pattern) => pattern.is_match(&config.name),
            Test::Network(name) => super::network::is_in(&row.container, name),
            // There are no pods yet, so no container is in one.
            Test::Pod => false,
            Test::Publish(port) => row.ports().iter().any(|known| {
                let (ours, theirs) = (known.host_port.to_string(), known.container_port.to_string());
                let number = port.split('/').next().unwrap_or_default();
                let protocol = port.split('/').nth(1);
                (ours == number || theirs == number) && protocol.is_none_or(|p| p == known.protocol.to_string())
            }),
            Test::RestartPolicy(word) => config.life.restart.word() == word,
            Test::StartOnBoot(wanted) => row.container.starts_on_boot() == *wanted,
            Test::Status(word) => row.status.word() == if word == "stopped" { "exited" } else { word },
            Test::Volume(wanted) => mounted(row).any(|path| path == *wanted),
        }
    }
}

/// Where something is mounted, and what.
fn mounted(row: &Summary) -> impl Iterator<Item = String> {
    row.container.config.mounts.iter().flat_map(|mount| {
        let source = match &mount.source {
            Source::Bind { source } => Some(source.display().to_string()),
            Source::Volume { name, .. } => Some(name.clone()),
            _ => None,
        };
        source.into_iter().chain([mount.target.display().to_string()])
    })
}

fn test(text: &str, now: i64) -> Result<Test> {
    let keys = || format!("the keys are: {KEYS}");
    let (key, value) = text.split_once('=').ok_or_else(|| {
        Fault::new(Kind::Usage, format!("`--filter {}` is not KEY=VALUE", text.escape_debug())).hint(keys())
    })?;
    let own = value.to_owned();
    let wrong = |what: &str| fault(Kind::Usage, format!("`--filter {key}`: `{}` is not {what}", value.escape_debug()));
    let one_of = |words: &[&str], what: &str| -> Result<String> {
        if words.contains(&value) {
            return Ok(value.to_owned());
        }
        let text = format!("`--filter {key}`: `{}` is not {what}", value.escape_debug());
        Err(Fault::new(Kind::Usage, text).hint(format!("it is one of: {}", words.join(" "))).into())
    };
    Ok(match key {
        "ancestor" => Test::Ancestor(own),
        "before" => Test::Before(own),
        "command" => Test::Command(own),
        "exited" => Test::Exited(value.parse().map_err(|_| wrong("an exit code"))?),
        "expose" => Test::Expose(own),
        "health" => {
            Test::Health(one_of(&["starting", "healthy", "unhealthy", "stopped", "none"], "a state of health")?)
        }
        "id" => Test::Id(own),
        "label" => Test::Label(own),
        "label!" => Test::NotLabel(own),
        "name" => Test::Name(Regex::new(value).map_err(|_| wrong("a regular expression"))?),
        "network" => Test::Network(own),
        "pod" => Test::Pod,
        "publish" => Test::Publish(own),
        "restart-policy" => {
            Test::RestartPolicy(one_of(&["no", "always", "on-failure", "unless-stopped"], "a restart policy")?)
        }
        "should-start-on-boot" => Test::StartOnBoot(one_of(&["true", "false"], "true or false")? == "true"),
        "since" => Test::Since(own),
        "status" => Test::Status(one_of(&STATES, "the state of a container")?),
        "until" => Test::Until(
            time::parse_moment(value, DateTime::from_timestamp_nanos(now))?.timestamp_nanos_opt().unwrap_or(i64::MAX),
        ),
        "volume" => Test::Volume(own),
        other => {
            let text = format!("`--filter`: there is no filter `{}`", other.escape_debug());
            let near = KEYS.split(' ').find(|known| known.starts_with(other) || other.starts_with(known));
            let fault = Fault::new(Kind::Usage, text);
            let fault = match near.filter(|_| !other.is_empty()) {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault,
            };
            return Err(fault.hint(keys()).into());
        }
    })
}

/// `KEY` or `KEY=VALUE`.
pub fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|is| is == value),
        None => labels.contains_key(wanted),
    }
}

impl Summary {
    /// The ports of the run under way, or those asked for.
    pub fn ports(&self) -> &[crate::network::PortMapping] {
        self.run().map_or(&self.container.config.ports, |run| &run.ports)
    }

    /// The word for its health; `none` without a check, `stopped` while it does not run.
    pub fn health(&self) -> &'static str {
        match (&self.container.config.life.health, &self.status) {
            (None, _) => "none",
            (Some(_), Status::Running(_)) => super::health::status(&self.container),
            (Some(_), _) => "stopped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_filter() {
        for text in [
            "id=abc",
            "name=^web.*$",
            "status=running",
            "label=a=b",
            "label!=a",
            "ancestor=alpine",
            "exited=7",
            "before=x",
            "since=x",
            "until=10m",
            "health=healthy",
            "network=none",
            "volume=/x",
            "restart-policy=always",
            "should-start-on-boot=true",
            "pod=x",
            "publish=80",
            "expose=80/tcp",
            "command=sh",
        ] {
            assert!(Filters::parse(&[text.to_owned()]).is_ok(), "{text}");
        }
        for text in [
            "nope=1",
            "status=happy",
            "exited=x",
            "running",
            "",
            "name=(",
            "health=ill",
            "until=x",
            "restart-policy=x",
            "should-start-on-boot=maybe",
        ] {
            assert!(Filters::parse(&[text.to_owned()]).is_err(), "{text}");
        }
        assert!(matches!(test("label!=a=b", 0).unwrap(), Test::NotLabel(text) if text == "a=b"));
        assert!(Filters::parse(&["health=healthy".into()]).unwrap().asks_for_state());
    }

    #[test]
    fn labels() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert!(has_label(&labels, "a") && has_label(&labels, "a=b"));
        assert!(!has_label(&labels, "a=c") && !has_label(&labels, "b"));
    }
}
