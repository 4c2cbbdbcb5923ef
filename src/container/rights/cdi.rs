//! Devices by name, `vendor.com/class=name`: what has to be done for them is in files that their vendors install.
//!
//! The Container Device Interface 1.0: <https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md>. A
//! file in a later folder replaces what an earlier folder says of a device; two of one folder contradict each other.

use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use crate::base::fs::read_limited;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file is never larger than this.
const LIMIT: u64 = 16 << 20;

/// What a device needs in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Edits {
    /// Variables, `K=V`.
    pub env: Vec<String>,
    /// Device nodes.
    pub device_nodes: Vec<DeviceNode>,
    /// Bind mounts and others.
    pub mounts: Vec<Mount>,
    /// Programs of the host to run, for the runtime.
    pub hooks: Vec<Hook>,
    /// Further groups.
    pub additional_gids: Vec<u32>,
    /// For root and Intel's resource director only: refused.
    pub intel_rdt: Option<serde_json::Value>,
    /// Network interfaces to move: refused.
    pub net_devices: Vec<serde_json::Value>,
}

/// A device node; numbers and modes are those of the host's node, which is bound.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceNode {
    /// Where it is in the container.
    pub path: PathBuf,
    /// Where on the host, if elsewhere.
    pub host_path: Option<PathBuf>,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// The source.
    pub host_path: String,
    /// The target.
    pub container_path: PathBuf,
    /// As a runtime specification has them.
    #[serde(default)]
    pub options: Vec<String>,
    /// The file system; a bind if not given.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// A hook of a runtime specification, with its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// `prestart`, `createRuntime`, …
    pub hook_name: String,
    /// The program.
    pub path: PathBuf,
    /// Its words, the first its name.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its environment.
    #[serde(default)]
    pub env: Vec<String>,
    /// Seconds.
    pub timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    cdi_version: String,
    kind: String,
    #[serde(default)]
    devices: Vec<Device>,
    #[serde(default)]
    container_edits: Edits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// Whether `--device` means a name and not a path.
pub fn is_name(text: &str) -> bool {
    let Some((kind, name)) = text.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let letters = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    begins(vendor)
        && letters(vendor, "_-.")
        && begins(class)
        && letters(class, "_-")
        && begins(name)
        && letters(name, "_-.:")
}

/// The names that `--gpus` means: `all`, a number, or `device=…` with commas between; quotes as docker's examples have.
pub fn gpus(text: &str) -> Result<Vec<String>> {
    let wrong = || {
        Fault::new(Kind::Usage, format!("`--gpus {}` is not understood", text.escape_debug()))
            .hint("--gpus all, --gpus 2, or --gpus device=0,1")
    };
    let named = |name: &str| format!("nvidia.com/gpu={name}");
    let text = text.trim_matches('"');
    if text == "all" || text == "-1" {
        return Ok(vec![named("all")]);
    }
    if let Ok(count) = text.parse::<u32>() {
        return Ok((0..count.min(1024)).map(|number| named(&number.to_string())).collect());
    }
    let list = text.strip_prefix("device=").ok_or_else(wrong)?;
    let names: Vec<String> = list.split(',').map(named).collect();
    if names.iter().all(|name| is_name(name)) { Ok(names) } else { Err(wrong().into()) }
}

/// The folders that are searched, the last one first in rank.
pub fn folders() -> Vec<PathBuf> {
    let system = ["/etc/cdi", "/var/run/cdi"].map(PathBuf::from);
    let own = env::xdg_config_home().or_else(|| dirs::home_dir().map(|home| home.join(".config")));
    system.into_iter().chain(own.map(|folder| folder.join("cdi"))).collect()
}

/// What the named devices need, in order; of each kind its common part once.
pub fn find(names: &[String], folders: &[PathBuf]) -> Result<Vec<Edits>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let known = read_all(folders)?;
    let mut all = Vec::new();
    let mut seen: Vec<&Path> = Vec::new();
    for name in names {
        let (path, common, own) = known.get(name).ok_or_else(|| unknown(name, &known, folders))?;
        if !seen.contains(&path.as_path()) {
            seen.push(path);
            all.push(common.clone());
        }
        all.push(own.clone());
    }
    for edits in &all {
        if edits.intel_rdt.is_some() || !edits.net_devices.is_empty() {
            let text = format!(
                "device `{}` needs intelRdt or netDevices, which an ordinary user cannot have",
                names.join("`, `")
            );
            return Err(fault(Kind::Host, text));
        }
    }
    Ok(all)
}

/// A device by name: the file, what all of its kind need, what it needs itself.
type Known = BTreeMap<String, (PathBuf, Edits, Edits)>;

fn unknown(name: &str, known: &Known, folders: &[PathBuf]) -> anyhow::Error {
    let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let fault =
        Fault::new(Kind::Usage, format!("there is no device `{}` in {}", name.escape_debug(), places.join(", ")));
    let nvidia = |name: &str| name.starts_with("nvidia.com/");
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    match names.is_empty() {
        _ if nvidia(name) && !names.iter().any(|name| nvidia(name)) => {
            fault.hint("nvidia-ctk cdi generate --output=$HOME/.config/cdi/nvidia.yaml").into()
        }
        true => fault.into(),
        false => fault.hint(format!("there are: {}", names.join(" "))).into(),
    }
}

fn read_all(folders: &[PathBuf]) -> Result<Known> {
    let mut known = Known::new();
    for folder in folders {
        let mut here = Known::new();
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        for path in files {
            let yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
            if !yaml && path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let deed = || format!("cannot use the device file `{}`", path.display());
            let bytes = read_limited(&path, LIMIT).with_context(deed)?;
            let file: File = match yaml {
                true => serde_yaml::from_slice(&bytes).with_context(deed)?,
                false => serde_json::from_slice(&bytes).with_context(deed)?,
            };
            if !["0.", "1."].iter().any(|version| file.cdi_version.starts_with(version)) {
                let text = format!("its version `{}` is not known", file.cdi_version.escape_debug());
                return Err(fault(Kind::BadData, text).context(deed()));
            }
            for device in file.devices {
                let name = format!("{}={}", file.kind, device.name);
                let entry = (path.clone(), file.container_edits.clone(), device.container_edits);
                if let Some((other, ..)) = here.insert(name.clone(), entry) {
                    let text = format!("`{}` has the device `{}`, too", other.display(), name.escape_debug());
                    return Err(fault(Kind::BadData, text).context(deed()));
                }
            }
        }
        known.extend(here);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["nvidia.com/gpu=all", "vendor.com/class=0:1", "v/c-c=GPU-1234.5"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["/dev/x", "v/c", "v=c", "v/c=", "/c=x", "v/c=/dev/x", "v/c/d=x", "v/c=a b"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn words_of_gpus() {
        let names = |text: &str| gpus(text).map(|names| names.join(" ")).ok();
        assert_eq!(names("all").as_deref(), Some("nvidia.com/gpu=all"));
        assert_eq!(names("2").as_deref(), Some("nvidia.com/gpu=0 nvidia.com/gpu=1"));
        assert_eq!(names("device=0,GPU-ab").as_deref(), Some("nvidia.com/gpu=0 nvidia.com/gpu=GPU-ab"));
        assert_eq!(names("\"device=0,1\"").as_deref(), Some("nvidia.com/gpu=0 nvidia.com/gpu=1"));
        assert_eq!((names("some"), names("device="), names("capabilities=gpu")), (None, None, None));
    }

    #[test]
    fn later_folders_win_and_twins_are_told() {
        let root = std::env::temp_dir().join(format!("box-cdi-{}", crate::base::id::ContainerId::random()));
        let (one, two) = (root.join("1"), root.join("2"));
        for folder in [&one, &two] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let json = |env: &str| {
            format!(
                r#"{{"cdiVersion": "0.6.0", "kind": "v.com/c", "containerEdits": {{"env": ["ALL=1"]}},
                "devices": [{{"name": "a", "containerEdits": {{"env": ["{env}"]}}}}, {{"name": "b"}}]}}"#
            )
        };
        std::fs::write(one.join("x.json"), json("A=1")).unwrap();
        std::fs::write(one.join("ignored.txt"), "x").unwrap();
        std::fs::write(
            two.join("x.yaml"),
            "cdiVersion: 1.0.0\nkind: v.com/c\ndevices:\n- name: a\n  containerEdits:\n    env: [A=2]\n    additionalGids: [7]\n",
        )
        .unwrap();
        let folders = [one.clone(), two.clone()];
        let env = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            find(&names, &folders).map(|all| all.iter().flat_map(|edits| edits.env.clone()).collect::<Vec<_>>())
        };
        assert_eq!(env(&["v.com/c=a"]).unwrap(), ["A=2"]);
        assert_eq!(env(&["v.com/c=b", "v.com/c=b"]).unwrap(), ["ALL=1"]);
        assert!(env(&["v.com/c=none"]).is_err());
        std::fs::write(one.join("y.json"), json("A=3")).unwrap();
        assert!(env(&["v.com/c=b"]).is_err());
        std::fs::remove_file(one.join("y.json")).unwrap();
        std::fs::write(one.join("z.json"), "{").unwrap();
        assert!(env(&["v.com/c=b"]).is_err());
        crate::base::fs::remove_tree(&root).unwrap();
    }
}
