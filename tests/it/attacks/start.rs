//! Data table: attacks on the making of a container's root, `/proc`, `/dev` and masked paths.

use super::{Attack, Weakening};

pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "A1",
        what: "the runtime's own program is overwritten through `/proc/PID/exe` (CVE-2019-5736)",
        tests: &["it evil::its_own_program_is_not_overwritten"],
        remark: "the kernel itself refuses to write to a program that runs",
        weakened: &[],
    },
    Attack {
        id: "A2",
        what: "a descriptor of the host's left open, as working folder `/proc/self/fd/N` (CVE-2024-21626)",
        tests: &[
            "it evil::working_folders_that_attack",
            "it sandbox::only_the_three_streams_are_open",
            "it oci::descriptors_are_handed_on",
        ],
        remark: "",
        weakened: &[Weakening {
            without: "the descriptors of the caller closed",
            file: "src/runtime/init.rs",
            from: "    process::close_on_exec_from(3 + bundle.unmonitored.map_or(0, |with| with.preserve_fds))?;\n",
            to: "",
            test: "it oci::descriptors_are_handed_on",
        }],
    },
    Attack {
        id: "A3",
        what: "who joins a container is traced or looked into before it is the command (CVE-2016-9962)",
        tests: &[
            "it evil::nothing_of_the_host_is_seen_while_a_command_joins",
            "lib runtime::tests::with_attacks::who_comes_in_cannot_be_traced_or_looked_into",
        ],
        remark: "two defences stand behind each other: without the process between, the other holds",
        weakened: &[],
    },
    Attack {
        id: "A4",
        what: "`/proc` or `/sys` in the image is a link (CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867)",
        tests: &[
            "it evil::folders_that_box_mounts_on_are_links",
            "lib runtime::tests::links_in_the_image_lead_nowhere",
        ],
        remark: "",
        weakened: &[Weakening {
            without: "links in place of mount points refused",
            file: "src/runtime/mounts.rs",
            from: "Err(Errno::LOOP) => Err(fault(Kind::BadData, format!(\"`{}` in the image is a symbolic link\", path.display()))),",
            to: "Err(Errno::LOOP) => Ok(root.make_dir_all(path, Mode::from_raw_mode(0o755))?),",
            test: "lib runtime::tests::links_in_the_image_lead_nowhere",
        }],
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
        weakened: &[Weakening {
            without: "`/dev` looked up without links",
            file: "src/runtime/devices.rs",
            from: "let dev = match root.open_without_links(Path::new(\"/dev\"), flags) {",
            to: "let dev = match rustix::fs::openat(root, \"dev\", flags | OFlags::CLOEXEC, Mode::empty()) {",
            test: "it bundles::links_in_place_of_devices_are_not_followed",
        }],
    },
    Attack {
        id: "A6",
        what: "`/dev/console` in the image is a link to a file of the host's (CVE-2026-88264)",
        tests: &["it evil::devices_that_are_links", "it bundles::a_console_that_is_a_link_is_not_followed"],
        remark: "",
        weakened: &[Weakening {
            without: "`O_EXCL` and `O_NOFOLLOW` where nodes are mounted on",
            file: "src/runtime/devices.rs",
            from: "let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;",
            to: "let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;",
            test: "it bundles::a_console_that_is_a_link_is_not_followed",
        }],
    },
    Attack {
        id: "A7",
        what: "a terminal's name is swapped for a link before it is bound (CVE-2025-52565)",
        tests: &[
            "it attributes::a_terminal_that_is_not_the_kernels_is_refused",
            "lib runtime::tests::a_terminal_is_the_containers_own",
        ],
        remark: "the kernel itself makes no terminal of another device",
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
        weakened: &[Weakening {
            without: "mounts inside `/proc` refused",
            file: "src/runtime/mounts.rs",
            from: "Ok(_) => Err(fault(Kind::Usage, \"nothing can be mounted inside `/proc`\")),",
            to: "Ok(_) => Ok(()),",
            test: "lib runtime::tests::nothing_is_mounted_inside_proc",
        }],
    },
    Attack {
        id: "A10",
        what: "a mount point is swapped for a link between look and use (CVE-2021-30465)",
        tests: &["lib runtime::tests::with_attacks::a_mount_point_that_is_swapped_for_a_link_leads_nowhere"],
        remark: "",
        weakened: &[without_in_root(
            "lib runtime::tests::with_attacks::a_mount_point_that_is_swapped_for_a_link_leads_nowhere",
        )],
    },
    Attack {
        id: "A11",
        what: "mount points are made through a swapped link (CVE-2024-45310, CVE-2019-18837)",
        tests: &["lib runtime::tests::with_attacks::a_mount_point_that_is_swapped_for_a_link_leads_nowhere"],
        remark: "",
        weakened: &[without_in_root(
            "lib runtime::tests::with_attacks::a_mount_point_that_is_swapped_for_a_link_leads_nowhere",
        )],
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
        weakened: &[Weakening {
            without: "`ro` for `/sys` and the cgroups",
            file: "src/container/spec.rs",
            from: "let access = if config.privileged { \"rw\" } else { \"ro\" };",
            to: "let access = \"rw\";",
            test: "it selftest::by_default",
        }],
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
        weakened: &[
            Weakening {
                without: "settings of the host refused, by option",
                file: "src/container/rights/sysctl.rs",
                from: " || of(&key).is_none()",
                to: "",
                test: "it rights::sysctls",
            },
            Weakening {
                without: "settings of the host refused, in a bundle",
                file: "src/runtime/sysctl.rs",
                from: "return Err(refused(\"does not belong to a container's namespaces: it is the host's\".to_owned()));",
                to: "continue;",
                test: "lib runtime::sysctl::tests::the_hosts_settings_are_not_a_containers",
            },
        ],
    },
    Attack {
        id: "A15",
        what: "paths that tell of or control the host's hardware are not masked (CVE-2017-16539, CVE-2018-10892)",
        tests: &["it sandbox::masked_paths_are_empty", "it sandbox::read_only_paths", "it selftest::by_default"],
        remark: "",
        weakened: &[Weakening {
            without: "the masks",
            file: "src/runtime/init.rs",
            from: "    paths::mask(linux, &root, naming)?;\n",
            to: "",
            test: "it sandbox::masked_paths_are_empty",
        }],
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
        weakened: &[without_in_root("it evil::files_that_box_writes_are_something_else")],
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
        weakened: &[without_in_root("it rights::options_that_meet_links_of_the_image_stay_inside")],
    },
];

/// Paths in the container followed as the host sees them.
const fn without_in_root(test: &'static str) -> Weakening {
    Weakening {
        without: "`RESOLVE_IN_ROOT`",
        file: "src/sys/root.rs",
        from: "match rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, mode, resolve) {",
        to: "match rustix::fs::openat2(&self.fd, Path::new(\".\").join(path.strip_prefix(\"/\").unwrap_or(path)), flags | OFlags::CLOEXEC, mode, resolve.difference(ResolveFlags::IN_ROOT)) {",
        test,
    }
}
