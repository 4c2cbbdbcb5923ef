//! Who holds a port: `/proc/net/{tcp,udp}{,6}` for the socket, `/proc/PID/fd` for the program. proc_net(5), proc(5).

use super::Protocol;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Who listens on a port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A process whose descriptors we may see.
    Process {
        /// Its pid.
        pid: i32,
        /// Its parent's pid.
        parent: i32,
        /// Its name, as `ps` shows it.
        program: String,
    },
    /// A process of this user, which we may not look into.
    User(u32),
}

/// The holder of a port of the host, if anybody can be made out.
pub(super) fn find(port: u16, protocol: Protocol) -> Option<Holder> {
    let tables: [&str; 2] = match protocol {
        Protocol::Tcp => ["/proc/self/net/tcp", "/proc/self/net/tcp6"],
        Protocol::Udp => ["/proc/self/net/udp", "/proc/self/net/udp6"],
    };
    let socket = tables.iter().find_map(|table| {
        let lines = BufReader::new(File::open(table).ok()?).lines();
        lines.map_while(Result::ok).find_map(|line| parse(&line, port, protocol))
    })?;
    Some(process_with(&socket).unwrap_or(Holder::User(socket.uid)))
}

#[derive(Debug, PartialEq, Eq)]
struct Socket {
    uid: u32,
    inode: u64,
}

/// One line of a socket table, if it is a socket that keeps `port` from being bound.
fn parse(line: &str, port: u16, protocol: Protocol) -> Option<Socket> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state) = (fields.get(1)?, fields.get(3)?);
    let (_, number) = local.rsplit_once(':')?;
    if u16::from_str_radix(number, 16) != Ok(port) || (protocol == Protocol::Tcp && *state != LISTEN) {
        return None;
    }
    Some(Socket { uid: fields.get(7)?.parse().ok()?, inode: fields.get(9)?.parse().ok()? })
}

fn process_with(socket: &Socket) -> Option<Holder> {
    let wanted = format!("socket:[{}]", socket.inode);
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // Not ours to look at, or just gone.
        let Ok(descriptors) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let holds = |path: &Path| std::fs::read_link(path).is_ok_and(|target| target.as_os_str() == wanted.as_str());
        if descriptors.flatten().any(|descriptor| holds(&descriptor.path())) {
            let (program, parent) = name_and_parent(pid)?;
            return Some(Holder::Process { pid, parent, program });
        }
    }
    None
}

fn name_and_parent(pid: i32) -> Option<(String, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold any of its own.
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let parent = tail.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((name.to_owned(), parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_socket_tables() {
        let tcp = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
        let talk =
            "   1: 0100007F:1F90 0100007F:A001 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0";
        let udp = " 9: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0 0";
        for (line, port, protocol, wanted) in [
            (tcp, 8080, Protocol::Tcp, Some((1000, 4711))),
            (tcp, 8081, Protocol::Tcp, None),
            (talk, 8080, Protocol::Tcp, None),
            (udp, 53, Protocol::Udp, Some((0, 99))),
            ("  sl  local_address rem_address   st", 53, Protocol::Udp, None),
            ("", 53, Protocol::Udp, None),
        ] {
            let wanted = wanted.map(|(uid, inode)| Socket { uid, inode });
            assert_eq!(parse(line, port, protocol), wanted, "{line}");
        }
    }

    #[test]
    fn our_own_socket_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let found = find(socket.local_addr().unwrap().port(), Protocol::Udp).unwrap();
        let Holder::Process { pid, parent, program } = found else { panic!("{found:?}") };
        assert_eq!((pid, parent), (std::process::id() as i32, std::os::unix::process::parent_id() as i32));
        assert!(!program.is_empty());
    }
}
