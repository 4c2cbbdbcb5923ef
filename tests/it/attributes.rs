//! What a container's process is, for whoever attacks by it: capabilities by every door, groups, lines in files, system
//! calls as no library makes them.

use crate::build::site::Site;
use crate::calls::{self, Call, TEXT};
use crate::env::TestEnv;
use crate::image::Image;
use crate::options::info;
use crate::tarball::Tar;
use std::fs;

/// podman's eleven.
const DEFAULT: u64 = 0x8004_05fb;

#[test]
fn no_door_gives_inheritable_capabilities() {
    let env = TestEnv::with_image();
    let sets = ["field", "caps/inheritable", "caps/ambient"];
    env.background("c", &["--health-cmd", r#"["field","caps/inheritable","caps/ambient"]"#], &["pause"]);
    for options in [&[][..], &["--privileged"], &["-u", "ann"], &["-u", "1000"]] {
        let outcome = env.cmd(&["exec"]).args(options).arg("c").args(&sets).run();
        assert_eq!(outcome.ok(), "0\n0", "exec {options:?}");
    }
    env.box_(&["healthcheck", "run", "c"]).ends(0);
    assert_eq!(env.inspect("c", "{{(index .State.Health.Log 0).Output}}").trim(), "0\n0");
}

#[test]
fn another_user_than_root_has_no_capabilities() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    for user in ["ann", "1000", "4321", "ann:staff"] {
        let seen = info(&env, &["-u", user]);
        let execed = env.box_(&["exec", "-u", user, "c", "info"]).json();
        for seen in [seen, execed] {
            let caps = &seen["caps"];
            assert_eq!([&caps["effective"], &caps["permitted"], &caps["bounding"]], [0, 0, DEFAULT], "{user}: {caps}");
        }
    }
}

#[test]
fn the_commands_of_a_build_have_no_inheritable_capabilities() {
    let site = Site::new();
    let outcome = site.build("FROM base\nRUN grep -E 'Cap(Inh|Amb)' /proc/self/status >/caps\n", &[]);
    outcome.ends(0);
    assert_eq!(site.sh("cat /caps"), "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000");
}

#[test]
fn a_file_that_denies_a_group_stays_closed() {
    let env = TestEnv::new();
    // ann's groups are 50, 60 and 70; everybody may read, but for one of these.
    let head = |group| crate::tarball::Head { mode: 0o604, owner: (0, group), ..Default::default() };
    let layer =
        Tar::new().entry("own", &head(50), b"x").entry("further", &head(60), b"x").entry("other", &head(7), b"x");
    let file = env.base.join("image.tar");
    Image::payload().layer(layer.finish()).build().docker_archive(&file, &["localhost/t:latest"]);
    env.load(&file);
    let deeds = ["try", "open=/own", "open=/further", "open=/other"];
    assert_eq!(env.inside(&["-u", "ann"], &deeds).ok(), "open=/own: EACCES\nopen=/further: EACCES\nopen=/other: ok");
    assert_eq!(env.inside(&["-u", "ann:7"], &deeds).ok(), "open=/own: ok\nopen=/further: ok\nopen=/other: EACCES");
}

#[test]
fn line_ends_do_not_become_lines() {
    let env = TestEnv::with_image();
    let evil = "a\nroot2:x:0:0::/:/bin/sh";
    for option in ["--hostname", "--name", "--add-host", "--user", "--network-alias", "--group-add"] {
        let outcome = env.inside(&[option, evil], &["cat", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname"]);
        outcome.ends(125);
        assert!(!outcome.out().contains("root2"), "{option}: {outcome}");
    }
    let passwd = |options: &[&str]| env.inside(options, &["cat", "/etc/passwd"]).ok();
    let plain = passwd(&["-u", "4321"]);
    for options in
        [["-e", &format!("HOME={evil}")], ["-w", "/a:b"], ["-l", &format!("x={evil}")], ["-e", &format!("A={evil}")]]
    {
        let found = passwd(&[&["-u", "4321"][..], &options].concat());
        assert_eq!(found.lines().count(), plain.lines().count(), "{options:?}: {found}");
        assert!(!found.contains("root2"), "{options:?}: {found}");
    }
    env.inside(&["-u", "4321", "--passwd-entry", "x:x:4321:0::/:\nroot2:x:0:0::/:"], &["true"]).ends(125);
}

#[test]
fn containers_at_once_have_each_their_own_variables() {
    let env = TestEnv::with_image();
    let all: Vec<String> = (0..8).map(|number| format!("OWN=value-{number}")).collect();
    let running: Vec<_> = all
        .iter()
        .map(|own| env.cmd(&["run", "--rm", "--network", "none", "-e", own, "t", "printenv"]).start())
        .collect();
    for (own, running) in all.iter().zip(running) {
        let seen = running.finish().ok();
        let theirs: Vec<&str> = seen.lines().filter(|line| line.contains("value-")).collect();
        assert_eq!(theirs, [own.as_str()], "{seen}");
    }
}

#[test]
fn the_commands_of_a_build_see_nothing_of_the_callers_variables() {
    let mut site = Site::new();
    site.env.set("AWS_SECRET", "of-the-caller");
    site.build("FROM base\nARG AWS_SECRET_2\nRUN env >/env; cat /proc/*/environ >>/env 2>/dev/null; true\n", &[])
        .ends(0);
    let seen = site.sh("cat /env");
    assert!(seen.contains("PATH=") && !seen.contains("of-the-caller"), "{seen}");
}

#[test]
fn nothing_of_the_containers_is_run_by_box() {
    if !cfg!(target_arch = "x86_64") {
        skip!("wants x86_64");
    }
    let env = TestEnv::new();
    let marks = [env.base.join("trapped").display().to_string(), "/trapped".to_owned()];
    // creat(2) of a path that there is on the host, and of one that there is in the container.
    let traps: Vec<Vec<u8>> =
        marks.iter().map(|mark| calls::program(&[Call::Native(85, [TEXT, 0o666, 0, 0, 0])], mark)).collect();
    let names =
        ["nsenter", "ps", "tar", "xz", "gzip", "unpigz", "zstd", "getent", "unshare", "cp", "mount", "newuidmap"];
    for trap in traps {
        let mut layer = Tar::new();
        for folder in ["bin", "usr/bin", "sbin", "usr/sbin"] {
            for name in names {
                layer = layer.file(&format!("{folder}/{name}"), 0o755, &trap);
            }
        }
        for library in ["libnss_files.so.2", "libc.so.6", "libnss_dns.so.2"] {
            layer = layer.file(&format!("lib/x86_64-linux-gnu/{library}"), 0o755, &trap);
        }
        let file = env.base.join("image.tar");
        Image::payload().layer(layer.finish()).build().docker_archive(&file, &["localhost/t:latest"]);
        env.load(&file);
        env.background("c", &["--health-cmd", r#"["true"]"#], &["pause"]);
        let given = env.file("given", "x");
        for words in [
            &["top", "c"][..],
            &["exec", "c", "true"],
            &["logs", "c"],
            &["diff", "c"],
            &["healthcheck", "run", "c"],
            &["cp", given.to_str().unwrap(), "c:/given"],
            &["cp", "c:/given", "back"],
            &["export", "-o", "export.tar", "c"],
            &["commit", "c", "kept"],
            &["save", "-o", "saved.tar", "kept"],
            &["inspect", "c"],
        ] {
            env.box_(words).ends(0);
        }
        assert!(!env.base.join("trapped").exists(), "a program of the container's ran on the host");
        env.box_(&["exec", "c", "stat", "/trapped"]).ends(1);
        env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
        env.box_(&["rmi", "-f", "t", "kept"]).ok();
    }
}

#[test]
fn others_reach_nothing_that_is_stored() {
    if crate::skip::is_root() {
        skip!("wants an ordinary user");
    }
    let env = TestEnv::with_image();
    let id = env.background("c", &["-v", "v:/v"], &["pause"]);
    // One whose root is another id of the namespace's.
    env.inside(&["--userns", "keep-id"], &["true"]).ok();
    let data = env.data();
    for path in ["", "layers", "mapped", "volumes", "containers", &format!("containers/{id}")] {
        let folder = data.join(path);
        // Another user of the namespace is another user of the host's.
        let words = format!("setpriv --reuid 7 --regid 7 --clear-groups ls {}", folder.display());
        let outcome = env.box_(&["unshare", "sh", "-c", &words]);
        assert!(outcome.code != 0 && outcome.err().contains("Permission denied"), "{}: {outcome}", folder.display());
    }
}

/// The calls that the default profile has to refuse, however they are made, and with what.
const REFUSED: &[(&str, Call, u16)] = &{
    const EPERM: u16 = 1;
    const ENOSYS: u16 = 38;
    const X32: u64 = 0x4000_0000;
    let high = 1 << 32;
    [
        ("socket of AF_ALG", Call::Native(41, [38, 5, 0, 0, 0]), EPERM),
        ("socket of AF_VSOCK", Call::Native(41, [40, 1, 0, 0, 0]), EPERM),
        ("socket of AF_ALG with a high bit", Call::Native(41, [high | 38, 5, 0, 0, 0]), EPERM),
        ("socket of AF_VSOCK with a high bit", Call::Native(41, [high | 40, 1, 0, 0, 0]), EPERM),
        ("audit socket", Call::Native(41, [16, 3, 9, 0, 0]), 22),
        ("audit socket with a high bit", Call::Native(41, [high | 16, 3, 9, 0, 0]), 22),
        ("audit socket with a high bit in its protocol", Call::Native(41, [16, 3, high | 9, 0, 0]), 22),
        ("i386: socket of AF_VSOCK", Call::I386(359, [40, 1, 0, 0, 0]), EPERM),
        ("i386: socketcall for AF_VSOCK", Call::Socket(1, [40, 1, 0]), EPERM),
        ("i386: socketcall for AF_ALG", Call::Socket(1, [38, 5, 0]), EPERM),
        ("i386: socketcall with a high bit", Call::I386(102, [high | 1, 0, 0, 0, 0]), EPERM),
        ("i386: mount", Call::I386(21, [0; 5]), EPERM),
        ("i386: keyctl", Call::I386(288, [0; 5]), EPERM),
        ("x32: socket", Call::Native(X32 | 41, [40, 1, 0, 0, 0]), ENOSYS),
        ("x32: mount", Call::Native(X32 | 165, [0; 5]), ENOSYS),
        ("unshare of a user namespace", Call::Native(272, [0x1000_0000, 0, 0, 0, 0]), EPERM),
        ("clone into a user namespace with a high bit", Call::Native(56, [high | 0x1000_0011, 0, 0, 0, 0]), EPERM),
        ("clone3", Call::Native(435, [0; 5]), ENOSYS),
        ("mount", Call::Native(165, [0; 5]), EPERM),
        ("fsopen", Call::Native(430, [TEXT, 0, 0, 0, 0]), EPERM),
        ("keyctl", Call::Native(250, [0; 5]), EPERM),
        ("add_key", Call::Native(248, [0; 5]), EPERM),
        ("request_key", Call::Native(249, [0; 5]), EPERM),
        ("bpf", Call::Native(321, [0; 5]), EPERM),
        ("perf_event_open", Call::Native(298, [0; 5]), EPERM),
        ("userfaultfd", Call::Native(323, [0; 5]), EPERM),
        ("io_uring_setup", Call::Native(425, [1, TEXT, 0, 0, 0]), ENOSYS),
        ("open_by_handle_at", Call::Native(304, [0; 5]), EPERM),
        ("kexec_load", Call::Native(246, [0; 5]), EPERM),
        ("init_module", Call::Native(175, [0; 5]), EPERM),
        ("a call of the future", Call::Native(999, [0; 5]), ENOSYS),
    ]
};

#[test]
fn calls_that_are_refused_by_every_door() {
    if !cfg!(target_arch = "x86_64") {
        skip!("wants x86_64");
    }
    let env = TestEnv::with_image();
    let program = env.base.join("calls");
    let all: Vec<Call> = REFUSED.iter().map(|refused| refused.1).collect();
    calls::write(&program, &all, "tmpfs");
    let mount = format!("{}:/calls:ro", program.display());
    let seen = calls::errnos(&env.inside(&["-v", &mount], &["/calls"]).ok());
    assert_eq!(seen.len(), REFUSED.len());
    let wrong: Vec<String> = REFUSED
        .iter()
        .zip(&seen)
        .filter(|((.., wanted), seen)| wanted != *seen)
        .map(|((name, _, wanted), seen)| format!("{name}: {seen}, not {wanted}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Without the filter some of them are something else, so the program does ask.
    let free = calls::errnos(&env.inside(&["-v", &mount, "--security-opt", "seccomp=unconfined"], &["/calls"]).ok());
    for name in [
        "socket of AF_VSOCK with a high bit",
        "unshare of a user namespace",
        "request_key",
        "i386: socketcall for AF_VSOCK",
    ] {
        let place = REFUSED.iter().position(|refused| refused.0 == name).unwrap();
        assert_ne!(free[place], seen[place], "{name}");
    }
}

#[test]
fn nothing_is_typed_into_the_callers_terminal() {
    if !cfg!(target_arch = "x86_64") {
        skip!("wants x86_64");
    }
    let env = TestEnv::with_image();
    // TIOCSTI of a letter, plain and with a high bit, and TIOCLINUX; on each of the streams.
    let deeds =
        [0x5412, 1 << 32 | 0x5412, 0x541c].map(|deed| [0, 1, 2].map(|fd| Call::Native(16, [fd, deed, TEXT, 0, 0])));
    let program = env.base.join("calls");
    calls::write(&program, deeds.as_flattened(), "X");
    let Some(terminal) = crate::tmux::Tmux::start(&env) else { skip!("there is no tmux") };
    let outside = env.base.join("outside");
    terminal.line(&format!(
        "box run --rm -i --network none -v {}:/calls:ro t /calls >{}; echo code $?",
        program.display(),
        outside.display()
    ));
    terminal.await_line("code 0");
    let seen = calls::errnos(&fs::read_to_string(&outside).unwrap());
    assert!(seen.len() == 9 && seen.iter().all(|errno| *errno != 0), "{seen:?}");
    terminal.line("echo still $((40 + 2))");
    terminal.await_line("still 42");
    assert!(!terminal.screen().contains("Xecho"), "{}", terminal.screen());
}

#[test]
fn memory_that_is_shared_is_bounded_for_all() {
    let env = TestEnv::with_image();
    env.background("c", &["--ipc", "shareable", "--shm-size", "64k"], &["pause"]);
    let much = "x".repeat(100_000);
    let write = |options: &[&str], path: &str| env.inside(options, &["write", path, &much]);
    let outcome = write(&["--ipc", "container:c"], "/dev/shm/x");
    assert!(outcome.code == 1 && outcome.err().contains("No space left"), "{outcome}");
    write(&[], "/dev/shm/x").ends(0);
}

#[test]
fn a_terminal_that_is_not_the_kernels_is_refused() {
    let env = TestEnv::with_image();
    let out = crate::hostile::canary(&env);
    let before = crate::hostile::snapshot(std::path::Path::new(&out));
    let folder = env.base.join("pts");
    fs::create_dir(&folder).unwrap();
    let mount = format!("{}:/dev/pts", folder.display());
    env.background("c", &["-v", &mount], &["pause"]);
    for target in [format!("{out}/file"), "/data".to_owned(), "/dev/zero".to_owned(), "/dev/null".to_owned()] {
        std::os::unix::fs::symlink(&target, folder.join("ptmx")).unwrap();
        let outcome = env.box_(&["exec", "-t", "c", "true"]);
        assert!([125, 126].contains(&outcome.code) && outcome.err().contains("terminal"), "{target}: {outcome}");
        let outcome = env.inside(&["-t", "-v", &mount], &["true"]);
        assert!([0, 125].contains(&outcome.code), "{target}: {outcome}");
        fs::remove_file(folder.join("ptmx")).unwrap();
    }
    assert_eq!(crate::hostile::snapshot(std::path::Path::new(&out)), before);
}
