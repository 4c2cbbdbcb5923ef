//! `WWW-Authenticate` headers: which proof of identity a registry wants. Pure.
//!
//! RFC 9110, section 11.6.1; <https://distribution.github.io/distribution/spec/auth/token/>

/// One challenge that box can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// The token server's URL, as written.
        realm: String,
        /// The registry's name there.
        service: Option<String>,
        /// What the token must allow.
        scope: Option<String>,
    },
}

/// All challenges of one header that box can answer, in order; damaged text ends the list.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    // A registry sends a line or two; more is an attack.
    let mut rest = header.get(..8192).unwrap_or(header).trim_start();
    while let Some((scheme, after)) = word(rest) {
        let (parameters, after) = parameters(after.trim_start());
        let get =
            |name: &str| parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            found.push(Challenge::Bearer { realm, service: get("service"), scope: get("scope") });
        }
        rest = after.trim_start_matches([',', ' ', '\t']);
    }
    found
}

/// A token of RFC 9110.
fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `name=value, name="value"` until something that is not of that form: the next scheme.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        let start = text;
        let item = text.trim_start_matches([',', ' ', '\t']);
        let Some((name, after)) = word(item) else { return (found, start) };
        let Some(after) = after.trim_start().strip_prefix('=') else { return (found, start) };
        let after = after.trim_start();
        let Some((value, after)) = quoted(after).or_else(|| word(after).map(|(v, rest)| (v.to_owned(), rest))) else {
            return (found, "");
        };
        found.push((name.to_owned(), value));
        text = after;
    }
}

/// A quoted string; its end is required.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &inner[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        };
        for (header, expected) in [
            ("Basic realm=\"x\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://a/token\",service=\"s\",scope=\"repository:a/b:pull,push\"",
                vec![bearer("https://a/token", Some("s"), Some("repository:a/b:pull,push"))],
            ),
            ("Bearer realm=https", vec![bearer("https", None, None)]),
            ("Negotiate, Basic realm=\"a, b\", Bearer realm=\"r\"", vec![Challenge::Basic, bearer("r", None, None)]),
            ("BEARER REALM = \"a\\\"b\" , Service=x", vec![bearer("a\"b", Some("x"), None)]),
            ("Bearer service=\"x\"", vec![]),
            ("Bearer realm=\"unterminated", vec![]),
            ("", vec![]),
            (",,=,", vec![]),
            ("Bearer =", vec![]),
            ("\u{e4}\u{e4} \"", vec![]),
        ] {
            assert_eq!(parse(header), expected, "{header:?}");
        }
    }
}
