//! `update --publish-add` and `--publish-rm`: published ports that change while the container runs.
//!
//! The command listens, as it may and as a start does; the container's monitor gets the listening sockets and a new
//! forwarder for all that is published then. The old one goes on with the connections that it has.

use super::record::{Container, Run, Status};
use super::start::owner;
use crate::base::error::{Fault, Kind, fault};
use crate::engine::Engine;
use crate::monitor;
use crate::network::{self, Listener, NetworkMode, PortMapping};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};

/// What a monitor is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Listen no more for these.
    remove: Vec<PortMapping>,
    /// Serve these sockets, which are beside the request, in this order; whether each is of IPv6.
    add: Vec<(PortMapping, bool)>,
}

impl Request {
    /// What listens after it, of what listens now and what came beside it; and what is published then.
    pub(super) fn apply(
        self,
        mut listeners: Vec<Listener>,
        mut ports: Vec<PortMapping>,
        fds: Vec<OwnedFd>,
    ) -> Result<(Vec<Listener>, Vec<PortMapping>)> {
        anyhow::ensure!(fds.len() == self.add.len(), "sockets are missing");
        listeners.retain(|listener| !self.remove.iter().any(|mapping| listener.is_of(mapping)));
        ports.retain(|port| !self.remove.contains(port));
        for ((mapping, ipv6), fd) in self.add.into_iter().zip(fds) {
            listeners.push(Listener::received(fd, &mapping, ipv6));
            if !ports.contains(&mapping) {
                ports.push(mapping);
            }
        }
        Ok((listeners, ports))
    }
}

/// Change what a container publishes, at once if it runs; what it is to publish from then on.
///
/// In `remove`, a host's port of 0 and a missing address mean any. Call this before the user namespace is joined.
/// Errors: a port that is taken ([`Kind::InUse`]), after which all is as before; one that is not published
/// ([`Kind::NotFound`]); a network without ports.
pub(super) fn change(
    engine: &Engine,
    container: &Container,
    add: Vec<PortMapping>,
    remove: &[PortMapping],
) -> Result<Vec<PortMapping>> {
    check_mode(&container.config.network)?;
    let mut wanted = container.config.ports.clone();
    let run = match container.status() {
        Status::Running(run) => Some(run),
        _ => None,
    };
    let shown = run.as_ref().map_or_else(|| wanted.clone(), |run| run.ports.clone());
    if let Some(missing) = remove.iter().find(|selector| !shown.iter().any(|port| selects(selector, port))) {
        let text = format!("port {}/{} is not published", missing.container_port, missing.protocol);
        return Err(Fault::new(Kind::NotFound, text).hint(format!("box port {}", container.config.name)).into());
    }
    let goes = |port: &PortMapping| remove.iter().any(|selector| selects(selector, port));
    let removed: Vec<PortMapping> = shown.iter().filter(|port| goes(port)).cloned().collect();
    // The ports of a run stand in the order of those that were wanted, with those decided that were left open.
    let mut decided = shown.iter();
    let parallel = shown.len() == wanted.len();
    wanted.retain(|port| !goes(if parallel { decided.next().unwrap_or(port) } else { port }));
    if let Some(port) = add.iter().find(|port| wanted.iter().any(|other| is_same_place(other, port))) {
        return Err(fault(Kind::InUse, format!("port {} is published already", port.host_port)));
    }
    wanted.extend(add.iter().cloned());
    if let Some(run) = run {
        exchange(engine, container, &run, add, &removed)?;
    }
    Ok(wanted)
}

fn check_mode(mode: &NetworkMode) -> Result<()> {
    let why = match mode {
        NetworkMode::None => "nothing leads there",
        NetworkMode::Host => "it has all ports of the host",
        NetworkMode::Container(_) => "they are those of the container whose network it shares",
        _ => return Ok(()),
    };
    Err(fault(Kind::Usage, format!("the network `{mode}` has no published ports: {why}")))
}

fn selects(selector: &PortMapping, port: &PortMapping) -> bool {
    (selector.container_port, selector.protocol) == (port.container_port, port.protocol)
        && (selector.host_port == 0 || selector.host_port == port.host_port)
        && (selector.host_ip.is_none() || selector.host_ip == port.host_ip)
}

fn is_same_place(one: &PortMapping, other: &PortMapping) -> bool {
    let place = |port: &PortMapping| (port.host_ip, port.host_port, port.host_port_last, port.protocol);
    one.host_port != 0 && place(one) == place(other)
}

/// Have the monitor let go of some ports and take others. What is let go of can be taken anew at once; if something
/// cannot be taken, all is as before.
fn exchange(
    engine: &Engine,
    container: &Container,
    run: &Run,
    mut add: Vec<PortMapping>,
    remove: &[PortMapping],
) -> Result<()> {
    if !remove.is_empty() {
        ask(container, remove, &[], &[])?;
    }
    let take = |ports: &mut Vec<PortMapping>| -> Result<()> {
        let name =
            |pid: i32| (pid == run.monitor).then(|| container.config.name.clone()).or_else(|| owner(engine, pid));
        let listeners = network::bind_ports(ports, &name)?;
        ask(container, &[], ports, &listeners)
    };
    if add.is_empty() {
        return Ok(());
    }
    let result = take(&mut add);
    if result.is_err() && !remove.is_empty() {
        let _ = take(&mut remove.to_vec());
    }
    result
}

fn ask(container: &Container, remove: &[PortMapping], ports: &[PortMapping], listeners: &[Listener]) -> Result<()> {
    if listeners.len() > monitor::MAX_FDS {
        return Err(fault(Kind::Usage, format!("more than {} ports at once", monitor::MAX_FDS / 2)));
    }
    let mapping = |listener: &Listener| ports.iter().find(|port| listener.is_of(port)).cloned();
    let add = listeners.iter().map(|listener| Some((mapping(listener)?, listener.is_ipv6())));
    let add = add.collect::<Option<Vec<_>>>().context("a socket is nobody's")?;
    let request = serde_json::to_vec(&Request { remove: remove.to_vec(), add })?;
    let fds: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
    monitor::ask(&monitor::connect(&container.socket())?, &request, &fds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::parse_ports;

    #[test]
    fn what_is_selected() {
        let one = |text: &str| parse_ports(text).unwrap().remove(0);
        for (selector, port, wanted) in [
            ("80", "8080:80", true),
            ("80/udp", "8080:80", false),
            ("8080:80", "8080:80", true),
            ("8081:80", "8080:80", false),
            ("8080:80", "127.0.0.1:8080:80", true),
            ("127.0.0.1:8080:80", "8080:80", false),
            ("127.0.0.1::80", "127.0.0.1:8080:80", true),
        ] {
            assert_eq!(selects(&one(selector), &one(port)), wanted, "{selector} {port}");
        }
        assert!(is_same_place(&one("8080:80"), &one("8080:81")) && !is_same_place(&one("80"), &one("80")));
        assert!(!is_same_place(&one("8080:80"), &one("8080:80/udp")));
    }
}
