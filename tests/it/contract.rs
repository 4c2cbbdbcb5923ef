//! The contract of every command: exit codes of errors, closed pipes, colours, help.

use crate::env::TestEnv;

const COMMANDS: &[&str] = &[
    "run", "create", "start", "stop", "kill", "rm", "ps", "logs", "exec", "attach", "wait", "inspect", "pull",
    "images", "rmi", "image", "tag", "load", "info", "version", "unshare",
];

#[test]
fn help_of_everything() {
    let env = TestEnv::new();
    let all = env.box_(&["--help"]).ok();
    for command in COMMANDS {
        assert!(all.lines().any(|line| line.trim_start().starts_with(command)), "{command} is not in the help:\n{all}");
        let help = env.box_(&[command, "--help"]);
        help.quiet();
        assert!(help.ok().contains("Usage: box"), "{help}");
    }
    assert!(env.box_(&["help", "run"]).ok().contains("--rm"));
    // Help needs no store.
    assert!(!env.data().exists(), "a store was made for help");
}

#[test]
fn unknown_words_are_125_everywhere() {
    let env = TestEnv::new();
    for command in COMMANDS {
        let outcome = env.box_(&[command, "--no-such-flag"]);
        outcome.ends(125).says("--no-such-flag");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
    env.box_(&["nonesuch"]).ends(125).says("nonesuch");
    env.box_(&["--nonesuch"]).ends(125).says("--nonesuch");
    env.box_(&["ps", "extra"]).ends(125);
}

#[test]
fn missing_containers_by_command() {
    let env = TestEnv::with_image();
    for (words, code) in [
        (&["start", "nobody"][..], 125),
        (&["stop", "nobody"], 125),
        (&["kill", "nobody"], 125),
        (&["logs", "nobody"], 125),
        (&["attach", "nobody"], 125),
        (&["exec", "nobody", "true"], 125),
        (&["wait", "nobody"], 125),
        (&["rm", "nobody"], 1),
        (&["rmi", "nobody"], 1),
    ] {
        let outcome = env.box_(words);
        outcome.fails(code).says("`nobody`");
        assert!(outcome.err().lines().count() <= 3, "{outcome}");
    }
    env.box_(&["tag", "nobody", "x"]).fails(125).says("nobody");
    env.box_(&["image", "inspect", "nobody"]).ends(125);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let env = TestEnv::with_image();
    env.box_(&["create", "t"]).ok();
    let program = crate::env::program();
    for words in ["ps -a", "images", "inspect t", "--help", "info", "version", "ps -a --format json"] {
        // The reader is gone before anything is written.
        let line = format!("{{ {} {words}; echo \"code $?\" >&2; }} | true", program.display());
        let mut outcome = env.other("sh".as_ref()).args(&["-c", &line]).run();
        for _ in 0..20 {
            if outcome.err().contains("code 141") {
                break;
            }
            outcome = env.other("sh".as_ref()).args(&["-c", &line]).run();
        }
        let err = outcome.err();
        assert!(err == "code 141\n" || err == "code 0\n", "{words}: {err}");
    }
}

#[test]
fn version_and_info() {
    let env = TestEnv::with_image();
    let version = env!("CARGO_PKG_VERSION");
    assert!(env.box_(&["--version"]).ok().contains(version));
    assert!(env.box_(&["version"]).ok().contains(version));
    assert_eq!(env.box_(&["version", "--format", "{{.Client.Version}}"]).ok(), version);
    assert_eq!(env.box_(&["version", "--format", "{{.Server.Version}}"]).ok(), version);
    assert_eq!(env.box_(&["version", "--format", "json"]).json()["Client"]["Version"], version);
    let rootless = (!crate::skip::is_root()).to_string();
    assert_eq!(env.box_(&["info", "--format", "{{.Host.Security.Rootless}}"]).ok(), rootless);
    let driver = env.box_(&["info", "--format", "{{.Store.GraphDriverName}}"]).ok();
    assert!(["overlay", "fuse-overlayfs", "copy"].contains(&driver.as_str()), "{driver}");
    let info = env.box_(&["info", "--format", "json"]).json();
    assert_eq!(info["store"]["graphRoot"], env.data().display().to_string());
    assert!(env.box_(&["info"]).ok().contains(&driver));
}

#[test]
fn no_colours_in_pipes() {
    let env = TestEnv::new();
    for words in [&["ps"][..], &["--help"], &["nonesuch"], &["run", "--nonesuch"], &["rm", "nobody"]] {
        let outcome = env.box_(words);
        assert!(!outcome.out().contains('\u{1b}') && !outcome.err().contains('\u{1b}'), "{outcome}");
    }
}

#[test]
fn control_characters_in_errors_are_escaped() {
    let env = TestEnv::new();
    for word in ["\u{1b}[31mred", "a\rb", "a\nb", "\u{9b}1m", "\u{202e}abc"] {
        for words in [
            &["rm", word][..],
            &["inspect", word],
            &["run", word],
            &["run", "--name", word, "t"],
            &["ps", "--filter", word],
        ] {
            let err = env.box_(words).err();
            let bad = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!err.contains(bad) && !err.contains("a\nb"), "{words:?}: {err:?}");
        }
    }
}

#[test]
fn unshare_is_a_look_from_inside() {
    let env = TestEnv::with_image();
    assert_eq!(env.box_(&["unshare", "id", "-u"]).ok(), "0");
    env.box_(&["unshare", "sh", "-c", "exit 6"]).ends(6);
    env.box_(&["unshare", "nonesuch"]).ends(127);
    let map = env.box_(&["unshare", "cat", "/proc/self/uid_map"]).ok();
    let own = rustix::process::getuid().as_raw().to_string();
    assert!(map.split_whitespace().nth(1) == Some(&own), "{map}");
}

#[test]
fn messages_in_full() {
    let env = TestEnv::with_image();
    env.box_(&["rm", "nobody"]).shows(
        "
$ box rm nobody
2> box: no such container `nobody`
2> hint: box ps -a
exit 1",
    );
    env.box_(&["run", "--name", "c", "--network", "none", "t", "nonesuch"]).shows(
        "
$ box run --name c --network none t nonesuch
2> box: cannot start container `c`: cannot run `nonesuch`: no such command in the container
exit 127",
    );
}

#[test]
fn nothing_is_left_of_commands_that_only_look() {
    let env = TestEnv::new();
    for words in [&["ps"][..], &["images"], &["version"], &["info"]] {
        env.box_(words).ok();
    }
    // Looking needs no namespace, so no holder was started by ps, images or version.
    let looking = TestEnv::new();
    for words in [&["ps"][..], &["images"], &["version"]] {
        looking.box_(words).ok();
    }
    assert!(looking.processes().is_empty(), "{:?}", looking.processes());
}
