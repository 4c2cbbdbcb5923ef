//! `pull`: fetches images; their ids go to stdout.

use super::access::access;
use super::args::Globals;
use super::args::images::Pull;
use super::output::print_line;
use super::progress::Shown;
use super::{errors, request, session};
use crate::base::error::{Fault, Kind, kind};
use crate::container;
use crate::container::request::PullPolicy;
use crate::engine::Engine;
use crate::image::{self, Image, Progress, PullOptions};
use anyhow::Result;

/// `box pull`: the id of each image on stdout.
pub fn pull(args: &Pull, globals: &Globals) -> Result<u8> {
    let platform = args.platform.chosen()?;
    let policy = args.policy.as_deref().map_or(PullPolicy::Always, request::pull_policy);
    let access = access(&args.access, Some(&args.retry))?;
    let engine = session::open(globals)?;
    let progress = Shown::new(args.quiet);
    let mut failures = Vec::new();
    for reference in &args.images {
        let options = |reference| PullOptions { reference, platform: platform.clone(), access: &access };
        let names = match args.all_tags {
            true => all_tags(&options(reference)),
            false => Ok(vec![reference.clone()]),
        };
        let names = names.unwrap_or_else(|error| {
            errors::report(&error);
            failures.push(kind(&error));
            Vec::new()
        });
        for name in &names {
            let result = one(&engine, &options(name), policy, &progress);
            if result.is_err() {
                progress.make_room();
            }
            match result {
                Ok(image) => {
                    progress.message(&format!("Digest: {}", image.manifest.digest));
                    print_line(image.id.digits())?;
                }
                Err(error) if matches!(kind(&error), Kind::Interrupted(_)) => return Err(error),
                Err(error) => {
                    errors::report(&error);
                    failures.push(kind(&error));
                }
            }
        }
    }
    Ok(session::code(&failures))
}

/// The names of all tags. Asked for in the same process, which has one thread again when the answer is there.
fn all_tags(options: &PullOptions<'_>) -> Result<Vec<String>> {
    let (repository, tags) = image::remote_tags(options)?;
    if tags.is_empty() {
        return Err(Fault::new(Kind::NotFound, format!("`{repository}` has no tags")).into());
    }
    Ok(tags.iter().map(|tag| format!("{repository}:{tag}")).collect())
}

/// Pull an image if the policy says so.
fn one(engine: &Engine, options: &PullOptions<'_>, policy: PullPolicy, progress: &Shown) -> Result<Image> {
    if policy == PullPolicy::Always {
        return container::pull(engine, options, progress);
    }
    let Some(image) = image::find_for(&engine.store, options.reference, options.platform.as_ref())? else {
        if policy == PullPolicy::Never {
            let text = format!("no such image `{}`, and `--policy never` forbids to pull it", options.reference);
            return Err(Fault::new(Kind::NotFound, text).hint(format!("box pull {}", options.reference)).into());
        }
        return container::pull(engine, options, progress);
    };
    match policy {
        // A registry that cannot be asked leaves what is there, as with `run`.
        PullPolicy::Newer => container::pull(engine, options, progress).or(Ok(image)),
        _ => Ok(image),
    }
}
