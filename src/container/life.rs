//! What a container's life is like beyond one run: restart policy, health check, how its log is kept, files with pids.
//! Words in, values out; no I/O.

use super::record::Container;
use super::sdnotify::Sdnotify;
use crate::base::error::{Fault, Kind, fault};
use crate::base::id::ContainerId;
use crate::base::time::parse_duration;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The part of a container's config that outlives a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// `--restart`.
    pub restart: RestartPolicy,
    /// The health check: the image's, as the request changed it.
    pub health: Option<Healthcheck>,
    /// `--timeout`: seconds after which it is killed.
    pub timeout: Option<u64>,
    /// `--log-opt`.
    pub log: LogOptions,
    /// `--pidfile`: where process 1's pid is written at each start.
    pub pidfile: Option<PathBuf>,
    /// `--conmon-pidfile`: where the monitor's is.
    pub monitor_pidfile: Option<PathBuf>,
    /// `--requires`: containers that run before it does.
    pub requires: Vec<ContainerId>,
    /// `--sdnotify`.
    pub sdnotify: Sdnotify,
}

/// What a request asks for beyond one run.
#[derive(Debug, Clone, Default)]
pub struct LifeRequest {
    /// `--restart`.
    pub restart: RestartPolicy,
    /// `--health-…`.
    pub health: HealthWords,
    /// `--timeout`, seconds.
    pub timeout: Option<u64>,
    /// `--log-opt`.
    pub log: LogOptions,
    /// `--pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `--conmon-pidfile`.
    pub monitor_pidfile: Option<PathBuf>,
    /// `--replace`.
    pub replace: bool,
    /// `--requires`: names or ids.
    pub requires: Vec<String>,
    /// `--sdnotify`.
    pub sdnotify: Sdnotify,
    /// `--label-file`, in order; before the request's own labels.
    pub label_files: Vec<PathBuf>,
}

impl LifeRequest {
    /// What follows from the request and the image's health check. Errors: [`Kind::Usage`].
    pub fn decide(&self, image: Option<&serde_json::Value>) -> Result<Life> {
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        let health = Healthcheck::decide(image, &self.health)?;
        if self.sdnotify == Sdnotify::Healthy && health.is_none() {
            let fault = Fault::new(Kind::Usage, "`--sdnotify healthy` needs a health check, and there is none");
            return Err(fault.hint("add one: --health-cmd COMMAND").into());
        }
        Ok(Life {
            restart: self.restart,
            health,
            requires: Vec::new(),
            sdnotify: self.sdnotify,
            timeout: self.timeout,
            log: self.log.clone(),
            pidfile: absolute(&self.pidfile)?,
            monitor_pidfile: absolute(&self.monitor_pidfile)?,
        })
    }
}

/// `--restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When the command's code is not 0; at most so many times in a row, 0 for without end.
    OnFailure(u32),
    /// Whatever the code.
    Always,
    /// Whatever the code; at boot only if it was not stopped before.
    UnlessStopped,
}

impl RestartPolicy {
    /// Read `no`, `never`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`.
    pub fn parse(text: &str) -> Result<Self> {
        let (word, count) = text.split_once(':').map_or((text, None), |(word, count)| (word, Some(count)));
        let wrong = || {
            Fault::new(Kind::Usage, format!("`--restart {}` is no restart policy", text.escape_debug()))
                .hint("it is one of: no on-failure[:TIMES] always unless-stopped")
        };
        match (word, count) {
            ("" | "no" | "never", None) => Ok(Self::No),
            ("always", None) => Ok(Self::Always),
            ("unless-stopped", None) => Ok(Self::UnlessStopped),
            ("on-failure", None) => Ok(Self::OnFailure(0)),
            ("on-failure", Some(count)) => Ok(Self::OnFailure(count.parse().map_err(|_| wrong())?)),
            _ => Err(wrong().into()),
        }
    }

    /// Its name, without the count.
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure(_) => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }

    /// How often in a row it starts again at most; 0: without end.
    pub fn limit(self) -> u32 {
        if let Self::OnFailure(times) = self { times } else { 0 }
    }

    /// Whether to start again after this code, having done so `times` times in a row.
    pub fn wants(self, code: i32, times: u32) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure(limit) => code != 0 && (limit == 0 || times < limit),
            Self::Always | Self::UnlessStopped => true,
        }
    }
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// `CMD` and words, or `CMD-SHELL` and a line for `/bin/sh -c`.
    pub test: Vec<String>,
    /// Between the end of one check and the next, in nanoseconds; 0: only when asked to.
    pub interval: i64,
    /// After which a check is killed and has failed, in nanoseconds.
    pub timeout: i64,
    /// Failures in this time after the start do not count, in nanoseconds.
    pub start_period: i64,
    /// As `interval`, within the start period.
    pub start_interval: i64,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
    /// What happens then.
    pub on_failure: OnFailure,
    /// How many results are kept; 0: all.
    pub log_count: usize,
    /// How many bytes of each; 0: all.
    pub log_size: usize,
    /// Where results go, besides `health.json`.
    #[serde(default)]
    pub log_destination: LogDestination,
    /// What is checked in its place until that has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Box<Startup>>,
}

/// `--health-log-destination`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDestination {
    /// Nowhere else.
    #[default]
    Local,
    /// `ID-healthcheck.log` in this folder.
    Folder(PathBuf),
    /// The events.
    Events,
}

impl LogDestination {
    /// Read `local`, `events_logger`, or a folder that is there.
    fn parse(text: &str) -> Result<Self> {
        match text {
            "local" => Ok(Self::Local),
            "events_logger" => Ok(Self::Events),
            folder => match std::path::absolute(folder) {
                Ok(path) if path.is_dir() => Ok(Self::Folder(path)),
                _ => {
                    let text = format!("`--health-log-destination {}` is no folder", folder.escape_debug());
                    Err(Fault::new(Kind::Usage, text).hint("it is a folder, local or events_logger").into())
                }
            },
        }
    }
}

/// `--health-startup-…`: the check while a container comes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Startup {
    /// Its command and times; `retries` failures start the container anew, 0: never.
    pub check: Healthcheck,
    /// So many successes end it.
    pub successes: u32,
}

/// `--health-on-failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is shown.
    #[default]
    None,
    /// SIGKILL; the restart policy decides what follows.
    Kill,
    /// It is stopped and started again.
    Restart,
    /// It is stopped.
    Stop,
}

/// The words of `--health-…`; each `None` leaves what the image says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthWords {
    /// `--health-cmd`: a line, a JSON array, or `none`.
    pub cmd: Option<String>,
    /// `--health-interval`; `disable` for only when asked to.
    pub interval: Option<String>,
    /// `--health-timeout`.
    pub timeout: Option<String>,
    /// `--health-start-period`.
    pub start_period: Option<String>,
    /// `--health-start-interval`.
    pub start_interval: Option<String>,
    /// `--health-retries`.
    pub retries: Option<u32>,
    /// `--health-on-failure`.
    pub on_failure: Option<String>,
    /// `--health-max-log-count`.
    pub log_count: Option<usize>,
    /// `--health-max-log-size`.
    pub log_size: Option<usize>,
    /// `--health-log-destination`.
    pub log_destination: Option<String>,
    /// `--no-healthcheck`.
    pub none: bool,
    /// `--health-startup-cmd`.
    pub startup_cmd: Option<String>,
    /// `--health-startup-interval`.
    pub startup_interval: Option<String>,
    /// `--health-startup-timeout`.
    pub startup_timeout: Option<String>,
    /// `--health-startup-retries`.
    pub startup_retries: Option<u32>,
    /// `--health-startup-success`.
    pub startup_success: Option<u32>,
}

const SECOND: i64 = 1_000_000_000;

impl Healthcheck {
    /// docker's and podman's defaults.
    fn of(test: Vec<String>) -> Self {
        Self {
            test,
            interval: 30 * SECOND,
            timeout: 30 * SECOND,
            start_period: 0,
            start_interval: 5 * SECOND,
            retries: 3,
            on_failure: OnFailure::None,
            log_count: 5,
            log_size: 500,
            log_destination: LogDestination::Local,
            startup: None,
        }
    }

    /// An image's `Healthcheck` (docker's image config; durations in nanoseconds, 0 for the default).
    fn of_image(value: &serde_json::Value) -> Option<Self> {
        let words = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let test: Vec<String> = value.get("Test")?.as_array()?.iter().filter_map(words).collect();
        if !matches!(test.first().map(String::as_str), Some("CMD" | "CMD-SHELL")) || test.len() < 2 {
            return None;
        }
        let mut check = Self::of(test);
        let number = |key: &str| value.get(key).and_then(serde_json::Value::as_i64).filter(|number| *number > 0);
        for (key, field) in [
            ("Interval", &mut check.interval),
            ("Timeout", &mut check.timeout),
            ("StartPeriod", &mut check.start_period),
            ("StartInterval", &mut check.start_interval),
        ] {
            *field = number(key).unwrap_or(*field);
        }
        check.retries = number("Retries").and_then(|number| u32::try_from(number).ok()).unwrap_or(check.retries);
        Some(check)
    }

    /// What follows from the image and the words. Errors: [`Kind::Usage`].
    pub fn decide(image: Option<&serde_json::Value>, words: &HealthWords) -> Result<Option<Self>> {
        Self::changed(image.and_then(Self::of_image), words)
    }

    /// What becomes of a check by the words. Errors: [`Kind::Usage`].
    pub fn changed(before: Option<Self>, words: &HealthWords) -> Result<Option<Self>> {
        let given = words.cmd.as_deref().map(command).transpose()?;
        let mut check = match (words.none, given) {
            (true, Some(Some(_))) => {
                return Err(fault(Kind::Usage, "`--no-healthcheck` and `--health-cmd` do not go together"));
            }
            (true, _) | (_, Some(None)) => return Ok(None),
            (false, Some(Some(test))) => match before {
                Some(before) => Self { test, ..before },
                None => Self::of(test),
            },
            (false, None) => match before {
                Some(check) => check,
                None if words.asks_for_details() || words.startup_cmd.is_some() => {
                    let text = "there is no health check to change: the image has none, and `--health-cmd` is missing";
                    return Err(fault(Kind::Usage, text));
                }
                None => return Ok(None),
            },
        };
        check.apply(words)?;
        Ok(Some(check))
    }

    fn apply(&mut self, words: &HealthWords) -> Result<()> {
        for (flag, text, field) in [
            ("--health-interval", &words.interval, &mut self.interval),
            ("--health-timeout", &words.timeout, &mut self.timeout),
            ("--health-start-period", &words.start_period, &mut self.start_period),
            ("--health-start-interval", &words.start_interval, &mut self.start_interval),
        ] {
            if let Some(text) = text {
                *field = duration(flag, text)?;
            }
        }
        self.retries = words.retries.unwrap_or(self.retries);
        if self.retries == 0 {
            return Err(fault(Kind::Usage, "`--health-retries` must be at least 1"));
        }
        self.log_count = words.log_count.unwrap_or(self.log_count);
        self.log_size = words.log_size.unwrap_or(self.log_size);
        if let Some(text) = &words.log_destination {
            self.log_destination = LogDestination::parse(text)?;
        }
        self.on_failure = match words.on_failure.as_deref() {
            None => self.on_failure,
            Some("kill") => OnFailure::Kill,
            Some("restart") => OnFailure::Restart,
            Some("stop") => OnFailure::Stop,
            Some(_) => OnFailure::None,
        };
        if let Some(startup) = Startup::decide(words)? {
            self.startup = Some(Box::new(startup));
        }
        Ok(())
    }

    /// The command to execute.
    pub fn command(&self) -> Vec<String> {
        match self.test.split_first() {
            Some((kind, words)) if kind == "CMD" => words.to_vec(),
            Some((_, words)) => ["/bin/sh", "-c"].into_iter().map(str::to_owned).chain(words.to_vec()).collect(),
            None => Vec::new(),
        }
    }
}

impl Startup {
    /// What the words say; `None` without a command.
    fn decide(words: &HealthWords) -> Result<Option<Self>> {
        let Some(test) = words.startup_cmd.as_deref().map(command).transpose()?.flatten() else {
            let details = words.startup_interval.is_some()
                || words.startup_timeout.is_some()
                || words.startup_retries.is_some()
                || words.startup_success.is_some();
            return match details {
                true => Err(fault(
                    Kind::Usage,
                    "`--health-startup-…` says how `--health-startup-cmd` is run: that is missing",
                )),
                false => Ok(None),
            };
        };
        let mut check = Healthcheck { retries: words.startup_retries.unwrap_or(0), ..Healthcheck::of(test) };
        for (flag, text, field) in [
            ("--health-startup-interval", &words.startup_interval, &mut check.interval),
            ("--health-startup-timeout", &words.startup_timeout, &mut check.timeout),
        ] {
            if let Some(text) = text {
                *field = duration(flag, text)?.max(1);
            }
        }
        Ok(Some(Self { check, successes: words.startup_success.unwrap_or(0).max(1) }))
    }
}

impl HealthWords {
    fn asks_for_details(&self) -> bool {
        let texts = [&self.interval, &self.timeout, &self.start_period, &self.start_interval, &self.on_failure];
        texts.iter().any(|text| text.is_some()) || self.retries.is_some()
    }
}

/// `--health-cmd`: `None` for `none`.
fn command(text: &str) -> Result<Option<Vec<String>>> {
    if text.is_empty() {
        return Err(fault(Kind::Usage, "`--health-cmd` is empty"));
    }
    if text == "none" {
        return Ok(None);
    }
    if !text.starts_with('[') {
        return Ok(Some(vec!["CMD-SHELL".to_owned(), text.to_owned()]));
    }
    let words: Vec<String> = serde_json::from_str(text).map_err(|error| {
        Fault::new(Kind::Usage, format!("`--health-cmd {text}` is not a JSON array of words"))
            .hint(r#"--health-cmd '["wget", "-q", "-O", "-", "localhost"]'"#)
            .because(error)
    })?;
    Ok(match words.first().map(String::as_str) {
        None | Some("NONE") => None,
        Some("CMD" | "CMD-SHELL") => Some(words),
        Some(_) => Some(["CMD".to_owned()].into_iter().chain(words).collect()),
    })
}

fn duration(flag: &str, text: &str) -> Result<i64> {
    if text == "disable" && flag == "--health-interval" {
        return Ok(0);
    }
    let seconds = || text.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(SECOND));
    parse_duration(text).or_else(seconds).filter(|nanos| *nanos >= 0).ok_or_else(|| {
        let text = format!("`{flag} {}` is not a duration", text.escape_debug());
        Fault::new(Kind::Usage, text).hint(format!("{flag} 10s, 500ms or 1m30s")).into()
    })
}

/// `--log-opt`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// `max-size`: bytes after which a file is rotated; 0: never; `None`: the default.
    pub max_size: Option<u64>,
    /// `max-file`: how many files there are.
    pub max_files: Option<u32>,
    /// `path`: the first file, absolute.
    pub path: Option<PathBuf>,
    /// `tag`: what records are called, with the words of [`super::logs::TAG_WORDS`] in it.
    pub tag: Option<String>,
    /// `labels`: the labels that each record has.
    pub labels: Vec<String>,
    /// `env`: the variables that each record has.
    pub env: Vec<String>,
}

impl LogOptions {
    /// Read `KEY=VALUE`s; the last one wins. Errors: [`Kind::Usage`].
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut options = Self::default();
        for text in texts {
            let wrong = |what: &str| fault(Kind::Usage, format!("`--log-opt {}`: {what}", text.escape_debug()));
            let (key, value) = text.split_once('=').ok_or_else(|| wrong("it is not KEY=VALUE"))?;
            match key {
                "max-size" => {
                    let size = if value == "-1" { 0 } else { crate::base::units::parse_bytes(value)? };
                    options.max_size = Some(size);
                }
                "max-file" => {
                    let count: u32 = value.parse().map_err(|_| wrong("it is not a number"))?;
                    options.max_files = Some(count.max(1));
                }
                "path" => options.path = Some(std::path::absolute(value)?),
                "tag" if super::logs::is_tag(value) => options.tag = Some(value.to_owned()),
                "tag" => {
                    let words = super::logs::TAG_WORDS.map(|word| format!("{{{{.{word}}}}}")).join(" ");
                    let text = format!("`--log-opt {}`: there is no such value", text.escape_debug());
                    return Err(Fault::new(Kind::Usage, text).hint(format!("the values are: {words}")).into());
                }
                "labels" => options.labels = value.split(',').map(str::to_owned).collect(),
                "env" => options.env = value.split(',').map(str::to_owned).collect(),
                _ => {
                    let text = format!("`--log-opt`: there is no option `{}`", key.escape_debug());
                    return Err(Fault::new(Kind::Usage, text)
                        .hint("the options are: max-size max-file path tag labels env")
                        .into());
                }
            }
        }
        Ok(options)
    }
}

impl Life {
    /// Whether its monitor may ever start it again.
    pub fn may_restart(&self) -> bool {
        let check = self.health.as_ref();
        let by_health = check.is_some_and(|check| check.on_failure == OnFailure::Restart || check.startup.is_some());
        self.restart != RestartPolicy::No || by_health
    }
}

impl Container {
    /// The mark that somebody has asked it to stop, which its next start takes away.
    pub(super) fn stopped_mark(&self) -> PathBuf {
        self.dir.join("stopped")
    }

    /// Keep in mind that its end is wanted, so that no policy starts it again.
    pub(super) fn mark_stopped(&self) {
        if self.config.life.may_restart() {
            let _ = crate::base::fs::create_new(&self.stopped_mark(), b"");
        }
    }

    /// Whether `box system boot` starts it.
    pub fn starts_on_boot(&self) -> bool {
        match self.config.life.restart {
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !self.stopped_mark().exists(),
            RestartPolicy::No | RestartPolicy::OnFailure(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies() {
        for (text, policy) in [
            ("no", RestartPolicy::No),
            ("never", RestartPolicy::No),
            ("always", RestartPolicy::Always),
            ("unless-stopped", RestartPolicy::UnlessStopped),
            ("on-failure", RestartPolicy::OnFailure(0)),
            ("on-failure:3", RestartPolicy::OnFailure(3)),
        ] {
            assert_eq!(RestartPolicy::parse(text).unwrap(), policy, "{text}");
        }
        for text in ["sometimes", "always:3", "on-failure:x", "on-failure:-1", "no:1"] {
            assert!(RestartPolicy::parse(text).is_err(), "{text}");
        }
        let two = RestartPolicy::OnFailure(2);
        assert!(two.wants(1, 0) && two.wants(1, 1) && !two.wants(1, 2) && !two.wants(0, 0));
        assert!(RestartPolicy::Always.wants(0, 99) && !RestartPolicy::No.wants(1, 0));
    }

    #[test]
    fn health_checks() {
        let image = serde_json::json!({"Test": ["CMD", "a", "b"], "Interval": 2_000_000_000u64, "Retries": 7});
        let decide = |words: HealthWords| Healthcheck::decide(Some(&image), &words).unwrap();
        let own = decide(HealthWords::default()).unwrap();
        assert_eq!((own.command(), own.interval, own.retries), (vec!["a".into(), "b".into()], 2 * SECOND, 7));
        let line = decide(HealthWords { cmd: Some("x y".into()), ..Default::default() }).unwrap();
        assert_eq!((line.command(), line.retries), (vec!["/bin/sh".into(), "-c".into(), "x y".into()], 7));
        let words =
            HealthWords { cmd: Some(r#"["x","y"]"#.into()), interval: Some("disable".into()), ..Default::default() };
        let words = decide(words).unwrap();
        assert_eq!((words.command(), words.interval), (vec!["x".into(), "y".into()], 0));
        assert_eq!(decide(HealthWords { cmd: Some("none".into()), ..Default::default() }), None);
        assert_eq!(decide(HealthWords { none: true, ..Default::default() }), None);
        for wrong in [
            HealthWords { interval: Some("soon".into()), ..Default::default() },
            HealthWords { timeout: Some("-1s".into()), ..Default::default() },
            HealthWords { retries: Some(0), ..Default::default() },
            HealthWords { cmd: Some("[1]".into()), ..Default::default() },
            HealthWords { cmd: Some("x".into()), none: true, ..Default::default() },
        ] {
            assert!(Healthcheck::decide(Some(&image), &wrong).is_err(), "{wrong:?}");
        }
        let alone = HealthWords { timeout: Some("1s".into()), ..Default::default() };
        assert!(Healthcheck::decide(None, &alone).is_err());
        assert_eq!(
            Healthcheck::decide(Some(&serde_json::json!({"Test": ["NONE"]})), &Default::default()).unwrap(),
            None
        );
    }

    #[test]
    fn log_options() {
        let words =
            |texts: &[&str]| LogOptions::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let options = words(&["max-size=1m", "max-file=2", "path=/x", "tag=t"]).unwrap();
        assert_eq!((options.max_size, options.max_files), (Some(1 << 20), Some(2)));
        assert_eq!((options.path, options.tag), (Some("/x".into()), Some("t".into())));
        assert_eq!(words(&["max-size=-1"]).unwrap().max_size, Some(0));
        assert_eq!(words(&["tag={{.Name}}/{{ .ID }}"]).unwrap().tag.as_deref(), Some("{{.Name}}/{{ .ID }}"));
        for wrong in ["tag={{.Nope}}", "tag={{", "max-size", "max-size=x", "max-file=-1", "nope=1"] {
            assert!(words(&[wrong]).is_err(), "{wrong}");
        }
    }
}
