//! Real servers and clients, by name and by published ports: nginx, PostgreSQL, iperf3, ab, dig.
//!
//! `BOX_TEST_SERVERS` names a root file system with them as a tar, which this makes:
//!
//! ```text
//! mmdebstrap --variant=minbase --include=postgresql,nginx-light,iperf3,apache2-utils,bind9-dnsutils bookworm servers.tar
//! ```

use crate::env::{TestEnv, eventually};
use crate::network::{ask, host_port, outer_address};
use std::net::SocketAddr;

const NGINX: &str = "nginx -g 'daemon off; error_log stderr;'";
const POSTGRES: &str = "\
    set -e; bin=$(echo /usr/lib/postgresql/*/bin); su postgres -c \"$bin/initdb -D /tmp/db -A trust\" > /dev/null; \
    echo 'host all all all trust' >> /tmp/db/pg_hba.conf; mkdir -p /run/postgresql; chown postgres /run/postgresql; \
    exec su postgres -c \"$bin/postgres -D /tmp/db -c listen_addresses='*'\"";

fn sh<'a>(options: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [&["run"], options, &["servers", "sh", "-c", script]].concat()
}

#[test]
fn real_servers_and_clients() {
    let Some(tar) = std::env::var_os("BOX_TEST_SERVERS") else { skip!("wants BOX_TEST_SERVERS") };
    let env = TestEnv::new();
    env.box_(&["import", "-q", &tar.to_string_lossy(), "servers"]).ok();
    env.box_(&["network", "create", "back"]).ok();
    let host = outer_address("192.0.2.1:9").expect("this host has no address but loopback");
    for mode in ["slirp4netns", "pasta", "back"] {
        let log = "ln -sf /dev/stdout /var/log/nginx/access.log; exec ";
        let script = [log, NGINX].concat();
        env.box_(&sh(&["-d", "--name", mode, "--network", mode, "-p", "80"], &script)).ok();
        let port = host_port(&env, mode, "80/tcp");
        let page = ask(SocketAddr::new(host, port), "GET / HTTP/1.0\r\n\r\n");
        assert!(page.contains("Welcome to nginx"), "{mode}: {page}");
        env.await_log(mode, &format!("{host} - - ["));
    }
    // By name, from a container beside it: small requests, many at once.
    let report = env.box_(&sh(&["--rm", "--network", "back"], "ab -q -n 2000 -c 8 http://back/ 2>&1")).ok();
    assert!(
        report.contains("Failed requests:        0") && report.contains("Complete requests:      2000"),
        "{report}"
    );
    // A database, and its client.
    env.box_(&sh(&["-d", "--name", "db", "--network", "back:alias=store"], POSTGRES)).ok();
    let psql =
        "psql -h store -U postgres -Atc 'create table t as select generate_series(1, 1000) n; select sum(n) from t'";
    let mut said = String::new();
    eventually("an answer of the database", || {
        let outcome = env.box_(&sh(&["--rm", "--network", "back"], psql));
        said = outcome.out();
        outcome.code == 0
    });
    assert!(said.contains("500500"), "{said}");
    // Bytes in both ways, and names as dig has them.
    env.box_(&sh(&["-d", "--name", "measure", "--network", "back"], "exec iperf3 -s --forceflush")).ok();
    env.await_log("measure", "listening");
    for back in ["", " -R"] {
        let script = format!("iperf3 -t 1 -c measure{back}");
        let report = env.box_(&sh(&["--rm", "--network", "back"], &script)).ok();
        assert!(report.contains("receiver"), "{report}");
    }
    let script = "dig +short db; dig +short +tcp store; dig +short -x $(dig +short db)";
    let answers = env.box_(&sh(&["--rm", "--network", "back"], script)).ok();
    let address = env.inspect("db", "{{(index .NetworkSettings.Networks \"back\").IPAddress}}");
    assert_eq!(answers.lines().collect::<Vec<_>>(), [&*address, &*address, "db."]);
}
