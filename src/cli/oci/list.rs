//! `oci list`.

use crate::cli::args::oci::List;
use crate::cli::output::{print, print_line, table};
use crate::runtime::lifecycle::Home;
use anyhow::Result;
use serde_json::Value;

/// `box oci list`.
pub fn list(home: &Home, args: &List) -> Result<()> {
    let containers = home.all()?;
    if args.quiet {
        let ids: String = containers.iter().map(|container| format!("{}\n", container.id)).collect();
        return print(&ids);
    }
    let states: Vec<Value> = containers.iter().map(|container| container.spec_state()).collect();
    if args.format.as_deref() == Some("json") {
        // runc's callers expect a list, also an empty one.
        return print_line(&serde_json::to_string(&states)?);
    }
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned).to_vec()];
    let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.extend(states.iter().map(|state| {
        let keys = ["id", "pid", "status", "bundle", "created", "owner"];
        keys.iter().map(|key| state.get(key).map(cell).unwrap_or_default()).collect()
    }));
    print(&table(&rows))
}
