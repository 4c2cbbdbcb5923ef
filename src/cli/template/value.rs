//! Values as Go's templates see them: JSON, with what Go's types add to it.

use serde_json::Value as Json;
use std::cmp::Ordering;
use std::rc::Rc;

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

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// None at all: a missing key. Prints as `<no value>`.
    Missing,
    /// A nil pointer. Prints as `<nil>`.
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Vec<Value>>),
    /// A list that was never made: empty, and null as JSON.
    NilList,
    /// With unknown fields an error.
    Struct(Rc<Vec<(String, Value)>>),
    /// With missing keys allowed, sorted by key.
    Map(Rc<Vec<(String, Value)>>),
}

impl Value {
    /// JSON as Go's types have it. An object whose key is one of [`MAPS`] is a map.
    pub fn of(json: &Json, is_map: bool) -> Self {
        match json {
            Json::Null if is_map => Self::Map(Rc::default()),
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::String(text) => Self::Text(text.as_str().into()),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => Self::Float(number.as_f64().unwrap_or_default()),
            },
            Json::Array(list) => Self::List(Rc::new(list.iter().map(|value| Self::of(value, false)).collect())),
            Json::Object(object) => {
                let field = |(key, value): (&String, &Json)| {
                    let inner = match value {
                        Json::Null if is_map => Self::NilList,
                        value => Self::of(value, MAPS.contains(&key.as_str())),
                    };
                    (key.clone(), inner)
                };
                let mut fields: Vec<(String, Value)> = object.iter().map(field).collect();
                if !is_map {
                    return Self::Struct(Rc::new(fields));
                }
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Map(Rc::new(fields))
            }
        }
    }

    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    /// Go's truth: neither zero nor empty. A struct is always true.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Nil | Self::NilList => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Struct(_) => true,
        }
    }

    /// A field of a struct or key of a map.
    pub fn field(&self, name: &str) -> Result<Self, String> {
        let find =
            |fields: &[(String, Self)]| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match self {
            Self::Struct(fields) => find(fields).ok_or_else(|| format!("there is no field `{name}`")),
            Self::Map(fields) => Ok(find(fields).unwrap_or(Self::Missing)),
            Self::Nil => Err(format!("there is no field `{name}` in what is nil")),
            Self::Missing => Err(format!("there is no field `{name}` in what has no value")),
            other => Err(format!("there is no field `{name}` in {}", other.kind())),
        }
    }

    /// What a missing key of this map stands for, as far as its other values tell: Go's zero value.
    pub fn zero_of_map(fields: &[(String, Self)]) -> Self {
        match fields.first() {
            Some((_, Self::Text(_))) => Self::text(""),
            Some((_, Self::List(_) | Self::NilList)) => Self::NilList,
            Some((_, Self::Struct(inner))) => {
                let zero = |(key, value): &(String, Self)| (key.clone(), value.zero());
                Self::Struct(Rc::new(inner.iter().map(zero).collect()))
            }
            Some((_, Self::Bool(_))) => Self::Bool(false),
            Some((_, Self::Int(_))) => Self::Int(0),
            _ => Self::text(""),
        }
    }

    fn zero(&self) -> Self {
        match self {
            Self::Text(_) => Self::text(""),
            Self::Bool(_) => Self::Bool(false),
            Self::Int(_) => Self::Int(0),
            Self::Float(_) => Self::Float(0.0),
            Self::List(_) | Self::NilList => Self::NilList,
            Self::Map(_) => Self::Map(Rc::default()),
            _ => Self::Nil,
        }
    }

    /// Its kind, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing | Self::Nil => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) | Self::NilList => "a list",
            Self::Struct(_) | Self::Map(_) => "an object",
        }
    }

    /// Go's `eq` and `lt`: only values of the same basic kind compare.
    pub fn compare(&self, other: &Self) -> Result<Ordering, String> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Ok(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => Ok(a.partial_cmp(b).unwrap_or(Ordering::Less)),
            (Self::Text(a), Self::Text(b)) => Ok(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Ok(a.cmp(b)),
            _ => Err(format!("{} and {} cannot be compared", self.kind(), other.kind())),
        }
    }

    /// As Go's encoder writes it: structs in their order, maps by key.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Missing | Self::Nil | Self::NilList => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => (*value).into(),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => (*value as i64).into(),
            Self::Float(value) => serde_json::Number::from_f64(*value).map_or(Json::Null, Json::Number),
            Self::Text(text) => Json::String(text.to_string()),
            Self::List(list) => Json::Array(list.iter().map(Self::to_json).collect()),
            Self::Struct(fields) | Self::Map(fields) => {
                Json::Object(fields.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
        }
    }
}
