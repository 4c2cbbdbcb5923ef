//! `tag`: gives an image more names.

use super::args::Globals;
use super::args::images::Tag;
use super::session;
use crate::events::{self, Event};
use crate::image;
use anyhow::Result;

/// `box tag`.
pub fn tag(args: &Tag, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    for name in &args.names {
        image::tag(&engine.store, &args.image, name)?;
        events::record(&engine.dirs, &[Event::new("image", "tag", "", name)]);
    }
    Ok(0)
}
