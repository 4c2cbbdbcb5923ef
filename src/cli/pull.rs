//! `pull`: fetches images; their ids go to stdout.

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
use crate::oci::platform::Platform;
use anyhow::Result;

/// `box pull`: the id of each image on stdout.
pub fn pull(args: &Pull, globals: &Globals) -> Result<u8> {
    let platform = args.platform.as_deref().map(Platform::parse).transpose()?;
    let policy = args.policy.as_deref().map_or(PullPolicy::Always, request::pull_policy);
    let engine = session::open(globals)?;
    let progress = Shown::new(args.quiet);
    let mut failures = Vec::new();
    for reference in &args.images {
        let options = PullOptions {
            reference,
            tls_verify: args.tls_verify,
            platform: platform.clone(),
            authfile: args.authfile.as_deref(),
        };
        let result = one(&engine, &options, policy, &progress);
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
    Ok(session::code(&failures))
}

/// Pull an image if the policy says so.
fn one(engine: &Engine, options: &PullOptions<'_>, policy: PullPolicy, progress: &Shown) -> Result<Image> {
    if policy == PullPolicy::Always {
        return container::pull(engine, options, progress);
    }
    let Some(image) = image::find(&engine.store, options.reference)? else {
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
