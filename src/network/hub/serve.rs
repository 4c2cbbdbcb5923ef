//! The hub's loop: connections, questions for names, and the way out.

use super::place::{self, Addresses};
use super::{Lease, Member, Reply, Request, lacking, names, wire};
use crate::base::dirs::Dirs;
use crate::base::error::{Fault, Kind, encode, fault};
use crate::base::lock::Lock;
use crate::base::{program, timing};
use crate::events;
use crate::network::dns::{Door, Resolver, Token as Question};
use crate::network::program::Deaths;
use crate::network::record::Record;
use crate::network::settings::SlirpOptions;
use crate::network::slirp::MTU;
use crate::network::{Program, check_slirp, firewall, start_pasta, start_slirp, wiring};
use crate::runtime::cgroup;
use crate::sys::namespace::{inside, new_network};
use crate::sys::netlink::Socket;
use crate::sys::signals::Caught;
use crate::sys::{descriptors, detached, net, process};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

/// Nanoseconds that an empty hub waits for the next container.
const LINGER: i64 = 1_000_000_000;
/// Nanoseconds that a hub in the namespace of a dead one waits for the containers that are there.
const SETTLE: i64 = 300_000_000;
/// The interface of the way out.
const OUT: &str = "tap0";

/// A client, and the container that it stands for, if it is a monitor.
struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
    netns: Option<OwnedFd>,
    member: Option<Member>,
    /// Asked for before the hub has settled.
    waiting: Option<Member>,
    gone: bool,
}

struct Bridge {
    record: Record,
    index: u32,
}

/// Netlink sockets of the hub's namespace.
struct Sockets {
    route: Socket,
    filter: Socket,
}

struct Hub<'a> {
    dirs: &'a Dirs,
    netns: OwnedFd,
    /// Absent while a thread has them ([`Hub::patiently`]).
    sockets: Option<Sockets>,
    bridges: Vec<Bridge>,
    clients: Vec<Client>,
    way_out: Option<Program>,
    /// When a way out that died is made anew.
    way_out_due: Option<i64>,
    deaths: Deaths,
    resolver: Resolver,
    last: HashMap<(String, bool), IpAddr>,
    settled_at: i64,
    turn: usize,
}

/// The whole life of the hub, in its forked process; its exit code.
pub(super) fn run(dirs: &Dirs, listener: UnixListener, lock: &Lock, netns: Option<OwnedFd>) -> i32 {
    let settling = netns.is_some();
    let folder = &dirs.run;
    let Ok(mut hub) = settle(dirs, &listener, lock, netns) else { return 1 };
    if settling {
        hub.settled_at = timing::now() + SETTLE;
    }
    let result = hub.serve(&listener);
    // First the name, so that nobody comes any more; the lock's file last, by its holder.
    let _ = std::fs::remove_file(folder.join(super::SOCKET));
    let _ = std::fs::remove_file(folder.join(super::LOCK));
    i32::from(result.is_err())
}

/// Become a process of its own, with a namespace.
fn settle<'a>(dirs: &'a Dirs, listener: &UnixListener, lock: &Lock, netns: Option<OwnedFd>) -> Result<Hub<'a>> {
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    let _ = rustix::thread::set_name(c"box-net");
    let mut keep = vec![listener.as_raw_fd(), lock.as_fd().as_raw_fd()];
    keep.extend(netns.iter().map(AsRawFd::as_raw_fd));
    // Locks and sockets of the monitor that has forked us would be held on to.
    descriptors::close_all_but(&keep)?;
    detached::null_stdio()?;
    process::set_title("box-net");
    // Whoever needs us next, the first container's scope is not to be held up by us, nor its limits eaten from. One that
    // cannot be had is no reason for a network to fail: a hub that is ended with its scope is made anew.
    let _ = cgroup::move_to_scope(&format!("box-net-{}.scope", std::process::id()), "box networks");
    let netns = netns.map_or_else(new_network, Ok).context("cannot make a network namespace")?;
    let (route, filter) = inside(netns.as_fd(), || -> Result<_> {
        net::loopback_up()?;
        wiring::enable_forwarding();
        Ok((Socket::route()?, Socket::netfilter()?))
    })??;
    Ok(Hub {
        dirs,
        netns,
        sockets: Some(Sockets { route, filter }),
        bridges: Vec::new(),
        clients: Vec::new(),
        way_out: None,
        way_out_due: None,
        deaths: Deaths::default(),
        resolver: Resolver::default(),
        last: HashMap::new(),
        settled_at: 0,
        turn: 0,
    })
}

/// What an event is about.
enum Token {
    Signals,
    Listener,
    Client(usize),
    Question(Question),
}

impl Hub<'_> {
    fn serve(&mut self, listener: &UnixListener) -> Result<()> {
        let caught = Caught::all()?;
        let mut empty_since = None;
        let mut rested = false;
        loop {
            let now = timing::now();
            self.forget_the_gone();
            self.let_in(now);
            self.mend_way_out(now);
            if self.clients.is_empty() {
                if now - *empty_since.get_or_insert(now) >= LINGER {
                    return Ok(());
                }
            } else {
                empty_since = None;
            }
            let (tokens, events) = self.wait(listener, &caught, empty_since.is_some(), rested)?;
            if tokens.is_empty() && !rested && !self.clients.is_empty() {
                detached::give_back_memory();
                rested = true;
            }
            for (token, events) in tokens.into_iter().zip(events) {
                if events.is_empty() {
                    continue;
                }
                match token {
                    Token::Signals => {
                        while caught.next().is_some() {}
                        self.reap();
                    }
                    Token::Listener => {
                        if let Ok((stream, _)) = listener.accept() {
                            self.accept(stream);
                            rested = false;
                        }
                    }
                    Token::Client(index) => self.hear(index),
                    Token::Question(token) => self.question(token),
                }
            }
            self.resolver.sweep();
        }
    }

    /// Wait for events; none is left in the list if time has passed.
    fn wait(
        &self,
        listener: &UnixListener,
        caught: &Caught,
        empty: bool,
        rested: bool,
    ) -> Result<(Vec<Token>, Vec<PollFlags>)> {
        let mut tokens = vec![Token::Signals, Token::Listener];
        let mut fds = vec![PollFd::new(caught, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        for (index, client) in self.clients.iter().enumerate() {
            tokens.push(Token::Client(index));
            fds.push(PollFd::new(&client.stream, PollFlags::IN));
        }
        self.resolver.watch(&mut |token, fd, flags| {
            tokens.push(Token::Question(token));
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        });
        let waiting = self.clients.iter().any(|client| client.waiting.is_some());
        let own = (empty || waiting).then_some(50).or((!rested).then_some(250));
        // Rounded up, so as not to come too early.
        let due = self.way_out_due.map(|due| (due.saturating_sub(timing::now()) / 1_000_000).max(0) + 1);
        let timeout = self.resolver.timeout().into_iter().chain(own).chain(due).min();
        let timeout = timeout.map(|ms: i64| Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok((Vec::new(), Vec::new())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for events"),
        }
        let events = fds.iter().map(PollFd::revents).collect();
        Ok((tokens, events))
    }

    fn accept(&mut self, stream: UnixStream) {
        if crate::monitor::is_trusted(&stream) && stream.set_nonblocking(true).is_ok() {
            let (buffer, netns, member, waiting) = (Vec::new(), None, None, None);
            self.clients.push(Client { stream, buffer, netns, member, waiting, gone: false });
        }
    }

    fn hear(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else { return };
        match wire::read(&client.stream, &mut client.buffer) {
            Ok(Some(netns)) => client.netns = netns.or(client.netns.take()),
            Ok(None) => return,
            Err(_) => {
                client.gone = true;
                return;
            }
        }
        match wire::take(&mut client.buffer) {
            Ok(Some(Request::Join(member))) => client.waiting = Some(*member),
            Ok(Some(request)) => {
                let reply = match self.obey(request) {
                    Ok(()) => Reply::Done,
                    Err(error) => Reply::Failed(encode(&error)),
                };
                self.reply(index, &reply);
            }
            Ok(None) => {}
            Err(_) => client.gone = true,
        }
    }

    fn reply(&mut self, index: usize, reply: &Reply) {
        if let Some(client) = self.clients.get_mut(index) {
            client.gone |= wire::send(&client.stream, reply, Some(self.netns.as_fd())).is_err();
        }
    }

    /// Let those in who wait; before the hub has settled, only those who were there.
    fn let_in(&mut self, now: i64) {
        for index in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(index) else { return };
            let ready = |member: &Member| now >= self.settled_at || !member.leases.is_empty();
            if !client.waiting.as_ref().is_some_and(ready) {
                continue;
            }
            let Some(member) = client.waiting.take() else { continue };
            let reply = match self.join(index, member) {
                Ok(leases) => Reply::Leases(leases),
                Err(error) => Reply::Failed(encode(&error)),
            };
            self.reply(index, &reply);
        }
    }

    fn join(&mut self, index: usize, mut member: Member) -> Result<Vec<Lease>> {
        let wanted = std::mem::take(&mut member.wanted);
        let leases = member.leases.clone();
        if let Some(client) = self.clients.get_mut(index) {
            client.member = Some(member);
        }
        for lease in &leases {
            self.bridge(&lease.record)?;
        }
        let mut result = Ok(());
        for (attachment, record) in wanted {
            result = result.and_then(|()| self.enter(index, &attachment, &record));
        }
        let leases =
            self.clients.get(index).and_then(|client| client.member.as_ref()).map(|member| member.leases.clone());
        match result {
            Ok(()) => Ok(leases.unwrap_or_default()),
            Err(error) => {
                leases.iter().flatten().for_each(|lease| self.leave(lease));
                if let Some(client) = self.clients.get_mut(index) {
                    client.member = None;
                }
                Err(error)
            }
        }
    }

    /// Bring a container into one network.
    fn enter(&mut self, index: usize, attachment: &crate::network::Attachment, record: &Record) -> Result<()> {
        let bridge = self.bridge(record)?;
        let of_network = |lease: &&Lease| lease.record.id == record.id;
        let leases = self.clients.iter().filter_map(|client| client.member.as_ref()).flat_map(|member| &member.leases);
        let used: HashSet<IpAddr> =
            leases.filter(of_network).flat_map(|lease| lease.addresses.iter().map(|address| address.address)).collect();
        let client = self.clients.get_mut(index).context("the monitor has gone")?;
        let (Some(member), Some(netns)) = (&mut client.member, &client.netns) else {
            return Err(fault(Kind::Other, "the monitor has sent no network namespace"));
        };
        let mut addresses = Addresses { used, last: &mut self.last };
        let lease = place::decide(&member.id, attachment, record, &member.leases, &mut addresses)?;
        let netns = netns.try_clone()?;
        self.patiently(|sockets| place::lay(&mut sockets.route, bridge, &lease, netns.as_fd()))??;
        if let Some(member) = self.clients.get_mut(index).and_then(|client| client.member.as_mut()) {
            member.leases.push(lease);
        }
        Ok(())
    }

    fn leave(&mut self, lease: &Lease) {
        let _ = self.patiently(|sockets| wiring::remove_link(&mut sockets.route, &lease.outer));
    }

    /// Do something that may have to wait for the kernel, which makes and takes away interfaces one after the other for
    /// the whole machine. It is done in a thread, and names are answered meanwhile.
    fn patiently<T: Send>(&mut self, work: impl FnOnce(&mut Sockets) -> T + Send) -> Result<T> {
        let mut sockets = self.sockets.take().context("the hub is at work already")?;
        let (done, word) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let result = std::thread::scope(|scope| {
            let work = || {
                let result = work(&mut sockets);
                drop(word);
                result
            };
            let thread = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work)?;
            self.answer_until(&done);
            thread.join().map_err(|_| fault(Kind::Other, "the hub's work panicked"))
        });
        self.sockets = Some(sockets);
        result
    }

    /// Answer names, and nothing else, until the other end of this pipe is closed.
    fn answer_until(&mut self, done: &OwnedFd) {
        loop {
            let (mut tokens, mut fds) = (Vec::new(), vec![PollFd::new(done, PollFlags::IN)]);
            self.resolver.watch(&mut |token, fd, flags| {
                tokens.push(token);
                fds.push(PollFd::from_borrowed_fd(fd, flags));
            });
            let timeout = self.resolver.timeout();
            let timeout = timeout.map(|ms| Timespec { tv_sec: ms / 1000, tv_nsec: ms % 1000 * 1_000_000 });
            let _ = poll(&mut fds, timeout.as_ref());
            let events: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
            if events.first().is_some_and(|events| !events.is_empty()) {
                return;
            }
            for (token, events) in tokens.into_iter().zip(events.into_iter().skip(1)) {
                if !events.is_empty() {
                    self.question(token);
                }
            }
            self.resolver.sweep();
        }
    }

    /// The number of a network's bridge, which is made with all that belongs to it.
    fn bridge(&mut self, record: &Record) -> Result<u32> {
        if let Some(bridge) = self.bridges.iter().find(|bridge| bridge.record.id == record.id) {
            return Ok(bridge.index);
        }
        // A network that was removed and made anew has its old self's names.
        if let Some(old) = self.bridges.iter().find(|bridge| bridge.record.interface == record.interface) {
            let old = old.record.id.clone();
            if self.leases().any(|(_, lease)| lease.record.id == old) {
                let text = format!("the bridge `{}` is in use by another network", record.interface);
                return Err(fault(Kind::InUse, text));
            }
            self.remove_bridges(&[old]);
        }
        if !record.internal {
            self.ensure_way_out()?;
        }
        let addresses: Vec<(IpAddr, u8)> =
            record.subnets.iter().map(|subnet| (subnet.gateway, subnet.subnet.length)).collect();
        let (netns, mtu) = (self.netns.try_clone()?, record.mtu.unwrap_or(MTU));
        let make = |sockets: &mut Sockets| -> Result<(u32, Vec<Door>)> {
            let index = wiring::make_bridge(&mut sockets.route, &record.interface, &addresses, mtu, record.vlan)?;
            let doors = addresses.iter().filter(|_| record.dns).map(|(address, _)| Door::open(&record.id, *address));
            Ok((index, doors.collect::<Result<Vec<Door>, _>>().context("cannot answer names")?))
        };
        let made = self.patiently(|sockets| inside(netns.as_fd(), || make(sockets)))??;
        let (index, doors) = made
            .map_err(|error| lacking(if record.vlan.is_some() { "VLANs in its bridges" } else { "bridges" }, error))?;
        self.bridges.push(Bridge { record: record.clone(), index });
        doors.into_iter().for_each(|door| self.resolver.add(door));
        match self.apply_rules() {
            Ok(()) => Ok(index),
            Err(error) => {
                self.remove_bridges(std::slice::from_ref(&record.id));
                Err(lacking("nf_tables", error))
            }
        }
    }

    fn apply_rules(&mut self) -> Result<()> {
        let rules: Vec<firewall::Bridge> = self
            .bridges
            .iter()
            .map(|bridge| firewall::Bridge {
                interface: bridge.record.interface.clone(),
                gateways: bridge.record.subnets.iter().map(|subnet| subnet.gateway).collect(),
                internal: bridge.record.internal,
                isolate: bridge.record.isolate,
            })
            .collect();
        self.patiently(|sockets| firewall::apply(&mut sockets.filter, &rules, OUT))?
            .context("cannot set the rules of the networks")
    }

    fn remove_bridges(&mut self, ids: &[String]) {
        for id in ids {
            if let Some(at) = self.bridges.iter().position(|bridge| bridge.record.id == *id) {
                let bridge = self.bridges.remove(at);
                let _ = self.patiently(|sockets| wiring::remove_link(&mut sockets.route, &bridge.record.interface));
                self.resolver.remove(id);
            }
        }
        if !ids.is_empty() {
            let _ = self.apply_rules();
        }
    }

    fn ensure_way_out(&mut self) -> Result<()> {
        if self.way_out.is_none() {
            let mut program = self.start_way_out()?;
            program.wait_ready()?;
            self.way_out = Some(program);
        }
        Ok(())
    }

    fn start_way_out(&self) -> Result<Program> {
        let options = SlirpOptions { enable_ipv6: true, ..SlirpOptions::default() };
        match program::find("slirp4netns").is_none() && program::find("pasta").is_some() {
            true => start_pasta(self.netns.as_fd(), &["--ns-ifname".into(), OUT.into()], None),
            false => {
                check_slirp(&self.dirs.run)?;
                start_slirp(self.netns.as_fd(), &options, None)
            }
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, _))) = process::reap(-1) {
            if self.way_out.as_ref().is_some_and(|program| program.pid == pid) {
                self.way_out = None;
                self.way_out_due = Some(timing::now().saturating_add(self.deaths.died()));
            }
        }
    }

    /// Make the way out anew where that is due.
    fn mend_way_out(&mut self, now: i64) {
        if self.way_out_due.is_some_and(|due| due <= now) {
            self.way_out_due = match self.ensure_way_out() {
                Ok(()) => {
                    let mut event = events::Event::new("network", "helper_restart", "", "");
                    event.attributes.insert("helper".to_owned(), "way out of user networks".to_owned());
                    events::record(self.dirs, &[event]);
                    None
                }
                Err(_) => Some(now.saturating_add(self.deaths.failed())),
            };
        }
    }

    /// Free what belonged to those that have gone, and the bridges that nobody is at any more.
    fn forget_the_gone(&mut self) {
        let before = self.clients.len();
        let mut gone = Vec::new();
        self.clients.retain_mut(|client| {
            if client.gone {
                gone.extend(client.member.take().into_iter().flat_map(|member| member.leases));
            }
            !client.gone
        });
        if self.clients.len() == before {
            return;
        }
        gone.iter().for_each(|lease| self.leave(lease));
        self.drop_empty_bridges();
    }

    fn drop_empty_bridges(&mut self) {
        let used: HashSet<&str> = self.leases().map(|(_, lease)| lease.record.id.as_str()).collect();
        let empty: Vec<String> = self
            .bridges
            .iter()
            .map(|bridge| bridge.record.id.clone())
            .filter(|id| !used.contains(id.as_str()))
            .collect();
        self.remove_bridges(&empty);
    }

    fn leases(&self) -> impl Iterator<Item = (&Member, &Lease)> {
        let members = self.clients.iter().filter_map(|client| client.member.as_ref());
        members.flat_map(|member| member.leases.iter().map(move |lease| (member, lease)))
    }

    fn position(&self, id: &str) -> Result<usize> {
        let found = self.clients.iter().position(|client| client.member.as_ref().is_some_and(|member| member.id == id));
        found.ok_or_else(|| fault(Kind::WrongState, "the container is in no network at the moment"))
    }

    fn obey(&mut self, request: Request) -> Result<()> {
        let index = match request {
            Request::Join(_) => return Ok(()),
            Request::Connect { id, attachment, record } => {
                let index = self.position(&id)?;
                let there = |lease: &Lease| lease.record.id == record.id;
                if self.clients.get(index).and_then(|c| c.member.as_ref()).is_some_and(|m| m.leases.iter().any(there)) {
                    let text = format!("the container is in network `{}` already", record.name);
                    return Err(fault(Kind::InUse, text));
                }
                self.enter(index, &attachment, &record)?;
                index
            }
            Request::Disconnect { id, network } => {
                let index = self.position(&id)?;
                let member = self.clients.get_mut(index).and_then(|client| client.member.as_mut());
                let member = member.context("the monitor has gone")?;
                let at = member.leases.iter().position(|lease| lease.record.name == network);
                let at = at.ok_or_else(|| {
                    Fault::new(Kind::NotFound, format!("the container is not in network `{network}`"))
                })?;
                let lease = member.leases.remove(at);
                self.leave(&lease);
                self.drop_empty_bridges();
                index
            }
            Request::Rename { id, name } => {
                let index = self.position(&id)?;
                let member = self.clients.get_mut(index).and_then(|client| client.member.as_mut());
                if let Some(first) = member.and_then(|member| member.names.first_mut()) {
                    *first = name;
                }
                return Ok(());
            }
            Request::Update { network, servers } => {
                if let Some(bridge) = self.bridges.iter_mut().find(|bridge| bridge.record.id == network) {
                    bridge.record.dns_servers = servers;
                }
                return Ok(());
            }
            Request::Reload { id } => {
                self.apply_rules()?;
                return self.relay(id.as_deref());
            }
        };
        let leases = self.clients.get(index).and_then(|c| c.member.as_ref()).map(|m| m.leases.clone());
        self.reply(index, &Reply::Leases(leases.unwrap_or_default()));
        Ok(())
    }

    /// Lay cables anew that are missing.
    fn relay(&mut self, id: Option<&str>) -> Result<()> {
        let mut wanted = Vec::new();
        for client in &self.clients {
            let (Some(member), Some(netns)) = (&client.member, &client.netns) else { continue };
            for lease in member.leases.iter().filter(|_| id.is_none_or(|id| id == member.id)) {
                if let Some(bridge) = self.bridges.iter().find(|bridge| bridge.record.id == lease.record.id) {
                    wanted.push((bridge.index, lease.clone(), netns.try_clone()?));
                }
            }
        }
        self.patiently(|sockets| -> Result<()> {
            for (bridge, lease, netns) in wanted {
                if wiring::index_of(&mut sockets.route, &lease.outer)?.is_none() {
                    place::lay(&mut sockets.route, bridge, &lease, netns.as_fd())?;
                }
            }
            Ok(())
        })?
    }

    fn question(&mut self, token: Question) {
        let mut resolver = std::mem::take(&mut self.resolver);
        let turn = self.turn;
        self.turn = turn.wrapping_add(1);
        resolver.ready(token, &mut |network, from, query| {
            let members: Vec<&Member> = self.clients.iter().filter_map(|client| client.member.as_ref()).collect();
            let networks: Vec<&Record> = self.bridges.iter().map(|bridge| &bridge.record).collect();
            names::decide(&names::Known { members: &members, networks: &networks, turn }, network, from, query)
        });
        self.resolver = resolver;
    }
}
