//! Who may talk to whom in the namespace of the bridges: one table of nf_tables, written anew as a whole whenever a
//! bridge comes or goes. <https://wiki.nftables.org>; linux/netfilter/nf_tables.h.
//!
//! The host's own rules are never touched: they are of another namespace.

use crate::sys::netlink::{APPEND, CREATE, Message, Socket};
use rustix::io::Errno;
use std::net::IpAddr;

/// A bridge, as far as rules go.
#[derive(Debug, Clone)]
pub(super) struct Bridge {
    pub interface: String,
    pub gateways: Vec<IpAddr>,
    pub internal: bool,
    pub isolate: bool,
}

const TABLE: &str = "box";
const NFPROTO_INET: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// Replace all rules. The way out is the interface `out`.
pub(super) fn apply(socket: &mut Socket, bridges: &[Bridge], out: &str) -> Result<(), Errno> {
    // A refusal is heard at once; a kernel that cannot refuse drops.
    socket
        .batch(rules(bridges, out, Expression::refusal))
        .or_else(|_| socket.batch(rules(bridges, out, || Expression::verdict(DROP))))
}

fn rules(bridges: &[Bridge], out: &str, refuse: fn() -> Expression) -> Vec<Message> {
    let bracket = |kind: u16| Message::bracket(kind, &[&[0u8, 0][..], &SUBSYSTEM.to_be_bytes()].concat());
    let mut batch = vec![
        bracket(16),
        // Made, so that it can be deleted; deleted, so that it is made empty.
        message(NEW_TABLE, CREATE & !0x200).text(1, TABLE),
        message(DELETE_TABLE, 0).text(1, TABLE),
        message(NEW_TABLE, CREATE).text(1, TABLE),
        chain("out", "nat", 4, 100, ACCEPT),
        chain("forward", "filter", 2, 0, DROP),
        chain("in", "filter", 1, 0, ACCEPT),
        rule("out").matches(oif(out)).verdict(Expression::masquerade()),
        rule("forward").matches(established()).verdict(Expression::verdict(ACCEPT)),
    ];
    for bridge in bridges {
        let name = bridge.interface.as_str();
        let accept =
            |to: &str| rule("forward").matches(iif(name)).matches(oif(to)).verdict(Expression::verdict(ACCEPT));
        batch.push(accept(name));
        if !bridge.internal {
            batch.push(accept(out));
        }
        if !bridge.isolate {
            let open = bridges.iter().filter(|other| !other.isolate && other.interface != bridge.interface);
            batch.extend(open.map(|other| accept(&other.interface)));
        }
        // Of our own addresses a container reaches its bridge's, where names are answered, and no other network's.
        for gateway in &bridge.gateways {
            batch.push(
                rule("in").matches(iif(name)).matches(destination(*gateway)).verdict(Expression::verdict(ACCEPT)),
            );
        }
        batch.push(rule("in").matches(iif(name)).matches(icmpv6()).verdict(Expression::verdict(ACCEPT)));
        batch.push(rule("in").matches(iif(name)).verdict(refuse()));
    }
    batch.push(rule("forward").verdict(refuse()));
    batch.push(bracket(17));
    batch
}

fn message(kind: u16, flags: u16) -> Message {
    Message::new(SUBSYSTEM << 8 | kind, flags, &[NFPROTO_INET, 0, 0, 0])
}

fn chain(name: &str, kind: &str, hook: u32, priority: i32, policy: u32) -> Message {
    message(NEW_CHAIN, CREATE)
        .text(1, TABLE)
        .text(3, name)
        .nest(4, |m| m.be32(1, hook).attr(2, &priority.to_be_bytes()))
        .be32(5, policy)
        .text(7, kind)
}

/// A rule that is being put together.
struct Rule {
    chain: &'static str,
    expressions: Vec<Expression>,
}

/// A name and a function that adds its attributes.
struct Expression(&'static str, Box<dyn FnOnce(Message) -> Message>);

impl Expression {
    fn new(name: &'static str, data: impl FnOnce(Message) -> Message + 'static) -> Self {
        Self(name, Box::new(data))
    }

    fn masquerade() -> Self {
        Self::new("masq", |m| m)
    }

    /// ICMP: forbidden by an administrator.
    fn refusal() -> Self {
        const ICMPX_UNREACHABLE: u32 = 2;
        Self::new("reject", |m| m.be32(1, ICMPX_UNREACHABLE).attr(2, &[3]))
    }

    fn verdict(code: u32) -> Self {
        // Into the verdict register, 0.
        Self::new("immediate", move |m| m.be32(1, 0).nest(2, |m| m.nest(2, |m| m.be32(1, code))))
    }

    /// Load something about the packet into register 1.
    fn meta(key: u32) -> Self {
        Self::new("meta", move |m| m.be32(1, 1).be32(2, key))
    }

    /// Compare register 1.
    fn compare(equal: bool, value: Vec<u8>) -> Self {
        Self::new("cmp", move |m| m.be32(1, 1).be32(2, u32::from(!equal)).nest(3, |m| m.attr(1, &value)))
    }
}

fn rule(chain: &'static str) -> Rule {
    Rule { chain, expressions: Vec::new() }
}

impl Rule {
    fn matches(mut self, expressions: Vec<Expression>) -> Self {
        self.expressions.extend(expressions);
        self
    }

    fn verdict(self, verdict: Expression) -> Message {
        let expressions = self.expressions.into_iter().chain([verdict]);
        message(NEW_RULE, APPEND)
            .text(1, TABLE)
            .text(2, self.chain)
            .nest(4, |m| expressions.fold(m, |m, Expression(name, data)| m.nest(1, |m| m.text(1, name).nest(2, data))))
    }
}

/// The kernel compares all sixteen bytes of an interface's name.
fn interface(key: u32, name: &str) -> Vec<Expression> {
    let mut value = name.as_bytes().to_vec();
    value.resize(16, 0);
    vec![Expression::meta(key), Expression::compare(true, value)]
}

fn iif(name: &str) -> Vec<Expression> {
    interface(6, name)
}

fn oif(name: &str) -> Vec<Expression> {
    interface(7, name)
}

/// An answer, or what belongs to a connection that was allowed.
fn established() -> Vec<Expression> {
    const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
    let mask = ESTABLISHED_OR_RELATED.to_ne_bytes();
    vec![
        Expression::new("ct", |m| m.be32(1, 1).be32(2, 0)),
        Expression::new("bitwise", move |m| {
            m.be32(1, 1).be32(2, 1).be32(3, 4).nest(4, |m| m.attr(1, &mask)).nest(5, |m| m.attr(1, &[0; 4]))
        }),
        Expression::compare(false, vec![0; 4]),
    ]
}

fn icmpv6() -> Vec<Expression> {
    const L4PROTO: u32 = 16;
    vec![Expression::meta(L4PROTO), Expression::compare(true, vec![58])]
}

fn destination(address: IpAddr) -> Vec<Expression> {
    const NFPROTO: u32 = 15;
    const NETWORK_HEADER: u32 = 1;
    let (family, offset, value) = match address {
        IpAddr::V4(ip) => (super::addresses::INET, 16, ip.octets().to_vec()),
        IpAddr::V6(ip) => (super::addresses::INET6, 24, ip.octets().to_vec()),
    };
    let length = value.len() as u32;
    vec![
        Expression::meta(NFPROTO),
        Expression::compare(true, vec![family]),
        Expression::new("payload", move |m| m.be32(1, 1).be32(2, NETWORK_HEADER).be32(3, offset).be32(4, length)),
        Expression::compare(true, value),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::wiring;
    use crate::sys::namespace::{inside, new_network};
    use crate::sys::process::{self, Ended, Fork};
    use std::os::fd::AsFd;

    /// The real kernel takes bridges and rules, twice over.
    #[test]
    fn the_kernel_takes_the_rules() {
        alone!();
        let work = || -> anyhow::Result<()> {
            if !rustix::process::geteuid().is_root() {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?;
            }
            let netns = new_network()?;
            inside(netns.as_fd(), || {
                let mut route = Socket::route()?;
                let gateways: [(IpAddr, u8); 2] = [("10.89.0.1".parse()?, 24), ("fd01::1".parse()?, 64)];
                for _ in 0..2 {
                    wiring::make_bridge(&mut route, "box0", &gateways, 1500, None)?;
                }
                let bridge = |internal, isolate| Bridge {
                    interface: "box0".into(),
                    gateways: gateways.iter().map(|(address, _)| *address).collect(),
                    internal,
                    isolate,
                };
                let mut socket = Socket::netfilter()?;
                apply(&mut socket, &[], "tap0")?;
                apply(&mut socket, &[bridge(false, true), bridge(true, false), bridge(false, false)], "tap0")?;
                wiring::limit(&mut route, "box0", 10_000_000)?;
                wiring::remove_link(&mut route, "box0")?;
                wiring::remove_link(&mut route, "box0")?;
                Ok(())
            })?
        };
        match process::fork().unwrap() {
            Fork::Child => {
                let code = work().map_err(|error| {
                    let _ = rustix::io::write(rustix::stdio::stderr(), format!("{error:#}\n").as_bytes());
                });
                process::exit_now(i32::from(code.is_err()))
            }
            Fork::Parent(pid) => assert_eq!(process::wait(pid).unwrap(), Ended::Exited(0)),
        }
    }
}
