//! Broken and unusual hosts, a row each, with the message that a user reads there. docs/hosts.md has the same table for
//! people, with the rows that other tests show and those that cannot be made here.
//!
//! The user is `ann`, who is on no host: each row has a mount and a process namespace of its own, in which root first
//! breaks something, and her commands follow.

use crate::env::{TestEnv, program};
use crate::image::Image;
use crate::layering::package;
use crate::outcome::Outcome;
use crate::skip::is_root;
use crate::tarball::{Head, Tar};
use std::path::Path;

/// Her number.
const ANN: u32 = 54321;

struct Row {
    /// What is broken.
    host: &'static str,
    /// Words for a shell of root's; `$T` is the test's folder, `$HOME` hers.
    breaks: &'static str,
    /// Words for a shell of hers, which knows `box` and, as `$IMAGE`, an archive of the image `t`.
    does: &'static str,
    /// All that her commands print to stdout.
    prints: &'static str,
    /// What stands on stderr, each.
    says: &'static [&'static str],
}

/// What each row begins with: she has a name, a home, and 65536 subordinate ids.
const WHOLE: &str = "echo root:x:0:0::/root:/bin/sh >$T/passwd; echo ann:x:54321:54321::$HOME:/bin/sh >>$T/passwd
    echo ann:300000:65536 >$T/subid; mkdir -p -m 700 $HOME $T/ann-run; chown ann: $HOME $T/ann-run 2>/dev/null
    mount --bind $T/passwd /etc/passwd; mount --bind $T/subid /etc/subuid; mount --bind $T/subid /etc/subgid
    chown 54321:54321 $HOME $T/ann-run";

const ONE: &str = "box load -q -i $IMAGE >/dev/null; box run --rm --network none t echo works";

const ROWS: &[Row] = &[
    Row { host: "nothing", breaks: "true", does: ONE, prints: "works", says: &[] },
    Row {
        host: "no subordinate ids",
        breaks: "mount --bind /dev/null /etc/subuid",
        does: ONE,
        prints: "works",
        says: &[
            "warning: only one user id is available (/etc/subuid has no range for `ann`), so images that use other users may fail",
            "hint: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann",
        ],
    },
    Row {
        host: "a user that only one id is there for wants another",
        breaks: "mount --bind /dev/null /etc/subuid",
        does: "box load -q -i $IMAGE >/dev/null; box run --rm --network none -u 7 t true",
        prints: "",
        says: &["cannot become user 7 in the container: it is not among your ids", "hint: sudo usermod --add-subuids"],
    },
    Row {
        host: "no newuidmap",
        breaks: "mount --bind /dev/null $(readlink -f $(command -v newuidmap))",
        does: ONE,
        prints: "works",
        says: &["only one user id is available (newuidmap is missing)", "uidmap"],
    },
    Row {
        host: "a newuidmap that is not setuid",
        breaks: "cp $(command -v newuidmap) $T/map; chmod 755 $T/map; mount --bind $T/map $(readlink -f $(command -v newuidmap))
                 mount --bind $T/map $(readlink -f $(command -v newgidmap))",
        does: ONE,
        prints: "works",
        says: &[
            "only one user id is available (newuidmap may not write the map: it is not setuid root)",
            "hint: sudo chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap",
        ],
    },
    Row {
        host: "a user that is not in passwd",
        breaks: "umount /etc/passwd",
        does: ONE,
        prints: "works",
        says: &["only one user id is available (/etc/subuid has no range for `54321`)"],
    },
    Row {
        host: "subordinate ids that have changed",
        breaks: "chmod 666 $T/subid",
        does: "box load -q -i $IMAGE >/dev/null; box run --rm --network none t echo works
               echo ann:400000:65536 >$BOX_TEST/subid; box system migrate; box run --rm --network none t echo still
               echo ann:300000:65536 >$BOX_TEST/subid; box system migrate; box run --rm --network none t echo again",
        prints: "works\nstill\nagain",
        says: &[
            " belong to the user ids 300000 to 365535, which are others in containers by now, or nobody's: /etc/subuid or /etc/subgid has changed",
            "hint: as it was: `ann:300000:65536` as your only line in both, then `box system migrate`",
            "hint: or begin anew: box system reset",
        ],
    },
    Row {
        host: "a read-only home",
        breaks: "mount -t tmpfs -o ro x $HOME",
        does: "box images",
        prints: "",
        says: &["box: cannot keep images in `", "Read-only file system", "hint: choose another folder: export BOX_DATA="],
    },
    Row {
        host: "a full disk",
        breaks: "mount -t tmpfs -o size=400k,mode=777 x $HOME",
        does: "box load -q -i $IMAGE; box ps -q",
        prints: "",
        says: &["the disk is full: at least ", " are needed, and ", " are free for `", "hint: there is nothing that `box system prune -a` could free"],
    },
    Row {
        host: "a home on an overlay, and no FUSE",
        breaks: "mkdir $T/w; mount -t tmpfs x $T/w; mkdir $T/w/l $T/w/u $T/w/w; mount --bind /dev/null /dev/fuse
                 mount -t overlay -o lowerdir=$T/w/l,upperdir=$T/w/u,workdir=$T/w/w x $HOME; chown 54321 $HOME",
        does: "box load -q -i $IMAGE >/dev/null; box run --rm --network none t echo works; box info --format '{{.Store.GraphDriverName}}'; box doctor | grep -o 'copies: no overlay works here.*'",
        prints: "works\ncopy\ncopies: no overlay works here, so each container needs the room of its image",
        says: &[],
    },
    Row {
        host: "a home that is mounted noexec, nosuid and nodev",
        breaks: "mount -t tmpfs -o noexec,nosuid,nodev,mode=777 x $HOME",
        does: "box load -q -i $IMAGE >/dev/null; box --storage-driver overlay run --rm --network none t echo works
               box --storage-driver copy run --rm --network none t echo works; box doctor | grep -o '.* is mounted noexec: .*' | cut -d: -f2",
        prints: "works\n export BOX_DATA=/var/tmp/box-$(id -u)",
        says: &[
            "cannot run `/bin/echo`: it is on a file system that is mounted noexec",
            "hint: keep images and containers on another disk: export BOX_DATA=/var/tmp/box-$(id -u)",
        ],
    },
    Row {
        host: "a run folder that is another's",
        breaks: "chown 0 $T/ann-run",
        does: "box load -q -i $IMAGE >/dev/null; box run -d --network none --name c t pause >/dev/null; box ps --format '{{.Names}} {{.State}}'; box rm -f -t 0 c",
        prints: "c running\nc",
        says: &[],
    },
    Row {
        host: "a home by a link, with blanks, quotes and other letters in its name",
        breaks: "mkdir \"$T/h ö'e\\\"\"; chown 54321 \"$T/h ö'e\\\"\"; ln -s \"$T/h ö'e\\\"\" $T/link; HOME=$T/link/deep; mkdir $HOME; chown 54321 $HOME",
        does: "box load -q -i $IMAGE >/dev/null; box run --rm --network none -v v:/v t echo works",
        prints: "works",
        says: &[],
    },
    Row {
        host: "no network",
        breaks: "true",
        does: "unshare -rn $BOX pull registry.example/x 2>&1 | grep -v Pulling >&2",
        prints: "",
        says: &["box: cannot pull `registry.example/x`: there is no host `registry.example`", "hint: check the spelling, or the network if all names fail"],
    },
    Row {
        host: "a proxy that does not answer",
        breaks: "true",
        does: "HTTPS_PROXY=http://127.0.0.1:1 box pull registry.example/x 2>&1 | grep -v Pulling >&2",
        prints: "",
        says: &["`registry.example`, or the proxy `http://127.0.0.1:1` on the way to it, refuses connections", "hint: without the proxy: NO_PROXY=registry.example box …"],
    },
];

/// Run a row's words as its user; the outcome of the last one.
fn as_ann(env: &TestEnv, row: &Row) -> Outcome {
    let (base, program) = (env.base.display(), program().display().to_string());
    // Words that box gets are not to be expanded once more.
    env.file("does", format!("box() {{ \"$BOX\" \"$@\"; }}\n{}\n", row.does));
    let line = format!(
        "T={base}; HOME=$T/ann; {WHOLE}\n{}\ncd $T; exec setpriv --reuid={ANN} --regid={ANN} --clear-groups --inh-caps=-all \
         env -i PATH=/usr/bin:/bin HOME=\"$HOME\" XDG_RUNTIME_DIR=$T/ann-run BOX={program} IMAGE={} BOX_TEST=$T sh $T/does",
        row.breaks,
        crate::image::shared_archive().display()
    );
    env.other(Path::new("unshare")).args(&["-m", "-p", "-f", "--mount-proc", "sh", "-c", &line]).run()
}

#[test]
fn root_each_says_what_it_lacks() {
    if !is_root() {
        skip!("wants root");
    }
    for row in ROWS {
        let env = TestEnv::new();
        let outcome = as_ann(&env, row);
        assert_eq!(outcome.out(), row.prints, "{}: {outcome}", row.host);
        for text in row.says {
            assert!(outcome.err().contains(text), "{}: it does not say `{text}`\n{outcome}", row.host);
        }
        if row.says.is_empty() {
            outcome.quiet();
        }
    }
}

#[test]
fn no_user_namespaces() {
    if is_root() {
        skip!("wants an ordinary user");
    }
    let env = TestEnv::new();
    // The limit is one of each user namespace, and counts for those below it.
    let line = "mkdir -m 777 h; echo 0 >/proc/sys/user/max_user_namespaces; shift 0; cd h
                exec setpriv --reuid=5 --regid=5 --clear-groups --inh-caps=-all env -i PATH=/usr/bin:/bin HOME=$PWD \"$@\"";
    let program = program().display().to_string();
    let outcome = env.box_(&["unshare", "unshare", "-m", "sh", "-c", line, "sh", &program, "load", "-i", "/none"]);
    outcome.fails(125).says("this host does not allow user namespaces (user.max_user_namespaces=0)");
    outcome.hints("sudo sysctl -w user.max_user_namespaces=28633");
}

#[test]
fn an_old_kernel() {
    let env = TestEnv::with_image();
    env.inside(&[], &["true"]).ok();
    for call in ["openat2", "clone3", "open_tree", "mount_setattr", "close_range", "move_mount"] {
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=ENOSYS"));
        let mut strace = env.other(Path::new("strace"));
        strace.args(&["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]).arg(program());
        let outcome = strace.args(&["run", "--rm", "--network", "none", "t", "true"]).run();
        outcome.fails(125).says("Function not implemented").hints("Linux 5.13 or newer is needed");
    }
    assert_eq!(env.box_(&["ps", "-a", "-q"]).ok(), "");
}

#[test]
fn the_document_has_each_message() {
    let text = std::fs::read_to_string(package().join("docs/hosts.md")).unwrap();
    for row in ROWS.iter().skip(1) {
        assert!(text.contains(&format!("| {} |", row.host)), "docs/hosts.md has no row `{}`", row.host);
        for said in row.says {
            let said = said.trim_start_matches("box: ").trim_start_matches("warning: ").trim_start_matches("hint: ");
            assert!(text.contains(said.trim()), "docs/hosts.md does not have `{said}`");
        }
    }
}

#[test]
fn an_image_with_larger_ids() {
    if is_root() {
        skip!("wants an ordinary user");
    }
    let env = TestEnv::new();
    let owned = Head { owner: (164_188, 0), ..Head::default() };
    let layer = Tar::new().entry("file", &owned, b"x").finish();
    Image::payload().layer(layer).build().docker_archive(&env.base.join("x.tar"), &["localhost/x:latest"]);
    let outcome = env.box_(&["load", "-q", "-i", "x.tar"]);
    outcome.fails(125).says("the image needs the ids 164188:0, which are not mapped for you");
    outcome.hints("sudo usermod --add-subuids 1000000-1164188 --add-subgids 1000000-1164188 $USER");
    assert_eq!(env.box_(&["images", "-q"]).ok(), "");
}
