//! The functions that are built into bake's files: those of HCL's and buildx' standard library that depend on their
//! arguments alone. <https://docs.docker.com/build/bake/stdlib/>

use super::eval::{bool_of, f64_of, item, number_of, text_of};
use crate::base::base64;
use crate::base::nearest::nearest_of;
use anyhow::{Context, Result, bail};
use regex::Regex;
use serde_json::{Map, Value};

/// All of them.
pub(super) const NAMES: &[&str] = &[
    "absolute",
    "add",
    "and",
    "base64decode",
    "base64encode",
    "basename",
    "ceil",
    "chomp",
    "chunklist",
    "coalesce",
    "coalescelist",
    "compact",
    "concat",
    "contains",
    "dirname",
    "distinct",
    "divide",
    "element",
    "equal",
    "flatten",
    "floor",
    "format",
    "greaterthan",
    "hasindex",
    "indent",
    "index",
    "indexof",
    "int",
    "join",
    "jsondecode",
    "jsonencode",
    "keys",
    "length",
    "lessthan",
    "lookup",
    "lower",
    "max",
    "merge",
    "min",
    "modulo",
    "multiply",
    "not",
    "notequal",
    "or",
    "parseint",
    "range",
    "regex",
    "regex_replace",
    "replace",
    "reverse",
    "reverselist",
    "sanitize",
    "sha256",
    "slice",
    "sort",
    "split",
    "strlen",
    "substr",
    "subtract",
    "title",
    "trim",
    "trimprefix",
    "trimspace",
    "trimsuffix",
    "upper",
    "urlencode",
    "values",
    "zipmap",
];

/// Call a function.
pub(super) fn call(name: &str, arguments: Vec<Value>) -> Result<Value> {
    if !NAMES.contains(&name) {
        let meant = nearest_of(name, NAMES.iter().copied());
        bail!(
            "there is no such function{}",
            meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default()
        );
    }
    let call = Call { arguments };
    let kinds = [numbers, texts, codes, lists, maps];
    let found = kinds.iter().find_map(|kind| kind(name, &call).transpose()).transpose()?;
    found.context("it cannot be called so")
}

struct Call {
    arguments: Vec<Value>,
}

impl Call {
    fn value(&self, index: usize) -> Result<&Value> {
        self.arguments.get(index).with_context(|| format!("argument {} is missing", index + 1))
    }

    fn text(&self, index: usize) -> Result<String> {
        text_of(self.value(index)?)
    }

    fn number(&self, index: usize) -> Result<f64> {
        f64_of(self.value(index)?)
    }

    fn list(&self, index: usize) -> Result<&Vec<Value>> {
        let value = self.value(index)?;
        value.as_array().with_context(|| format!("`{value}` is no list"))
    }

    fn map(&self, index: usize) -> Result<&Map<String, Value>> {
        let value = self.value(index)?;
        value.as_object().with_context(|| format!("`{value}` is no map"))
    }

    /// A place in something of this length; negative numbers count from its end.
    fn place(&self, index: usize, length: usize) -> Result<usize> {
        let number = self.number(index)? as i64;
        let number = if number < 0 { number + length as i64 } else { number };
        Ok(usize::try_from(number).unwrap_or(0).min(length))
    }
}

fn numbers(name: &str, call: &Call) -> Result<Option<Value>> {
    let all = || call.arguments.iter().map(f64_of).collect::<Result<Vec<f64>>>();
    Ok(Some(match name {
        "add" => number_of(call.number(0)? + call.number(1)?),
        "subtract" => number_of(call.number(0)? - call.number(1)?),
        "multiply" => number_of(call.number(0)? * call.number(1)?),
        "divide" | "modulo" if call.number(1)? == 0.0 => bail!("division by zero"),
        "divide" => number_of(call.number(0)? / call.number(1)?),
        "modulo" => number_of(call.number(0)? % call.number(1)?),
        "absolute" => number_of(call.number(0)?.abs()),
        "ceil" => number_of(call.number(0)?.ceil()),
        "floor" => number_of(call.number(0)?.floor()),
        "int" => number_of(call.number(0)?.trunc()),
        "max" => number_of(all()?.into_iter().reduce(f64::max).context("it takes numbers")?),
        "min" => number_of(all()?.into_iter().reduce(f64::min).context("it takes numbers")?),
        "parseint" => {
            let (text, base) = (call.text(0)?, call.number(1)? as u32);
            if !(2..=36).contains(&base) {
                bail!("a base is from 2 to 36");
            }
            Value::from(
                i64::from_str_radix(&text, base).with_context(|| format!("`{text}` is no number of base {base}"))?,
            )
        }
        "equal" => Value::Bool(call.value(0)? == call.value(1)?),
        "notequal" => Value::Bool(call.value(0)? != call.value(1)?),
        "greaterthan" => Value::Bool(call.number(0)? > call.number(1)?),
        "lessthan" => Value::Bool(call.number(0)? < call.number(1)?),
        "and" => Value::Bool(bool_of(call.value(0)?)? && bool_of(call.value(1)?)?),
        "or" => Value::Bool(bool_of(call.value(0)?)? || bool_of(call.value(1)?)?),
        "not" => Value::Bool(!bool_of(call.value(0)?)?),
        _ => return Ok(None),
    }))
}

fn texts(name: &str, call: &Call) -> Result<Option<Value>> {
    let text = || call.text(0);
    let part = |at: usize, length: usize| -> Result<String> { Ok(text()?.chars().skip(at).take(length).collect()) };
    Ok(Some(Value::String(match name {
        "upper" => text()?.to_uppercase(),
        "lower" => text()?.to_lowercase(),
        "title" => {
            let mut before = ' ';
            let upper = |c: char| {
                let first = !std::mem::replace(&mut before, c).is_alphanumeric();
                if first { c.to_uppercase().to_string() } else { c.to_string() }
            };
            text()?.chars().map(upper).collect()
        }
        "trimspace" => text()?.trim().to_owned(),
        "trim" => {
            let cut: Vec<char> = call.text(1)?.chars().collect();
            text()?.trim_matches(cut.as_slice()).to_owned()
        }
        "trimprefix" => text()?.strip_prefix(&call.text(1)?).map_or(text()?, str::to_owned),
        "trimsuffix" => text()?.strip_suffix(&call.text(1)?).map_or(text()?, str::to_owned),
        "chomp" => text()?.trim_end_matches(['\n', '\r']).to_owned(),
        "replace" => text()?.replace(&call.text(1)?, &call.text(2)?),
        "regex_replace" => Regex::new(&call.text(1)?)?.replace_all(&text()?, call.text(2)?.as_str()).into_owned(),
        "regex" => {
            let text = text()?;
            let pattern = Regex::new(&text)?;
            let subject = call.text(1)?;
            let found = pattern.captures(&subject).with_context(|| format!("`{text}` fits nothing"))?;
            let groups =
                found.iter().skip(1).map(|group| group.map_or(Value::Null, |group| Value::from(group.as_str())));
            return Ok(Some(match groups.len() {
                0 => Value::from(&found[0]),
                _ => Value::Array(groups.collect()),
            }));
        }
        "reverse" if call.value(0)?.is_string() => text()?.chars().rev().collect(),
        "indent" => text()?.replace('\n', &format!("\n{}", " ".repeat(call.place(1, 1000)?))),
        "substr" => {
            let length = call.number(2)?;
            let at = call.place(1, text()?.chars().count())?;
            part(at, if length < 0.0 { usize::MAX } else { length as usize })?
        }
        "strlen" => return Ok(Some(Value::from(text()?.chars().count()))),
        "split" => {
            let (separator, text) = (text()?, call.text(1)?);
            let items: Vec<Value> = match separator.is_empty() {
                true => text.chars().map(|c| Value::String(c.to_string())).collect(),
                false => text.split(separator.as_str()).map(Value::from).collect(),
            };
            return Ok(Some(Value::Array(items)));
        }
        "join" => {
            let lists = call.arguments.iter().skip(1).map(|list| list.as_array().context("it joins lists"));
            let mut items = Vec::new();
            for list in lists {
                items.extend(list?.iter().map(text_of).collect::<Result<Vec<_>>>()?);
            }
            items.join(&text()?)
        }
        "format" => format(&text()?, call.arguments.get(1..).unwrap_or_default())?,
        "sanitize" => {
            text()?.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
        }
        "basename" => text()?.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned(),
        "dirname" => crate::dockerfile::path::clean(text()?.rsplit_once('/').map_or(".", |(folder, _)| folder)),
        _ => return Ok(None),
    })))
}

/// Texts in other forms.
fn codes(name: &str, call: &Call) -> Result<Option<Value>> {
    let text = || call.text(0);
    Ok(Some(Value::String(match name {
        "base64encode" => base64::encode(text()?.as_bytes()),
        "base64decode" => {
            let bytes = base64::decode(&text()?).context("this is no base64")?;
            String::from_utf8(bytes).context("what it holds is no text")?
        }
        "sha256" => crate::base::digest::Digest::of(text()?.as_bytes()).digits().to_owned(),
        "urlencode" => {
            let byte = |byte: u8| match byte {
                b' ' => "+".to_owned(),
                _ if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            };
            text()?.bytes().map(byte).collect()
        }
        "jsonencode" => call.value(0)?.to_string(),
        "jsondecode" => return Ok(Some(serde_json::from_str(&text()?).context("this is no JSON")?)),
        _ => return Ok(None),
    })))
}

/// `%s`, `%d`, `%v`, `%q` and `%%`, with widths.
fn format(pattern: &str, arguments: &[Value]) -> Result<String> {
    let (mut out, mut next) = (String::new(), arguments.iter());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut width = String::new();
        while let Some(digit) = chars.next_if(|c| c.is_ascii_digit() || *c == '-') {
            width.push(digit);
        }
        let verb = chars.next().context("a `%` ends the format")?;
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = next.next().context("it has more verbs than arguments")?;
        let text = match verb {
            's' | 'v' if value.is_array() || value.is_object() => value.to_string(),
            's' | 'v' => text_of(value)?,
            'd' => (f64_of(value)?.trunc() as i64).to_string(),
            'q' => Value::String(text_of(value)?).to_string(),
            other => bail!("`%{other}` is none of %s, %d, %v, %q"),
        };
        let (left, zeros) = (width.starts_with('-'), width.starts_with('0'));
        let columns = width.trim_start_matches('-').parse::<usize>().unwrap_or(0).min(1000);
        let missing = columns.saturating_sub(text.chars().count());
        let fill = if zeros && !left { "0" } else { " " }.repeat(missing);
        out.push_str(&if left { text + &fill } else { fill + &text });
    }
    Ok(out)
}

fn lists(name: &str, call: &Call) -> Result<Option<Value>> {
    Ok(Some(match name {
        "length" => Value::from(match call.value(0)? {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            other => text_of(other)?.chars().count(),
        }),
        "concat" => {
            let lists = (0..call.arguments.len()).map(|index| call.list(index).cloned());
            Value::Array(lists.collect::<Result<Vec<_>>>()?.concat())
        }
        "contains" => Value::Bool(call.list(0)?.contains(call.value(1)?)),
        "compact" => Value::Array(
            call.list(0)?.iter().filter(|item| !matches!(item, Value::Null) && *item != "").cloned().collect(),
        ),
        "distinct" => {
            let mut items: Vec<Value> = Vec::new();
            for item in call.list(0)? {
                if !items.contains(item) {
                    items.push(item.clone());
                }
            }
            Value::Array(items)
        }
        "flatten" => Value::Array(flatten(call.list(0)?)),
        "reverse" | "reverselist" => Value::Array(call.list(0)?.iter().rev().cloned().collect()),
        "sort" => {
            let mut texts = call.list(0)?.iter().map(text_of).collect::<Result<Vec<_>>>()?;
            texts.sort();
            strings(texts)
        }
        "slice" => {
            let list = call.list(0)?;
            let end = if call.arguments.len() > 2 { call.place(2, list.len())? } else { list.len() };
            Value::Array(list[call.place(1, list.len())?.min(end)..end].to_vec())
        }
        "chunklist" => {
            let size = call.number(1)? as usize;
            if size == 0 {
                bail!("a chunk has one item at least");
            }
            Value::Array(call.list(0)?.chunks(size).map(|chunk| Value::Array(chunk.to_vec())).collect())
        }
        "element" => {
            let list = call.list(0)?;
            let at = call.number(1)? as usize;
            list.get(at % list.len().max(1)).cloned().context("the list is empty")?
        }
        "index" => item(call.value(0)?, call.value(1)?)?,
        "hasindex" => Value::Bool(item(call.value(0)?, call.value(1)?).is_ok()),
        "indexof" => {
            let wanted = call.value(1)?;
            Value::from(call.list(0)?.iter().position(|own| own == wanted).context("it is not in the list")?)
        }
        "range" => {
            let numbers = call.arguments.iter().map(f64_of).collect::<Result<Vec<_>>>()?;
            let (first, end, step) = match numbers[..] {
                [end] => (0.0, end, if end < 0.0 { -1.0 } else { 1.0 }),
                [first, end] => (first, end, if end < first { -1.0 } else { 1.0 }),
                [first, end, step] => (first, end, step),
                _ => bail!("it takes an end, or a start, an end and a step"),
            };
            let count = (end - first) / step;
            if !count.is_finite() || count > 1024.0 {
                bail!("it has at most 1024 numbers");
            }
            Value::Array((0..count.ceil().max(0.0) as u32).map(|n| number_of(first + f64::from(n) * step)).collect())
        }
        _ => return Ok(None),
    }))
}

/// Maps, and choices.
fn maps(name: &str, call: &Call) -> Result<Option<Value>> {
    Ok(Some(match name {
        "coalesce" => {
            call.arguments.iter().find(|value| !value.is_null() && **value != "").cloned().context("all are empty")?
        }
        "coalescelist" => {
            let full = |value: &&Value| value.as_array().is_some_and(|list| !list.is_empty());
            call.arguments.iter().find(full).cloned().context("all are empty")?
        }
        "keys" => {
            let mut keys: Vec<String> = call.map(0)?.keys().cloned().collect();
            keys.sort();
            strings(keys)
        }
        "values" => {
            let mut pairs: Vec<(&String, &Value)> = call.map(0)?.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Array(pairs.into_iter().map(|(_, value)| value.clone()).collect())
        }
        "merge" => {
            let mut map = Map::new();
            for index in 0..call.arguments.len() {
                map.extend(call.map(index)?.clone());
            }
            Value::Object(map)
        }
        "lookup" => match call.map(0)?.get(&call.text(1)?) {
            Some(value) => value.clone(),
            None => call.value(2)?.clone(),
        },
        "zipmap" => {
            let keys = call.list(0)?.iter().map(text_of).collect::<Result<Vec<_>>>()?;
            Value::Object(keys.into_iter().zip(call.list(1)?.iter().cloned()).collect())
        }
        _ => return Ok(None),
    }))
}

fn strings(texts: Vec<String>) -> Value {
    Value::Array(texts.into_iter().map(Value::String).collect())
}

fn flatten(list: &[Value]) -> Vec<Value> {
    let item = |item: &Value| match item {
        Value::Array(inner) => flatten(inner),
        single => vec![single.clone()],
    };
    list.iter().flat_map(item).collect()
}
