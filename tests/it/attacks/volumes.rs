//! Data table: attacks on volumes, copies, archives and logs.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "C1",
        what: "`cp` follows a link that is swapped in (CVE-2018-15664, CVE-2019-10152, CVE-2019-18466, CVE-2026-41568, CVE-2026-42306)",
        tests: &["it cp::links_that_are_swapped_meanwhile", "it cp::links_lead_nowhere_else"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C2",
        what: "an archive out of a container writes beside its folder (CVE-2018-1002100, CVE-2019-1002101, CVE-2019-11251)",
        tests: &["it cp::links_lead_nowhere_else"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C3",
        what: "`cp` changes modes of the host's files (CVE-2021-41089)",
        tests: &["it cp::modes_of_the_hosts_files_stay"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C4",
        what: "a file is swapped for a link while a volume is exported (CVE-2023-0778)",
        tests: &["it volumes::what_is_swapped_while_a_volume_is_moved_leads_nowhere"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C5",
        what: "archives for `load` and `volume import` overwrite the host's files (CVE-2025-11395)",
        tests: &["it reliability::hostile::archives_from_a_table_through_every_door"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C6",
        what: "what a volume has is overwritten when it is mounted first (CVE-2020-1726)",
        tests: &["it volumes::the_image_fills_a_new_volume"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C7",
        what: "an ignore file that is a link is followed (CVE-2022-4122, CVE-2022-4123)",
        tests: &["it build::attacks::links_in_the_context_lead_nowhere_else"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C8",
        what: "a part of a volume is swapped for a link (CVE-2017-1002101, CVE-2021-25741, CVE-2022-23648, CVE-2025-47290)",
        tests: &["it volumes::a_part_that_is_swapped_for_a_link_leads_nowhere", "it evil::volumes_that_lead_out"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C9",
        what: "the working folder is made behind a link, on the host (CVE-2026-55686)",
        tests: &["it evil::working_folders_that_attack"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C10",
        what: "a read-only mount is made writable from inside (CVE-2024-0132, CVE-2026-46695)",
        tests: &["it root::root_a_read_only_volume_is_so_to_the_bottom"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C11",
        what: "names of containers and logs lead to other folders (CVE-2025-0750)",
        tests: &["it evil::names_and_logs_lead_to_no_other_folder"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "C12",
        what: "a shorter file in place of a longer one keeps the rest (CVE-2026-19730)",
        tests: &["it cp::a_shorter_file_takes_the_place_of_all_of_a_longer_one"],
        remark: "",
        weakened: &[],
    },
];
