//! `--sbom`: what is in an image, told by box or by a scanner.

use super::site::Site;
use crate::registry::Registry;
use serde_json::Value;

/// A context, and a registry.
struct Place {
    site: Site,
    registry: Registry,
}

impl Place {
    fn new() -> Self {
        let place = Self { site: Site::new(), registry: Registry::start() };
        place.site.env.file("config/containers/registries.conf", place.registry.conf());
        place
    }

    /// Build with these options, push, and read the SPDX documents that are attached.
    fn documents(&self, dockerfile: &str, options: &[&str]) -> Vec<Value> {
        let (env, name) = (&self.site.env, self.registry.name("team/app:1"));
        self.site.file("Dockerfile", dockerfile);
        let words = ["build", "-q", "--network", "none", "--push", "-t", name.as_str()];
        env.box_(&[&words, options, &["ctx"]].concat()).ok();
        let list: Value = serde_json::from_slice(&self.registry.manifest("team/app", "1").unwrap().bytes).unwrap();
        let attached = list["manifests"][1]["digest"].as_str().unwrap();
        let attached: Value =
            serde_json::from_slice(&self.registry.manifest("team/app", attached).unwrap().bytes).unwrap();
        let layers = attached["layers"].as_array().unwrap();
        let of_spdx = |layer: &&Value| layer["annotations"]["in-toto.io/predicate-type"] == "https://spdx.dev/Document";
        let statement = |layer: &Value| {
            let statement = env.box_(&["image", "attestation", &name, layer["digest"].as_str().unwrap()]).json();
            assert_eq!(statement["predicateType"], "https://spdx.dev/Document");
            let about = statement["subject"][0]["digest"]["sha256"].as_str().unwrap();
            assert_eq!(format!("sha256:{about}"), list["manifests"][0]["digest"]);
            statement["predicate"].clone()
        };
        layers.iter().filter(of_spdx).map(statement).collect()
    }
}

/// The package URLs of a document.
fn urls(document: &Value) -> Vec<&str> {
    let packages = document["packages"].as_array().unwrap();
    packages.iter().filter_map(|one| one["externalRefs"][0]["referenceLocator"].as_str()).collect()
}

#[test]
fn box_finds_what_package_managers_have_left() {
    let place = Place::new();
    let site = &place.site;
    site.file("os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    site.file("status", "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n");
    site.file("app/Cargo.lock", "version = 3\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\n");
    site.file("app/node_modules/@s/x/package.json", r#"{"name":"@s/x","version":"2.0.0"}"#);
    site.file("app/lib/flask-3.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Flask\nVersion: 3.0\n\ntext\n");
    let dockerfile = "FROM scratch\nCOPY os-release /etc/os-release\nCOPY status /var/lib/dpkg/status\nCOPY app /app\n";
    let found = place.documents(dockerfile, &["--sbom=true", "--provenance=mode=min"]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["spdxVersion"], "SPDX-2.3");
    let mut all = urls(&found[0]);
    all.sort_unstable();
    let expected = [
        "pkg:cargo/serde@1.0.1",
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12",
        "pkg:npm/%40s/x@2.0.0",
        "pkg:pypi/flask@3.0",
    ];
    assert_eq!(all, expected);
    // The same image has the same document, and another way to ask for it is the same.
    let again = place.documents(dockerfile, &["--attest", "type=sbom"]);
    assert_eq!(again, found);
    site.file("rpmdb.sqlite", "x");
    site.build("FROM scratch\nCOPY rpmdb.sqlite /var/lib/rpm/\n", &["--sbom=true"])
        .fails(125)
        .says("box does not read rpm's database in `/var/lib/rpm`")
        .hints("--sbom=generator=");
    site.env.box_(&["build", "-q", "--sbom=true", "ctx"]).fails(125).says("needs one with a name").hints("-t NAME");
}

#[test]
fn a_scanner_is_run_as_buildkit_runs_it() {
    let place = Place::new();
    let site = &place.site;
    let script = "#!/bin/sh\nset -e\n! touch $BUILDKIT_SCAN_SOURCE/x 2>/dev/null\n\
        name=$(cat $BUILDKIT_SCAN_SOURCE/file)\n\
        printf '{\"predicateType\":\"https://spdx.dev/Document\",\"predicate\":{\"spdxVersion\":\"SPDX-2.3\",\"name\":\"%s\"}}' \
        $name > $BUILDKIT_SCAN_DESTINATION/$(basename $BUILDKIT_SCAN_SOURCE).spdx.json\n";
    site.file("scan", script).file("file", "content");
    site.build("FROM base\nCOPY --chmod=755 scan /scan\nENTRYPOINT [\"/scan\"]\n", &["-t", "scanner"]).ok();
    let dockerfile = "FROM scratch\nCOPY file /file\n";
    let found = place.documents(dockerfile, &["--sbom=generator=scanner"]);
    assert_eq!(found, [serde_json::json!({ "spdxVersion": "SPDX-2.3", "name": "content" })]);
    for (script, says) in [
        ("exit 3", "the scanner `bad` failed"),
        ("true", "the scanner wrote no `*.spdx.json`"),
        ("echo {} > $BUILDKIT_SCAN_DESTINATION/a.spdx.json", "the scanner's `a.spdx.json` is no SPDX document"),
        ("ln -s /etc/passwd $BUILDKIT_SCAN_DESTINATION/a.spdx.json", "the scanner's `a.spdx.json` is no SPDX document"),
    ] {
        site.build(&format!("FROM base\nENTRYPOINT [\"sh\", \"-c\", \"{script}\"]\n"), &["-t", "bad"]).ok();
        site.build(dockerfile, &["--sbom=generator=bad"]).fails(125).says(says);
    }
}
