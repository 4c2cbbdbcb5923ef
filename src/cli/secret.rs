//! `box secret`: makes, lists and removes secrets. The values are printed by `inspect --showsecret` only.

use super::args::Globals;
use super::args::secrets::{Create, Exists, Inspect, Ls, Rm, SecretVerb};
use super::output::{print, print_line, table};
use super::session;
use super::template::Format;
use super::volume::pairs;
use crate::base::error::{Fault, Kind, fault, kind};
use crate::base::{env, time};
use crate::config::containers::Containers;
use crate::volume::secret::{self, MAX_VALUE, New, Secret};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

/// Do what was asked; the exit code.
pub fn dispatch(verb: SecretVerb, globals: &Globals) -> Result<u8> {
    match verb {
        SecretVerb::Create(args) => create(args, globals),
        SecretVerb::Ls(args) => ls(&args, globals),
        SecretVerb::Inspect(args) => inspect(&args, globals),
        SecretVerb::Rm(args) => rm(&args, globals),
        SecretVerb::Exists(args) => exists(&args, globals),
    }
}

fn create(args: Create, globals: &Globals) -> Result<u8> {
    let mut options = pairs("--driver-opts", &args.driver_opts)?;
    let driver = match &args.driver {
        Some(driver) => driver.clone(),
        None => configured(&mut options)?,
    };
    let new =
        New { name: args.name.clone(), driver, options, labels: pairs("--label", &args.label)?, replace: args.replace };
    let engine = session::open(globals)?;
    let value = value(&args)?;
    match secret::create(&engine.dirs, new, &value) {
        Ok(secret) => print_line(&secret.record.id)?,
        Err(error) if args.ignore && kind(&error) == Kind::NameInUse => {
            print_line(&secret::find(&engine.dirs, &args.name)?.record.id)?;
        }
        Err(error) => return Err(error),
    }
    Ok(0)
}

/// The driver that containers.conf says, with its options where none of that name was typed; nothing for the built-in.
fn configured(options: &mut BTreeMap<String, String>) -> Result<String> {
    let conf = Containers::load()?;
    let Some(driver) = conf.word("secrets.driver")? else { return Ok(String::new()) };
    if let Some(setting) = conf.get("secrets.opts") {
        for (key, value) in setting.value.as_table().into_iter().flatten() {
            let wrong = || fault(Kind::Host, format!("`{key}` is no text")).context(setting.deed("secrets.opts"));
            let value = value.as_str().ok_or_else(wrong)?;
            options.entry(key.clone()).or_insert_with(|| value.to_owned());
        }
    }
    Ok(driver)
}

/// The bytes of a file, of stdin or of a variable.
fn value(args: &Create) -> Result<Vec<u8>> {
    if args.env {
        let missing = || fault(Kind::Usage, format!("the variable `{}` is not set", args.file.escape_debug()));
        return env::by_name(&args.file).map(String::into_bytes).ok_or_else(missing);
    }
    let mut bytes = Vec::new();
    // One byte more than there may be, so that a larger one is told and not cut.
    let limit = MAX_VALUE as u64 + 1;
    match args.file.as_str() {
        "-" if rustix::termios::isatty(rustix::stdio::stdin()) => {
            let fault = Fault::new(Kind::Usage, "the value of the secret is not typed in: stdin is a terminal");
            return Err(fault.hint(format!("box secret create {} - < FILE", args.name)).into());
        }
        "-" => std::io::stdin().take(limit).read_to_end(&mut bytes).context("cannot read stdin")?,
        file => {
            let deed = || format!("cannot read `{}`", file.escape_debug());
            std::fs::File::open(file).with_context(deed)?.take(limit).read_to_end(&mut bytes).with_context(deed)?
        }
    };
    Ok(bytes)
}

fn ls(args: &Ls, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut secrets = secret::all(&engine.dirs);
    for text in &args.filter {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        match key {
            "name" => {
                let pattern = regex::Regex::new(value).map_err(|_| {
                    fault(Kind::Usage, format!("`{}` is not a regular expression", value.escape_debug()))
                })?;
                secrets.retain(|secret| pattern.is_match(&secret.record.name));
            }
            "id" => secrets.retain(|secret| secret.record.id.starts_with(value)),
            _ => {
                let text = format!("`--filter`: there is no filter `{}`", key.escape_debug());
                return Err(Fault::new(Kind::Usage, text).hint("the keys are: name id").into());
            }
        }
    }
    let now = time::now();
    let text = match format {
        _ if args.quiet => secrets.iter().map(|secret| format!("{}\n", secret.record.id)).collect(),
        Some(format) => {
            let row = |Secret { record, .. }: &Secret| {
                json!({
                    "ID": record.id, "Name": record.name, "Driver": record.driver, "Labels": record.labels,
                    "CreatedAt": time::ago(record.created, now), "UpdatedAt": time::ago(record.updated, now),
                })
            };
            format.render(&secrets.iter().map(row).collect::<Vec<_>>(), &|field| match field {
                "CreatedAt" => "CREATED".to_owned(),
                "UpdatedAt" => "UPDATED".to_owned(),
                other => other.to_uppercase(),
            })?
        }
        None => {
            let headings = ["ID", "NAME", "DRIVER", "CREATED", "UPDATED"].map(str::to_owned).to_vec();
            let row = |Secret { record, .. }: &Secret| {
                let (made, changed) = (time::ago(record.created, now), time::ago(record.updated, now));
                vec![record.id.clone(), record.name.clone(), record.driver.clone(), made, changed]
            };
            let first = (!args.noheading).then_some(headings);
            table(&first.into_iter().chain(secrets.iter().map(row)).collect::<Vec<_>>())
        }
    };
    print(&text)?;
    Ok(0)
}

/// `--pretty`, as docker and podman print it.
const PRETTY: &str = "\
ID:              {{.ID}}
Name:              {{.Spec.Name}}
{{- if .Spec.Labels}}
Labels:
{{- range $key, $value := .Spec.Labels}}
 - {{$key}}{{if $value}}={{$value}}{{end}}
{{- end}}{{end}}
Driver:            {{.Spec.Driver.Name}}
Created at:        {{.CreatedAt}}
Updated at:        {{.UpdatedAt}}";

fn inspect(args: &Inspect, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let format = if args.pretty { Some(PRETTY) } else { args.format.as_deref() };
    super::inspect::show(format, &args.names, |name| {
        let secret = secret::find(&engine.dirs, name)?;
        let mut keys = keys(&secret);
        if args.showsecret {
            keys["SecretData"] = json!(String::from_utf8_lossy(&secret.value()?));
        }
        Ok(keys)
    })
}

/// A secret with podman's keys.
fn keys(Secret { record, .. }: &Secret) -> Value {
    let moment = |at: i64| time::rfc3339(&chrono::DateTime::from_timestamp_nanos(at));
    json!({
        "ID": record.id,
        "CreatedAt": moment(record.created),
        "UpdatedAt": moment(record.updated),
        "Spec": {
            "Name": record.name,
            "Driver": { "Name": record.driver, "Options": record.options },
            "Labels": record.labels,
        },
    })
}

fn rm(args: &Rm, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let names = match args.all {
        true => secret::all(&engine.dirs).into_iter().map(|secret| secret.record.name).collect(),
        false => args.names.clone(),
    };
    let mut failures = Vec::new();
    for name in &names {
        let removed = secret::find(&engine.dirs, name).and_then(|secret| {
            let id = secret.record.id.clone();
            secret.remove(&engine.dirs).map(|()| id)
        });
        match removed {
            Ok(id) => print_line(&id)?,
            Err(error) if args.ignore && kind(&error) == Kind::NotFound => {}
            Err(error) => {
                super::errors::report(&error);
                failures.push(kind(&error));
            }
        }
    }
    Ok(match failures.as_slice() {
        [] => 0,
        failures if failures.iter().all(|kind| *kind == Kind::NotFound) => 1,
        _ => 125,
    })
}

fn exists(args: &Exists, globals: &Globals) -> Result<u8> {
    match secret::find(&session::open(globals)?.dirs, &args.name) {
        Ok(_) => Ok(0),
        Err(error) if kind(&error) == Kind::NotFound => Ok(1),
        Err(error) => Err(error),
    }
}
