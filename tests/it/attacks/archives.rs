//! Data table: attacks on layers and the archives that they come in.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "D1",
        what: "links, then files through them; folders through links; sizes (CVE-2018-20990, CVE-2021-38511, CVE-2026-33055, CVE-2026-33056, CVE-2021-32760)",
        tests: &[
            "it hostile::links_that_lead_out",
            "it hostile::names_that_lead_out",
            "it reliability::hostile::archives_from_a_table_through_every_door",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D2",
        what: "two readers of one archive see different entries (CVE-2025-62518, CVE-2026-32766)",
        tests: &["it hostile::damaged_archives"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D3",
        what: "a sparse map claims memory without end (CVE-2025-58183)",
        tests: &["it hostile::damaged_archives"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D4",
        what: "the root entry is a link (CVE-2021-29136)",
        tests: &["it hostile::the_root_itself"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D5",
        what: "paths and hard links lead out (CVE-2026-46703, CVE-2026-50162, CVE-2026-50163, CVE-2020-10696)",
        tests: &["it hostile::names_that_lead_out", "it hostile::links_that_lead_out"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D6",
        what: "folders of an image's layout are links (CVE-2026-48749, CVE-2026-23954)",
        tests: &["it pull::layouts_that_lead_out"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D7",
        what: "whiteouts delete through links, or take quadratic time (CVE-2026-95838)",
        tests: &["it hostile::forged_overlay_marks", "it hostile::many_opaque_marks_take_linear_time"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D8",
        what: "documents are read without end (CVE-2017-14992, CVE-2020-1702, CVE-2023-25153)",
        tests: &["it pull::endless_answers_end"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D9",
        what: "packed data that hangs or grows without end (CVE-2021-20291, CVE-2021-29482, CVE-2025-58058)",
        tests: &["it hostile::packed_bombs_and_rubbish"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D10",
        what: "folders are swapped for links while they are deleted (CVE-2022-21658)",
        tests: &["lib store::remove::tests::a_folder_that_is_swapped_for_a_link_meanwhile"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "D11",
        what: "devices and setuid files of an image's reach the host",
        tests: &["it hostile::devices_are_no_devices"],
        remark: "",
        weakened: &[],
    },
];
