//! `box attach`: to the streams of a running container.

use crate::env::TestEnv;

#[test]
fn output_and_exit_code() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["do", "pause", ";", "both", "out\n", "err\n", ";", "exit", "4"]);
    env.await_log("c", "ready");
    let attached = env.cmd(&["attach", "c"]).start();
    let second = env.cmd(&["attach", "--no-stdin", "c"]).start();
    attached.await_connection();
    second.await_connection();
    // Whether the monitor has answered both shows in nothing but what they print.
    std::thread::sleep(std::time::Duration::from_millis(100));
    env.box_(&["stop", "c"]).ok();
    for outcome in [attached.finish(), second.finish()] {
        outcome.ends(4);
        assert!(outcome.out().ends_with("out") && outcome.err() == "err\n", "{outcome}");
    }
}

#[test]
fn stdin_of_an_interactive_container() {
    let env = TestEnv::with_image();
    env.background("c", &["-i"], &["cat"]);
    let mut attached = env.cmd(&["attach", "c"]).start();
    attached.write("hello\n");
    attached.await_out("hello");
    drop(attached);
    // The client's death hurts nobody; the next one goes on.
    assert_eq!(env.inspect("c", "{{.State.Running}}"), "true");
    let mut attached = env.cmd(&["attach", "c"]).start();
    attached.write("again\n");
    attached.await_out("again");
    drop(attached);
    assert_eq!(env.box_(&["logs", "c"]).ok(), "hello\nagain");
}

#[test]
fn signals_are_passed_on() {
    use nix::sys::signal::Signal;
    let env = TestEnv::with_image();
    env.background("c", &[], &["trap", "TERM", "USR1"]);
    env.await_log("c", "ready");
    let attached = env.cmd(&["attach", "c"]).start();
    attached.await_signals();
    attached.signal(Signal::SIGUSR1);
    attached.await_out("SIGUSR1");
    attached.signal(Signal::SIGUSR2);
    attached.finish().ends(0);
}

#[test]
fn nothing_to_attach_to() {
    let env = TestEnv::with_image();
    env.box_(&["attach", "nobody"]).fails(125).says("`nobody`");
    env.box_(&["create", "--name", "c", "t"]).ok();
    env.box_(&["attach", "c"]).fails(125).says("`c`").hints("box start");
}

#[test]
fn a_client_that_does_not_read_hurts_only_itself() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["do", "pause", ";", "spam", "30000000"]);
    env.await_log("c", "ready");
    // It never reads its stdout, and is killed.
    let program = crate::env::program();
    let line = format!("{} attach --no-stdin c | sleep 600", program.display());
    let stuck = env.other("sh".as_ref()).args(&["-c", &line]).start();
    std::thread::sleep(std::time::Duration::from_millis(300));
    env.box_(&["kill", "-s", "TERM", "c"]).ok();
    for process in env.processes().iter().filter(|process| process.words.contains("attach --no-stdin")) {
        crate::leak::kill(process.pid);
    }
    for process in env.processes().iter().filter(|process| process.words == "sleep 600") {
        crate::leak::kill(process.pid);
    }
    assert_eq!(env.box_(&["wait", "c"]).ok(), "0");
    drop(stuck);
}
