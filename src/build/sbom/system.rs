//! The packages that a distribution's package manager has installed: dpkg and apk. Those of rpm are in a database of its
//! own, which box does not read.

use super::super::tree::Tree;
use super::{Package, encoded, field, read};
use crate::base::error::{Fault, Kind};
use anyhow::Result;
use rustix::fs::{Mode, OFlags};
use std::path::Path;

/// Where rpm keeps its database.
const RPM: [&str; 2] = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
/// Its files, of one version or another.
const RPM_FILES: [&str; 3] = ["rpmdb.sqlite", "Packages", "Packages.db"];

/// All of them. Errors: [`Kind::Host`] rpm has installed some.
pub fn packages(tree: &Tree) -> Result<Vec<Package>> {
    let system = System::of(tree)?;
    let mut found = Vec::new();
    if let Some(status) = read(tree, "/var/lib/dpkg/status")? {
        found.extend(dpkg(&String::from_utf8_lossy(&status), "/var/lib/dpkg/status", &system));
    }
    // Images without a package manager have a file a package.
    for name in names(tree, "/var/lib/dpkg/status.d") {
        let path = format!("/var/lib/dpkg/status.d/{name}");
        if !name.ends_with(".md5sums")
            && let Some(status) = read(tree, &path)?
        {
            found.extend(dpkg(&String::from_utf8_lossy(&status), &path, &system));
        }
    }
    for path in ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"] {
        if let Some(installed) = read(tree, path)? {
            found.extend(apk(&String::from_utf8_lossy(&installed), path, &system));
            // One of the two may be a link to the other.
            break;
        }
    }
    let is_there = |path: &str| tree.root.open_at(Path::new(path), OFlags::PATH, Mode::empty()).is_ok();
    match RPM.iter().find(|folder| RPM_FILES.iter().any(|file| is_there(&format!("{folder}/{file}")))) {
        Some(folder) => {
            let text = format!("cannot tell what is in the image: box does not read rpm's database in `{folder}`");
            Err(Fault::new(Kind::Host, text).hint("--sbom=generator=docker/buildkit-syft-scanner").into())
        }
        None => Ok(found),
    }
}

fn names(tree: &Tree, path: &str) -> Vec<String> {
    let folder = tree.root.open_at(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
    let names = folder.ok().and_then(|folder| crate::store::names_in(&folder).ok()).unwrap_or_default();
    names.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect()
}

/// The distribution: os-release(5).
#[derive(Debug, Default)]
struct System {
    id: String,
    version: Option<String>,
}

impl System {
    fn of(tree: &Tree) -> Result<Self> {
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            if let Some(text) = read(tree, path)? {
                return Ok(Self::parse(&String::from_utf8_lossy(&text)));
            }
        }
        Ok(Self::default())
    }

    fn parse(text: &str) -> Self {
        let value = |name: &str| {
            let found = text.lines().filter_map(|line| line.trim().split_once('=')).find(|(key, _)| *key == name);
            found.map(|(_, value)| value.trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
        };
        Self { id: value("ID").unwrap_or_default(), version: value("VERSION_ID") }
    }

    /// The URL of a package.
    fn url(&self, kind: &str, otherwise: &str, name: &str, version: &str, arch: Option<&str>) -> String {
        let id = if self.id.is_empty() { otherwise } else { &self.id };
        let mut url = format!("pkg:{kind}/{}/{}@{}", encoded(id), encoded(name), encoded(version));
        let distro = self.version.as_ref().map(|version| format!("{id}-{version}"));
        let more = [("arch", arch.map(str::to_owned)), ("distro", distro)];
        let more = more.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", encoded(&value?))));
        let more = more.collect::<Vec<_>>().join("&");
        if !more.is_empty() {
            url.push('?');
            url.push_str(&more);
        }
        url
    }
}

/// A status file of dpkg's: those that are installed, or unpacked.
fn dpkg(text: &str, path: &str, system: &System) -> Vec<Package> {
    let one = |stanza: &str| {
        let (name, version) = (field(stanza, "Package")?, field(stanza, "Version")?);
        // `want flag status`; a file of one package has none.
        if field(stanza, "Status")
            .is_some_and(|status| matches!(status.rsplit(' ').next(), Some("not-installed" | "config-files")))
        {
            return None;
        }
        Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            url: system.url("deb", "debian", name, version, field(stanza, "Architecture")),
            found_in: path.to_owned(),
            license: None,
            supplier: field(stanza, "Maintainer").map(str::to_owned),
        })
    };
    text.split("\n\n").filter_map(one).collect()
}

/// apk's list of what is installed: <https://wiki.alpinelinux.org/wiki/Apk_spec>.
fn apk(text: &str, path: &str, system: &System) -> Vec<Package> {
    let one = |stanza: &str| {
        let value = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let (name, version) = (value("P")?, value("V")?);
        Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            url: system.url("apk", "alpine", name, version, value("A")),
            found_in: path.to_owned(),
            license: value("L").map(str::to_owned),
            supplier: value("m").map(str::to_owned),
        })
    };
    text.split("\n\n").filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_lists_what_is_installed() {
        let text = "Package: libc6\nStatus: install ok installed\nMaintainer: GNU <g@d.org>\nArchitecture: amd64\nVersion: 2.36-9+deb12u1\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: tzdata\nVersion: 2024a\n";
        let system = System::parse("PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n");
        let found = dpkg(text, "/s", &system);
        let urls: Vec<&str> = found.iter().map(|package| package.url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12",
                "pkg:deb/debian/tzdata@2024a?distro=debian-12"
            ]
        );
        assert_eq!(found[0].supplier.as_deref(), Some("GNU <g@d.org>"));
        assert_eq!(dpkg("Package: a\nVersion: 1\n", "/s", &System::default())[0].url, "pkg:deb/debian/a@1");
    }

    #[test]
    fn apk_lists_what_is_installed() {
        let text =
            "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\nm:Timo <t@a.org>\nF:lib\nR:ld.so\n\nP:busybox\nV:1.36\n\n";
        let found = apk(text, "/a", &System::parse("ID=alpine\nVERSION_ID=3.19.1\n"));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].url, "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.19.1");
        assert_eq!((found[0].license.as_deref(), found[1].license.as_deref()), (Some("MIT"), None));
    }
}
