//! Data table: attacks on labels and annotations.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "J1",
        what: "annotations of an image switch defences off (CVE-2026-94603, CVE-2024-3154)",
        tests: &["it evil::annotations_and_labels_change_nothing"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "J2",
        what: "labels become commands (CVE-2026-53488, CVE-2026-121885, CVE-2026-55887)",
        tests: &["it evil::annotations_and_labels_change_nothing"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "J3",
        what: "a file for `kube play` is written through a link (CVE-2025-9566)",
        tests: &[],
        remark: "there is no `kube play`",
        weakened: &[],
    },
    Attack {
        id: "J4",
        what: "an artifact's annotation is a path (CVE-2025-62725)",
        tests: &[],
        remark: "there is no `compose`, and artifacts are not unpacked by name",
        weakened: &[],
    },
    Attack {
        id: "J5",
        what: "YAML that grows without end (RUSTSEC-2018-0005, CVE-2026-41648)",
        tests: &["lib bake::tests::yaml_that_grows_without_end_is_refused"],
        remark: "",
        weakened: &[],
    },
];
