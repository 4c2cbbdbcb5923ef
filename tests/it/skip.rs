//! Tests that a machine cannot run: said aloud, counted, and a failure in CI unless on the short list.

use std::sync::atomic::{AtomicU32, Ordering};

/// What the machines that CI runs on cannot do: beginnings of reasons.
const ALLOWED: &[&str] = &[
    // Run by the other pass of contrib/test.
    "wants root",
    "wants an ordinary user",
    // Large packages; run by hand, see `engines`.
    "wants BOX_TEST_ENGINES",
    // Builds of box without one of its defences each; run by hand, see `attacks`.
    "wants BOX_TEST_WEAKENED",
    // Minutes, and a root file system of servers.
    "wants BOX_TEST_SERVERS",
];

static COUNT: AtomicU32 = AtomicU32::new(0);

/// See the macro `skip!`.
pub fn skip(why: &str) {
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    eprintln!("skipped ({count}): {name}: {why}");
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!strict || ALLOWED.iter().any(|allowed| why.starts_with(allowed)), "skipped in CI: {why}");
}

/// Whether the tests are run by root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
