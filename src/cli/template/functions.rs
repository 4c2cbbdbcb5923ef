//! The functions of templates: Go's own, and those that podman and docker add.

use super::print::{formatted, joined, plain};
use super::value::Value;
use crate::cli::output::escape_json;
use std::cmp::Ordering;
use std::rc::Rc;

type Answer = Result<Value, String>;

const NAMES: [&str; 31] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "join", "js", "json", "le", "len", "lower", "lt", "ne", "not",
    "or", "pad", "print", "printf", "println", "replace", "slice", "split", "title", "toJson", "trim", "truncate",
    "upper", "urlquery", "label",
];

/// Whether there is such a function.
pub fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Call one. `and` and `or` are the evaluator's, which does not look at all of their arguments.
pub fn call(name: &str, args: &[Value]) -> Answer {
    let wanted = |count: usize| match args.len() == count {
        true => Ok(()),
        false => Err(format!("{name} wants {count} arguments and has {}", args.len())),
    };
    match name {
        "not" => wanted(1).map(|()| Value::Bool(!args[0].is_true())),
        "len" => wanted(1).and_then(|()| length(&args[0])),
        "index" => index(args),
        "slice" => slice(args),
        "print" => Ok(Value::text(joined(args, false))),
        "println" => Ok(Value::text(joined(args, true))),
        "printf" => Ok(Value::text(formatted(text(name, args, 0)?, &args[1..]))),
        "html" => Ok(Value::text(html(&escaped(args)))),
        "js" => Ok(Value::text(js(&escaped(args)))),
        "urlquery" => Ok(Value::text(urlquery(&escaped(args)))),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => compare(name, args),
        "json" | "toJson" => wanted(1).and_then(|()| json(&args[0])),
        "lower" => wanted(1).and_then(|()| Ok(Value::text(text(name, args, 0)?.to_lowercase()))),
        "upper" => wanted(1).and_then(|()| Ok(Value::text(text(name, args, 0)?.to_uppercase()))),
        "title" => wanted(1).and_then(|()| Ok(Value::text(title(text(name, args, 0)?)))),
        "trim" => wanted(1).and_then(|()| Ok(Value::text(text(name, args, 0)?.trim()))),
        "join" => wanted(2).and_then(|()| join(args)),
        "split" => wanted(2).and_then(|()| split(text(name, args, 0)?, text(name, args, 1)?)),
        "replace" => {
            wanted(3)?;
            Ok(Value::text(text(name, args, 0)?.replace(text(name, args, 1)?, text(name, args, 2)?)))
        }
        "truncate" => {
            wanted(2)?;
            let length = number(name, args, 1)?;
            Ok(Value::text(text(name, args, 0)?.chars().take(length).collect::<String>()))
        }
        "pad" => {
            wanted(3)?;
            let (inner, before, after) = (text(name, args, 0)?, number(name, args, 1)?, number(name, args, 2)?);
            let spaces = |count: usize| " ".repeat(count);
            Ok(Value::text(if inner.is_empty() { String::new() } else { spaces(before) + inner + &spaces(after) }))
        }
        _ => Err(format!("{name} cannot be called here")),
    }
}

fn text<'a>(function: &str, args: &'a [Value], at: usize) -> Result<&'a str, String> {
    match args.get(at) {
        Some(Value::Text(text)) => Ok(text),
        Some(other) => Err(format!("{function} wants a text and has {}", other.kind())),
        None => Err(format!("{function} has too few arguments")),
    }
}

fn number(function: &str, args: &[Value], at: usize) -> Result<usize, String> {
    match args.get(at) {
        // More columns than a screen could have would only eat memory.
        Some(Value::Int(number)) => Ok(usize::try_from(*number).unwrap_or(0).min(100_000)),
        _ => Err(format!("{function} wants a number")),
    }
}

fn length(value: &Value) -> Answer {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::NilList => 0,
        other => return Err(format!("{} has no length", other.kind())),
    };
    Ok(Value::Int(length as i64))
}

fn index(args: &[Value]) -> Answer {
    let (first, rest) = args.split_first().ok_or("index has too few arguments")?;
    if matches!(first, Value::Nil | Value::Missing) {
        return Err("index of nothing".to_owned());
    }
    rest.iter().try_fold(first.clone(), |value, at| match (&value, at) {
        (Value::List(list), Value::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| list.get(at).cloned())
            .ok_or_else(|| format!("index {at} is out of range: there are {}", list.len())),
        (Value::Text(text), Value::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| text.as_bytes().get(at))
            .map(|byte| Value::Int(i64::from(*byte)))
            .ok_or_else(|| format!("index {at} is out of range")),
        (Value::Map(fields), Value::Text(key)) => {
            let found = fields.iter().find(|(known, _)| **known == **key).map(|(_, value)| value.clone());
            Ok(found.unwrap_or_else(|| Value::zero_of_map(fields)))
        }
        (other, at) => Err(format!("{} cannot be indexed with {}", other.kind(), at.kind())),
    })
}

fn slice(args: &[Value]) -> Answer {
    let (first, rest) = args.split_first().ok_or("slice has too few arguments")?;
    let length = match first {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::NilList => 0,
        other => return Err(format!("{} cannot be sliced", other.kind())),
    };
    let at = |index: usize, default: usize| match rest.get(index) {
        None => Ok(default),
        Some(Value::Int(at)) => usize::try_from(*at).ok().filter(|at| *at <= length).ok_or("slice is out of range"),
        Some(_) => Err("slice wants numbers"),
    };
    let (from, to) = (at(0, 0)?, at(1, length)?);
    if rest.len() > 2 || from > to {
        return Err("slice is out of range".to_owned());
    }
    Ok(match first {
        Value::Text(text) => Value::text(String::from_utf8_lossy(&text.as_bytes()[from..to])),
        Value::List(list) => Value::List(Rc::new(list[from..to].to_vec())),
        other => other.clone(),
    })
}

fn compare(name: &str, args: &[Value]) -> Answer {
    let (first, rest) = args.split_first().ok_or("a comparison wants two values")?;
    if rest.is_empty() || (name != "eq" && rest.len() > 1) {
        return Err(format!("{name} wants two values"));
    }
    if let Some(odd) =
        args.iter().find(|value| matches!(value, Value::List(_) | Value::NilList | Value::Map(_) | Value::Struct(_)))
    {
        return Err(format!("{} cannot be compared", odd.kind()));
    }
    let nothing = |value: &Value| matches!(value, Value::Nil | Value::Missing);
    let equal = |other: &Value| match nothing(first) || nothing(other) {
        true => Ok(nothing(first) && nothing(other)),
        false => first.compare(other).map(|order| order == Ordering::Equal),
    };
    let answer = match name {
        "eq" => {
            let mut found = false;
            for other in rest {
                found |= equal(other)?;
                if found {
                    break;
                }
            }
            found
        }
        "ne" => !equal(&rest[0])?,
        _ => {
            if let (_, Value::Bool(_)) | (Value::Bool(_), _) = (first, &rest[0]) {
                return Err("truth values have no order".to_owned());
            }
            let order = first.compare(&rest[0])?;
            match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
        }
    };
    Ok(Value::Bool(answer))
}

fn json(value: &Value) -> Answer {
    let text = serde_json::to_string(&value.to_json()).map_err(|error| error.to_string())?;
    Ok(Value::text(escape_json(text)))
}

/// Go's `strings.Join`; the two in any order, as docker and podman differ.
fn join(args: &[Value]) -> Answer {
    let (list, separator) = match args {
        [Value::List(list), Value::Text(separator)] | [Value::Text(separator), Value::List(list)] => (list, separator),
        [Value::Nil | Value::NilList | Value::Missing, Value::Text(_)] => return Ok(Value::text("")),
        _ => return Err("join wants a list and a separator".to_owned()),
    };
    Ok(Value::text(list.iter().map(plain).collect::<Vec<_>>().join(separator)))
}

fn split(text: &str, separator: &str) -> Answer {
    // An empty separator splits into characters, without Rust's empty ends.
    let words: Vec<Value> = match separator {
        "" => text.chars().map(|c| Value::text(c.to_string())).collect(),
        _ => text.split(separator).map(Value::text).collect(),
    };
    Ok(Value::List(Rc::new(words)))
}

/// Go's `strings.Title`: what follows a character that is part of no word begins anew; `_` and `'` are parts.
fn title(text: &str) -> String {
    let mut out = String::new();
    let mut begins = true;
    for c in text.chars() {
        if begins {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        begins = match c {
            '_' => false,
            c if c.is_ascii() => !c.is_ascii_alphanumeric(),
            c => c.is_whitespace(),
        };
    }
    out
}

/// What the escaping functions are given, as one text.
fn escaped(args: &[Value]) -> String {
    joined(args, false)
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => {
                out.push('\\');
                out.push(c);
            }
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn urlquery(text: &str) -> String {
    let one = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}
