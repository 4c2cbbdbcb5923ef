//! The config of an image in the making: how instructions change it. Pure.
//!
//! It is kept as the document that it is, so that what box does not know of a base image stays.

use crate::dockerfile::command::Command;
use crate::dockerfile::tree::HealthCheck;
use crate::oci::change::{object, set_env};
use crate::oci::image::History;
use crate::oci::platform::Platform;
use anyhow::Result;
use serde_json::{Map, Value, json};

/// The shell of commands that are texts, if no other was set.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// The search path of an image that has none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A config.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    document: Map<String, Value>,
    /// Whether `CMD` was set since the stage began: else `ENTRYPOINT` takes the base's away.
    has_own_command: bool,
}

impl Settings {
    /// Of nothing.
    pub fn new(platform: &Platform) -> Self {
        let mut document = Map::from_iter([
            ("architecture".to_owned(), platform.arch.as_str().into()),
            ("os".to_owned(), platform.os.as_str().into()),
        ]);
        if let Some(variant) = &platform.variant {
            document.insert("variant".to_owned(), variant.as_str().into());
        }
        document.insert("config".to_owned(), json!({ "Env": [format!("PATH={PATH}")], "WorkingDir": "/" }));
        Self { document, has_own_command: false }
    }

    /// Of a base image, whose config this is.
    pub fn of_image(mut document: Map<String, Value>) -> Self {
        // What was true of the base alone.
        for stale in ["container", "container_config", "docker_version", "id", "parent", "moby.buildkit.buildinfo.v1"] {
            document.shift_remove(stale);
        }
        let mut settings = Self { document, has_own_command: false };
        if !settings.env().iter().any(|entry| entry.starts_with("PATH=")) {
            let _ = settings.set_env("PATH", PATH);
        }
        settings
    }

    /// Of another stage, which this one begins with.
    pub fn of_stage(other: &Self) -> Self {
        Self { document: other.document.clone(), has_own_command: false }
    }

    fn config(&mut self) -> &mut Map<String, Value> {
        object(&mut self.document, "config")
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.document.get("config")?.get(key)
    }

    fn put(&mut self, key: &str, value: Value) {
        self.config().insert(key.to_owned(), value);
    }

    fn strings(&self, key: &str) -> Vec<String> {
        let list = self.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// `K=V`.
    pub fn env(&self) -> Vec<String> {
        self.strings("Env")
    }

    /// `ENV`.
    pub fn set_env(&mut self, name: &str, value: &str) -> Result<()> {
        set_env(self.config(), name, value)
    }

    /// `--unsetenv`.
    pub fn unset_env(&mut self, name: &str) {
        let left: Vec<String> = self.env().into_iter().filter(|entry| entry.split('=').next() != Some(name)).collect();
        self.put("Env", json!(left));
    }

    /// `LABEL`.
    pub fn set_label(&mut self, name: &str, value: &str) {
        object(self.config(), "Labels").insert(name.to_owned(), value.into());
    }

    /// The same without any label.
    pub fn without_labels(mut self) -> Self {
        self.config().shift_remove("Labels");
        self
    }

    /// `--unsetlabel`.
    pub fn unset_label(&mut self, name: &str) {
        object(self.config(), "Labels").shift_remove(name);
    }

    /// The working folder, absolute.
    pub fn workdir(&self) -> &str {
        match self.text("WorkingDir") {
            "" => "/",
            path => path,
        }
    }

    /// `WORKDIR`: a path relative to the last one.
    pub fn set_workdir(&mut self, path: &str) {
        let path = self.absolute(path);
        self.put("WorkingDir", path.into());
    }

    /// A path, relative to the working folder, as an absolute one without detours.
    pub fn absolute(&self, path: &str) -> String {
        let joined = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("{}/{path}", self.workdir()),
        };
        crate::dockerfile::path::clean(&joined)
    }

    /// `user[:group]`.
    pub fn user(&self) -> &str {
        self.text("User")
    }

    /// `USER`.
    pub fn set_user(&mut self, user: &str) {
        self.put("User", user.into());
    }

    /// The shell's words.
    pub fn shell(&self) -> Vec<String> {
        match self.strings("Shell") {
            shell if shell.is_empty() => SHELL.map(str::to_owned).to_vec(),
            shell => shell,
        }
    }

    /// `SHELL`.
    pub fn set_shell(&mut self, words: &[String]) {
        self.put("Shell", json!(words));
    }

    /// A command's words.
    pub fn words(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(text) => self.shell().into_iter().chain([text.clone()]).collect(),
        }
    }

    /// `CMD`.
    pub fn set_command(&mut self, command: &Command) {
        let words = self.words(command);
        self.put("Cmd", json!(words));
        self.has_own_command = true;
    }

    /// `ENTRYPOINT`: a command of the base was written for its entrypoint.
    pub fn set_entrypoint(&mut self, command: &Command) {
        let words = self.words(command);
        self.put("Entrypoint", json!(words));
        if !self.has_own_command {
            self.config().shift_remove("Cmd");
        }
    }

    /// `EXPOSE`: `80/tcp`.
    pub fn expose(&mut self, port: &str) {
        object(self.config(), "ExposedPorts").insert(port.to_owned(), json!({}));
    }

    /// `VOLUME`.
    pub fn add_volume(&mut self, path: &str) {
        object(self.config(), "Volumes").insert(path.to_owned(), json!({}));
    }

    /// `STOPSIGNAL`.
    pub fn set_stop_signal(&mut self, signal: &str) {
        self.put("StopSignal", signal.into());
    }

    /// `MAINTAINER`.
    pub fn set_author(&mut self, author: &str) {
        self.document.insert("author".to_owned(), author.into());
    }

    /// `HEALTHCHECK`.
    pub fn set_health_check(&mut self, check: &HealthCheck) {
        let HealthCheck::Check { command, interval, timeout, start_period, start_interval, retries } = check else {
            return self.put("Healthcheck", json!({ "Test": ["NONE"] }));
        };
        let test = match command {
            Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
            Command::Exec(words) => std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect(),
        };
        let mut value = Map::from_iter([("Test".to_owned(), json!(test))]);
        let times = [("Interval", interval), ("Timeout", timeout), ("StartPeriod", start_period)];
        for (key, time) in times.into_iter().chain([("StartInterval", start_interval)]) {
            if let Some(time) = time {
                value.insert(key.to_owned(), (*time).into());
            }
        }
        if let Some(retries) = retries {
            value.insert("Retries".to_owned(), (*retries).into());
        }
        self.put("Healthcheck", value.into());
    }

    /// `ONBUILD`.
    pub fn add_trigger(&mut self, text: &str) {
        let mut triggers = self.strings("OnBuild");
        triggers.push(text.to_owned());
        self.put("OnBuild", json!(triggers));
    }

    /// What `ONBUILD` of the base says, which happens now and is not handed on.
    pub fn take_triggers(&mut self) -> Vec<String> {
        let triggers = self.strings("OnBuild");
        self.config().shift_remove("OnBuild");
        triggers
    }

    /// The document, for an image with these further steps, made at this time (RFC 3339); `alone`, if it has no layer of
    /// its base.
    pub fn finish(&self, steps: &[History], created: &str, alone: bool) -> Map<String, Value> {
        let mut document = self.document.clone();
        let history = document.entry("history").or_insert_with(|| json!([]));
        if !history.is_array() {
            *history = json!([]);
        }
        if let Some(history) = history.as_array_mut() {
            if alone {
                let layers = history.iter_mut().filter_map(Value::as_object_mut);
                layers.for_each(|entry| drop(entry.insert("empty_layer".to_owned(), true.into())));
            }
            history.extend(steps.iter().map(entry));
        }
        document.insert("created".to_owned(), created.into());
        document
    }
}

fn entry(step: &History) -> Value {
    let mut entry = Map::new();
    for (key, value) in [("created", &step.created), ("created_by", &step.created_by), ("comment", &step.comment)] {
        if let Some(value) = value {
            entry.insert(key.to_owned(), value.as_str().into());
        }
    }
    if step.empty_layer {
        entry.insert("empty_layer".to_owned(), true.into());
    }
    entry.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Settings {
        let document = json!({
            "architecture": "amd64", "os": "linux", "unknown": 1, "container": "x",
            "config": { "Cmd": ["sh"], "Env": ["A=1"], "OnBuild": ["RUN a"], "Labels": null, "WorkingDir": "/srv" },
            "history": [{ "created_by": "base" }],
        });
        let Value::Object(document) = document else { unreachable!("an object") };
        Settings::of_image(document)
    }

    #[test]
    fn instructions_change_the_config() {
        let mut settings = base();
        assert_eq!(settings.take_triggers(), ["RUN a"]);
        settings.set_env("A", "2").unwrap();
        settings.set_label("l", "v");
        settings.set_workdir("../x/./y");
        settings.set_entrypoint(&Command::Shell("exec it".into()));
        settings.expose("80/tcp");
        settings.add_trigger("COPY . .");
        let step = History { created_by: Some("ENV".into()), empty_layer: true, ..History::default() };
        let document = Value::Object(settings.finish(&[step], "1980-01-01T00:00:00Z", false));
        assert_eq!(
            document,
            json!({
                "architecture": "amd64", "os": "linux", "unknown": 1,
                "config": {
                    "Env": ["A=2", format!("PATH={PATH}")],
                    "Labels": { "l": "v" },
                    "WorkingDir": "/x/y",
                    "Entrypoint": ["/bin/sh", "-c", "exec it"],
                    "ExposedPorts": { "80/tcp": {} },
                    "OnBuild": ["COPY . ."],
                },
                "history": [{ "created_by": "base" }, { "created_by": "ENV", "empty_layer": true }],
                "created": "1980-01-01T00:00:00Z",
            })
        );
    }

    #[test]
    fn an_entrypoint_keeps_a_command_of_its_own_stage() {
        let mut settings = base();
        settings.set_command(&Command::Exec(vec!["a".into()]));
        settings.set_entrypoint(&Command::Exec(vec!["b".into()]));
        assert_eq!(settings.strings("Cmd"), ["a"]);
        let mut next = Settings::of_stage(&settings);
        next.set_shell(&["/bin/bash".into(), "-c".into()]);
        next.set_entrypoint(&Command::Shell("c".into()));
        assert_eq!(
            (next.strings("Cmd").len(), next.strings("Entrypoint")),
            (0, vec!["/bin/bash".into(), "-c".into(), "c".into()])
        );
    }
}
