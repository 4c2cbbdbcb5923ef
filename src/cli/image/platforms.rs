//! `images --tree`: below each image the platforms that it is for, and what of them is stored.

use super::Selection;
use crate::base::digest::Digest;
use crate::base::units::human_size;
use crate::cli::output::{print, table};
use crate::container;
use crate::engine::Engine;
use crate::image::{self, Family, Image, Member};
use anyhow::Result;
use std::collections::HashSet;

/// How many digits of a size docker shows.
const DIGITS: usize = 3;

/// Print the table, in docker's columns; a `U` marks what containers use.
pub fn platforms(engine: &Engine, selection: &Selection, noheading: bool) -> Result<u8> {
    let used: HashSet<Digest> =
        container::all(engine).iter().filter_map(|container| container.config.root.image().cloned()).collect();
    let mut rows = Vec::new();
    if !noheading {
        rows.push(["IMAGE", "IMAGE ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"].map(str::to_owned).to_vec());
    }
    for family in image::families(&engine.store)? {
        let Some(names) = names(&family, selection) else { continue };
        let stored: Vec<&Image> = family.members.iter().filter_map(|member| member.image.as_ref()).collect();
        for name in names {
            rows.push(row(name, &family.digest, engine, &stored, &used));
        }
        for (at, member) in family.members.iter().enumerate() {
            let branch = if at + 1 == family.members.len() { "└─" } else { "├─" };
            rows.push(branch_row(branch, member, engine, &used));
        }
    }
    print(&table(&rows))?;
    Ok(0)
}

/// Its names that were asked for; `None` if it was not.
fn names(family: &Family, selection: &Selection) -> Option<Vec<String>> {
    let mut chosen = family.members.iter().filter_map(|member| {
        let mut image = member.image.clone()?;
        image.names.clone_from(&family.names);
        selection.fits(&image).then(|| {
            selection.narrow(&mut image);
            image.names
        })
    });
    let names = chosen.next()?;
    Some(if names.is_empty() { vec!["<none>".to_owned()] } else { names })
}

fn branch_row(branch: &str, member: &Member, engine: &Engine, used: &HashSet<Digest>) -> Vec<String> {
    let platform = if member.platform.is_empty() { "unknown" } else { &member.platform };
    let stored: Vec<&Image> = member.image.iter().collect();
    row(format!("{branch} {platform}"), &member.digest, engine, &stored, used)
}

fn row(title: String, digest: &Digest, engine: &Engine, stored: &[&Image], used: &HashSet<Digest>) -> Vec<String> {
    // What several have is there once.
    let mut seen = HashSet::new();
    let layers: Vec<_> =
        stored.iter().flat_map(|image| &image.layers).filter(|layer| seen.insert(&layer.diff_id)).collect();
    let packed: u64 = layers.iter().map(|layer| layer.size).sum();
    let unpacked: u64 = layers.iter().filter_map(|layer| engine.store.layer_size(&layer.diff_id)).sum();
    let mark = if stored.iter().any(|image| used.contains(&image.id)) { "U" } else { "" };
    let id = digest.digits().get(..12).unwrap_or_default().to_owned();
    vec![title, id, human_size(packed + unpacked, DIGITS), human_size(packed, DIGITS), mark.to_owned()]
}
