//! Verbs below `box system`.

mod check;
mod df;
mod migrate;
mod prune;
mod reset;

use super::args::Globals;
use super::args::system::SystemVerb;
use anyhow::Result;

/// `box system …`.
pub fn system(verb: &SystemVerb, globals: &Globals) -> Result<u8> {
    match verb {
        SystemVerb::Check(args) => check::check(args, globals),
        SystemVerb::Df(args) => df::df(args, globals),
        SystemVerb::Migrate(_) => migrate::migrate(globals),
        SystemVerb::Prune(args) => prune::prune(args, globals),
        SystemVerb::Reset(args) => reset::reset(args, globals),
        SystemVerb::Boot(verb) => super::boot::boot(verb, globals),
        SystemVerb::Events(args) => super::events::events(args, globals),
        SystemVerb::Info(args) => super::info::info(args, globals),
    }
}
