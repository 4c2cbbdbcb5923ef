//! The words of `-p`: `[[IP:][HOST_PORT]:]PORT[/tcp|udp]`, ranges, lists. No I/O.

use super::{PortMapping, Protocol};
use crate::base::error::{Fault, Kind};
use anyhow::Result;
use std::net::IpAddr;

/// Parse one value of `-p`: a mapping, ranges of equal length, a range of which one port is taken
/// (`8080-8090:80`), or several of these between commas.
///
/// A host's port that is left out or 0 is chosen when the container starts. IPv6 addresses stand in brackets.
pub fn parse_ports(text: &str) -> Result<Vec<PortMapping>> {
    let mut mappings = Vec::new();
    for part in text.split(',') {
        let parsed = parse_one(part).map_err(|reason| refusal(text, &reason))?;
        mappings.extend(parsed);
    }
    Ok(mappings)
}

fn refusal(text: &str, reason: &str) -> anyhow::Error {
    Fault::new(Kind::Usage, format!("cannot publish `{}`: {reason}", text.escape_debug()))
        .hint(
            "write it as `-p [[IP:]HOST_PORT:]PORT[/tcp|udp]`, for example `-p 8080:80` or `-p 127.0.0.1:5353:53/udp`",
        )
        .into()
}

fn parse_one(text: &str) -> Result<Vec<PortMapping>, String> {
    let (spec, protocol) = match text.rsplit_once('/') {
        Some((spec, protocol)) => (spec, parse_protocol(protocol)?),
        None => (text, Protocol::Tcp),
    };
    let (host_ip, host, container) = split(spec)?;
    let container = parse_range(container, "the container's port")?;
    if container.0 == 0 {
        return Err("the container's port cannot be 0".into());
    }
    let host = match host {
        "" | "0" => None,
        text => Some(parse_range(text, "the host's port")?),
    };
    let mapping = |host_port, host_port_last, container_port| PortMapping {
        host_ip,
        host_port,
        host_port_last,
        container_port,
        protocol,
    };
    let count = container.1 - container.0;
    match host {
        None => Ok((container.0..=container.1).map(|port| mapping(0, None, port)).collect()),
        Some((0, _)) => Err("a range cannot begin with port 0".into()),
        Some((first, last)) if last - first == count => {
            Ok((0..=count).map(|offset| mapping(first + offset, None, container.0 + offset)).collect())
        }
        Some((first, last)) if count == 0 => Ok(vec![mapping(first, Some(last), container.0)]),
        Some((first, last)) => {
            Err(format!("the ranges {first}-{last} and {}-{} are not of the same length", container.0, container.1))
        }
    }
}

/// Address, host's port (empty: any) and container's port.
fn split(spec: &str) -> Result<(Option<IpAddr>, &str, &str), String> {
    if let Some(rest) = spec.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
        let ip = ip.parse().map_err(|_| format!("`{}` is not an IPv6 address", ip.escape_debug()))?;
        let rest = rest.strip_prefix(':').ok_or("a `:` and the ports must follow the `]`")?;
        let (host, container) = rest.rsplit_once(':').unwrap_or(("", rest));
        return Ok((Some(IpAddr::V6(ip)), host, container));
    }
    let mut parts = spec.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    let Some(ip) = parts.next() else { return Ok((None, host, container)) };
    if ip.is_empty() {
        return Ok((None, host, container));
    }
    match ip.parse() {
        Ok(IpAddr::V4(ip)) => Ok((Some(IpAddr::V4(ip)), host, container)),
        _ if ip.contains(':') => Err("an IPv6 address must stand in brackets, as in `[::1]:8080:80`".into()),
        _ if ip == "localhost" => Err("`localhost` is not an IP address: use 127.0.0.1".into()),
        _ => Err(format!("`{}` is not an IP address", ip.escape_debug())),
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Err("SCTP is not forwarded, only tcp and udp are".into()),
        _ => Err(format!("there is no protocol `{}`, only tcp and udp", text.escape_debug())),
    }
}

/// `80` or `80-85`, first and last.
fn parse_range(text: &str, what: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| -> Result<u16, String> {
        // u16's parser would take a sign.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match (digits, text.parse()) {
            (true, Ok(port)) => Ok(port),
            (true, Err(_)) => Err(format!("{what} is {text}, but ports end at 65535")),
            (false, _) if text.is_empty() => Err(format!("{what} is missing")),
            (false, _) => Err(format!("{what} `{}` is not a number", text.escape_debug())),
        }
    };
    let Some((first, last)) = text.split_once('-') else {
        let port = port(text)?;
        return Ok((port, port));
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last { Err(format!("the range {first}-{last} runs backwards")) } else { Ok((first, last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `ip host[..last] container/protocol`, for tables.
    fn show(mapping: &PortMapping) -> String {
        let ip = mapping.host_ip.map_or("*".into(), |ip| ip.to_string());
        let last = mapping.host_port_last.map_or(String::new(), |last| format!("..{last}"));
        format!("{ip} {}{last} {}/{}", mapping.host_port, mapping.container_port, mapping.protocol)
    }

    #[test]
    fn every_syntax() {
        for (text, wanted) in [
            ("80", "* 0 80/tcp"),
            (":80", "* 0 80/tcp"),
            ("0:80", "* 0 80/tcp"),
            ("8080:80", "* 8080 80/tcp"),
            ("::80", "* 0 80/tcp"),
            (":8080:80", "* 8080 80/tcp"),
            ("8080:80/tcp", "* 8080 80/tcp"),
            ("53:53/UDP", "* 53 53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080 80/tcp"),
            ("127.0.0.1::80", "127.0.0.1 0 80/tcp"),
            ("0.0.0.0:1:2/udp", "0.0.0.0 1 2/udp"),
            ("[::1]:8080:80", "::1 8080 80/tcp"),
            ("[::1]::80", "::1 0 80/tcp"),
            ("[::]:80", ":: 0 80/tcp"),
            ("8000-8002:80-82", "* 8000 80/tcp, * 8001 81/tcp, * 8002 82/tcp"),
            ("80-81", "* 0 80/tcp, * 0 81/tcp"),
            ("8080-8090:80", "* 8080..8090 80/tcp"),
            ("8080:80,8443:443/udp", "* 8080 80/tcp, * 8443 443/udp"),
            ("65535:65535", "* 65535 65535/tcp"),
        ] {
            let mappings = parse_ports(text).unwrap();
            assert_eq!(mappings.iter().map(show).collect::<Vec<_>>().join(", "), wanted, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "the container's port is missing"),
            ("8080:", "the container's port is missing"),
            ("8080:0", "cannot be 0"),
            ("x:80", "the host's port `x` is not a number"),
            ("+80:80", "is not a number"),
            ("65536:80", "ports end at 65535"),
            ("99999999999999999999", "ports end at 65535"),
            ("80/sctp", "SCTP is not forwarded"),
            ("80/", "there is no protocol ``"),
            ("80/tcp/udp", "is not a number"),
            ("80-70:80", "runs backwards"),
            ("0-5:80", "cannot begin with port 0"),
            ("80-82:80-81", "not of the same length"),
            ("80:80-81", "not of the same length"),
            ("::1:80:80", "must stand in brackets"),
            ("[::1]", "must follow the `]`"),
            ("[::1:80", "a `]` is missing"),
            ("[127.0.0.1]:80:80", "is not an IPv6 address"),
            ("localhost:80:80", "use 127.0.0.1"),
            ("300.0.0.1:80:80", "is not an IP address"),
            ("8080:80,", "is missing"),
            ("80\n:80", "is not a number"),
        ] {
            let error = parse_ports(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{text:?}");
        }
    }
}
