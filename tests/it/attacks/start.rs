//! Data table: attacks on the making of a container's root, `/proc`, `/dev` and masked paths.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "A1",
        what: "the runtime's own program is overwritten through `/proc/PID/exe` (CVE-2019-5736)",
        tests: &["it evil::its_own_program_is_not_overwritten"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A2",
        what: "a descriptor of the host's left open, as working folder `/proc/self/fd/N` (CVE-2024-21626)",
        tests: &["it evil::working_folders_that_attack", "it sandbox::only_the_three_streams_are_open"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A3",
        what: "who joins a container is traced or looked into before it is the command (CVE-2016-9962)",
        tests: &[
            "it evil::nothing_of_the_host_is_seen_while_a_command_joins",
            "lib runtime::tests::with_attacks::who_comes_in_cannot_be_traced_or_looked_into",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A4",
        what: "`/proc` or `/sys` in the image is a link (CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867)",
        tests: &["it evil::folders_that_box_mounts_on_are_links"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A5",
        what: "`/dev` in the image is a link, and device nodes are made behind it (CVE-2026-41579, CVE-2026-47766)",
        tests: &[
            "it evil::folders_that_box_mounts_on_are_links",
            "it evil::devices_that_are_links",
            "it bundles::links_in_place_of_devices_are_not_followed",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A6",
        what: "`/dev/console` in the image is a link to a file of the host's (CVE-2026-88264)",
        tests: &["it evil::devices_that_are_links", "it bundles::a_console_that_is_a_link_is_not_followed"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A7",
        what: "a terminal's name is swapped for a link before it is bound (CVE-2025-52565)",
        tests: &["lib runtime::tests::a_terminal_is_the_containers_own"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A8",
        what: "the null device that covers masked paths is a link of the image's (CVE-2025-31133, CVE-2025-62161, CVE-2026-88265)",
        tests: &[
            "it evil::devices_that_are_links",
            "it sandbox::masked_paths_are_empty",
            "it bundles::links_in_place_of_devices_are_not_followed",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A9",
        what: "writes to procfs are led astray by what is mounted over it (CVE-2025-52881, CVE-2025-62596, CVE-2019-16884)",
        tests: &[
            "lib runtime::tests::nothing_is_mounted_inside_proc",
            "it rights::options_that_meet_links_of_the_image_stay_inside",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A10",
        what: "a mount point is swapped for a link between look and use (CVE-2021-30465)",
        tests: &["lib runtime::tests::with_attacks::a_mount_point_that_is_swapped_for_a_link_leads_nowhere"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A11",
        what: "mount points are made through a swapped link (CVE-2024-45310, CVE-2019-18837)",
        tests: &["lib runtime::tests::with_attacks::a_mount_point_that_is_swapped_for_a_link_leads_nowhere"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A12",
        what: "very long mounts and annotations overflow a length (CVE-2021-43784)",
        tests: &["it bundles::very_long_values_arrive_whole"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A13",
        what: "the host's cgroups can be written from inside (CVE-2023-25809)",
        tests: &["it selftest::by_default"],
        remark: "with `--cgroupns host`: `tests/vm/run`",
        weakened: &[],
    },
    Attack {
        id: "A14",
        what: "a sysctl's value carries a second one, or one reaches the host (CVE-2022-0811)",
        tests: &[
            "it rights::sysctls",
            "lib runtime::sysctl::tests::the_hosts_settings_are_not_a_containers",
            "it bundles::root_what_names_a_thing_that_is_not_there",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A15",
        what: "paths that tell of or control the host's hardware are not masked (CVE-2017-16539, CVE-2018-10892)",
        tests: &["it sandbox::masked_paths_are_empty", "it sandbox::read_only_paths", "it selftest::by_default"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A16",
        what: "a checkpoint from an enemy is restored (CVE-2026-119101, CVE-2026-115520, CVE-2024-8676)",
        tests: &["it oci::what_is_wrong_leaves_nothing", "it evil::annotations_and_labels_change_nothing"],
        remark: "there is no restoring",
        weakened: &[],
    },
    Attack {
        id: "A17",
        what: "files that the engine writes into `/etc` and `/run` are links, folders, FIFOs or devices of the image's (CVE-2024-5154)",
        tests: &["it evil::files_that_box_writes_are_something_else"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "A18",
        what: "other files that are put into the container meet links of the image's (CVE-2024-9341)",
        tests: &[
            "it evil::files_that_box_writes_are_something_else",
            "it rights::options_that_meet_links_of_the_image_stay_inside",
            "it evil::volumes_that_lead_out",
        ],
        remark: "",
        weakened: &[],
    },
];
