//! Data table: attacks on the monitor, its sockets, logs and terminals.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "L1",
        what: "a socket of the engine's is reached from a container in the host's network (CVE-2020-15257)",
        tests: &["it sandbox::a_host_network_container_sees_no_socket_of_box"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "L2",
        what: "who does not read makes the monitor grow (CVE-2022-1708, CVE-2022-23471, CVE-2022-31030, CVE-2025-64329)",
        tests: &["it logs::a_log_without_a_reader_stops_nobody"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "L3",
        what: "control characters reach the caller's terminal (CVE-2021-25743)",
        tests: &["it ps::control_characters_stay_harmless", "it contract::control_characters_in_errors_are_escaped"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "L4",
        what: "a container forges lines of its log",
        tests: &["it logs::the_bytes_are_the_containers", "it logs::logs_do_not_grow_without_end"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "L5",
        what: "notify messages that are empty, huge or forged (CVE-2016-7795)",
        tests: &["it sdnotify::messages_that_are_empty_or_huge_or_forged"],
        remark: "",
        weakened: &[],
    },
];
