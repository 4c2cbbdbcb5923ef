//! `port`: prints where published ports lead.

use super::args::Globals;
use super::args::life::Port;
use super::output::print;
use super::session;
use crate::base::error::{Fault, Kind, fault};
use crate::container::Status;
use crate::network::PortMapping;
use anyhow::Result;
use std::fmt::Write as _;

/// `box port`.
pub fn port(args: &Port, globals: &Globals) -> Result<u8> {
    let (mut words, mut wanted) = (args.words.clone(), None);
    if words.len() > usize::from(!args.latest) {
        wanted = words.pop();
    }
    let engine = session::open(globals)?;
    let named = match args.all {
        true => session::filtered(&engine, &[], |status| matches!(status, Status::Running(_)))?,
        false => session::named(&engine, &words, args.latest),
    };
    let mut out = String::new();
    for (_, container) in named {
        let container = container?;
        let ports = match container.status() {
            Status::Running(run) => run.ports,
            _ => container.config.ports.clone(),
        };
        let prefix = if args.all { format!("{} ", container.config.id.short()) } else { String::new() };
        match &wanted {
            None => ports.iter().for_each(|port| {
                let _ = writeln!(out, "{prefix}{}/{} -> {}", port.container_port, port.protocol, address(port));
            }),
            Some(wanted) => {
                let (number, protocol) = parse(wanted)?;
                let found: Vec<_> = ports
                    .iter()
                    .filter(|port| port.container_port == number && port.protocol.to_string() == protocol)
                    .collect();
                if found.is_empty() {
                    let name = &container.config.name;
                    let text = format!("port {number}/{protocol} of container `{name}` is not published");
                    return Err(Fault::new(Kind::NotFound, text).hint(format!("box port {name}")).into());
                }
                found.iter().for_each(|port| {
                    let _ = writeln!(out, "{}", address(port));
                });
            }
        }
    }
    print(&out)?;
    Ok(0)
}

/// `80` or `80/udp`.
fn parse(text: &str) -> Result<(u16, String)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match (number.parse(), protocol) {
        (Ok(number), "tcp" | "udp" | "sctp") => Ok((number, protocol.to_owned())),
        _ => Err(fault(Kind::Usage, format!("`{}` is not a port: use 80 or 80/udp", text.escape_debug()))),
    }
}

fn address(port: &PortMapping) -> String {
    match port.host_ip {
        Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{}", port.host_port),
        Some(ip) => format!("{ip}:{}", port.host_port),
        None => format!("0.0.0.0:{}", port.host_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(parse("80").unwrap(), (80, "tcp".to_owned()));
        assert_eq!(parse("53/udp").unwrap(), (53, "udp".to_owned()));
        for text in ["x", "80/icmp", "99999", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
