//! The name that somebody meant who wrote another.

use super::error::Fault;

/// Of some names the one that is at most two slips away.
pub fn nearest_of<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let near =
        names.map(|name| (slips(name, unknown), name)).filter(|(slips, name)| *slips <= 2 && *slips < name.len());
    near.min().map(|(_, name)| name.to_owned())
}

impl Fault {
    /// With the name that may have been meant as advice, if one is near.
    pub fn meant<'a>(self, unknown: &str, names: impl Iterator<Item = &'a str>) -> Self {
        match nearest_of(unknown, names) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }
}

/// How many letters are wrong, missing, too many or swapped with their neighbour (optimal string alignment).
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().take(64).collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = change.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(table[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slips_at_most() {
        let names = || ["RUN", "COPY", "ADD"].into_iter();
        assert_eq!(nearest_of("RNU", names()).unwrap(), "RUN");
        assert_eq!(nearest_of("COYP", names()).unwrap(), "COPY");
        assert_eq!(nearest_of("VOLUME", names()), None);
    }
}
