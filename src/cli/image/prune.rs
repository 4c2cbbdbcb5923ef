//! `image prune`, and what `system prune` shares with it: filters and the question.

use crate::base::error::{Fault, Kind, fault};
use crate::base::time;
use crate::base::units::human_size;
use crate::cli::args::Globals;
use crate::cli::args::image::Prune;
use crate::cli::output::print_line;
use crate::cli::session;
use crate::container::filter::has_label;
use crate::container::{self, PruneOptions};
use crate::image::Image;
use anyhow::Result;
use std::collections::BTreeMap;

/// `box image prune`.
pub fn prune(args: &Prune, globals: &Globals) -> Result<u8> {
    let args = &args.prune;
    let filters = Filters::parse(&args.filter)?;
    let what = match args.all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    if !args.force
        && !args.dry_run
        && !session::confirm(&format!("WARNING! This command removes {what}.\nAre you sure you want to continue?"))?
    {
        return Ok(0);
    }
    let engine = session::open(globals)?;
    let wanted = |image: &Image| (args.all || image.names.is_empty()) && filters.fit_image(image);
    let options = PruneOptions { images: Some(&wanted), dry_run: args.dry_run, ..PruneOptions::default() };
    let pruned = container::prune(&engine, &options)?;
    for image in &pruned.images {
        print_line(image.id.digits())?;
    }
    if args.dry_run {
        print_line(&format!("Would reclaim: {}", human_size(pruned.freed, 4)))?;
    }
    warn_if_busy(pruned.busy);
    Ok(0)
}

/// Say why less was freed than was to be.
pub fn warn_if_busy(busy: bool) {
    if busy {
        let text = "images are being pulled or made just now: space is freed when that is done";
        crate::cli::errors::warn(&Fault::new(Kind::InUse, text));
    }
}

/// `--filter` of prunes: `until` and labels. All of them must fit.
#[derive(Debug, Default)]
pub struct Filters {
    /// Nanoseconds since 1970.
    until: Option<i64>,
    labels: Vec<(String, bool)>,
}

impl Filters {
    /// Parse what was given.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut filters = Self::default();
        for text in texts {
            let wrong = |text: String| Fault::new(Kind::Usage, text).hint("the keys are: until label label!");
            let (key, value) =
                text.split_once('=').ok_or_else(|| wrong(format!("`--filter {text}` is not KEY=VALUE")))?;
            match key {
                "until" => {
                    let moment = time::parse_moment(value, chrono::Utc::now())?;
                    let nanos = moment.timestamp_nanos_opt().ok_or_else(|| {
                        fault(Kind::Usage, format!("`--filter {text}`: no image is from such a time"))
                    })?;
                    filters.until = Some(nanos);
                }
                "label" => filters.labels.push((value.to_owned(), true)),
                "label!" => filters.labels.push((value.to_owned(), false)),
                other => return Err(wrong(format!("`--filter`: there is no filter `{other}`")).into()),
            }
        }
        Ok(filters)
    }

    /// Whether an image fits.
    pub fn fit_image(&self, image: &Image) -> bool {
        self.fit(session::created(image), &image.config.labels)
    }

    /// Whether something made then (nanoseconds since 1970) with these labels fits.
    pub fn fit(&self, created: i64, labels: &BTreeMap<String, String>) -> bool {
        self.until.is_none_or(|until| created < until)
            && self.labels.iter().all(|(label, wanted)| has_label(labels, label) == *wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let parse = |texts: &[&str]| Filters::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        for (texts, fits) in [
            (&[][..], true),
            (&["label=a"], true),
            (&["label=a=1", "label!=b"], true),
            (&["label!=a"], false),
            (&["label!=a=2"], true),
            (&["until=1970-01-02T00:00:00Z"], true),
            (&["until=0"], false),
            (&["until=24h"], true),
        ] {
            assert_eq!(parse(texts).unwrap().fit(1, &labels), fits, "{texts:?}");
        }
        for text in ["until=soon", "label", "name=x"] {
            assert!(parse(&[text]).is_err(), "{text}");
        }
    }
}
