//! `build` and its family: from words to a request, how a build is shown, and what is told of its result.

mod bake;
mod call;
mod options;
mod progress;
mod request;

use super::args::Globals;
use super::args::build::Build;
use super::output::{pretty_json, print_line};
use super::session;
use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use crate::build::{self, BuildRequest, Built, Output};
use crate::oci::reference::Reference;
use crate::sys::tty;
use anyhow::{Context, Result};
pub use bake::bake;
use call::Call;
use progress::{Mode, Shown};
use serde_json::{Map, Value, json};
use std::os::fd::AsFd;

/// `box build`: the id on stdout.
pub fn build(args: &Build, globals: &Globals) -> Result<u8> {
    let request = request::of_build(args)?;
    check_stdout(&request)?;
    if args.iidfile.is_some() && request.platforms.len() > 1 {
        return Err(fault(Kind::Usage, "`--iidfile` holds one id, and there is one for each platform"));
    }
    let engine = session::open(globals)?;
    let (method, json) =
        if args.check { (Call::Check, false) } else { Call::parse(args.call.as_deref().unwrap_or("build"))? };
    if method != Call::Build {
        return call::call(&engine, &request, method, json);
    }
    if request.outputs.iter().any(|output| matches!(output, Output::Image { push: true, .. })) {
        // Credential helpers are the user's programs: they run before this process is another user.
        let repositories: Vec<String> = request.tags.iter().map(Reference::repository).collect();
        request.access.ask_helpers(repositories.iter().map(String::as_str))?;
    }
    request.access.ask_helpers(build::shared::repositories(&request)?.iter().map(String::as_str))?;
    let mut shown = Shown::new(mode(args)?)?;
    let result = build::build(&engine, &request, &mut shown);
    shown.end(result.is_ok());
    let built = result?;
    if let Some(path) = &args.iidfile {
        let id = built.images.first().map(|image| image.id.to_string()).unwrap_or_default();
        std::fs::write(path, id).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if let Some(path) = &args.metadata_file {
        let text = pretty_json(&metadata(&built))?;
        std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    // Where the result itself goes to stdout, nothing else may.
    if !to_stdout(&request) {
        for image in &built.images {
            print_line(image.id.digits())?;
        }
    }
    Ok(0)
}

/// `-q`, `--progress`, `$BUILDKIT_PROGRESS`.
fn mode(args: &Build) -> Result<Mode> {
    match (args.quiet, &args.progress) {
        (true, _) => Ok(Mode::Quiet),
        (false, Some(text)) => Mode::parse(text),
        (false, None) => Mode::parse(&env::buildkit_progress().unwrap_or_default()),
    }
}

fn to_stdout(request: &BuildRequest) -> bool {
    let stdout =
        |output: &Output| matches!(output, Output::Tar(None) | Output::Docker(None) | Output::Oci { path: None, .. });
    request.outputs.iter().any(stdout)
}

fn check_stdout(request: &BuildRequest) -> Result<()> {
    if to_stdout(request) && tty::is_terminal(std::io::stdout().as_fd()) {
        let fault = Fault::new(Kind::Usage, "an archive is not written to a terminal");
        return Err(fault.hint("box build -o - . > FILE, or -o type=tar,dest=FILE").into());
    }
    Ok(())
}

/// What `--metadata-file` says, in buildx's words (<https://docs.docker.com/reference/cli/docker/buildx/build/#metadata-file>).
fn metadata(built: &Built) -> Value {
    let mut all = Map::new();
    if let Some(image) = built.images.first() {
        let (digest, size, kind) = match &built.list {
            Some(list) => (list, None, oci_spec::image::MediaType::ImageIndex),
            None => (&image.manifest, Some(image.size), oci_spec::image::MediaType::ImageManifest),
        };
        all.insert("containerimage.config.digest".into(), image.id.as_str().into());
        let mut descriptor = json!({ "mediaType": kind.to_string(), "digest": digest.as_str() });
        if let (Some(size), Some(descriptor)) = (size, descriptor.as_object_mut()) {
            descriptor.insert("size".into(), size.into());
        }
        all.insert("containerimage.descriptor".into(), descriptor);
        // Layers that are packed for a registry change the manifest.
        let digest = built.sent.first().map_or(digest, |(_, digest)| digest);
        all.insert("containerimage.digest".into(), digest.as_str().into());
    }
    if !built.names.is_empty() {
        all.insert("image.name".into(), built.names.join(",").into());
    }
    all.into()
}
