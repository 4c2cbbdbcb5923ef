//! Ports as `EXPOSE` has them: `80`, `53/udp`, `8000-8010`.
//!
//! An address or a host's port before them is tolerated, as moby/buildkit `convert_expose.go` does, and checked.

use super::mistake::Mistake;
use std::net::IpAddr;

/// What a word of `EXPOSE` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposed {
    /// The ports, as the image's config has them: `80/tcp`.
    pub ports: Vec<String>,
    /// The protocol as written, if it was.
    pub protocol: Option<String>,
    /// Whether there is an address or a host's port, which mean nothing here.
    pub mapping: bool,
}

/// Parse a word, expanded.
pub fn parse(word: &str) -> Result<Exposed, Mistake> {
    let wrong = |what: &str| Mistake::new(format!("`{word}` is no port: {what}")).hint("EXPOSE 80 53/udp 8000-8010");
    let parts: Vec<&str> = word.split(':').collect();
    let (address, host, port) = match parts.as_slice() {
        [port] => (String::new(), "", *port),
        [host, port] => (String::new(), *host, *port),
        [address @ .., host, port] => (address.join(":"), *host, *port),
        [] => return Err(wrong("it is empty")),
    };
    let (port, protocol) = port.split_once('/').map_or((port, None), |(port, protocol)| (port, Some(protocol)));
    let lower = protocol.filter(|protocol| !protocol.is_empty()).unwrap_or("tcp").to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&lower.as_str()) {
        return Err(wrong("the protocol is tcp, udp or sctp"));
    }
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(&address);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(wrong("what stands before the ports is not an address"));
    }
    let Some((first, last)) = range(port) else {
        return Err(wrong("a number from 0 to 65535 is expected, or two with `-` between them"));
    };
    if !host.is_empty() {
        let Some((host_first, host_last)) = range(host) else { return Err(wrong("the host's port is none")) };
        if last != first && last - first != host_last - host_first {
            return Err(wrong("the two ranges are not of one length"));
        }
    }
    Ok(Exposed {
        ports: (first..=last).map(|port| format!("{port}/{lower}")).collect(),
        protocol: protocol.filter(|protocol| !protocol.is_empty()).map(str::to_owned),
        mapping: !host.is_empty() || !address.is_empty(),
    })
}

/// `8000-8010`, or `8000` alone.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_expose() {
        for (word, ports) in [
            ("80", vec!["80/tcp"]),
            ("53/udp", vec!["53/udp"]),
            ("80/TCP", vec!["80/tcp"]),
            ("80/", vec!["80/tcp"]),
            ("8000-8002", vec!["8000/tcp", "8001/tcp", "8002/tcp"]),
            ("127.0.0.1:8080:80", vec!["80/tcp"]),
            ("[::1]:8080:80/udp", vec!["80/udp"]),
            ("0", vec!["0/tcp"]),
        ] {
            assert_eq!(parse(word).unwrap().ports, ports, "{word}");
        }
        for word in ["", "x", "80/icmp", "70000", "90-80", "1.2.3:80:80", "8000-8002:80-81", "80:81-82", "-1"] {
            assert!(parse(word).is_err(), "{word}");
        }
        assert!(parse("8080:80").unwrap().mapping && !parse("80").unwrap().mapping);
    }
}
