//! `box top`: the processes of a container.

use crate::env::TestEnv;
use crate::tmux::Tmux;

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

#[test]
fn a_table_that_stays_on_the_terminal() {
    let env = TestEnv::with_image();
    env.background("c", &[], &["pause"]);
    let Some(terminal) = Tmux::start(&env) else { skip!("there is no tmux") };
    terminal.line("clear; box top -i 1 c pid,args; echo \"left $?\"");
    terminal.await_text("pause");
    // What comes is shown, what goes disappears.
    let mut running = env.cmd(&["exec", "-i", "c", "cat"]).start();
    terminal.await_text("cat");
    terminal.resize(30, 10);
    running.stdin.take();
    terminal.await_gone("cat");
    assert!(terminal.screen().lines().filter(|line| line.contains("COMMAND")).count() == 1, "{}", terminal.screen());
    terminal.keys(&["C-c"]);
    terminal.await_line("left 0");
    running.finish().ok();
    // It ends with the container.
    terminal.line("clear; box top c; echo \"over $?\"");
    terminal.await_text("PID");
    env.box_(&["rm", "-f", "-t", "0", "c"]).ok();
    terminal.await_line("over 0");
    terminal.line("exit");
}

#[test]
fn stats_and_ps_stay_on_the_terminal_too() {
    let env = TestEnv::with_image();
    env.background("first", &[], &["pause"]);
    let Some(terminal) = Tmux::start(&env) else { skip!("there is no tmux") };
    for (line, code) in [("box stats -i 1", "stats"), ("box ps --watch 1", "ps")] {
        terminal.line(&format!("clear; {line}; echo \"{code} $?\""));
        terminal.await_text("first");
        env.background("second", &[], &["pause"]);
        terminal.await_text("second");
        // Narrower than the table: a line each all the same.
        terminal.resize(40, 12);
        env.box_(&["rm", "-f", "-t", "0", "second"]).ok();
        terminal.await_lines(2);
        terminal.keys(&["C-c"]);
        terminal.await_line(&format!("{code} 0"));
        terminal.resize(80, 24);
    }
    terminal.line("exit");
    env.box_(&["rm", "-f", "-t", "0", "first"]).ok();
}

#[test]
fn ps_on_terminals_of_all_widths() {
    let env = TestEnv::with_image();
    let long = "a-name-that-is-rather-long-for-a-table";
    let run = ["run", "-d", "--name", long, "-p", "127.0.0.1::80", "t", "sleep", "600"];
    env.box_(&run).ok();
    let Some(terminal) = Tmux::start(&env) else { skip!("there is no tmux") };
    for width in [200, 120, 80] {
        terminal.resize(width, 24);
        // tmux takes its time until programs see another size.
        let sized = format!("until [ \"$(stty size)\" = '24 {width}' ]; do sleep 0.05; done");
        terminal.line(&format!("{sized}; clear; box ps; echo don''e {width}"));
        terminal.await_line(&format!("done {width}"));
        let screen = terminal.screen();
        // A line for the heading, one for the container, with its id and its name whole.
        let row = screen.lines().nth(1).unwrap_or_default();
        assert!(
            row.ends_with(long) && row.len() > 12 && screen.lines().nth(2) == Some(&format!("done {width}")),
            "{width}:\n{screen}"
        );
        assert_eq!(row.contains("->80/tcp"), width == 200, "{width}:\n{screen}");
    }
    terminal.line("exit");
    env.box_(&["rm", "-f", "-t", "0", long]).ok();
}
