//! `build --check` and `--call`: what a Dockerfile says, without building it.

use super::super::errors::escape;
use super::super::output::{print, print_json, table};
use super::progress::marked;
use crate::base::error::{Fault, Kind};
use crate::base::temp::TempDir;
use crate::build::{BuildRequest, context, lint};
use crate::dockerfile::ignore::Patterns;
use crate::dockerfile::mount::Mount;
use crate::dockerfile::{Dockerfile, Op, Stage, parse};
use crate::engine::Engine;
use anyhow::Result;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::File;

/// `--call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Build.
    Build,
    /// The checks.
    Check,
    /// What the target takes: arguments, secrets, agents.
    Outline,
    /// The stages.
    Targets,
}

impl Call {
    /// Parse `METHOD[,format=json]`; whether JSON is wanted comes along.
    pub fn parse(text: &str) -> Result<(Self, bool)> {
        let (method, format) = text.split_once(',').unwrap_or((text, ""));
        let wrong = || {
            let fault = Fault::new(Kind::Usage, format!("`--call` cannot be `{}`", text.escape_debug()));
            fault.hint("build, check, outline or targets; for JSON: --call check,format=json")
        };
        let json = match format {
            "" | "format=text" => false,
            "format=json" => true,
            _ => return Err(wrong().into()),
        };
        match method {
            "build" => Ok((Self::Build, json)),
            "check" | "lint" => Ok((Self::Check, json)),
            "outline" => Ok((Self::Outline, json)),
            "targets" => Ok((Self::Targets, json)),
            _ => Err(wrong().into()),
        }
    }
}

/// Print what was asked for. The exit code: 1 if the checks have found something.
pub fn call(engine: &Engine, request: &BuildRequest, call: Call, json: bool) -> Result<u8> {
    let temp = TempDir::new(&engine.dirs)?;
    if context::is_remote(request) {
        engine.enter()?;
    }
    let stdin = File::from(rustix::io::dup(std::io::stdin())?);
    let prepared = context::prepare(request, Some(stdin), temp.path(), &|_, _, _| {})?;
    let dockerfile = parse(prepared.dockerfile.text.as_bytes(), &prepared.dockerfile.name)?;
    match call {
        Call::Targets => targets(&dockerfile, json).map(|()| 0),
        Call::Outline => outline(&dockerfile, request, json).map(|()| 0),
        Call::Build | Call::Check => {
            let ignore = prepared.ignore.map(|file| {
                let name = file.name;
                Patterns::parse(&file.text)
                    .map_err(|mistake| Fault::new(Kind::Usage, format!("`{name}`: {}", mistake.text)))
            });
            check(&dockerfile, request, ignore.transpose()?.as_ref(), json)
        }
    }
}

fn check(dockerfile: &Dockerfile, request: &BuildRequest, ignore: Option<&Patterns>, json: bool) -> Result<u8> {
    let (warnings, _) = lint::lint(dockerfile, request, ignore)?;
    let code = u8::from(!warnings.is_empty());
    if json {
        let row = |warning: &crate::dockerfile::check::Warning| {
            json!({
                "ruleName": warning.rule.name,
                "description": warning.rule.description,
                "url": warning.rule.url,
                "detail": warning.message,
                "location": { "ranges": [{
                    "start": { "line": warning.span.line },
                    "end": { "line": warning.span.last_line },
                }] },
            })
        };
        print_json(&json!({ "warnings": warnings.iter().map(row).collect::<Vec<_>>() }))?;
        return Ok(code);
    }
    let mut out = match warnings.len() {
        0 => "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for warning in &warnings {
        let _ = write!(out, "\nWARNING: {} - {}\n{}\n", warning.rule.name, warning.rule.url, escape(&warning.message));
        out.push_str(&marked(&lint::excerpt(dockerfile, warning.span)));
    }
    print(&out)?;
    Ok(code)
}

fn targets(dockerfile: &Dockerfile, json: bool) -> Result<()> {
    let last = dockerfile.stages.len().saturating_sub(1);
    let name = |index: usize, stage: &Stage| stage.name.clone().unwrap_or_else(|| index.to_string());
    if json {
        let row = |(index, stage): (usize, &Stage)| {
            json!({
                "name": stage.name, "default": index == last, "description": stage.doc, "base": stage.base,
                "platform": stage.platform,
            })
        };
        return print_json(&json!({ "targets": dockerfile.stages.iter().enumerate().map(row).collect::<Vec<_>>() }));
    }
    let mut rows = vec![vec!["TARGET".to_owned(), "DESCRIPTION".to_owned()]];
    for (index, stage) in dockerfile.stages.iter().enumerate() {
        let mark = if index == last { " (default)" } else { "" };
        rows.push(vec![name(index, stage) + mark, stage.doc.clone().unwrap_or_default()]);
    }
    print(&table(&rows))
}

fn outline(dockerfile: &Dockerfile, request: &BuildRequest, json: bool) -> Result<()> {
    let last = dockerfile.stages.len().saturating_sub(1);
    let target = match request.target.as_deref() {
        None => last,
        Some(word) => dockerfile.stage_meant(word).ok_or_else(|| {
            let fault = Fault::new(Kind::NotFound, format!("there is no stage `{}`", word.escape_debug()));
            fault.hint("box build --call targets")
        })?,
    };
    let bases: Vec<String> = dockerfile.stages.iter().map(|stage| stage.base.clone()).collect();
    let needed = dockerfile.needed(target, &bases);
    let stages = dockerfile.stages.iter().zip(needed).filter(|(_, needed)| *needed).map(|(stage, _)| stage);
    let instructions: Vec<_> = dockerfile.args.iter().chain(stages.flat_map(|stage| &stage.instructions)).collect();
    let mut args: Vec<Value> = Vec::new();
    let (mut secrets, mut ssh): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let add = |list: &mut Vec<Value>, row: Value| {
        if !list.iter().any(|other| other.get("name") == row.get("name")) {
            list.push(row);
        }
    };
    for instruction in instructions {
        match &instruction.op {
            Op::Arg(all) => {
                for arg in all {
                    let given = request.args.iter().rfind(|(name, _)| *name == arg.name).map(|(_, value)| value);
                    let value = given.or(arg.default.as_ref());
                    add(&mut args, json!({ "name": arg.name, "value": value, "description": arg.doc }));
                }
            }
            Op::Run(run) => {
                for mount in run.mounts().into_iter().flatten() {
                    match mount {
                        Mount::Secret { id, required, .. } => {
                            add(&mut secrets, json!({ "name": id, "required": required }));
                        }
                        Mount::Ssh { id, required, .. } => add(&mut ssh, json!({ "name": id, "required": required })),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let stage = dockerfile.stages.get(target);
    let name = stage.and_then(|stage| stage.name.clone()).unwrap_or_else(|| "default".to_owned());
    let doc = stage.and_then(|stage| stage.doc.clone());
    if json {
        return print_json(&json!({ "name": name, "description": doc, "args": args, "secrets": secrets, "ssh": ssh }));
    }
    let text = |row: &Value, key: &str| match row.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "true".to_owned(),
        _ => String::new(),
    };
    let mut out = format!("TARGET:      {}\n", escape(&name));
    if let Some(doc) = doc {
        let _ = writeln!(out, "DESCRIPTION: {}", escape(&doc));
    }
    for (head, second, key, third, list) in [
        ("BUILD ARG", "VALUE", "value", Some(("DESCRIPTION", "description")), &args),
        ("SECRET", "REQUIRED", "required", None, &secrets),
        ("SSH", "REQUIRED", "required", None, &ssh),
    ] {
        if list.is_empty() {
            continue;
        }
        let mut rows = vec![[head, second].into_iter().chain(third.map(|third| third.0)).map(str::to_owned).collect()];
        for row in list {
            let keys = ["name", key].into_iter().chain(third.map(|third| third.1));
            rows.push(keys.map(|key| text(row, key)).collect::<Vec<_>>());
        }
        out.push('\n');
        out.push_str(&table(&rows));
    }
    print(&out)
}
