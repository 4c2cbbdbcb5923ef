//! `history`: how an image was made.

use super::args::Globals;
use super::args::image::History;
use super::output::{print, table};
use super::session;
use super::template::Format;
use crate::base::{time, units};
use crate::image::{self, Image, Step};
use anyhow::Result;
use serde_json::{Value, json};

/// How much of a command the table shows, as podman's does.
const COMMAND_WIDTH: usize = 45;
/// The id of steps that are no image of their own.
const MISSING: &str = "<missing>";

/// `box history`.
pub fn history(args: &History, globals: &Globals) -> Result<u8> {
    let engine = session::open(globals)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let image = session::image_for(&engine, &args.image, args.platform.as_deref())?;
    let steps = image::history(&engine.store, &image);
    let rows: Vec<Row> = steps.iter().enumerate().map(|(at, step)| Row::new(&image, step, at == 0, args)).collect();
    let text = match &format {
        None if args.quiet => rows.iter().map(|row| format!("{}\n", row.id)).collect(),
        None => {
            let headings = ["ID", "CREATED", "CREATED BY", "SIZE", "COMMENT"].map(str::to_owned).to_vec();
            let line = |row: &Row| {
                [&row.id, &row.created, &row.created_by, &row.size, &row.step.comment].map(String::clone).to_vec()
            };
            table(&std::iter::once(headings).chain(rows.iter().map(line)).collect::<Vec<_>>())
        }
        Some(format) if format.is_json() => {
            format.render(&rows.iter().map(|row| row.as_json(&image)).collect::<Vec<_>>(), &heading)?
        }
        Some(format) => format.render(&rows.iter().map(|row| row.fields(&image)).collect::<Vec<_>>(), &heading)?,
    };
    print(&text)?;
    Ok(0)
}

fn heading(field: &str) -> String {
    match field {
        "CreatedBy" => "CREATED BY".to_owned(),
        "CreatedSince" | "CreatedAt" => "CREATED".to_owned(),
        other => other.to_uppercase(),
    }
}

/// A step as it is shown.
struct Row<'a> {
    step: &'a Step,
    is_top: bool,
    id: String,
    /// Nanoseconds since 1970; 0 where it is not told.
    moment: i64,
    created: String,
    created_by: String,
    size: String,
}

impl<'a> Row<'a> {
    fn new(image: &Image, step: &'a Step, is_top: bool, args: &History) -> Self {
        let digits = image.id.digits();
        let id = if args.no_trunc { digits } else { digits.get(..12).unwrap_or(digits) };
        let moment = step.created.as_deref().and_then(time::parse_rfc3339).unwrap_or(0);
        let command = step.created_by.replace(['\t', '\n'], " ");
        let cut = !args.no_trunc && command.chars().count() > COMMAND_WIDTH;
        Self {
            step,
            is_top,
            id: if is_top { id.to_owned() } else { MISSING.to_owned() },
            moment,
            created: match args.human {
                true => time::ago(moment, time::now()),
                false => step.created.clone().unwrap_or_default(),
            },
            created_by: match cut {
                true => command.chars().take(COMMAND_WIDTH - 3).chain("...".chars()).collect(),
                false => command,
            },
            size: if args.human { units::human_size(step.size, 3) } else { step.size.to_string() },
        }
    }

    fn tags(&self, image: &Image) -> Vec<String> {
        if self.is_top { image.repo_tags() } else { Vec::new() }
    }

    fn as_json(&self, image: &Image) -> Value {
        json!({
            "id": if self.is_top { image.id.digits() } else { MISSING },
            "created": self.step.created.clone().unwrap_or_default(),
            "CreatedBy": self.step.created_by,
            "tags": self.tags(image),
            "size": self.step.size,
            "comment": self.step.comment,
        })
    }

    fn fields(&self, image: &Image) -> Value {
        json!({
            "ID": self.id, "Created": self.created, "CreatedSince": time::ago(self.moment, time::now()),
            "CreatedAt": self.step.created.clone().unwrap_or_default(), "CreatedBy": self.created_by,
            "Size": self.size, "Comment": self.step.comment, "Tags": self.tags(image),
        })
    }
}
