//! Compose files as bake sees them: each service with a `build` is a target.
//!
//! <https://docs.docker.com/build/bake/compose-file/>

use super::file::{Attributes, File, expression};
use crate::dockerfile::expand::Lexer;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// What stands for `$$` while variables are expanded; no text has it.
const DOLLAR: &str = "\u{f8ff}";

/// Read a compose file.
pub(super) fn read(file: &mut File, text: &str, given: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let value: Value = serde_yaml::from_str(text)?;
    let value = expanded(value, given)?;
    let Some(services) = value.get("services").and_then(Value::as_object) else { bail!("there are no `services`") };
    let secrets = value.get("secrets").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut names = Vec::new();
    for (service, settings) in services {
        let Some(build) = settings.get("build") else { continue };
        // Names of services may have dots, those of targets not.
        let name = service.replace('.', "_");
        let attributes = target(build, settings, &secrets).with_context(|| format!("service `{service}`"))?;
        file.add("target", &name, attributes, Vec::new())?;
        names.push(Value::from(name));
    }
    file.add("group", "default", vec![("targets".to_owned(), expression(Value::Array(names)))], Vec::new())
}

/// All texts with their variables expanded.
fn expanded(value: Value, given: &dyn Fn(&str) -> Option<String>) -> Result<Value> {
    Ok(match value {
        Value::String(text) if text.contains('$') => {
            // Neither quotes nor backslashes mean anything.
            let lexer = Lexer { plain_quotes: true, ..Lexer::new('\0') };
            let found = lexer.expand(&text.replace("$$", DOLLAR), given)?;
            Value::String(found.text.replace(DOLLAR, "$"))
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| expanded(item, given)).collect::<Result<_>>()?)
        }
        Value::Object(map) => {
            let pairs = map.into_iter().map(|(key, item)| Ok((key, expanded(item, given)?)));
            Value::Object(pairs.collect::<Result<_>>()?)
        }
        other => other,
    })
}

/// A service's `build` as a target's attributes.
fn target(build: &Value, settings: &Value, secrets: &Map<String, Value>) -> Result<Attributes> {
    let short;
    let build = match build {
        Value::String(context) => {
            short = json!({ "context": context });
            &short
        }
        long => long,
    };
    let fields = build.as_object().context("`build` is a folder or a map")?;
    let mut attributes = Map::new();
    for (key, value) in fields {
        let (key, value) = match key.as_str() {
            "context" | "target" | "network" | "platforms" | "tags" | "ssh" | "entitlements" | "pull" => {
                (key.clone(), value.clone())
            }
            "dockerfile" | "dockerfile_inline" | "cache_from" | "cache_to" | "no_cache" | "no_cache_filter"
            | "shm_size" => (key.replace('_', "-"), value.clone()),
            "args" | "labels" => (key.clone(), map_of(value, '=')?),
            "additional_contexts" => ("contexts".to_owned(), map_of(value, '=')?),
            "extra_hosts" => ("extra-hosts".to_owned(), map_of(value, ':').or_else(|_| map_of(value, '='))?),
            "secrets" => ("secret".to_owned(), secret(value, secrets)?),
            "ulimits" => ("ulimits".to_owned(), ulimits(value)?),
            "x-bake" => continue,
            other => bail!("`build.{other}` is not known to bake"),
        };
        attributes.insert(key, value);
    }
    if !attributes.contains_key("tags")
        && let Some(image) = settings.get("image")
    {
        attributes.insert("tags".to_owned(), json!([image]));
    }
    // What compose has no word for: under bake's own names.
    for (key, value) in fields.get("x-bake").and_then(Value::as_object).into_iter().flatten() {
        let key = if key == "args" || key == "labels" { key.clone() } else { key.replace('_', "-") };
        attributes.insert(key, value.clone());
    }
    Ok(attributes.into_iter().map(|(key, value)| (key, literal(value))).collect())
}

/// A value whose texts are no templates: their variables are done.
fn literal(value: Value) -> hcl::Expression {
    match value {
        Value::String(text) => hcl::Expression::String(text),
        Value::Array(items) => hcl::Expression::Array(items.into_iter().map(literal).collect()),
        Value::Object(map) => {
            let key = |key| hcl::expr::ObjectKey::Expression(hcl::Expression::String(key));
            hcl::Expression::Object(map.into_iter().map(|(name, value)| (key(name), literal(value))).collect())
        }
        other => expression(other),
    }
}

/// A map, from a map or from a list of `NAME=VALUE`.
fn map_of(value: &Value, separator: char) -> Result<Value> {
    let Value::Array(items) = value else { return Ok(value.clone()) };
    let mut map = Map::new();
    for item in items {
        let item = item.as_str().context("a list of texts is expected")?;
        match item.split_once(separator) {
            Some((name, value)) => map.insert(name.to_owned(), Value::from(value)),
            None if separator == ':' => bail!("`{item}` has no `:`"),
            None => map.insert(item.to_owned(), Value::Null),
        };
    }
    Ok(Value::Object(map))
}

/// The secrets of a build, from where the file's own `secrets` say.
fn secret(value: &Value, secrets: &Map<String, Value>) -> Result<Value> {
    let list = value.as_array().context("`secrets` is a list")?;
    let one = |item: &Value| {
        let source = item.as_str().or_else(|| item.get("source")?.as_str()).context("a secret has a name")?;
        let id = item.get("target").and_then(Value::as_str).unwrap_or(source);
        let from = secrets.get(source).with_context(|| format!("there is no secret `{source}`"))?;
        match (from.get("file"), from.get("environment")) {
            (Some(file), _) => Ok(json!({ "id": id, "src": file })),
            (None, Some(variable)) => Ok(json!({ "id": id, "env": variable })),
            (None, None) => bail!("secret `{source}` is neither from a file nor from the environment"),
        }
    };
    list.iter().map(one).collect::<Result<Vec<_>>>().map(Value::Array)
}

/// `nofile: 1024`, or with `soft` and `hard`.
fn ulimits(value: &Value) -> Result<Value> {
    let limits = value.as_object().context("`ulimits` is a map")?;
    let one = |(name, limit): (&String, &Value)| match (limit.get("soft"), limit.get("hard")) {
        (Some(soft), Some(hard)) => Ok(Value::from(format!("{name}={soft}:{hard}"))),
        _ if limit.is_number() => Ok(Value::from(format!("{name}={limit}"))),
        _ => bail!("limit `{name}` is a number, or has `soft` and `hard`"),
    };
    limits.iter().map(one).collect::<Result<Vec<_>>>().map(Value::Array)
}
