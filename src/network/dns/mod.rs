//! Names of containers, answered on each bridge; all other names are asked of the servers above.
//!
//! The sockets towards containers are of the bridges' namespace, those towards the servers above of the host's, so a
//! resolver on the host's loopback (127.0.0.53) is in reach. Each question above goes by a socket of its own, whose
//! port the kernel chooses, so that nobody can guess an answer in time. Memory, sockets and waiting are bounded.
//! RFC 1035, RFC 7766 (TCP).

pub mod packet;
mod relay;
mod tcp;

use crate::base::timing;
use packet::{Query, parse};
use relay::Relay;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tcp::Client;

/// Questions above that are under way; more are answered with a failure.
const MAX_RELAYS: usize = 512;
/// Of one address, so that others have room.
const MAX_RELAYS_OF_ONE: usize = 128;
/// Clients over TCP, of all networks.
const MAX_CLIENTS: usize = 128;
/// Of one address.
const MAX_CLIENTS_OF_ONE: usize = 16;
/// The longest answer over UDP that needs no agreement.
const UDP_LIMIT: usize = 512;
/// The longest message over TCP.
const TCP_LIMIT: usize = 65535;
/// Datagrams taken before others have their turn.
const ROUNDS: usize = 64;

/// Where questions come in: a bridge's own address.
#[derive(Debug)]
pub struct Door {
    /// The bridge's network.
    pub network: String,
    udp: OwnedFd,
    tcp: OwnedFd,
}

impl Door {
    /// Open the door at an address. In the bridges' namespace.
    pub fn open(network: &str, address: IpAddr) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let address = SocketAddr::new(address, 53);
        let udp = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
        rustix::net::bind(&udp, &address)?;
        let tcp = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_socket_reuseaddr(&tcp, true)?;
        rustix::net::bind(&tcp, &address)?;
        rustix::net::listen(&tcp, 64)?;
        Ok(Self { network: network.to_owned(), udp, tcp })
    }
}

/// What becomes of a question.
#[derive(Debug)]
pub enum Verdict {
    /// This code and these records.
    Answer(u8, Vec<packet::Data>),
    /// Ask these servers, in this order.
    Ask(Vec<IpAddr>),
}

/// Decides: the network that was asked on, who asks, what.
pub type Decide<'a> = &'a mut dyn FnMut(&str, IpAddr, &Query) -> Verdict;

/// What a descriptor is about.
#[derive(Debug, Clone, Copy)]
pub enum Token {
    /// A door's datagrams.
    Udp(usize),
    /// A door's connections.
    Accept(usize),
    /// A client over TCP.
    Client(u64),
    /// A question above.
    Relay(u64),
}

/// Who waits for an answer.
#[derive(Debug, Clone)]
enum Asker {
    Udp { network: String, to: SocketAddr },
    Tcp(u64),
}

/// All doors, and what is under way.
#[derive(Debug, Default)]
pub struct Resolver {
    doors: Vec<Door>,
    clients: Vec<(u64, Client)>,
    relays: Vec<(u64, Relay)>,
    next: u64,
}

impl Resolver {
    /// Open one more.
    pub fn add(&mut self, door: Door) {
        self.doors.push(door);
    }

    /// Close those of a network.
    pub fn remove(&mut self, network: &str) {
        self.doors.retain(|door| door.network != network);
    }

    /// What to wait for.
    pub fn watch<'a>(&'a self, add: &mut dyn FnMut(Token, BorrowedFd<'a>, PollFlags)) {
        let full = self.clients.len() >= MAX_CLIENTS;
        for (index, door) in self.doors.iter().enumerate() {
            add(Token::Udp(index), door.udp.as_fd(), PollFlags::IN);
            if !full {
                add(Token::Accept(index), door.tcp.as_fd(), PollFlags::IN);
            }
        }
        for (id, client) in &self.clients {
            add(Token::Client(*id), client.as_fd(), client.wanted());
        }
        for (id, relay) in &self.relays {
            add(Token::Relay(*id), relay.as_fd(), relay.wanted());
        }
    }

    /// Milliseconds until something is overdue.
    pub fn timeout(&self) -> Option<i64> {
        let relays = self.relays.iter().map(|(_, relay)| relay.deadline);
        let clients = self.clients.iter().map(|(_, client)| client.deadline);
        let first = relays.chain(clients).min()?;
        Some(((first - timing::now()) / 1_000_000 + 1).max(0))
    }

    /// Something has happened.
    pub fn ready(&mut self, token: Token, decide: Decide<'_>) {
        match token {
            Token::Udp(index) => self.datagrams(index, decide),
            Token::Accept(index) => self.accept(index),
            Token::Client(id) => self.client(id, decide),
            Token::Relay(id) => self.relay(id),
        }
    }

    fn datagrams(&mut self, index: usize, decide: Decide<'_>) {
        let mut buffer = [0; 4096];
        for _ in 0..ROUNDS {
            let Some(door) = self.doors.get(index) else { return };
            let (bytes, from) = match rustix::net::recvfrom(&door.udp, &mut buffer[..], RecvFlags::empty()) {
                Ok((_, length, Some(from))) => {
                    let Ok(from) = SocketAddr::try_from(from) else { continue };
                    (buffer.get(..length).unwrap_or_default(), from)
                }
                Err(Errno::AGAIN) => return,
                // An ICMP error about an earlier answer.
                _ => continue,
            };
            let network = door.network.clone();
            let asker = Asker::Udp { network: network.clone(), to: from };
            if let Some(answer) = self.question(asker, from.ip(), bytes, &network, decide) {
                self.send_udp(index, &answer, from);
            }
        }
    }

    fn send_udp(&self, index: usize, answer: &[u8], to: SocketAddr) {
        if let Some(door) = self.doors.get(index) {
            let _ = rustix::net::sendto(&door.udp, answer, SendFlags::NOSIGNAL, &to);
        }
    }

    /// Take a question: the answer, if there is one at once.
    fn question(
        &mut self,
        asker: Asker,
        from: IpAddr,
        bytes: &[u8],
        network: &str,
        decide: Decide<'_>,
    ) -> Option<Vec<u8>> {
        let limit = if matches!(asker, Asker::Tcp(_)) { TCP_LIMIT } else { UDP_LIMIT };
        let query = match parse(bytes) {
            Ok(query) => query,
            Err(refusal) => return refusal,
        };
        match decide(network, from, &query) {
            Verdict::Answer(code, records) => Some(query.answer(code, &records, limit)),
            Verdict::Ask(servers) => {
                let failure = query.answer(packet::SERVER_FAILURE, &[], limit);
                let of_one = self.relays.iter().filter(|(_, relay)| relay.from == from).count();
                if self.relays.len() >= MAX_RELAYS || of_one >= MAX_RELAYS_OF_ONE {
                    return Some(failure);
                }
                match Relay::new(asker, from, query, bytes.to_vec(), servers) {
                    Some(relay) => {
                        self.next += 1;
                        self.relays.push((self.next, relay));
                        None
                    }
                    None => Some(failure),
                }
            }
        }
    }

    fn relay(&mut self, id: u64) {
        let Some(place) = self.relays.iter().position(|(other, _)| *other == id) else { return };
        let Some((_, relay)) = self.relays.get_mut(place) else { return };
        if let Some(answer) = relay.ready() {
            let asker = relay.asker.clone();
            self.relays.swap_remove(place);
            self.deliver(&asker, &answer);
        }
    }

    fn deliver(&mut self, asker: &Asker, answer: &[u8]) {
        match asker {
            Asker::Udp { network, to } => {
                let index = self.doors.iter().position(|door| door.network == *network && door_takes(door, *to));
                if let Some(index) = index {
                    self.send_udp(index, answer, *to);
                }
            }
            Asker::Tcp(id) => {
                if let Some((_, client)) = self.clients.iter_mut().find(|(other, _)| other == id) {
                    client.answer(answer);
                }
            }
        }
    }

    fn accept(&mut self, index: usize) {
        let Some(door) = self.doors.get(index) else { return };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok((socket, Some(from))) = rustix::net::acceptfrom_with(&door.tcp, flags) else { return };
        let Ok(from) = SocketAddr::try_from(from) else { return };
        let of_one = self.clients.iter().filter(|(_, client)| client.from == from.ip()).count();
        if of_one < MAX_CLIENTS_OF_ONE {
            self.next += 1;
            let network = door.network.clone();
            self.clients.push((self.next, Client::new(socket, from.ip(), network)));
        }
    }

    fn client(&mut self, id: u64, decide: Decide<'_>) {
        let Some((_, client)) = self.clients.iter_mut().find(|(other, _)| *other == id) else { return };
        let questions = client.ready();
        let (from, network) = (client.from, client.network.clone());
        for bytes in questions {
            if let Some(answer) = self.question(Asker::Tcp(id), from, &bytes, &network, decide) {
                self.deliver(&Asker::Tcp(id), &answer);
            }
        }
        self.clients.retain(|(_, client)| !client.gone);
    }

    /// Go on where somebody was waited for too long: the next server, else a failure.
    pub fn sweep(&mut self) {
        let now = timing::now();
        self.clients.retain(|(_, client)| !client.gone && client.deadline > now);
        let mut failed = Vec::new();
        self.relays.retain_mut(|(_, relay)| {
            let goes_on = relay.deadline > now || relay.next_server();
            if !goes_on {
                failed.push((relay.asker.clone(), relay.failure()));
            }
            goes_on
        });
        for (asker, answer) in failed {
            self.deliver(&asker, &answer);
        }
    }
}

fn door_takes(door: &Door, to: SocketAddr) -> bool {
    let own = rustix::net::getsockname(&door.udp).ok().and_then(|own| SocketAddr::try_from(own).ok());
    own.is_some_and(|own| own.is_ipv4() == to.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{self, Ended, Fork};
    use packet::{A, question};
    use std::net::UdpSocket;

    /// In a network of its own, where port 53 is free, and a server above that never answers.
    fn whoever_asks_too_much_leaves_room_for_others() {
        let server = UdpSocket::bind("127.0.0.2:53").unwrap();
        let mut resolver = Resolver::default();
        resolver.add(Door::open("n", [127, 0, 0, 1].into()).unwrap());
        let mut above = |_: &str, _: IpAddr, _: &Query| Verdict::Ask(vec![[127, 0, 0, 2].into()]);
        let mut ask = |from: &str, count: u16| {
            let client = UdpSocket::bind((from, 0)).unwrap();
            client.set_nonblocking(true).unwrap();
            for number in 0..count {
                client.send_to(&question(number, "slow.example", A), "127.0.0.1:53").unwrap();
                resolver.ready(Token::Udp(0), &mut above);
            }
            // Refused at once, or under way above.
            let refused = std::iter::from_fn(|| client.recv(&mut [0; 600]).ok()).count();
            (refused, resolver.relays.len())
        };
        // No more than a socket holds answers.
        assert_eq!(ask("127.0.0.3", 200), (200 - MAX_RELAYS_OF_ONE, MAX_RELAYS_OF_ONE));
        assert_eq!(ask("127.0.0.4", 1), (0, MAX_RELAYS_OF_ONE + 1));
        drop(server);
    }

    #[test]
    fn one_client_does_not_fill_the_resolver() {
        alone!();
        match process::fork().unwrap() {
            Fork::Child => {
                let done = std::panic::catch_unwind(|| {
                    if !rustix::process::geteuid().is_root() {
                        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).unwrap();
                    }
                    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                    crate::sys::net::loopback_up().unwrap();
                    whoever_asks_too_much_leaves_room_for_others();
                });
                process::exit_now(i32::from(done.is_err()))
            }
            Fork::Parent(pid) => assert_eq!(process::wait(pid).unwrap(), Ended::Exited(0)),
        }
    }
}
