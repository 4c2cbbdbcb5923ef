//! pasta: gives a namespace the host's own addresses and routes, translating packets to the host's sockets. pasta(1).

use super::program::{self, Program, WITHOUT};
use super::settings::Mac;
use crate::base::error::{Fault, Kind};
use crate::base::program as programs;
use crate::sys::process::Ended;
use anyhow::Result;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Where pasta answers the container's questions for names, by asking the host's server: an address of a link-local
/// network that nobody routes (RFC 3927), as podman has it.
pub const PASTA_NAME_SERVER: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Start pasta for a network namespace, with further options of the user's. As [`super::start_slirp`] otherwise.
///
/// It maps nothing to the host's loopback and forwards no port by itself: published ports are served as everywhere.
pub fn start_pasta(netns: BorrowedFd<'_>, options: &[String], mac: Option<Mac>) -> Result<Program> {
    let path = programs::find("pasta").ok_or_else(missing_program)?;
    let arguments = |numbers: program::Numbers| {
        let mut list: Vec<String> = Vec::new();
        let given = |names: &[&str]| options.iter().any(|word| names.iter().any(|name| is_option(word, name)));
        list.extend(["--config-net", "--foreground", "--quiet", "--no-netns-quit"].map(str::to_owned));
        if !given(&["--map-gw"]) {
            list.push("--no-map-gw".into());
        }
        for (short, long) in [("-t", "--tcp-ports"), ("-u", "--udp-ports"), ("-T", "--tcp-ns"), ("-U", "--udp-ns")] {
            if !given(&[short, long]) {
                list.extend([short.to_owned(), "none".to_owned()]);
            }
        }
        if !given(&["--dns-forward"]) {
            list.extend(["--dns-forward".into(), PASTA_NAME_SERVER.to_string()]);
        }
        if !given(&["-I", "--ns-ifname"]) {
            list.extend(["--ns-ifname".into(), "eth0".into()]);
        }
        if program::is_init_root() && !given(&["--runas"]) {
            // It would become `nobody`, who cannot enter the namespace.
            list.extend(["--runas".into(), "0:0".into()]);
        }
        list.extend(mac.iter().flat_map(|mac| ["--ns-mac-addr".into(), mac.to_string()]));
        // Podman's own word for the absence of `--no-map-gw`.
        list.extend(options.iter().filter(|word| *word != "--map-gw").cloned());
        list.extend(["--pid".into(), format!("/proc/self/fd/{}", numbers.ready)]);
        list.extend(["--netns".into(), format!("/proc/self/fd/{}", numbers.netns)]);
        list
    };
    program::start("pasta", &path, arguments, netns, explain)
}

/// Whether a word is this option: `-t`, `-t80`, `--tcp-ports` or `--tcp-ports=80`.
fn is_option(word: &str, name: &str) -> bool {
    let Some(rest) = word.strip_prefix(name) else { return false };
    rest.is_empty() || rest.starts_with('=') || !name.starts_with("--")
}

fn missing_program() -> anyhow::Error {
    Fault::new(Kind::Host, "the network mode pasta needs the program pasta, which is not installed")
        .hint(programs::how_to_install("passt", &[]))
        .hint("or use the default: `--network slirp4netns`")
        .into()
}

fn explain(message: &str, ended: Option<Ended>) -> anyhow::Error {
    if message.contains("unrecognized option") || message.contains("invalid option") {
        return Fault::new(Kind::Host, "this pasta does not know an option that it was given")
            .hint("see which it knows: pasta --help")
            .hint("or use the default: `--network slirp4netns`")
            .into();
    }
    let line = message.lines().find(|line| line.contains("No routable interface") || line.contains("any routable"));
    if line.is_some() {
        return Fault::new(
            Kind::Host,
            "pasta gives a container the host's addresses, but the host has none with a route",
        )
        .hint("use the default: `--network slirp4netns`")
        .hint(WITHOUT)
        .into();
    }
    program::failure("pasta", message, ended, Path::new("/dev/net/tun"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_known_in_every_form() {
        for (word, name, known) in [
            ("-t", "-t", true),
            ("-t80", "-t", true),
            ("--tcp-ports=80", "--tcp-ports", true),
            ("--tcp-ports", "-t", false),
            ("--dns-forwarder", "--dns-forward", false),
        ] {
            assert_eq!(is_option(word, name), known, "{word}");
        }
    }

    #[test]
    fn a_missing_program_names_the_package_and_the_mode_that_works() {
        let error = missing_program();
        let hints = error.downcast_ref::<Fault>().unwrap().hints.join(" ");
        assert!(hints.contains("passt") && hints.contains("slirp4netns"), "{hints}");
    }
}
