//! `--format`: Go's text/template over JSON, with the functions that podman and docker add.
//!
//! The evaluator is gtmpl-ng. Here: what a struct is and what a map is (an unknown field of a struct is an error, as
//! in Go; a missing key of a map is not), the added functions, JSON in the order of its keys, and `table`.

use super::errors::escape;
use super::output::{escape_json, pretty_json};
use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use gtmpl_ng::{Context, Func, FuncError, Template, Value};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::HashMap;

/// Keys whose objects are maps in Go, with keys of the user's own; all other objects are structs.
const MAPS: [&str; 15] = [
    "Annotations",
    "Data",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "NamesHistory",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Registries",
    "Search",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// A `--format` that has been read.
pub struct Format {
    kind: FormatKind,
}

enum FormatKind {
    /// All rows as one JSON array.
    Json,
    /// A template per row, with a line of headings made from it.
    Table(Template, String),
    /// A template per row.
    Plain(Template),
}

thread_local! {
    /// The order of keys of each struct seen, by its sorted keys: gtmpl's own maps have none.
    static ORDERS: RefCell<HashMap<Vec<String>, Vec<String>>> = RefCell::default();
    /// The labels of the row being rendered, for `.Label "name"`.
    static LABELS: RefCell<HashMap<String, String>> = RefCell::default();
}

impl Format {
    /// Whether everything is printed as JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.kind, FormatKind::Json)
    }

    /// Read what was given to `--format`. Errors: [`Kind::Usage`], with the place in the template.
    ///
    /// The library reads in a thread of its own, which may outlive this call for a moment: callers open the engine
    /// first, since only a process of one thread can join the user's namespace.
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

fn compile(text: &str) -> Result<Template> {
    const FUNCS: [(&str, Func); 14] = [
        ("index", index),
        ("join", join),
        ("json", json),
        ("label", label),
        ("lower", lower),
        ("pad", pad),
        ("split", split),
        ("title", title),
        ("truncate", truncate),
        ("upper", upper),
        ("println", println),
        // podman's spellings of the same.
        ("toJson", json),
        ("trim", trim),
        ("replace", replace),
    ];
    let mut template = Template::default();
    template.add_funcs(&FUNCS);
    // `.Label "name"` is a method with an argument, which gtmpl's values cannot have; a function can.
    template.parse(text.replace("{{.Label ", "{{label ").replace(" .Label ", " label ")).map_err(|error| {
        let text = format!("`--format {}` is not a Go template", text.escape_debug());
        Fault::new(Kind::Usage, text)
            .hint("box ps --format '{{.ID}} {{.Names}}'")
            .because(anyhow::anyhow!("{}", first_line(&error.to_string())))
    })?;
    Ok(template)
}

fn run(template: &Template, row: &Json) -> Result<String> {
    LABELS.with_borrow_mut(|labels| {
        *labels = labels_of(row);
    });
    template.render(&Context::from(convert(row, false))).map_err(|error| {
        let text = first_line(&error.to_string());
        match text.split_once("no field `") {
            Some((_, rest)) => {
                let name = rest.split('`').next().unwrap_or_default();
                fault(Kind::Usage, format!("there is no field `{name}` in what `--format` is given"))
            }
            None => fault(Kind::Usage, format!("`--format` cannot be applied: {text}")),
        }
    })
}

/// The message without the place, which is mostly `:1:3:5`, and without the causes below.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("template: ").unwrap_or(line);
    line.trim_start_matches([':', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']).trim_start().to_owned()
}

fn labels_of(row: &Json) -> HashMap<String, String> {
    let Some(labels) = row.get("Labels").and_then(Json::as_object) else { return HashMap::new() };
    labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// JSON as gtmpl's values: objects are structs, but for those whose key is one of [`MAPS`].
fn convert(value: &Json, is_map: bool) -> Value {
    match value {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(value) => Value::String(value.clone()),
        Json::Array(values) => Value::Array(values.iter().map(|value| convert(value, false)).collect()),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => Value::from(value),
            (_, Some(value), _) => Value::from(value),
            (_, _, value) => Value::from(value.unwrap_or_default()),
        },
        Json::Object(object) => {
            let fields: HashMap<String, Value> =
                object.iter().map(|(key, value)| (key.clone(), convert(value, MAPS.contains(&key.as_str())))).collect();
            if is_map {
                return Value::Map(fields);
            }
            remember_order(object);
            Value::Object(fields)
        }
    }
}

fn remember_order(object: &serde_json::Map<String, Json>) {
    let order: Vec<String> = object.keys().cloned().collect();
    let mut sorted = order.clone();
    sorted.sort();
    ORDERS.with_borrow_mut(|orders| {
        orders.entry(sorted).or_insert(order);
    });
}

/// Back to JSON: structs in their order, maps by key, as Go's encoder does.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::String(value) => Json::String(value.clone()),
        Value::Array(values) => Json::Array(values.iter().map(to_json).collect()),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => value.into(),
            (_, Some(value), _) => value.into(),
            (_, _, value) => value.and_then(serde_json::Number::from_f64).map_or(Json::Null, Json::Number),
        },
        Value::Object(fields) | Value::Map(fields) => {
            let mut keys: Vec<String> = fields.keys().cloned().collect();
            keys.sort();
            if let Value::Object(_) = value {
                keys = ORDERS.with_borrow(|orders| orders.get(&keys).cloned()).unwrap_or(keys);
            }
            Json::Object(keys.into_iter().filter_map(|key| Some((key.clone(), to_json(fields.get(&key)?)))).collect())
        }
        _ => Json::Null,
    }
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

fn wrong(function: &str, what: &str) -> FuncError {
    FuncError::Generic(format!("{function} wants {what}"))
}

fn text_of<'a>(function: &str, args: &'a [Value], at: usize) -> Result<&'a str, FuncError> {
    match args.get(at) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(wrong(function, "a text")),
    }
}

fn number_of(function: &str, args: &[Value], at: usize) -> Result<usize, FuncError> {
    match args.get(at) {
        // More columns than a screen could have would only eat memory.
        Some(Value::Number(number)) => Ok(number.as_u64().unwrap_or(0).min(100_000) as usize),
        _ => Err(wrong(function, "a number")),
    }
}

fn json(args: &[Value]) -> Result<Value, FuncError> {
    let value = args.first().ok_or_else(|| wrong("json", "a value"))?;
    let text = serde_json::to_string(&to_json(value)).map_err(|error| FuncError::Generic(error.to_string()))?;
    Ok(Value::String(escape_json(text)))
}

fn join(args: &[Value]) -> Result<Value, FuncError> {
    // docker: join LIST SEPARATOR; podman has the same.
    let (list, separator) = match args {
        [Value::Array(list), Value::String(separator)] | [Value::String(separator), Value::Array(list)] => {
            (list, separator)
        }
        [Value::Nil | Value::NoValue, Value::String(_)] => return Ok(Value::String(String::new())),
        _ => return Err(wrong("join", "a list and a separator")),
    };
    let words: Vec<String> = list.iter().map(ToString::to_string).collect();
    Ok(Value::String(words.join(separator)))
}

fn split(args: &[Value]) -> Result<Value, FuncError> {
    let (text, separator) = (text_of("split", args, 0)?, text_of("split", args, 1)?);
    let words = text.split(separator).map(|word| Value::String(word.to_owned()));
    // An empty separator splits into characters, without Rust's empty ends.
    Ok(Value::Array(match separator {
        "" => text.chars().map(|c| Value::String(c.to_string())).collect(),
        _ => words.collect(),
    }))
}

fn lower(args: &[Value]) -> Result<Value, FuncError> {
    Ok(Value::String(text_of("lower", args, 0)?.to_lowercase()))
}

fn upper(args: &[Value]) -> Result<Value, FuncError> {
    Ok(Value::String(text_of("upper", args, 0)?.to_uppercase()))
}

fn trim(args: &[Value]) -> Result<Value, FuncError> {
    Ok(Value::String(text_of("trim", args, 0)?.trim().to_owned()))
}

fn replace(args: &[Value]) -> Result<Value, FuncError> {
    let (text, from, to) = (text_of("replace", args, 0)?, text_of("replace", args, 1)?, text_of("replace", args, 2)?);
    Ok(Value::String(text.replace(from, to)))
}

fn title(args: &[Value]) -> Result<Value, FuncError> {
    let mut out = String::new();
    let mut begins = true;
    for c in text_of("title", args, 0)?.chars() {
        if begins {
            out.extend(c.to_uppercase())
        } else {
            out.push(c)
        }
        begins = !c.is_alphanumeric();
    }
    Ok(Value::String(out))
}

fn truncate(args: &[Value]) -> Result<Value, FuncError> {
    let (text, length) = (text_of("truncate", args, 0)?, number_of("truncate", args, 1)?);
    Ok(Value::String(text.chars().take(length).collect()))
}

/// `pad TEXT BEFORE AFTER`: so many spaces on each side; nothing for an empty text.
fn pad(args: &[Value]) -> Result<Value, FuncError> {
    let (text, before, after) = (text_of("pad", args, 0)?, number_of("pad", args, 1)?, number_of("pad", args, 2)?);
    let spaces = |count: usize| " ".repeat(count);
    Ok(Value::String(if text.is_empty() { String::new() } else { spaces(before) + text + &spaces(after) }))
}

fn println(args: &[Value]) -> Result<Value, FuncError> {
    let words: Vec<String> = args.iter().map(ToString::to_string).collect();
    Ok(Value::String(words.join(" ") + "\n"))
}

/// `index`, but for a missing key of a map of texts, which is an empty text in Go.
fn index(args: &[Value]) -> Result<Value, FuncError> {
    let found = gtmpl_ng::funcs::index(args)?;
    match (&found, args) {
        (Value::NoValue, [Value::Map(map), Value::String(_)])
            if map.values().all(|value| matches!(value, Value::String(_))) =>
        {
            Ok(Value::String(String::new()))
        }
        _ => Ok(found),
    }
}

/// `.Label "name"` of a row: its label, or nothing.
fn label(args: &[Value]) -> Result<Value, FuncError> {
    let name = text_of("Label", args, 0)?;
    Ok(Value::String(LABELS.with_borrow(|labels| labels.get(name).cloned()).unwrap_or_default()))
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
            ("{{.State.Health}}", "<no value>"),
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

    #[test]
    fn errors_are_told() {
        for (template, part) in [
            ("{{.Nope}}", "there is no field `Nope`"),
            ("{{.State.Nope}}", "there is no field `Nope`"),
            ("{{.State.Health.Status}}", "cannot be applied"),
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
