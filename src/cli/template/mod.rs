//! `--format`: Go's text/template over JSON, with the functions that podman and docker add.
//!
//! Text becomes pieces and tokens (`lex`), those a tree (`parse`), which is run on a value (`eval`); what a struct is and
//! what a map is, `value` knows (an unknown field of a struct is an error, as in Go; a missing key of a map is not).
//! A table of more than six hundred templates, recorded with Go's own implementation, holds the bytes.

mod eval;
mod functions;
mod lex;
mod parse;
mod print;
mod value;

use super::errors::escape;
use super::output::pretty_json;
use crate::base::error::{Fault, Kind};
use anyhow::Result;
use parse::Tree;
use serde_json::Value as Json;
use value::Value;

/// A `--format` that has been read.
pub struct Format {
    kind: FormatKind,
}

enum FormatKind {
    /// All rows as one JSON array.
    Json,
    /// A template per row, with a line of headings made from it.
    Table(Tree, String),
    /// A template per row.
    Plain(Tree),
}

impl Format {
    /// Whether everything is printed as JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.kind, FormatKind::Json)
    }

    /// Read what was given to `--format`. Errors: [`Kind::Usage`], with the place in the template.
    pub fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        if trimmed == "json" {
            return Ok(Self { kind: FormatKind::Json });
        }
        let (table, body) = match trimmed.strip_prefix("table") {
            Some(rest) if rest.is_empty() || rest.starts_with([' ', '\t', '\\']) => (true, rest.trim_start()),
            _ => (false, text),
        };
        let body = unescape(body);
        let template = compile(&body)?;
        let kind = if table { FormatKind::Table(template, body) } else { FormatKind::Plain(template) };
        Ok(Self { kind })
    }

    /// All rows, as they go to stdout. `heading` gives a field's heading for `table`.
    pub fn render(&self, rows: &[Json], heading: &dyn Fn(&str) -> String) -> Result<String> {
        match &self.kind {
            FormatKind::Json => Ok(format!("{}\n", pretty_json(&Json::Array(rows.to_vec()))?)),
            FormatKind::Plain(template) => {
                let mut out = String::new();
                for row in rows {
                    line(&mut out, &tame(&run(template, row)?));
                }
                Ok(out)
            }
            FormatKind::Table(template, body) => {
                let mut out = String::new();
                line(&mut out, &headings(body, heading));
                for row in rows {
                    line(&mut out, &run(template, row)?);
                }
                Ok(align(&out))
            }
        }
    }

    /// One object, as `inspect`, `info` and `version` print it: `json` is then the object itself.
    pub fn render_one(&self, object: &Json) -> Result<String> {
        match &self.kind {
            FormatKind::Json => Ok(format!("{}\n", pretty_json(object)?)),
            FormatKind::Plain(template) | FormatKind::Table(template, _) => {
                let mut out = String::new();
                line(&mut out, &run(template, object)?);
                Ok(out)
            }
        }
    }
}

/// A listing's row without control characters: names, labels and commands are other people's words.
///
/// What `inspect` is asked for stays as it is: scripts want the value.
fn tame(text: &str) -> String {
    text.split('\n')
        .map(|line| line.split('\t').map(escape).collect::<Vec<_>>().join("\t"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A row's text ends with one newline, also where the template has written it.
fn line(out: &mut String, text: &str) {
    out.push_str(text);
    if !text.ends_with('\n') {
        out.push('\n');
    }
}

/// `\t` and `\n` as shells pass them on.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn compile(text: &str) -> Result<Tree> {
    parse::parse(text).map_err(|error| {
        let text = format!("`--format {}` is not a Go template: {error}", text.escape_debug());
        Fault::new(Kind::Usage, text).hint("box ps --format '{{.ID}} {{.Names}}'").into()
    })
}

fn run(template: &Tree, row: &Json) -> Result<String> {
    eval::run(template, &Value::of(row, false)).map_err(|error| {
        let fault = match error.strip_prefix("there is no field ") {
            Some(name) if !name.contains(' ') => {
                Fault::new(Kind::Usage, format!("there is no field {name} in what `--format` is given"))
            }
            _ => Fault::new(Kind::Usage, format!("`--format` cannot be applied: {error}")),
        };
        match nearest(&error, row) {
            Some(near) => fault.hint(format!("did you mean `.{near}`?")).into(),
            None => fault.into(),
        }
    })
}

/// The field of a row that is most like the one that is not there.
fn nearest(error: &str, row: &Json) -> Option<String> {
    let wrong = error.split('`').nth(1)?;
    crate::base::nearest::nearest_of(wrong, row.as_object()?.keys().map(String::as_str))
}

/// The heading line of a `table` template: each `{{.Field}}` becomes its heading.
fn headings(body: &str, heading: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = body;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (action, tail) = after.split_once("}}").unwrap_or((after, ""));
        let field = action.split(|c: char| !(c.is_alphanumeric() || c == '.')).find(|word| word.starts_with('.'));
        if let Some(field) = field {
            out.push_str(&heading(field.rsplit('.').next().unwrap_or_default()));
        }
        rest = tail;
    }
    out + rest
}

/// Columns divided by tabs, lined up as Go's tabwriter does it, two spaces between them.
fn align(text: &str) -> String {
    let rows: Vec<Vec<String>> = text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    super::output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Json {
        serde_json::json!({
            "Id": "0123456789abcdef", "Name": "web", "Created": "2026-11-21T09:30:00Z",
            "State": {"Status": "running", "Running": true, "Paused": false, "ExitCode": 0, "Pid": 4711, "Health": null},
            "Config": {
                "Labels": {"a.b": "c", "x": "y"}, "Env": ["PATH=/bin", "A=b"], "Cmd": ["sh", "-c", "echo hi"],
                "ExposedPorts": {"80/tcp": {}}, "Image": "docker.io/library/alpine:latest", "Hostname": "0123456789ab"
            },
            "NetworkSettings": {
                "IPAddress": "10.0.2.100",
                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "53/udp": null},
                "Networks": {"slirp4netns": {"IPAddress": "10.0.2.100", "Gateway": "10.0.2.2"}}
            },
            "Mounts": [{"Type": "bind", "Source": "/srv", "Destination": "/www", "RW": false},
                       {"Type": "tmpfs", "Source": "", "Destination": "/tmp", "RW": true}],
            "RepoDigests": ["docker.io/library/alpine@sha256:00"], "RepoTags": [],
            "Labels": {"app": "shop"}, "Size": 7830000, "Cpu": 1.5
        })
    }

    fn rendered(template: &str) -> Result<String> {
        Format::parse(template)?.render_one(&sample())
    }

    fn check(cases: &[(&str, &str)]) {
        for (template, expected) in cases {
            let out = rendered(template).unwrap_or_else(|error| panic!("{template}: {error:#}"));
            assert_eq!(out.strip_suffix('\n').unwrap_or(&out), *expected, "{template}");
        }
    }

    #[test]
    fn fields() {
        check(&[
            ("{{.Name}}", "web"),
            ("{{ .Name }}", "web"),
            ("{{.State.Running}}", "true"),
            ("{{.State.ExitCode}}", "0"),
            ("{{.State.Pid}}", "4711"),
            ("{{.State.Health}}", "<nil>"),
            ("{{.Cpu}}", "1.5"),
            ("{{.NetworkSettings.IPAddress}}", "10.0.2.100"),
            ("{{.Config.Labels.x}}", "y"),
            ("{{.Config.Labels.missing}}", "<no value>"),
            ("{{.Config.Cmd}}", "[sh -c echo hi]"),
            ("{{.Config.Labels}}", "map[a.b:c x:y]"),
            ("{{.RepoTags}}", "[]"),
            ("{{.Id}}\\t{{.Name}}", "0123456789abcdef\tweb"),
            ("{{.Name}}\\n{{.Size}}", "web\n7830000"),
            ("plain", "plain"),
            ("{{\"quoted\"}}", "quoted"),
            ("{{.Label \"app\"}}", "shop"),
            ("{{.Label \"none\"}}", ""),
        ]);
    }

    #[test]
    fn what_scripts_use_most() {
        check(&[
            ("{{index .Config.Labels \"a.b\"}}", "c"),
            ("{{(index .Config.Labels \"a.b\")}}", "c"),
            ("{{index .Config.Labels \"missing\"}}", ""),
            ("{{index .RepoDigests 0}}", "docker.io/library/alpine@sha256:00"),
            ("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080"),
            ("{{(index .NetworkSettings.Ports \"80/tcp\" 0).HostIp}}", "0.0.0.0"),
            ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "10.0.2.100"),
            (
                "{{range $name, $net := .NetworkSettings.Networks}}{{$name}}={{$net.Gateway}}{{end}}",
                "slirp4netns=10.0.2.2",
            ),
            ("{{range .Mounts}}{{.Destination}} {{end}}", "/www /tmp "),
            ("{{range $i, $m := .Mounts}}{{$i}}:{{$m.Type}},{{end}}", "0:bind,1:tmpfs,"),
            ("{{range .Config.Env}}{{println .}}{{end}}", "PATH=/bin\nA=b"),
            ("{{range $p, $conf := .NetworkSettings.Ports}}{{$p}} {{end}}", "53/udp 80/tcp "),
            ("{{range .RepoTags}}x{{else}}none{{end}}", "none"),
            ("{{json .Config.Labels}}", r#"{"a.b":"c","x":"y"}"#),
            (
                "{{json .State}}",
                r#"{"Status":"running","Running":true,"Paused":false,"ExitCode":0,"Pid":4711,"Health":null}"#,
            ),
            (
                "{{json .Mounts}}",
                r#"[{"Type":"bind","Source":"/srv","Destination":"/www","RW":false},{"Type":"tmpfs","Source":"","Destination":"/tmp","RW":true}]"#,
            ),
            ("{{json .Name}}", r#""web""#),
            ("{{json .State.Health}}", "null"),
            ("{{.Config.Env | json}}", r#"["PATH=/bin","A=b"]"#),
            ("{{range .Mounts}}{{json .Type}}{{end}}", r#""bind""tmpfs""#),
        ]);
    }

    #[test]
    fn functions() {
        check(&[
            ("{{join .Config.Cmd \" \"}}", "sh -c echo hi"),
            ("{{join .RepoTags \",\"}}", ""),
            ("{{split .Config.Image \":\"}}", "[docker.io/library/alpine latest]"),
            ("{{index (split .Config.Image \":\") 1}}", "latest"),
            ("{{upper .Name}}", "WEB"),
            ("{{lower \"ABC\"}}", "abc"),
            ("{{title \"hello big-world\"}}", "Hello Big-World"),
            ("{{truncate .Id 12}}", "0123456789ab"),
            ("{{truncate .Name 12}}", "web"),
            ("{{pad .Name 1 2}}|", " web  |"),
            ("{{.Name | upper | printf \"%-5s|\"}}", "WEB  |"),
            ("{{printf \"%s %d\" .Name .State.Pid}}", "web 4711"),
            ("{{printf \"%q\" .Name}}", "\"web\""),
            ("{{println .Name}}", "web"),
            ("{{len .Mounts}}", "2"),
            ("{{len .Name}}", "3"),
            ("{{len .Config.Labels}}", "2"),
            ("{{slice .Id 0 12}}", "0123456789ab"),
            ("{{trim \" a \"}}", "a"),
            ("{{print .Name .Name}}", "webweb"),
        ]);
    }

    #[test]
    fn conditions() {
        check(&[
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if .State.Paused}}a{{else if .State.Running}}b{{end}}", "b"),
            ("{{if .State.Health}}has{{end}}", ""),
            ("{{with .State}}{{.Status}}{{end}}", "running"),
            ("{{with .RepoTags}}x{{else}}y{{end}}", "y"),
            ("{{if eq .State.Status \"running\"}}yes{{end}}", "yes"),
            ("{{if ne .State.ExitCode 0}}bad{{else}}good{{end}}", "good"),
            ("{{if and .State.Running (not .State.Paused)}}x{{end}}", "x"),
            ("{{if or .State.Paused .State.Running}}x{{end}}", "x"),
            ("{{if gt .State.Pid 1}}x{{end}}", "x"),
            ("{{if le .Size 10}}x{{else}}y{{end}}", "y"),
            ("{{if lt .State.ExitCode 1}}x{{end}}{{if ge .Size 7830000}}y{{end}}", "xy"),
            ("{{$n := .Name}}{{$n}}", "web"),
            ("{{- .Name -}}  ", "web"),
            ("{{/* a comment */}}{{.Name}}", "web"),
            ("{{if .Config.Labels.x}}set{{end}}", "set"),
        ]);
    }

    /// Templates with what Go's own text/template and podman's functions make of them: the first line is the value, each
    /// other one a template and its text, or that it is an error.
    #[test]
    fn the_same_bytes_as_go() {
        let text = include_str!("../../../tests/data/templates.jsonl");
        let mut lines = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        let row = Value::of(&lines.next().unwrap(), false);
        let mut wrong = Vec::new();
        let mut count = 0;
        for case in lines {
            let template = case["t"].as_str().unwrap();
            let go = (case["e"] != true).then(|| case["o"].as_str().unwrap_or_default().to_owned());
            let ours = parse::parse(template).and_then(|tree| eval::run(&tree, &row)).ok();
            if ours != go {
                wrong.push(format!("{template}: {go:?}, not {ours:?}"));
            }
            count += 1;
        }
        assert!(wrong.is_empty() && count > 600, "{count}: {}", wrong.join("\n"));
    }

    #[test]
    fn errors_are_told() {
        for (template, part) in [
            ("{{.Nope}}", "there is no field `Nope`"),
            ("{{.State.Nope}}", "there is no field `Nope`"),
            ("{{.State.Health.Status}}", "there is no field `Status`"),
            ("{{.Name", "is not a Go template"),
            ("{{nope .Name}}", "is not a Go template"),
            ("{{if .Name}}x", "is not a Go template"),
            ("{{index .Mounts 7}}", "cannot be applied"),
            ("{{range 100000000}}x{{end}}", "cannot be applied"),
            ("{{upper .Mounts}}", "cannot be applied"),
        ] {
            let error = rendered(template).unwrap_err();
            assert_eq!(crate::base::error::kind(&error), Kind::Usage);
            assert!(format!("{error:#}").contains(part), "{template}: {error:#}");
        }
    }

    #[test]
    fn rows() {
        let rows = [serde_json::json!({"ID": "1", "Names": "a"}), serde_json::json!({"ID": "22", "Names": "bb"})];
        let heading = |field: &str| field.to_uppercase();
        let render = |format: &str, rows: &[Json]| Format::parse(format).unwrap().render(rows, &heading).unwrap();
        assert_eq!(render("{{.ID}} {{.Names}}", &rows), "1 a\n22 bb\n");
        assert_eq!(render("table {{.ID}}\\t{{.Names}}", &rows), "ID          NAMES\n1           a\n22          bb\n");
        assert_eq!(render("table {{.ID | lower}} x {{.Names}}", &[]), "ID x NAMES\n");
        assert_eq!(render("{{json .}}", &rows[..1]), "{\"ID\":\"1\",\"Names\":\"a\"}\n");
        assert_eq!(render("json", &[]), "[]\n");
        assert!(render("json", &rows).starts_with("[\n    {\n        \"ID\": \"1\""));
        assert_eq!(render("{{.ID}}", &[]), "");
        let evil = [serde_json::json!({"Labels": {"a": "\u{1b}[2J\u{9b}1m"}})];
        assert_eq!(render("{{.Labels}}", &evil), "map[a:\\u{1b}[2J\\u{9b}1m]\n");
        assert_eq!(render("{{json .Labels}}", &evil), "{\"a\":\"\\u001b[2J\\u009b1m\"}\n");
        // An unknown field is an error only where there is a row.
        assert_eq!(render("{{.Nope}}", &[]), "");
    }
}
