//! `system check`: verifies what is stored.

use crate::base::error::{Fault, Kind};
use crate::cli::args::Globals;
use crate::cli::args::system::Check;
use crate::cli::errors::escape;
use crate::cli::output::print_line;
use crate::cli::session;
use crate::container;
use crate::engine::Engine;
use crate::image::{CheckOptions, RemoveOptions};
use crate::volume;
use anyhow::Result;

/// `box system check`: a line for what is wrong, and 125 if anything stays so.
pub fn check(args: &Check, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let options = CheckOptions { quick: args.quick, repair: args.repair };
    let mut left = Vec::new();
    for damage in container::check(&engine, options)? {
        let state = match &damage.repaired {
            Some(Ok(())) => ": repaired".to_owned(),
            Some(Err(why)) => format!(": cannot be repaired: {why}"),
            None => String::new(),
        };
        print_line(&escape(&format!("{} of image {} {}{state}", damage.object, damage.image, damage.what)))?;
        if !matches!(damage.repaired, Some(Ok(()))) {
            left.push(damage.image);
        }
    }
    left.dedup();
    let records = damaged_records(&engine);
    for (what, _) in &records {
        print_line(&escape(what))?;
    }
    if args.force && !left.is_empty() {
        for image in &left {
            container::remove_image(&engine, image, RemoveOptions { force: true, platform: None })?;
            print_line(&escape(&format!("image {image}: removed")))?;
        }
        container::collect_behind(&engine);
        left.clear();
    }
    let Some(first) = left.first() else {
        let Some((what, hint)) = records.first() else { return Ok(0) };
        return Err(Fault::new(Kind::BadData, what.clone()).hint(hint.clone()).into());
    };
    let fault = Fault::new(Kind::BadData, format!("images in the store are damaged: {}", left.len()));
    let hint = if args.repair { format!("box rmi -f {first}") } else { "box system check --repair".to_owned() };
    Err(fault.hint(hint).into())
}

/// Containers and volumes whose record cannot be read, each with what removes it: nobody else knows what was in it.
fn damaged_records(engine: &Engine) -> Vec<(String, String)> {
    let containers = container::all(engine).into_iter().filter(|container| container.config.damaged).map(|container| {
        let id = container.config.id.short().to_owned();
        (format!("the record of container {id} is damaged"), format!("box rm {id}"))
    });
    let volumes = volume::all(&engine.dirs).into_iter().filter(volume::Volume::is_damaged).map(|volume| {
        let name = volume.record.name;
        (format!("the record of volume {name} is damaged"), format!("box volume inspect {name}"))
    });
    containers.chain(volumes).collect()
}
