//! Sockets: listen, connect, and what the network looks like.

use crate::{Code, number, word};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// `listen tcp|udp PORT [COUNT]`: say who asks (`from IP`) and send back what came, COUNT times or for ever. Who asks for
/// `much` over TCP is sent zeros until he goes.
pub fn listen(args: &[String]) -> Code {
    let address = format!("0.0.0.0:{}", number(args, 1)?);
    let times = number(args, 2).unwrap_or(u64::MAX);
    if word(args, 0)? == "udp" {
        let socket = UdpSocket::bind(address).map_err(text)?;
        say("ready");
        let mut buffer = [0; 2048];
        for _ in 0..times {
            let (length, peer) = socket.recv_from(&mut buffer).map_err(text)?;
            let answer = [format!("from {}\n", peer.ip()).as_bytes(), &buffer[..length]].concat();
            socket.send_to(&answer, peer).map_err(text)?;
        }
        return Ok(0);
    }
    let listener = TcpListener::bind(address).map_err(text)?;
    say("ready");
    for _ in 0..times {
        let (mut stream, peer) = listener.accept().map_err(text)?;
        let mut asked = vec![0; 2048];
        let length = stream.read(&mut asked).unwrap_or(0);
        let body = [format!("from {}\n", peer.ip()).as_bytes(), &asked[..length]].concat();
        if asked.starts_with(b"much") {
            while stream.write_all(&[0; 65536]).is_ok() {}
            continue;
        }
        // Enough HTTP for curl, harmless for others.
        if asked.starts_with(b"GET ") {
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        }
        let _ = stream.write_all(&body);
    }
    Ok(0)
}

/// `connect tcp|udp HOST PORT TEXT`: send, then print what comes back.
pub fn connect(args: &[String]) -> Code {
    let (host, port, message) = (word(args, 1)?, number(args, 2)? as u16, args.get(3).map_or("", String::as_str));
    let wait = Some(Duration::from_secs(10));
    let mut answer = Vec::new();
    if word(args, 0)? == "udp" {
        let socket = UdpSocket::bind("0.0.0.0:0").map_err(text)?;
        socket.set_read_timeout(wait).map_err(text)?;
        socket.send_to(message.as_bytes(), (host, port)).map_err(text)?;
        answer.resize(2048, 0);
        let length = socket.recv(&mut answer).map_err(text)?;
        answer.truncate(length);
    } else {
        // A network that goes away between the name and the connection would keep us for two minutes.
        let mut connected = Err(std::io::Error::other("no address"));
        for address in (host, port).to_socket_addrs().map_err(text)? {
            if connected.is_err() {
                connected = TcpStream::connect_timeout(&address, Duration::from_secs(5));
            }
        }
        let mut stream = connected.map_err(text)?;
        stream.set_read_timeout(wait).map_err(text)?;
        stream.write_all(message.as_bytes()).map_err(text)?;
        stream.shutdown(std::net::Shutdown::Write).map_err(text)?;
        stream.read_to_end(&mut answer).map_err(text)?;
    }
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(0)
}

/// `questions FILE NAME…`: ask the first name server of resolv.conf for each name in turn, a hundred times a second, each
/// question by itself, until FILE is there; then wait for what is still to come and print how many questions there were
/// and which were not answered by an address.
pub fn questions(args: &[String]) -> Code {
    let (file, names) = (word(args, 0)?, args.get(1..).unwrap_or_default());
    let resolver = std::fs::read_to_string("/etc/resolv.conf").map_err(text)?;
    let server = resolver.lines().find_map(|line| line.strip_prefix("nameserver ")).ok_or("no name server")?;
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(text)?;
    socket.connect((server, 53)).map_err(text)?;
    socket.set_read_timeout(Some(Duration::from_millis(10))).map_err(text)?;
    let mut open = std::collections::BTreeMap::new();
    let (mut asked, mut wrong) = (0u32, Vec::new());
    let mut quiet = 0;
    say("ready");
    // An answer that takes five seconds is lost: a resolver would have asked again.
    while quiet < 500 {
        match std::path::Path::new(file).exists() {
            true if open.is_empty() => break,
            true => quiet += 1,
            false => {
                let name = &names[asked as usize % names.len()];
                let mut question = [&(asked as u16).to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
                for label in name.split('.') {
                    question.push(label.len() as u8);
                    question.extend(label.as_bytes());
                }
                question.extend([0, 0, 1, 0, 1]);
                open.insert(asked as u16, name.clone());
                asked += 1;
                socket.send(&question).map_err(text)?;
            }
        }
        let until = std::time::Instant::now() + Duration::from_millis(10);
        let mut answer = [0; 600];
        while std::time::Instant::now() < until {
            let Ok(length) = socket.recv(&mut answer) else { continue };
            let name = open.remove(&u16::from_be_bytes([answer[0], answer[1]]));
            let good = length > 12 && answer[3] & 15 == 0 && answer[7] > 0;
            wrong.extend(name.filter(|_| !good));
        }
    }
    println!("asked {asked}, wrong {wrong:?}, lost {:?}", open.values().collect::<Vec<_>>());
    Ok(0)
}

/// The unix sockets that this network namespace knows, by name.
pub fn unix_sockets() -> Code {
    print!("{}", std::fs::read_to_string("/proc/net/unix").map_err(text)?);
    Ok(0)
}

/// Each network interface: name, state of the link.
pub fn interfaces() -> Code {
    let mut lines: Vec<String> = std::fs::read_dir("/sys/class/net")
        .map_err(text)?
        .flatten()
        .map(|entry| {
            let flags = std::fs::read_to_string(entry.path().join("flags")).unwrap_or_default();
            let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
            format!("{} {}", entry.file_name().display(), if flags & 1 == 1 { "up" } else { "down" })
        })
        .collect();
    lines.sort();
    lines.iter().for_each(|line| println!("{line}"));
    Ok(0)
}

fn say(text: &str) {
    println!("{text}");
    let _ = std::io::stdout().flush();
}

/// Tell the service manager something (sd_notify(3)).
pub fn notify(args: &[String]) -> Code {
    let path = std::env::var("NOTIFY_SOCKET").map_err(|_| "there is no NOTIFY_SOCKET")?;
    let socket = std::os::unix::net::UnixDatagram::unbound().map_err(|error| error.to_string())?;
    socket.send_to(word(args, 0)?.as_bytes(), path).map_err(|error| error.to_string())?;
    Ok(0)
}
