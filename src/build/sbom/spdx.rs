//! SPDX, version 2.3, as JSON. Pure. <https://spdx.github.io/spdx-spec/v2.3/>

use super::{Package, Subject};
use crate::base::digest::Digest;
use serde_json::{Map, Value, json};

/// The document's own id.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// The image's.
const IMAGE: &str = "SPDXRef-Image";
/// What nobody has looked into.
const UNKNOWN: &str = "NOASSERTION";

/// A document that says which packages an image contains. The same image has the same document.
pub fn document(subject: &Subject<'_>, packages: &[Package]) -> Value {
    let image = json!({
        "SPDXID": IMAGE,
        "name": subject.name,
        "versionInfo": subject.manifest.as_str(),
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{ "algorithm": "SHA256", "checksumValue": subject.manifest.digits() }],
    });
    let relation = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let mut relations = vec![relation(DOCUMENT, "DESCRIBES", IMAGE)];
    relations.extend(packages.iter().map(|package| relation(IMAGE, "CONTAINS", &id(package))));
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": subject.name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/box-{}", subject.manifest.digits()),
        "creationInfo": {
            "created": subject.created,
            "creators": [concat!("Tool: box-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": std::iter::once(image).chain(packages.iter().map(one)).collect::<Vec<_>>(),
        "relationships": relations,
    })
}

fn one(package: &Package) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
    put("SPDXID", id(package).into());
    put("name", package.name.as_str().into());
    put("versionInfo", package.version.as_str().into());
    if let Some(supplier) = &package.supplier {
        // `Organization` or `Person`: which, nobody says.
        put("supplier", format!("Organization: {supplier}").into());
    }
    put("downloadLocation", UNKNOWN.into());
    put("filesAnalyzed", false.into());
    put("sourceInfo", format!("found in {}", package.found_in).into());
    put("licenseConcluded", UNKNOWN.into());
    put("licenseDeclared", UNKNOWN.into());
    if let Some(license) = &package.license {
        // The field for it takes SPDX's own expressions alone, which a package's words need not be.
        put("licenseComments", format!("The package says: {license}").into());
    }
    put("copyrightText", UNKNOWN.into());
    let reference = json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": package.url,
    });
    put("externalRefs", json!([reference]));
    Value::Object(map)
}

/// An id of letters, digits, points and dashes.
fn id(package: &Package) -> String {
    let kind = package.url.split([':', '/']).nth(1).unwrap_or_default();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = package.name.chars().map(plain).collect();
    let digest = Digest::of(format!("{}\n{}", package.url, package.found_in).as_bytes());
    format!("SPDXRef-Package-{kind}-{name}-{}", digest.digits().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_all_packages() {
        let package = Package {
            name: "@s/lib".into(),
            version: "1+x".into(),
            url: "pkg:npm/%40s/lib@1%2Bx".into(),
            found_in: "/app/package-lock.json".into(),
            license: Some("MIT".into()),
            supplier: None,
        };
        let manifest = Digest::of(b"m");
        let subject = Subject { name: "app", manifest: &manifest, created: "2024-01-01T00:00:00Z" };
        let document = document(&subject, std::slice::from_ref(&package));
        assert_eq!((&document["spdxVersion"], &document["SPDXID"]), (&json!("SPDX-2.3"), &json!(DOCUMENT)));
        let found = &document["packages"][1];
        assert_eq!(found["externalRefs"][0]["referenceLocator"], "pkg:npm/%40s/lib@1%2Bx");
        assert_eq!(found["licenseComments"], "The package says: MIT");
        let id = found["SPDXID"].as_str().unwrap();
        assert!(id.starts_with("SPDXRef-Package-npm--s-lib-"), "{id}");
        assert!(id.chars().all(|letter| letter.is_ascii_alphanumeric() || "-.".contains(letter)), "{id}");
        assert_eq!(document["relationships"][1]["relatedSpdxElement"], id);
        assert_eq!(document["creationInfo"]["created"], "2024-01-01T00:00:00Z");
    }
}
