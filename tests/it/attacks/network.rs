//! Data table: attacks on networks.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "K1",
        what: "connections from outside seem to come from 127.0.0.1 (CVE-2021-20199)",
        tests: &[
            "it network::a_server_sees_its_clients_own_address",
            "it network::a_udp_server_sees_its_clients_own_address",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "K2",
        what: "the host's loopback is reached (CVE-2020-8558)",
        tests: &["it ports::the_default_network_leads_out_but_not_to_the_hosts_loopback"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "K3",
        what: "a container forges router advertisements (CVE-2020-10749, CVE-2020-13401, CVE-2024-32473)",
        tests: &["it forged::advertisements_are_not_believed", "it networks::networks_are_kept_apart"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "K4",
        what: "names are asked for outside of an internal network (CVE-2024-29018)",
        tests: &["it networks::networks_are_kept_apart", "lib network::hub::names::tests::who_is_told_what"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "K5",
        what: "a container's name is found in the host's search domain (CVE-2025-8283)",
        tests: &["lib network::hub::names::tests::who_is_told_what"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "K6",
        what: "one client blocks the name server (CVE-2024-8418, CVE-2026-35406)",
        tests: &[
            "it forged::a_besieged_name_server_answers_others",
            "lib network::dns::tests::one_client_does_not_fill_the_resolver",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "K7",
        what: "the firewall's reload opens ports (CVE-2025-54388, CVE-2025-54410)",
        tests: &[],
        remark: "the host's firewall is left alone",
        weakened: &[],
    },
    Attack {
        id: "K8",
        what: "an engine's socket is reached from a container (CVE-2021-4024, CVE-2025-9074, CVE-2025-64443)",
        tests: &[],
        remark: "there is no daemon and no socket of an API's",
        weakened: &[],
    },
    Attack {
        id: "K9",
        what: "packets break the user-mode network (libslirp: CVE-2020-8608, CVE-2021-3592 and others)",
        tests: &["it forged::hostile_packets_do_not_take_the_network_away", "it ports::killed_helpers_come_back"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "K10",
        what: "a network's type is the path of a program (CVE-2021-20206)",
        tests: &["it forged::a_networks_kind_is_no_program"],
        remark: "",
        weakened: &[],
    },
];
