//! `box top`: the processes of a container.

use crate::env::TestEnv;

#[test]
fn processes_are_listed() {
    let env = TestEnv::with_image();
    env.background("c", &["-u", "7"], &["pause"]);
    env.await_log("c", "ready");
    let words = |args: &[&str]| {
        let lines = env.box_(&[&["top"], args].concat()).ok();
        lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let shown = words(&["c"]);
    assert_eq!(shown[0], "USER PID PPID %CPU ELAPSED TTY TIME COMMAND");
    assert!(shown.len() == 2 && shown[1].starts_with("7 1 0 ") && shown[1].ends_with("pause"), "{shown:?}");
    let pid = env.inspect("c", "{{.State.Pid}}");
    assert_eq!(words(&["c", "hpid", "pid", "seccomp", "args"])[1], format!("{pid} 1 filter pause"));
    assert_eq!(words(&["-l", "pid,state"])[1], "1 S");
    assert_eq!(words(&["c", "capeff"])[1], "none");
    // Words of ps(1): only the container's lines, and never without the column that tells whose they are.
    assert_eq!(words(&["c", "-eo", "pid,comm"]), ["PID COMMAND".to_owned(), format!("{pid} pause")]);
    env.box_(&["top", "c", "-eo", "comm"]).fails(125).says("no column PID");
    env.box_(&["top", "c", "nonsense"]).fails(125).says("`nonsense`");
    env.box_(&["stop", "-t", "0", "c"]).ok();
    env.box_(&["top", "c"]).fails(125).says("not running");
}
