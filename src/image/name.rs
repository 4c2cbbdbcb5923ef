//! What the user may mean by a name: candidates in the order they are tried. Pure.

use crate::oci::reference::{DEFAULT_DOMAIN, Reference};

/// The repository of a stored name: without tag and digest.
pub fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// The references that a text may mean among stored images, best first: as written; a short one below `localhost/`,
/// then docker.io. Empty if it is no reference.
pub fn candidates(text: &str) -> Vec<Reference> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    let homes: &[&str] = if Reference::is_short(text) { &["localhost", DEFAULT_DOMAIN] } else { &[DEFAULT_DOMAIN] };
    homes.iter().filter_map(|home| Reference::parse_with_default(text, home).ok()).collect()
}

/// A text that can be (the beginning of) an id, without `sha256:`.
pub fn id_prefix(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let valid = (2..=64).contains(&digits.len()) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    valid.then_some(digits)
}

/// The name of an image in somebody's OCI layout: `ref.name`, or containerd's annotation, which has the whole name.
///
/// A short one belongs to `localhost/`: it came from no registry.
pub fn of_layout(annotations: &std::collections::BTreeMap<String, String>) -> Option<Reference> {
    let keys = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
    let text = keys.iter().find_map(|key| annotations.get(*key))?;
    Reference::parse_with_default(text, "localhost").ok()
}

/// A name as short as it may be typed: without docker.io, localhost/ and `:latest`.
pub fn short(name: &str) -> String {
    let prefixes = ["docker.io/library/", "docker.io/", "localhost/"];
    let short = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    short.strip_suffix(":latest").unwrap_or(short).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_may_mean() {
        for (text, expected) in [
            ("alpine", &["localhost/alpine:latest", "docker.io/library/alpine:latest"][..]),
            ("a/b:1", &["localhost/a/b:1", "docker.io/a/b:1"]),
            ("docker://quay.io/x", &["quay.io/x:latest"]),
            ("localhost/x", &["localhost/x:latest"]),
            ("Bad", &[]),
        ] {
            let found: Vec<String> = candidates(text).iter().map(Reference::stored_name).collect();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(repository("localhost:5000/a:1"), "localhost:5000/a");
        assert_eq!(repository("localhost:5000/a"), "localhost:5000/a");
        assert_eq!(repository("a.b/c@sha256:00"), "a.b/c");
        assert_eq!(id_prefix("sha256:ab12"), Some("ab12"));
        assert_eq!((id_prefix("xyz"), id_prefix("a"), id_prefix("")), (None, None, None));
    }
}
