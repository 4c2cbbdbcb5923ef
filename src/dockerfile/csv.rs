//! One line of comma-separated fields, as `RUN --mount` and many options have it (RFC 4180, Go's `encoding/csv`).

use super::mistake::Mistake;

/// The fields of a line. A field in double quotes may hold commas, and quotes as `""`.
pub fn fields(line: &str) -> Result<Vec<String>, Mistake> {
    let wrong = |what: &str| Mistake::new(format!("`{line}`: {what}"));
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, tail) = match rest.strip_prefix('"') {
            None => {
                let (field, tail) = rest.split_once(',').map_or((rest, None), |(field, tail)| (field, Some(tail)));
                if field.contains('"') {
                    return Err(wrong("a double quote stands inside a field: quote the whole field"));
                }
                (field.to_owned(), tail)
            }
            Some(inner) => {
                let (field, tail) = quoted(inner).ok_or_else(|| wrong("a double quote is not closed"))?;
                match tail.strip_prefix(',') {
                    Some(next) => (field, Some(next)),
                    None if tail.is_empty() => (field, None),
                    None => return Err(wrong("something follows a closing double quote")),
                }
            }
        };
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

/// What stands before the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

/// Fields as one line that [`fields`] reads.
pub fn line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let quote = |field: &str| match field.contains([',', '"']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    };
    fields.into_iter().map(quote).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_fields() {
        for (text, expected) in [
            ("a=1,b", vec!["a=1", "b"]),
            ("", vec![""]),
            ("a,", vec!["a", ""]),
            (r#""a,b",c"#, vec!["a,b", "c"]),
            (r#""a""b""#, vec![r#"a"b"#]),
        ] {
            assert_eq!(fields(text).unwrap(), expected, "{text}");
            assert_eq!(fields(&line(expected.iter().copied())).unwrap(), expected, "{text}");
        }
        for wrong in [r#"a"b"#, r#""a"#, r#""a"b"#] {
            assert!(fields(wrong).is_err(), "{wrong}");
        }
    }
}
