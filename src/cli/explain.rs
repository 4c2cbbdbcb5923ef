//! `run --dry-run` and `create --dry-run`: what the container would be, and with `--explain` where that comes from.

use super::args::Globals;
use super::defaults::Understood;
use super::{output, session};
use crate::container;
use crate::oci::image::ImageConfig;
use anyhow::Result;
use serde_json::Value;

/// A line: what it is called, where it is in what `inspect` prints, and the options that say it.
type Row = (&'static str, &'static str, &'static [&'static str]);

const ROWS: [Row; 51] = [
    ("name", "/Name", &["name"]),
    ("image", "/ImageName", &["words"]),
    ("root folder", "/Rootfs", &["rootfs"]),
    ("entrypoint", "/Config/Entrypoint", &["entrypoint"]),
    ("command", "/Config/Cmd", &["command"]),
    (
        "environment",
        "/Config/Env",
        &["env", "env_file", "env_host", "env_merge", "unsetenv", "unsetenv_all", "http_proxy"],
    ),
    ("working folder", "/Config/WorkingDir", &["workdir"]),
    ("user", "/Config/User", &["user"]),
    ("groups", "/HostConfig/GroupAdd", &["group_add"]),
    ("host name", "/Config/Hostname", &["hostname"]),
    ("domain", "/Config/Domainname", &["domainname"]),
    ("terminal", "/Config/Tty", &["tty"]),
    ("stdin", "/Config/OpenStdin", &["interactive", "attach"]),
    ("labels", "/Config/Labels", &["label", "label_file"]),
    ("annotations", "/HostConfig/Annotations", &["annotation"]),
    ("init", "/HostConfig/Init", &["init"]),
    ("stop signal", "/Config/StopSignal", &["stop_signal"]),
    ("stop timeout", "/Config/StopTimeout", &["stop_timeout"]),
    ("health check", "/Config/Healthcheck", &["health_cmd", "health_interval", "health_retries", "no_healthcheck"]),
    ("restart", "/HostConfig/RestartPolicy/Name", &["restart"]),
    ("removed at its end", "/HostConfig/AutoRemove", &["rm", "rmi"]),
    ("log driver", "/HostConfig/LogConfig/Type", &["log_driver"]),
    ("log options", "/HostConfig/LogConfig/Config", &["log_opt"]),
    ("mounts", "/Mounts", &["volume", "mount", "volumes_from", "image_volume", "tz"]),
    ("memory mounts", "/HostConfig/Tmpfs", &["tmpfs", "mount"]),
    ("secrets", "/Config/Secrets", &["secret"]),
    ("root is read-only", "/HostConfig/ReadonlyRootfs", &["read_only", "hardened"]),
    ("network", "/HostConfig/NetworkMode", &["network"]),
    ("ports", "/HostConfig/PortBindings", &["publish", "publish_all"]),
    ("exposed ports", "/Config/ExposedPorts", &["expose"]),
    ("name servers", "/HostConfig/Dns", &["dns"]),
    ("search domains", "/HostConfig/DnsSearch", &["dns_search"]),
    ("resolver options", "/HostConfig/DnsOptions", &["dns_option"]),
    ("hosts", "/HostConfig/ExtraHosts", &["add_host"]),
    ("privileged", "/HostConfig/Privileged", &["privileged"]),
    ("capabilities", "/BoundingCaps", &["cap_add", "cap_drop", "privileged", "hardened"]),
    ("security", "/HostConfig/SecurityOpt", &["security_opt", "hardened"]),
    ("sysctls", "/HostConfig/Sysctls", &["sysctl"]),
    ("devices", "/HostConfig/Devices", &["device", "gpus"]),
    ("process ids", "/HostConfig/PidMode", &["pid"]),
    ("ipc", "/HostConfig/IpcMode", &["ipc"]),
    ("host names", "/HostConfig/UTSMode", &["uts"]),
    ("user ids", "/HostConfig/UsernsMode", &["userns", "uidmap", "gidmap", "subuidname", "subgidname"]),
    ("cgroup", "/HostConfig/Cgroups", &["cgroups"]),
    ("cgroup namespace", "/HostConfig/CgroupnsMode", &["cgroupns"]),
    ("memory", "/HostConfig/Memory", &["memory"]),
    ("processors", "/HostConfig/NanoCpus", &["cpus", "cpu_quota"]),
    ("processes", "/HostConfig/PidsLimit", &["pids_limit"]),
    ("shared memory", "/HostConfig/ShmSize", &["shm_size"]),
    ("ulimits", "/HostConfig/Ulimits", &["ulimit"]),
    ("runtime", "/OCIRuntime", &["runtime"]),
];

/// Print what the container would be; with `sources`, where each value comes from.
pub fn explain(understood: Understood, sources: bool, globals: &Globals) -> Result<u8> {
    let Understood { request, conf, configured } = understood;
    let engine = session::open(globals)?;
    let has_command = !request.command.is_empty();
    let (container, image) = container::rehearse(&engine, request)?;
    let facts = container::inspect(&engine, &container);
    let from = |fields: &[&str], label: &str| {
        let typed = |field: &&str| match *field {
            "command" => has_command,
            field => configured.given.iter().any(|given| given == field),
        };
        let mut from = Vec::new();
        if fields.iter().any(typed) {
            from.push("command line".to_owned());
        }
        for key in fields.iter().filter_map(|field| configured.keys.get(field)) {
            let files = conf.get(key).map(|setting| setting.shown_files()).unwrap_or_default();
            from.push(format!("{key} of `{files}`"));
        }
        // What is typed or configured stands in place of the image's, but for what is put together.
        let together = ["environment", "labels", "mounts", "exposed ports"].contains(&label);
        if says(&image, label) && (from.is_empty() || together) {
            from.push("image".to_owned());
        }
        if from.is_empty() { "default".to_owned() } else { from.join(", ") }
    };
    let mut rows = vec![line("SETTING", "VALUE", sources.then(|| "FROM".to_owned()))];
    for (label, pointer, fields) in ROWS {
        let values = facts.pointer(pointer).map(values).unwrap_or_default();
        for (number, value) in values.iter().enumerate() {
            let first = number == 0;
            rows.push(line(
                if first { label } else { "" },
                value,
                sources.then(|| if first { from(fields, label) } else { String::new() }),
            ));
        }
    }
    output::print(&output::table(&rows))?;
    Ok(0)
}

fn line(label: &str, value: &str, from: Option<String>) -> Vec<String> {
    [label.to_owned(), value.to_owned()].into_iter().chain(from).collect()
}

/// Whether the image has a say in a line.
fn says(image: &ImageConfig, label: &str) -> bool {
    match label {
        "entrypoint" => image.entrypoint.is_some(),
        "command" => image.cmd.is_some(),
        "environment" => !image.env.is_empty(),
        "working folder" => !image.working_dir.is_empty(),
        "user" => !image.user.is_empty(),
        "labels" => !image.labels.is_empty(),
        "stop signal" => image.stop_signal.is_some(),
        "stop timeout" => image.stop_timeout.is_some(),
        "health check" => image.healthcheck.is_some(),
        "mounts" => !image.volumes.is_empty(),
        "exposed ports" => !image.exposed_ports.is_empty(),
        _ => false,
    }
}

/// A value as lines; none for nothing.
fn values(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().map(short).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}={}", short(value))).collect(),
        other => vec![other.to_string()],
    }
}

/// A part of a value in one line.
fn short(value: &Value) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) if map.contains_key("Destination") => {
            let access = if value["RW"] == true { "rw" } else { "ro" };
            let source = if text("Source").is_empty() { text("Name") } else { text("Source") };
            let source = if source.is_empty() { "(a new volume)" } else { source };
            format!("{} {source} at {} ({access})", text("Type"), text("Destination"))
        }
        Value::Object(map) if map.is_empty() => String::new(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key}={}", short(value))).collect::<Vec<_>>().join(",")
        }
        Value::Array(list) => list.iter().map(short).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_lines() {
        for (value, lines) in [
            (json!(null), vec![]),
            (json!(""), vec![]),
            (json!([]), vec![]),
            (json!(false), vec!["false"]),
            (json!(["a b", "c"]), vec!["a b", "c"]),
            (
                json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}),
                vec!["80/tcp=HostIp=0.0.0.0,HostPort=8080"],
            ),
            (json!({"x": {}}), vec!["x="]),
            (json!([{"Type": "bind", "Source": "/a", "Destination": "/b", "RW": false}]), vec!["bind /a at /b (ro)"]),
        ] {
            assert_eq!(values(&value), lines, "{value}");
        }
    }
}
