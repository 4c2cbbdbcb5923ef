//! Each property of the table right, and wrong in every way that its kind allows.

use super::schema::{CONFIG, Kind as Type, Property};
use super::*;
use serde_json::json;

/// A value of this kind, with everything in it that there can be.
fn sample(kind: &Type) -> Value {
    match kind {
        Type::Flag => json!(true),
        Type::Text => json!("text"),
        Type::Variable => json!("NAME=value"),
        Type::AbsolutePath => json!("/path"),
        Type::Numbers => json!("0-3,7"),
        Type::Number(_, max) => json!(max),
        Type::Word(words) => words.first().map_or(Value::Null, |word| json!(word)),
        Type::Known(_) => json!("CAP_CHOWN"),
        Type::List(kind) => Value::Array(all_of(kind).into_iter().filter(|value| !value.is_null()).collect()),
        Type::Map(kind) => json!({ "some.key": sample(kind) }),
        Type::Object(properties) => Value::Object(object(properties)),
        Type::Foreign => json!({ "any": [1] }),
    }
}

/// A list's entries: all the words, or one sample.
fn all_of(kind: &Type) -> Vec<Value> {
    match kind {
        Type::Word(words) => words.iter().map(|word| json!(word)).collect(),
        kind => vec![sample(kind)],
    }
}

fn object(properties: &[Property]) -> Map<String, Value> {
    let some = properties.iter().filter(|property| !matches!(property.kind, Type::Foreign));
    let mut object: Map<String, Value> = some.map(|p| (p.name.to_owned(), sample(&p.kind))).collect();
    if object.contains_key("ociVersion") {
        object.insert("ociVersion".to_owned(), json!("1.3.0"));
    }
    object
}

fn parse_value(value: &Value) -> Result<Read<Spec>> {
    parse(value.to_string().as_bytes())
}

#[test]
fn a_document_with_everything_is_read_whole() {
    let document = Value::Object(object(CONFIG));
    let read = parse_value(&document).unwrap();
    assert_eq!(read.warnings, [""; 0]);
    // Nothing is lost on the way, but for what oci-spec spells otherwise.
    let again = serde_json::to_value(&read.value).unwrap();
    for path in ["/hooks", "/mounts", "/linux/seccomp", "/linux/resources", "/linux/memoryPolicy", "/linux/timeOffsets"]
    {
        let is_lost = |path: &str| document.pointer(path) != again.pointer(path);
        assert!(!is_lost(path), "{path}: {:?} {:?}", document.pointer(path), again.pointer(path));
    }
}

#[test]
fn every_word_is_one_that_the_types_know() {
    let mut words = Vec::new();
    each(CONFIG, &mut Vec::new(), &mut |path, kind| {
        let kind = if let Type::List(inner) = kind { inner } else { kind };
        if let Type::Word(list) = kind {
            words.extend(list.iter().map(|word| (path.to_vec(), json!(word))));
        }
    });
    assert!(words.len() > 80);
    for (path, word) in words {
        let mut document = Value::Object(object(CONFIG));
        let place = at(&mut document, &path);
        *place = if place.is_array() { json!([word]) } else { word };
        parse_value(&document).unwrap_or_else(|error| panic!("{path:?}: {error:#}"));
    }
}

/// The property at the end of a path of names; in a list, its first entry, in a map its only one.
fn at<'a>(document: &'a mut Value, path: &[&'static str]) -> &'a mut Value {
    path.iter().fold(document, |value, name| match inner(value) {
        Value::Object(object) => &mut object[*name],
        other => panic!("{name} in {other}"),
    })
}

/// The object that an object, a list of objects or a map of objects is about.
fn inner(value: &mut Value) -> &mut Value {
    if value.is_array() {
        &mut value[0]
    } else if value.get("some.key").is_some() {
        &mut value["some.key"]
    } else {
        value
    }
}

/// Call with the path and kind of every property, those of inner objects too.
fn each(properties: &[Property], path: &mut Vec<&'static str>, call: &mut impl FnMut(&[&'static str], &Type)) {
    for property in properties.iter().filter(|property| !matches!(property.kind, Type::Foreign)) {
        path.push(property.name);
        call(path, &property.kind);
        let mut kind = &property.kind;
        while let Type::List(inner) | Type::Map(inner) = kind {
            kind = inner;
        }
        if let Type::Object(properties) = kind {
            each(properties, path, call);
        }
        path.pop();
    }
}

/// Values that a kind does not allow.
fn wrong(kind: &Type) -> Vec<Value> {
    let mut values = vec![json!(1.5), json!("\0")];
    match kind {
        Type::Flag => values.extend([json!("true"), json!(0), json!([])]),
        Type::Text | Type::Known(_) => values.extend([json!(1), json!(["text"]), json!({})]),
        Type::Variable => values.extend([json!(1), json!(""), json!("NAME"), json!("=value")]),
        Type::AbsolutePath => values.extend([json!(1), json!(""), json!("relative"), json!("../up")]),
        Type::Numbers => values.extend([json!(1), json!(""), json!("3-1"), json!("1,"), json!("a"), json!("99999")]),
        Type::Number(min, max) => {
            values.extend([json!("1"), json!(1e30), json!([1])]);
            values.extend(min.checked_sub(1).map(|low| json!(low)));
            values.extend(max.checked_add(1).map(|high| json!(high)));
        }
        Type::Word(words) => {
            values.extend([json!(1), json!("NO_SUCH_WORD")]);
            values.extend(words.first().filter(|word| !word.is_empty()).map(|word| json!(word.to_lowercase() + "x")));
        }
        Type::List(kind) => {
            values.extend([json!({}), json!("text")]);
            values.extend(wrong(kind).into_iter().map(|wrong| json!([wrong])));
        }
        Type::Map(kind) => {
            values.extend([json!([]), json!("text"), json!({ "": sample(kind) })]);
            values.extend(wrong(kind).into_iter().map(|wrong| json!({ "some.key": wrong })));
        }
        Type::Object(_) => values.extend([json!([]), json!("text"), json!({ "noSuchProperty": 1 })]),
        Type::Foreign => values.clear(),
    }
    values
}

/// A path as messages have it, without what is in brackets.
fn shown(path: &[&str]) -> String {
    path.join(".")
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0;
    let keep = |c: &char| {
        depth += i32::from(*c == '[') - i32::from(*c == ']');
        depth == 0 && *c != ']'
    };
    text.chars().filter(keep).collect()
}

#[test]
fn every_property_wrong_in_turn_is_named() {
    let mut cases = Vec::new();
    each(CONFIG, &mut Vec::new(), &mut |path, kind| {
        cases.extend(wrong(kind).into_iter().map(|value| (path.to_vec(), value)));
    });
    assert!(cases.len() > 1000, "{}", cases.len());
    for (path, value) in cases {
        let mut document = Value::Object(object(CONFIG));
        *at(&mut document, &path) = value.clone();
        let error = parse_value(&document).err().unwrap_or_else(|| panic!("{path:?} {value} is taken"));
        let text = without_brackets(&error.to_string());
        assert!(text.contains(&format!("`{}", shown(&path))), "{path:?} {value}: {error}");
    }
}

#[test]
fn what_is_required_is_missed_and_what_is_unknown_is_found() {
    let mut required = Vec::new();
    let mut objects = Vec::new();
    each(CONFIG, &mut Vec::new(), &mut |path, kind| {
        let mut kind = kind;
        while let Type::List(inner) | Type::Map(inner) = kind {
            kind = inner;
        }
        if let Type::Object(properties) = kind {
            objects.push(path.to_vec());
            let names = properties.iter().filter(|property| property.required).map(|property| property.name);
            required.extend(names.map(|name| (path.to_vec(), name)));
        }
    });
    assert!(required.len() > 30 && objects.len() > 30);
    for (path, name) in required {
        let mut document = Value::Object(object(CONFIG));
        inner(at(&mut document, &path)).as_object_mut().unwrap().remove(name);
        let error = without_brackets(&parse_value(&document).unwrap_err().to_string());
        assert_eq!(error, format!("`{}.{name}` is missing", shown(&path)));
    }
    for path in objects {
        let mut document = Value::Object(object(CONFIG));
        inner(at(&mut document, &path)).as_object_mut().unwrap().insert("noSuchProperty".to_owned(), json!(1));
        let error = without_brackets(&parse_value(&document).unwrap_err().to_string());
        assert!(error.contains(&format!("no property `{}.noSuchProperty`", shown(&path))), "{error}");
    }
}

#[test]
fn extensions_are_ignored_but_misspelt_names_are_not() {
    let minimal = |more: Value| {
        let mut document = json!({ "ociVersion": "1.0.2-dev", "root": { "path": "rootfs" } });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parse_value(&document)
    };
    let ignored = minimal(json!({ "com.example.extension": {}, "windows": {}, "mounts": null })).unwrap();
    assert_eq!(ignored.warnings.len(), 2, "{:?}", ignored.warnings);
    let capabilities = json!({ "process": { "cwd": "/", "capabilities": { "bounding": ["CAP_CHOWN", "CAP_NEW"] } } });
    let known = minimal(capabilities).unwrap();
    assert_eq!(known.warnings.len(), 1);
    let process = known.value.process().as_ref().unwrap();
    assert_eq!(process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len(), 1);
    for (more, expected) in [
        (json!({ "Process": {} }), "process"),
        (json!({ "hook": {} }), "hooks"),
        (json!({ "process": { "cwd": "/", "noNewPrivilege": true } }), "process.noNewPrivileges"),
        (json!({ "process": { "cwd": "/", "no_new_privileges": true } }), "process.noNewPrivileges"),
        (json!({ "linux": { "maskedPath": [] } }), "linux.maskedPaths"),
    ] {
        let error = minimal(more).unwrap_err();
        let hints = &error.downcast_ref::<crate::base::error::Fault>().unwrap().hints;
        assert_eq!(hints, &[format!("perhaps `{expected}` is meant")]);
    }
    for version in ["", "1", "1.3", "2.0.0", "0.9.0", "v1.0.0", "1.0.x"] {
        let document = json!({ "ociVersion": version, "root": { "path": "r" } });
        assert!(parse_value(&document).unwrap_err().to_string().contains("ociVersion"), "{version}");
    }
}
