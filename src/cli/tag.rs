//! `tag`: gives an image more names.

use super::args::Globals;
use super::args::images::Tag;
use super::session;
use crate::image;
use anyhow::Result;

/// `box tag`.
pub fn tag(args: &Tag, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    for name in &args.names {
        image::tag(&engine.store, &args.image, name)?;
    }
    Ok(0)
}
