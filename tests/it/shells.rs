//! Completion as the shells do it: bash with its bash-completion, zsh and fish, each on a terminal.

use crate::env::TestEnv;
use crate::tmux::Tmux;

/// What is typed before Tab, and what stands there after it.
const CASES: [(&str, &str); 9] = [
    ("box inspec", "box inspect"),
    ("box volume inspe", "box volume inspect"),
    ("box run --netwo", "box run --network"),
    ("box run --pull nev", "box run --pull never"),
    ("box rm swe", "box rm sweet-name"),
    ("box run unmist", "box run unmistakable:1"),
    ("box run unmistakable:", "box run unmistakable:1"),
    ("box volume rm plen", "box volume rm plenty"),
    ("box network rm lan", "box network rm lantern"),
];

fn complete(shell: &str, begin: &[String]) {
    let env = TestEnv::with_image();
    env.box_(&["create", "--name", "sweet-name", "t"]).ok();
    env.box_(&["tag", "t", "unmistakable:1"]).ok();
    env.box_(&["volume", "create", "plenty"]).ok();
    env.box_(&["network", "create", "lantern"]).ok();
    let Some(terminal) = Tmux::start(&env) else { skip!("there is no tmux") };
    terminal.line(shell);
    for line in begin {
        terminal.line(line);
    }
    terminal.line("echo rea''dy");
    terminal.await_line("ready");
    for (typed, completed) in CASES {
        terminal.keys(&["C-l"]);
        terminal.keys(&["-l", typed]);
        terminal.await_text(typed);
        terminal.keys(&["Tab"]);
        terminal.await_text(completed);
        terminal.keys(&["C-u"]);
    }
    terminal.line("exit");
}

fn is_there(shell: &str) -> bool {
    std::env::split_paths("/usr/bin:/bin").any(|folder| folder.join(shell).exists())
}

fn script(name: &str) -> String {
    format!("source {}/completions/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn bash() {
    let completion = "/usr/share/bash-completion/bash_completion";
    if !std::path::Path::new(completion).exists() {
        skip!("there is no bash-completion");
    }
    complete("exec bash --norc", &["PS1='$ '".into(), format!("source {completion}"), script("box.bash")]);
}

#[test]
fn zsh() {
    if !is_there("zsh") {
        skip!("there is no zsh");
    }
    let begin = "autoload -Uz compinit; compinit -u -D".to_owned();
    complete("exec zsh -f", &["PS1='$ '".into(), begin, script("_box")]);
}

#[test]
fn fish() {
    if !is_there("fish") {
        skip!("there is no fish");
    }
    complete("exec fish --no-config", &["function fish_prompt; echo '$ '; end".into(), script("box.fish")]);
}
