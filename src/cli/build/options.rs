//! The options of `build` that have fields: `--output`, `--cache-from`, `--cache-to`, `--secret`, `--ssh`, `--attest`.
//! Pure, but for one look at the environment, by which a secret without a source is told.

use crate::base::env;
use crate::base::error::{Fault, Kind};
use crate::build::{CacheMounts, CachePlace, Entitlement, Output, Provenance, Sbom, Secret, SecretSource, Ssh};
use crate::dockerfile::csv;
use anyhow::Result;
use std::path::PathBuf;

/// One option's fields, as docker writes them: `type=local,"dest=a,b"`.
struct Fields<'a> {
    flag: &'static str,
    text: &'a str,
    /// What a right one looks like.
    example: &'static str,
    fields: Vec<(String, String)>,
}

impl<'a> Fields<'a> {
    fn parse(flag: &'static str, text: &'a str, example: &'static str) -> Result<Self> {
        let mut all = Self { flag, text, example, fields: Vec::new() };
        let fields = csv::fields(text).map_err(|_| all.wrong("a double quote is not where it may be"))?;
        for field in fields.iter().filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, "true"));
            all.fields.push((key.trim().to_ascii_lowercase(), value.to_owned()));
        }
        Ok(all)
    }

    fn wrong(&self, what: &str) -> anyhow::Error {
        let text = format!("`{} {}`: {what}", self.flag, self.text.escape_debug());
        // An option whose value may be left out has it behind an equals sign.
        let gap = if self.example.starts_with('=') { "" } else { " " };
        Fault::new(Kind::Usage, text).hint(format!("{}{gap}{}", self.flag, self.example)).into()
    }

    /// Take a field out; the last one wins.
    fn take(&mut self, names: &[&str]) -> Option<String> {
        let mut found = None;
        self.fields.retain_mut(|(key, value)| {
            let is_it = names.contains(&key.as_str());
            if is_it {
                found = Some(std::mem::take(value));
            }
            !is_it
        });
        found
    }

    /// Take out all fields of one name.
    fn take_all(&mut self, name: &str) -> Vec<String> {
        let (found, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.fields).into_iter().partition(|(key, _)| key == name);
        self.fields = left;
        found.into_iter().map(|(_, value)| value).collect()
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        self.take(&[name])
            .map(|value| match value.to_ascii_lowercase().as_str() {
                "true" | "1" | "t" => Ok(true),
                "false" | "0" | "f" => Ok(false),
                _ => Err(self.wrong(&format!("`{name}` is true or false"))),
            })
            .transpose()
    }

    /// Take a field that may only say what is so anyway.
    fn only(&mut self, name: &str, so: bool) -> Result<()> {
        match self.boolean(name)? {
            Some(asked) if asked != so => Err(self.wrong(&format!("`{name}` can only be {so} here"))),
            _ => Ok(()),
        }
    }

    /// Nothing may be left.
    fn end(self, known: &str) -> Result<()> {
        match self.fields.first() {
            None => Ok(()),
            Some((key, _)) => Err(self.wrong(&format!("there is no field `{}` here, but {known}", key.escape_debug()))),
        }
    }
}

/// `--output`.
pub fn output(text: &str) -> Result<Output> {
    const EXAMPLE: &str = "type=local,dest=out";
    if text == "-" {
        return Ok(Output::Tar(None));
    }
    if !text.contains('=') {
        return Ok(Output::Local(PathBuf::from(text)));
    }
    let mut fields = Fields::parse("--output", text, EXAMPLE)?;
    let kind = fields.take(&["type"]).unwrap_or_default();
    let dest = fields.take(&["dest", "destination", "path"]);
    let file = |dest: Option<String>| dest.filter(|dest| dest != "-").map(PathBuf::from);
    match kind.as_str() {
        "local" => {
            let dest = dest.filter(|dest| !dest.is_empty() && dest != "-");
            let dest = dest.ok_or_else(|| fields.wrong("it needs a folder: `dest=`"))?;
            fields.end("type and dest")?;
            Ok(Output::Local(PathBuf::from(dest)))
        }
        "tar" => {
            fields.end("type and dest")?;
            Ok(Output::Tar(file(dest)))
        }
        "oci" => {
            let tar = fields.boolean("tar")?.unwrap_or(true);
            if !tar && file(dest.clone()).is_none() {
                return Err(fields.wrong("a folder cannot go to stdout: it needs `dest=`"));
            }
            fields.end("type, dest and tar")?;
            Ok(Output::Oci { path: file(dest), tar })
        }
        // Without a place, docker's own: the store.
        "docker" if dest.is_none() => {
            let names = names(&mut fields);
            fields.end("type, dest and name")?;
            Ok(Output::Image { names, push: false, compression: None, level: None })
        }
        "docker" => {
            fields.end("type and dest")?;
            Ok(Output::Docker(file(dest)))
        }
        "image" | "registry" => image(fields, dest.is_some(), kind == "registry"),
        "cacheonly" => fields.end("type").map(|()| Output::CacheOnly),
        "" => Err(fields.wrong("it needs a `type=`")),
        other => {
            let what = format!(
                "there is no type `{}`, but local, tar, oci, docker, image, registry, cacheonly",
                other.escape_debug()
            );
            Err(fields.wrong(&what))
        }
    }
}

fn names(fields: &mut Fields<'_>) -> Vec<String> {
    let names = fields.take(&["name"]).unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn image(mut fields: Fields<'_>, has_dest: bool, registry: bool) -> Result<Output> {
    if has_dest {
        return Err(fields.wrong("an image has no `dest=`, but a `name=`"));
    }
    let names = names(&mut fields);
    let push = fields.boolean("push")?.unwrap_or(registry);
    let compression = fields.take(&["compression"]);
    if let Some(word) = compression.as_deref().filter(|word| !["gzip", "zstd", "uncompressed"].contains(word)) {
        return Err(
            fields.wrong(&format!("layers are not packed as `{}`: gzip, zstd, uncompressed", word.escape_debug()))
        );
    }
    let most = if compression.as_deref() == Some("zstd") { 20 } else { 9 };
    let level = match fields.take(&["compression-level"]) {
        None => None,
        Some(text) => match text.parse().ok().filter(|level| (1..=most).contains(level)) {
            Some(level) => Some(level),
            None => return Err(fields.wrong(&format!("`compression-level` is a number from 1 to {most}"))),
        },
    };
    // What is so anyway.
    for (name, so) in [("unpack", true), ("store", true), ("oci-mediatypes", true), ("force-compression", true)] {
        fields.only(name, so)?;
    }
    fields.end("type, name, push, compression, compression-level")?;
    Ok(Output::Image { names, push, compression, level })
}

/// `--cache-from` (`to` is false) and `--cache-to`.
pub fn cache(text: &str, to: bool) -> Result<CachePlace> {
    let (flag, example) = match to {
        true => ("--cache-to", "type=registry,ref=REGISTRY/NAME:cache,mode=max"),
        false => ("--cache-from", "type=registry,ref=REGISTRY/NAME:cache"),
    };
    if !text.contains('=') {
        return Ok(CachePlace::Registry { reference: text.to_owned(), max: false, ignore_error: false });
    }
    let mut fields = Fields::parse(flag, text, example)?;
    let kind = fields.take(&["type"]).unwrap_or_default();
    let max = match fields.take(&["mode"]).as_deref() {
        None | Some("min") => false,
        Some("max") => true,
        Some(_) => return Err(fields.wrong("`mode` is min or max")),
    };
    match kind.as_str() {
        "inline" if to => fields.end("type").map(|()| CachePlace::Inline),
        kind => place(fields, kind, max, to, "mode, ignore-error"),
    }
}

/// `--cache-mount-from` (`to` is false) and `--cache-mount-to`.
pub fn cache_mounts(text: &str, to: bool) -> Result<CacheMounts> {
    let flag = if to { "--cache-mount-to" } else { "--cache-mount-from" };
    if !text.contains('=') {
        let place = CachePlace::Registry { reference: text.to_owned(), max: false, ignore_error: false };
        return Ok(CacheMounts { place, ids: Vec::new() });
    }
    let mut fields = Fields::parse(flag, text, "type=registry,ref=REGISTRY/NAME:mounts")?;
    let kind = fields.take(&["type"]).unwrap_or_default();
    let ids = fields.take_all("id");
    Ok(CacheMounts { place: place(fields, &kind, false, to, "id, ignore-error")?, ids })
}

/// Where something is kept for others: what is left of an option.
fn place(mut fields: Fields<'_>, kind: &str, max: bool, to: bool, more: &str) -> Result<CachePlace> {
    let ignore_error = fields.boolean("ignore-error")?.unwrap_or(false);
    for name in ["oci-mediatypes", "image-manifest"] {
        fields.only(name, true)?;
    }
    match kind {
        "registry" => {
            let reference = fields.take(&["ref"]).filter(|name| !name.is_empty());
            let reference = reference.ok_or_else(|| fields.wrong("it needs an image: `ref=`"))?;
            fields.end(&format!("type, ref, {more}"))?;
            Ok(CachePlace::Registry { reference, max, ignore_error })
        }
        "local" => {
            let key = if to { "dest" } else { "src" };
            let path = fields.take(&[key]).filter(|path| !path.is_empty());
            let path = path.ok_or_else(|| fields.wrong(&format!("it needs a folder: `{key}=`")))?;
            fields.end(&format!("type, {key}, {more}"))?;
            Ok(CachePlace::Local { path: PathBuf::from(path), max, ignore_error })
        }
        "" => Err(fields.wrong("it needs a `type=`")),
        other => {
            let known = if fields.flag == "--cache-to" { "registry, local, inline" } else { "registry, local" };
            Err(fields.wrong(&format!("box has no cache of type `{}`, but {known}", other.escape_debug())))
        }
    }
}

/// `--secret`.
pub fn secret(text: &str) -> Result<Secret> {
    let mut fields = Fields::parse("--secret", text, "id=token,src=token.txt")?;
    let id = fields.take(&["id"]).filter(|id| !id.is_empty() && !id.contains('/') && id != "..");
    let kind = fields.take(&["type"]);
    let source = fields.take(&["src", "source"]);
    let variable = fields.take(&["env"]);
    let id = id.ok_or_else(|| fields.wrong("it needs a name without slashes: `id=`"))?;
    let source = match (kind.as_deref(), source, variable) {
        (_, Some(_), Some(_)) => return Err(fields.wrong("`src` and `env` do not go together")),
        (None | Some("file"), Some(path), None) => SecretSource::File(path.into()),
        (None | Some("env"), None, Some(name)) | (Some("env"), Some(name), None) => SecretSource::Env(name),
        (Some("env"), None, None) => SecretSource::Env(id.clone()),
        (Some("file"), None, None) => SecretSource::File(PathBuf::from(&id)),
        (None, None, None) if env::by_name(&id).is_some() => SecretSource::Env(id.clone()),
        (None, None, None) => SecretSource::File(PathBuf::from(&id)),
        _ => return Err(fields.wrong("`type` is file (with `src=`) or env (with `env=`)")),
    };
    fields.end("id, src, env, type")?;
    Ok(Secret { id, source })
}

/// `--ssh`.
pub fn ssh(text: &str) -> Result<Ssh> {
    let (id, paths) = text.split_once('=').unwrap_or((text, ""));
    if id.is_empty() || id.contains('/') {
        let fault = Fault::new(Kind::Usage, format!("`--ssh {}` has no name", text.escape_debug()));
        return Err(fault.hint("--ssh default, or --ssh ID=SOCKET").into());
    }
    let paths = paths.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    Ok(Ssh { id: id.to_owned(), paths })
}

/// `--allow`.
pub fn entitlement(text: &str) -> Result<Entitlement> {
    match text.split_once('=').unwrap_or((text, "")) {
        ("network.host", "") => Ok(Entitlement::NetworkHost),
        ("security.insecure", "") => Ok(Entitlement::SecurityInsecure),
        ("device", "") => Ok(Entitlement::Device(None)),
        ("device", name) => Ok(Entitlement::Device(Some(name.to_owned()))),
        _ => {
            let fault = Fault::new(Kind::Usage, format!("there is no right `--allow {}`", text.escape_debug()));
            Err(fault.hint("network.host, security.insecure, or device[=NAME]").into())
        }
    }
}

/// `--provenance`; `None` for `false`.
pub fn provenance(text: &str) -> Result<Option<Provenance>> {
    let mut fields = Fields::parse("--provenance", text, "=mode=max")?;
    let on = on(&mut fields, text)?;
    let mode = match fields.take(&["mode"]).as_deref() {
        None | Some("min") => Provenance::Min,
        Some("max") => Provenance::Max,
        Some(_) => return Err(fields.wrong("`mode` is min or max")),
    };
    if fields.take(&["version"]).is_some_and(|version| version != "v1") {
        return Err(fields.wrong("box writes provenance of version v1"));
    }
    fields.end("mode, version, disabled")?;
    Ok(on.then_some(mode))
}

/// `--sbom`; `None` for `false`.
pub fn sbom(text: &str) -> Result<Option<Sbom>> {
    let mut fields = Fields::parse("--sbom", text, "=generator=IMAGE")?;
    let on = on(&mut fields, text)?;
    let generator = fields.take(&["generator"]).filter(|image| !image.is_empty());
    fields.end("generator, disabled")?;
    Ok(on.then(|| generator.map_or(Sbom::Own, Sbom::Scanner)))
}

/// `true`, `false`, or fields with `disabled=`.
fn on(fields: &mut Fields<'_>, text: &str) -> Result<bool> {
    let on = match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" => true,
        "false" | "0" | "f" => false,
        _ => return Ok(!fields.boolean("disabled")?.unwrap_or(false)),
    };
    fields.fields.clear();
    Ok(on)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of each is parsed to what is shown, or refused with words that hold it.
    fn check<T: std::fmt::Debug>(parse: impl Fn(&str) -> Result<T>, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let shown = match parse(text) {
                Ok(value) => format!("{value:?}"),
                Err(error) => format!("error: {error:#}"),
            };
            assert!(shown.contains(expected), "{text}: {shown}");
        }
    }

    #[test]
    fn outputs() {
        check(
            output,
            &[
                ("-", "Tar(None)"),
                ("out", "Local(\"out\")"),
                ("type=local,dest=a", "Local(\"a\")"),
                ("type=local,\"dest=a,b\"", "Local(\"a,b\")"),
                ("type=tar", "Tar(None)"),
                ("type=tar,dest=-", "Tar(None)"),
                ("type=tar,dest=x.tar", "Tar(Some(\"x.tar\"))"),
                ("type=oci,dest=x", "Oci { path: Some(\"x\"), tar: true }"),
                ("type=oci,dest=x,tar=false", "Oci { path: Some(\"x\"), tar: false }"),
                ("type=oci,tar=false", "error: `--output type=oci,tar=false`: a folder cannot go to stdout"),
                ("type=docker,dest=-", "Docker(None)"),
                ("type=docker,name=a", "Image { names: [\"a\"], push: false, compression: None, level: None }"),
                ("type=image,name=a,push=true", "Image { names: [\"a\"], push: true, compression: None, level: None }"),
                ("type=registry,\"name=a,b\"", "Image { names: [\"a\", \"b\"], push: true"),
                ("type=registry,compression=zstd,compression-level=20", "compression: Some(\"zstd\"), level: Some(20)"),
                ("type=image,compression-level=10", "`compression-level` is a number from 1 to 9"),
                ("type=image,compression=estargz", "layers are not packed as `estargz`"),
                ("type=image,oci-mediatypes=false", "`oci-mediatypes` can only be true here"),
                ("type=image,dest=x", "an image has no `dest=`"),
                ("type=cacheonly", "CacheOnly"),
                ("type=local", "it needs a folder"),
                ("type=local,dest=x,mode=y", "there is no field `mode` here, but type and dest"),
                ("type=lokal,dest=x", "there is no type `lokal`, but local, tar"),
                ("dest=x", "it needs a `type=`"),
                ("type=local,de\"st=x", "a double quote"),
            ],
        );
    }

    #[test]
    fn caches() {
        check(
            |text| cache(text, false),
            &[
                ("me/app:cache", "Registry { reference: \"me/app:cache\", max: false, ignore_error: false }"),
                ("type=registry,ref=me/app", "Registry { reference: \"me/app\""),
                ("type=local,src=x", "Local { path: \"x\", max: false, ignore_error: false }"),
                ("type=local,dest=x", "it needs a folder: `src=`"),
                ("type=gha", "box has no cache of type `gha`, but registry, local"),
            ],
        );
        check(
            |text| cache(text, true),
            &[
                (
                    "type=registry,ref=x,mode=max,ignore-error=true",
                    "Registry { reference: \"x\", max: true, ignore_error: true }",
                ),
                ("type=local,dest=x,mode=max", "Local { path: \"x\", max: true"),
                ("type=inline", "Inline"),
                ("type=registry", "it needs an image: `ref=`"),
                ("type=registry,ref=x,mode=mix", "`mode` is min or max"),
                ("type=s3,bucket=x", "box has no cache of type `s3`"),
            ],
        );
    }

    #[test]
    fn cache_mounts_of_others() {
        check(
            |text| cache_mounts(text, true),
            &[
                ("me/app:m", "place: Registry { reference: \"me/app:m\", max: false, ignore_error: false }, ids: []"),
                (
                    "type=local,dest=d,id=a,id=b",
                    "place: Local { path: \"d\", max: false, ignore_error: false }, ids: [\"a\", \"b\"]",
                ),
                ("type=gha", "box has no cache of type `gha`, but registry, local"),
                ("type=inline", "box has no cache of type `inline`, but registry, local"),
                ("type=local,src=d", "it needs a folder: `dest=`"),
                ("type=local,dest=d,mode=max", "there is no field `mode` here, but type, dest, id, ignore-error"),
            ],
        );
    }

    #[test]
    fn attestations() {
        check(
            provenance,
            &[
                ("true", "Some(Min)"),
                ("false", "None"),
                ("mode=max", "Some(Max)"),
                ("mode=max,version=v1", "Some(Max)"),
                ("mode=max,disabled=true", "None"),
                ("mode=some", "`mode` is min or max"),
                ("version=v0.2", "box writes provenance of version v1"),
            ],
        );
        check(
            sbom,
            &[
                ("false", "None"),
                ("true", "Some(Own)"),
                ("generator=x", "Some(Scanner(\"x\"))"),
                ("generator=x,disabled=true", "None"),
                ("scanner=x", "there is no field `scanner` here, but generator, disabled"),
            ],
        );
    }

    #[test]
    fn secrets_agents_and_rights() {
        check(
            secret,
            &[
                ("id=a,src=f", "Secret { id: \"a\", source: File(\"f\") }"),
                ("id=a,env=V", "Secret { id: \"a\", source: Env(\"V\") }"),
                ("type=env,id=a", "source: Env(\"a\")"),
                ("id=no-such-variable", "source: File(\"no-such-variable\")"),
                ("id=PATH", "source: Env(\"PATH\")"),
                ("src=f", "it needs a name"),
                ("id=../x,src=f", "it needs a name"),
                ("id=a,src=f,env=V", "do not go together"),
                ("id=a,scr=f", "there is no field `scr` here, but id, src, env, type"),
            ],
        );
        check(
            ssh,
            &[
                ("default", "Ssh { id: \"default\", paths: [] }"),
                ("git=/a,/b", "Ssh { id: \"git\", paths: [\"/a\", \"/b\"] }"),
                ("=x", "has no name"),
            ],
        );
        check(
            entitlement,
            &[
                ("network.host", "NetworkHost"),
                ("device=a/b=c", "Device(Some(\"a/b=c\"))"),
                ("network.host=x", "there is no right"),
            ],
        );
    }
}
