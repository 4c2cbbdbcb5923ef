//! `create`: decide everything, then publish it.

use super::config::{Config, RootSource, VERSION};
use super::life::{Life, RestartPolicy};
use super::mounts::{self, Wishes};
use super::record::{self, Container};
use super::request::{PullPolicy, Request, Source};
use super::rights::namespaces::Namespace;
use super::rights::{idmap, systemd::Systemd, userns::Userns};
use super::{emulation, environment, foreign, names, network, requires, rights, secrets};
use crate::base::error::{Fault, Kind, fault};
use crate::base::id::ContainerId;
use crate::base::lock::Lock;
use crate::base::{signal, timing};
use crate::engine::Engine;
use crate::image::{self, Image, Progress};
use crate::oci::image::ImageConfig;
use crate::oci::platform::Platform;
use crate::registry::Access;
use crate::runtime::capabilities;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

/// Create a container and leave it so. Prints nothing; the caller prints the id.
pub fn create(engine: &Engine, request: Request, progress: &dyn Progress) -> Result<Container> {
    let (container, lock) = prepare(engine, request, progress)?;
    // Nobody works on it any more.
    let _ = std::fs::remove_dir(&container.run_dir);
    super::happened::tell(&engine.dirs, &container, &["create"]);
    drop(lock);
    Ok(container)
}

/// Create a container and keep its lock, for whoever starts it at once.
pub(super) fn prepare(engine: &Engine, request: Request, progress: &dyn Progress) -> Result<(Container, Lock)> {
    check(&request)?;
    // What the container will stand on must not be collected before its record is there.
    let _lease = engine.store.lease()?;
    let pulling = (request.pull, request.access.clone(), request.platform.clone());
    let (root, image) = root_of(&request.source, |text| find_image(engine, text, &pulling, progress))?;
    timing::phase("find image");
    if request.life.replace
        && let Some(name) = &request.name
        && let Ok(other) = record::find(&engine.dirs, name)
        && other.config.name == *name
    {
        super::remove(engine, &other, super::RemoveOptions { force: true, time: None, ..Default::default() })?;
    }
    let made_up = request.name.is_none();
    let cidfile = request.cidfile.clone();
    // Nobody else may choose ids until these are in a record.
    let _ids = rights::allot::reserve(engine, &request)?;
    let mut request = request;
    let wishes = Wishes {
        mounts: wished(&mut request)?,
        from: &std::mem::take(&mut request.volumes_from),
        image_volumes: &image.volumes,
        mode: request.image_volumes,
        find_image: &|text| find_image(engine, text, &(pulling.0, pulling.1.clone(), None), progress),
    };
    secrets::check(engine, &request.secrets)?;
    let mut config = decide(engine, request, root, &image)?;
    let settled = mounts::settle(engine, wishes)?;
    config.mounts = settled.mounts.clone();
    let (container, lock) = publish(engine, config, made_up)?;
    if let Some(path) = &cidfile
        && let Err(error) = crate::base::fs::create_new(path, container.config.id.as_str().as_bytes())
    {
        let _ = container.delete(&engine.dirs);
        return Err(error.context("cannot write the container's id"));
    }
    if let Err(error) = settled.keep(engine) {
        let _ = mounts::remove_anonymous(&engine.dirs, &container);
        let _ = container.delete(&engine.dirs);
        return Err(error);
    }
    timing::phase("create");
    Ok((container, lock))
}

/// What a container would be, without making it or anything for it; and the image's config. Asks no registry.
///
/// Errors: those of [`create`] that can be seen before anything is made.
pub fn rehearse(engine: &Engine, mut request: Request) -> Result<(Container, ImageConfig)> {
    check(&request)?;
    let here = |text: &str| find_image(engine, text, &(PullPolicy::Never, Rc::default(), None), &image::Silent);
    let (root, image) = root_of(&request.source, here)?;
    secrets::check(engine, &request.secrets)?;
    let _ids = rights::allot::reserve(engine, &request)?;
    let mut wishes = Wishes {
        mounts: wished(&mut request)?,
        from: &std::mem::take(&mut request.volumes_from),
        image_volumes: &image.volumes,
        mode: request.image_volumes,
        find_image: &here,
    };
    let mounts = mounts::gather(engine, &mut wishes)?;
    if let Some(name) = request.name.as_ref().filter(|_| !request.life.replace) {
        record::check_free(&engine.dirs, name)?;
    }
    let mut config = decide(engine, request, root, &image)?;
    config.mounts = mounts;
    Ok((Container::new(&engine.dirs, config), image))
}

/// What the root file system is made of, and the config of its image, if it has one.
fn root_of(source: &Source, find: impl Fn(&str) -> Result<Image>) -> Result<(RootSource, ImageConfig)> {
    Ok(match source {
        Source::Image(text) => {
            let image = find(text)?;
            (image_root(text, &image), image.config)
        }
        Source::Layers { layers, folder } => {
            (RootSource::Layers { layers: layers.clone(), folder: folder.clone() }, ImageConfig::default())
        }
        Source::Rootfs { path, overlay, idmap } => (rootfs(path, *overlay, *idmap)?, ImageConfig::default()),
    })
}

/// The mounts that were asked for, one for the time zone among them.
fn wished(request: &mut Request) -> Result<Vec<mounts::Mount>> {
    let mut wished = std::mem::take(&mut request.mounts);
    if let Some(zone) = &request.timezone {
        wished.extend(mounts::timezone(zone, &wished)?);
    }
    Ok(wished)
}

/// Publish the record, under another name if a made-up one is taken.
pub(super) fn publish(engine: &Engine, mut config: Config, made_up: bool) -> Result<(Container, Lock)> {
    for attempt in 1.. {
        match record::publish(&engine.dirs, config.clone()) {
            Err(error) if made_up && attempt <= 5 && crate::base::error::kind(&error) == Kind::NameInUse => {
                config.name = names::made_up(ContainerId::random().as_str(), attempt);
            }
            result => {
                let (container, lock) = result?;
                if let Err(error) = requires::note(engine, &container.config) {
                    let _ = container.delete(&engine.dirs);
                    return Err(error);
                }
                return Ok((container, lock));
            }
        }
    }
    unreachable!("the loop ends with a result")
}

/// What can be refused before anything is looked up.
fn check(request: &Request) -> Result<()> {
    if let Some(name) = &request.name {
        names::check(name)?;
    }
    if let Some(hostname) = &request.hostname {
        let fits = hostname.len() <= 64 && !hostname.is_empty() && !hostname.starts_with('-');
        if !fits || !hostname.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
            let text =
                format!("`{}` cannot be a host name: use up to 64 letters, digits and `.-_`", hostname.escape_debug());
            return Err(fault(Kind::Usage, text));
        }
    }
    if !request.uts.is_own() && request.hostname.is_some() {
        let text =
            format!("`--hostname` and `--uts {}` do not go together: the name is not the container's", request.uts);
        return Err(fault(Kind::Usage, text));
    }
    if request.ipc == Namespace::Host && request.limits.shm_size.is_some() {
        return Err(fault(Kind::Usage, "`--shm-size` means nothing with `--ipc host`: the memory is the host's"));
    }
    if request.tty && request.log_driver.passes() {
        let text = format!("`--tty` and `--log-driver {}` do not go together", request.log_driver.word());
        return Err(fault(Kind::Usage, text));
    }
    if let Some(path) = request.cidfile.as_ref().filter(|path| path.exists()) {
        let text = format!("the container id file `{}` exists already", path.display());
        return Err(Fault::new(Kind::Usage, text).hint(format!("rm {}", path.display())).into());
    }
    if request.remove && matches!(request.life.restart, RestartPolicy::Always | RestartPolicy::UnlessStopped) {
        let text = format!("`--rm` and `--restart {}` do not go together", request.life.restart.word());
        return Err(fault(Kind::Usage, text));
    }
    Ok(())
}

/// The image by the pull policy.
pub(super) fn find_image(
    engine: &Engine,
    text: &str,
    (policy, access, platform): &(PullPolicy, Rc<Access>, Option<Platform>),
    progress: &dyn Progress,
) -> Result<Image> {
    let found = image::find_for(&engine.store, text, platform.as_ref())?;
    let pull = || {
        let options = image::PullOptions { reference: text, platform: platform.clone(), access };
        super::pull(engine, &options, progress)
    };
    match (policy, found) {
        (PullPolicy::Never | PullPolicy::Missing, Some(image)) => Ok(image),
        (PullPolicy::Never, None) => Err(match platform {
            Some(platform) => {
                let missing = format!("no such image `{}` for {platform}", text.escape_debug());
                Fault::new(Kind::NotFound, missing).hint(format!("box pull --platform {platform} {text}")).into()
            }
            None => image::missing(&engine.store, text),
        }),
        // What there is serves where no registry answers; a lie or an interruption is told.
        (PullPolicy::Newer, Some(image)) => pull().or_else(|error| match crate::base::error::kind(&error) {
            Kind::Registry | Kind::NotFound => Ok(image),
            _ => Err(error),
        }),
        _ => pull(),
    }
}

fn request_image(request: &Request) -> &str {
    match &request.source {
        Source::Image(text) => text,
        Source::Layers { .. } | Source::Rootfs { .. } => "",
    }
}

pub(super) fn image_root(text: &str, image: &Image) -> RootSource {
    let name = super::images::name_meant(image, text).or_else(|| image.names.first().cloned());
    let name = name.unwrap_or_else(|| image.id.to_string());
    let layers = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    RootSource::Image { name, id: image.id.clone(), manifest: image.manifest.digest.clone(), layers }
}

fn rootfs(path: &Path, overlay: bool, idmap: bool) -> Result<RootSource> {
    let deed = || format!("cannot use `{}` as root file system", path.display());
    if idmap && !crate::rootless::is_root() {
        let text = format!("{} with `idmap`: only root can (mount_setattr(2))", deed());
        return Err(Fault::new(Kind::Host, text).hint("--userns keep-id keeps your own ids").into());
    }
    let path = std::fs::canonicalize(path).with_context(deed)?;
    if !path.is_dir() {
        return Err(fault(Kind::Usage, "it is not a folder").context(deed()));
    }
    Ok(RootSource::Rootfs { path, overlay, idmap })
}

/// A container's name without what a host name cannot have, as long as one may be (gethostname(2)).
fn host_name(name: &str) -> String {
    let fits: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    fits.chars().take(64).collect()
}

/// Everything that a container is, from what was asked and what the image says.
fn decide(engine: &Engine, mut request: Request, root: RootSource, image: &ImageConfig) -> Result<Config> {
    let id = ContainerId::random();
    super::logs::place(&mut request, &id);
    let network = network::decide(engine, &request, image)?;
    let uts = rights::decide_namespace(engine, "--uts", &request.uts)?;
    let name = request.name.clone().unwrap_or_else(|| names::made_up(ContainerId::random().as_str(), 0));
    let own = if request.defaults.name_as_hostname { host_name(&name) } else { id.short().to_owned() };
    let hostname = match (&request.hostname, &uts) {
        (Some(name), _) => name.clone(),
        (None, Namespace::Host) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        (None, Namespace::Container(other)) => super::find(engine, other)?.config.hostname,
        _ => network.other.as_ref().map_or(own, |other| other.config.hostname.clone()),
    };
    let (args, entrypoint_len) = command(&request, image)?;
    let (capabilities, cap_add, cap_drop) = capability_sets(&request)?;
    let mut rights = rights::decide(engine, &request, &args, &capabilities)?;
    let runtime = foreign::decide(&request)?;
    let emulator = emulation::decide(engine, &request, image)?;
    let user = user(&request, image, engine.caller())?;
    let (userns, maps) = rights::allot::decide(engine, &request, &root, &user)?;
    rights.maps = maps;
    if matches!(userns, Userns::KeepId { .. }) {
        rights.accounts.name = crate::rootless::user_name(engine.caller().0);
    }
    let default_signal = if rights.systemd == Systemd::Always { rights::systemd::STOP_SIGNAL } else { signal::SIGTERM };
    let stop_signal = request.stop_signal.as_ref().or(image.stop_signal.as_ref());
    let mut labels = image.labels.clone();
    labels.extend(environment::labels(&request.life.label_files)?);
    labels.extend(request.labels.clone());
    Ok(Config {
        version: VERSION,
        name,
        created: super::now(),
        size: super::quota::decide(&request, &root)?,
        root,
        args,
        entrypoint_len,
        env: environment::decide(&request, image, &hostname, |text| engine.warn(&Fault::new(Kind::BadData, text)))?,
        workdir: workdir(&request, image)?,
        user,
        hostname,
        mounts: Vec::new(),
        secrets: request.secrets,
        read_only: request.read_only || request.rights.hardened,
        network: network.mode,
        ports: network.ports,
        exposed: image.exposed_ports.iter().chain(&network.settings.expose).cloned().collect(),
        networking: network.settings,
        init: request.init,
        labels,
        privileged: request.privileged,
        cap_add,
        cap_drop,
        rights,
        runtime,
        emulator,
        capabilities,
        stop_signal: stop_signal
            .map_or(Ok(default_signal), |text| signal::parse(text))
            .context("cannot use the stop signal")?,
        stop_timeout: request.stop_timeout.or(image.stop_timeout).or(request.defaults.stop_timeout).unwrap_or(10),
        log_driver: request.log_driver,
        pid: rights::decide_namespace(engine, "--pid", &request.pid)?,
        ipc: rights::decide_namespace(engine, "--ipc", &request.ipc)?,
        uts,
        userns,
        limits: request.limits.settle(crate::rootless::is_root())?,
        tty: request.tty,
        interactive: request.interactive,
        stdin_once: request.interactive && !request.detach,
        remove: request.remove,
        cidfile: request.cidfile.map(std::path::absolute).transpose()?,
        life: Life {
            requires: requires::find(engine, &request.life.requires)?,
            ..request.life.decide(image.healthcheck.as_ref())?
        },
        damaged: false,
        id,
    })
}

/// The words to execute, and how many of them are the entrypoint.
fn command(request: &Request, image: &ImageConfig) -> Result<(Vec<String>, usize)> {
    let entrypoint = request.entrypoint.clone().or_else(|| image.entrypoint.clone()).unwrap_or_default();
    // An entrypoint of the user's own drops the image's command, which was written for the image's entrypoint.
    let command = match (&request.command, &request.entrypoint) {
        (command, _) if !command.is_empty() => command.clone(),
        (_, None) => image.cmd.clone().unwrap_or_default(),
        _ => Vec::new(),
    };
    let length = entrypoint.len();
    let args: Vec<String> = entrypoint.into_iter().chain(command).collect();
    if args.first().is_none_or(String::is_empty) {
        let name = request_image(request);
        return Err(Fault::new(
            Kind::Usage,
            "there is no command to run: neither the image nor the command line has one",
        )
        .hint(format!("box run {name} COMMAND"))
        .into());
    }
    if args.iter().any(|arg| arg.contains('\0')) {
        return Err(fault(Kind::BadData, "the command holds a NUL character"));
    }
    Ok((args, length))
}

/// The bounding set, and the two lists as they will be shown.
fn capability_sets(request: &Request) -> Result<(Vec<String>, Vec<String>, Vec<String>)> {
    let parse = |words: &[String]| -> Result<Vec<String>> {
        let names = words.iter().flat_map(|word| word.split(',')).map(str::trim).filter(|word| !word.is_empty());
        names
            .map(|name| match name.eq_ignore_ascii_case("all") {
                true => Ok("ALL".to_owned()),
                false => Ok(format!("CAP_{}", capabilities::parse(name)?)),
            })
            .collect()
    };
    let (add, drop) = (parse(&request.cap_add)?, parse(&request.cap_drop)?);
    if let Some(both) = add.iter().find(|name| drop.contains(name)) {
        return Err(fault(Kind::Usage, format!("capability `{both}` cannot be both added and dropped")));
    }
    let all = || capabilities::possible().map(|capability| format!("CAP_{capability}"));
    let mut set: BTreeSet<String> = match () {
        () if request.privileged || add.iter().any(|name| name == "ALL") => all().collect(),
        () if request.rights.hardened || drop.iter().any(|name| name == "ALL") => BTreeSet::new(),
        () => match &request.defaults.capabilities {
            Some(names) => parse(names).context("cannot use the configured capabilities")?.into_iter().collect(),
            None => capabilities::DEFAULT.iter().map(|capability| format!("CAP_{capability}")).collect(),
        },
    };
    set.extend(add.iter().filter(|name| *name != "ALL").cloned());
    set.retain(|name| !drop.contains(name));
    Ok((set.into_iter().collect(), add, drop))
}

/// The working folder: absolute, and without characters that could forge a line somewhere.
fn workdir(request: &Request, image: &ImageConfig) -> Result<String> {
    let text = match &request.workdir {
        Some(text) => text.as_str(),
        None if image.working_dir.is_empty() => "/",
        None => &image.working_dir,
    };
    let kind = if request.workdir.is_some() { Kind::Usage } else { Kind::BadData };
    if text.chars().any(char::is_control) {
        return Err(fault(kind, format!("the working folder `{}` holds control characters", text.escape_debug())));
    }
    match (text.starts_with('/'), request.workdir.is_some()) {
        (true, _) => Ok(text.to_owned()),
        // docker reads an image's relative folder from the root.
        (false, false) => Ok(format!("/{text}")),
        (false, true) => Err(fault(kind, format!("the working folder `{text}` is not an absolute path"))),
    }
}

fn user(request: &Request, image: &ImageConfig, caller: (u32, u32)) -> Result<String> {
    let text = match (&request.user, &request.userns) {
        (Some(user), _) => user.clone(),
        // keep-id means the caller, inside as outside.
        (None, keep_id @ Userns::KeepId { .. }) => {
            let (uid, gid) = idmap::caller_inside(keep_id, caller);
            format!("{uid}:{gid}")
        }
        (None, _) => image.user.clone(),
    };
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(fault(Kind::BadData, format!("`{}` cannot be a user", text.escape_debug())));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(add: &[&str], drop: &[&str]) -> Result<Vec<String>> {
        let list = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let request = Request { cap_add: list(add), cap_drop: list(drop), ..Default::default() };
        capability_sets(&request).map(|sets| sets.0)
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        assert_eq!(caps(&[], &[]).unwrap().len(), 11);
        assert_eq!(caps(&["net_raw", "CAP_SYS_TIME"], &["chown"]).unwrap().len(), 12);
        assert_eq!(caps(&["net_raw,chown"], &["all"]).unwrap(), ["CAP_CHOWN", "CAP_NET_RAW"]);
        assert_eq!(caps(&["ALL"], &["SYS_ADMIN"]).unwrap().len(), capabilities::possible().count() - 1);
        assert!(caps(&["CHOWN"], &["cap_chown"]).is_err());
        assert!(caps(&["NOPE"], &[]).is_err());
    }

    #[test]
    fn commands_and_entrypoints() {
        let image =
            ImageConfig { entrypoint: Some(vec!["e".into()]), cmd: Some(vec!["c".into()]), ..Default::default() };
        let words = |entrypoint: Option<&[&str]>, command: &[&str]| {
            let list = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
            let request = Request { entrypoint: entrypoint.map(list), command: list(command), ..Default::default() };
            command_words(&request, &image)
        };
        fn command_words(request: &Request, image: &ImageConfig) -> String {
            command(request, image).map(|(args, _)| args.join(" ")).unwrap_or_else(|_| "error".into())
        }
        assert_eq!(words(None, &[]), "e c");
        assert_eq!(words(None, &["x", "y"]), "e x y");
        assert_eq!(words(Some(&["n"]), &[]), "n");
        assert_eq!(words(Some(&[]), &["x"]), "x");
        assert_eq!(words(Some(&[]), &[]), "error");
    }

    #[test]
    fn working_folders() {
        let decide = |asked: Option<&str>, image: &str| {
            let request = Request { workdir: asked.map(str::to_owned), ..Default::default() };
            workdir(&request, &ImageConfig { working_dir: image.into(), ..Default::default() }).ok()
        };
        assert_eq!(decide(None, "").as_deref(), Some("/"));
        assert_eq!(decide(None, "app").as_deref(), Some("/app"));
        assert_eq!(decide(Some("/x"), "/app").as_deref(), Some("/x"));
        assert_eq!(decide(Some("x"), ""), None);
        assert_eq!(decide(None, "/x\nroot2:x:0:0::/:/bin/sh"), None);
    }
}
