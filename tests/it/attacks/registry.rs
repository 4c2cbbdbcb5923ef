//! Data table: attacks on talking to registries.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "F1",
        what: "credentials follow redirects, foreign addresses and upload locations (CVE-2020-15157, CVE-2026-50151)",
        tests: &["it pull::credentials_go_nowhere_else", "it push::credentials_do_not_follow_an_upload"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "F2",
        what: "the realm of a challenge gets the password (CVE-2026-48978, CVE-2026-33540, CVE-2026-33990, CVE-2026-35527)",
        tests: &["it pull::a_realm_elsewhere_gets_no_password"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "F3",
        what: "certificates are not verified (CVE-2019-10214, CVE-2025-6032)",
        tests: &[
            "it interop::a_certificate_that_signs_itself",
            "lib registry::explain::tests::what_is_wrong_with_a_certificate",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "F4",
        what: "credentials of another host, or in logs (CVE-2021-41092, CVE-2019-1020014, CVE-2019-13509, CVE-2025-0495)",
        tests: &["it login::helpers_keep_passwords"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "F5",
        what: "answers that never end or flood (RUSTSEC-2026-0258, RUSTSEC-2024-0003)",
        tests: &["it pull::endless_answers_end", "it pull::redirects_without_end"],
        remark: "",
        weakened: &[],
    },
];
