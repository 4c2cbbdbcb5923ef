//! JSON documents from outside, parsed so that no two programs can read them differently.
//!
//! serde_json takes the last of two equal keys, Go's decoder too but without regard to case: the same bytes would be
//! one image to us and another to them (CVE-2021-41190). Here a repeated key is an error. Trailing bytes, a byte
//! order mark, NaN and nesting deeper than 128 are refused by serde_json itself.

use crate::base::digest::Digest;
use crate::base::error::{Kind, fault};
use anyhow::Result;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Documents (manifests, indexes, configs) larger than this are refused: 4 MiB, as registries do.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Parse one JSON object; an error for repeated keys or anything that is no object.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>> {
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(fault(Kind::BadData, format!("it is larger than {DOCUMENT_LIMIT} bytes")));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match value {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(fault(Kind::BadData, "it is not a JSON object")),
        Err(error) => Err(fault(Kind::BadData, format!("it is not valid JSON: {error}"))),
    }
}

/// Refuse keys that equal one of `known` but for the case: Go programs would take them for it.
pub fn exact_case(map: &Map<String, Value>, known: &[&str]) -> Result<()> {
    for key in map.keys() {
        if let Some(name) = known.iter().find(|name| key.eq_ignore_ascii_case(name) && key != *name) {
            return Err(fault(Kind::BadData, format!("it has a key `{}` in place of `{name}`", key.escape_debug())));
        }
    }
    Ok(())
}

/// A text field; absent and null are `None`, another type is an error.
pub fn text(map: &Map<String, Value>, key: &str) -> Result<Option<String>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(key, "text")),
    }
}

/// A list of texts; absent and null are `None`.
pub fn texts(map: &Map<String, Value>, key: &str) -> Result<Option<Vec<String>>> {
    let Some(list) = list(map, key)? else { return Ok(None) };
    let strings = list.iter().map(|item| item.as_str().map(str::to_owned));
    strings.collect::<Option<Vec<_>>>().map(Some).ok_or_else(|| wrong(key, "a list of texts"))
}

/// A list; absent and null are `None`.
pub fn list<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a [Value]>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(_) => Err(wrong(key, "a list")),
    }
}

/// An object; absent and null are `None`.
pub fn map<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a Map<String, Value>>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(wrong(key, "an object")),
    }
}

/// A whole number that is not negative; absent and null are `None`.
pub fn number(map: &Map<String, Value>, key: &str) -> Result<Option<u64>> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| wrong(key, "a size")),
    }
}

/// A digest that must be there.
pub fn digest(map: &Map<String, Value>, key: &str) -> Result<Digest> {
    let text = text(map, key)?.ok_or_else(|| fault(Kind::BadData, format!("it has no `{key}`")))?;
    parse_digest(&text)
}

/// A digest as text.
pub fn parse_digest(text: &str) -> Result<Digest> {
    Digest::parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        fault(Kind::BadData, format!("`{}` is not a digest", shown.escape_debug()))
    })
}

fn wrong(key: &str, wanted: &str) -> anyhow::Error {
    fault(Kind::BadData, format!("its `{key}` is not {wanted}"))
}

/// Deserialises any JSON value, refusing repeated keys.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(Strict)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Strict)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{}` is there twice", key.escape_debug())));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_documents_are_refused() {
        let deep = format!("{}{}", "{\"a\":".repeat(200), "1");
        for text in [
            "",
            "null",
            "[]",
            "1",
            "{} x",
            "{}{}",
            "\u{feff}{}",
            "{\"a\":NaN}",
            "{\"a\":1,\"a\":1}",
            "{\"b\":[{\"a\":1,\"a\":2}]}",
            "{\"a\":1,\"\\u0061\":2}",
            &deep,
        ] {
            assert!(object(text.as_bytes()).is_err(), "{text}");
        }
        assert!(object(b"\xff{}").is_err());
        assert_eq!(object(b" {\"a\": [1, -2, 0.5, null, \"x\"]}\n").unwrap()["a"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn folded_keys_are_refused() {
        let map = object(b"{\"Layers\": []}").unwrap();
        assert!(exact_case(&map, &["layers"]).is_err());
        assert!(exact_case(&map, &["manifests"]).is_ok());
    }
}
