//! `commit`: an image of a container.

use super::args::Globals;
use super::args::making::Commit;
use super::output::print_line;
use super::session;
use crate::base::error::{Fault, Kind};
use crate::container::{self, CommitRequest};
use crate::image::ManifestFormat;
use crate::oci::reference::Reference;
use anyhow::{Context, Result};

/// `box commit`: the id on stdout.
pub fn commit(args: &Commit, globals: &Globals) -> Result<u8> {
    let name = args.name.as_deref().map(|name| Reference::parse_with_default(name, "localhost")).transpose()?;
    if let Some(name) = name.as_ref().filter(|name| name.digest.is_some()) {
        return Err(Fault::new(Kind::Usage, format!("cannot name an image `{name}`: a digest cannot be chosen")).into());
    }
    let config = match &args.config {
        None => Default::default(),
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))
            .and_then(|text| container::parse_config(&text))?,
    };
    let engine = session::open(globals)?;
    let container = container::find(&engine, &args.container)?;
    let request = CommitRequest {
        name,
        changes: &args.change,
        author: args.author.as_deref(),
        message: args.message.as_deref(),
        format: match args.format.as_deref() {
            Some("docker") => ManifestFormat::Docker,
            Some(_) => ManifestFormat::Oci,
            None => super::push::configured_format()?.unwrap_or(ManifestFormat::Oci),
        },
        squash: args.squash,
        include_volumes: args.include_volumes,
        config,
        pause: args.pause && !args.no_pause,
    };
    let id = container::commit(&engine, &container, &request)?;
    if let Some(path) = &args.iidfile {
        std::fs::write(path, id.as_str()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    print_line(id.digits())?;
    Ok(0)
}
