//! Paths as Go's `path` package sees them: texts with slashes.

/// The shortest equal path, by the text alone (`path.Clean`): `a//b/../c/.` is `a/c`, nothing is `.`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_equal_path() {
        for (path, expected) in [
            ("", "."),
            (".", "."),
            ("a//b/../c/.", "a/c"),
            ("/..", "/"),
            ("/a/../../b", "/b"),
            ("../a/..", ".."),
            ("../../a", "../../a"),
            ("a/", "a"),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }
}
