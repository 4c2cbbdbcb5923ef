//! `inspect`: a container as podman's JSON, with the keys that scripts read.

use super::config::{Config, RootSource};
use super::mounts::{Mount, Source};
use super::record::{Container, Status};
use super::secrets::{Delivery, Given};
use crate::base::signal;
use crate::base::time::rfc3339;
use crate::engine::Engine;
use crate::network::PortMapping;
use crate::runtime::cgroup::Cgroup;
use serde_json::{Map, Value, json};

/// Go's zero time, which podman and docker print for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The container as one JSON object.
pub fn inspect(engine: &Engine, container: &Container) -> Value {
    let container = &container.clone().with_updates();
    let config = &container.config;
    let status = container.status();
    let running = matches!(&status, Status::Running(run) if !run.paused);
    let text = |name: &str| container.dir.join(name).display().to_string();
    let (image, digest) = match &config.root {
        RootSource::Image { id, manifest, .. } => (id.digits().to_owned(), manifest.to_string()),
        RootSource::Layers { .. } | RootSource::Rootfs { .. } => (String::new(), String::new()),
    };
    let rootfs =
        if let RootSource::Rootfs { path, .. } = &config.root { path.display().to_string() } else { String::new() };
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
    let lower: Vec<String> =
        config.layers().iter().rev().map(|layer| engine.store.layer_path(layer).display().to_string()).collect();
    json!({
        "Id": config.id,
        "Created": time(config.created),
        "Path": config.args.first(),
        "Args": config.args.get(1..).unwrap_or_default(),
        "State": state(container, &status, running),
        "Image": image,
        "ImageDigest": digest,
        "ImageName": config.image_name(),
        "Rootfs": rootfs,
        "Pod": "",
        "ResolvConfPath": text("resolv.conf"),
        "HostnamePath": text("hostname"),
        "HostsPath": text("hosts"),
        "StaticDir": container.dir.display().to_string(),
        "OCIRuntime": config.runtime.as_ref().map_or("box".into(), |path| path.display().to_string()),
        "Name": config.name,
        "RestartCount": super::Summary { container: container.clone(), status: status.clone() }.restarts(),
        "PidFile": path(&config.life.pidfile),
        "ConmonPidFile": path(&config.life.monitor_pidfile),
        "Driver": "overlay",
        "EffectiveCaps": config.capabilities,
        "BoundingCaps": config.capabilities,
        "ExecIDs": [],
        "GraphDriver": {
            "Name": "overlay",
            "Data": { "LowerDir": lower.join(":"), "UpperDir": text("upper"), "WorkDir": text("work") },
        },
        "Mounts": mounts(engine, container),
        "Dependencies": config.life.requires.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "NetworkSettings": super::network_inspect::settings(container, &status),
        "Namespace": "",
        "IsInfra": false,
        "Config": config_keys(config),
        "HostConfig": host_config(container),
    })
}

/// Nanoseconds since 1970 as RFC 3339.
fn time(at: i64) -> String {
    rfc3339(&chrono::DateTime::from_timestamp_nanos(at))
}

fn state(container: &Container, status: &Status, running: bool) -> Value {
    let health = container.config.life.health.as_ref().map_or(Value::Null, |_| health(&super::health::read(container)));
    let (pid, monitor) = match status {
        Status::Running(run) | Status::Restarting(run) => (run.pid, run.monitor),
        _ => (0, 0),
    };
    let (code, started, finished, error) = match status {
        Status::Exited(exit) => (exit.code, exit.started, exit.finished, exit.error.as_str()),
        Status::Running(run) => (0, run.started, 0, ""),
        Status::Restarting(run) => run
            .waits
            .as_ref()
            .map_or((0, 0, 0, ""), |exit| (exit.code, exit.started, exit.finished, exit.error.as_str())),
        _ => (0, 0, 0, ""),
    };
    let (paused, cgroup) = match status {
        Status::Running(run) => (run.paused, run.cgroup.as_ref().map(Cgroup::path)),
        _ => (false, None),
    };
    let moment = |at: i64| if at == 0 { NEVER.to_owned() } else { time(at) };
    json!({
        "OciVersion": "1.3.0",
        "Status": status.word(),
        "Running": running,
        "Paused": paused,
        "Restarting": matches!(status, Status::Restarting(_)),
        "OOMKilled": matches!(status, Status::Exited(exit) if exit.oom_killed),
        "Dead": false,
        "Pid": pid,
        "ConmonPid": monitor,
        "ExitCode": code,
        "Error": error,
        "StartedAt": moment(started),
        "FinishedAt": moment(finished),
        "CgroupPath": cgroup.unwrap_or_default(),
        "Health": health,
        "StoppedByUser": container.stopped_mark().exists(),
    })
}

fn health(health: &super::health::Health) -> Value {
    let entry = |checked: &super::health::Checked| json!({ "Start": time(checked.start), "End": time(checked.end), "ExitCode": checked.code, "Output": checked.output });
    json!({
        "Status": health.status,
        "FailingStreak": health.streak,
        "Log": health.log.iter().map(entry).collect::<Vec<_>>(),
    })
}

/// The check as docker's config has it.
fn healthcheck(config: &Config) -> Value {
    let Some(check) = &config.life.health else { return Value::Null };
    json!({
        "Test": check.test,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Interval": check.interval,
        "Timeout": check.timeout,
        "Retries": check.retries,
    })
}

/// `[{HostIp, HostPort}]` by `80/tcp`; null for a port that is exposed and not published.
pub(super) fn port_map(ports: &[PortMapping], exposed: &[String]) -> Value {
    let mut map = Map::new();
    for port in exposed {
        let key = if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
        map.insert(key, Value::Null);
    }
    for port in ports {
        let key = format!("{}/{}", port.container_port, port.protocol);
        let ip = port.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        let entry = json!({ "HostIp": ip, "HostPort": port.host_port.to_string() });
        match map.get_mut(&key) {
            Some(Value::Array(list)) => list.push(entry),
            _ => drop(map.insert(key, json!([entry]))),
        }
    }
    Value::Object(map)
}

fn mounts(engine: &Engine, container: &Container) -> Value {
    container.config.mounts.iter().filter_map(|mount| mount_keys(engine, mount)).collect()
}

/// A folder or volume; podman lists no file systems of the container's own here.
fn mount_keys(engine: &Engine, mount: &Mount) -> Option<Value> {
    let options = &mount.options;
    let (kind, name, source, driver) = match &mount.source {
        Source::Bind { source } => ("bind", None, source.display().to_string(), String::new()),
        Source::Volume { name, .. } => {
            let volume = crate::volume::record::load(&engine.dirs, name);
            let place = volume.as_ref().map(|volume| volume.mount_point().display().to_string()).unwrap_or_default();
            let driver = volume.map_or_else(|| "local".to_owned(), |volume| volume.record.driver);
            ("volume", Some(name.clone()), place, driver)
        }
        Source::Image { reference, .. } => ("image", None, reference.clone(), String::new()),
        Source::Tmpfs | Source::Devpts | Source::Glob { .. } => return None,
    };
    let mut words = vec![if options.single { "bind" } else { "rbind" }.to_owned()];
    words.extend(options.flags.iter().cloned());
    let mut keys = json!({
        "Type": kind,
        "Source": source,
        "Destination": mount.target.display().to_string(),
        "Driver": driver,
        "Mode": "",
        "Options": words,
        "RW": !options.read_only,
        "Propagation": options.propagation.as_deref().unwrap_or("rprivate"),
    });
    if let Some(name) = name {
        keys["Name"] = json!(name);
    }
    if let Some(path) = &options.subpath {
        keys["SubPath"] = json!(path.display().to_string());
    }
    Some(keys)
}

fn config_keys(config: &Config) -> Value {
    let (entrypoint, command) = config.args.split_at(config.entrypoint_len.min(config.args.len()));
    let set = |names: Vec<String>| -> Value {
        if names.is_empty() { Value::Null } else { names.into_iter().map(|name| (name, json!({}))).collect() }
    };
    json!({
        "Hostname": config.hostname,
        "Domainname": config.networking.domainname.as_deref().unwrap_or_default(),
        "User": config.user,
        "AttachStdin": config.interactive,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": config.tty,
        "OpenStdin": config.interactive,
        "StdinOnce": config.stdin_once,
        "Env": config.env,
        "Cmd": command,
        "Image": config.image_name(),
        "Volumes": set(anonymous_volumes(config)),
        "WorkingDir": config.workdir,
        "Entrypoint": entrypoint,
        "Labels": config.labels,
        "Secrets": secrets(config),
        "StopSignal": signal::name(config.stop_signal),
        "StopTimeout": config.stop_timeout,
        "ExposedPorts": set(config.exposed.clone()),
        "Healthcheck": healthcheck(config),
        "HealthcheckOnFailureAction": config.life.health.as_ref().map(|check| check.on_failure),
        "Timeout": config.life.timeout.unwrap_or(0),
    })
}

/// The log: its driver, file and limits.
fn log_config(container: &Container) -> Value {
    let options = &container.config.life.log;
    let kept = super::logs::config(container);
    let mut config = Map::new();
    let mut put = |key: &str, value: Option<String>| {
        value.map(|value| config.insert(key.to_owned(), Value::String(value)));
    };
    put("max-size", options.max_size.map(|size| size.to_string()));
    put("max-file", options.max_files.map(|count| count.to_string()));
    put("tag", options.tag.clone());
    json!({
        "Type": container.config.log_driver.word(),
        "Config": config,
        "Path": kept.path.display().to_string(),
        "Tag": options.tag.clone().unwrap_or_default(),
        "Size": crate::base::units::human_size(kept.max_size, 3),
    })
}

/// Which secrets it is given, without a word of their values.
fn secrets(config: &Config) -> Value {
    let keys = |given: &Given| match &given.delivery {
        Delivery::Mount { target, uid, gid, mode } => {
            json!({ "Name": given.name, "Target": target.display().to_string(), "UID": uid, "GID": gid, "Mode": mode })
        }
        Delivery::Env { target } => json!({ "Name": given.name, "Env": target }),
    };
    config.secrets.iter().map(keys).collect()
}

/// What the image declares, where nothing else was mounted there.
fn anonymous_volumes(config: &Config) -> Vec<String> {
    let anonymous = |mount: &&Mount| matches!(mount.source, Source::Volume { anonymous: true, .. });
    config.mounts.iter().filter(anonymous).map(|mount| mount.target.display().to_string()).collect()
}

fn host_config(container: &Container) -> Value {
    let config = &container.config;
    let mut binds = Vec::new();
    let mut tmpfs = Map::new();
    for mount in &config.mounts {
        let target = mount.target.display();
        let mode = if mount.options.read_only { "ro" } else { "rw" };
        match &mount.source {
            Source::Bind { source } => binds.push(format!("{}:{target}:{mode}", source.display())),
            Source::Volume { name, .. } => binds.push(format!("{name}:{target}:{mode}")),
            Source::Tmpfs => {
                let words = [mount.options.flags.as_slice(), mount.options.data.as_slice()].concat();
                drop(tmpfs.insert(target.to_string(), json!(words.join(","))));
            }
            _ => {}
        }
    }
    let mut object = json!({
        "Binds": binds,
        "ContainerIDFile": config.cidfile.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        "LogConfig": log_config(container),
        "NetworkMode": config.network.to_string(),
        "PortBindings": port_map(&config.ports, &[]),
        "RestartPolicy": { "Name": config.life.restart.word(), "MaximumRetryCount": config.life.restart.limit() },
        "AutoRemove": config.remove,
        "CapAdd": config.cap_add,
        "CapDrop": config.cap_drop,
        "Init": config.init,
        "IpcMode": config.ipc,
        "PidMode": config.pid,
        "UTSMode": config.uts,
        "UsernsMode": if config.userns.is_apart() { config.userns.to_string() } else { String::new() },
        "Privileged": config.privileged,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": config.rights.security.words,
        "GroupAdd": config.rights.groups,
        "Sysctls": config.rights.sysctls,
        "Annotations": config.rights.annotations,
        "Devices": config.rights.devices.iter().map(|device| json!({
            "PathOnHost": device.host, "PathInContainer": device.container, "CgroupPermissions": device.access,
        })).collect::<Vec<_>>(),
        "DeviceCgroupRules": config.rights.device_rules,
        "Dns": config.networking.dns,
        "DnsOptions": config.networking.dns_options,
        "DnsSearch": config.networking.dns_search,
        "ExtraHosts": config.networking.add_hosts.iter().map(|host| {
            let address = host.address.map_or_else(|| "host-gateway".to_owned(), |address| address.to_string());
            format!("{}:{address}", host.names.join(";"))
        }).collect::<Vec<_>>(),
        "Tmpfs": tmpfs,
    });
    if let (Value::Object(object), Value::Object(limits)) = (&mut object, super::limits::host_config(config)) {
        object.extend(limits);
    }
    object
}
