//! How Go's fmt prints values: <https://pkg.go.dev/fmt>.

use super::value::Value;
use std::fmt::Write as _;

/// `%v`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Missing => "<no value>".to_owned(),
        Value::Nil => "<nil>".to_owned(),
        Value::NilList => "[]".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => float(*value),
        Value::Text(text) => text.to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Struct(fields) => {
            format!("{{{}}}", fields.iter().map(|(_, value)| plain(value)).collect::<Vec<_>>().join(" "))
        }
        Value::Map(fields) => format!("map[{}]", pairs(fields, plain).join(" ")),
    }
}

fn pairs(fields: &[(String, Value)], print: fn(&Value) -> String) -> Vec<String> {
    fields.iter().map(|(key, value)| format!("{key}:{}", print(value))).collect()
}

/// `%+v`: with the names of a struct's fields.
fn named(value: &Value) -> String {
    match value {
        Value::Struct(fields) => format!("{{{}}}", pairs(fields, named).join(" ")),
        Value::List(list) => format!("[{}]", list.iter().map(named).collect::<Vec<_>>().join(" ")),
        Value::Map(fields) => format!("map[{}]", pairs(fields, named).join(" ")),
        other => plain(other),
    }
}

/// `%g` with the shortest digits, exponents from 21 on, as `%v` has it.
fn float(value: f64) -> String {
    exponent_from(value, 21)
}

fn exponent_from(value: f64, large: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return match () {
            () if value.is_nan() => "NaN".to_owned(),
            () if value == f64::INFINITY => "+Inf".to_owned(),
            () if value == f64::NEG_INFINITY => "-Inf".to_owned(),
            () => "0".to_owned(),
        };
    }
    let exponent = value.abs().log10().floor() as i32;
    if exponent < -4 || exponent >= large {
        return go_exponent(&format!("{value:e}"));
    }
    format!("{value}")
}

/// `1.5e21` of Rust as `1.5e+21` of Go: a sign and two digits at least.
fn go_exponent(text: &str) -> String {
    let Some((digits, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, number) = exponent.strip_prefix('-').map_or(('+', exponent), |number| ('-', number));
    format!("{digits}e{sign}{number:0>2}")
}

/// Go's `%q`.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if u32::from(c) < 0x80 && c.is_control() => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// `Print` and `Println`: spaces between, for `Print` only between two that are no texts.
pub fn joined(values: &[Value], line: bool) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        let text = |value: &Value| matches!(value, Value::Text(_));
        if index > 0 && (line || !(text(value) || text(&values[index - 1]))) {
            out.push(' ');
        }
        // Go prints a missing value as an argument as nil.
        out.push_str(&if matches!(value, Value::Missing) { "<nil>".to_owned() } else { plain(value) });
    }
    if line {
        out.push('\n');
    }
    out
}

/// The flags of a verb.
#[derive(Debug, Default, Clone, Copy)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// More columns than a screen could have would only eat memory; and Rust's own formatting takes no more.
const MAX_WIDTH: usize = u16::MAX as usize;

/// `Printf`.
pub fn formatted(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => flags.minus = true,
                '+' => flags.plus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                _ => flags.zero = true,
            }
        }
        let mut number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Option<usize> {
            if chars.next_if_eq(&'*').is_some() {
                let value = values.get(next).map(|value| if let Value::Int(n) = value { *n } else { 0 });
                next += 1;
                return value.map(|n| (n.unsigned_abs() as usize).min(MAX_WIDTH));
            }
            let mut found = None;
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                found = Some((found.unwrap_or(0) * 10 + digit.to_digit(10).unwrap_or(0) as usize).min(MAX_WIDTH));
            }
            found
        };
        flags.width = number(&mut chars).unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            flags.precision = Some(number(&mut chars).unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.get(next) {
                None => drop(write!(out, "%!{verb}(MISSING)")),
                Some(value) => {
                    next += 1;
                    out.push_str(&one(verb, value, flags));
                }
            },
        }
    }
    if next < values.len() {
        let extra = values[next..].iter().map(|value| match value {
            Value::Nil | Value::Missing => "<nil>".to_owned(),
            value => format!("{}={}", type_of(value), plain(value)),
        });
        let _ = write!(out, "%!(EXTRA {})", extra.collect::<Vec<_>>().join(", "));
    }
    out
}

fn one(verb: char, value: &Value, flags: Flags) -> String {
    match verb {
        'T' => return padded(&type_of(value), flags, false),
        'v' if flags.plus => return padded(&named(value), Flags { plus: false, ..flags }, false),
        'v' => {
            return match value {
                Value::Int(_) => one('d', value, flags),
                Value::Float(number) => padded(&float(*number), flags, true),
                _ => padded(&plain(if matches!(value, Value::Missing) { &Value::Nil } else { value }), flags, false),
            };
        }
        _ => {}
    }
    match value {
        Value::List(list) => {
            let all: Vec<String> = list.iter().map(|value| one(verb, value, flags)).collect();
            format!("[{}]", all.join(" "))
        }
        Value::Struct(fields) => {
            let all: Vec<String> = fields.iter().map(|(_, value)| one(verb, value, flags)).collect();
            format!("{{{}}}", all.join(" "))
        }
        Value::Map(fields) => {
            let all = fields
                .iter()
                .map(|(key, value)| format!("{}:{}", one(verb, &Value::text(key), flags), one(verb, value, flags)));
            format!("map[{}]", all.collect::<Vec<_>>().join(" "))
        }
        Value::Text(text) => of_text(verb, text, flags),
        Value::Int(number) => of_int(verb, *number, flags),
        Value::Float(number) => of_float(verb, *number, flags),
        Value::Bool(value) if verb == 't' => padded(&value.to_string(), flags, false),
        Value::Bool(value) => format!("%!{verb}(bool={value})"),
        Value::NilList => "[]".to_owned(),
        Value::Nil | Value::Missing => format!("%!{verb}(<nil>)"),
    }
}

fn of_text(verb: char, text: &str, flags: Flags) -> String {
    let cut: String = text.chars().take(flags.precision.unwrap_or(usize::MAX)).collect();
    let hex = |upper: bool| cut.bytes().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect();
    let shown: String = match verb {
        's' => cut.clone(),
        'q' => quoted(&cut),
        'x' => hex(false),
        'X' => hex(true),
        _ => return format!("%!{verb}(string={text})"),
    };
    padded(&shown, flags, false)
}

fn of_int(verb: char, number: i64, flags: Flags) -> String {
    let magnitude = number.unsigned_abs();
    let sign = match () {
        () if number < 0 => "-",
        () if flags.plus => "+",
        () if flags.space => " ",
        () => "",
    };
    let prefix = |text: &str| if flags.sharp { text.to_owned() } else { String::new() };
    let (prefix, mut digits) = match verb {
        'd' => (String::new(), magnitude.to_string()),
        'x' => (prefix("0x"), format!("{magnitude:x}")),
        'X' => (prefix("0X"), format!("{magnitude:X}")),
        'o' => (prefix("0"), format!("{magnitude:o}")),
        'b' => (prefix("0b"), format!("{magnitude:b}")),
        'c' => return padded(&character(number).to_string(), flags, false),
        'q' => return padded(&format!("'{}'", character(number)), flags, false),
        'U' => return padded(&format!("U+{magnitude:04X}"), flags, false),
        _ => return format!("%!{verb}(int={number})"),
    };
    if let Some(precision) = flags.precision {
        digits = format!("{digits:0>precision$}");
    } else if flags.zero && !flags.minus {
        let width = flags.width.saturating_sub(sign.len() + prefix.len());
        digits = format!("{digits:0>width$}");
    }
    padded(&format!("{sign}{prefix}{digits}"), Flags { zero: false, ..flags }, true)
}

fn character(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn of_float(verb: char, number: f64, flags: Flags) -> String {
    let precision = flags.precision;
    let text = match verb {
        'f' | 'F' => format!("{number:.*}", precision.unwrap_or(6)),
        'e' => go_exponent(&format!("{number:.*e}", precision.unwrap_or(6))),
        'g' => exponent_from(number, 21),
        _ => return format!("%!{verb}(float64={})", float(number)),
    };
    let text = if flags.plus && number >= 0.0 { format!("+{text}") } else { text };
    padded(&text, flags, true)
}

fn padded(text: &str, flags: Flags, is_number: bool) -> String {
    let missing = flags.width.saturating_sub(text.chars().count());
    match (flags.minus, flags.zero) {
        (true, _) => format!("{text}{}", " ".repeat(missing)),
        (false, true) => match text.strip_prefix(['-', '+']).filter(|_| is_number) {
            Some(digits) => format!("{}{}{digits}", &text[..1], "0".repeat(missing)),
            None => format!("{}{text}", "0".repeat(missing)),
        },
        (false, false) => format!("{}{text}", " ".repeat(missing)),
    }
}

fn type_of(value: &Value) -> String {
    match value {
        Value::Missing | Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::List(list) if list.iter().all(|value| matches!(value, Value::Text(_))) => "[]string",
        Value::List(_) | Value::NilList => "[]interface {}",
        Value::Struct(_) => "struct",
        Value::Map(_) => "map[string]interface {}",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_have_an_end() {
        for format in ["%99999999999d", "%099999d", "%.99999d", "%*d", "%.99999f", "%99999s"] {
            let values =
                if format.contains('*') { vec![Value::Int(i64::MIN), Value::Int(1)] } else { vec![Value::Int(1)] };
            assert!(formatted(format, &values).len() < 200_000, "{format}");
        }
    }
}
