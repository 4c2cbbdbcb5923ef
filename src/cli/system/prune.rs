//! `system prune`: removes all that is not used.

use crate::base::units::human_size;
use crate::cli::args::Globals;
use crate::cli::args::system::Prune;
use crate::cli::image::{Filters, warn_if_busy};
use crate::cli::output::print;
use crate::cli::session;
use crate::container::{self, Container, PruneOptions};
use crate::image::Image;
use crate::volume::Volume;
use anyhow::Result;
use std::fmt::Write as _;

/// `box system prune`.
pub fn prune(args: &Prune, globals: &Globals) -> Result<u8> {
    let Prune { prune: args, volumes: with_volumes } = args;
    let filters = Filters::parse(&args.filter)?;
    let images = if args.all { "all images without a container" } else { "all dangling images" };
    let volumes = if *with_volumes { "\n\t- all anonymous volumes without a container" } else { "" };
    let warning = format!(
        "WARNING! This command removes:\n\t- all stopped containers\n\t- {images}{volumes}\n\nAre you sure you want to \
         continue?"
    );
    if !args.force && !args.dry_run && !session::confirm(&warning)? {
        return Ok(0);
    }
    let engine = session::open(globals)?;
    let containers = |container: &Container| filters.fit(container.config.created, &container.config.labels);
    let images = |image: &Image| (args.all || image.names.is_empty()) && filters.fit_image(image);
    let volumes =
        |volume: &Volume| volume.record.anonymous && filters.fit(volume.record.created, &volume.record.labels);
    let options = PruneOptions {
        containers: Some(&containers),
        images: Some(&images),
        volumes: with_volumes.then_some(&volumes),
        dry_run: args.dry_run,
    };
    let pruned = container::prune(&engine, &options)?;
    let mut out = String::new();
    let deleted = if args.dry_run { "Would Delete" } else { "Deleted" };
    if !pruned.containers.is_empty() {
        let _ = writeln!(out, "{deleted} Containers");
        out.extend(pruned.containers.iter().map(|id| format!("{id}\n")));
    }
    if !pruned.images.is_empty() {
        let _ = writeln!(out, "{deleted} Images");
        out.extend(pruned.images.iter().map(|image| format!("{}\n", image.id.digits())));
    }
    if !pruned.volumes.is_empty() {
        let _ = writeln!(out, "{deleted} Volumes");
        out.extend(pruned.volumes.iter().map(|name| format!("{name}\n")));
    }
    let total = if args.dry_run { "Would reclaim" } else { "Total reclaimed space" };
    let _ = writeln!(out, "{total}: {}", human_size(pruned.freed, 4));
    print(&out)?;
    warn_if_busy(pruned.busy);
    Ok(0)
}
