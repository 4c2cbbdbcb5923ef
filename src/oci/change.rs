//! `--change` of `commit` and `import`: instructions of a Dockerfile that set how an image is run.
//!
//! They edit the `config` object of an image config in place, so that keys which box does not know stay.
//! <https://docs.docker.com/reference/dockerfile/>

use crate::base::error::{Fault, Kind, fault};
use crate::base::{signal, time};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// The instructions that are understood.
const KNOWN: &str =
    "CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR";

/// Apply an instruction, `CMD ["sh"]` or `CMD=sh`, to a whole image config.
///
/// Errors: [`Kind::Usage`] for an instruction that is none or cannot be understood.
pub fn apply(image: &mut Map<String, Value>, instruction: &str) -> Result<()> {
    let shown = || format!("`--change {}`", instruction.escape_debug());
    let text = instruction.trim();
    // Scripts also write `KEY=value`; a space that comes first decides.
    let (name, rest) = text.split_once([' ', '\t', '=']).unwrap_or((text, ""));
    let rest = rest.trim();
    let name = name.to_ascii_uppercase();
    if rest.is_empty() && !matches!(name.as_str(), "CMD" | "ENTRYPOINT" | "USER") {
        return Err(unknown(&name).unwrap_or_else(|| fault(Kind::Usage, "it says nothing")).context(shown()));
    }
    if name == "MAINTAINER" {
        image.insert("author".into(), rest.into());
        return Ok(());
    }
    let config = image.entry("config").or_insert_with(|| json!({}));
    if !config.is_object() {
        *config = json!({});
    }
    let Some(config) = config.as_object_mut() else { return Ok(()) };
    set(config, &name, rest).with_context(shown)
}

/// The error for a word that is no instruction.
fn unknown(name: &str) -> Option<anyhow::Error> {
    if KNOWN.split(' ').any(|known| known == name) {
        return None;
    }
    let text = format!("there is no instruction `{}`", name.escape_debug());
    Some(Fault::new(Kind::Usage, text).hint(format!("the instructions are: {KNOWN}")).into())
}

fn set(config: &mut Map<String, Value>, name: &str, rest: &str) -> Result<()> {
    match name {
        "CMD" => put(config, "Cmd", command(rest)?),
        "ENTRYPOINT" => put(config, "Entrypoint", command(rest)?),
        "SHELL" => match list(rest)? {
            Some(words) if !words.is_empty() => put(config, "Shell", json!(words)),
            _ => return Err(fault(Kind::Usage, "a shell is written as a list: SHELL [\"/bin/sh\", \"-c\"]")),
        },
        "USER" => put(config, "User", rest.into()),
        "STOPSIGNAL" => {
            signal::parse(rest)?;
            put(config, "StopSignal", rest.into());
        }
        "WORKDIR" => {
            let before = config.get("WorkingDir").and_then(Value::as_str).unwrap_or("/");
            let path = if rest.starts_with('/') { rest.to_owned() } else { format!("{before}/{rest}") };
            put(config, "WorkingDir", clean(&path).into());
        }
        "ENV" => {
            for (key, value) in pairs(rest)? {
                set_env(config, &key, &value)?;
            }
        }
        "LABEL" => {
            for (key, value) in pairs(rest)? {
                object(config, "Labels").insert(key, value.into());
            }
        }
        "EXPOSE" => {
            for word in words(rest)? {
                for port in ports(&word)? {
                    object(config, "ExposedPorts").insert(port, json!({}));
                }
            }
        }
        "VOLUME" => {
            let paths = list(rest)?.map_or_else(|| words(rest), Ok)?;
            for path in paths {
                if !path.starts_with('/') {
                    return Err(fault(Kind::Usage, format!("the volume `{path}` is not an absolute path")));
                }
                object(config, "Volumes").insert(path, json!({}));
            }
        }
        "ONBUILD" => {
            let inner = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if matches!(inner.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
                return Err(fault(Kind::Usage, format!("ONBUILD cannot hold {inner}")));
            }
            let list = config.entry("OnBuild").or_insert_with(|| json!([]));
            match list.as_array_mut() {
                Some(list) => list.push(rest.into()),
                None => *list = json!([rest]),
            }
        }
        "HEALTHCHECK" => put(config, "Healthcheck", healthcheck(rest)?),
        other => return Err(unknown(other).unwrap_or_else(|| fault(Kind::Usage, "it is not understood"))),
    }
    Ok(())
}

fn put(config: &mut Map<String, Value>, key: &str, value: Value) {
    config.insert(key.to_owned(), value);
}

/// An object below a key; docker writes null for an empty one.
/// An object below a key, made if there is none.
pub fn object<'a>(config: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = config.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Set a variable in an image's `config`, in its place if it has one.
pub fn set_env(config: &mut Map<String, Value>, key: &str, value: &str) -> Result<()> {
    if key.is_empty() {
        return Err(fault(Kind::Usage, "a variable has no name"));
    }
    let entry = config.entry("Env").or_insert_with(|| json!([]));
    let mut list: Vec<Value> = entry.as_array().cloned().unwrap_or_default();
    let same = |item: &Value| item.as_str().and_then(|text| text.split('=').next()) == Some(key);
    let text = Value::from(format!("{key}={value}"));
    match list.iter_mut().find(|item| same(item)) {
        Some(item) => *item = text,
        None => list.push(text),
    }
    *entry = Value::Array(list);
    Ok(())
}

/// A command: a JSON list as it is, a text for the shell; nothing clears it.
fn command(rest: &str) -> Result<Value> {
    Ok(match list(rest)? {
        _ if rest.is_empty() => Value::Null,
        Some(words) if words.is_empty() => Value::Null,
        Some(words) => json!(words),
        None => json!(["/bin/sh", "-c", rest]),
    })
}

/// A JSON list of texts; `None` for a text that is none.
fn list(text: &str) -> Result<Option<Vec<String>>> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    // As a Dockerfile has it, what is no list is taken as words; but for `--change` that is a slip more often.
    serde_json::from_str(text).map(Some).map_err(|_| {
        Fault::new(Kind::Usage, "it is not a JSON list of texts").hint("quote with \": CMD [\"echo\", \"a b\"]").into()
    })
}

/// `A=1 B="two words"`, or the old form of one pair, `A some text`.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let words = words(text)?;
    let first = words.first().map(String::as_str).unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        if value.is_empty() {
            return Err(fault(Kind::Usage, format!("`{}` has no value", key.escape_debug())));
        }
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let split = |word: &String| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let all: Option<Vec<_>> = words.iter().map(split).collect();
    all.filter(|all| all.iter().all(|(key, _)| !key.is_empty()))
        .ok_or_else(|| fault(Kind::Usage, "not all of it is KEY=VALUE"))
}

/// Words as a shell takes them apart: quotes and backslashes, nothing else.
fn words(text: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut started, mut quote) = (Vec::new(), String::new(), false, None);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None | Some('"'), '\\') => word.extend(characters.next()),
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                started = true;
            }
            (None, c) if c.is_whitespace() => {
                if started || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            (None, c) => word.push(c),
        }
    }
    if quote.is_some() {
        return Err(fault(Kind::Usage, "a quote is not closed"));
    }
    if started || !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// `80`, `53/udp`, `8000-8002`: each as `80/tcp`.
fn ports(word: &str) -> Result<Vec<String>> {
    let wrong = || fault(Kind::Usage, format!("`{}` is not a port", word.escape_debug()));
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// `NONE`, or options and `CMD …`, as docker writes it: times in nanoseconds.
fn healthcheck(rest: &str) -> Result<Value> {
    if rest.eq_ignore_ascii_case("none") {
        return Ok(json!({"Test": ["NONE"]}));
    }
    let mut check = Map::new();
    let mut left = rest;
    while let Some(option) = left.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let duration = || {
            let nanos = time::parse_duration(value).filter(|nanos| *nanos >= 0);
            nanos.ok_or_else(|| fault(Kind::Usage, format!("`--{key}` is not a time but `{value}`")))
        };
        let (name, value) = match key {
            "interval" => ("Interval", duration()?),
            "timeout" => ("Timeout", duration()?),
            "start-period" => ("StartPeriod", duration()?),
            "start-interval" => ("StartInterval", duration()?),
            "retries" => (
                "Retries",
                value
                    .parse()
                    .ok()
                    .filter(|n| *n >= 0)
                    .ok_or_else(|| fault(Kind::Usage, format!("`--retries` is not a number but `{value}`")))?,
            ),
            other => return Err(fault(Kind::Usage, format!("a health check has no option `--{other}`"))),
        };
        check.insert(name.into(), value.into());
        left = after.trim_start();
    }
    let (word, command) = left.split_once(char::is_whitespace).unwrap_or((left, ""));
    if !word.eq_ignore_ascii_case("cmd") || command.trim().is_empty() {
        return Err(fault(Kind::Usage, "a health check is NONE, or CMD with a command"));
    }
    let command = command.trim();
    let test = match list(command)? {
        Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
        None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
    };
    let mut whole = Map::from_iter([("Test".to_owned(), json!(test))]);
    whole.extend(check);
    Ok(Value::Object(whole))
}

/// A path without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction() {
        let mut image =
            json!({"config": {"Env": ["PATH=/bin", "A=old"], "WorkingDir": "/srv", "Labels": null, "X": 1}});
        let map = image.as_object_mut().unwrap();
        for text in [
            "CMD [\"sh\", \"-c\", \"a b\"]",
            "ENTRYPOINT=/entry now",
            "ENV A=1 B=\"two words\" C=it\\'s",
            "env D some text",
            "LABEL a=b \"c d\"='e f'",
            "EXPOSE 80 53/udp 8000-8001",
            "VOLUME /data /more",
            "VOLUME [\"/with space\"]",
            "USER 1:2",
            "WORKDIR sub/../x",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN make",
            "SHELL [\"/bin/bash\", \"-c\"]",
            "MAINTAINER me <me@example.org>",
            "HEALTHCHECK --interval=5s --retries=2 CMD curl -f localhost",
        ] {
            apply(map, text).unwrap_or_else(|error| panic!("{text}: {error:#}"));
        }
        let expected = json!({"config": {
            "Env": ["PATH=/bin", "A=1", "B=two words", "C=it's", "D=some text"],
            "WorkingDir": "/srv/x", "Labels": {"a": "b", "c d": "e f"}, "X": 1,
            "Cmd": ["sh", "-c", "a b"], "Entrypoint": ["/bin/sh", "-c", "/entry now"],
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}},
            "Volumes": {"/data": {}, "/more": {}, "/with space": {}},
            "User": "1:2", "StopSignal": "SIGQUIT", "OnBuild": ["RUN make"], "Shell": ["/bin/bash", "-c"],
            "Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 5_000_000_000i64, "Retries": 2},
        }, "author": "me <me@example.org>"});
        assert_eq!(Value::Object(map.clone()), expected);
        apply(map, "CMD").unwrap();
        apply(map, "HEALTHCHECK NONE").unwrap();
        assert_eq!((&map["config"]["Cmd"], &map["config"]["Healthcheck"]["Test"][0]), (&Value::Null, &"NONE".into()));
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "RUN x",
            "FROM x",
            "CMD [broken",
            "ENV",
            "ENV X",
            "ENV =1",
            "LABEL a=b c",
            "EXPOSE 0",
            "EXPOSE x",
            "EXPOSE 9-8",
            "VOLUME data",
            "STOPSIGNAL 99",
            "ONBUILD ONBUILD RUN x",
            "SHELL sh",
            "ENV A=\"x",
            "HEALTHCHECK curl",
            "HEALTHCHECK --x=1 CMD y",
            "HEALTHCHECK --interval=soon CMD y",
        ] {
            assert!(apply(&mut Map::new(), text).is_err(), "{text}");
        }
    }
}
