//! `image tree`: the layers of an image, each with the names of the images that end there.

use crate::base::units::human_size;
use crate::cli::args::Globals;
use crate::cli::args::image::Tree;
use crate::cli::errors::escape;
use crate::cli::output::print;
use crate::cli::session;
use crate::image::{self, Image, ImageLayer};
use crate::store::Store;
use anyhow::Result;
use std::fmt::Write as _;

/// `box image tree`.
pub fn tree(args: &Tree, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let image = session::image(&engine, &args.image)?;
    let all = image::list(&engine.store)?;
    let digits = image.id.digits();
    let mut out = format!("Image ID: {}\n", digits.get(..12).unwrap_or(digits));
    let _ = writeln!(out, "Tags:     [{}]", escape(&image.repo_tags().join(" ")));
    let _ = writeln!(out, "Size:     {}", human_size(image.size(&engine.store), 4));
    match image.layers.as_slice() {
        [] => out.push_str("No Image Layers\n"),
        _ => out.push_str("Image Layers\n"),
    }
    if args.whatrequires {
        let above: Vec<&Image> = all.iter().filter(|other| other.layers.starts_with(&image.layers)).collect();
        branch(&engine.store, &above, image.layers.len().saturating_sub(1), "", &mut out);
    } else {
        for (at, layer) in image.layers.iter().enumerate() {
            let below = image.layers.get(..=at).unwrap_or_default();
            let here = all.iter().filter(|other| other.layers == below);
            line(&engine.store, layer, here, "", at + 1 == image.layers.len(), &mut out);
        }
    }
    print(&out)?;
    Ok(0)
}

/// A layer and the images whose last it is.
fn line<'a>(
    store: &Store,
    layer: &ImageLayer,
    ends: impl Iterator<Item = &'a Image>,
    indent: &str,
    last: bool,
    out: &mut String,
) {
    let digits = layer.diff_id.digits();
    let size = human_size(store.layer_size(&layer.diff_id).unwrap_or(0), 4);
    let id = digits.get(..12).unwrap_or(digits);
    let _ = write!(out, "{indent}{} ID: {id} Size: {size:>6}", if last { "└──" } else { "├──" });
    let names: Vec<String> = ends.flat_map(Image::repo_tags).collect();
    if !names.is_empty() {
        let _ = write!(out, " Top Layer of: [{}]", escape(&names.join(" ")));
    }
    out.push('\n');
}

/// The layers at `depth` of these images, which are the same below it, and what stands on each.
fn branch(store: &Store, images: &[&Image], depth: usize, indent: &str, out: &mut String) {
    let mut layers: Vec<&ImageLayer> = Vec::new();
    for layer in images.iter().filter_map(|image| image.layers.get(depth)) {
        if !layers.contains(&layer) {
            layers.push(layer);
        }
    }
    for (at, layer) in layers.iter().enumerate() {
        let last = at + 1 == layers.len();
        let on_it: Vec<&Image> =
            images.iter().copied().filter(|image| image.layers.get(depth) == Some(layer)).collect();
        let ends = on_it.iter().copied().filter(|image| image.layers.len() == depth + 1);
        line(store, layer, ends, indent, last, out);
        branch(store, &on_it, depth + 1, &format!("{indent}{}", if last { "    " } else { "│   " }), out);
    }
}
