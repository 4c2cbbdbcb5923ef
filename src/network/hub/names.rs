//! What becomes of a question for a name. Only [`host_servers`] looks at the machine.

use super::{Lease, Member};
use crate::network::dns::Verdict;
use crate::network::dns::packet::{self, Data, Query};
use crate::network::host_file;
use crate::network::record::Record;
use std::net::IpAddr;
use std::path::Path;

/// Who is where.
pub(super) struct Known<'a> {
    pub members: &'a [&'a Member],
    pub networks: &'a [&'a Record],
    /// Counts questions, so that several addresses take turns.
    pub turn: usize,
}

/// What becomes of a question that came in at a network's door. Who asks is known by the address: a container of
/// several networks is answered from all of them.
pub(super) fn decide(known: &Known<'_>, network: &str, from: IpAddr, query: &Query) -> Verdict {
    let has = |lease: &Lease, address: IpAddr| lease.addresses.iter().any(|own| own.address == address);
    let asker = known.members.iter().find(|member| member.leases.iter().any(|lease| has(lease, from)));
    let own: Vec<&str> = match asker {
        Some(member) => member.leases.iter().map(|lease| lease.record.id.as_str()).collect(),
        None => vec![network],
    };
    let all = known.members.iter().flat_map(|member| member.leases.iter().map(move |lease| (*member, lease)));
    let near: Vec<(&Member, &Lease)> =
        all.filter(|(_, lease)| lease.record.dns && own.contains(&lease.record.id.as_str())).collect();
    if let Some(address) = query.reverse() {
        if let Some((member, _)) = near.iter().find(|(_, lease)| has(lease, address)) {
            let name = member.names.first().cloned().unwrap_or_default();
            return Verdict::Answer(packet::NO_ERROR, vec![Data::Name(name)]);
        }
        // Addresses of ours are nobody's business above.
        if known.networks.iter().any(|record| record.subnets.iter().any(|subnet| subnet.subnet.contains(address))) {
            return Verdict::Answer(packet::NO_SUCH_NAME, Vec::new());
        }
    }
    // A resolver looks for short names in its search domains first; a container's name is never that domain's
    // (CVE-2025-8283).
    let domains = asker.map(|member| member.search.as_slice()).unwrap_or_default();
    let in_domain = |domain: &String| query.name.strip_suffix(&domain.to_ascii_lowercase())?.strip_suffix('.');
    let name = domains.iter().find_map(in_domain).unwrap_or(&query.name);
    let found: Vec<&Lease> =
        near.iter().filter(|(member, lease)| is_called(member, lease, name)).map(|(_, lease)| *lease).collect();
    if !found.is_empty() {
        let addresses = found.iter().flat_map(|lease| &lease.addresses).map(|address| address.address);
        let wanted = |ip: &IpAddr| query.asks_for(if ip.is_ipv4() { packet::A } else { packet::AAAA });
        let mut records: Vec<Data> = addresses.filter(wanted).map(Data::Address).collect();
        let places = records.len().max(1);
        records.rotate_left(known.turn % places);
        return Verdict::Answer(packet::NO_ERROR, records);
    }
    let leads_out = known.networks.iter().any(|record| own.contains(&record.id.as_str()) && !record.internal);
    if !leads_out {
        return Verdict::Answer(packet::NO_SUCH_NAME, Vec::new());
    }
    let of_member = asker.map(|member| member.dns.clone()).unwrap_or_default();
    let of_network = known.networks.iter().find(|record| record.id == network);
    let of_network = of_network.map(|record| record.dns_servers.clone()).unwrap_or_default();
    Verdict::Ask([of_member, of_network].into_iter().find(|list| !list.is_empty()).unwrap_or_else(host_servers))
}

fn is_called(member: &Member, lease: &Lease, name: &str) -> bool {
    let names = member.names.iter().chain(&lease.attachment.aliases);
    names.into_iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The host's name servers, as they are now.
fn host_servers() -> Vec<IpAddr> {
    let text = host_file(Path::new("/etc/resolv.conf"));
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    let servers: Vec<IpAddr> = servers.take(3).collect();
    // resolv.conf(5): without any, the machine's own.
    if servers.is_empty() { vec![IpAddr::from([127, 0, 0, 1])] } else { servers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::dns::packet::{A, AAAA, PTR, parse, question};
    use crate::network::hub::Address;
    use crate::network::prefix::Prefix;
    use crate::network::record::Subnet;
    use crate::network::{Attachment, Mac};

    fn record(name: &str, third: u8, internal: bool) -> Record {
        let subnet = Prefix::parse(&format!("10.89.{third}.0/24")).unwrap();
        serde_json::from_value(serde_json::json!({
            "version": 1, "id": name, "name": name, "created": 0, "interface": name, "internal": internal, "dns": true,
            "subnets": [Subnet { subnet, gateway: subnet.at(1).unwrap(), range: None }], "dns_servers": [],
            "labels": {}, "mtu": null, "isolate": true, "no_default_route": false, "metric": null, "routes": [],
            "options": {},
        }))
        .unwrap()
    }

    fn member(names: &[&str], places: &[(&Record, u8, &[&str])]) -> Member {
        let lease = |(record, last, aliases): &(&Record, u8, &[&str])| {
            let subnet = &record.subnets[0];
            let address = subnet.subnet.at(u128::from(*last)).unwrap();
            Lease {
                record: (*record).clone(),
                attachment: Attachment {
                    aliases: aliases.iter().map(ToString::to_string).collect(),
                    ..Default::default()
                },
                interface: "eth0".into(),
                outer: "veth0".into(),
                mac: Mac([2, 0, 0, 0, 0, 1]),
                addresses: vec![Address { address, length: 24, gateway: subnet.gateway, is_default: true }],
            }
        };
        Member {
            id: names[0].into(),
            names: names.iter().map(ToString::to_string).collect(),
            dns: Vec::new(),
            search: vec!["corp.example".into()],
            wanted: Vec::new(),
            leases: places.iter().map(lease).collect(),
        }
    }

    #[test]
    fn who_is_told_what() {
        let (one, two, vault) = (record("one", 1, false), record("two", 2, false), record("vault", 3, true));
        let web = member(&["web", "0123456789ab"], &[(&one, 2, &["both"]), (&two, 2, &[])]);
        let db = member(&["db"], &[(&two, 3, &["store"])]);
        let api = member(&["api"], &[(&one, 4, &["both"])]);
        let safe = member(&["safe"], &[(&vault, 2, &[])]);
        let (members, networks) = ([&web, &db, &api, &safe], [&one, &two, &vault]);
        let ask = |turn: usize, network: &str, from: &str, name: &str, kind: u16| {
            let query = parse(&question(1, name, kind)).unwrap();
            decide(&Known { members: &members, networks: &networks, turn }, network, from.parse().unwrap(), &query)
        };
        let told = |verdict: Verdict| match verdict {
            Verdict::Answer(packet::NO_ERROR, records) => records
                .iter()
                .map(|record| match record {
                    Data::Address(address) => address.to_string(),
                    Data::Name(name) => name.clone(),
                })
                .collect::<Vec<_>>()
                .join(" "),
            Verdict::Answer(code, _) => format!("code {code}"),
            Verdict::Ask(_) => "ask above".into(),
        };
        for (network, from, name, kind, wanted) in [
            ("two", "10.89.2.3", "web", A, "10.89.2.2"),
            ("two", "10.89.2.3", "0123456789AB", A, "10.89.2.2"),
            ("two", "10.89.2.3", "web", AAAA, ""),
            ("one", "10.89.1.4", "web.corp.example", A, "10.89.1.2"),
            ("one", "10.89.1.4", "web.other.example", A, "ask above"),
            // A container of two networks knows both, whichever door it asks at.
            ("one", "10.89.1.2", "store", A, "10.89.2.3"),
            // One of a network knows nobody of another.
            ("one", "10.89.1.4", "db", A, "ask above"),
            ("vault", "10.89.3.2", "web", A, "code 3"),
            ("vault", "10.89.3.2", "www.example", A, "code 3"),
            ("one", "10.89.1.4", "2.1.89.10.in-addr.arpa", PTR, "web"),
            ("one", "10.89.1.4", "9.1.89.10.in-addr.arpa", PTR, "code 3"),
            ("one", "10.89.1.4", "3.2.89.10.in-addr.arpa", PTR, "code 3"),
            ("one", "10.89.1.4", "1.0.0.192.in-addr.arpa", PTR, "ask above"),
            ("one", "10.89.1.99", "api", A, "10.89.1.4"),
        ] {
            assert_eq!(told(ask(0, network, from, name, kind)), wanted, "{network} {from} {name}");
        }
        assert_eq!(told(ask(0, "one", "10.89.1.4", "both", A)), "10.89.1.2 10.89.1.4");
        assert_eq!(told(ask(1, "one", "10.89.1.4", "both", A)), "10.89.1.4 10.89.1.2");
    }
}
