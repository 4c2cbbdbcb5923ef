//! `volume create`.

use crate::base::error::{Fault, Kind, kind};
use crate::cli::args::Globals;
use crate::cli::args::volumes::Create;
use crate::cli::output::print_line;
use crate::cli::session;
use crate::volume::{self, New};
use anyhow::Result;
use std::collections::BTreeMap;

/// `box volume create`.
pub fn create(args: Create, globals: &Globals) -> Result<u8> {
    let new = New {
        name: args.name.clone(),
        driver: args.driver.unwrap_or_default(),
        options: pairs("--opt", &args.opt)?,
        labels: pairs("--label", &args.label)?,
        anonymous: false,
        owner: (args.uid, args.gid),
    };
    let engine = session::open(globals)?;
    // Giving a folder to another id is for root in the user's namespace.
    engine.enter()?;
    match volume::create(&engine.dirs, new) {
        Ok(volume) => print_line(&volume.record.name)?,
        Err(error) if args.ignore && kind(&error) == Kind::NameInUse => {
            print_line(args.name.as_deref().unwrap_or_default())?;
        }
        Err(error) => return Err(error),
    }
    Ok(0)
}

/// `KEY=VALUE`s; a value may be missing.
pub fn pairs(flag: &str, words: &[String]) -> Result<BTreeMap<String, String>> {
    let split = |word: &String| match word.split_once('=').unwrap_or((word, "")) {
        ("", _) => {
            let text = format!("`{flag} {}` has no key before the equals sign", word.escape_debug());
            Err(Fault::new(Kind::Usage, text).hint(format!("{flag} KEY=VALUE")).into())
        }
        (key, value) => Ok((key.to_owned(), value.to_owned())),
    };
    words.iter().map(split).collect()
}
