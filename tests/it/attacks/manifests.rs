//! Data table: attacks on manifests, digests, signatures and caches.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "E1",
        what: "a document that is two things at once (CVE-2021-41190)",
        tests: &["it pull::documents_that_are_two_things_at_once"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "E2",
        what: "a digest that is a path (CVE-2024-3727)",
        tests: &["it pull::manifests_that_lie"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "E3",
        what: "malformed digests, annotations and histories end the program (CVE-2026-95839, CVE-2021-21285, CVE-2024-36620)",
        tests: &["it evil::configs_that_are_malformed"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "E4",
        what: "indexes of indexes without end (GO-2026-6597)",
        tests: &["it pull::indexes_without_end", "it makes::of_lists_without_end"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "E5",
        what: "an image that is not what its digest or signature says (CVE-2026-111361)",
        tests: &[
            "it pull::bytes_that_are_not_what_their_digest_says",
            "it pull::a_resumed_download_of_other_bytes_is_refused",
            "it trust::accept_and_reject",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "E6",
        what: "a forged image poisons the cache (CVE-2024-24557, CVE-2026-33542, CVE-2026-48769, CVE-2026-35172)",
        tests: &["it evil::an_image_with_the_same_history_is_no_cache"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "E7",
        what: "root of a container writes into folders of ids that are mapped (CVE-2021-21284)",
        tests: &["it attributes::others_reach_nothing_that_is_stored"],
        remark: "",
        weakened: &[],
    },
];
