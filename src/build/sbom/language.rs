//! The packages of languages: what Cargo, npm and Python's installers have left in an image. All folders are looked
//! through, but for those of the kernel; no link is followed.

use super::super::tree::Tree;
use super::{LIMIT, Package, encoded, field};
use crate::store::names_in;
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

/// Folders deeper than this are not looked into.
const DEPTH: usize = 64;
/// What is the kernel's.
const SKIPPED: [&str; 3] = ["/proc", "/sys", "/dev"];

/// All of them. A file that is damaged tells of nothing: not all that has such a name is what it looks like.
pub fn packages(tree: &Tree) -> Result<Vec<Package>> {
    let mut found = Vec::new();
    let top = tree.root.open_at(std::path::Path::new("/"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    walk(&top, "", 0, &mut found)?;
    Ok(found)
}

fn walk(folder: &OwnedFd, path: &str, depth: usize, found: &mut Vec<Package>) -> Result<()> {
    for name in names_in(folder).with_context(|| format!("cannot look into `{path}` of the image"))? {
        // A name that is no text is of nothing that we look for, and neither is what it holds.
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        let here = format!("{path}/{name}");
        let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if depth < DEPTH && !SKIPPED.contains(&here.as_str()) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = rustix::fs::openat(folder, name, flags, Mode::empty());
                walk(&below.with_context(|| format!("cannot open `{here}` of the image"))?, &here, depth + 1, found)?;
            }
            FileType::RegularFile => {
                if let Some(tells) = teller(&here) {
                    found.extend(tells(&read(folder, name)?, &here));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn read(folder: &OwnedFd, name: &str) -> Result<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).with_context(|| format!("cannot read `{name}` of the image"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes packages out of a file's text; its path is told with each.
type Teller = fn(&str, &str) -> Vec<Package>;

/// What reads a file of this path, if it tells of packages.
fn teller(path: &str) -> Option<Teller> {
    let mut parts = path.rsplit('/');
    let (name, folder) = (parts.next()?, parts.next().unwrap_or_default());
    match name {
        "Cargo.lock" => Some(cargo),
        "package-lock.json" | ".package-lock.json" | "npm-shrinkwrap.json" => Some(npm_lock),
        // Of a package that is installed: `node_modules/NAME`, `node_modules/@SCOPE/NAME`.
        "package.json" => {
            let above = parts.next().unwrap_or_default();
            let scoped = above.starts_with('@') && parts.next() == Some("node_modules");
            (above == "node_modules" || scoped).then_some(npm as Teller)
        }
        "METADATA" if folder.ends_with(".dist-info") => Some(python),
        "PKG-INFO" if folder.ends_with(".egg-info") => Some(python),
        _ => None,
    }
}

fn package(kind: &str, name: &str, version: &str, path: &str) -> Package {
    // A scope is a name of its own: `%40scope/name`.
    let parts: Vec<String> = name.split('/').map(encoded).collect();
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        url: format!("pkg:{kind}/{}@{}", parts.join("/"), encoded(version)),
        found_in: path.to_owned(),
        license: None,
        supplier: None,
    }
}

#[derive(Deserialize)]
struct CargoLock {
    #[serde(default)]
    package: Vec<CargoPackage>,
}

#[derive(Deserialize)]
struct CargoPackage {
    name: String,
    version: String,
}

fn cargo(text: &str, path: &str) -> Vec<Package> {
    let lock: Option<CargoLock> = toml::from_str(text).ok();
    let all = lock.map(|lock| lock.package).unwrap_or_default();
    all.iter().map(|one| package("cargo", &one.name, &one.version, path)).collect()
}

#[derive(Deserialize)]
struct NpmLock {
    /// By path: `node_modules/a/node_modules/b`; versions 2 and 3.
    packages: Option<BTreeMap<String, NpmPackage>>,
    /// By name; version 1.
    #[serde(default)]
    dependencies: BTreeMap<String, NpmPackage>,
}

#[derive(Deserialize)]
struct NpmPackage {
    name: Option<String>,
    version: Option<String>,
    license: Option<Value>,
    #[serde(default)]
    link: bool,
    #[serde(default)]
    dependencies: Value,
}

/// <https://docs.npmjs.com/cli/configuring-npm/package-lock-json>
fn npm_lock(text: &str, path: &str) -> Vec<Package> {
    let Ok(lock) = serde_json::from_str::<NpmLock>(text) else { return Vec::new() };
    let mut found = Vec::new();
    match lock.packages {
        Some(packages) => {
            for (place, one) in packages {
                let Some((_, own)) = place.rsplit_once("node_modules/") else { continue };
                if let Some(version) = one.version.as_deref().filter(|_| !one.link) {
                    let name = one.name.as_deref().unwrap_or(own);
                    found.push(Package {
                        license: license(one.license.as_ref()),
                        ..package("npm", name, version, path)
                    });
                }
            }
        }
        None => old_lock(&lock.dependencies, path, &mut found),
    }
    found
}

fn old_lock(packages: &BTreeMap<String, NpmPackage>, path: &str, found: &mut Vec<Package>) {
    for (name, one) in packages {
        found.extend(one.version.as_deref().map(|version| package("npm", name, version, path)));
        if let Ok(below) = serde_json::from_value(one.dependencies.clone()) {
            old_lock(&below, path, found);
        }
    }
}

fn npm(text: &str, path: &str) -> Vec<Package> {
    let one: Option<NpmPackage> = serde_json::from_str(text).ok();
    let made = one.and_then(|one| {
        let made = package("npm", one.name.as_deref()?, one.version.as_deref()?, path);
        Some(Package { license: license(one.license.as_ref()), ..made })
    });
    made.into_iter().collect()
}

/// A license as npm has it: a text, or the old object.
fn license(value: Option<&Value>) -> Option<String> {
    let value = value?;
    value.as_str().or_else(|| value.get("type")?.as_str()).map(str::to_owned)
}

/// <https://packaging.python.org/en/latest/specifications/core-metadata/>
fn python(text: &str, path: &str) -> Vec<Package> {
    let made = || {
        let (name, version) = (field(text, "Name")?, field(text, "Version")?);
        let license = field(text, "License-Expression").or_else(|| field(text, "License"));
        // Names are compared in one form, which is the URL's.
        let url = package("pypi", &name.to_ascii_lowercase().replace(['_', '.'], "-"), version, path).url;
        let license = license.filter(|text| *text != "UNKNOWN").map(str::to_owned);
        Some(Package { url, license, ..package("pypi", name, version, path) })
    };
    made().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(found: &[Package]) -> Vec<&str> {
        found.iter().map(|package| package.url.as_str()).collect()
    }

    #[test]
    fn which_files_tell() {
        for (path, tells) in [
            ("/app/Cargo.lock", true),
            ("/app/package-lock.json", true),
            ("/app/node_modules/a/package.json", true),
            ("/app/node_modules/@s/a/package.json", true),
            ("/app/package.json", false),
            ("/app/node_modules/a/test/package.json", false),
            ("/usr/lib/python3/site-packages/flask-3.0.dist-info/METADATA", true),
            ("/METADATA", false),
            ("/usr/lib/python3/dist-packages/six.egg-info/PKG-INFO", true),
        ] {
            assert_eq!(teller(path).is_some(), tells, "{path}");
        }
    }

    #[test]
    fn cargo_and_python() {
        let lock = "version = 3\n[[package]]\nname = \"serde\"\nversion = \"1.0.1+x\"\nsource = \"registry\"\n";
        assert_eq!(urls(&cargo(lock, "/Cargo.lock")), ["pkg:cargo/serde@1.0.1%2Bx"]);
        assert!(cargo("not toml [", "/Cargo.lock").is_empty());
        let found =
            python("Metadata-Version: 2.1\nName: Flask_Login.X\nVersion: 3.0\nLicense: MIT\n\nName: no\n", "/m");
        assert_eq!((urls(&found), found[0].name.as_str()), (vec!["pkg:pypi/flask-login-x@3.0"], "Flask_Login.X"));
        assert_eq!(found[0].license.as_deref(), Some("MIT"));
    }

    #[test]
    fn npm_of_all_versions() {
        let new = r#"{"name":"app","version":"1.0.0","lockfileVersion":3,"packages":{"":{"version":"1.0.0"},
            "node_modules/a":{"version":"1.2.3","license":"MIT"},"node_modules/a/node_modules/@s/b":{"version":"2.0.0"},
            "node_modules/l":{"link":true},"src/l":{"version":"9.0.0"}}}"#;
        let found = npm_lock(new, "/l");
        assert_eq!(urls(&found), ["pkg:npm/a@1.2.3", "pkg:npm/%40s/b@2.0.0"]);
        assert_eq!(found[0].license.as_deref(), Some("MIT"));
        let old = r#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","requires":{"b":"^2"},
            "dependencies":{"b":{"version":"2.0.0"}}}}}"#;
        assert_eq!(urls(&npm_lock(old, "/l")), ["pkg:npm/a@1.0.0", "pkg:npm/b@2.0.0"]);
        let one = r#"{"name":"@s/c","version":"3.0.0","license":{"type":"ISC"},"dependencies":{"x":"1"}}"#;
        let found = npm(one, "/p");
        assert_eq!((urls(&found), found[0].license.as_deref()), (vec!["pkg:npm/%40s/c@3.0.0"], Some("ISC")));
    }
}
