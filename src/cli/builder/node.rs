//! `builder ls` and `builder inspect`: the one builder that there is.

use crate::cli::args::builder::Ls;
use crate::cli::output::{print, table};
use crate::cli::template::Format;
use crate::oci::platform::Platform;
use anyhow::Result;
use serde_json::json;

/// Processors as binfmt_misc's programs are called, and as images call them.
const EMULATED: [(&str, &str); 11] = [
    ("qemu-aarch64", "linux/arm64"),
    ("qemu-arm", "linux/arm/v7"),
    ("qemu-i386", "linux/386"),
    ("qemu-loongarch64", "linux/loong64"),
    ("qemu-mips64el", "linux/mips64le"),
    ("qemu-ppc64le", "linux/ppc64le"),
    ("qemu-riscv64", "linux/riscv64"),
    ("qemu-s390x", "linux/s390x"),
    ("qemu-x86_64", "linux/amd64"),
    ("qemu-mips64", "linux/mips64"),
    ("qemu-armeb", "linux/armbe"),
];

/// The platforms whose programs run here: the machine's own first.
fn platforms() -> Vec<String> {
    let runs = |(program, _): &&(&str, &str)| {
        let entry = std::fs::read_to_string(format!("/proc/sys/fs/binfmt_misc/{program}"));
        entry.is_ok_and(|entry| entry.starts_with("enabled"))
    };
    let host = Platform::host().to_string();
    let others = EMULATED.iter().filter(|row| row.1 != host).filter(runs).map(|(_, name)| (*name).to_owned());
    [host.clone()].into_iter().chain(others).collect()
}

/// `box builder ls`.
pub fn ls(args: &Ls) -> Result<u8> {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let platforms = platforms().join(", ");
    if let Some(format) = args.format.as_deref() {
        let row = json!({
            "Name": "default", "DriverEndpoint": "box", "Status": "running", "Buildkit": version, "Platforms": platforms,
        });
        print(&Format::parse(format)?.render(&[row], &|field| field.to_uppercase())?)?;
        return Ok(0);
    }
    let row = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    print(&table(&[
        row(["NAME", "DRIVER", "STATUS", "VERSION", "PLATFORMS"]),
        row(["default*", "box", "running", version, &platforms]),
    ]))?;
    Ok(0)
}

/// `box builder inspect`.
pub fn inspect() -> Result<u8> {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    print(&format!(
        "Name:      default\nDriver:    box\nStatus:    running\nVersion:   {version}\nPlatforms: {}\n",
        platforms().join(", ")
    ))?;
    Ok(0)
}
