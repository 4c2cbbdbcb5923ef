//! `version`: prints versions.

use super::args::host::Version;
use super::output::print;
use super::template::Format;
use anyhow::Result;
use serde_json::json;

/// The version of Docker's API whose words box's output has.
const API_VERSION: &str = "1.44";

/// `box version`.
pub fn version(args: &Version) -> Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let Some(format) = &args.format else {
        print(&format!(
            "Client:      box\nVersion:     {version}\nAPI Version: {API_VERSION}\nOS/Arch:     linux/{arch}\n"
        ))?;
        return Ok(0);
    };
    let half = json!({
        "APIVersion": API_VERSION, "Version": version, "Os": "linux", "Arch": arch, "OsArch": format!("linux/{arch}"),
    });
    print(&Format::parse(format)?.render_one(&json!({ "Client": half, "Server": half }))?)?;
    Ok(0)
}
