//! Data table: attacks by or on what a container's process is: user, capabilities, groups, environment, system calls.

use super::Attack;

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "B1",
        what: "inheritable capabilities are not empty (CVE-2022-24769, CVE-2022-29162, CVE-2022-27649 to 27652, CVE-2025-27612)",
        tests: &[
            "it sandbox::capabilities",
            "it attributes::no_door_gives_inheritable_capabilities",
            "it attributes::the_commands_of_a_build_have_no_inheritable_capabilities",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B2",
        what: "another user than root keeps capabilities (CVE-2018-10856, CVE-2021-20188, CVE-2016-8867)",
        tests: &["it attributes::another_user_than_root_has_no_capabilities"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B3",
        what: "groups of the user are not set, or the primary one is missing (CVE-2022-2989, CVE-2022-2990, CVE-2022-2995, CVE-2022-36109, CVE-2023-25173)",
        tests: &[
            "it attributes::a_file_that_denies_a_group_stays_closed",
            "lib runtime::tests::users",
            "it rights::further_groups",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B4",
        what: "dropping a group opens what the group was denied (CVE-2018-7169, CVE-2014-8989)",
        tests: &["it hosts::no_subordinate_ids"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B5",
        what: "users that are numbers, names or too large become root (CVE-2016-3697, CVE-2024-40635, CVE-2026-46680, CVE-2026-30892)",
        tests: &["it evil::numbers_that_wrap_in_passwd_or_user", "lib runtime::user::tests::never_root_by_accident"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B6",
        what: "line ends in names, variables and folders become lines of files (CVE-2022-4318, CVE-2026-23953)",
        tests: &["it evil::working_folders_that_attack", "it attributes::line_ends_do_not_become_lines"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B7",
        what: "the image's passwd or group blocks or has no end (CVE-2024-9676, CVE-2025-4437, CVE-2026-47262)",
        tests: &["it evil::passwd_is_not_what_it_seems", "lib runtime::user::tests::hostile_files_are_refused_at_once"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B8",
        what: "the image's variables copy the caller's (CVE-2026-57231)",
        tests: &["it evil::the_images_environment_copies_nothing"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B9",
        what: "one container's environment reaches another, or a build's (CVE-2020-14370, CVE-2021-3602)",
        tests: &[
            "it attributes::containers_at_once_have_each_their_own_variables",
            "it attributes::the_commands_of_a_build_see_nothing_of_the_callers_variables",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B10",
        what: "keys are typed into the caller's terminal (CVE-2017-5226, CVE-2019-10063, CVE-2023-28100)",
        tests: &["it tty::a_terminal_of_its_own", "it attributes::nothing_is_typed_into_the_callers_terminal"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B11",
        what: "the image's variables reach programs of the host (CVE-2025-23266)",
        tests: &[
            "it rights::helpers_have_nothing_of_the_callers_environment",
            "lib runtime::tests::with_hooks::get_the_state_and_their_own_environment_only",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B12",
        what: "the engine runs a program of the container's (CVE-2022-1227, CVE-2019-14271, CVE-2026-41567)",
        tests: &["it attributes::nothing_of_the_containers_is_run_by_box"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B13",
        what: "other users of the host reach what is stored (CVE-2021-41103, CVE-2021-41091, CVE-2024-25621)",
        tests: &["it sandbox::the_store_is_private", "it attributes::others_reach_nothing_that_is_stored"],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B14",
        what: "sockets that the filter refuses, by high bits, `socketcall` or x32 (CVE-2026-31431, CVE-2026-123876)",
        tests: &[
            "it attributes::calls_that_are_refused_by_every_door",
            "lib runtime::seccomp::tests::what_a_rule_forbids_x32_does_not_allow",
            "lib runtime::seccomp::tests::random_rules_do_what_the_model_says",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B15",
        what: "the kernel's seldom used doors are open (CVE-2022-0185, CVE-2022-0492, CVE-2016-0728, CVE-2021-41133)",
        tests: &[
            "it attributes::calls_that_are_refused_by_every_door",
            "it sandbox::what_the_default_profile_refuses",
            "it selftest::by_default",
        ],
        remark: "",
        weakened: &[],
    },
    Attack {
        id: "B16",
        what: "limits do not hold, or not for further processes (CVE-2023-6476, CVE-2025-47291)",
        tests: &["it limits::root_exec_is_born_into_the_cgroup", "it limits::root_devices_are_those_that_were_given"],
        remark: "memory and processes: `tests/vm/run`",
        weakened: &[],
    },
    Attack {
        id: "B17",
        what: "shared memory escapes its limit (CVE-2024-3056)",
        tests: &["it attributes::memory_that_is_shared_is_bounded_for_all", "it limits::shared_memory_and_the_score"],
        remark: "there are no pods",
        weakened: &[],
    },
];
