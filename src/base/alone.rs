//! For tests that fork: each in a process of its own.
//!
//! The test harness runs tests as threads of one process. A child that is forked there begins with the locks that other
//! threads held and with copies of their pipes' ends: now and then one waits for ever, for a lock that nobody gives back
//! or for an end of file that another test's child keeps from coming. box itself is single-threaded where it forks.

use std::process::Command;

/// What says that this process runs one test.
const VARIABLE: &str = "BOX_TEST_ALONE";

/// Whether this process runs one test only.
pub fn is_alone() -> bool {
    super::env::by_name(VARIABLE).is_some()
}

/// The first line of a test that forks. In the harness's process the test is run in another, which must pass; there it
/// goes on.
macro_rules! alone {
    () => {
        if $crate::base::alone::run_alone() {
            return;
        }
    };
}

/// See [`alone`]: whether the test has passed in another process.
#[track_caller]
pub fn run_alone() -> bool {
    if is_alone() {
        return false;
    }
    let thread = std::thread::current();
    let name = thread.name().expect("the harness names a thread after its test");
    let program = std::env::current_exe().expect("the test's own program");
    let output = Command::new(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, "1")
        .output()
        .expect("cannot run the test's own program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let passed = output.status.success() && text(&output.stdout).contains("1 passed");
    assert!(passed, "{name} failed alone:\n{}{}", text(&output.stdout), text(&output.stderr));
    true
}
