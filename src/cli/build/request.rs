//! From the words of `build` to the one request. Decides nothing and touches nothing, but for files of arguments.

use super::super::access::access;
use super::super::args::build::{Build, BuildRun, Habit};
use super::super::args::limits::LimitFlags;
use super::super::args::network_options::NetworkOptions;
use super::super::args::rights::RightsOptions;
use super::super::args::run::ContainerOptions;
use super::super::request::{of_options, pull_policy};
use super::options;
use crate::base::env;
use crate::base::error::{Fault, Kind, fault};
use crate::base::time;
use crate::build::context::{named_source, source};
use crate::build::{BuildRequest, CacheMounts, ContextSource, FileSource, NoCache, Output, Provenance, Sbom, Squash};
use crate::container::request::{PullPolicy, Request};
use crate::image::ManifestFormat;
use crate::oci::platform::Platform;
use crate::oci::reference::Reference;
use crate::registry::is_url;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The request of `build`.
pub fn of_build(args: &Build) -> Result<BuildRequest> {
    check_habit(&args.habit)?;
    let build_args = build_args(args)?;
    let epoch = epoch(args, &build_args)?;
    let (provenance, sbom) = attestations(args)?;
    Ok(BuildRequest {
        context: context(args.context.as_deref().unwrap_or(".")),
        file: match args.file.as_deref() {
            None => FileSource::Default,
            Some("-") => FileSource::Stdin,
            Some(url) if is_url(url) => FileSource::Url(url.to_owned()),
            Some(path) => FileSource::Path(PathBuf::from(path)),
        },
        ignore_file: args.ignorefile.clone(),
        contexts: args.build_context.iter().map(|text| build_context(text)).collect::<Result<_>>()?,
        args: build_args,
        labels: pairs("--label", &args.label)?,
        annotations: args.annotation.iter().map(|text| annotation(text)).collect::<Result<_>>()?,
        env: args.env.iter().filter_map(|text| from_here("--env", text).transpose()).collect::<Result<_>>()?,
        unset_env: args.unsetenv.clone(),
        unset_labels: args.unsetlabel.clone(),
        secrets: args.secret.iter().map(|text| options::secret(text)).collect::<Result<_>>()?,
        ssh: args.ssh.iter().map(|text| options::ssh(text)).collect::<Result<_>>()?,
        target: args.target.clone(),
        platforms: platforms(args)?,
        tags: args.tag.iter().map(|text| tag("--tag", text)).collect::<Result<_>>()?,
        manifest: args.manifest.as_deref().map(|text| tag("--manifest", text)).transpose()?,
        pull: match args.pull.as_deref() {
            None | Some("false") => PullPolicy::default(),
            Some("true") => PullPolicy::Always,
            Some(text) => pull_policy(text),
        },
        from: args.from.clone(),
        access: access(&args.access, Some(&args.retry))?,
        no_cache: match (args.no_cache, args.no_cache_filter.as_slice()) {
            (true, _) => NoCache::All,
            (false, []) => NoCache::Never,
            (false, stages) => NoCache::Stages(stages.to_vec()),
        },
        cache_from: args.cache_from.iter().map(|text| options::cache(text, false)).collect::<Result<_>>()?,
        cache_to: args.cache_to.iter().map(|text| options::cache(text, true)).collect::<Result<_>>()?,
        cache_ttl: args.cache_ttl.as_deref().map(ttl).transpose()?,
        outputs: outputs(args)?,
        drop_labels: args.inherit_labels == Some(false),
        squash: match (args.squash_all, args.squash || args.layers == Some(false)) {
            (true, _) => Squash::All,
            (false, true) => Squash::New,
            (false, false) => Squash::No,
        },
        format: if args.format.as_deref() == Some("docker") { ManifestFormat::Docker } else { ManifestFormat::Oci },
        epoch,
        rewrite_timestamps: args.rewrite_timestamp || args.timestamp.is_some(),
        run: run(&args.run)?,
        allow: args.run.allow.iter().map(|text| options::entitlement(text)).collect::<Result<_>>()?,
        jobs: args.jobs.filter(|jobs| *jobs > 0),
        provenance,
        sbom,
        cache_mounts_from: cache_mounts(&args.cache_mount_from, false)?,
        cache_mounts_to: cache_mounts(&args.cache_mount_to, true)?,
    })
}

/// A folder that is there wins over what its name may mean otherwise, as with docker.
fn context(text: &str) -> ContextSource {
    match text != "-" && std::path::Path::new(text).is_dir() {
        true => ContextSource::Folder(text.into()),
        false => source(text),
    }
}

/// What a step's container is made with, through the parsers of `run`.
fn run(flags: &BuildRun) -> Result<Request> {
    match flags.isolation.as_deref() {
        None | Some("" | "default" | "oci" | "rootless") => {}
        Some(other) => {
            let text = format!("box does not isolate commands by `{}`", other.escape_debug());
            return Err(Fault::new(Kind::Usage, text).hint("leave --isolation out: box needs no other").into());
        }
    }
    let flags = flags.clone();
    let net = NetworkOptions {
        // docker's word for its own default.
        network: flags.network.into_iter().filter(|mode| mode != "default").collect(),
        // docker's `HOST=IP`.
        add_host: flags.add_host.iter().map(|text| text.replacen('=', ":", 1)).collect(),
        dns: flags.dns,
        dns_option: flags.dns_option,
        dns_search: flags.dns_search,
        no_hosts: flags.no_hosts,
        no_hostname: flags.no_hostname,
        http_proxy: flags.http_proxy,
        ..NetworkOptions::default()
    };
    let rights = RightsOptions {
        device: flags.device,
        cap_add: flags.cap_add,
        cap_drop: flags.cap_drop,
        security_opt: flags.security_opt,
        group_add: flags.group_add,
        ..RightsOptions::default()
    };
    let limits = LimitFlags {
        resources: flags.resources,
        ulimit: flags.ulimit,
        shm_size: flags.shm_size,
        cgroup_parent: flags.cgroup_parent,
        ..LimitFlags::default()
    };
    of_options(ContainerOptions { net, rights, limits, volume: flags.volume, ..ContainerOptions::default() })
}

fn check_habit(habit: &Habit) -> Result<()> {
    if let Some(name) = habit.builder.as_deref().filter(|name| !["", "default", "box"].contains(name)) {
        let fault =
            Fault::new(Kind::Usage, format!("there is no builder `{}`: box builds by itself", name.escape_debug()));
        return Err(fault.hint("leave --builder out").into());
    }
    for (flag, value) in [("--rm", habit.rm), ("--skip-unused-stages", habit.skip_unused_stages)] {
        if value == Some(false) {
            return Err(fault(Kind::Usage, format!("`{flag}=false` cannot be honoured: box always does it")));
        }
    }
    Ok(())
}

/// `NAME=VALUE`, or `NAME` with its value here; `None` if it has none.
fn from_here(flag: &str, text: &str) -> Result<Option<(String, String)>> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, env::by_name(text)),
    };
    if name.is_empty() {
        return Err(fault(Kind::Usage, format!("`{flag} {}` has no name before the equals sign", text.escape_debug())));
    }
    Ok(value.map(|value| (name.to_owned(), value)))
}

/// Files first, in order, then what was typed.
fn build_args(args: &Build) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for path in &args.build_arg_file {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read `--build-arg-file {}`", path.display()))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            all.extend(from_here("--build-arg-file", line)?);
        }
    }
    for text in &args.build_arg {
        all.extend(from_here("--build-arg", text)?);
    }
    Ok(all)
}

/// `KEY=VALUE` or `KEY`.
fn pairs(flag: &str, words: &[String]) -> Result<Vec<(String, String)>> {
    let split = |word: &String| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key.is_empty() {
            true => {
                Err(fault(Kind::Usage, format!("`{flag} {}` has no key before the equals sign", word.escape_debug())))
            }
            false => Ok((key.to_owned(), value.to_owned())),
        }
    };
    words.iter().map(split).collect()
}

/// `[manifest:]KEY=VALUE`.
fn annotation(text: &str) -> Result<(String, String)> {
    let wrong = |what: &str| {
        let fault = Fault::new(Kind::Usage, format!("`--annotation {}`: {what}", text.escape_debug()));
        fault.hint("--annotation org.opencontainers.image.title=app")
    };
    let (key, value) = text.split_once('=').ok_or_else(|| wrong("it has no equals sign"))?;
    let key = match key.split_once(':') {
        Some(("manifest", key)) => key,
        Some((place, _)) if place.starts_with("index") || place.starts_with("manifest") => {
            return Err(wrong("box annotates the manifest of the image, and nothing else").into());
        }
        _ => key,
    };
    if key.is_empty() {
        return Err(wrong("it has no key before the equals sign").into());
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// `NAME=VALUE`.
fn build_context(text: &str) -> Result<(String, ContextSource)> {
    match text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty()) {
        Some((name, value)) => Ok((name.to_owned(), named_source(value))),
        None => {
            let fault = Fault::new(Kind::Usage, format!("`--build-context {}` is not NAME=VALUE", text.escape_debug()));
            Err(fault.hint("--build-context assets=../assets").into())
        }
    }
}

fn tag(flag: &str, text: &str) -> Result<Reference> {
    let name = Reference::parse_with_default(text, "localhost")?;
    match name.digest {
        Some(_) => Err(fault(Kind::Usage, format!("`{flag} {name}`: the digest of an image cannot be chosen"))),
        None => Ok(name),
    }
}

fn platforms(args: &Build) -> Result<Vec<Platform>> {
    let mut all = Vec::new();
    for text in args.platform.iter().filter(|text| !text.is_empty()) {
        let platform = match text.as_str() {
            "local" => Platform::host(),
            text => Platform::parse(text)?,
        };
        if !all.contains(&platform) {
            all.push(platform);
        }
    }
    if args.arch.is_some() || args.os.is_some() || args.variant.is_some() {
        let host = Platform::host();
        let (os, arch) = (args.os.as_ref().unwrap_or(&host.os), args.arch.as_ref().unwrap_or(&host.arch));
        let variant = args.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        all.push(Platform::parse(&format!("{os}/{arch}{variant}"))?);
    }
    Ok(all)
}

/// `--timestamp`, `--source-date-epoch`, the build's argument, or the variable.
fn epoch(args: &Build, build_args: &[(String, String)]) -> Result<Option<i64>> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    if let Some(seconds) = args.timestamp.or(args.source_date_epoch) {
        return Ok(Some(seconds));
    }
    let given = build_args.iter().rfind(|(name, _)| name == NAME).map(|(_, value)| value.clone());
    let Some(text) = given.or_else(|| env::by_name(NAME)).filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad = || fault(Kind::Usage, format!("`{NAME}={}` is not a number of seconds", text.escape_debug()));
    text.parse().map(Some).map_err(|_| bad())
}

fn ttl(text: &str) -> Result<u64> {
    let nanos = time::parse_duration(text).and_then(|nanos| u64::try_from(nanos).ok());
    let bad = || Fault::new(Kind::Usage, format!("`--cache-ttl {}` is no duration", text.escape_debug())).hint("24h");
    Ok(nanos.ok_or_else(bad)? / 1_000_000_000)
}

/// `--output`, and what `--push` and `--load` make of it.
fn outputs(args: &Build) -> Result<Vec<Output>> {
    let mut all: Vec<Output> = args.output.iter().map(|text| options::output(text)).collect::<Result<_>>()?;
    let image = |push| Output::Image { names: Vec::new(), push, compression: None, level: None };
    if args.push {
        match all.iter_mut().find(|output| matches!(output, Output::Image { .. })) {
            Some(Output::Image { push, .. }) => *push = true,
            _ => all.push(image(true)),
        }
    }
    if args.load && !all.iter().any(|output| matches!(output, Output::Image { .. })) {
        all.push(image(false));
    }
    Ok(all)
}

fn cache_mounts(words: &[String], to: bool) -> Result<Vec<CacheMounts>> {
    words.iter().map(|text| options::cache_mounts(text, to)).collect()
}

/// `--provenance`, `--sbom` and `--attest`.
fn attestations(args: &Build) -> Result<(Option<Provenance>, Option<Sbom>)> {
    let (mut provenance, mut sbom) = (args.provenance.clone(), args.sbom.clone());
    for text in &args.attest {
        let (kind, rest) = text.split_once(',').unwrap_or((text, "true"));
        match kind {
            "type=provenance" => provenance = Some(rest.to_owned()),
            "type=sbom" => sbom = Some(rest.to_owned()),
            _ => {
                let fault = Fault::new(Kind::Usage, format!("box does not attest `{}`", text.escape_debug()));
                return Err(fault.hint("--attest type=provenance,mode=max, or --attest type=sbom").into());
            }
        }
    }
    Ok((
        provenance.as_deref().map(options::provenance).transpose()?.flatten(),
        sbom.as_deref().map(options::sbom).transpose()?.flatten(),
    ))
}
