//! Walking a document along the table of its properties.

use super::schema::{Kind as Type, Property};
use crate::base::error::{Fault, Kind, fault};
use anyhow::Result;
use serde_json::{Map, Value};

/// Check an object, take out what is null or not for us, and return what there is to warn of.
pub(super) fn walk(object: &mut Map<String, Value>, properties: &[Property]) -> Result<Vec<String>> {
    let mut walker = Walker { path: String::new(), warnings: Vec::new() };
    walker.object(object, properties)?;
    Ok(walker.warnings)
}

struct Walker {
    /// Where we are in the document.
    path: String,
    warnings: Vec<String>,
}

impl Walker {
    fn object(&mut self, object: &mut Map<String, Value>, properties: &[Property]) -> Result<()> {
        // Go's encoder writes null for what is not there.
        object.retain(|_, value| !value.is_null());
        self.unknown(object, properties)?;
        for property in properties {
            let Some(value) = object.get_mut(property.name) else {
                if property.required {
                    return Err(bad(format!("`{}` is missing", self.below(property.name))));
                }
                continue;
            };
            if matches!(property.kind, Type::Foreign) {
                self.warnings.push(format!("`{}` is not for Linux, and ignored", self.below(property.name)));
                object.remove(property.name);
                continue;
            }
            let path = self.below(property.name);
            self.inside(path, |walker| walker.value(value, &property.kind))?;
        }
        Ok(())
    }

    /// Names that the table does not have.
    fn unknown(&mut self, object: &mut Map<String, Value>, properties: &[Property]) -> Result<()> {
        let names: Vec<String> =
            object.keys().filter(|key| properties.iter().all(|p| p.name != *key)).cloned().collect();
        for name in names {
            let path = self.below(&name);
            if let Some(meant) = properties.iter().find(|property| is_like(&name, property.name)) {
                let text = format!("there is no property `{path}`");
                let hint = format!("perhaps `{}` is meant", self.below(meant.name));
                return Err(Fault::new(Kind::BadData, text).hint(hint).into());
            }
            if !self.path.is_empty() {
                return Err(bad(format!("there is no property `{path}` in version 1.3 of the specification")));
            }
            self.warnings.push(format!("there is no property `{path}`: it is ignored"));
            object.remove(&name);
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value, kind: &Type) -> Result<()> {
        let is_wrong = match (kind, &mut *value) {
            (Type::Object(properties), Value::Object(object)) => return self.object(object, properties),
            (Type::Map(kind), Value::Object(object)) => return self.map(object, kind),
            (Type::List(kind), Value::Array(list)) => return self.list(list, kind),
            (Type::Flag, Value::Bool(_)) | (Type::Foreign, _) => false,
            (Type::Text | Type::Known(_), Value::String(text)) => text.contains('\0'),
            (Type::Variable, Value::String(text)) => {
                text.contains('\0') || text.split_once('=').is_none_or(|(name, _)| name.is_empty())
            }
            (Type::AbsolutePath, Value::String(text)) => !text.starts_with('/') || text.contains('\0'),
            (Type::Numbers, Value::String(text)) => !are_numbers(text),
            (Type::Word(words), Value::String(text)) => !words.contains(&text.as_str()),
            (Type::Number(min, max), Value::Number(number)) => match (number.as_i64(), number.as_u64()) {
                (_, Some(number)) => number > *max || *min > 0 && number < min.unsigned_abs(),
                (Some(number), None) => number < *min,
                (None, None) => true,
            },
            _ => true,
        };
        if is_wrong { Err(self.wrong(value, kind)) } else { Ok(()) }
    }

    fn map(&mut self, object: &mut Map<String, Value>, kind: &Type) -> Result<()> {
        object.retain(|_, value| !value.is_null());
        for (key, value) in object {
            if key.is_empty() || key.contains('\0') {
                return Err(bad(format!("`{}` has a key that is empty or has a zero byte in it", self.path)));
            }
            let path = format!("{}[\"{}\"]", self.path, key.escape_debug());
            self.inside(path, |walker| walker.value(value, kind))?;
        }
        Ok(())
    }

    fn list(&mut self, list: &mut Vec<Value>, kind: &Type) -> Result<()> {
        for (index, value) in list.iter_mut().enumerate() {
            let path = format!("{}[{index}]", self.path);
            self.inside(path, |walker| walker.value(value, kind))?;
        }
        if let Type::Known(is_known) = kind {
            let (path, warnings) = (&self.path, &mut self.warnings);
            list.retain(|value| {
                let known = value.as_str().is_some_and(is_known);
                if !known {
                    let shown = value.as_str().unwrap_or_default().escape_debug();
                    warnings.push(format!("`{path}` has `{shown}`, which this system does not know: it is ignored"));
                }
                known
            });
        }
        Ok(())
    }

    fn below(&self, name: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.path, name.escape_debug())
    }

    fn inside(&mut self, path: String, walk: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let before = std::mem::replace(&mut self.path, path);
        let result = walk(self);
        self.path = before;
        result
    }

    /// An error that says what the value is and what it should be.
    fn wrong(&self, value: &Value, kind: &Type) -> anyhow::Error {
        let wanted = match kind {
            Type::Flag => "true or false".to_owned(),
            Type::Text | Type::Known(_) => "text without a zero byte".to_owned(),
            Type::Variable => "NAME=value, without a zero byte".to_owned(),
            Type::AbsolutePath => "a path that begins with /".to_owned(),
            Type::Numbers => "numbers and ranges like 0-3,7".to_owned(),
            Type::Number(min, max) => format!("a whole number from {min} to {max}"),
            Type::Word([]) => "nothing: none is defined".to_owned(),
            Type::Word(words) if words.len() > 12 => format!("a word like {}", words[0]),
            Type::Word(words) => format!("one of {}", words.join(" ")),
            Type::List(_) => "a list".to_owned(),
            Type::Map(_) | Type::Object(_) | Type::Foreign => "an object".to_owned(),
        };
        let shown: String = value.to_string().chars().take(60).collect();
        bad(format!(
            "`{}` is {}: it should be {wanted}",
            self.path,
            shown.escape_debug().to_string().replace("\\\"", "\"")
        ))
    }
}

fn bad(text: String) -> anyhow::Error {
    fault(Kind::BadData, text)
}

fn are_numbers(text: &str) -> bool {
    text.split(',').all(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => first <= last,
            _ => false,
        }
    })
}

/// Whether a name is a known one misspelt: equal but for case and hyphens, or one letter off.
fn is_like(name: &str, known: &str) -> bool {
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
    };
    let (name, known) = (plain(name), plain(known));
    let start = name.iter().zip(&known).take_while(|(a, b)| a == b).count();
    let end = name.iter().rev().zip(known.iter().rev()).take_while(|(a, b)| a == b).count();
    let (shorter, longer) = (name.len().min(known.len()), name.len().max(known.len()));
    // What differs between the equal ends is at most one letter on either side. Short names are alike too easily.
    longer - start.min(shorter) - end.min(shorter - start.min(shorter)) <= 1 && (shorter > 3 || name == known)
}
