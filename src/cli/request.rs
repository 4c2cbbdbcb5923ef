//! From the words of `run` and `create` to the one request. Decides nothing and touches nothing.

use super::args::run::{ContainerOptions, Create, Run};
use crate::base::error::{Fault, Kind, fault};
use crate::base::signal;
use crate::container::mounts::{parse_image_volumes, parse_mount, parse_tmpfs, parse_volume};
use crate::container::request::{Defaults, LogDriver, PullPolicy, Request, Source};
use crate::container::secrets;
use crate::network::settings::HostInternal;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// The request of `run`.
pub fn of_run(run: Run) -> Result<Request> {
    let request = request(run.container, run.words)?;
    let stdin = run.attach.iter().any(|stream| stream.eq_ignore_ascii_case("stdin"));
    let (remove, interactive) = (request.remove || run.rmi, request.interactive || stdin);
    Ok(Request { detach: run.detach, remove, interactive, ..request })
}

/// The request of `create`.
pub fn of_create(create: Create) -> Result<Request> {
    request(create.container, create.words)
}

/// The part of a request that options of containers alone make: what the steps of a build are run with.
pub fn of_options(options: ContainerOptions) -> Result<Request> {
    request(options, Vec::new())
}

fn request(options: ContainerOptions, words: Vec<String>) -> Result<Request> {
    let mut words = words.into_iter();
    let first = words.next().unwrap_or_default();
    let source = if options.rootfs { rootfs(&first)? } else { Source::Image(first) };
    let mut mounts = Vec::new();
    for text in &options.volume {
        mounts.push(parse_volume(text)?);
    }
    for text in &options.mount {
        mounts.push(parse_mount(text)?);
    }
    for text in &options.tmpfs {
        mounts.push(parse_tmpfs(text)?);
    }
    let mut network = options.net.understand()?;
    network.settings.host_internal = options.configured.host_address.as_deref().map(HostInternal::parse).transpose()?;
    if let Some(text) = &options.stop_signal {
        signal::parse(text)?;
    }
    let mut request = Request {
        source,
        command: words.collect(),
        name: options.name,
        entrypoint: options.entrypoint.as_deref().map(entrypoint).transpose()?,
        env: options.env,
        env_files: options.env_file,
        workdir: options.workdir,
        user: options.user,
        hostname: options.net.hostname,
        timezone: options.tz,
        mounts,
        volumes_from: options.volumes_from,
        image_volumes: options.image_volume.as_deref().map(parse_image_volumes).transpose()?.unwrap_or_default(),
        secrets: options.secret.iter().map(|text| secrets::parse(text)).collect::<Result<_>>()?,
        read_only: options.read_only,
        size: crate::container::quota::parse(&options.storage_opt)?,
        network: network.mode,
        networking: network.settings,
        ports: network.ports,
        init: options.init,
        labels: labels(&options.label)?,
        pull: options.pull.as_deref().map_or(PullPolicy::default(), pull_policy),
        platform: options.platform.chosen()?,
        quiet: options.quiet,
        access: Rc::new(super::access::of(&options.access, &options.retry)?),
        stop_signal: options.stop_signal,
        stop_timeout: options.stop_timeout,
        defaults: Defaults {
            capabilities: options.configured.capabilities,
            stop_timeout: options.configured.stop_timeout,
            log_folder: options.configured.log_folder,
            host_ips: options.configured.host_ips,
            name_as_hostname: options.configured.name_as_hostname,
        },
        log_driver: LogDriver::ALL
            .iter()
            .find(|(word, _)| options.log_driver.as_deref() == Some(word))
            .map_or(LogDriver::default(), |(_, driver)| *driver),
        limits: super::limits::limits(options.limits)?,
        tty: options.tty,
        interactive: options.interactive,
        remove: options.rm,
        detach: false,
        cidfile: options.cidfile,
        life: super::life::life(options.life)?,
        ..Request::default()
    };
    super::rights::fill(options.rights, &mut request)?;
    request.env_changes.host = options.env_host;
    request.env_changes.defaults = options.configured.env;
    Ok(request)
}

/// `DIR`, `DIR:O` or `DIR:idmap`.
fn rootfs(text: &str) -> Result<Source> {
    let of = |path: &str, overlay, idmap| Source::Rootfs { path: PathBuf::from(path), overlay, idmap };
    Ok(match text.rsplit_once(':') {
        Some((path, "O")) => of(path, true, false),
        Some((path, "idmap")) => of(path, false, true),
        Some((_, "O,idmap" | "idmap,O")) => {
            return Err(fault(Kind::Usage, format!("`--rootfs {text}`: O and idmap do not go together")));
        }
        _ => of(text, false, false),
    })
}

/// A word, a JSON array, or nothing, which clears the image's.
fn entrypoint(text: &str) -> Result<Vec<String>> {
    if !text.starts_with('[') {
        return Ok(if text.is_empty() { Vec::new() } else { vec![text.to_owned()] });
    }
    serde_json::from_str(text).map_err(|error| {
        Fault::new(Kind::Usage, format!("`--entrypoint {text}` is not a JSON array of words"))
            .hint(r#"box run --entrypoint '["sh", "-c"]' IMAGE 'echo hello'"#)
            .because(error)
    })
}

/// `KEY=VALUE` or `KEY`; the last one wins.
fn labels(words: &[String]) -> Result<BTreeMap<String, String>> {
    let split = |word: &String| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key.is_empty() {
            true => Err(fault(Kind::Usage, format!("`--label {word}` has no key before the equals sign"))),
            false => Ok((key.to_owned(), value.to_owned())),
        }
    };
    words.iter().map(split).collect()
}

/// `--pull` and `--policy`; the words were checked by the declarations.
pub fn pull_policy(text: &str) -> PullPolicy {
    match text.to_ascii_lowercase().as_str() {
        "always" => PullPolicy::Always,
        "never" => PullPolicy::Never,
        "newer" | "ifnewer" => PullPolicy::Newer,
        _ => PullPolicy::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::Verb;
    use super::*;
    use crate::network::NetworkMode;
    use std::ffi::OsString;

    fn asked(words: &[&str]) -> Result<Request> {
        let words: Vec<OsString> = ["box", "run"].iter().chain(words).map(OsString::from).collect();
        match super::super::parse(&words).map_err(anyhow::Error::from)?.command {
            Verb::Run(run) => of_run(run),
            other => panic!("{other:?}"),
        }
    }

    fn check(words: &[&str], expected: impl Fn(&Request) -> bool) {
        let request = asked(words).unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
        assert!(expected(&request), "{words:?}: {request:#?}");
    }

    #[test]
    fn flags_end_at_the_image() {
        let image = |request: &Request| matches!(&request.source, Source::Image(name) if name == "alpine");
        check(&["alpine"], |r| image(r) && r.command.is_empty() && !r.tty);
        check(&["-it", "alpine", "sh"], |r| image(r) && r.tty && r.interactive && r.command == ["sh"]);
        check(&["alpine", "ls", "-it", "--rm"], |r| image(r) && !r.tty && r.command == ["ls", "-it", "--rm"]);
        check(&["alpine", "--rm"], |r| image(r) && !r.remove && r.command == ["--rm"]);
        check(&["alpine", "-x", "--", "y"], |r| r.command == ["-x", "--", "y"]);
        check(&["alpine", "--", "y"], |r| r.command == ["--", "y"]);
        check(&["--rm", "--", "alpine", "-v"], |r| image(r) && r.remove && r.command == ["-v"]);
        check(&["alpine", "--help"], |r| r.command == ["--help"]);
        check(&["alpine", "--timing", "--root", "x"], |r| r.command == ["--timing", "--root", "x"]);
        check(&["--name", "run", "alpine", "run"], |r| r.name.as_deref() == Some("run") && r.command == ["run"]);
    }

    #[test]
    fn switches_take_values_as_in_go() {
        for (word, on) in [
            ("--rm", true),
            ("--rm=true", true),
            ("--rm=1", true),
            ("--rm=t", true),
            ("--rm=TRUE", true),
            ("--rm=false", false),
            ("--rm=0", false),
            ("--rm=f", false),
        ] {
            check(&[word, "alpine"], |r| r.remove == on);
        }
        check(&["--rm", "--rm=false", "alpine"], |r| !r.remove);
        check(&["-t=false", "-i=true", "alpine"], |r| !r.tty && r.interactive);
        check(&["-itd", "alpine"], |r| r.tty && r.interactive && r.detach);
        check(&["-dp8080:80", "alpine"], |r| r.detach && r.ports.len() == 1);
        check(&["--tls-verify=false", "alpine"], |r| r.access.tls_verify == Some(false));
        check(&["--tls-verify", "alpine"], |r| r.access.tls_verify == Some(true));
        assert!(asked(&["--rm=maybe", "alpine"]).is_err());
    }

    #[test]
    fn values() {
        check(&["-e=A=b", "-e", "C", "--env=D=e f", "-eX=", "alpine"], |r| r.env == ["A=b", "C", "D=e f", "X="]);
        check(&["-v", "/a:/b:ro", "--tmpfs", "/c", "alpine"], |r| r.mounts.len() == 2 && r.mounts[0].options.read_only);
        check(&["--net=host", "alpine"], |r| r.network == Some(NetworkMode::Host));
        check(&["--network", "none", "alpine"], |r| r.network == Some(NetworkMode::None));
        check(&["--network", "a:ip=10.1.1.2", "--network-alias=x", "--mac-address=02:00:00:00:00:01", "alpine"], |r| {
            let [one] = r.networking.attachments.as_slice() else { return false };
            r.network == Some(NetworkMode::Bridge) && one.aliases == ["x"] && one.ip.is_some() && one.mac.is_some()
        });
        check(&["--dns=none", "--no-hosts", "-P", "--expose=80-81", "--http-proxy=false", "alpine"], |r| {
            let net = &r.networking;
            let files = net.keep_resolv_conf && net.no_hosts;
            files && net.publish_all && net.expose.len() == 2 && net.no_proxy_variables
        });
        check(&["-l", "a=b=c", "-la=d", "--label", "e", "alpine"], |r| {
            r.labels.get("a").is_some_and(|v| v == "d") && r.labels.get("e").is_some_and(String::is_empty)
        });
        check(&["--entrypoint", "", "alpine"], |r| r.entrypoint.as_ref().is_some_and(Vec::is_empty));
        check(&["--entrypoint", "a b", "alpine"], |r| r.entrypoint.as_deref() == Some(&["a b".to_owned()]));
        check(&["--entrypoint", r#"["a", "b"]"#, "alpine"], |r| r.entrypoint.as_ref().is_some_and(|e| e.len() == 2));
        check(&["--cap-add=NET_RAW,SYS_TIME", "--cap-drop", "all", "alpine"], |r| {
            r.cap_add == ["NET_RAW", "SYS_TIME"] && r.cap_drop == ["all"]
        });
        check(&["--pull=Never", "alpine"], |r| r.pull == PullPolicy::Never);
        check(&["--log-driver", "json-file", "alpine"], |r| r.log_driver == LogDriver::JsonFile);
        check(&["--pid", "host", "--ipc=host", "--uts=host", "alpine"], |r| {
            r.pid.is_host() && r.ipc.is_host() && r.uts.is_host()
        });
        check(&["--userns", "keep-id", "alpine"], |r| r.userns.to_string() == "keep-id");
        check(&["--userns=", "alpine"], |r| !r.userns.is_apart());
        check(&["-h", "web", "alpine"], |r| r.hostname.as_deref() == Some("web"));
        check(&["--rootfs", "/srv/x:O", "sh"], |r| {
            r.command == ["sh"]
                && matches!(&r.source, Source::Rootfs { overlay: true, path, .. } if path.as_os_str() == "/srv/x")
        });
        check(
            &["--rootfs", "/srv/x:y:idmap", "sh"],
            |r| matches!(&r.source, Source::Rootfs { overlay: false, idmap: true, path } if path.as_os_str() == "/srv/x:y"),
        );
        check(&["--stop-timeout", "3", "--stop-signal=INT", "alpine"], |r| r.stop_timeout == Some(3));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["--network", "none:x", "alpine"][..],
            &["-p", "x", "alpine"],
            &["-v", "na,me:/x", "alpine"],
            &["--ip", "10.0.0.1", "alpine"],
            &["--network-alias", "x", "alpine"],
            &["--network", "a", "--network", "b", "--ip", "10.0.0.1", "alpine"],
            &["--dns", "x", "alpine"],
            &["--add-host", "x", "alpine"],
            &["--pid", "container:", "alpine"],
            &["--userns", "all", "alpine"],
            &["--userns", "nomap", "--uidmap", "0:1:5", "alpine"],
            &["--subuidname", "x", "--gidmap", "0:1:5", "alpine"],
            &["--stop-signal", "NOPE", "alpine"],
            &["--entrypoint", "[1]", "alpine"],
            &["-l", "=x", "alpine"],
            &["--log-driver", "pigeon", "alpine"],
            &["--pull", "perhaps", "alpine"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }
}
