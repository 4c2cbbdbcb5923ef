//! `NetworkSettings` of `inspect`, and `network inspect`: podman's keys.

use super::inspect::port_map;
use super::networks;
use super::record::{Container, Status};
use crate::base::time::rfc3339;
use crate::engine::Engine;
use crate::network::hub::Lease;
use crate::network::record::Record;
use crate::network::{self, NetworkMode, SlirpAddresses};
use serde_json::{Map, Value, json};

/// What a container has of networks.
pub(super) fn settings(container: &Container, status: &Status) -> Value {
    let config = &container.config;
    let run = if let Status::Running(run) = status { Some(run) } else { None };
    let ports = run.map(|run| run.ports.as_slice()).unwrap_or_default();
    let leases = if run.is_some() { networks::leases(container) } else { Vec::new() };
    let mut entries = Map::new();
    if config.network == NetworkMode::Bridge {
        for attachment in networks::attachments(container) {
            let lease = leases.iter().find(|lease| lease.record.name == attachment.network);
            let aliases = [attachment.aliases.clone(), vec![config.id.short().to_owned()]].concat();
            entries.insert(attachment.network.clone(), entry(lease, &attachment.network, &aliases));
        }
    } else {
        let (address, gateway, prefix) = if run.is_some() { mode_addresses(container) } else { Default::default() };
        let mode = config.network.to_string();
        let entry = json!({ "IPAddress": address, "Gateway": gateway, "IPPrefixLen": prefix, "NetworkID": mode, "Aliases": [] });
        entries.insert(mode, entry);
    }
    let first = entries.values().next().cloned().unwrap_or_default();
    let of_first = |key: &str, default: Value| first.get(key).cloned().unwrap_or(default);
    json!({
        "EndpointID": "",
        "Gateway": of_first("Gateway", "".into()),
        "IPAddress": of_first("IPAddress", "".into()),
        "IPPrefixLen": of_first("IPPrefixLen", 0.into()),
        "IPv6Gateway": of_first("IPv6Gateway", "".into()),
        "GlobalIPv6Address": of_first("GlobalIPv6Address", "".into()),
        "GlobalIPv6PrefixLen": of_first("GlobalIPv6PrefixLen", 0.into()),
        "MacAddress": of_first("MacAddress", "".into()),
        "Bridge": "",
        "SandboxID": "",
        "Ports": port_map(ports, &config.exposed),
        "SandboxKey": run.map(|run| format!("/proc/{}/ns/net", run.pid)).unwrap_or_default(),
        "Networks": entries,
    })
}

fn entry(lease: Option<&Lease>, network: &str, aliases: &[String]) -> Value {
    let addresses = lease.map(|lease| lease.addresses.as_slice()).unwrap_or_default();
    let of_family = |ipv6: bool| addresses.iter().find(|address| address.address.is_ipv6() == ipv6);
    let (four, six) = (of_family(false), of_family(true));
    let text = |value: Option<std::net::IpAddr>| value.map(|ip| ip.to_string()).unwrap_or_default();
    json!({
        "EndpointID": "",
        "Gateway": text(four.map(|address| address.gateway)),
        "IPAddress": text(four.map(|address| address.address)),
        "IPPrefixLen": four.map_or(0, |address| address.length),
        "IPv6Gateway": text(six.map(|address| address.gateway)),
        "GlobalIPv6Address": text(six.map(|address| address.address)),
        "GlobalIPv6PrefixLen": six.map_or(0, |address| address.length),
        "MacAddress": lease.map(|lease| lease.mac.to_string()).unwrap_or_default(),
        "NetworkID": lease.map_or(network, |lease| lease.record.id.as_str()),
        "DriverOpts": Value::Null,
        "IPAMConfig": Value::Null,
        "Links": Value::Null,
        "Aliases": aliases,
    })
}

/// Address, gateway and prefix length of a running container in no user network.
fn mode_addresses(container: &Container) -> (String, String, u8) {
    match &container.config.network {
        NetworkMode::Slirp4netns => {
            let addresses = SlirpAddresses::of(&container.config.networking.slirp);
            (addresses.container.to_string(), addresses.gateway.to_string(), addresses.prefix)
        }
        NetworkMode::Pasta => match network::host_address() {
            Some(address) => (address.to_string(), String::new(), 32),
            None => Default::default(),
        },
        _ => Default::default(),
    }
}

/// A network as podman's JSON, with the containers that run in it.
pub fn inspect_network(engine: &Engine, record: &Record) -> Value {
    let mut containers = Map::new();
    for container in networks::users_of(engine, &record.name) {
        let Status::Running(_) = container.status() else { continue };
        let leases = networks::leases(&container);
        let Some(lease) = leases.iter().find(|lease| lease.record.id == record.id) else { continue };
        let subnets: Vec<Value> = lease
            .addresses
            .iter()
            .map(|a| json!({ "ipnet": format!("{}/{}", a.address, a.length), "gateway": a.gateway }))
            .collect();
        let interface = json!({ "subnets": subnets, "mac_address": lease.mac });
        let value = json!({ "name": container.config.name, "interfaces": { lease.interface.clone(): interface } });
        containers.insert(container.config.id.to_string(), value);
    }
    let subnets: Vec<Value> = record
        .subnets
        .iter()
        .map(|subnet| {
            let mut value = json!({ "subnet": subnet.subnet, "gateway": subnet.gateway });
            if let (Some((first, last)), Some(map)) = (subnet.range, value.as_object_mut()) {
                map.insert("lease_range".into(), json!({ "start_ip": first, "end_ip": last }));
            }
            value
        })
        .collect();
    let routes: Vec<Value> = record
        .routes
        .iter()
        .map(|route| json!({ "destination": route.destination, "gateway": route.gateway, "metric": route.metric }))
        .collect();
    json!({
        "name": record.name,
        "id": record.id,
        "driver": record.driver.word(),
        "network_interface": record.interface,
        "created": rfc3339(&chrono::DateTime::from_timestamp_nanos(record.created)),
        "subnets": subnets,
        "routes": routes,
        "ipv6_enabled": record.subnets.iter().any(|subnet| subnet.subnet.is_ipv6()),
        "internal": record.internal,
        "dns_enabled": record.dns,
        "network_dns_servers": record.dns_servers,
        "labels": record.labels,
        "options": record.options,
        "ipam_options": { "driver": "host-local" },
        "containers": containers,
    })
}
