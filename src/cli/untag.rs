//! `untag`: takes names away from an image.

use super::args::Globals;
use super::args::image::Untag;
use super::session;
use crate::events;
use crate::image;
use anyhow::Result;

/// `box untag`.
pub fn untag(args: &Untag, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    image::untag(&engine.store, &args.image, &args.names)?;
    events::tell(&engine.dirs, "image", "untag", "", &args.image);
    Ok(0)
}
