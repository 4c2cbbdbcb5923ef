//! `oci update`: other limits for a container.

use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use crate::base::units::parse_bytes;
use crate::cli::args::oci::Update;
use crate::runtime::lifecycle::{self, Home};
use anyhow::{Context, Result};
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// A file of limits is never larger than this.
const LIMIT: u64 = 1 << 20;

/// `box oci update`.
pub fn update(home: &Home, args: &Update) -> Result<()> {
    let container = home.find(&args.id)?;
    let resources = match &args.resources {
        Some(path) => read(path)?,
        None => of_flags(args)?,
    };
    let deed = || format!("cannot change the limits of container `{}`", container.id);
    lifecycle::cgroup(&container).with_context(deed)?.set(&resources).with_context(deed)
}

fn read(path: &Path) -> Result<LinuxResources> {
    let bytes = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().take(LIMIT).read_to_end(&mut bytes).context("cannot read the limits from stdin")?;
            bytes
        }
        false => read_limited(path, LIMIT)?,
    };
    let read = crate::oci::bundle::parse_resources(&bytes);
    Ok(read.with_context(|| format!("`{}` holds no limits", path.display()))?.value)
}

/// The limits of the flags: those of one name in config.json.
fn of_flags(args: &Update) -> Result<LinuxResources> {
    let mut memory = json!({});
    for (name, value) in
        [("limit", &args.memory), ("reservation", &args.memory_reservation), ("swap", &args.memory_swap)]
    {
        if let Some(text) = value {
            memory[name] = if text == "-1" { json!(-1) } else { json!(parse_bytes(text)?) };
        }
    }
    let given: [(&str, &str, Value); 6] = [
        ("cpu", "period", json!(args.cpu_period)),
        ("cpu", "quota", json!(args.cpu_quota)),
        ("cpu", "shares", json!(args.cpu_shares)),
        ("cpu", "cpus", json!(args.cpuset_cpus)),
        ("cpu", "mems", json!(args.cpuset_mems)),
        ("blockIO", "weight", json!(args.blkio_weight)),
    ];
    let mut resources = json!({});
    for (section, name, value) in given.into_iter().filter(|(_, _, value)| !value.is_null()) {
        resources[section][name] = value;
    }
    if memory.as_object().is_some_and(|memory| !memory.is_empty()) {
        resources["memory"] = memory;
    }
    if let Some(limit) = args.pids_limit {
        resources["pids"] = json!({ "limit": limit });
    }
    if resources.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(Fault::new(Kind::Usage, "there is no limit to change").hint("box oci update --help").into());
    }
    serde_json::from_value(resources).map_err(|error| fault(Kind::Usage, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::cgroup;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        update: Update,
    }

    fn files(words: &str) -> String {
        let line = Line::parse_from(["update"].into_iter().chain(words.split(' ')));
        match of_flags(&line.update).and_then(|resources| cgroup::settings(&resources)) {
            Ok(settings) => settings.iter().map(|one| format!("{}={} ", one.file, one.value)).collect(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn flags_are_files() {
        assert_eq!(files("c --memory 64m --pids-limit 5"), "memory.max=67108864 pids.max=5 ");
        let unlimited = "memory.max=max memory.swap.max=max pids.max=max ";
        assert_eq!(files("--pids-limit -1 --memory -1 c"), unlimited);
        assert_eq!(files("--cpu-quota 50000 --cpu-period 100000 c"), "cpu.max=50000 100000 ");
        assert_eq!(files("c"), "there is no limit to change");
        assert!(files("--memory soon c").contains("soon"));
    }
}
