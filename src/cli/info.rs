//! `info`: what this host offers and box uses.

use super::args::Globals;
use super::args::host::Info;
use super::output::print;
use super::template::Format;
use super::{defaults, session, unused};
use crate::config::containers::Containers;
use crate::config::storage::{Setting, Storage};
use crate::container::{self, Status, Summary};
use crate::engine::Engine;
use crate::image;
use crate::rootless::Ids;
use crate::runtime::capabilities;
use crate::runtime::cgroup::{self, Why};
use crate::store::driver::Driver;
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// `box info`: YAML; with `--format` the keys are Go's names, as podman's templates have them.
pub fn info(args: &Info, globals: &Globals) -> Result<u8> {
    if args.config {
        return configured();
    }
    let engine = session::open(globals)?;
    let facts = facts(&engine)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    match &format {
        Some(format) if format.is_json() => super::output::print_json(&as_written(&facts))?,
        Some(format) => print(&format.render_one(&facts)?)?,
        None => print(&serde_yaml::to_string(&as_written(&facts))?)?,
    }
    Ok(0)
}

/// `--config`: each key of containers.conf and storage.conf, whether box goes by it, and where it is from.
fn configured() -> Result<u8> {
    let conf = Containers::load()?;
    let mut rows = vec![["KEY", "VALUE", "USED", "FILE"].map(str::to_owned).to_vec()];
    for (key, setting) in conf.settings() {
        let value = conf.words(key).map_or_else(|_| setting.value_text(), |words| words.join(" "));
        let files = setting.files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        rows.push(vec![key.to_owned(), value, used(key), files.join(", ")]);
    }
    let storage = Storage::load()?;
    for Setting { key, value, used } in storage.settings() {
        let used = if *used { "yes" } else { "no" };
        rows.push(vec![key.clone(), value.clone(), used.to_owned(), shown(storage.file.as_deref())]);
    }
    print(&super::output::table(&rows))?;
    Ok(0)
}

/// Whether box goes by a key of containers.conf, and if not, why.
fn used(key: &str) -> String {
    if defaults::is_used(key) {
        return "yes".to_owned();
    }
    format!("no: {}", unused::why(key).unwrap_or("there is no such key"))
}

fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

fn facts(engine: &Engine) -> Result<Value> {
    let ids = engine.ids()?.clone();
    let driver = match engine.driver()? {
        Driver::Overlay => "overlay",
        Driver::FuseOverlayfs => "fuse-overlayfs",
        Driver::Copy => "copy",
    };
    let list = container::list(engine);
    let is_paused = |row: &&Summary| matches!(&row.status, Status::Running(run) if run.paused);
    let paused = list.iter().filter(is_paused).count();
    let running = list.iter().filter(|row| matches!(row.status, Status::Running(_))).count() - paused;
    let images = image::list(&engine.store)?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(json!({
        "Host": host(engine, &ids),
        "Store": {
            "AdditionalImageStores": engine.store.additional().map(|path| shown(Some(path))).collect::<Vec<_>>(),
            "ConfigFile": shown(engine.storage.file.as_deref()),
            "ContainerStore": { "Number": list.len(), "Paused": paused, "Running": running, "Stopped": list.len() - running - paused },
            "GraphDriverName": driver,
            "GraphRoot": engine.dirs.data.display().to_string(),
            "ImageStore": { "Number": images.len() },
            "RunRoot": engine.dirs.run.display().to_string(),
        },
        "Version": { "APIVersion": "1.44", "Version": version, "OsArch": format!("linux/{}", arch()) },
    }))
}

fn arch() -> &'static str {
    if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
}

fn host(engine: &Engine, ids: &Ids) -> Value {
    let memory = meminfo();
    let kib = |name: &str| memory.iter().find(|(key, _)| key == name).map_or(0, |(_, kib)| kib * 1024);
    let uname = rustix::system::uname();
    let (uid, gid) = engine.caller();
    let cgroups = cgroup::driver(uid);
    let version = if cgroups == cgroup::Driver::None(Why::OldVersion) { "v1" } else { "v2" };
    let rootless = !matches!(ids, Ids::Root);
    json!({
        "Arch": arch(),
        "CgroupControllers": cgroups.controllers(),
        "CgroupManager": cgroups.word(),
        "CgroupsVersion": version,
        "CPUs": std::thread::available_parallelism().map_or(1, usize::from),
        "Distribution": distribution(),
        "Hostname": uname.nodename().to_string_lossy(),
        "IDMappings": { "Range": match ids {
            Ids::Root => "all ids of the host".to_owned(),
            Ids::Full => "your own id and your subordinate ids".to_owned(),
            Ids::Single(reason) => format!("your own id only: {reason}"),
        }, "UID": uid, "GID": gid },
        "Kernel": uname.release().to_string_lossy(),
        "LogDriver": "k8s-file",
        "MemFree": kib("MemFree"),
        "MemTotal": kib("MemTotal"),
        "NetworkBackend": "slirp4netns",
        "OCIRuntime": { "Name": "box", "Version": env!("CARGO_PKG_VERSION") },
        "OS": "linux",
        "RemoteSocket": { "Path": "", "Exists": false },
        "RootlessNetworkCmd": "slirp4netns",
        "Security": {
            "AppArmorEnabled": false,
            "DefaultCapabilities": capabilities::DEFAULT.map(|name| format!("CAP_{name}")).join(","),
            "Rootless": rootless,
            "SECCOMPEnabled": true,
            "SELinuxEnabled": false,
        },
        "Programs": programs(),
        "ServiceIsRemote": false,
        "SwapFree": kib("SwapFree"),
        "SwapTotal": kib("SwapTotal"),
    })
}

/// The programs that box calls, and where they are.
fn programs() -> Value {
    let mut found = Map::new();
    for (key, name) in [
        ("Newuidmap", "newuidmap"),
        ("Newgidmap", "newgidmap"),
        ("Slirp4netns", "slirp4netns"),
        ("FuseOverlayfs", "fuse-overlayfs"),
    ] {
        let path = find_program(name).map(|path| path.display().to_string()).unwrap_or_default();
        found.insert(key.to_owned(), path.into());
    }
    Value::Object(found)
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = crate::base::env::path()?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// `/proc/meminfo` in kibibytes.
fn meminfo() -> Vec<(String, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = |line: &str| {
        let (key, rest) = line.split_once(':')?;
        Some((key.to_owned(), rest.split_whitespace().next()?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// `/etc/os-release` (os-release(5)).
fn distribution() -> Value {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    json!({ "Distribution": value("ID"), "Version": value("VERSION_ID"), "Codename": value("VERSION_CODENAME") })
}

/// The keys as podman writes them: Go's names with small beginnings, but for what the version section has below it.
fn as_written(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("APIVersion") => value.clone(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (written(key), as_written(value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(as_written).collect()),
        other => other.clone(),
    }
}

fn written(key: &str) -> String {
    match key {
        "CPUs" => "cpus".to_owned(),
        "IDMappings" => "idMappings".to_owned(),
        "OCIRuntime" => "ociRuntime".to_owned(),
        "OS" => "os".to_owned(),
        "UID" => "uid".to_owned(),
        "GID" => "gid".to_owned(),
        "DefaultCapabilities" => "capabilities".to_owned(),
        "SECCOMPEnabled" => "seccompEnabled".to_owned(),
        "SELinuxEnabled" => "selinuxEnabled".to_owned(),
        "CgroupsVersion" => "cgroupVersion".to_owned(),
        other => {
            let mut chars = other.chars();
            chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_podman_writes_them() {
        for (name, key) in [
            ("Host", "host"),
            ("GraphDriverName", "graphDriverName"),
            ("OCIRuntime", "ociRuntime"),
            ("CPUs", "cpus"),
            ("Rootless", "rootless"),
            ("CgroupsVersion", "cgroupVersion"),
        ] {
            assert_eq!(written(name), key);
        }
    }
}
