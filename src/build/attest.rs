//! How an image was built, as an in-toto statement that is attached to it: `--provenance`. Pure.
//!
//! SLSA's predicate, version 1, laid out as BuildKit does
//! (<https://slsa.dev/spec/v1.0/provenance>,
//! <https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md>).

use super::request::Provenance;
use crate::base::base64;
use crate::base::digest::Digest;
use crate::base::time::rfc3339;
use crate::oci::platform::Platform;
use chrono::DateTime;
use serde_json::{Map, Value, json};

/// What the statement says.
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// What the words of the predicate mean.
const BUILD_TYPE: &str = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";

/// An image that a build stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// As the Dockerfile names it.
    pub name: String,
    /// The digest of its manifest; `None` if it is not known.
    pub digest: Option<Digest>,
}

/// What is known of a build.
#[derive(Debug)]
pub struct Facts<'a> {
    /// How much is told.
    pub mode: Provenance,
    /// The names of the result.
    pub names: &'a [String],
    /// The digest of its manifest.
    pub manifest: &'a Digest,
    /// What it is for.
    pub platform: &'a Platform,
    /// What it was built on.
    pub host: &'a Platform,
    /// The Dockerfile's name and text.
    pub dockerfile: (&'a str, &'a str),
    /// The git repository that was the context, and its commit.
    pub repository: Option<(&'a str, &'a str)>,
    /// `--target`.
    pub target: Option<&'a str>,
    /// `--build-arg`.
    pub args: &'a [(String, String)],
    /// `--label`.
    pub labels: &'a [(String, String)],
    /// The ids of secrets and agents that were given. Never their values.
    pub secrets: &'a [String],
    /// What it stands on.
    pub bases: &'a [Base],
    /// When it began and ended, nanoseconds since 1970.
    pub times: (i64, i64),
}

/// The statement.
pub fn provenance(facts: &Facts<'_>) -> Value {
    let whole = facts.mode == Provenance::Max;
    let mut args = Map::new();
    if let Some(target) = facts.target {
        args.insert("target".into(), target.into());
    }
    // Values of arguments are told only if that was asked for: they are where people put what others should not see.
    if whole {
        args.extend(facts.args.iter().map(|(name, value)| (format!("build-arg:{name}"), value.as_str().into())));
        args.extend(facts.labels.iter().map(|(name, value)| (format!("label:{name}"), value.as_str().into())));
    }
    let mut request = json!({ "frontend": "dockerfile.v0", "args": args });
    if whole && let Some(request) = request.as_object_mut() {
        let secrets = facts.secrets.iter().map(|id| json!({ "id": id, "optional": true })).collect::<Vec<_>>();
        request.insert("secrets".into(), secrets.into());
        request.insert("locals".into(), json!([{ "name": "context" }, { "name": "dockerfile" }]));
    }
    let mut source = json!({ "path": facts.dockerfile.0 });
    if let (Some((uri, commit)), Some(source)) = (facts.repository, source.as_object_mut()) {
        source.insert("uri".into(), uri.into());
        source.insert("digest".into(), json!({ "sha1": commit }));
    }
    let mut metadata = json!({
        "invocationId": facts.manifest.digits().chars().take(24).collect::<String>(),
        "startedOn": moment(facts.times.0),
        "finishedOn": moment(facts.times.1),
        "buildkit_completeness": {
            "request": whole,
            "resolvedDependencies": facts.bases.iter().all(|base| base.digest.is_some()),
        },
    });
    if whole && let Some(metadata) = metadata.as_object_mut() {
        let (name, text) = facts.dockerfile;
        let info = json!({ "filename": name, "language": "Dockerfile", "data": base64::encode(text.as_bytes()) });
        metadata.insert("buildkit_metadata".into(), json!({ "source": { "infos": [info] } }));
    }
    let known = facts.bases.iter().filter_map(|base| Some((base, base.digest.as_ref()?)));
    let dependency = |(base, digest): (&Base, &Digest)| json!({ "uri": package(&base.name, facts.platform), "digest": digest_set(digest) });
    json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": PREDICATE,
        "subject": subjects(facts.names, facts.platform, facts.manifest),
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "configSource": source, "request": request },
                "internalParameters": { "builderPlatform": facts.host.to_string() },
                "resolvedDependencies": known.map(dependency).collect::<Vec<_>>(),
            },
            "runDetails": {
                "builder": { "id": concat!("pkg:cargo/box-cli@", env!("CARGO_PKG_VERSION")) },
                "metadata": metadata,
            },
        },
    })
}

/// What a statement is about: a subject a name.
pub fn subjects(names: &[String], platform: &Platform, digest: &Digest) -> Vec<Value> {
    let subject = |name: String| json!({ "name": name, "digest": digest_set(digest) });
    match names {
        [] => vec![subject("_".to_owned())],
        names => names.iter().map(|name| subject(package(name, platform))).collect(),
    }
}

fn digest_set(digest: &Digest) -> Value {
    let (algorithm, digits) = digest.as_str().split_once(':').unwrap_or(("sha256", digest.digits()));
    Value::Object(Map::from_iter([(algorithm.to_owned(), digits.into())]))
}

/// `pkg:docker/NAME@TAG?platform=linux%2Famd64` (<https://github.com/package-url/purl-spec>).
fn package(name: &str, platform: &Platform) -> String {
    let (name, version) = match (name.rsplit_once('@'), name.rsplit_once(':')) {
        (Some((name, digest)), _) => (name, digest.replace(':', "%3A")),
        (None, Some((name, tag))) if !tag.contains('/') => (name, tag.to_owned()),
        _ => (name, "latest".to_owned()),
    };
    let name = name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/")).unwrap_or(name);
    format!("pkg:docker/{}@{version}?platform={}", name.replace(':', "%3A"), platform.to_string().replace('/', "%2F"))
}

fn moment(nanos: i64) -> String {
    rfc3339(&DateTime::from_timestamp_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(mode: Provenance, bases: &[Base]) -> Value {
        let platform = Platform::parse("linux/amd64").unwrap();
        let args = [("TOKEN".to_owned(), "s3cret".to_owned())];
        provenance(&Facts {
            mode,
            names: &["docker.io/me/app:1".to_owned()],
            manifest: &Digest::of(b"m"),
            platform: &platform,
            host: &platform,
            dockerfile: ("Dockerfile", "FROM alpine"),
            repository: Some(("https://h/x.git#main", "0123abcd")),
            target: Some("test"),
            args: &args,
            labels: &[],
            secrets: &["key".to_owned()],
            bases,
            times: (0, 1_500_000_000),
        })
    }

    #[test]
    fn little_or_all_is_told() {
        let base = Base { name: "alpine:3".into(), digest: Some(Digest::of(b"b")) };
        let few = statement(Provenance::Min, std::slice::from_ref(&base));
        assert_eq!(few["predicateType"], PREDICATE);
        assert_eq!(few["subject"][0]["name"], "pkg:docker/me/app@1?platform=linux%2Famd64");
        assert_eq!(few["subject"][0]["digest"]["sha256"], Digest::of(b"m").digits());
        let definition = &few["predicate"]["buildDefinition"];
        assert_eq!(definition["externalParameters"]["configSource"]["digest"]["sha1"], "0123abcd");
        assert_eq!(definition["externalParameters"]["request"]["args"], json!({ "target": "test" }));
        assert_eq!(definition["resolvedDependencies"][0]["uri"], "pkg:docker/alpine@3?platform=linux%2Famd64");
        let metadata = &few["predicate"]["runDetails"]["metadata"];
        assert_eq!(
            (&metadata["startedOn"], &metadata["finishedOn"]),
            (&json!("1970-01-01T00:00:00Z"), &json!("1970-01-01T00:00:01.5Z"))
        );
        assert_eq!(metadata["buildkit_completeness"], json!({ "request": false, "resolvedDependencies": true }));
        assert!(!few.to_string().contains("s3cret"));
        let all = statement(Provenance::Max, &[base, Base { name: "$X".into(), digest: None }]);
        let request = &all["predicate"]["buildDefinition"]["externalParameters"]["request"];
        assert_eq!(
            (&request["args"]["build-arg:TOKEN"], &request["secrets"][0]["id"]),
            (&json!("s3cret"), &json!("key"))
        );
        let metadata = &all["predicate"]["runDetails"]["metadata"];
        assert_eq!(metadata["buildkit_completeness"], json!({ "request": true, "resolvedDependencies": false }));
        assert_eq!(metadata["buildkit_metadata"]["source"]["infos"][0]["data"], "RlJPTSBhbHBpbmU=");
    }

    #[test]
    fn packages_have_urls() {
        let platform = Platform::parse("linux/arm64").unwrap();
        for (name, expected) in [
            ("alpine", "pkg:docker/alpine@latest?platform=linux%2Farm64"),
            ("docker.io/library/alpine:3", "pkg:docker/alpine@3?platform=linux%2Farm64"),
            ("h:5000/x", "pkg:docker/h%3A5000/x@latest?platform=linux%2Farm64"),
            ("h:5000/x:1", "pkg:docker/h%3A5000/x@1?platform=linux%2Farm64"),
            ("x@sha256:0a", "pkg:docker/x@sha256%3A0a?platform=linux%2Farm64"),
        ] {
            assert_eq!(package(name, &platform), expected, "{name}");
        }
    }
}
