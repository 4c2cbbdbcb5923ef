//! A user at a terminal: shells in containers, resizing, Ctrl-C, detaching, raw mode given back.

use crate::env::{TestEnv, eventually};
use crate::tmux::Tmux;

macro_rules! terminal {
    ($env:expr) => {
        match Tmux::start($env) {
            Some(terminal) => terminal,
            None => skip!("there is no tmux"),
        }
    };
}

#[test]
fn a_terminal_of_its_own() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    terminal.line("box run --rm -it --network none t tty; echo end $?");
    terminal.await_text(r#"{"stdin":true,"stdout":true,"stderr":true,"size":[80,24]}"#);
    // What is typed before the end would be typed into the container.
    terminal.await_line("end 0");
    terminal.line("clear; box run --rm -it --network none t do field env/TERM sid ';' stat /dev/console; echo code $?");
    terminal.await_line("code 0");
    let screen = terminal.screen();
    assert!(screen.contains("screen") || screen.contains("xterm"), "{screen}");
    assert!(screen.contains("char "), "{screen}");
    // Without -t there is none, though the caller has one.
    terminal.line("clear; box run --rm -i --network none t tty");
    terminal.await_text(r#"{"stdin":false,"stdout":false,"stderr":false"#);
}

#[test]
fn exit_code_and_echo() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    terminal.line("box run --rm -it --network none t exit 7; echo code $?");
    terminal.await_line("code 7");
    // Raw mode has been given back: what is typed is echoed and lines end.
    terminal.line("echo one; echo two");
    terminal.await_line("one");
    terminal.await_line("two");
    terminal.line("stty -a | grep -o ' -icanon\\| icanon'");
    terminal.await_text(" icanon");
}

#[test]
fn typing_reaches_it_and_ctrl_d_ends_it() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    terminal.line("box run --rm -it --network none t cat; echo code $?");
    eventually("a container", || !env.box_(&["ps", "-q"]).ok().is_empty());
    terminal.line("typed");
    eventually("echo and answer", || terminal.screen().lines().filter(|line| *line == "typed").count() == 2);
    terminal.keys(&["C-d"]);
    terminal.await_line("code 0");
}

#[test]
fn ctrl_c_reaches_the_command() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    terminal.line("box run --rm -it --network none t pause 5; echo code $?");
    terminal.await_line("ready");
    terminal.keys(&["C-c"]);
    terminal.await_text("code 5");
    terminal.line("clear; box run --rm -it --init --network none t sleep 600; echo code $?");
    eventually("a container", || env.box_(&["ps", "-q"]).ok().lines().count() == 1);
    eventually("Ctrl-C to end it", || {
        terminal.keys(&["C-c"]);
        terminal.screen().contains("code 130")
    });
}

#[test]
fn the_size_follows_the_window() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    terminal.line("box run --rm -it --name c --network none t trap WINCH; echo code $?");
    terminal.await_line("ready");
    terminal.resize(101, 33);
    terminal.await_line("SIGWINCH");
    env.box_(&["kill", "-s", "USR2", "c"]).ok();
    terminal.await_line("code 0");
    terminal.line("clear; box run --rm -it --network none t tty");
    terminal.await_text(r#""size":[101,33]"#);
}

#[test]
fn detach_and_attach_again() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    terminal.line("box run -it --name c --network none t cat; echo code $?");
    eventually("a container", || !env.box_(&["ps", "-q"]).ok().is_empty());
    terminal.line("before");
    eventually("the answer", || terminal.screen().lines().filter(|line| *line == "before").count() == 2);
    terminal.keys(&["C-p", "C-q"]);
    terminal.await_line("code 0");
    assert_eq!(env.inspect("c", "{{.State.Running}}"), "true");
    terminal.line("clear; box attach --detach-keys ctrl-x,x c; echo again $?");
    eventually("the terminal to answer", || {
        terminal.line("after");
        terminal.screen().lines().filter(|line| *line == "after").count() >= 2
    });
    terminal.keys(&["C-x", "x"]);
    terminal.await_text("again 0");
    terminal.line("clear; box attach c; echo end $?");
    eventually("the terminal to answer once more", || {
        terminal.line("more");
        terminal.screen().lines().filter(|line| *line == "more").count() >= 2
    });
    // Once: a second one would end the shell around it.
    terminal.keys(&["C-d"]);
    terminal.await_line("end 0");
}

#[test]
fn exec_with_a_terminal() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    env.background("c", &[], &["pause"]);
    terminal.line("box exec -it c tty; echo code $?");
    terminal.await_text(r#"{"stdin":true,"stdout":true,"stderr":true,"size":[80,24]}"#);
    terminal.await_line("code 0");
    terminal.line("clear; box exec -it c trap WINCH INT; echo code $?");
    terminal.await_line("ready");
    terminal.resize(90, 20);
    terminal.await_line("SIGWINCH");
    terminal.keys(&["C-c"]);
    terminal.await_text("SIGINT");
    let trapped = env.processes().into_iter().find(|process| process.words.starts_with("trap WINCH")).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(trapped.pid), nix::sys::signal::Signal::SIGUSR2).unwrap();
    terminal.await_line("code 0");
    terminal.line("echo sane");
    terminal.await_line("sane");
}

#[test]
fn a_killed_client_leaves_the_container() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    terminal.line("box run -it --name c --network none t pause; stty sane; echo back");
    terminal.await_line("ready");
    let client = env.processes().into_iter().find(|process| process.words.starts_with("box run -it --name c"));
    crate::leak::kill(client.unwrap().pid);
    terminal.await_text("back");
    assert_eq!(env.inspect("c", "{{.State.Running}}"), "true");
}

#[test]
fn a_failed_start_gives_the_terminal_back() {
    let env = TestEnv::with_image();
    let terminal = terminal!(&env);
    terminal.line("box run --rm -it --network none t nonesuch; echo code $?; stty -a | grep -o ' icanon'");
    terminal.await_line("code 127");
    terminal.await_text(" icanon");
    assert!(terminal.screen().contains("box: "), "{}", terminal.screen());
}

#[test]
fn a_detached_terminal_is_logged() {
    let env = TestEnv::with_image();
    env.background("c", &["-t"], &["tty"]);
    env.box_(&["wait", "c"]).ok();
    assert!(env.box_(&["logs", "c"]).ok().contains(r#""stdin":true"#));
}

#[test]
fn t_without_a_terminal() {
    let env = TestEnv::with_image();
    // A terminal inside, though the caller has none: the container's program sees one, with a size or without.
    let outcome = env.inside(&["-t"], &["tty"]);
    assert!(outcome.ok().contains(r#""stdout":true"#), "{outcome}");
}
