//! What a user sees: stdout, stderr and exit codes of the built program. A file per verb.
//!
//! `env` gives each test a home of its own and looks for leaks when the test ends; `image` and `registry` make what it
//! runs and pulls. Nothing here needs a network or a distribution's image, except `real`, which says so.
//!
//! Tests whose names begin with `root_` want to be run by root (`contrib/test` does both passes).
#![expect(clippy::disallowed_methods, reason = "tests read the environment and wait")]
#![expect(clippy::print_stderr, reason = "a skip says why")]

/// Say why a test is not run, count it, and return from it. Under `CI=true` only what `skip::ALLOWED` names may be.
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::skip::skip(&format!($($why)*));
        return;
    }};
}

/// Tests for both users of an OCI runtime: an ordinary one, whose bundle brings its user namespace, and root. Each is
/// two tests of what the module `checks` has by that name.
macro_rules! both {
    ($($name:ident $as_root:ident;)*) => {
        $(
            #[test]
            fn $name() {
                if $crate::skip::is_root() {
                    skip!("wants an ordinary user");
                }
                checks::$name();
            }
            #[test]
            fn $as_root() {
                if !$crate::skip::is_root() {
                    skip!("wants root");
                }
                checks::$name();
            }
        )*
    };
}

// What the tests are made with.
mod calls;
mod env;
mod image;
mod leak;
mod outcome;
mod registry;
mod servers;
mod skip;
mod tarball;
mod tmux;
mod token;

// The house.
mod docs;
mod layering;
mod readme;
mod tidy;

// What users type.
mod attach;
mod attributes;
mod bundles;
mod build;
mod choose;
mod chunked;
mod commit;
mod config;
mod contract;
mod cp;
mod doctor;
mod events;
mod exec;
mod foreign;
mod history;
mod health;
mod images;
mod import;
mod inspect;
mod life;
mod limits;
mod logs;
mod mount;
mod network;
mod networks;
mod makes;
mod manifest;
mod oci;
mod options;
mod peers;
mod platform;
mod port;
mod ports;
mod login;
mod ps;
mod publish;
mod pull;
mod push;
mod rename;
mod requires;
mod restart;
mod resume;
mod rights;
mod run;
mod sandbox;
mod scripts;
mod sdnotify;
mod save;
mod selftest;
mod shells;
mod scp;
mod search;
mod seldom;
mod storage;
mod system;
mod top;
mod trust;
mod tty;
mod secrets;
mod ssh;
mod volumes;
mod mapped;

// What can go wrong.
mod attacks;
mod damage;
mod evil;
mod failures;
mod hostile;
mod forged;
mod broken;
mod hosts;
mod golden;
mod kill;
mod marathon;
mod mutants;
mod reliability;

// Other ways to be run.
mod interop;
mod compare;
mod engines;
mod real;
mod root;
