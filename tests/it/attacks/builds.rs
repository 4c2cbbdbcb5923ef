//! Data table: attacks on builds.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "G1",
        what: "a bind of another image's link mounts the host (CVE-2024-1753)",
        tests: &["it build::attacks::links_in_a_stage_lead_nowhere_else"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "G2",
        what: "propagation and cache ids are not checked (CVE-2024-9407, CVE-2024-9675)",
        tests: &[
            "it build::attacks::targets_that_are_not_to_be_mounted_on",
            "it build::attacks::words_of_mounts_reach_no_more_than_they_say",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "G3",
        what: "a source is swapped by a stage at the same time (CVE-2024-11218, CVE-2024-23651)",
        tests: &["it build::attacks::a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere_else"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "G4",
        what: "mount points are removed through a link (CVE-2024-23652)",
        tests: &["it build::attacks::mount_points_are_removed_without_following_links"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "G5",
        what: "privileges without having been allowed (CVE-2024-23653, CVE-2024-23650)",
        tests: &["it build::attacks::what_a_command_may_not_without_being_allowed"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "G6",
        what: "remote contexts escape or run commands (CVE-2026-33747, CVE-2026-33748, CVE-2026-44517, CVE-2024-10220, CVE-2019-13139)",
        tests: &[
            "it build::attacks::links_in_the_context_lead_nowhere_else",
            "it build::attacks::archives_as_contexts_stay_where_they_are_unpacked",
            "it build::attacks::hooks_of_repositories_are_not_run",
            "it build::contexts::git_repositories_are_contexts",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "G7",
        what: "what is written to a bind stays in the context (CVE-2025-4953)",
        tests: &["it build::steps::commands_and_what_they_are_lent"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "G8",
        what: "secrets stay in layers, history, cache or logs",
        tests: &[
            "it build::attacks::secrets_are_nowhere_afterwards",
            "it build::steps::commands_and_what_they_are_lent",
        ],
        remark: "",
        weakened: &[],
    },
];
