//! `system df`: what images, containers and volumes take on the disk.

use crate::base::time;
use crate::base::units::human_size;
use crate::cli::args::Globals;
use crate::cli::args::system::Df;
use crate::cli::images::names;
use crate::cli::output::{print, table};
use crate::cli::ps::status;
use crate::cli::session;
use crate::cli::template::Format;
use crate::container::{self, ContainerUsage, Usage};
use anyhow::Result;
use serde_json::{Value, json};

/// `box system df`.
pub fn df(args: &Df, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let usage = container::usage(&engine)?;
    if args.verbose {
        print(&verbose(&usage))?;
        return Ok(0);
    }
    let lines = lines(&usage);
    let text = match format {
        Some(format) => format.render(&lines.iter().map(Line::fields).collect::<Vec<_>>(), &str::to_uppercase)?,
        None => {
            let headings = ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"].map(str::to_owned).to_vec();
            let row = |line: &Line| {
                let (size, reclaimable) = (human_size(line.size, 4), line.shown_reclaimable());
                vec![line.kind.to_owned(), line.total.to_string(), line.active.to_string(), size, reclaimable]
            };
            table(&std::iter::once(headings).chain(lines.iter().map(row)).collect::<Vec<_>>())
        }
    };
    print(&text)?;
    Ok(0)
}

/// A line of the summary.
struct Line {
    kind: &'static str,
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
}

impl Line {
    fn shown_reclaimable(&self) -> String {
        let percent = self.reclaimable.saturating_mul(100).checked_div(self.size).unwrap_or(0);
        format!("{} ({percent}%)", human_size(self.reclaimable, 4))
    }

    fn fields(&self) -> Value {
        json!({
            "Type": self.kind, "Total": self.total, "Active": self.active, "TotalCount": self.total,
            "RawSize": self.size, "RawReclaimable": self.reclaimable,
            "Size": human_size(self.size, 4), "Reclaimable": self.shown_reclaimable(),
        })
    }
}

fn lines(usage: &Usage) -> Vec<Line> {
    let idle = |container: &&ContainerUsage| !container.is_active();
    let containers = &usage.containers;
    let active = || containers.iter().filter(|container| container.is_active());
    vec![
        Line {
            kind: "Images",
            total: usage.images.len(),
            active: usage.images.iter().filter(|image| image.containers > 0).count(),
            size: usage.images_size,
            reclaimable: usage.images_reclaimable,
        },
        Line {
            kind: "Containers",
            total: containers.len(),
            active: active().count(),
            size: containers.iter().map(|container| container.size).sum(),
            reclaimable: containers.iter().filter(idle).map(|container| container.size).sum(),
        },
        Line {
            kind: "Local Volumes",
            total: usage.volumes.len(),
            active: usage.volumes.iter().filter(|volume| volume.links > 0).count(),
            size: usage.volumes.iter().map(|volume| volume.size).sum(),
            reclaimable: usage.volumes.iter().filter(|volume| volume.links == 0).map(|volume| volume.size).sum(),
        },
        Line {
            kind: "Leftovers",
            total: usage.partial_blobs,
            active: 0,
            size: usage.leftovers,
            reclaimable: usage.leftovers,
        },
    ]
}

/// Each image, container and volume, as podman shows them.
fn verbose(usage: &Usage) -> String {
    let now = time::now();
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let size = |bytes| human_size(bytes, 4);
    let mut images =
        vec![row(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"])];
    for used in &usage.images {
        let digits = used.image.id.digits();
        for (repository, tag) in names(&used.image) {
            images.push(vec![
                repository,
                tag,
                digits.get(..12).unwrap_or(digits).to_owned(),
                time::ago(session::created(&used.image), now),
                size(used.size),
                size(used.shared),
                size(used.size - used.shared),
                used.containers.to_string(),
            ]);
        }
    }
    let mut containers =
        vec![row(&["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"])];
    let mut volumes = vec![row(&["VOLUME NAME", "LINKS", "SIZE"])];
    for used in &usage.containers {
        let config = &used.row.container.config;
        containers.push(vec![
            config.id.short().to_owned(),
            config.image_name(),
            config.args.join(" "),
            config.mounts.iter().filter(|mount| mount.volume().is_some()).count().to_string(),
            size(used.size),
            time::ago(config.created, now),
            status(&used.row, now),
            config.name.clone(),
        ]);
    }
    for used in &usage.volumes {
        volumes.push(vec![used.volume.record.name.clone(), used.links.to_string(), size(used.size)]);
    }
    format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}",
        table(&images),
        table(&containers),
        table(&volumes)
    )
}
