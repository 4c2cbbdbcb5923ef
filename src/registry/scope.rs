//! Scopes of tokens: what a token server is asked to allow. Pure.
//!
//! <https://distribution.github.io/distribution/spec/auth/scope/>

/// What is about to be done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Nothing in particular: a login.
    Nothing,
    /// Fetch.
    Pull,
    /// Send.
    Push,
    /// Send, by mounting what this other repository has.
    Mount(&'a str),
    /// List the registry's repositories.
    Catalog,
}

impl Scope<'_> {
    /// The scopes as one text, for a repository with this path.
    pub fn words(self, path: &str) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Pull => format!("repository:{path}:pull"),
            Self::Push => format!("repository:{path}:pull,push"),
            Self::Mount(from) => format!("repository:{path}:pull,push repository:{from}:pull"),
            Self::Catalog => "registry:catalog:*".to_owned(),
        }
    }
}

/// The scopes of both texts, each object once with all its actions.
pub fn merge(wanted: &str, asked: &str) -> Vec<String> {
    let mut merged: Vec<(String, Vec<String>)> = Vec::new();
    for word in asked.split_whitespace().chain(wanted.split_whitespace()).take(16) {
        // The name may have a colon in it, a registry's port.
        let Some((object, actions)) = word.rsplit_once(':') else { continue };
        let place = merged.iter().position(|(other, _)| other == object).unwrap_or_else(|| {
            merged.push((object.to_owned(), Vec::new()));
            merged.len() - 1
        });
        let Some((_, known)) = merged.get_mut(place) else { continue };
        for action in actions.split(',') {
            if !known.iter().any(|other| other == action) {
                known.push(action.to_owned());
            }
        }
    }
    merged.into_iter().map(|(object, actions)| format!("{object}:{}", actions.join(","))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_merged() {
        for (wanted, asked, expected) in [
            (Scope::Pull, "", &["repository:x:pull"][..]),
            (Scope::Push, "repository:x:pull", &["repository:x:pull,push"]),
            (Scope::Mount("y"), "repository:x:push", &["repository:x:push,pull", "repository:y:pull"]),
            (Scope::Nothing, "a:b:c d", &["a:b:c"]),
            (Scope::Nothing, "", &[]),
        ] {
            assert_eq!(merge(&wanted.words("x"), asked), expected);
        }
    }
}
