//! The checks of a Dockerfile as a build asks for them.

use super::event::Excerpt;
use super::request::BuildRequest;
use crate::base::error::{Fault, Kind, kind};
use crate::base::nearest::nearest_of;
use crate::dockerfile::check::{Asked, Warning, check};
use crate::dockerfile::directives::CheckOptions;
use crate::dockerfile::ignore::Patterns;
use crate::dockerfile::scope::Globals;
use crate::dockerfile::{Dockerfile, Instruction, Op, Span};
use crate::oci::platform::Platform;
use anyhow::Result;

/// Lines that are shown around those that are meant.
const AROUND: usize = 2;
/// The build argument that says which checks are made, in place of the file's own `# check=`.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What could be better in a Dockerfile, and whether that is an error (`error=true`). Nothing is known of base images.
///
/// Errors: a build argument that says which checks are made, and cannot be understood.
pub fn lint(
    dockerfile: &Dockerfile,
    request: &BuildRequest,
    ignore: Option<&Patterns>,
) -> Result<(Vec<Warning>, bool)> {
    let given = request.args.iter().cloned().collect();
    let host = Platform::host();
    let platform = request.platforms.first().unwrap_or(&host).clone();
    let options = match request.args.iter().rfind(|(name, _)| name == ARGUMENT) {
        Some((_, text)) => CheckOptions::parse(text).map_err(|mistake| {
            let fault = Fault::new(Kind::Usage, format!("`{ARGUMENT}`: {}", mistake.text));
            anyhow::Error::from(fault.hint("skip=RULE,RULE;error=true"))
        })?,
        None => dockerfile.directives.check.clone().unwrap_or_default(),
    };
    let error = options.error;
    let asked = Asked {
        globals: Globals::new(&host, &platform, request.target.as_deref(), given),
        platform,
        target: request.target.as_deref().and_then(|target| dockerfile.stage_meant(target)),
        ignore,
        base: &|_, _| None,
        options,
    };
    Ok((check(dockerfile, &asked), error))
}

/// Where an image is named: in a `FROM`, or in a `--from`, as it is written.
pub fn mention(dockerfile: &Dockerfile, name: &str) -> Option<Span> {
    let names = |instruction: &&Instruction| match &instruction.op {
        Op::Copy(copy) => copy.from.as_deref() == Some(name),
        Op::Run(run) => run.mounts.iter().any(|mount| mount.from() == Some(name)),
        _ => false,
    };
    dockerfile.stages.iter().find_map(|stage| {
        let own = (stage.base == name).then_some(stage.span);
        own.or_else(|| stage.instructions.iter().find(names).map(|instruction| instruction.span))
    })
}

/// An image that could not be had, where the name of a stage may have been meant.
pub fn no_image(dockerfile: &Dockerfile, name: &str, error: anyhow::Error) -> anyhow::Error {
    let stages = dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref());
    match nearest_of(name, stages.filter(|stage| *stage != name)) {
        Some(near) => {
            let text = format!("there is no stage `{}`, and no image", name.escape_debug());
            Fault::new(kind(&error), text).hint(format!("did you mean the stage `{near}`?")).because(error)
        }
        None => error,
    }
}

/// The lines of a span, with some around them.
pub fn excerpt(dockerfile: &Dockerfile, span: Span) -> Excerpt {
    let (first, last) = (span.line as usize, span.last_line.max(span.line) as usize);
    let line = |number: usize| {
        let text = dockerfile.lines.get(number.checked_sub(1)?)?;
        Some((number, text.clone(), (first..=last).contains(&number)))
    };
    let lines = (first.saturating_sub(AROUND).max(1)..=last + AROUND).filter_map(line).collect();
    Excerpt { file: dockerfile.file.clone(), lines }
}
