//! `builder` and `buildx`: what is around builds.

mod cache;
mod imagetools;
mod node;

use super::args::Globals;
use super::args::builder::{BuilderVerb, ImagetoolsVerb};
use super::args::tree::Family;
use super::build;
use super::output::print_line;
use anyhow::Result;

/// `box builder …`.
pub fn builder(verb: &BuilderVerb, globals: &Globals) -> Result<u8> {
    match verb {
        BuilderVerb::Build(args) => build::build(args, globals),
        BuilderVerb::Bake(args) => build::bake(args, globals),
        BuilderVerb::Du(args) => cache::du(args, globals),
        BuilderVerb::Prune(args) => cache::prune(args, globals),
        BuilderVerb::Imagetools(Family(ImagetoolsVerb::Inspect(args))) => imagetools::inspect(args),
        BuilderVerb::Imagetools(Family(ImagetoolsVerb::Create(args))) => imagetools::create(args, globals),
        BuilderVerb::Ls(args) => node::ls(args),
        BuilderVerb::Inspect(_) => node::inspect(),
        BuilderVerb::Use(_) => Ok(0),
        BuilderVerb::Version(_) => print_line(concat!("box ", env!("CARGO_PKG_VERSION"))).map(|()| 0),
    }
}
