//! `--filter` of `images`, and what a name as its argument means.

use crate::base::error::{Fault, Kind, fault};
use crate::base::glob;
use crate::base::time;
use crate::cli::session::{self, created};
use crate::container;
use crate::container::filter::has_label;
use crate::engine::Engine;
use crate::image::Image;
use anyhow::Result;

const KEYS: &str = "reference dangling id label before since until digest containers intermediate readonly manifest";

/// What images are chosen by.
pub struct Selection {
    filters: Vec<Filter>,
    /// When the images that filters name were made.
    times: Vec<(String, i64)>,
    /// The images that containers were made from, where a filter asks.
    used: Vec<crate::base::digest::Digest>,
}

/// One `--filter`, or the argument.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    key: Key,
    /// It must not fit.
    not: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Reference(String),
    Dangling(bool),
    Id(String),
    Digest(String),
    Label(String),
    Before(String),
    Since(String),
    /// Nanoseconds since 1970.
    Until(i64),
    Containers(bool),
    ReadOnly(bool),
    /// What no image here can be: intermediate, a list.
    Never(bool),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |text: String| Fault::new(Kind::Usage, text).hint(format!("the keys are: {KEYS}"));
        let (key, value) = text.split_once('=').ok_or_else(|| wrong(format!("`--filter {text}` is not KEY=VALUE")))?;
        let (key, not) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
        let text = value.to_owned();
        let truth = || match value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(fault(Kind::Usage, format!("`{key}` is neither true nor false but `{value}`"))),
        };
        let key = match key {
            "reference" => Key::Reference(text),
            "dangling" => Key::Dangling(truth()?),
            "id" => Key::Id(text),
            "digest" => Key::Digest(text),
            "label" => Key::Label(text),
            "before" => Key::Before(text),
            "since" | "after" => Key::Since(text),
            "until" => {
                let moment = time::parse_moment(value, chrono::Utc::now())?.timestamp_nanos_opt();
                Key::Until(moment.ok_or_else(|| fault(Kind::Usage, "no image is from such a time"))?)
            }
            "containers" => Key::Containers(truth()?),
            "readonly" => Key::ReadOnly(truth()?),
            "intermediate" | "manifest" => Key::Never(truth()?),
            other => return Err(wrong(format!("`--filter`: there is no filter `{other}`")).into()),
        };
        Ok(Self { key, not })
    }
}

impl Selection {
    /// Read filters and the argument; the engine is not needed for that.
    pub fn parse(filters: &[String], name: Option<&str>) -> Result<Self> {
        let mut filters = filters.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
        filters.extend(name.map(|name| Filter { key: Key::Reference(name.to_owned()), not: false }));
        Ok(Self { filters, times: Vec::new(), used: Vec::new() })
    }

    /// Find out what filters need to know beside the image.
    pub fn look(&mut self, engine: &Engine) -> Result<()> {
        for filter in &self.filters {
            match &filter.key {
                Key::Before(name) | Key::Since(name) => {
                    self.times.push((name.clone(), created(&session::image(engine, name)?)));
                }
                Key::Containers(_) => {
                    let image = |container: &container::Container| container.config.root.image().cloned();
                    self.used = container::all(engine).iter().filter_map(image).collect();
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The same key twice means either, labels and what is not wanted excepted; different keys mean both.
    pub fn fits(&self, image: &Image) -> bool {
        let same = |a: &Filter, b: &Filter| !b.not && std::mem::discriminant(&a.key) == std::mem::discriminant(&b.key);
        self.filters.iter().all(|filter| match &filter.key {
            _ if filter.not => !self.matches(image, &filter.key),
            Key::Label(_) => self.matches(image, &filter.key),
            _ => self.filters.iter().filter(|other| same(filter, other)).any(|f| self.matches(image, &f.key)),
        })
    }

    /// Of an image with several names, only those that were asked for are shown.
    pub fn narrow(&self, image: &mut Image) {
        let asked = |filter: &Filter| match &filter.key {
            Key::Reference(pattern) if !filter.not => Some(pattern.clone()),
            _ => None,
        };
        let asked: Vec<String> = self.filters.iter().filter_map(asked).collect();
        if !asked.is_empty() {
            image.names.retain(|name| asked.iter().any(|pattern| reference_matches(name, pattern)));
        }
    }

    fn matches(&self, image: &Image, key: &Key) -> bool {
        let made = |name: &str| self.times.iter().find(|(known, _)| known == name).map_or(0, |(_, made)| *made);
        match key {
            Key::Reference(pattern) => image.names.iter().any(|name| reference_matches(name, pattern)),
            Key::Dangling(wanted) => image.names.is_empty() == *wanted,
            Key::Id(prefix) => image.id.digits().starts_with(prefix.strip_prefix("sha256:").unwrap_or(prefix)),
            Key::Digest(prefix) => {
                let fits = |digest: &crate::base::digest::Digest| {
                    digest.as_str().starts_with(prefix) || digest.digits().starts_with(prefix)
                };
                fits(&image.manifest.digest) || image.list.as_ref().is_some_and(fits)
            }
            Key::Label(wanted) => has_label(&image.config.labels, wanted),
            Key::Before(name) => created(image) < made(name),
            Key::Since(name) => created(image) > made(name),
            Key::Until(moment) => created(image) < *moment,
            Key::Containers(wanted) => self.used.contains(&image.id) == *wanted,
            Key::ReadOnly(wanted) => image.read_only == *wanted,
            Key::Never(wanted) => !wanted,
        }
    }
}

/// Whether a pattern with `*` and `?` fits a full name, its end after any slash, with or without its tag.
fn reference_matches(name: &str, pattern: &str) -> bool {
    let untagged = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(rest, _)| rest);
    let fits = |full: &str| {
        let ends = full.match_indices('/').filter_map(|(at, _)| full.get(at + 1..));
        std::iter::once(full).chain(ends).any(|end| glob::fits(pattern, end))
    };
    fits(name) || fits(untagged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let name = "docker.io/library/alpine:3.20";
        for (pattern, fits) in [
            ("alpine", true),
            ("alpine:3.20", true),
            ("alpine:*", true),
            ("alp*", true),
            ("*alpine*", true),
            ("library/alpine", true),
            ("docker.io/library/alpine:3.20", true),
            ("docker.io/*/alpine", true),
            ("alpin", false),
            ("pine", false),
            ("alpine:3.2", false),
            ("alpine:3.2?", true),
            ("", false),
        ] {
            assert_eq!(reference_matches(name, pattern), fits, "{pattern}");
        }
    }

    #[test]
    fn filters() {
        let parse = |text: &str| Filter::parse(text).map(|filter| (filter.key, filter.not));
        assert_eq!(parse("dangling=true").unwrap(), (Key::Dangling(true), false));
        assert_eq!(parse("after=x").unwrap(), (Key::Since("x".into()), false));
        assert_eq!(parse("label!=a=b").unwrap(), (Key::Label("a=b".into()), true));
        assert!(
            Filter::parse("nope=x").is_err()
                && Filter::parse("dangling").is_err()
                && Filter::parse("dangling=x").is_err()
        );
    }
}
